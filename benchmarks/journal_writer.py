"""CPU cost of a call's records: ledger, queue, writer thread and database, at a given rate of calls.

Run: python -m benchmarks.journal_writer [--url sqlite:///FILE] [--rate 200] [--seconds 10] [--interval 0.05]
Prints CPU microseconds per call (2 journal rows and 1 call row), of the event loop's side and of the whole process.
"""

import argparse
import tempfile
import time
from pathlib import Path

from accounting.journal import CallEnded, Ledger
from accounting.store import create_tables, open_engine
from accounting.writer import JournalWriter

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
    parser.add_argument("--interval", type=float, default=0.05, help="seconds between commits")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(arguments.url or f"sqlite:///{Path(folder) / 'bench.db'}")
        create_tables(engine)  # connects, too: that is paid once, not per call
        writer = JournalWriter(engine, arguments.interval)
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
        print(
            f"{engine.dialect.name}: {count} calls at {arguments.rate}/s, {writer.written} records, {complete=}: "
            f"{own / count * 1e6:.1f} us per call in the event loop's thread, {used / count * 1e6:.1f} us in all"
        )


if __name__ == "__main__":
    main()
