"""Where the journal, the calls and the tariffs last: SQLite or PostgreSQL through SQLAlchemy Core.

Every write may be repeated: records have keys of their own, and what is there already is passed over, so a batch
whose commit was lost with the connection is simply written again.
"""

from collections.abc import Collection, Iterable, Iterator
from secrets import token_hex
from typing import Literal

import orjson
from sqlalchemy import Connection, Engine, create_engine, delete, event, insert, make_url, select, update
from sqlalchemy.engine.interfaces import DBAPIConnection

from accounting.chain import GENESIS, ChainedRecord, canonical, record_hash
from accounting.content import instants_of, kind_of, read_item, subject_of, written
from accounting.derived import Derivation, call_record, insertion
from accounting.journal import Declaration, Declared, Item
from accounting.records import CallRecord
from accounting.tables import calls, declarations, journal, journal_head, metadata, tariffs
from accounting.tariff import Tariff, tariff_content, tariffs_of, version_content

# -- the database ----------------------------------------------------------------------------------------


def open_engine(url: str) -> Engine:
    """An engine for ``sqlite:///FILE`` or ``postgresql://...`` (driven by psycopg). Connects to nothing yet.

    Raises ``ValueError`` for any other database. Errors of the engine show no parameters: they hold callers' numbers.

    SQLite runs in WAL mode with ``synchronous=FULL``. A kill -9 of the process needs neither: what was written
    is in the kernel's page cache. NORMAL, however, would lose the last commits when the power fails; FULL syncs
    at every commit, and since :class:`accounting.writer.JournalWriter` commits in groups, off the event loop,
    that is at most some twenty syncs a second.
    """
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        if parsed.database in (None, "", ":memory:"):
            raise ValueError("a SQLite database needs a file: the journal must outlive the process")
        engine = create_engine(parsed, hide_parameters=True)
        event.listen(engine, "connect", _prepare_sqlite)
        return engine
    if backend != "postgresql":
        raise ValueError(f"{backend!r} is neither sqlite nor postgresql")
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    # A server that has vanished must be noticed: the journal's writer waits for nothing else meanwhile.
    timeouts = {"connect_timeout": 5, "tcp_user_timeout": 10_000}  # seconds; milliseconds
    return create_engine(parsed, hide_parameters=True, pool_pre_ping=True, connect_args=timeouts)


