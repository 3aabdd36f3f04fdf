"""What a played RTP packet costs: hold music for many legs from one timer, telephones in a process beside it.

Run as ``python -m benchmarks.player --legs 1000 --seconds 10``, or as ``python -m benchmarks --only player``. CPU time
is that of the exchange's process while music plays; setting up is not in it. When packets arrive is told by the
kernel's clock on one leg.
"""

import argparse
import asyncio
import gc
import multiprocessing
import os
import random
import resource
import select
import socket
import struct
import time
from collections.abc import Callable, Set
from dataclasses import dataclass
from multiprocessing.connection import Connection

import uvloop

from benchmarks.processes import Cores, split_cores
from benchmarks.relay_process import description
from media.engine import SdpReady
from media.relay.engine import RelayEngine
from media.sounds import SoundLibrary
from media.tones import tone

#: Before measuring, seconds.
WARM_UP = 1.0
_HOST = "127.0.0.1"
_PORT_MIN, _PORT_MAX = 20_000, 32_000
_PERIOD = 0.02
#: Telephones share sockets: one for each leg would measure the telephones.
_SOCKETS = 8
_RECEIVE_BUFFER = 8 * 2**20
_SO_TIMESTAMPNS = 35  # asm-generic/socket.h


@dataclass(frozen=True, slots=True)
class Plan:
    """How many legs at once, one after the other, and how long each time is measured, seconds."""

    legs: tuple[int, ...] = (100, 1000, 3000)
    seconds: float = 10.0


QUICK = Plan(legs=(100, 1000), seconds=2.0)


@dataclass(frozen=True, slots=True)
class Step:
    """One load. ``share`` is that of one core; ``per_core`` is how many legs one core could play to at this cost.

    ``due`` packets were due in the time, ``sent`` left and ``heard`` came. On one leg: ``late_ms`` is the 99th
    percentile of how far a packet came from its place in the 20 ms grid, ``drift_ms`` what the grid itself moved.
    """

    legs: int
    packets_per_second: float
    cpu_us: float
    share: float
    per_core: int
    due: int
    sent: int
    heard: int
    late_ms: float
    drift_ms: float

    def __str__(self) -> str:
        return (
            f"player, {self.legs:,} legs: {self.cpu_us:.2f} us CPU a packet, {self.share:.0%} of a core at "
            f"{self.packets_per_second:,.0f} packets/s, {self.per_core:,} legs a core; due {self.due:,}, "
            f"sent {self.sent:,}, heard {self.heard:,}; p99 {self.late_ms:.1f} ms off, drift {self.drift_ms:+.1f} ms"
        )


def run(cores: Cores, plan: Plan, say: Callable[[str], None]) -> list[Step]:
    """Measure every step of ``plan``; ``say`` gets a line of each."""
    steps = []
    for legs in plan.legs:
        steps.append(measure(cores, legs, plan.seconds))
        say(str(steps[-1]))
    return steps


def measure(cores: Cores, legs: int, seconds: float) -> Step:
    """Play to ``legs`` for ``seconds``."""
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    telephones = context.Process(target=_telephones, args=(theirs, cores.load), daemon=True)
    telephones.start()
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores.server)
    try:
        return uvloop.run(_play(ours, legs, seconds))
    finally:
        os.sched_setaffinity(0, before)
        ours.close()
        telephones.join(10)
        if telephones.is_alive():
            telephones.kill()


async def _play(telephones: Connection, legs: int, seconds: float) -> Step:
    sounds = SoundLibrary()
    sounds.add("music", tone(440, 30.0))
    # strict: sockets are connected at once, as those of latched telephones are
    engine = RelayEngine(
        _HOST, _HOST, _PORT_MIN, _PORT_MAX, 10.0, 0.0, random.SystemRandom().getrandbits, time.monotonic, True, sounds
    )
    engine.attach(asyncio.get_running_loop())
    measured, *shared = telephones.recv()
    for leg in range(legs):
        engine.answer_alone(str(leg), "caller", description(_HOST, shared[leg % _SOCKETS] if leg else measured))
        event = engine.events.popleft()
        if not isinstance(event, SdpReady):
            raise SystemExit(f"the player refuses: {event}")
        engine.play(str(leg), "caller", ["music"], loop=True)
    gc.collect()
    gc.freeze()
    await asyncio.sleep(WARM_UP)
    telephones.send(None)
    telephones.recv()  # they count from here on
    before, played, began = os.times(), engine.packets_played, time.monotonic()
    await asyncio.sleep(seconds)
    after, sent, took = os.times(), engine.packets_played - played, time.monotonic() - began
    telephones.send(None)
    heard, arrivals = await asyncio.to_thread(telephones.recv)
    engine.detach()
    used = after.user - before.user + after.system - before.system
    cpu_us = used * 1e6 / sent
    late_ms, drift_ms = _grid(arrivals)
    return Step(
        legs, sent / took, cpu_us, used / took, int(1e6 / cpu_us * _PERIOD), round(legs * took / _PERIOD), sent, heard,
        late_ms, drift_ms,
    )  # fmt: skip


def _grid(arrivals: list[float]) -> tuple[float, float]:
    """How far off the 20 ms grid packets came (99th percentile), and how far the grid itself moved, ms."""
    offsets = [at - arrivals[0] - number * _PERIOD for number, at in enumerate(arrivals)]
    earliest = min(offsets)
    late = sorted(offset - earliest for offset in offsets)
    quarter = max(1, len(offsets) // 4)
    drift = min(offsets[-quarter:]) - min(offsets[:quarter])
    return late[int(len(late) * 0.99)] * 1000, drift * 1000


def _telephones(player: Connection, cores: Set[int]) -> None:
    """The other process: takes what comes and counts it, and writes down when the first leg's packets came."""
    os.sched_setaffinity(0, cores)
    opened = []
    for _ in range(1 + _SOCKETS):
        telephone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        telephone.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        telephone.bind((_HOST, 0))
        opened.append(telephone)
    opened[0].setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    player.send([telephone.getsockname()[1] for telephone in opened])
    poll = select.epoll()
    by_number = {telephone.fileno(): telephone for telephone in opened}
    for number in (*by_number, player.fileno()):
        poll.register(number, select.EPOLLIN)
    arrivals: list[float] = []
    buffer = bytearray(2048)
    heard = 0
    counting = False
    while True:
        for number, _ in poll.poll():
            found = by_number.get(number)
            if found is None:
                player.recv()
                if counting:
                    player.send((heard, arrivals))
                    return
                counting = True
                heard = 0
                arrivals.clear()
                player.send(None)
                continue
            try:
                if found is opened[0]:
                    _, ancillary, _, _ = found.recvmsg(2048, 64)
                    seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
                    arrivals.append(seconds + nanoseconds / 1e9)
                    heard += 1
                    continue
                for _ in range(256):
                    found.recv_into(buffer)
                    heard += 1
            except BlockingIOError:
                continue


def main() -> None:
    """Measure once and print one line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--legs", type=int, default=1000)
    arguments.add_argument("--seconds", type=float, default=10.0)
    options = arguments.parse_args()
    run(split_cores(), Plan((options.legs,), options.seconds), print)


if __name__ == "__main__":
    main()
