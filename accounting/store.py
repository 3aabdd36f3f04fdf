"""Where the journal, the calls and the tariffs last: SQLite or PostgreSQL through SQLAlchemy Core.

Every write may be repeated: rows have keys of their own and a row that is there already is left as it is, so a
batch whose commit was lost with the connection is simply written again.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Dialect,
    Engine,
    Index,
    Integer,
    MetaData,
    Numeric,
    Row,
    String,
    Table,
    Text,
    create_engine,
    delete,
    event,
    exists,
    func,
    insert,
    make_url,
    select,
)
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.types import TypeDecorator, TypeEngine

from accounting.interval import ConnectedInterval, connected_intervals
from accounting.journal import CallEnded, Facts, Item, JournalEntry
from accounting.records import CallRecord
from accounting.tariff import PRICE_DIGITS, Increment, Tariff


class _Price(TypeDecorator[Decimal]):
    """NUMERIC where the database has it; text in SQLite, which would make a binary float of it."""

    impl = Numeric(2 * PRICE_DIGITS, PRICE_DIGITS)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(32))
        return dialect.type_descriptor(Numeric(2 * PRICE_DIGITS, PRICE_DIGITS))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        return str(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


metadata = MetaData()

journal = Table(
    "journal",
    metadata,
    Column("run", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("call_id", Text, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Column("contract", Text, nullable=False),
    Column("tariff", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("billable", Boolean, nullable=False),
    Column("side", Text, nullable=False),
    Column("facts", Text, nullable=False),
    sqlite_with_rowid=False,  # rows come in the order of their key: one tree instead of two
)

calls = Table(
    "calls",
    metadata,
    Column("call_id", Text, primary_key=True),
    Column("run", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("contract", Text, nullable=False),
    Column("tariff", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("dialled", Text, nullable=False),
    Column("target_number", Text, nullable=False),
    Column("caller", Text, nullable=False),
    Column("forwarded_from", Text, nullable=False),
    Column("forwarding_kind", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("end_reason", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("billable", Boolean, nullable=False),
    Column("recovered", Boolean, nullable=False),
    Column("started_at_ns", BigInteger, nullable=False),
    Column("rang_at_ns", BigInteger, nullable=False),
    Column("answered_at_ns", BigInteger, nullable=False),
    Column("ended_at_ns", BigInteger, nullable=False),
    Column("talked_ns", BigInteger, nullable=False),
    Column("media", Text, nullable=False),
    Index("calls_started", "started_at_ns"),
    Index("calls_contract_started", "contract", "started_at_ns"),
)

tariffs = Table(
    "tariffs",
    metadata,
    Column("name", Text, primary_key=True),
    Column("currency", String(3), nullable=False),
    Column("per_minute", _Price, nullable=False),
    Column("increment", Text, nullable=False),
    Column("acceptance", _Price, nullable=False),
    Column("digits", Integer, nullable=False),
)


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
    """Make the tables that are missing."""
    metadata.create_all(engine)


# -- writing ---------------------------------------------------------------------------------------------


def write_batch(connection: Connection, items: Iterable[Item]) -> None:
    """Write journal entries and ended calls; the caller commits. Rows that exist are left as they are."""
    entry_rows: list[tuple[object, ...]] = []
    call_rows: list[tuple[object, ...]] = []
    for item in items:
        if isinstance(item, JournalEntry):
            entry_rows.append(_entry_row(item))
        else:
            call_rows.append(_call_row(item))
    journal_sql, calls_sql = _insert_statements(connection.dialect.paramstyle)
    if entry_rows:
        connection.exec_driver_sql(journal_sql, entry_rows)
    if call_rows:
        connection.exec_driver_sql(calls_sql, call_rows)


@cache
def _insert_statements(paramstyle: str) -> tuple[str, str]:
    """Literal SQL: compiling and binding an ``insert()`` would cost more than the database does."""
    placeholder = "?" if paramstyle == "qmark" else "%s"

    def statement(table: Table) -> str:
        names = ", ".join(column.name for column in table.columns)
        values = ", ".join(placeholder for _ in table.columns)
        # Not INSERT OR IGNORE, which would also swallow a NOT NULL that fails.
        return f"INSERT INTO {table.name} ({names}) VALUES ({values}) ON CONFLICT DO NOTHING"

    return statement(journal), statement(calls)


def _entry_row(entry: JournalEntry) -> tuple[object, ...]:
    return (
        entry.run, entry.sequence, entry.kind, entry.call_id, entry.at_ns, entry.wall_ns, entry.contract,
        entry.tariff, entry.agent, entry.billable, entry.side, _json(entry.facts) if entry.facts else "{}",
    )  # fmt: skip


def _call_row(call: CallEnded) -> tuple[object, ...]:
    anchor = call.wall_anchor_ns
    return (
        call.call_id,
        call.run,
        storable(call.origin),
        call.contract,
        call.tariff,
        call.agent,
        storable(call.dialled),
        storable(call.target_number),
        storable(call.caller),
        storable(call.forwarded_from),
        call.forwarding_kind,
        call.result,
        call.end_reason,
        call.status,
        call.billable,
        call.recovered,
        anchor + call.started_ns if call.started_ns else 0,
        anchor + call.rang_ns if call.rang_ns else 0,
        anchor + call.answered_ns if call.answered_ns else 0,
        anchor + call.ended_ns if call.ended_ns else 0,
        call.talked_ns,
        _json(call.media) if call.media else "{}",
    )


def storable(text: str) -> str:
    """Text from the wire as a database takes it: NUL and bytes that were no UTF-8 become question marks.

    One call with such a caller would otherwise keep its whole batch from being written.
    """
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text.replace("\0", "?") if "\0" in text else text


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)


_json: Callable[[object], str] = json.JSONEncoder(separators=(",", ":"), default=_plain, check_circular=False).encode


def replace_tariffs(connection: Connection, new: Iterable[Tariff]) -> None:
    """Make these the tariffs; the caller commits. Tariffs named by old calls should be kept among them."""
    connection.execute(delete(tariffs))
    rows = [
        {
            "name": tariff.name,
            "currency": tariff.currency,
            "per_minute": tariff.per_minute,
            "increment": str(tariff.increment),
            "acceptance": tariff.acceptance,
            "digits": tariff.digits,
        }
        for tariff in new
    ]
    if rows:
        connection.execute(insert(tariffs), rows)


# -- reading ---------------------------------------------------------------------------------------------


def read_tariffs(connection: Connection) -> dict[str, Tariff]:
    """All tariffs by name."""
    return {
        row.name: Tariff(
            name=row.name,
            per_minute=row.per_minute,
            increment=Increment.parse(row.increment),
            acceptance=row.acceptance,
            currency=row.currency,
            digits=row.digits,
        )
        for row in connection.execute(select(tariffs).order_by(tariffs.c.name))
    }


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
    query = select(calls).order_by(calls.c.started_at_ns.desc(), calls.c.call_id)
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
    return [_record(row) for row in connection.execute(query)]


def read_call(connection: Connection, call_id: str) -> CallRecord | None:
    """One ended call, or None."""
    row = connection.execute(select(calls).where(calls.c.call_id == call_id)).first()
    return None if row is None else _record(row)


def read_journal(connection: Connection, *, run: str | None = None, from_sequence: int = 0) -> Iterator[JournalEntry]:
    """The journal in order of ``(run, sequence)``, read as it is consumed."""
    query = select(journal).order_by(journal.c.run, journal.c.sequence)
    if run is not None:
        query = query.where(journal.c.run == run)
    if from_sequence:
        query = query.where(journal.c.sequence >= from_sequence)
    for row in connection.execute(query, execution_options={"yield_per": 1000}):
        yield JournalEntry(**{**row._mapping, "facts": json.loads(row.facts)})


def _record(row: Row[Any]) -> CallRecord:
    return CallRecord(**{**row._mapping, "media": json.loads(row.media)})


# -- after a crash ---------------------------------------------------------------------------------------


def recover(connection: Connection, living: Collection[str] = ()) -> list[CallEnded]:
    """Write the rows of calls that were connected when an earlier run died; the caller commits.

    Called at the start, before this process writes. Each such call is billed to the last instant its journal
    proves and its row says ``recovered``. ``living`` names runs that go on, of other nodes on this database.
    Returns the calls written, none when called again.
    """
    unfinished = _without_row()
    by_run = select(journal.c.run, func.min(journal.c.sequence)).where(unfinished).group_by(journal.c.run)
    recovered: list[CallEnded] = []
    for run, first in connection.execute(by_run).all():
        if run in living:
            continue
        wanted = select(journal.c.call_id).where(unfinished, journal.c.run == run)
        call_ids = set(connection.execute(wanted).scalars())
        by_call: dict[str, list[ConnectedInterval]] = {}
        for interval in connected_intervals(read_journal(connection, run=run, from_sequence=first)):
            if interval.call_id in call_ids:
                by_call.setdefault(interval.call_id, []).append(interval)
        recovered += [_recovered_call(intervals) for intervals in by_call.values()]
    write_batch(connection, recovered)
    return recovered


def prune_journal(connection: Connection, before_ns: int) -> int:
    """Delete journal entries older than ``before_ns`` (wall clock) and return how many; the caller commits.

    Nothing from the oldest unfinished call on is touched: a gap there would cost it its proof.
    """
    oldest = connection.execute(select(func.min(journal.c.wall_ns)).where(_without_row())).scalar()
    limit = before_ns if oldest is None else min(before_ns, oldest)
    return connection.execute(delete(journal).where(journal.c.wall_ns < limit)).rowcount


def _without_row() -> Any:
    return (journal.c.kind == "connected") & ~exists().where(calls.c.call_id == journal.c.call_id)


def _recovered_call(intervals: Sequence[ConnectedInterval]) -> CallEnded:
    first, last = intervals[0], intervals[-1]
    facts = first.facts
    return CallEnded(
        call_id=first.call_id,
        origin=_text(facts, "origin"),
        contract=first.contract,
        tariff=first.tariff,
        agent=last.agent,
        dialled=_text(facts, "dialled"),
        target_number=_text(facts, "target_number"),
        caller=_text(facts, "caller"),
        forwarded_from=_text(facts, "forwarded_from"),
        forwarding_kind=_text(facts, "forwarding_kind"),
        result="answered",
        end_reason=last.side or "recovered",
        status=200,
        billable=first.billable,
        started_ns=_instant(facts, "started_ns") or first.connected_ns,
        rang_ns=_instant(facts, "rang_ns"),
        answered_ns=first.connected_ns,
        ended_ns=last.hung_up_ns,
        run=first.run,
        wall_anchor_ns=first.wall_anchor_ns,
        talked_ns=sum(interval.duration_ns for interval in intervals),
        recovered=True,
    )


def _text(facts: Facts, name: str) -> str:
    value = facts.get(name, "")
    return value if isinstance(value, str) else str(value)


def _instant(facts: Facts, name: str) -> int:
    value = facts.get(name, 0)
    return value if isinstance(value, int) else 0
