"""Child processes of a benchmark: on cores of their own, measured from outside, and always ended by their id."""

import contextlib
import ctypes
import os
import resource
import select
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: How long a process may take to end when it is asked to, seconds.
PATIENCE = 5.0

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where: the server under test on one core, whatever loads it on the others."""

    server: frozenset[int]
    load: frozenset[int]

    @property
    def shared(self) -> bool:
        """Whether there are too few cores to keep the two apart."""
        return bool(self.server & self.load)


def split_cores() -> Cores:
    """The last core for the server, the others for the load; one core alone is shared."""
    cores = sorted(os.sched_getaffinity(0))
    return Cores(frozenset(cores[-1:]), frozenset(cores[:-1] or cores))


class Child:
    """One process, its output in a file. It dies with this process, whatever becomes of that.

    With ``talk`` its standard input and output are ours to ``say`` and ``hear`` lines.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        log: Path,
        cores: frozenset[int],
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        talk: bool = False,
    ) -> None:
        self.log = log

        def prepare() -> None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            os.sched_setaffinity(0, cores)
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

        with log.open("wb") as output:
            # a session of its own: Ctrl-C is for this process, which then ends its children in order
            self._process = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE if talk else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talk else output,
                stderr=output,
                text=True,
                env={**os.environ, **(environment or {})},
                cwd=folder or log.parent,
                start_new_session=True,
                preexec_fn=prepare,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def output(self) -> str:
        """All it has printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def say(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def hear(self, seconds: float) -> str:
        """The next line of its standard output; empty when it has ended or says nothing for so long."""
        assert self._process.stdout is not None
        # it speaks whole lines and flushes each, so that a readable pipe means a line
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        return self._process.stdout.readline().rstrip("\n") if ready else ""

    def wait(self, seconds: float) -> int | None:
        """Its exit code, or None if it still runs after so many seconds."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.running:
            self._process.send_signal(number)

    def stop(self) -> None:
        """End it and everything it started: twice SIGTERM (the second hurries a draining server), then SIGKILL."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        family = list(family_of(self.pid)) if self.running else []
        for _ in range(2):
            self.signal(signal.SIGTERM)
            if self.wait(PATIENCE) is not None:
                break
        else:
            for pid in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait()

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def family_of(pid: int) -> Iterator[int]:
    """The process and all its descendants."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                parents.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
    waiting = [pid]
    while waiting:
        found = waiting.pop()
        yield found
        waiting.extend(parents.get(found, ()))


def cpu_seconds(pid: int) -> float:
    """CPU time (user and system) of a process, all its threads and all its descendants, seconds."""
    return sum(_cpu_of_one(member) for member in family_of(pid))


def memory_bytes(pid: int) -> int:
    """Memory of a process and its descendants; what they share counts once (proportional set size)."""
    total = 0
    for member in family_of(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


def _cpu_of_one(pid: int) -> float:
    try:
        fields = _stat(pid)
        # proc(5): user and system time of all threads, those that have ended too, but in ticks of 10 ms only
        coarse = (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND
    except OSError:
        return 0.0
    fine = 0
    with contextlib.suppress(OSError):
        # nanoseconds, of threads that live
        for thread in Path(f"/proc/{pid}/task").iterdir():
            fine += int((thread / "schedstat").read_text().split()[0])
    return max(coarse, fine / 1e9)


def _stat(pid: int) -> list[str]:
    """The fields after the program's name, which may hold anything: [0] is the state, [1] the parent."""
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
