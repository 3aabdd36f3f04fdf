import threading
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, exc, text
from sqlalchemy.engine.interfaces import DBAPIConnection

from accounting.delivery import MAX_BATCH
from accounting.store import create_tables, open_engine, read_calls, read_journal
from accounting.writer import JournalWriter
from tests.accounting.ledger import HandLedger, call_ended


class Switch:
    """Takes the database away and brings it back, and counts commits and refusals."""

    def __init__(self, engine: Engine) -> None:
        self.away = False
        self.away_before_commit = False
        self.commits = 0
        self.refused = threading.Event()
        event.listen(engine, "before_cursor_execute", self._execute)
        event.listen(engine, "commit", self._commit)

    def _execute(self, *_: Any) -> None:
        if self.away:
            self.refused.set()
            raise exc.OperationalError("INSERT", {}, Exception("server closed the connection"))

    def _commit(self, _: Any) -> None:
        if self.away_before_commit:
            raise exc.OperationalError("COMMIT", {}, Exception("server closed the connection"))
        self.commits += 1


class Problems(list[str]):
    """What the writer complains of; ``seen`` is set at each complaint."""

    def __init__(self) -> None:
        self.seen = threading.Event()

    def __call__(self, reason: str, error: Exception | None) -> None:
        self.append(reason)
        self.seen.set()


def by_hand(
    engine: Engine, problems: Problems | None = None, max_pending: int = 100
) -> tuple[JournalWriter, HandLedger]:
    """A writer without a thread, and a ledger in front of it."""
    writer = JournalWriter(engine, 0.05, max_pending, problems, start=False)
    hand = HandLedger(append=writer.append)
    return writer, hand


def one_call() -> HandLedger:
    hand = HandLedger()
    hand.connected(5.0)
    hand.hung_up(6.0)
    hand.ended(call_ended(ended=6.0))
    return hand


