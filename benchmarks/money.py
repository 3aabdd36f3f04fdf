"""The month's run: reading, rating, statements, figures and the carrier's list, for ever more calls of 2,000 contracts.

``python -m benchmarks --only money``. Each task is a process of its own, begins with nothing in its memory and is
told by its wall time and by the most memory it ever had (VmHWM of proc(5)). The database is made before, by
``benchmarks.journal_month``, and kept for the next time.
"""

import argparse
import contextlib
import csv
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path

from accounting.excerpts import read_counted_calls, read_our_calls
from accounting.figures import figures
from accounting.month import BERLIN
from accounting.rating import rate_month
from accounting.records import CallRecord
from accounting.statement import Heading, statement
from accounting.statement_text import to_csv, to_json
from accounting.store import open_engine, read_tariffs, stream_calls
from benchmarks.journal_month import MONTH, make

_SECOND = 1_000_000_000
#: The longest that one task may take, seconds.
_PATIENCE = 1800


@dataclass(frozen=True, slots=True)
class Plan:
    """How many calls the month has, one month after the other."""

    calls: tuple[int, ...] = (10_000, 100_000, 1_000_000)


QUICK = Plan((10_000, 50_000))


@dataclass(frozen=True, slots=True)
class Step:
    """One task with so many calls: wall time in seconds, CPU time, the most memory in MiB, and what came of it."""

    task: str
    calls: int
    seconds: float
    cpu_seconds: float
    peak_mib: float
    result: str

    def __str__(self) -> str:
        return (
            f"{self.task}, {self.calls:,} calls: {self.seconds:.1f} s ({self.calls / self.seconds:,.0f} calls/s), "
            f"{self.peak_mib:.0f} MiB at most; {self.result}"
        )


def run(cache: Path, folder: Path, plan: Plan, say: Callable[[str], None]) -> list[Step]:
    """Measure every task with every number of calls; databases are kept in ``cache``."""
    steps = []
    for count in plan.calls:
        database = _database(cache, count, say)
        for task in TASKS:
            steps.append(_measure(task, database, count, folder))
            say(str(steps[-1]))
    return steps


def _database(cache: Path, count: int, say: Callable[[str], None]) -> Path:
    path = cache / f"month-{count}.db"
    if not path.exists():
        unfinished = path.with_suffix(".making")
        for left in cache.glob(f"{unfinished.name}*"):
            left.unlink()
        say(f"a month of {count:,} calls is made: {make(unfinished, count):.0f} s")
        unfinished.rename(path)
    return path


def _measure(task: str, database: Path, count: int, folder: Path) -> Step:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.money", task, str(database), str(folder)],
        capture_output=True, text=True, timeout=_PATIENCE, check=False, cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{task} of {count} calls fails:\n{done.stderr[-2000:]}")
    told = json.loads(done.stdout)
    return Step(task, count, told["seconds"], told["cpu_seconds"], told["peak_mib"], told["result"])


# -- in the child ----------------------------------------------------------------------------------------


def _rate(database: Path, _folder: Path) -> str:
    bills = gross = 0
    engine = open_engine(f"sqlite:///{database}")
    with engine.connect() as connection:
        tariffs = read_tariffs(connection)
        since, until = MONTH.window_ns()
        calls = stream_calls(connection, since_ns=since, until_ns=until, order="contract", media=False)
        for _, own in groupby(calls, key=_contract):
            bill = rate_month(own, tariffs, MONTH)
            bills += 1
            gross += int(bill.gross * 100)
    engine.dispose()
    return f"{bills} bills, {gross / 100:.2f} EUR"


def _statements(database: Path, folder: Path) -> str:
    written = 0
    engine = open_engine(f"sqlite:///{database}")
    with engine.connect() as connection:
        tariffs = read_tariffs(connection)
        since, until = MONTH.window_ns()
        calls = stream_calls(connection, since_ns=since, until_ns=until, order="contract", media=False)
        for contract, own in groupby(calls, key=_contract):
            made = statement(own, tariffs, Heading(contract), MONTH)
            for name, text in (("csv", to_csv(made).encode()), ("json", to_json(made))):
                written += (folder / f"{contract}.{name}").write_bytes(text)
    engine.dispose()
    return f"{written / 2**20:.0f} MiB of CSV and JSON"


