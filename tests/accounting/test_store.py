import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import DBAPIError

from accounting.content import storable
from accounting.journal import Item
from accounting.recovery import recover
from accounting.store import (
    create_tables,
    open_engine,
    read_call,
    read_calls,
    read_journal,
    read_tariffs,
    replace_tariffs,
    write_batch,
)
from accounting.tables import calls, journal, metadata
from accounting.tariff import Tariff, TariffVersion
from tests.accounting.ledger import ANCHOR, SECOND, HandLedger, call_ended


def write(engine: Engine, items: list[Item]) -> None:
    with engine.begin() as connection:
        write_batch(connection, items)


def counted(engine: Engine) -> tuple[int, int]:
    with engine.connect() as connection:
        entries = connection.execute(select(func.count()).select_from(journal)).scalar_one()
        return entries, connection.execute(select(func.count()).select_from(calls)).scalar_one()


def one_call() -> HandLedger:
    hand = HandLedger()
    hand.connected(5.0, facts={"caller": "+4930", "forwarded_from": "", "started_ns": 3})
    hand.heartbeat(20.0)
    hand.hung_up(65.2)
    hand.ended(call_ended(media={"caller": {"lost": 2, "mos": 4.4, "codec": "PCMA"}}))
    return hand


def test_what_is_written_is_read_back(engine: Engine) -> None:
    hand = one_call()
    write(engine, hand.items)
    with engine.connect() as connection:
        assert list(read_journal(connection)) == hand.items
        record = read_call(connection, "call-1")
    assert record is not None
    assert (record.contract, record.caller, record.forwarded_from) == ("c-1", "+4930123456", "+498912345")
    assert record.started_at_ns == ANCHOR + SECOND
    assert record.rang_at_ns == 0
    assert record.answered_at_ns == ANCHOR + 5 * SECOND
    assert record.ended_at_ns == ANCHOR + 65_200_000_000
    assert record.talked_ns == 60_200_000_000
    assert record.billable is True
    assert record.recovered is False
    assert record.media == {"caller": {"lost": 2, "mos": 4.4, "codec": "PCMA"}}


def test_a_batch_written_twice_changes_nothing(engine: Engine) -> None:
    hand = one_call()
    write(engine, hand.items)
    with engine.connect() as connection:
        before = read_calls(connection)
    write(engine, hand.items)
    write(engine, hand.items[1:])
    assert counted(engine) == (4, 1)
    with engine.connect() as connection:
        assert read_calls(connection) == before


def test_a_batch_that_overlaps_one_already_written_adds_the_rest(engine: Engine) -> None:
    hand = one_call()
    write(engine, hand.items[:2])
    write(engine, hand.items)
    assert counted(engine) == (4, 1)


def test_an_empty_batch_is_nothing(engine: Engine) -> None:
    write(engine, [])
    assert counted(engine) == (0, 0)


def test_calls_are_read_newest_first_and_filtered(engine: Engine) -> None:
    hand = HandLedger()
    for number in range(6):
        hand.ended(
            call_ended(
                f"call-{number}",
                contract="c-1" if number % 2 else "c-2",
                result="answered" if number < 4 else "abandoned",
                started=100.0 * number + 1,
            )
        )
    write(engine, hand.items)

    def numbers(**filters: object) -> list[int]:
        with engine.connect() as connection:
            return [int(record.call_id[-1]) for record in read_calls(connection, **filters)]  # type: ignore[arg-type]

    assert numbers() == [5, 4, 3, 2, 1, 0]
    assert numbers(limit=2) == [5, 4]
    assert numbers(contract="c-1") == [5, 3, 1]
    assert numbers(result="abandoned") == [5, 4]
    assert numbers(since_ns=ANCHOR + 201 * SECOND, until_ns=ANCHOR + 401 * SECOND) == [3, 2]
    assert numbers(contract="c-2", result="answered", limit=1) == [2]


@pytest.mark.parametrize("caller", ["ä\udcff", "\udcff\ud800", "nul\0nul", "日本"])
def test_whatever_a_caller_sends_can_be_written(engine: Engine, caller: str) -> None:
    hand = HandLedger()
    hand.connected(5.0, "crashed", facts={"caller": caller})
    hand.ended(call_ended(caller=caller))
    write(engine, hand.items)
    with engine.begin() as connection:
        recover(connection)
        assert {record.caller for record in read_calls(connection)} == {storable(caller)}


def test_tariffs_are_replaced_and_read_exactly(engine: Engine) -> None:
    old = Tariff("old", "EUR", (TariffVersion(per_minute=Decimal("0.79")),))
    later = datetime(2025, 7, 1, tzinfo=UTC)
    new = Tariff("new", "CHF", (TariffVersion(), TariffVersion(valid_from=later, per_minute=Decimal("0.123457"))))
    with engine.begin() as connection:
        replace_tariffs(connection, [old])
    with engine.begin() as connection:
        replace_tariffs(connection, [new, old])
        assert list(read_tariffs(connection).values()) == [new, old]
        replace_tariffs(connection, [])
        assert read_tariffs(connection) == {}


