"""Phones and a relay between them, on real loopback sockets; time stands still unless a test moves it."""

import asyncio
import itertools
import os
import random
import re
import socket
from array import array
from collections.abc import Iterator

from media.engine import LegStatistics, MediaClosed, SdpReady
from media.g711 import ulaw_decode, ulaw_encode
from media.relay.engine import RelayEngine
from media.rtp import build_packet
from media.sounds import SoundLibrary
from media.tones import dominant_frequency, tone

#: Longer than any loaded machine takes to move a packet over loopback.
PATIENCE = 10.0

_PORTS = range(20_000, 32_000, 40)
_turns = itertools.count(os.getpid() * 7)


def port_range() -> tuple[int, int]:
    """Twenty pairs below the ephemeral ports, not those of the last test nor of a test process beside us."""
    first = _PORTS[next(_turns) % len(_PORTS)]
    return first, first + 39


def description(
    port: int,
    address: str = "127.0.0.1",
    direction: str = "sendrecv",
    session_id: int = 1,
    version: int = 1,
    formats: str = "0 8 101",
) -> bytes:
    family = "IP6" if ":" in address else "IP4"
    return (
        "v=0\r\n"
        f"o=- {session_id} {version} IN {family} {address}\r\n"
        "s=-\r\n"
        f"c=IN {family} {address}\r\n"
        "t=0 0\r\n"
        f"m=audio {port} RTP/AVP {formats}\r\n"
        "a=rtpmap:101 telephone-event/8000\r\n"
        f"a={direction}\r\n"
    ).encode()


def audio_port(sdp: bytes) -> int:
    found = re.search(rb"m=audio (\d+)", sdp)
    assert found is not None
    return int(found[1])


class Phone:
    """RTP and RTCP sockets of somebody who speaks mu-law."""

    def __init__(self, address: str = "127.0.0.1", ssrc: int = 0x1234) -> None:
        self.address = address
        self.rtp = self._open()
        self.rtcp = self._open()
        self.port: int = self.rtp.getsockname()[1]
        self.ssrc = ssrc
        self.sequence = 0
        self.relay_port = 0

    def _open(self, port: int = 0) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        opened = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        opened.bind((self.address, port))
        return opened

    def close_rtp(self) -> None:
        """Packets for us are answered with ICMP port unreachable."""
        self.rtp.close()

    def open_rtp(self) -> None:
        self.rtp = self._open(self.port)

    def description(self, **changes: object) -> bytes:
        lines = description(self.port, self.address, **changes)  # type: ignore[arg-type]
        return lines + f"a=rtcp:{self.rtcp.getsockname()[1]}\r\n".encode()

    def send(self, payload: bytes = bytes(160), payload_type: int = 0) -> None:
        self.sequence += 1
        packet = build_packet(payload_type, self.sequence, self.sequence * 160, self.ssrc, payload)
        self.rtp.sendto(packet, (self.address, self.relay_port))

    def send_report(self, report: bytes) -> None:
        self.rtcp.sendto(report, (self.address, self.relay_port + 1))

    async def receive(self) -> bytes:
        """The next RTP packet."""
        async with asyncio.timeout(PATIENCE):
            return await asyncio.get_running_loop().sock_recv(self.rtp, 2048)

    async def receive_report(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await asyncio.get_running_loop().sock_recv(self.rtcp, 2048)

    def waiting(self) -> int:
        """RTP packets that came and were not received yet; takes them."""
        count = 0
        while True:
            try:
                self.rtp.recv(2048)
            except BlockingIOError:
                return count
            count += 1

    def close(self) -> None:
        self.rtp.close()
        self.rtcp.close()


class Office:
    """A relay, a caller and an agent."""

    def __init__(
        self,
        address: str = "127.0.0.1",
        timeout_seconds: float = 60.0,
        strict: bool = False,
        sounds: SoundLibrary | None = None,
    ) -> None:
        first, last = port_range()
        self.now = 1000.0
        number = random.Random(1).getrandbits
        self.engine = RelayEngine(
            address, address, first, last, 10.0, timeout_seconds, number, lambda: self.now, strict, sounds
        )
        self.engine.attach(asyncio.get_running_loop())
        self.address = address
        self.caller = Phone(address, 0xCA)
        self.agent = Phone(address, 0xA6)
        self.strangers: list[Phone] = []

    def connect(self, offer: bytes = b"", answer: bytes = b"") -> None:
        """The call is answered: both know the relay's ports."""
        self.agent.relay_port = audio_port(self.offer(offer or self.caller.description()))
        self.caller.relay_port = audio_port(self.answer(answer or self.agent.description()))

    def offer(self, sdp: bytes) -> bytes:
        self.engine.offer("call", "caller", "agent", sdp)
        return self.ready("agent")

    def answer(self, sdp: bytes) -> bytes:
        self.engine.answer("call", "agent", "caller", sdp)
        return self.ready("caller")

    def ready(self, leg: str) -> bytes:
        event = self.engine.events.popleft()
        assert isinstance(event, SdpReady)
        assert event.leg == leg
        return event.sdp

    def stranger(self) -> Phone:
        """Somebody else who knows the caller's port."""
        stranger = Phone(self.address, 0xBAD)
        stranger.relay_port = self.caller.relay_port
        self.strangers.append(stranger)
        return stranger

    async def relayed(self, sender: Phone, receiver: Phone) -> bytes:
        """A packet goes through, and with it everything sent before."""
        sender.send()
        packet = build_packet(0, sender.sequence, sender.sequence * 160, sender.ssrc, b"")
        while True:
            received = await receiver.receive()
            if received[:12] == packet[:12]:
                return received

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.engine.sweep(self.now)

    def hang_up(self) -> dict[str, LegStatistics]:
        self.engine.close("call")
        event = self.engine.events.popleft()
        assert isinstance(event, MediaClosed)
        return dict(event.statistics)

    def close(self) -> None:
        self.engine.detach()
        for phone in (self.caller, self.agent, *self.strangers):
            phone.close()


def frames(frequency: int, seconds: float) -> Iterator[bytes]:
    """A tone in packets of 20 ms."""
    samples = tone(frequency, seconds)
    for start in range(0, len(samples), 160):
        yield ulaw_encode(samples[start : start + 160])


def heard(packets: list[bytes]) -> float:
    """The frequency in the packets."""
    samples: array[int] = array("h")
    for packet in packets:
        samples.extend(ulaw_decode(packet[12:]))
    return dominant_frequency(samples)[0]
