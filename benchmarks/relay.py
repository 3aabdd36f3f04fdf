"""What a relayed RTP packet costs: our relay and rtpengine in user space, under the same telephones.

Each call is two telephones with 50 packets of G.711 a second each way, from a C program (rtp_load.c) on a core
of its own. CPU time is that of the relay's processes while packets flow; setting up is not in it.
"""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import Child, Cores, cpu_seconds
from benchmarks.relay_process import description
from benchmarks.rtpengine import Rtpengine, RtpengineError
from benchmarks.servers import UnavailableError, free_port, rtpengine_arguments
from benchmarks.tools import NoCompilerError, compile_c

TELEPHONES_HOST = "127.0.0.6"
RELAY_HOST = "127.0.0.7"
#: Latching and warming up, not measured, seconds.
WARM_UP = 1.5
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How many calls at once, one after the other, and how long each time is measured, seconds."""

    calls: tuple[int, ...] = (100, 500, 1000)
    seconds: float = 10.0


QUICK = Plan(calls=(100, 500), seconds=2.0)


@dataclass(frozen=True, slots=True)
class Step:
    """One load. ``share`` is that of one core, ``loss`` that of all packets; ``late`` counts the load's own faults."""

    calls: int
    packets_per_second: float
    cpu_us: float
    share: float
    loss: float
    p50_us: int
    p99_us: int
    max_us: int
    late: int


@dataclass(slots=True)
class Figures:
    """All that was measured of one relay; ``missing`` says why nothing was."""

    name: str
    detail: str
    missing: str = ""
    steps: list[Step] = field(default_factory=list)


Relay = Callable[[list[int]], tuple[Child, list[int]]]
"""Starts a relay with the calls of these telephones; gives where each of them sends."""


def run(folder: Path, cores: Cores, plan: Plan, say: Callable[[str], None]) -> Iterator[Figures]:
    """Measure ours, then rtpengine, at each number of calls."""
    ours = Figures("b2bua", "this project's relay in a process of its own")
    theirs = Figures("rtpengine", "rtpengine in user space, no kernel module")
    relays: list[tuple[Figures, Relay]] = [
        (ours, lambda ports: _start_ours(folder, cores, ports)),
        (theirs, lambda ports: _start_rtpengine(folder, cores, ports)),
    ]
    try:
        load = compile_c("rtp_load.c", folder / "rtp_load")
    except NoCompilerError as reason:
        ours.missing = theirs.missing = f"the load is a C program: {reason}"
        relays = []
    # at each load one after the other: a shared machine's hours differ more than the two relays
    for calls in plan.calls:
        for figures, start in relays:
            if figures.missing:
                continue
            try:
                step = _measure(load, folder, cores, calls, plan.seconds, start)
            except (UnavailableError, RtpengineError) as reason:
                figures.missing = str(reason)
                say(f"relay: {figures.name}: not measured: {reason}")
                continue
            figures.steps.append(step)
            say(
                f"relay: {figures.name}: {calls} calls, {step.packets_per_second:,.0f} packets/s: {step.cpu_us:.2f} us "
                f"CPU a packet, {step.share:.0%} of a core, {step.loss:.3%} lost, "
                f"delay {step.p50_us} / {step.p99_us} us, {step.late} late"
            )
    yield ours
    yield theirs


def _measure(load: Path, folder: Path, cores: Cores, calls: int, seconds: float, start: Relay) -> Step:
    arguments = [str(load), str(calls), f"{WARM_UP + seconds:g}"]
    with Child(arguments, folder / "rtp_load.log", cores.load, talk=True) as telephones:
        ports = [int(port) for port in telephones.hear(_PATIENCE).split()[1:]]
        if len(ports) != 2 * calls:
            raise UnavailableError(f"the load does not start: {telephones.output[-300:]}")
        relay, relays = start(ports)
        with relay:
            telephones.say(" ".join([RELAY_HOST, *map(str, relays)]))
            warm = time.monotonic_ns() + int(WARM_UP * 1e9)
            first = last = (0, 0, 0, 0.0)
            while True:
                words = telephones.hear(5.0).split()
                if not words or words[0] == "end":
                    break
                at, sent, received = map(int, words)
                last = (at, sent, received, cpu_seconds(relay.pid))
                if at < warm or not first[0]:
                    first = last
            if len(words) != 7 or last[2] == first[2]:
                raise UnavailableError(f"no packet comes back: {relay.output[-500:]} {telephones.output[-300:]}")
    sent, received, p50, p99, most, late = map(int, words[1:])
    took, relayed, cpu = (last[0] - first[0]) / 1e9, last[2] - first[2], last[3] - first[3]
    return Step(
        calls, relayed / took, cpu * 1e6 / relayed, cpu / took, (sent - received) / sent, p50, p99, most, late
    )  # fmt: skip


def _start_ours(folder: Path, cores: Cores, ports: list[int]) -> tuple[Child, list[int]]:
    arguments = [sys.executable, "-m", "benchmarks.relay_process", RELAY_HOST, TELEPHONES_HOST]
    root = Path(__file__).parent.parent
    relay = Child(arguments, folder / "relay.log", cores.server, folder=root, talk=True)
    try:
        relay.say(" ".join(map(str, ports)))
        relays = [int(port) for port in relay.hear(_PATIENCE).split()]
        if len(relays) != len(ports):
            raise UnavailableError(f"our relay does not start: {relay.output[-1000:]}")
    except BaseException:
        relay.stop()
        raise
    return relay, relays


def _start_rtpengine(folder: Path, cores: Cores, ports: list[int]) -> tuple[Child, list[int]]:
    control = (RELAY_HOST, free_port(RELAY_HOST))
    relay = Child(rtpengine_arguments(f"{control[0]}:{control[1]}"), folder / "rtpengine.log", cores.server)
    client = Rtpengine(control)
    try:
        _wait_for(client, relay)
        relays: list[int] = []
        for call in range(0, len(ports), 2):
            agents = client.offer(str(call), description(TELEPHONES_HOST, ports[call]))
            relays += [client.answer(str(call), description(TELEPHONES_HOST, ports[call + 1])), agents]
    except BaseException:
        relay.stop()
        raise
    finally:
        client.close()
    return relay, relays


def _wait_for(client: Rtpengine, relay: Child) -> None:
    for _ in range(20):
        try:
            client.ping()
        except RtpengineError:
            if not relay.running:
                break
            time.sleep(0.2)
        else:
            return
    raise UnavailableError(f"rtpengine does not start: {relay.output[-500:]}")
