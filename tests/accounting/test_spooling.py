"""The writer with a spool behind it, by hand: what is durable when, what is told, what is refused."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from accounting.delivery import MAX_BATCH, deliver_spool
from accounting.spool import Spool
from accounting.store import read_calls, read_journal
from accounting.writer import JournalWriter, Problem
from tests.accounting.ledger import HandLedger, call_ended
from tests.accounting.test_writer import Switch


class Desk:
    """A writer without threads, its clock, its database's switch and its spool."""

    def __init__(
        self, engine: Engine, path: Path, records: int = 1000, *, memory: int = 50, refuse: bool = True
    ) -> None:
        self.engine = engine
        self.switch = Switch(engine)
        self.now = 100.0
        self.told: list[Problem] = []
        self.durable: list[float] = []
        self.path = path
        self.spool = Spool(path, reserve=0)
        self.writer = JournalWriter(
            engine, 0.04, 10_000, lambda problem, error: self.told.append(problem), spool=self.spool,
            spool_max_records=records, in_memory=50, refuse=refuse, on_durable=self.durable.append,
            clock=lambda: self.now, start=False,
        )  # fmt: skip
        self.hand = HandLedger(append=self.writer.append)
        self.calls = 0

    def call(self, count: int = 1) -> None:
        """Three records each."""
        for _ in range(count):
            name = f"call-{self.calls}"
            self.calls += 1
            self.hand.connected(5.0, name)
            self.hand.hung_up(6.0, name)
            self.hand.ended(call_ended(name, ended=6.0))

    def pass_time(self, seconds: float = 0.04) -> None:
        self.now += seconds
        self.writer.spool_turn()

    def deliver(self) -> None:
        """As often as it takes a thread to have brought everything there."""
        for _ in range(10):
            self.writer.turn()

    def in_database(self) -> list[int]:
        with self.engine.connect() as connection:
            return [item.sequence for item in read_journal(connection)]

    def all(self) -> list[int]:
        return list(range(1, 3 * self.calls + 1))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.db"


@pytest.fixture
def desk(sqlite: Engine, path: Path) -> Iterator[Desk]:
    made = Desk(sqlite, path)
    yield made
    made.spool.close()


def fill_the_spool(spool: Spool, *, full: bool) -> None:
    """As a full disk does it: no page more."""
    pages = spool._connection.execute("PRAGMA page_count").fetchone()[0]
    spool._connection.execute(f"PRAGMA max_page_count = {pages if full else 1 << 30}")


def test_records_are_durable_before_the_database_has_them(desk: Desk) -> None:
    desk.call()
    assert (desk.writer.undurable, desk.writer.pending) == (3, 3)
    desk.pass_time(0.04)
    assert (desk.writer.undurable, desk.writer.spooled, desk.writer.pending) == (0, 3, 3)
    assert desk.durable == [pytest.approx(0.04)]
    assert desk.in_database() == []
    desk.deliver()
    assert (desk.in_database(), desk.writer.spooled, desk.writer.pending) == ([1, 2, 3], 0, 0)
    assert desk.told == []
    assert desk.writer.turn() == 1.0
    assert desk.spool.records == 0, "what is delivered is forgotten"


def test_what_was_spooled_when_the_process_died_is_delivered_at_the_next_start(desk: Desk) -> None:
    desk.switch.away = True
    desk.call(40)
    desk.pass_time()
    desk.deliver()
    desk.call()  # not yet durable
    desk.spool.close()
    desk.switch.away = False
    again = Spool(desk.path, reserve=0)
    assert deliver_spool(desk.engine, again) == 120
    assert desk.in_database() == list(range(1, 121))
    assert (again.records, deliver_spool(desk.engine, again)) == (0, 0)
    again.close()


def test_what_was_delivered_but_not_forgotten_is_not_written_twice(desk: Desk) -> None:
    desk.call()
    desk.pass_time()
    desk.writer.turn()
    assert desk.spool.records == 3
    desk.spool.close()
    again = Spool(desk.path, reserve=0)
    deliver_spool(desk.engine, again)
    again.close()
    assert desk.in_database() == [1, 2, 3]
    with desk.engine.connect() as connection:
        assert len(read_calls(connection)) == 1