def _prepare_sqlite(connection: DBAPIConnection, _: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def create_tables(engine: Engine) -> None:
    """Make the tables that are missing, and the beginning of the chain."""
    metadata.create_all(engine)
    with engine.begin() as connection:
        if connection.execute(select(journal_head)).first() is None:
            connection.execute(insert(journal_head).values(id=1, position=0, hash=GENESIS))


# -- writing ---------------------------------------------------------------------------------------------


def write_batch(connection: Connection, items: Iterable[Item]) -> None:
    """Append records to the chain, and write the rows that are derived from them; the caller commits.

    The records of a run come in the order of their sequence; what is written already is passed over.
    """
    tail = _Tail(connection)
    for item in items:
        tail.take(item)
    tail.write()


def declare(connection: Connection, kind: Declared, subject: str, wall_ns: int, content: dict[str, object]) -> int:
    """Write something of the back office into the journal; the caller commits. Returns its position."""
    tail = _Tail(connection)
    # each declaration is a run of its own: commands come and go
    tail.take(Declaration(f"office-{wall_ns:016x}-{token_hex(4)}", 1, kind, subject, wall_ns, content))
    tail.write()
    return tail.position


class _Tail:
    """The end of the chain, held by one transaction, and the records that are to be written."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.position, self.hash = lock_chain(connection)
        self._sequences: dict[str, int] = {}
        self._records: list[tuple[object, ...]] = []
        self._derived = Derivation()

    def take(self, item: Item) -> None:
        """Append one record, unless it is there."""
        run, sequence = item.run, item.sequence
        last = self._sequences.get(run)
        if last is None:
            last = last_sequence(self._connection, run)
        if sequence <= last:
            self._sequences[run] = last
            return
        self._sequences[run] = sequence
        kind, subject = kind_of(item), subject_of(item)
        at_ns, wall_ns = instants_of(item)
        content, personal = written(item, _salt)
        position = self.position + 1
        own = record_hash(self.hash, position, run, sequence, kind, subject, at_ns, wall_ns, content)
        self._records.append((position, run, sequence, kind, subject, at_ns, wall_ns, content, personal, own))
        self.position, self.hash = position, own
        self._derived.take(position, item)

    def write(self) -> None:
        """Write what was taken."""
        if self._records:
            self._connection.exec_driver_sql(insertion(journal, self._connection), self._records)
            self._derived.write(self._connection)
            self._connection.execute(update(journal_head).values(position=self.position, hash=self.hash))


def lock_chain(connection: Connection) -> tuple[int, str]:
    """Hold the end of the chain until the transaction is over: its position and hash.

    An update, not a select: it takes the lock, in SQLite too, before anything was read.
    """
    row = connection.exec_driver_sql("UPDATE journal_head SET id = id RETURNING position, hash").one()
    return row[0], row[1]


def _salt() -> str:
    return token_hex(16)


def replace_tariffs(connection: Connection, new: Iterable[Tariff]) -> None:
    """Make these the tariffs; the caller commits. Tariffs named by old calls should be kept among them."""
    connection.execute(delete(tariffs))
    rows = [
        {
            "name": tariff.name,
            "position": position,
            "currency": tariff.currency,
            "versions": canonical([version_content(version) for version in tariff.versions]),
        }
        for position, tariff in enumerate(new)
    ]
    if rows:
        connection.execute(insert(tariffs), rows)


def declare_tariffs(connection: Connection, new: Collection[Tariff], wall_ns: int) -> bool:
    """Make these the tariffs and write them into the journal, whole; the caller commits.

    So what a call cost can be verified from the journal alone. Returns whether they are others than the journal says:
    what it says already is not written again.
    """
    lock_chain(connection)
    replace_tariffs(connection, new)
    content = tariff_content(new)
    declared = connection.execute(
        select(journal.c.content)
        .join(declarations, declarations.c.position == journal.c.position)
        .where(declarations.c.kind == "tariffs")
        .order_by(declarations.c.position.desc())
        .limit(1)
    ).scalar()
    if declared == canonical(content):
        return False
    declare(connection, "tariffs", "", wall_ns, content)
    return True


# -- reading ---------------------------------------------------------------------------------------------


def read_tariffs(connection: Connection) -> dict[str, Tariff]:
    """All tariffs by name, in the order in which they were written."""
    rows = connection.execute(select(tariffs).order_by(tariffs.c.position))
    content = [{"name": row.name, "currency": row.currency, "versions": orjson.loads(row.versions)} for row in rows]
    return tariffs_of({"tariffs": content})


def read_calls(
    connection: Connection,
    *,
    contract: str | None = None,
    since_ns: int | None = None,
    until_ns: int | None = None,
    result: str | None = None,
    limit: int | None = None,
) -> list[CallRecord]:
    """Ended calls, newest first, that started at or after ``since_ns`` and before ``until_ns`` (wall clock)."""
    return list(
        stream_calls(
            connection, contract=contract, since_ns=since_ns, until_ns=until_ns, result=result, limit=limit
        )
    )  # fmt: skip


#: Rows read from the database at once: more would take more memory and hardly less time.
_BATCH = 1000
_WITHOUT_MEDIA = [column for column in calls.c if column is not calls.c.media]
_ORDERS = {
    "newest": (calls.c.started_at_ns.desc(), calls.c.call_id),
    "oldest": (calls.c.started_at_ns, calls.c.call_id),
    "contract": (calls.c.contract, calls.c.started_at_ns, calls.c.call_id),
}


def stream_calls(
    connection: Connection,
    *,
    contract: str | None = None,
    since_ns: int | None = None,
    until_ns: int | None = None,
    result: str | None = None,
    limit: int | None = None,
    order: Literal["newest", "oldest", "contract"] = "newest",
    media: bool = True,
) -> Iterator[CallRecord]:
    """As :func:`read_calls`, read as they are consumed; in order of start, or of contract and start.

    Without ``media`` the records have none: it is most of a row, and no bill needs it.
    """
    query = select(*(calls.c if media else _WITHOUT_MEDIA)).order_by(*_ORDERS[order])
    if contract is not None:
        query = query.where(calls.c.contract == contract)
    if since_ns is not None:
        query = query.where(calls.c.started_at_ns >= since_ns)
    if until_ns is not None:
        query = query.where(calls.c.started_at_ns < until_ns)
    if result is not None:
        query = query.where(calls.c.result == result)
    if limit is not None:
        query = query.limit(limit)
    for row in connection.execute(query, execution_options={"yield_per": _BATCH}):
        yield call_record(row if media else (*row, "{}"))


def read_call(connection: Connection, call_id: str) -> CallRecord | None:
    """One ended call, or None."""
    row = connection.execute(select(calls).where(calls.c.call_id == call_id)).first()
    return None if row is None else call_record(row)


def read_records(connection: Connection, from_position: int = 1) -> Iterator[ChainedRecord]:
    """The chain from a position on, read as it is consumed."""
    query = select(journal).where(journal.c.position >= from_position).order_by(journal.c.position)
    for row in connection.execute(query, execution_options={"yield_per": 1000}):
        yield ChainedRecord(*row)


def read_journal(connection: Connection, *, run: str | None = None, from_sequence: int = 0) -> Iterator[Item]:
    """The journal's items in order of ``(run, sequence)``, read as they are consumed."""
    query = select(journal).order_by(journal.c.run, journal.c.sequence)
    if run is not None:
        query = query.where(journal.c.run == run)
    if from_sequence:
        query = query.where(journal.c.sequence >= from_sequence)
    for row in connection.execute(query, execution_options={"yield_per": 1000}):
        yield read_item(ChainedRecord(*row))


def last_sequence(connection: Connection, run: str) -> int:
    """The highest sequence of a run; 0 if it wrote nothing."""
    placeholder = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    found = connection.exec_driver_sql(f"SELECT max(sequence) FROM journal WHERE run = {placeholder}", (run,))
    return found.scalar() or 0
