"""What the operator is told of the journal, and what a database that hangs must not hold up."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from prometheus_client import generate_latest
from sqlalchemy import Engine, event, exc

from accounting.spool import SpoolError
from accounting.store import create_tables, open_engine, read_calls
from b2bua.bookkeeping import Bookkeeping
from b2bua.business_watch import BusinessWatch
from b2bua.config import AccountingSection, Config, DatabaseSection, ListenerSection
from b2bua.metrics import Metrics
from routing.directory import Directory
from tests.accounting.ledger import HandLedger, call_ended
from tests.accounting.test_writer import Switch


@pytest.fixture(autouse=True)
def every_log() -> Iterator[None]:
    """Tests are silent otherwise."""
    known = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG))
    yield
    structlog.configure(wrapper_class=known)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_engine(f"sqlite:///{tmp_path / 'b2bua.db'}")
    create_tables(made)
    yield made
    made.dispose()


def books(engine: Engine, folder: Path, refusing: list[bool] | None = None) -> tuple[Bookkeeping, Metrics]:
    metrics = Metrics()
    told = [] if refusing is None else refusing
    section = AccountingSection(spool_max_records=1000)
    return Bookkeeping(engine, folder / "spool.db", section, metrics, told.append), metrics


def take(made: Bookkeeping, calls: int) -> None:
    hand = HandLedger(append=made.writer.append)
    for number in range(calls):
        hand.connected(5.0, f"{number}")
        hand.hung_up(6.0, f"{number}")
        hand.ended(call_ended(f"{number}", ended=6.0))


def until(made: Bookkeeping, status: str) -> None:
    pause = threading.Event()
    for _ in range(2000):
        if made.status == status:
            return
        pause.wait(0.01)
    raise AssertionError(made.facts())


def test_an_outage_is_told_by_log_health_and_metrics(engine: Engine, tmp_path: Path) -> None:
    switch = Switch(engine)
    refusing: list[bool] = []
    made, metrics = books(engine, tmp_path, refusing)
    assert (made.status, made.facts()["database"]) == ("ok", "available")
    with structlog.testing.capture_logs() as logs:
        switch.away = True
        take(made, 100)
        until(made, "degraded")
        take(made, 300)
        until(made, "failing")
        facts, text = made.facts(), generate_latest(metrics.registry).decode()
        switch.away = False
        until(made, "ok")
        made.close()
    assert facts["database"] == "unavailable"
    assert facts["journal_spooled"] == 1200
    assert "b2bua_journal_spooled 1200.0" in text
    assert "b2bua_journal_database_available 0.0" in text
    assert "b2bua_journal_refusing 1.0" in text
    assert "b2bua_journal_undurable 0.0" in text
    assert "b2bua_journal_durable_seconds_bucket" in text
    assert refusing == [True, False]
    events = [entry["event"] for entry in logs]
    assert sorted(events) == sorted(
        ("journal_unavailable", "journal_spooling", "journal_refusing", "journal_available", "journal_accepting",
         "journal_drained")
    )  # fmt: skip


def test_the_next_start_delivers_what_was_left(engine: Engine, tmp_path: Path) -> None:
    switch = Switch(engine)
    made, _ = books(engine, tmp_path)
    switch.away = True
    take(made, 10)
    made.close()
    switch.away = False
    again, _ = books(engine, tmp_path)
    with structlog.testing.capture_logs() as logs:
        again.deliver_spool()
    assert [(entry["event"], entry["records"]) for entry in logs] == [
        ("journal_spool_found", 30),
        ("journal_drained", 30),
    ]
    again.close()
    with engine.connect() as connection:
        assert len(read_calls(connection)) == 10


def test_a_damaged_spool_is_told_at_the_start(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "spool.db").write_bytes(b"garbage " * 1000)
    with structlog.testing.capture_logs() as logs:
        made, _ = books(engine, tmp_path)
        made.close()
    (told,) = logs
    assert (told["event"], told["log_level"]) == ("journal_spool_damaged", "critical")
    assert Path(str(told["set_aside"])).read_bytes().startswith(b"garbage")


def test_two_servers_do_not_share_a_spool(engine: Engine, tmp_path: Path) -> None:
    made, _ = books(engine, tmp_path)
    with pytest.raises(SpoolError, match="another server's"):
        books(engine, tmp_path)
    made.close()


@pytest.mark.parametrize(
    ("url", "spool", "expected"),
    [
        ("sqlite:///b2bua.db", "", "b2bua-spool.db"),
        ("sqlite:////var/lib/b2bua/money.sqlite?timeout=3", "", "/var/lib/b2bua/money-spool.db"),
        ("postgresql://b2bua@db/b2bua", "", "b2bua-spool.db"),
        ("sqlite:///b2bua.db", "/fast/spool.db", "/fast/spool.db"),
    ],
)
def test_where_the_spool_is(url: str, spool: str, expected: str) -> None:
    config = Config(
        listeners=(ListenerSection(name="main"),),
        database=DatabaseSection(url=url),
        accounting=AccountingSection(spool=spool),
    )
    assert config.spool_path == Path(expected)


def test_a_database_without_business_data_is_told_once(engine: Engine) -> None:
    changes: list[Directory] = []

    def refuse(*_: object) -> None:
        raise exc.OperationalError("SELECT", {}, Exception("server closed the connection"))

    event.listen(engine, "before_cursor_execute", refuse)
    watch = BusinessWatch(engine, 1, changes.append)
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            watch.look()
    assert [entry["event"] for entry in logs] == ["business_data_unreachable"]
    assert changes == []


def test_a_database_that_hangs_holds_up_nobody(engine: Engine) -> None:
    asked, answer = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        asked.set()
        answer.wait(30.0)

    event.listen(engine, "before_cursor_execute", hang)
    watch = BusinessWatch(engine, 1, lambda directory: None, interval=0.001)
    watch.start()
    assert asked.wait(30.0)
    watch.stop()  # returns at once
    answer.set()
