"""The two small C programs of the benchmarks, compiled when they are needed, and the machine they run on."""

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

SOURCES = Path(__file__).parent
_LOOP = 2_000_000


class NoCompilerError(Exception):
    """There is no C compiler, or it refuses."""


def compile_c(source: str, target: Path, options: Sequence[str] = ()) -> Path:
    """Compile ``benchmarks/<source>`` to ``target``. Raises NoCompilerError."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise NoCompilerError("no C compiler (apt-get install gcc libc6-dev)")
    command = [compiler, "-O2", "-Wall", "-Wextra", *options, "-o", str(target), str(SOURCES / source), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise NoCompilerError(f"{compiler} refuses {source}: {done.stderr.strip()[-300:]}")
    return target


def machine() -> dict[str, str]:
    """What the numbers belong to."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    flags = Path("/proc/cpuinfo").read_text(errors="replace")
    return {
        "cpu": model + (" (virtual machine)" if " hypervisor" in flags else ""),
        "kernel": platform.release(),
        "system": _system(),
        "python": platform.python_version(),
    }


def yardstick_ms() -> float:
    """CPU time of a fixed piece of Python, milliseconds: tells a slow hour of a shared machine from a slow server."""
    best = float("inf")
    for _ in range(3):
        began = time.thread_time()
        total = 0
        for number in range(_LOOP):
            total += number
        best = min(best, time.thread_time() - began)
    return best * 1000


class Disturbance:
    """What else this machine did meanwhile: other processes, and what its host took away from it."""

    def __init__(self) -> None:
        self._busy, self._stolen = _busy_and_stolen()
        self._mine = _mine()
        self._began = time.monotonic()

    def share(self, servers: float) -> float:
        """Of one core, since the beginning; ``servers`` is the CPU time of the servers under test, seconds.

        Children that are still running and no servers count as a disturbance.
        """
        busy, stolen = _busy_and_stolen()
        others = (busy - self._busy) - (_mine() - self._mine) - servers
        return max(0.0, others + stolen - self._stolen) / (time.monotonic() - self._began)


def _busy_and_stolen() -> tuple[float, float]:
    """CPU seconds of all cores since the machine started (proc(5): user, nice, system, irq, softirq; steal)."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    ticks = os.sysconf("SC_CLK_TCK")
    return (sum(fields[:3]) + sum(fields[5:7])) / ticks, fields[7] / ticks


def _mine() -> float:
    """CPU seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()
