"""Databases and disks that really fail under a writer at work: no call waits, nothing is lost, nothing is doubled."""

import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection

from accounting.delivery import deliver_spool
from accounting.recovery import recover
from accounting.spool import Spool, open_spool
from accounting.store import create_tables, open_engine, read_calls, read_records
from accounting.writer import JournalWriter, Problem
from tests.accounting.ledger import HandLedger, call_ended
from tests.postgresql import PostgreSQLServer

#: Nobody may wait for longer, whatever fails, seconds: far less than any outage here lasts.
SOON = 0.2


class Exchange:
    """Takes calls in a thread of its own, five hundred records a second, and remembers how long it was kept."""

    def __init__(self, engine: Engine, path: Path, records: int = 100_000) -> None:
        self.engine = engine
        self.told: list[Problem] = []
        self.spool = Spool(path)
        self.writer = JournalWriter(
            engine, 0.01, on_problem=lambda problem, error: self.told.append(problem), spool=self.spool,
            spool_max_records=records, in_memory=100, delivery_interval=0.02, patience=0.5,
        )  # fmt: skip
        self.hand = HandLedger(append=self.writer.append)
        self.records = 0
        self.longest = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._take_calls)
        self._thread.start()

    def _take_calls(self) -> None:
        number = 0
        while not self._over.wait(0.006):
            if self.writer.refusing:
                continue
            before = time.thread_time()
            name = f"call-{number}"
            number += 1
            self.hand.connected(5.0 + number, name)
            self.hand.hung_up(6.0 + number, name)
            self.hand.ended(call_ended(name, started=4.0 + number, answered=5.0 + number, ended=6.0 + number))
            self.records += 3
            self.longest = max(self.longest, time.thread_time() - before)

    def until(self, problem: Problem) -> None:
        """Wait until that is told."""
        self.wait(lambda: problem in self.told)

    def wait(self, reached: Callable[[], bool], seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < end, (self.told, self.writer.pending)
            time.sleep(0.01)

    def go_on(self, records: int = 150) -> None:
        """Until so many more records were taken and are durable."""
        target = self.records + records
        self.wait(lambda: self.records >= target and self.writer.undurable < 60)

    def hang_up(self) -> None:
        """No more calls."""
        self._over.set()
        self._thread.join()

    def close(self) -> None:
        self.hang_up()
        self.writer.close(30.0)
        self.spool.close()

    def assert_all_is_well(self) -> None:
        """Everything is in the database, once, in order."""
        self.close()
        assert self.writer.dropped == 0
        assert self.told.count("lost") == 0
        assert self.longest < SOON
        assert_complete(self.engine, self.records)


def assert_complete(engine: Engine, records: int) -> None:
    with engine.connect() as connection:
        chain = list(read_records(connection))
        calls = len(read_calls(connection))
    assert [record.sequence for record in chain] == list(range(1, records + 1))
    assert [record.position for record in chain] == list(range(1, records + 1))
    assert calls == records // 3


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQLServer]:
    """A PostgreSQL that tests may treat badly."""
    made = PostgreSQLServer()
    yield made
    made.remove()


@pytest.fixture
def remote(server: PostgreSQLServer) -> Iterator[Engine]:
    """Its database, empty."""
    made = open_engine(server.url)
    with made.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    create_tables(made)
    yield made
    made.dispose()


def test_postgresql_goes_and_comes_back(remote: Engine, server: PostgreSQLServer, tmp_path: Path) -> None:
    exchange = Exchange(remote, tmp_path / "spool.db")
    exchange.go_on()
    server.stop()
    exchange.until("spooling")
    exchange.go_on(600)
    assert exchange.writer.spooled >= 500
    assert not exchange.writer.database_available
    server.start()
    exchange.until("drained")
    exchange.go_on()
    exchange.assert_all_is_well()
    assert exchange.told == ["unavailable", "spooling", "available", "drained"]


def test_kill_9_while_postgresql_is_away(remote: Engine, server: PostgreSQLServer, tmp_path: Path) -> None:
    """The records lie in the spool; the next start delivers them before it recovers the call that was connected."""
    child = """
    import os, signal, sys, time
    from pathlib import Path
    from accounting.spool import Spool
    from accounting.store import open_engine
    from accounting.writer import JournalWriter
    from tests.accounting.ledger import HandLedger, call_ended
    writer = JournalWriter(open_engine(sys.argv[1]), spool=Spool(Path(sys.argv[2])))
    hand = HandLedger(append=writer.append)
    hand.connected(5.0, "talking")
    for number in range(500):
        hand.connected(5.0, f"{number}")
        hand.hung_up(6.0, f"{number}")
        hand.ended(call_ended(f"{number}", ended=6.0))
    hand.heartbeat(65.0)
    while writer.undurable:
        time.sleep(0.01)
    print(writer.spooled, writer.written, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    """
    server.stop()
    command = [sys.executable, "-c", textwrap.dedent(child), server.url, str(tmp_path / "spool.db")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    server.start()
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "1502 0\n"), ended.stderr
    spool = open_spool(tmp_path / "spool.db", lambda aside, saved: pytest.fail("not damaged"))
    assert deliver_spool(remote, spool) == 1502
    with remote.begin() as connection:
        (call,) = recover(connection)
        assert recover(connection) == []
    assert (call.call_id, call.talked_ns, call.recovered) == ("talking", 60_000_000_000, True)
    with remote.connect() as connection:
        assert len(read_calls(connection)) == 501
    spool.close()


