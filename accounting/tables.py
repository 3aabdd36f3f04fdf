"""The tables of journal, calls and tariffs; one schema for SQLite and PostgreSQL."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()

# SQLite keeps a table in the order of a key that it calls INTEGER, and of no other.
_POSITION = BigInteger().with_variant(Integer(), "sqlite")

#: The chain of all records, whoever wrote them: see :mod:`accounting.chain`.
journal = Table(
    "journal",
    metadata,
    Column("position", _POSITION, primary_key=True, autoincrement=False),
    Column("run", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("call_id", Text, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Column("content", Text, nullable=False),
    Column("personal", Text, nullable=False),
    Column("hash", String(64), nullable=False),
    UniqueConstraint("run", "sequence"),
)

#: Where the chain ends. Whoever appends holds this row, so that the chain has one end.
journal_head = Table(
    "journal_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
)

#: Only records that still have numbers stand in it: those to be forgotten are found without reading the journal.
Index(
    "journal_personal",
    journal.c.wall_ns,
    sqlite_where=text("personal <> ''"),
    postgresql_where=text("personal <> ''"),
)

#: Signed statements of where the chain stood: :class:`accounting.checkpoint.Checkpoint`.
checkpoints = Table(
    "checkpoints",
    metadata,
    Column("number", _POSITION, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("statement", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("key", String(64), nullable=False),
    Column("signature", String(128), nullable=False),
)

#: What the back office declared, by what it is about: tariffs, statements, corrections.
declarations = Table(
    "declarations",
    metadata,
    Column("position", _POSITION, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Index("declarations_subject", "kind", "subject"),
)

#: Calls that were connected and have not ended: all that recovery must look at after a crash.
open_calls = Table(
    "open_calls",
    metadata,
    Column("call_id", Text, primary_key=True),
    Column("run", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
)

#: One row a call, derived from the journal.
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
    Column("corrected", Boolean, nullable=False),
    Column("forgotten", Boolean, nullable=False),
    Column("started_at_ns", BigInteger, nullable=False),
    Column("rang_at_ns", BigInteger, nullable=False),
    Column("accepted_at_ns", BigInteger, nullable=False),
    Column("answered_at_ns", BigInteger, nullable=False),
    Column("ended_at_ns", BigInteger, nullable=False),
    Column("talked_ns", BigInteger, nullable=False),
    Column("segments", Text, nullable=False),
    Column("media", Text, nullable=False),
    Index("calls_started", "started_at_ns"),
    Index("calls_contract_started", "contract", "started_at_ns"),
)

#: As :func:`accounting.tariff.tariff_content` has them; ``versions`` is a JSON array, ``position`` the file's order.
tariffs = Table(
    "tariffs",
    metadata,
    Column("name", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("versions", Text, nullable=False),
)
