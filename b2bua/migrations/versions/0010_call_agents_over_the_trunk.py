"""Agents' phones may be numbers of the public network

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("endpoints", sa.Column("number", sa.String(32), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("endpoints", "number")
