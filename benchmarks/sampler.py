"""Runs ``b2bua`` with the given arguments and writes at the end where its CPU time went.

``python benchmarks/sampler.py OUTPUT ARGUMENTS...``. Looks every 2 ms of CPU time, without slowing anything
down as a tracing profiler does. What C code takes counts for the Python function that called it; the journal
writer's thread counts as what the event loop's thread is at.
"""

import json
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

_INTERVAL = 0.002
_DEEPEST = 100


def main() -> None:
    """Sample until the server has ended."""
    output, sys.argv = Path(sys.argv[1]), ["b2bua", *sys.argv[2:]]
    own: Counter[str] = Counter()
    below: Counter[str] = Counter()

    def sample(_number: int, frame: FrameType | None) -> None:
        if frame is None:
            return
        own[f"{_where(frame)} line {frame.f_lineno}"] += 1
        seen = set()
        for _ in range(_DEEPEST):
            if frame is None:
                break
            seen.add(_where(frame))
            frame = frame.f_back
        below.update(seen)

    from b2bua.cli import main as b2bua

    signal.signal(signal.SIGPROF, sample)
    signal.siginterrupt(signal.SIGPROF, False)
    signal.setitimer(signal.ITIMER_PROF, _INTERVAL, _INTERVAL)
    try:
        b2bua()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        output.write_text(json.dumps({"own": own, "below": below}))


def _where(frame: FrameType) -> str:
    code = frame.f_code
    return f"{'/'.join(Path(code.co_filename).parts[-3:])}:{code.co_firstlineno} {code.co_qualname}"


if __name__ == "__main__":
    main()
