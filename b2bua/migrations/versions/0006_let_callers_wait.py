"""Let callers wait: rules of contracts, steps, agents and groups beside their columns

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TABLES = ("contracts", "plan_steps", "agents", "groups")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("rules", sa.Text(), nullable=False, server_default="{}"))


def downgrade() -> None:
    for table in _TABLES:
        op.drop_column(table, "rules")
