"""What was dialled is written down, and what others wrote is taken over."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from b2bua.database import open_database, upgrade
from b2bua.line_watch import LineWatch
from routing.line_store import line_forwardings, load_forwardings, write_forwardings
from routing.lines import LineForwarding

BUSY = LineForwarding("+4930450", "busy", "+49302000100")
OFF = LineForwarding("+4930450", "busy", "+49302000100", active=False)
SECOND = 1_000_000_000


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A database with all tables."""
    made = open_database(f"sqlite:///{tmp_path / 'test.db'}")
    upgrade(made)
    yield made
    made.dispose()


class Watched:
    """A watch that is driven by hand."""

    def __init__(self, engine: Engine) -> None:
        self.heard: list[list[LineForwarding]] = []
        self.now = 1000 * SECOND
        self.watch = LineWatch(engine, 0, self.heard.append, wall_clock=lambda: self.now)


def test_what_was_dialled_is_there_after_a_restart(engine: Engine) -> None:
    watched = Watched(engine)
    watched.watch.write(BUSY)
    assert not watched.watch.is_newer(OFF)
    watched.watch.look()
    assert watched.watch.is_newer(OFF)
    with engine.connect() as connection:
        assert load_forwardings(connection) == ([BUSY], watched.now)


def test_the_last_word_counts(engine: Engine) -> None:
    watched = Watched(engine)
    watched.watch.write(BUSY)
    watched.watch.write(OFF)
    watched.watch.look()
    assert watched.heard == [[OFF]]


def test_what_another_process_writes_is_heard_once(engine: Engine) -> None:
    watched = Watched(engine)
    watched.watch.look()
    with engine.begin() as connection:
        write_forwardings(connection, [BUSY], watched.now - SECOND)
    for _ in range(3):
        watched.watch.look()
    assert watched.heard == [[BUSY]]


def test_a_database_that_is_away_loses_nothing(engine: Engine) -> None:
    watched = Watched(engine)
    watched.watch.write(BUSY)
    line_forwardings.drop(engine)
    watched.watch.look()
    assert not watched.watch.is_newer(OFF)
    line_forwardings.create(engine)
    watched.watch.look()
    assert watched.heard == [[BUSY]]


def test_the_thread_writes_what_is_left_when_it_is_stopped(engine: Engine) -> None:
    watched = Watched(engine)
    watched.watch.start()
    watched.watch.write(BUSY)
    watched.watch.stop()
    with engine.connect() as connection:
        assert load_forwardings(connection)[0] == [BUSY]
