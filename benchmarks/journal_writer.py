"""CPU cost of a call's records: ledger, queue, writer threads, spool and database, at a given rate of calls.

Run: python -m benchmarks.journal_writer [--url sqlite:///FILE] [--rate 200] [--seconds 10] [--folder DISK]
     [--no-spool --interval 0.05 | --interval 0.04 --delivery 1.0]
Prints CPU microseconds per call (three records and one call row) of the event loop's side and of the whole process,
and how long records took until they were durable, by group commit.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from accounting.journal import CallEnded, Ledger
from accounting.spool import Spool
from accounting.store import create_tables, open_engine
from accounting.writer import DELIVERY_INTERVAL, GATHERING, SWITCH_INTERVAL, JournalWriter

_LEG = {
    "packets_received": 3012, "packets_sent": 3010, "octets_received": 481920, "octets_sent": 481600, "lost": 2,
    "jitter_ms": 1.25, "mos": 4.38, "codec": "PCMA", "remote": "192.0.2.10:40000",
}  # fmt: skip


def record(ledger: Ledger, call_id: str, at_ns: int) -> None:
    """What the exchange does for one answered call."""
    ledger.connected(
        call_id=call_id, contract="c-1042", tariff="standard", agent="anna", billable=True, at_ns=at_ns,
        facts={"origin": "trunk:carrier", "caller": "+4930123456", "target_number": "+49301234567"},
    )  # fmt: skip
    ledger.hung_up(call_id=call_id, at_ns=at_ns + 60_200_000_000, side="caller_hung_up")
    ledger.ended(
        CallEnded(
            call_id=call_id, origin="trunk:carrier", contract="c-1042", tariff="standard", agent="anna",
            dialled="+49301234567", target_number="+49301234567", caller="+4930123456",
            forwarded_from="+4989987654", forwarding_kind="no_answer", result="answered",
            end_reason="caller_hung_up", status=200, billable=True, started_ns=at_ns - 9, rang_ns=at_ns - 6,
            answered_ns=at_ns, ended_ns=at_ns + 60_200_000_000, media={"caller": _LEG, "agent": _LEG},
        )
    )  # fmt: skip


def main() -> None:
    """Pace the calls, then print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="")
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--folder", default=None, help="where files are written: the disk to be measured")
    parser.add_argument("--interval", type=float, default=GATHERING, help="seconds that records are gathered")
    parser.add_argument("--delivery", type=float, default=DELIVERY_INTERVAL, help="seconds between deliveries")
    parser.add_argument("--no-spool", action="store_true", help="straight to the database")
    arguments = parser.parse_args()
    durable: list[float] = []
    sys.setswitchinterval(SWITCH_INTERVAL)  # as the server does
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        engine = open_engine(arguments.url or f"sqlite:///{Path(folder) / 'bench.db'}")
        create_tables(engine)  # connects, too: that is paid once, not per call
        spool = None if arguments.no_spool else Spool(Path(folder) / "spool.db")
        writer = JournalWriter(
            engine, arguments.interval, spool=spool, delivery_interval=arguments.delivery, on_durable=durable.append
        )
        ledger = Ledger(writer.append, time.time_ns() - time.monotonic_ns())
        count = int(arguments.rate * arguments.seconds)
        started, used, own = time.monotonic(), time.process_time(), time.thread_time()
        waiting = 0.0
        for number in range(count):
            # In groups of a twentieth of a second: waking up is not what is measured.
            if number % max(1, arguments.rate // 20) == 0:
                before = time.thread_time()
                time.sleep(max(0.0, started + number / arguments.rate - time.monotonic()))
                waiting += time.thread_time() - before
            record(ledger, f"{ledger.run}-{number:08x}", time.monotonic_ns())
        own = time.thread_time() - own - waiting
        complete = writer.close()
        used = time.process_time() - used - waiting
        engine.dispose()
        if spool is not None:
            spool.close()
        late = statistics.quantiles(durable, n=100) if len(durable) > 1 else [0.0] * 99
        print(
            f"{engine.dialect.name}: {count} calls at {arguments.rate}/s, {writer.written} records, {complete=}: "
            f"{own / count * 1e6:.1f} us per call in the event loop's thread, {used / count * 1e6:.1f} us in all"
        )
        if len(durable) > 1:
            late = statistics.quantiles(durable, n=100)
            print(f"durable after {late[49] * 1e3:.0f} ms (p50), {late[98] * 1e3:.0f} ms (p99) on {folder}")


if __name__ == "__main__":
    main()