def test_postgresql_with_a_locked_table(remote: Engine, tmp_path: Path) -> None:
    exchange = Exchange(remote, tmp_path / "spool.db")
    exchange.go_on()
    other = open_engine(str(remote.url))
    with other.begin() as connection:
        connection.execute(text("LOCK TABLE journal IN ACCESS EXCLUSIVE MODE"))
        exchange.until("spooling")
        exchange.go_on(600)
        assert exchange.writer.spooled >= 500
        assert not exchange.writer.database_available
    exchange.until("drained")
    exchange.assert_all_is_well()
    assert exchange.told == ["unavailable", "spooling", "available", "drained"]
    other.dispose()


def test_a_shutdown_does_not_wait_for_a_locked_table(remote: Engine, tmp_path: Path) -> None:
    exchange = Exchange(remote, tmp_path / "spool.db")
    exchange.go_on()
    with open_engine(str(remote.url)).begin() as connection:
        connection.execute(text("LOCK TABLE journal IN ACCESS EXCLUSIVE MODE"))
        exchange.until("spooling")
        exchange.hang_up()
        assert exchange.writer.close(0.5) is True
        assert exchange.told[-1] == "left"
        assert exchange.writer.undurable == 0
    exchange.until("available")  # in the thread that nobody waited for
    exchange.wait(lambda: not any(thread.is_alive() for thread in exchange.writer.threads))
    deliver_spool(remote, exchange.spool)
    exchange.spool.close()
    assert_complete(remote, exchange.records)


def test_postgresql_that_is_slow(remote: Engine, tmp_path: Path) -> None:
    with remote.begin() as connection:
        connection.execute(
            text(
                "CREATE FUNCTION doze() RETURNS trigger LANGUAGE plpgsql AS "
                "'BEGIN PERFORM pg_sleep(0.008); RETURN NULL; END'"
            )
        )
        connection.execute(
            text("CREATE TRIGGER doze AFTER INSERT ON journal FOR EACH STATEMENT EXECUTE FUNCTION doze()")
        )
    exchange = Exchange(remote, tmp_path / "spool.db")
    exchange.until("spooling")
    exchange.go_on(300)
    assert exchange.writer.undurable < 60
    exchange.assert_all_is_well()


_LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


def test_sqlite_locked_by_another_process(sqlite: Engine, tmp_path: Path) -> None:
    exchange = Exchange(sqlite, tmp_path / "spool.db")
    exchange.go_on()
    command = [sys.executable, "-c", _LOCKER, str(sqlite.url.database)]
    locker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert locker.stdout is not None
    assert locker.stdout.readline() == b"locked\n"
    exchange.until("spooling")
    exchange.go_on(600)
    assert exchange.writer.spooled >= 500
    locker.communicate(b"")
    exchange.until("drained")
    exchange.assert_all_is_well()
    assert exchange.told == ["unavailable", "spooling", "available", "drained"]


def test_a_full_database_that_is_given_room(sqlite: Engine, tmp_path: Path) -> None:
    """SQLITE_FULL, as SQLite tells it when the disk is full."""
    limit = [40]

    def restrict(connection: DBAPIConnection, _: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {limit[0]}")

    event.listen(sqlite, "connect", restrict)
    sqlite.dispose()
    exchange = Exchange(sqlite, tmp_path / "spool.db")
    exchange.until("spooling")
    exchange.go_on(300)
    limit[0] = 1 << 30
    sqlite.dispose()
    exchange.until("drained")
    exchange.assert_all_is_well()
    assert exchange.told == ["unavailable", "spooling", "available", "drained"]


def test_a_full_spool_refuses_calls_until_the_database_is_back(
    remote: Engine, server: PostgreSQLServer, tmp_path: Path
) -> None:
    exchange = Exchange(remote, tmp_path / "spool.db", records=1000)
    exchange.go_on()
    server.stop()
    exchange.until("refusing")
    assert 1000 <= exchange.writer.spooled < 1300
    before = exchange.records
    time.sleep(0.1)
    assert exchange.records <= before + 3, "nobody calls any more"
    server.start()
    exchange.until("accepting")
    exchange.go_on()
    exchange.assert_all_is_well()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_under_database_and_spool(small_disk: Path) -> None:
    engine = open_engine(f"sqlite:///{small_disk / 'b2bua.db'}")
    create_tables(engine)
    exchange = Exchange(engine, small_disk / "spool.db")
    exchange.go_on()
    filler = small_disk / "filler"
    subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=64k"], capture_output=True, check=False)
    exchange.until("spooling")
    exchange.go_on(900)  # the spool has room of its own
    assert not exchange.writer.refusing
    assert exchange.writer.spooled >= 900
    filler.unlink()
    exchange.until("drained")
    exchange.assert_all_is_well()
    engine.dispose()
