"""Give contracts a colour, and conditions: hours, callers, kinds of forwarding

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("contracts", sa.Column("colour", sa.String(length=7), nullable=False, server_default=""))
    op.add_column("contracts", sa.Column("conditions", sa.Text(), nullable=False, server_default="{}"))


def downgrade() -> None:
    op.drop_column("contracts", "conditions")
    op.drop_column("contracts", "colour")
