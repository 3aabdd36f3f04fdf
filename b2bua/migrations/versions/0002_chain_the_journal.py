"""Chain the journal; calls know their segments

Revision ID: 0002
Revises: 0001

The old journal becomes the beginning of the chain: its entries by the time they were written, each old call as the
record that ends it.
"""

import json
from collections.abc import Iterator
from secrets import token_hex
from typing import Any

import sqlalchemy as sa
from alembic import op

from accounting.chain import GENESIS, canonical, digest, record_hash

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_POSITION = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.rename_table("journal", "journal_0001")
    op.rename_table("calls", "calls_0001")
    op.drop_index("calls_contract_started", "calls_0001")
    op.drop_index("calls_started", "calls_0001")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER INDEX journal_pkey RENAME TO journal_0001_pkey")
        op.execute("ALTER INDEX calls_pkey RENAME TO calls_0001_pkey")
    journal = op.create_table(
        "journal",
        sa.Column("position", _POSITION, autoincrement=False, nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("personal", sa.Text(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("position"),
        sa.UniqueConstraint("run", "sequence"),
    )
    head = op.create_table(
        "journal_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "declarations",
        sa.Column("position", _POSITION, autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("declarations_subject", "declarations", ["kind", "subject"], unique=False)
    op.create_table(
        "open_calls",
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("call_id"),
    )
    calls = op.create_table(
        "calls",
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("contract", sa.Text(), nullable=False),
        sa.Column("tariff", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("dialled", sa.Text(), nullable=False),
        sa.Column("target_number", sa.Text(), nullable=False),
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("forwarded_from", sa.Text(), nullable=False),
        sa.Column("forwarding_kind", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("end_reason", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("billable", sa.Boolean(), nullable=False),
        sa.Column("recovered", sa.Boolean(), nullable=False),
        sa.Column("corrected", sa.Boolean(), nullable=False),
        sa.Column("forgotten", sa.Boolean(), nullable=False),
        sa.Column("started_at_ns", sa.BigInteger(), nullable=False),
        sa.Column("rang_at_ns", sa.BigInteger(), nullable=False),
        sa.Column("accepted_at_ns", sa.BigInteger(), nullable=False),
        sa.Column("answered_at_ns", sa.BigInteger(), nullable=False),
        sa.Column("ended_at_ns", sa.BigInteger(), nullable=False),
        sa.Column("talked_ns", sa.BigInteger(), nullable=False),
        sa.Column("segments", sa.Text(), nullable=False),
        sa.Column("media", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("call_id"),
    )
    op.create_index("calls_contract_started", "calls", ["contract", "started_at_ns"], unique=False)
    op.create_index("calls_started", "calls", ["started_at_ns"], unique=False)
    _move(journal, head, calls)
    op.drop_table("journal_0001")
    op.drop_table("calls_0001")


def _move(journal: sa.Table, head: sa.Table, calls: sa.Table) -> None:
    connection = op.get_bind()
    end = GENESIS
    position = 0
    rows: list[dict[str, Any]] = []
    for record in (*_old_entries(connection), *_old_calls(connection)):
        position += 1
        end = record_hash(
            end, position, record["run"], record["sequence"], record["kind"], record["call_id"], record["at_ns"],
            record["wall_ns"], record["content"],
        )  # fmt: skip
        rows.append({"position": position, **record, "hash": end})
        if len(rows) == 1000:
            connection.execute(journal.insert(), rows)
            rows = []
    if rows:
        connection.execute(journal.insert(), rows)
    connection.execute(head.insert().values(id=1, position=position, hash=end))
    connection.execute(
        sa.text(
            "INSERT INTO calls SELECT call_id, '0001', origin, contract, tariff, agent, dialled, target_number, "
            "caller, forwarded_from, forwarding_kind, result, end_reason, status, billable, recovered, :no, :no, "
            "started_at_ns, rang_at_ns, 0, answered_at_ns, ended_at_ns, talked_ns, '[]', media FROM calls_0001"
        ),
        {"no": False},
    )
    for call in connection.execute(sa.text("SELECT * FROM calls_0001 WHERE talked_ns > 0")).all():
        segments = canonical(_segments(call))
        connection.execute(calls.update().where(calls.c.call_id == call.call_id).values(segments=segments))
    connection.execute(
        sa.text(
            "INSERT INTO open_calls SELECT call_id, run, min(sequence) FROM journal_0001 WHERE kind = 'connected' AND "
            "call_id NOT IN (SELECT call_id FROM calls_0001) GROUP BY call_id, run"
        )
    )


def _old_entries(connection: sa.Connection) -> Iterator[dict[str, Any]]:
    query = sa.text("SELECT * FROM journal_0001 ORDER BY run, sequence")
    for row in connection.execute(query).all():
        record = {
            "run": row.run, "sequence": row.sequence, "kind": row.kind, "call_id": row.call_id, "at_ns": row.at_ns,
            "wall_ns": row.wall_ns, "content": "{}", "personal": "",
        }  # fmt: skip
        if row.kind == "connected":
            facts = json.loads(row.facts)
            record["personal"], digests = _apart(facts.get("caller", ""), facts.get("forwarded_from", ""))
            content = {
                "agent": row.agent, "billable": bool(row.billable), "contract": row.contract, "tariff": row.tariff,
                "facts": {**facts, **digests},
            }  # fmt: skip
            record["content"] = canonical(content)
        elif row.kind == "hung_up":
            record["content"] = canonical({"side": row.side})
        yield record


def _old_calls(connection: sa.Connection) -> Iterator[dict[str, Any]]:
    """Old calls were no entries of the journal: they end it, as a run of their own."""
    query = sa.text("SELECT * FROM calls_0001 ORDER BY ended_at_ns, call_id")
    for sequence, row in enumerate(connection.execute(query).all(), start=1):
        personal, digests = _apart(row.caller, row.forwarded_from)
        content = {
            "accepted_ns": 0, "agent": row.agent, "answered_ns": row.answered_at_ns, "billable": bool(row.billable),
            "contract": row.contract, "dialled": row.dialled, "end_reason": row.end_reason,
            "ended_ns": row.ended_at_ns, "forwarding_kind": row.forwarding_kind, "media": json.loads(row.media),
            "origin": row.origin, "rang_ns": row.rang_at_ns, "recovered": bool(row.recovered), "result": row.result,
            "segments": _segments(row), "started_ns": row.started_at_ns, "status": row.status,
            "talked_ns": row.talked_ns, "target_number": row.target_number, "tariff": row.tariff,
            "wall_anchor_ns": 0, **digests,
        }  # fmt: skip
        yield {
            "run": "0001", "sequence": sequence, "kind": "ended", "call_id": row.call_id, "at_ns": row.ended_at_ns,
            "wall_ns": row.ended_at_ns, "content": canonical(content), "personal": personal,
        }  # fmt: skip


def _segments(row: Any) -> list[list[object]]:
    if not row.talked_ns:
        return []
    return [[row.agent, "talk", row.answered_at_ns, row.answered_at_ns + row.talked_ns]]


def _apart(caller: str, forwarded_from: str) -> tuple[str, dict[str, str]]:
    if not (caller or forwarded_from):
        return "", {"caller": "", "forwarded_from": ""}
    salt = token_hex(16)
    return canonical({"caller": caller, "forwarded_from": forwarded_from, "salt": salt}), {
        "caller": digest(salt, "caller", caller),
        "forwarded_from": digest(salt, "forwarded_from", forwarded_from),
    }


def downgrade() -> None:
    raise NotImplementedError("the chain cannot be undone: restore the backup from before the upgrade")