def _invoice_run(database: Path, folder: Path) -> str:
    """The command's own run, with PDFs, on all cores; as drafts, so that the next run finds the same database."""
    # imported here: the other tasks are not charged for it
    from accounting.datev import Accounts
    from b2bua.statements.invoice_run import Plan as RunPlan
    from b2bua.statements.invoice_run import invoice_run
    from b2bua.statements.letterhead import Letterhead
    from b2bua.statements.rendering import Format

    run = folder / f"run-{database.stem}"
    shutil.rmtree(run, ignore_errors=True)
    plan = RunPlan(MONTH, run, (Format.PDF,), "", None, Letterhead(("Antwort GmbH",)), Accounts())
    engine = open_engine(f"sqlite:///{database}")
    made = invoice_run(engine, plan, lambda _done, _total: None)
    engine.dispose()
    octets = sum(path.stat().st_size for path in run.iterdir())
    shutil.rmtree(run)
    renderer = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return f"{made.statements} PDFs, {octets / 2**20:.0f} MiB; a renderer has {renderer:.0f} MiB at most"


def _contract(call: CallRecord) -> str:
    return call.contract


def _figures(database: Path, _folder: Path) -> str:
    since, until = MONTH.bounds_ns()
    engine = open_engine(f"sqlite:///{database}")
    with engine.connect() as connection:
        calls = read_counted_calls(connection, since, until)
        rows, total = figures(calls, "hour", limit_ns=20 * _SECOND, zone=BERLIN)
    engine.dispose()
    return f"{len(rows)} hours, {total.offered} calls, service level {total.service_level or 0:.1f} %"


def _carrier(database: Path, folder: Path) -> str:
    """The carrier's list for the next task: one call of a thousand is missing, one is a minute longer."""
    engine = open_engine(f"sqlite:///{database}")
    with engine.connect() as connection, (folder / "carrier.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(("Beginn", "Anrufer", "Zielrufnummer", "Dauer", "Preis"))
        since, until = MONTH.bounds_ns()
        for index, call in enumerate(read_our_calls(connection, since, until)):
            if call.duration_ns and index % 1000:
                seconds = -(-call.duration_ns // _SECOND) + 60 * (index % 1000 == 1)
                began = datetime.fromtimestamp(call.connected_ns // _SECOND + 3, BERLIN)
                number = call.called.replace("+49", "0", 1)
                writer.writerow((f"{began:%d.%m.%Y %H:%M:%S}", call.caller, number, seconds, "0,0129"))
    engine.dispose()
    return "carrier.csv"


def _reconcile(database: Path, folder: Path) -> str:
    """The command itself, with the list that was made before."""
    # imported here: the other tasks are not charged for it
    from b2bua.cli import app

    config, found = folder / "b2bua.toml", folder / "differences.json"
    config.write_text(_CONFIG.format(database=database), encoding="utf-8")
    options = ["--month", str(MONTH), "--format", "json", "--config", str(config)]
    with found.open("w", encoding="utf-8") as file, contextlib.redirect_stdout(file):
        app(["reconcile", str(folder / "carrier.csv"), *options], standalone_mode=False)
    made = json.loads(found.read_text(encoding="utf-8"))["summary"]
    return (
        f"{made['calls_that_agree']} agree, {made['missing_there']} missing there, "
        f"{made['durations_that_differ']} durations differ"
    )


_CONFIG = """\
[[listeners]]
name = "udp"

[[trunks]]
name = "carrier"
sources = ["192.0.2.1"]

[database]
url = "sqlite:///{database}"
"""

#: What is measured, in this order; "carrier's list" is made before "reconcile".
TASKS: dict[str, Callable[[Path, Path], str]] = {
    "rate": _rate,
    "statements": _statements,
    "invoice run": _invoice_run,
    "figures": _figures,
    "carrier's list": _carrier,
    "reconcile": _reconcile,
}


def _peak_mib() -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def main() -> None:
    """Do one task and tell what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("database", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    began, used = time.monotonic(), sum(os.times()[:4])
    result = TASKS[arguments.task](arguments.database, arguments.folder)
    told = {
        "seconds": time.monotonic() - began,
        "cpu_seconds": sum(os.times()[:4]) - used,
        "peak_mib": _peak_mib(),
        "result": result,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