# -- after a crash ---------------------------------------------------------------------------------------


def test_a_crash_in_a_call_bills_it_to_the_last_heartbeat(engine: Engine) -> None:
    dead = HandLedger("run-1")
    dead.connected(5.0, facts={"caller": "+4930", "forwarded_from": "+4989", "started_ns": 2 * SECOND})
    dead.heartbeat(10.0)
    dead.heartbeat(15.0)
    write(engine, dead.items)
    with engine.begin() as connection:
        (recovered,) = recover(connection)
    assert recovered.recovered
    with engine.connect() as connection:
        record = read_call(connection, "call-1")
    assert record is not None
    assert record.recovered
    assert record.result == "answered"
    assert record.end_reason == "recovered"
    assert record.talked_ns == 10 * SECOND
    assert record.ended_at_ns == ANCHOR + 15 * SECOND
    assert record.started_at_ns == ANCHOR + 2 * SECOND
    assert (record.caller, record.forwarded_from, record.agent) == ("+4930", "+4989", "anna")


def test_recovery_happens_once(engine: Engine) -> None:
    dead = HandLedger()
    dead.connected(5.0)
    write(engine, dead.items)
    with engine.begin() as connection:
        assert len(recover(connection)) == 1
    with engine.begin() as connection:
        assert recover(connection) == []


def test_a_crash_between_hang_up_and_summary_loses_no_time(engine: Engine) -> None:
    dead = HandLedger()
    dead.connected(5.0)
    dead.hung_up(65.2)
    write(engine, dead.items)
    with engine.begin() as connection:
        recover(connection)
        record = read_call(connection, "call-1")
    assert record is not None
    assert record.talked_ns == 60_200_000_000
    assert record.end_reason == "caller_hung_up"


def test_finished_calls_and_other_runs_are_left_alone(engine: Engine) -> None:
    first, second, third = one_call(), HandLedger("run-2", ANCHOR + SECOND), HandLedger("run-3")
    second.connected(5.0, "call-2")
    second.heartbeat(7.0)
    third.connected(900.0, "call-3")
    for hand in (first, second, third):
        write(engine, hand.items)
    with engine.begin() as connection:
        before = read_call(connection, "call-1")
        recovered = recover(connection, living={"run-3"})
        assert [(each.call_id, each.talked_ns) for each in recovered] == [("call-2", 2 * SECOND)]
        assert read_call(connection, "call-1") == before
        assert read_call(connection, "call-3") is None


def test_a_call_with_two_agents_is_recovered_as_one(engine: Engine) -> None:
    dead = HandLedger()
    dead.connected(5.0, agent="anna")
    dead.connected(30.0, agent="bert")
    dead.heartbeat(40.0)
    write(engine, dead.items)
    with engine.begin() as connection:
        (recovered,) = recover(connection)
    assert recovered.talked_ns == 35 * SECOND
    assert recovered.agent == "bert"


def test_a_summary_that_comes_after_recovery_changes_nothing(engine: Engine) -> None:
    hand = one_call()
    write(engine, hand.items[:1])
    with engine.begin() as connection:
        recover(connection)
        before = read_calls(connection)
    write(engine, hand.items)
    with engine.connect() as connection:
        assert read_calls(connection) == before


KILLED = """
import os, signal, sys
from accounting.journal import Ledger
from accounting.store import create_tables, open_engine
from accounting.writer import JournalWriter
engine = open_engine(sys.argv[1])
create_tables(engine)
writer = JournalWriter(engine, start=False)
ledger = Ledger(writer.append, 10**18)
ledger.connected(call_id="call-1", contract="c", tariff="t", agent="a", billable=True, at_ns=10**9)
ledger.heartbeat(31 * 10**9)
writer.turn()
ledger.heartbeat(32 * 10**9)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_committed_survives_kill_9(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'killed.db'}"
    ended = subprocess.run([sys.executable, "-c", KILLED, url], cwd=os.getcwd(), timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    engine = open_engine(url)
    create_tables(engine)
    with engine.begin() as connection:
        (recovered,) = recover(connection)
    assert recovered.talked_ns == 30 * SECOND
    engine.dispose()


def test_sqlite_syncs_every_commit_and_lets_readers_in(sqlite: Engine) -> None:
    with sqlite.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    with sqlite.begin() as reader:
        assert read_calls(reader) == []
        write(sqlite, one_call().items)
    with sqlite.connect() as reader:
        assert len(read_calls(reader)) == 1


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://localhost/b2bua"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"sqlite|SQLite"):
        open_engine(url)


def test_errors_show_no_numbers(engine: Engine) -> None:
    hand = HandLedger()
    hand.ended(call_ended())
    metadata.drop_all(engine)
    with pytest.raises(DBAPIError) as raised:
        write(engine, hand.items)
    assert "+4930123456" not in str(raised.value)
