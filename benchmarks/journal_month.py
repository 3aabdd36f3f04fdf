"""A month of an answering service in a database: calls of 2,000 contracts, through the real journal with its chain.

``python -m benchmarks.journal_month FILE --calls 100000``. The same number of calls makes the same calls. Of ten, six
are answered (a fifth of those handed to a second agent or put on hold), three given up and one refused; contracts are
of every size; and calls come by day as calls do.
"""

import argparse
import random
import time
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection

from accounting.journal import CallEnded, Item, Ledger
from accounting.month import Month
from accounting.store import declare_tariffs, open_engine, write_batch
from accounting.tariff import Increment, Tariff, TariffVersion
from b2bua.database import upgrade

MONTH = Month(2026, 7)
CONTRACTS = 2000
AGENTS = 150
_SECOND = 1_000_000_000
#: Calls a transaction: the chain's end is locked once for all of them.
_BATCH = 10_000
_LEG = {
    "ssrc": 123456789, "codec": "PCMA", "packets_received": 3000, "packets_sent": 3000, "lost": 3, "jitter_ms": 2.1,
    "mos": 4.3, "rtt_ms": 21.0, "octets_received": 480000, "octets_sent": 480000,
}  # fmt: skip


def tariffs() -> list[Tariff]:
    """What contracts agree upon, more than one way."""
    minute = TariffVersion(
        increment=Increment.parse("60/60"), per_minute=Decimal("0.99"), base_fee=Decimal("29.00"), vat=Decimal(19)
    )
    seconds = TariffVersion(
        increment=Increment.parse("1/1"), per_minute=Decimal("1.19"), acceptance=Decimal("0.25"),
        included_minutes=50, base_fee=Decimal("49.00"), vat=Decimal(19), hold="not_billed",
    )  # fmt: skip
    short = TariffVersion(
        increment=Increment.parse("30/6"), per_increment=Decimal("0.12"), free_calls=10, free_seconds=3,
        vat=Decimal(19), transfer="each_agent",
    )  # fmt: skip
    return [
        Tariff(name, "EUR", (version,))
        for name, version in (("minute", minute), ("seconds", seconds), ("short", short))
    ]


def calls(count: int) -> Iterator[Item]:
    """The journal of so many calls, in order of their beginning."""
    chance = random.Random(4)
    since, until = MONTH.bounds_ns()
    found: list[Item] = []
    ledger = Ledger(found.append, since, "bench")
    names = [f"contract-{number:04}" for number in range(CONTRACTS)]
    # few have many: the largest some hundred times the calls of the smallest
    sizes = [chance.paretovariate(1.2) for _ in names]
    chosen = chance.choices(range(CONTRACTS), sizes, k=count)
    step = (until - since) / count
    for index, contract in enumerate(chosen):
        at = 1 + round((index + chance.random()) * step)
        _call(ledger, chance, f"bench-{index:08x}", names[contract], contract, at)
        yield from found
        found.clear()


_TARIFFS = ("minute", "seconds", "short")


def _call(ledger: Ledger, chance: random.Random, name: str, contract: str, number: int, at: int) -> None:
    tariff = _TARIFFS[number % 3]
    target = f"+4930{2_000_000 + number}"
    caller = "" if chance.random() < 0.1 else f"+49{chance.randrange(10**9, 10**10)}"
    line = f"+4989{5_000_000 + number}"
    fate = chance.random()
    agent, answered = "", 0
    if fate < 0.6:
        agent, answered = f"agent-{chance.randrange(AGENTS):03}", at + chance.randrange(2 * _SECOND, 40 * _SECOND)
        talked = round(min(3600.0, chance.lognormvariate(4.3, 0.8)) * _SECOND)
        ledger.connected(
            call_id=name, contract=contract, tariff=tariff, agent=agent, billable=True, at_ns=answered,
            facts={"origin": "trunk:carrier", "target_number": target, "caller": caller, "forwarded_from": line,
                   "started_ns": at},
        )  # fmt: skip
        if fate < 0.06:
            ledger.turned(call_id=name, agent=agent, activity="hold", at_ns=answered + talked // 3)
            ledger.turned(call_id=name, agent=agent, activity="talk", at_ns=answered + talked // 2)
        elif fate < 0.12:
            ledger.turned(call_id=name, agent="agent-000", activity="talk", at_ns=answered + talked // 2)
        end = answered + talked
        ledger.hung_up(call_id=name, at_ns=end, side="caller_hung_up")
        result, reason, status = "answered", "caller_hung_up", 200
    elif fate < 0.9:
        end = at + chance.randrange(_SECOND, 90 * _SECOND)
        result, reason, status = "abandoned", "caller_cancelled", 487
    else:
        end = at + 30 * _SECOND
        result, reason, status = "no_agent", "nobody_available", 480
    ledger.ended(
        CallEnded(
            name, "trunk:carrier", contract, tariff, agent, target, target, caller, line, "no_answer", result, reason,
            status, True, at, at + _SECOND, answered, end, {"caller": _LEG, "agent": _LEG} if answered else {},
        )
    )  # fmt: skip


def make(path: Path, count: int) -> float:
    """Write the database; returns how long it took, seconds."""
    began = time.monotonic()
    engine = open_engine(f"sqlite:///{path}")
    upgrade(engine)
    items = calls(count)
    with engine.connect() as connection:
        # It is made again if the machine fails meanwhile.
        connection.exec_driver_sql("PRAGMA synchronous=OFF")
        connection.commit()
        with connection.begin():
            declare_tariffs(connection, tariffs(), MONTH.bounds_ns()[0])
        while batch := list(islice(items, _BATCH)):
            with connection.begin():
                write_batch(connection, batch)
        _checkpoint(connection)
    engine.dispose()
    return time.monotonic() - began


def _checkpoint(connection: Connection) -> None:
    """One file, no journal beside it, that can be copied and read."""
    connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.exec_driver_sql("ANALYZE")
    connection.commit()


def main() -> None:
    """Make one file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--calls", type=int, default=100_000)
    arguments = parser.parse_args()
    took = make(arguments.file, arguments.calls)
    size = arguments.file.stat().st_size / 2**20
    print(f"{arguments.calls} calls in {took:.1f} s, {size:.0f} MiB")


if __name__ == "__main__":
    main()
