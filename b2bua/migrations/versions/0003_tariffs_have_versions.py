"""Tariffs have versions, and stand in the journal

Revision ID: 0003
Revises: 0002

Each old tariff becomes one with a single version that holds from the beginning. They are written into the journal, as
every import does from now on, so that old calls can be rated from the journal alone too.
"""

import time
from decimal import Decimal

import sqlalchemy as sa
from alembic import op

from accounting.chain import canonical, record_hash

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    # SQLite keeps the prices as text, so they come out exact everywhere
    query = sa.text(
        "SELECT name, currency, CAST(per_minute AS TEXT) AS per_minute, increment, "
        "CAST(acceptance AS TEXT) AS acceptance, digits FROM tariffs ORDER BY name"
    )
    old = [
        {
            "name": row.name,
            "currency": row.currency,
            "versions": [
                {
                    "increment": row.increment,
                    "per_minute": _price(row.per_minute),
                    "acceptance": _price(row.acceptance),
                    "digits": row.digits,
                }
            ],
        }
        for row in connection.execute(query).all()
    ]
    op.drop_table("tariffs")
    tariffs = op.create_table(
        "tariffs",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("versions", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    if old:
        rows = [
            {**tariff, "position": position, "versions": canonical(tariff["versions"])}
            for position, tariff in enumerate(old)
        ]
        connection.execute(tariffs.insert(), rows)
        _declare(connection, canonical({"tariffs": old}))


def _price(text: str) -> str:
    """As the exchange writes prices: no needless zeros."""
    plain = f"{Decimal(text):f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _declare(connection: sa.Connection, content: str) -> None:
    end = connection.execute(sa.text("SELECT position, hash FROM journal_head")).one()
    wall_ns = time.time_ns()
    position = end.position + 1
    own = record_hash(end.hash, position, "0003", 1, "tariffs", "", 0, wall_ns, content)
    connection.execute(
        sa.text(
            "INSERT INTO journal (position, run, sequence, kind, call_id, at_ns, wall_ns, content, personal, hash) "
            "VALUES (:position, '0003', 1, 'tariffs', '', 0, :wall_ns, :content, '', :hash)"
        ),
        {"position": position, "wall_ns": wall_ns, "content": content, "hash": own},
    )
    connection.execute(
        sa.text("INSERT INTO declarations (position, kind, subject) VALUES (:position, 'tariffs', '')"),
        {"position": position},
    )
    connection.execute(
        sa.text("UPDATE journal_head SET position = :position, hash = :hash"), {"position": position, "hash": own}
    )


def downgrade() -> None:
    raise NotImplementedError("the chain cannot be undone: restore the backup from before the upgrade")
