"""``python -m benchmarks``: signalling, relay and player, ours beside peers in one run, as ratios; and the floor.

Every run is bounded in calls and seconds; every process that is started is ended, on Ctrl-C too.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from benchmarks import floor, money, player, queueing, relay, report, signalling
from benchmarks.processes import Cores, split_cores
from benchmarks.tools import NoCompilerError, compile_c, machine, yardstick_ms

PARTS = ("signalling", "queue", "relay", "player", "floor", "money")
SERVERS = ("b2bua", "kamailio", "kamailio+rtpengine", "sippy")
CACHE = Path(__file__).parent.parent / "var" / "bench"


def main() -> None:
    """Parse the arguments, measure, show, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a look in about a minute: ours and kamailio, few calls")
    parser.add_argument("--only", choices=PARTS, help="one part of it")
    parser.add_argument("--servers", default="", help=f"of the signalling, by commas: {','.join(SERVERS)}")
    parser.add_argument("--json", type=Path, default=CACHE / "results.json", help="where the raw results go")
    parser.add_argument("--update", type=Path, metavar="FILE", help="write the tables into docs/performance.md")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        _run(arguments)
    except KeyboardInterrupt:
        sys.exit("interrupted; everything that was started has been ended")


def _run(arguments: argparse.Namespace) -> None:
    console = Console()
    cores = split_cores()
    os.sched_setaffinity(0, cores.load)
    CACHE.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(
            ["python -m benchmarks", *(Path(word).name if "/" in word else word for word in sys.argv[1:])]
        ),
        "machine": {**machine(), "cores": str(len(cores.server | cores.load))},
        "cores": {"server": sorted(cores.server), "load": sorted(cores.load)},
        "yardstick_ms": [yardstick_ms()],
    }
    if cores.shared:
        console.print("[yellow]One core only: server and load disturb each other, the rates are too low.")
    with tempfile.TemporaryDirectory(prefix="b2bua-bench-") as name:
        folder = Path(name)
        if arguments.only in (None, "signalling"):
            results["signalling"] = _signalling(console, folder, cores, arguments)
            results["yardstick_ms"].append(yardstick_ms())
        if arguments.only in (None, "queue"):
            load = queueing.QUICK if arguments.quick else queueing.Plan()
            clock = _fine_clock(console, folder)
            results["queue"] = [asdict(step) for step in queueing.run(folder, cores, load, console.print, clock)]
        if arguments.only in (None, "relay"):
            plan = relay.QUICK if arguments.quick else relay.Plan()
            results["relay"] = [asdict(figures) for figures in relay.run(folder, cores, plan, console.print)]
        if arguments.only in (None, "player"):
            playing = player.QUICK if arguments.quick else player.Plan()
            results["player"] = [asdict(step) for step in player.run(cores, playing, console.print)]
        if arguments.only in (None, "floor"):
            sizes = floor.QUICK if arguments.quick else floor.Plan()
            results["floor"] = [asdict(figures) for figures in floor.run(sizes, console.print)]
        if arguments.only in (None, "money"):
            months = money.QUICK if arguments.quick else money.Plan()
            results["money"] = [asdict(step) for step in money.run(CACHE, folder, months, console.print)]
        results["yardstick_ms"].append(yardstick_ms())
    report.show(console, results)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(results, indent=1))
    console.print(f"raw results: {arguments.json}")
    if arguments.update:
        report.update(arguments.update, results)
        console.print(f"updated: {arguments.update}")


def _signalling(console: Console, folder: Path, cores: Cores, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    default = SERVERS[:2] if arguments.quick else SERVERS
    names = arguments.servers.split(",") if arguments.servers else default
    plan = signalling.QUICK if arguments.quick else signalling.Plan()
    bench = signalling.Bench(folder, CACHE, cores, plan, console.print, _fine_clock(console, folder))
    return [asdict(figures) for figures in bench.run(names)]


def _fine_clock(console: Console, folder: Path) -> Path | None:
    try:
        return compile_c("fine_clock.c", folder / "fine_clock.so", ("-shared", "-fPIC"))
    except NoCompilerError as reason:
        console.print(f"[yellow]{reason}: response times are in steps of the kernel's tick")
        return None


def _as_interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