def sequences(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return [entry.sequence for entry in read_journal(connection)]


def test_one_turn_commits_all_that_came(sqlite: Engine) -> None:
    switch = Switch(sqlite)
    writer, hand = by_hand(sqlite)
    hand.connected(5.0)
    hand.hung_up(6.0)
    hand.ended(call_ended(ended=6.0))
    assert (writer.pending, writer.written) == (3, 0)
    assert writer.turn() == 0.05
    assert (writer.pending, writer.written, switch.commits) == (0, 3, 1)
    assert writer.turn() == 0.05
    assert switch.commits == 1
    assert sequences(sqlite) == [1, 2, 3]


def test_while_the_database_is_away_items_wait_in_order_and_retries_slow_down(sqlite: Engine) -> None:
    switch, problems = Switch(sqlite), Problems()
    writer, hand = by_hand(sqlite, problems)
    hand.connected(5.0)
    switch.away = True
    assert [writer.turn() for _ in range(8)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    hand.heartbeat(7.0)
    hand.hung_up(8.0)
    assert writer.pending == 3
    assert problems == ["unavailable"]
    switch.away = False
    assert writer.turn() == 0.05
    assert problems == ["unavailable", "available"]
    assert sequences(sqlite) == [1, 2, 3]
    assert (writer.pending, writer.written, writer.dropped) == (0, 3, 0)


def test_a_commit_that_is_lost_is_repeated(sqlite: Engine) -> None:
    switch = Switch(sqlite)
    writer, hand = by_hand(sqlite)
    hand.connected(5.0)
    switch.away_before_commit = True
    assert writer.turn() == 0.1
    assert writer.written == 0
    switch.away_before_commit = False
    writer.turn()
    assert (sequences(sqlite), writer.written) == ([1], 1)


def test_a_full_writer_drops_what_is_new_and_says_so_once(sqlite: Engine) -> None:
    switch, problems = Switch(sqlite), Problems()
    writer, hand = by_hand(sqlite, problems, max_pending=4)
    switch.away = True
    for number in range(3):
        hand.connected(number, f"{number}")
    writer.turn()
    for number in range(3, 8):
        hand.connected(number, f"{number}")
    assert (writer.pending, writer.dropped) == (4, 4)
    assert problems == ["unavailable", "full"]
    switch.away = False
    writer.turn()
    hand.connected(9.0, "9")
    writer.turn()
    assert sequences(sqlite) == [1, 2, 3, 4, 9]


def test_a_long_queue_is_written_in_bounded_transactions_without_a_pause(sqlite: Engine) -> None:
    switch = Switch(sqlite)
    writer, hand = by_hand(sqlite, max_pending=100_000)
    for number in range(2 * MAX_BATCH + 1):
        hand.connected(number, f"{number}")
    assert [writer.turn() for _ in range(3)] == [0.0, 0.05, 0.05]
    assert (writer.pending, switch.commits) == (0, 3)


def test_an_item_that_cannot_be_written_does_not_hold_up_the_others(engine: Engine) -> None:
    problems = Problems()
    writer, hand = by_hand(engine, problems)
    hand.connected(5.0)
    hand.connected(2.0**62, "overflow")  # as nanoseconds more than 64 bits
    hand.hung_up(6.0)
    hand.ended(call_ended(ended=6.0))
    assert writer.turn() == 0.05
    assert problems == ["rejected"]
    assert (writer.pending, writer.written, writer.dropped) == (0, 3, 1)
    assert sequences(engine) == [1, 3, 4]
    with engine.connect() as connection:
        assert len(read_calls(connection)) == 1


def test_a_missing_table_is_waited_for(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'empty.db'}")
    writer, hand = by_hand(engine)
    hand.connected(5.0)
    assert writer.turn() == 0.1
    create_tables(engine)
    writer.turn()
    assert sequences(engine) == [1]
    engine.dispose()


def test_the_thread_writes_and_close_flushes(engine: Engine) -> None:
    writer = JournalWriter(engine, gathering=3600.0)
    hand = HandLedger(append=writer.append)
    for number in range(3000):
        hand.connected(number, f"{number}")
    assert writer.close(timeout=60.0)
    assert (writer.pending, writer.written) == (0, 3000)
    assert sequences(engine) == list(range(1, 3001))


def test_close_waits_for_a_database_that_comes_back(sqlite: Engine) -> None:
    switch, problems = Switch(sqlite), Problems()
    switch.away = True
    writer = JournalWriter(sqlite, 0.001, on_problem=problems)
    hand = HandLedger(append=writer.append)
    hand.connected(5.0)
    assert switch.refused.wait(30.0)
    closed: list[bool] = []
    closer = threading.Thread(target=lambda: closed.append(writer.close(timeout=30.0)))
    closer.start()
    switch.away = False
    closer.join(60.0)
    assert closed == [True]
    assert sequences(sqlite) == [1]
    assert problems == ["unavailable", "available"]


def test_close_gives_up_loudly(sqlite: Engine) -> None:
    switch, problems = Switch(sqlite), Problems()
    switch.away = True
    writer = JournalWriter(sqlite, 0.001, on_problem=problems)
    hand = HandLedger(append=writer.append)
    hand.connected(5.0)
    assert problems.seen.wait(30.0)
    assert writer.close(timeout=0.0) is False
    assert problems == ["unavailable", "lost"]
    assert writer.pending == 1


def test_close_without_a_thread_gives_up_at_the_first_refusal(sqlite: Engine) -> None:
    switch = Switch(sqlite)
    writer, hand = by_hand(sqlite)
    hand.connected(5.0)
    switch.away = True
    assert writer.close() is False
    switch.away = False
    writer.turn()
    assert writer.close() is True


def test_a_server_that_drops_its_connections_costs_nothing(postgresql: str) -> None:
    engine, other = open_engine(postgresql), open_engine(postgresql)
    with other.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS journal, calls, tariffs"))
    create_tables(engine)
    backends: list[int] = []

    def remember(connection: DBAPIConnection, _: object) -> None:
        backends.append(connection.info.backend_pid)

    event.listen(engine, "connect", remember)
    engine.dispose()
    writer, hand = by_hand(engine)
    hand.connected(5.0)
    writer.turn()
    with other.begin() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": backends[-1]})
    hand.hung_up(6.0)
    delay = writer.turn()
    if delay != 0.05:
        writer.turn()
    assert sequences(engine) == [1, 2]
    assert writer.dropped == 0
    engine.dispose()
    other.dispose()


def test_what_two_writers_write_is_written_once(sqlite: Engine) -> None:
    hand = one_call()
    writers = [JournalWriter(sqlite, start=False) for _ in range(2)]
    for writer in writers:
        for item in hand.items:
            writer.append(item)
        writer.turn()
    assert sequences(sqlite) == [1, 2, 3]
