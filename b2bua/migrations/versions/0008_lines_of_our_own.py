"""Lines of our own, and what they are forwarded to

Revision ID: 0008
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lines",
        sa.Column("number", sa.String(16), primary_key=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("username", sa.String(64), nullable=False, unique=True),
        sa.Column("realm", sa.Text(), nullable=False),
        sa.Column("ha1_md5", sa.String(32), nullable=False),
        sa.Column("ha1_sha256", sa.String(64), nullable=False),
        sa.Column("algorithms", sa.String(32), nullable=False),
        sa.Column("language", sa.String(64), nullable=False),
        sa.Column("no_answer_seconds", sa.Integer(), nullable=False),
        sa.Column("may_forward_to", sa.Text(), nullable=False),
        sa.Column("may_call", sa.Text(), nullable=False),
    )
    op.create_table(
        "line_forwardings",
        sa.Column("line", sa.String(16), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("number", sa.String(32), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("changed_at_ns", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_line_forwardings_changed_at_ns", "line_forwardings", ["changed_at_ns"])


def downgrade() -> None:
    op.drop_table("line_forwardings")
    op.drop_table("lines")
