"""SIPp as the carrier and as all agents: runs a bounded load through a server and counts what went wrong."""

import csv
import shutil
import signal
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import Child, Cores

CARRIER_HOST = "127.0.0.2"
AGENT_HOST = "127.0.0.3"
SCENARIOS = Path(__file__).parent / "scenarios"
#: Retransmissions and late answers may take so long after the last call, seconds; timer B would be 32.
GRACE = 10.0
#: When its time is up, SIPp ends the calls that are left, which takes so long, seconds.
_PATIENCE = 8.0


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What one run of calls came to. Times in milliseconds, INVITE to 200 as the caller sees it."""

    rate: float
    calls: int
    succeeded: int
    retransmissions: int
    unexpected: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    seconds: float
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """Calls that did not run through to the answered BYE."""
        return self.calls - self.succeeded

    @property
    def clean(self) -> bool:
        """No failed call, no message twice, and SIPp kept the rate up."""
        return not (self.failed or self.retransmissions or self.unexpected) and self.kept_up

    @property
    def kept_up(self) -> bool:
        """Whether the calls were really placed at this rate, as far as that shows."""
        return self.seconds <= 1.1 * self.calls / self.rate + 1.0


class SippError(Exception):
    """SIPp itself does not work."""


def sipp_program() -> str | None:
    """Where SIPp is, if anywhere."""
    return shutil.which("sipp")


class Sipp:
    """Runs calls at a rate from ``CARRIER_HOST`` to a server and answers them as the agents.

    ``numbers`` are dialled one after the other, from the beginning again when all are used up. Without
    ``fine_clock`` (see fine_clock.c) times are no finer than the kernel's tick, often 4 ms.
    """

    def __init__(
        self, folder: Path, cores: Cores, agent_port: int, numbers: list[str], fine_clock: Path | None = None
    ) -> None:
        program = sipp_program()
        if program is None:
            raise SippError("sipp is not installed (apt-get install sip-tester)")
        self._program = program
        self._folder = folder
        self._cores = cores
        self._agent_port = agent_port
        self._numbers = folder / "numbers.csv"
        self._numbers.write_text("SEQUENTIAL\n" + "".join(f"{number};\n" for number in numbers))
        self._environment = {"LD_PRELOAD": str(fine_clock)} if fine_clock else {}
        self._runs = 0

    def run(
        self,
        server: tuple[str, int],
        rate: float,
        calls: int,
        hold_ms: int,
        while_running: Callable[[], None] | None = None,
    ) -> LoadResult:
        """Place ``calls`` calls at ``rate`` a second, each held for ``hold_ms``; ``while_running`` is called often."""
        self._runs += 1
        folder = self._folder / f"run-{self._runs}"
        folder.mkdir()
        target = f"{server[0]}:{server[1]}"
        bound = calls / rate + hold_ms / 1000 + GRACE
        common = (
            "-nostdin", "-trace_stat", "-fd", "1", "-trace_counts", "-buff_size", "4194304",
            "-max_recv_loops", "5000", "-max_sched_loops", "5000",
        )  # fmt: skip
        with (
            Child(
                [self._program, "-sf", str(SCENARIOS / "uas-agent.xml"), "-i", AGENT_HOST, "-p", str(self._agent_port),
                 "-timeout", f"{bound + 30:.0f}s", "-stf", "agent.csv", *common],
                folder / "agent.log", self._cores.load, self._environment,
            ) as agents,
        ):  # fmt: skip
            time.sleep(0.3)
            with Child(
                [self._program, target, "-sf", str(SCENARIOS / "uac-call.xml"), "-inf", str(self._numbers),
                 "-i", CARRIER_HOST, "-m", str(calls), "-r", f"{rate:g}", "-l", "1000000", "-d", str(hold_ms),
                 "-timer_resol", "1", "-trace_rtt", "-rtt_freq", "1", "-timeout", f"{bound:.0f}s",
                 "-stf", "call.csv", *common],
                folder / "call.log", self._cores.load, self._environment,
            ) as carrier:  # fmt: skip
                deadline = time.monotonic() + bound + _PATIENCE
                while carrier.wait(0.1) is None and time.monotonic() < deadline:
                    if while_running is not None:
                        while_running()
            agents.signal(signal.SIGUSR1)
            agents.wait(3.0)
        return _result(folder, rate, calls, hold_ms)


def _result(folder: Path, rate: float, calls: int, hold_ms: int) -> LoadResult:
    figures = _last_row(folder / "call.csv")
    if not figures:
        raise SippError(f"SIPp has counted nothing; it says:\n{(folder / 'call.log').read_text()[-1000:]}")
    counts: dict[str, int] = {}
    for side in ("call", "agent"):
        for path in folder.glob(f"*-{side}_*_counts.csv"):
            for name, value in _last_row(path).items():
                if name.endswith(("_Retrans", "_Timeout", "_Unexp", "_Lost")) and value.isdecimal() and int(value):
                    counts[f"{side}:{name}"] = int(value)
    times = sorted(_response_times(folder))
    return LoadResult(
        rate=rate,
        calls=calls,
        succeeded=int(figures["SuccessfulCall(C)"]),
        retransmissions=sum(value for name, value in counts.items() if name.endswith("_Retrans")),
        unexpected=sum(value for name, value in counts.items() if name.endswith(("_Unexp", "_Timeout"))),
        p50_ms=statistics.median(times) if times else 0.0,
        p99_ms=times[min(len(times) - 1, int(len(times) * 0.99))] if times else 0.0,
        max_ms=times[-1] if times else 0.0,
        seconds=_seconds(figures["ElapsedTime(C)"]) - hold_ms / 1000,
        counts=counts,
    )


def _last_row(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    with path.open(newline="", errors="replace") as file:
        rows = list(csv.reader(file, delimiter=";"))
    return dict(zip(rows[0], rows[-1], strict=False)) if len(rows) > 1 else {}


def _response_times(folder: Path) -> list[float]:
    """INVITE to 200 of every call, milliseconds."""
    found: list[float] = []
    for path in folder.glob("uac-call_*_rtt.csv"):
        found.extend(float(line.split(";")[1]) for line in path.read_text().splitlines()[1:])
    return found


def _seconds(text: str) -> float:
    """SIPp's ``00:00:12`` or ``00:00:12:345000``."""
    parts = [int(part) for part in text.split(":")]
    return parts[0] * 3600 + parts[1] * 60 + parts[2] + (parts[3] / 1e6 if len(parts) > 3 else 0.0)
