"""The server signs its books every hour and at the end, and forgets old numbers; a clock in the hand."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from sqlalchemy import event, exc, select, update
from structlog.testing import capture_logs

from accounting.checkpoint import Signer
from accounting.checkpoint_store import read_checkpoints
from accounting.store import create_tables, open_engine, write_batch
from accounting.tables import checkpoints, journal
from b2bua.metrics import Metrics
from b2bua.notary import HOUR_NS, RETRY_NS, Notary
from tests.accounting.books import new_signer
from tests.accounting.ledger import ANCHOR, HandLedger, call_ended

DAY_NS = 24 * HOUR_NS


@pytest.fixture
def every_log() -> Iterator[None]:
    """Tests are silent otherwise."""
    known = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG))
    yield
    structlog.configure(wrapper_class=known)


class Office:
    """A notary, its clock, and the books it looks after."""

    def __init__(self, folder: Path, forget_after_days: int = 0) -> None:
        self.engine = open_engine(f"sqlite:///{folder}/books.db")
        create_tables(self.engine)
        self.signer: Signer = new_signer()
        self.now = ANCHOR
        self.days = forget_after_days
        self.metrics = Metrics()
        self.notary = self.another()

    def another(self) -> Notary:
        self.metrics = Metrics()
        return Notary(self.engine, self.signer, self.days, self.metrics, lambda: self.now)

    def write(self, number: int) -> None:
        hand = HandLedger(f"run-{number}")
        hand.connected(5.0, f"call-{number}")
        hand.hung_up(65.0, f"call-{number}")
        hand.ended(call_ended(f"call-{number}"))
        with self.engine.begin() as connection:
            write_batch(connection, hand.items)

    @property
    def positions(self) -> list[int]:
        with self.engine.connect() as connection:
            return [made.position for made in read_checkpoints(connection)]

    def sample(self, name: str) -> float:
        (value,) = (
            sample.value for metric in self.metrics.collect() for sample in metric.samples if sample.name == name
        )
        return value


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_the_books_are_signed_every_hour(office: Office) -> None:
    office.write(1)
    office.notary.look()
    assert office.positions == [3]
    office.write(2)
    office.now += HOUR_NS - 1
    office.notary.look()
    assert office.positions == [3]
    office.now += 1
    office.notary.look()
    assert office.positions == [3, 6]
    assert office.sample("b2bua_journal_checkpoint_age_seconds") == 0.0


def test_an_hour_without_calls_needs_no_signature_and_is_no_fault(office: Office) -> None:
    office.notary.look()
    office.now += HOUR_NS
    office.notary.look()
    assert office.positions == [0]
    assert office.sample("b2bua_journal_checkpoint_age_seconds") == 0.0


def test_a_restart_is_no_reason_to_sign_again(office: Office) -> None:
    office.write(1)
    office.notary.look()
    office.write(2)
    office.now += 60 * 10**9
    after = office.another()
    after.look()
    assert office.positions == [3]
    assert office.sample("b2bua_journal_checkpoint_age_seconds") == 60.0
    office.now += HOUR_NS
    after.look()
    assert office.positions == [3, 6]


def test_a_clock_that_was_put_back_holds_no_signature_up(office: Office) -> None:
    office.now += 30 * DAY_NS
    office.notary.look()
    office.write(1)
    office.now -= 30 * DAY_NS
    office.notary.look()
    assert office.positions == [0, 3]
    assert office.sample("b2bua_journal_checkpoint_age_seconds") == 0.0
    office.write(2)
    office.now -= 30 * DAY_NS
    office.another().look()
    assert office.positions == [0, 3, 6]


def test_calls_that_are_written_meanwhile_hold_no_signature_up(office: Office) -> None:
    """A busy server writes every second, and an hour's records take longer to read."""
    office.write(1)
    written: list[int] = []

    @event.listens_for(office.engine, "before_cursor_execute")
    def meanwhile(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith("UPDATE journal_head SET id") and not written:
            written.append(2)
            office.write(2)

    office.notary.look()
    assert office.positions == [6]


def test_the_end_is_signed(office: Office) -> None:
    office.notary.look()
    office.write(1)
    office.notary.close()
    assert office.positions == [0, 3]


def test_books_that_somebody_changed_are_not_signed_and_it_is_told(office: Office) -> None:
    office.write(1)
    office.notary.look()
    office.write(2)
    with office.engine.begin() as connection:
        row = connection.execute(select(journal.c.content).where(journal.c.position == 5)).scalar_one()
        connection.execute(update(journal).where(journal.c.position == 5).values(content=row.replace("a", "b", 1)))
    office.now += HOUR_NS
    office.notary.look()
    assert office.positions == [3]
    assert office.notary.status == "degraded"
    assert "5" in str(office.notary.facts()["journal_wrong"])
    assert office.sample("b2bua_journal_wrong") == 1.0
    office.notary.close()
    assert office.positions == [3]


@pytest.mark.usefixtures("every_log")
def test_a_database_that_is_away_is_asked_again_in_a_minute(office: Office) -> None:
    away = True

    @event.listens_for(office.engine, "begin")
    def refuse(_connection: object) -> None:
        if away:
            raise exc.OperationalError("BEGIN", None, Exception("away"))

    with capture_logs() as told:
        for _ in range(3):
            office.notary.look()
            office.now += RETRY_NS - 1
            office.notary.look()
            office.now += 1
    assert [entry["event"] for entry in told] == ["journal_unsigned"]
    assert office.notary.status == "ok"
    office.notary.look()
    away = False
    office.now += RETRY_NS - 1
    office.notary.look()
    assert office.positions == []
    office.now += 1
    office.notary.look()
    assert office.positions == [0]


def test_numbers_are_forgotten_by_age(tmp_path: Path) -> None:
    office = Office(tmp_path, forget_after_days=90)
    office.write(1)
    office.notary.look()

    def known() -> int:
        with office.engine.connect() as connection:
            return len(connection.execute(select(journal.c.position).where(journal.c.personal != "")).all())

    assert known() > 0
    office.now += 89 * DAY_NS
    office.notary.look()
    assert known() > 0
    office.now += 3 * DAY_NS
    office.notary.look()
    assert known() == 0
    assert office.notary.status == "ok"


def test_the_thread_looks_by_itself_and_ends(office: Office) -> None:
    office.write(1)
    office.notary.start()
    office.notary.close()
    assert office.positions == [3]
    with office.engine.connect() as connection:
        assert len(connection.execute(select(checkpoints)).all()) == 1
