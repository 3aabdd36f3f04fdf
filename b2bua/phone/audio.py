"""The sound of the built-in user agent: a tone or a file goes out, what comes in is kept and named."""

import asyncio
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from media.g711 import alaw_decode, ulaw_decode, ulaw_encode
from media.tones import dominant_frequency

#: One RTP packet of G.711: 20 ms at 8000 Hz (RFC 3551 section 4.5.14).
FRAME_SAMPLES = 160
RATE = 8000

#: Keep a minute of what was heard; a longer call is judged by its end.
_MAX_SAMPLES = 60 * RATE


@dataclass(frozen=True, slots=True)
class Heard:
    """What the user agent heard: packets, seconds of sound, and the loudest frequency in Hz (0: silence)."""

    packets: int
    seconds: float
    frequency: int


class Speaker:
    """Sends frames of 16-bit samples as G.711 mu-law every 20 ms and collects what the peer sends."""

    def __init__(self, host: str, frames: Iterator[list[int]], ssrc: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind((host, 0))
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        self._frames = frames
        self._ssrc = ssrc
        self._remote: tuple[str, int] | None = None
        self._task: asyncio.Task[None] | None = None
        self._heard: list[int] = []
        self._packets = 0
        self.sent = 0

    def start(self, remote: tuple[str, int] | None) -> None:
        """Listen from now on, and speak to ``remote`` if there is one; call again when it changes."""
        self._remote = remote
        if self._task is None:
            asyncio.get_running_loop().add_reader(self._socket, self._receive)
            self._task = asyncio.create_task(self._speak(), name="speaker")

    async def _speak(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        sequence = 0
        for frame in self._frames:
            if self._remote is not None:
                header = struct.pack("!BBHII", 0x80, 0, sequence & 0xFFFF, sequence * FRAME_SAMPLES, self._ssrc)
                try:
                    self._socket.sendto(header + ulaw_encode(frame), self._remote)
                    self.sent += 1
                except (BlockingIOError, ConnectionError):
                    pass  # a lost packet, as on any network; the next one follows in 20 ms
            sequence += 1
            due += 0.02
            await asyncio.sleep(max(0.0, due - loop.time()))

    def _receive(self) -> None:
        for _ in range(32):
            try:
                packet = self._socket.recv(2048)
            except (BlockingIOError, ConnectionError):
                return
            if len(packet) < 12 or packet[0] >> 6 != 2:
                continue
            payload_type = packet[1] & 0x7F
            self._packets += 1
            if payload_type == 0:
                self._heard.extend(ulaw_decode(packet[12:]))
            elif payload_type == 8:
                self._heard.extend(alaw_decode(packet[12:]))
            if len(self._heard) > _MAX_SAMPLES:
                del self._heard[: len(self._heard) - _MAX_SAMPLES]

    def heard(self) -> Heard:
        """What came in so far; the frequency is that of the last second."""
        frequency = dominant_frequency(self._heard[-RATE:], RATE) if self._heard else 0
        return Heard(self._packets, len(self._heard) / RATE, frequency)

    @property
    def samples(self) -> list[int]:
        """The last minute of what was heard, 16-bit samples at 8000 Hz."""
        return self._heard

    def close(self) -> None:
        """Fall silent."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
            asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
