"""What a call costs in signalling: CPU, failures, response time and memory, ours and peers under the same load.

INVITE, 100, 180, 200, ACK, BYE, 200 with session descriptions, from a carrier through the server to an agent,
both played by SIPp. First at fixed rates, then upwards to the highest rate at which no call fails and no
message is sent twice, then many calls held at once.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import Cores, cpu_seconds, memory_bytes
from benchmarks.servers import (
    Kamailio,
    KamailioRtpengine,
    Ours,
    Server,
    Sippy,
    UnavailableError,
    free_port,
    target_numbers,
)
from benchmarks.sipp import AGENT_HOST, LoadResult, Sipp
from benchmarks.tools import Disturbance

#: Talk time of a load's calls, milliseconds.
HOLD_MS = 300
#: After the last call: until the journal has been committed, seconds.
SETTLE = 0.5
#: At this rate calls that are to be held are set up, per second.
HELD_RATE = 80.0
#: Whoever fails more than this share of the calls is not asked for more of them.
HOPELESS = 0.02
#: A share of a core for others above which a result is marked.
DISTURBED = 0.1
#: A rate is given up after so many dirty runs: one alone may be the machine's fault.
TRIES = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured. Seconds are those of placing calls at one rate."""

    rates: tuple[int, ...] = (25, 50, 100, 200, 400)
    seconds: float = 8.0
    search_seconds: float = 4.0
    search_bound: int = 2000
    search_step: float = 1.25
    search_runs: int = 8
    held: int = 1000
    #: Our server has a number and an agent for each: an agent takes one call at a time.
    contracts: int = 3000


QUICK = Plan(rates=(50, 200, 400), seconds=3.0, search_runs=0, held=200, contracts=1000)


@dataclass(slots=True)
class Step:
    """One rate: what SIPp saw, and the CPU time of the server's processes per call, milliseconds.

    ``share`` is the server's of one core, ``disturbed`` that of everything that does not belong here.
    """

    load: LoadResult
    cpu_ms: float
    share: float
    disturbed: float


@dataclass(slots=True)
class Figures:
    """All that was measured of one server; ``missing`` says why nothing was."""

    name: str
    detail: str
    missing: str = ""
    steps: list[Step] = field(default_factory=list)
    search: list[Step] = field(default_factory=list)
    highest_clean: float = 0.0
    search_reached_bound: bool = False
    held: int = 0
    held_failed: int = 0
    held_bytes: float = 0.0


