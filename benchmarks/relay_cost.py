"""What a relayed RTP packet costs: CPU time of the relay's process, telephones in a process beside it.

Run as ``python -m benchmarks.relay_cost --calls 100 --seconds 10``. Each call is two phones that send 50
packets of G.711 a second each. ``--profile`` prints where the time goes instead (and slows it down).
"""

import argparse
import asyncio
import cProfile
import gc
import multiprocessing
import os
import pstats
import random
import socket
import struct
import time
from multiprocessing.connection import Connection

import uvloop

from media.engine import SdpReady
from media.relay.engine import RelayEngine
from media.sdp import parse

PACKETS_PER_SECOND = 50
#: Sending is spread over this many points of the 20 ms, as unrelated calls do.
SLOTS = 40
#: Latching and warming up, not measured.
WARM_UP_SECONDS = 1.0
PORT_MIN, PORT_MAX = 20_000, 32_000


def main() -> None:
    """Measure once and print one line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--calls", type=int, default=100)
    arguments.add_argument("--seconds", type=float, default=10.0)
    arguments.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    arguments.add_argument("--profile", action="store_true")
    options = arguments.parse_args()
    ours, theirs = multiprocessing.Pipe()
    phones = multiprocessing.Process(target=_phones, args=(theirs, options.calls), daemon=True)
    phones.start()
    run = uvloop.run if options.loop == "uvloop" else asyncio.run
    run(_relay(ours, options.seconds, options.profile))
    phones.join(10)


async def _relay(phones: Connection, seconds: float, profile: bool) -> None:
    engine = RelayEngine(
        "127.0.0.1", "127.0.0.1", PORT_MIN, PORT_MAX, 10.0, 60.0, random.SystemRandom().getrandbits, time.monotonic
    )
    engine.attach(asyncio.get_running_loop())
    ports: list[int] = phones.recv()
    relay_ports = []
    for call in range(0, len(ports), 2):
        name = str(call)
        engine.offer(name, "caller", "agent", _description(ports[call]))
        towards_agent = _port(engine)
        engine.answer(name, "agent", "caller", _description(ports[call + 1]))
        relay_ports += [_port(engine), towards_agent]
    gc.collect()
    gc.freeze()
    phones.send((relay_ports, WARM_UP_SECONDS + seconds))
    await asyncio.sleep(WARM_UP_SECONDS)
    sweeping = asyncio.create_task(_sweep(engine))
    profiler = cProfile.Profile()
    before, relayed_before, began = os.times(), engine.packets_relayed, time.monotonic()
    if profile:
        profiler.enable()
    await asyncio.sleep(seconds)
    profiler.disable()
    after, relayed = os.times(), engine.packets_relayed - relayed_before
    took = time.monotonic() - began
    sweeping.cancel()
    user, system = after.user - before.user, after.system - before.system
    sent, received = await asyncio.to_thread(phones.recv)
    print(
        f"{len(ports) // 2} calls, {relayed / took:,.0f} packets/s relayed: "
        f"{(user + system) * 1e6 / relayed:.2f} us CPU a packet ({user * 1e6 / relayed:.2f} user, "
        f"{system * 1e6 / relayed:.2f} system), {(user + system) / took:.0%} of a core; "
        f"phones sent {sent}, got {received} ({sent - received} lost)"
    )
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(12)
    engine.detach()


async def _sweep(engine: RelayEngine) -> None:
    while True:
        await asyncio.sleep(1.0)
        engine.sweep(time.monotonic())


def _port(engine: RelayEngine) -> int:
    event = engine.events.popleft()
    if not isinstance(event, SdpReady):
        raise SystemExit(f"the relay refuses: {event}")
    return parse(event.sdp).media[0].port


def _description(port: int) -> bytes:
    return (
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
    ).encode()


class _Phone:
    __slots__ = ("packet", "receive_into", "send", "sequence", "socket")

    def __init__(self, number: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(("127.0.0.1", 0))
        self.send = self.socket.send
        self.receive_into = self.socket.recv_into
        self.packet = bytearray(struct.pack("!BBHII", 0x80, 0, 0, 0, number) + bytes(160))
        self.sequence = 0


def _phones(relay: Connection, calls: int) -> None:
    """The other process: every phone sends every 20 ms and takes what has come."""
    phones = [_Phone(number) for number in range(2 * calls)]
    relay.send([phone.socket.getsockname()[1] for phone in phones])
    relay_ports, seconds = relay.recv()
    for phone, port in zip(phones, relay_ports, strict=True):
        phone.socket.connect(("127.0.0.1", port))
    shuffled = phones.copy()
    random.shuffle(shuffled)
    slots = [shuffled[slot::SLOTS] for slot in range(SLOTS)]
    gc.collect()
    gc.freeze()
    sent = received = 0
    buffer = bytearray(2048)
    header = struct.Struct("!HI")
    due = time.monotonic()
    for _ in range(int(seconds * PACKETS_PER_SECOND)):
        for slot in slots:
            for phone in slot:
                phone.sequence += 1
                header.pack_into(phone.packet, 2, phone.sequence & 0xFFFF, phone.sequence * 160)
                phone.send(phone.packet)
                try:
                    phone.receive_into(buffer)
                    received += 1
                except BlockingIOError:
                    pass
            sent += len(slot)
            due += 1 / PACKETS_PER_SECOND / SLOTS
            ahead = due - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
    time.sleep(0.2)
    for phone in phones:
        try:
            while True:
                phone.receive_into(buffer)
                received += 1
        except BlockingIOError:
            pass
    relay.send((sent, received))


if __name__ == "__main__":
    main()