def test_while_the_database_is_away_records_pile_up_in_the_spool_and_drain_in_order(desk: Desk) -> None:
    desk.switch.away = True
    for _ in range(60):
        desk.call(2)
        desk.pass_time()
        desk.writer.turn()
    assert desk.writer.spooled == 360
    assert desk.writer.undurable == 0
    assert desk.told == ["unavailable", "spooling"]
    assert (desk.writer.database_available, desk.writer.spooling, desk.writer.refusing) == (False, True, False)
    in_memory = desk.writer.pending - desk.writer.spooled
    assert in_memory == 0
    desk.switch.away = False
    desk.deliver()
    desk.call()
    desk.pass_time()
    desk.deliver()
    assert desk.in_database() == desk.all()
    assert desk.told == ["unavailable", "spooling", "available", "drained"]
    assert (desk.writer.spooled, desk.writer.pending, desk.writer.dropped) == (0, 0, 0)


def test_new_records_do_not_overtake_those_that_are_read_back(sqlite: Engine, path: Path) -> None:
    desk = Desk(sqlite, path, records=10_000)
    desk.switch.away = True
    for _ in range(3):
        desk.call(MAX_BATCH // 3)
        desk.pass_time()
    desk.writer.turn()
    desk.switch.away = False
    while desk.writer.spooled:
        desk.call()
        desk.pass_time()
        desk.writer.turn()
    assert desk.in_database() == desk.all()
    desk.spool.close()


def test_past_its_bound_new_calls_are_refused_until_there_is_room(sqlite: Engine, path: Path) -> None:
    desk = Desk(sqlite, path, records=90)
    desk.switch.away = True
    desk.call(29)
    desk.pass_time()
    desk.writer.turn()
    assert not desk.writer.refusing
    desk.call(1)
    desk.pass_time()
    assert desk.writer.refusing
    desk.call(20)  # calls in progress go on
    desk.pass_time()
    assert (desk.writer.spooled, desk.writer.dropped) == (150, 0)
    desk.switch.away = False
    desk.deliver()
    assert not desk.writer.refusing
    assert desk.told == ["unavailable", "spooling", "refusing", "available", "accepting", "drained"]
    assert desk.in_database() == desk.all()
    desk.spool.close()


def test_at_twice_its_bound_records_are_dropped_and_counted(sqlite: Engine, path: Path) -> None:
    desk = Desk(sqlite, path, records=30, refuse=False)
    desk.switch.away = True
    for _ in range(25):
        desk.call()
        desk.pass_time()
        desk.writer.turn()
    assert (desk.writer.spooled, desk.writer.dropped, desk.writer.refusing) == (60, 15, False)
    assert desk.told == ["unavailable", "spooling", "full"]
    desk.switch.away = False
    desk.deliver()
    assert desk.in_database() == list(range(1, 61))
    desk.spool.close()


def test_when_the_spool_fails_records_go_straight_to_the_database(desk: Desk) -> None:
    desk.call()
    desk.pass_time()
    fill_the_spool(desk.spool, full=True)
    for _ in range(20):
        desk.call(40)
        desk.pass_time(1.0)
        desk.deliver()
    assert desk.in_database() == desk.all()
    assert "spool_unavailable" in desk.told
    assert (desk.writer.spool_failed, desk.writer.refusing) == (True, False)
    assert desk.writer.turn() == 1.0
    fill_the_spool(desk.spool, full=False)
    desk.call()
    desk.pass_time(1.0)
    desk.deliver()
    assert (desk.told[-1], desk.writer.spool_failed) == ("spool_available", False)
    assert desk.in_database() == desk.all()


def test_when_spool_and_database_fail_calls_are_refused_and_nothing_is_lost(desk: Desk) -> None:
    desk.call(4)
    desk.pass_time()
    fill_the_spool(desk.spool, full=True)
    desk.switch.away = True
    for _ in range(20):
        desk.call(4)
        desk.pass_time(1.0)
        desk.writer.turn()
    assert desk.writer.refusing
    assert desk.writer.undurable > 0
    assert {"unavailable", "spool_unavailable", "refusing"} <= set(desk.told)
    desk.switch.away = False
    for _ in range(3):
        desk.pass_time(1.0)
        desk.deliver()
    assert not desk.writer.refusing
    assert (desk.writer.undurable, desk.writer.dropped) == (0, 0)
    assert desk.in_database() == desk.all()


def test_when_only_the_spool_comes_back_it_takes_what_waited(desk: Desk) -> None:
    desk.call(4)
    desk.pass_time()
    fill_the_spool(desk.spool, full=True)
    desk.switch.away = True
    for _ in range(20):
        desk.call(4)
        desk.pass_time(1.0)
        desk.writer.turn()
    fill_the_spool(desk.spool, full=False)
    desk.pass_time(1.0)
    assert desk.writer.undurable == 0
    assert not desk.writer.refusing
    desk.spool.close()  # kill -9
    desk.switch.away = False
    again = Spool(desk.path, reserve=0)
    deliver_spool(desk.engine, again)
    again.close()
    assert desk.in_database() == desk.all()


def test_a_record_that_the_database_refuses_stays_in_the_spool(desk: Desk) -> None:
    desk.call()
    desk.hand.connected(2.0**62, "overflow")  # as nanoseconds more than 64 bits
    desk.call()
    desk.pass_time()
    desk.deliver()
    assert desk.told == ["rejected"]
    assert desk.in_database() == [1, 2, 3, 5, 6, 7]
    assert desk.writer.dropped == 1
    desk.spool.close()
    kept = sqlite3.connect(desk.path).execute("SELECT record FROM rejected").fetchall()
    assert len(kept) == 1
    assert b"overflow" in kept[0][0]


def test_a_disk_that_dies_under_the_spool_is_told_and_refused(desk: Desk) -> None:
    desk.switch.away = True
    for _ in range(40):
        desk.call()
        desk.pass_time()
    desk.writer.turn()
    desk.spool._connection.execute("UPDATE batches SET checksum = 0 WHERE id = 30")
    desk.switch.away = False
    for _ in range(3):
        desk.deliver()
        desk.pass_time()
    assert desk.told.count("spool_damaged") == 1
    assert desk.writer.refusing
    assert len(desk.in_database()) < 40 * 3
    assert desk.writer.close() is True
    assert desk.told[-1] == "left"


def test_close_delivers_and_forgets(desk: Desk) -> None:
    desk.call(5)
    assert desk.writer.close()
    assert desk.in_database() == desk.all()
    assert desk.told == []


def test_close_leaves_to_the_next_start_what_the_database_does_not_take(desk: Desk) -> None:
    desk.switch.away = True
    desk.call(5)
    assert desk.writer.close() is True
    assert desk.told[-1] == "left"
    desk.spool.close()
    again = Spool(desk.path, reserve=0)
    assert again.records == 15
    again.close()


def test_the_start_stops_at_a_database_that_is_away_and_keeps_the_spool(desk: Desk) -> None:
    desk.switch.away = True
    desk.call(5)
    desk.writer.close()
    desk.spool.close()
    again = Spool(desk.path, reserve=0)
    with pytest.raises(Exception, match="server closed the connection"):
        deliver_spool(desk.engine, again)
    assert again.records == 15
    again.close()


def test_the_threads_deliver_too(path: Path, engine: Engine) -> None:
    spool = Spool(path, reserve=0)
    writer = JournalWriter(engine, 0.002, spool=spool, delivery_interval=0.005, in_memory=300)
    hand = HandLedger(append=writer.append)
    for number in range(3000):
        hand.connected(number, f"{number}")
    assert writer.close(timeout=60.0)
    assert (writer.pending, writer.written, writer.spooled) == (0, 3000, 0)
    with engine.connect() as connection:
        assert [item.sequence for item in read_journal(connection)] == list(range(1, 3001))
    assert spool.records == 0
    spool.close()