class Bench:
    """Runs the plan against one server after the other; ``say`` reports progress."""

    def __init__(
        self, folder: Path, cache: Path, cores: Cores, plan: Plan, say: Callable[[str], None], fine_clock: Path | None
    ) -> None:
        self._folder = folder
        self._cache = cache
        self._cores = cores
        self._plan = plan
        self._say = say
        self._fine_clock = fine_clock

    def run(self, names: Sequence[str]) -> Iterator[Figures]:
        """Measure each of the named servers, in this order."""
        port = free_port(AGENT_HOST)
        for name in names:
            yield self._measure(self._server(name, port), port)

    def _server(self, name: str, port: int) -> Server:
        folder = self._folder / name
        match name:
            case "b2bua":
                return Ours(folder, self._cores, port, self._plan.contracts)
            case "kamailio":
                return Kamailio(folder, self._cores, port)
            case "kamailio+rtpengine":
                return KamailioRtpengine(folder, self._cores, port)
            case "sippy":
                return Sippy(folder, self._cores, port, self._cache)
        raise UnavailableError(f"there is no server {name!r} to measure")

    def _measure(self, server: Server, port: int) -> Figures:
        figures = Figures(server.name, server.detail)
        sipp = Sipp(server.folder, self._cores, port, target_numbers(self._plan.contracts), self._fine_clock)
        try:
            server.prepare()
            self._rates(server, sipp, figures)
            self._search(server, sipp, figures)
            self._held(server, sipp, figures)
        except UnavailableError as reason:
            figures.missing = str(reason)
            self._say(f"{server.name}: not measured: {reason}")
        return figures

    def _rates(self, server: Server, sipp: Sipp, figures: Figures) -> None:
        with warmed(server, sipp):
            for rate in self._plan.rates:
                step = measured_step(server, sipp, rate, self._plan.seconds)
                figures.steps.append(step)
                self._say(_line(server.name, step))
                if step.load.clean:
                    figures.highest_clean = max(figures.highest_clean, rate)
                if step.load.failed > HOPELESS * step.load.calls:
                    break

    def _search(self, server: Server, sipp: Sipp, figures: Figures) -> None:
        """Upwards from the highest clean rate until one is not clean, then halfway back; each with a fresh server."""
        bound = self._plan.search_bound
        low = figures.highest_clean
        dirty = 0.0
        for _ in range(self._plan.search_runs):
            rate = round(min(bound, low * self._plan.search_step) if not dirty else (low + dirty) / 2)
            if not low or rate <= low or (dirty and rate >= dirty * 0.95):
                break
            if any(self._try(server, sipp, rate, figures) for _ in range(TRIES)):
                low = rate
            else:
                dirty = rate
        figures.highest_clean = low
        figures.search_reached_bound = low >= bound

    def _try(self, server: Server, sipp: Sipp, rate: float, figures: Figures) -> bool:
        with warmed(server, sipp):
            step = measured_step(server, sipp, rate, self._plan.search_seconds)
        figures.search.append(step)
        self._say(_line(server.name, step))
        return step.load.clean

    def _held(self, server: Server, sipp: Sipp, figures: Figures) -> None:
        """The most memory that the server has while all the calls are up, over what it had before them."""
        calls = self._plan.held
        setting_up = calls / HELD_RATE
        most = 0

        def look() -> None:
            nonlocal most
            most = max(most, sum(map(memory_bytes, server.pids)))

        with warmed(server, sipp):
            before = sum(map(memory_bytes, server.pids))
            load = sipp.run(server.address, HELD_RATE, calls, round((setting_up + 4) * 1000), look)
        figures.held = calls
        figures.held_failed = load.failed
        figures.held_bytes = (most - before) / calls
        self._say(f"{server.name}: {calls} calls held: {figures.held_bytes / 1024:.1f} KiB each, {load.failed} failed")


@contextmanager
def warmed(server: Server, sipp: Sipp) -> Iterator[None]:
    """A fresh server that has seen its first calls, which pay for imports, pools and the database's first pages."""
    with server:
        sipp.run(server.address, 50, 50, 100)
        yield


def measured_step(server: Server, sipp: Sipp, rate: float, seconds: float, hold_ms: int = HOLD_MS) -> Step:
    """Place calls at this rate for so many seconds, and charge the server for them. Raises UnavailableError."""
    calls = round(rate * seconds)
    disturbance = Disturbance()
    began, cpu = time.monotonic(), sum(map(cpu_seconds, server.pids))
    load = sipp.run(server.address, rate, calls, hold_ms)
    time.sleep(SETTLE)
    cpu = sum(map(cpu_seconds, server.pids)) - cpu
    if not all(child.running for child in server.children):
        raise UnavailableError(f"{server.name} has died at {rate:g} calls/s: {server.children[0].output[-1000:]}")
    return Step(load, cpu * 1000 / calls, cpu / (time.monotonic() - began), disturbance.share(cpu))


def _line(name: str, step: Step) -> str:
    load = step.load
    verdict = (
        "clean"
        if load.clean
        else f"{load.failed} failed, {load.retransmissions} retransmissions, {load.unexpected} unexpected"
    )
    if not load.kept_up:
        verdict += ", rate not reached"
    if step.disturbed > DISTURBED:
        verdict += f" (others had {step.disturbed:.0%} of a core)"
    return (
        f"{name}: {load.rate:g} calls/s: {step.cpu_ms:.2f} ms CPU a call, "
        f"INVITE to 200 {load.p50_ms:.1f} / {load.p99_ms:.1f} ms, {verdict}"
    )
