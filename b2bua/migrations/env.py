"""Runs migrations on the connection that ``b2bua.database.upgrade`` hands over."""

from alembic import context
from sqlalchemy import Connection

import accounting.tables
import routing.store


def run() -> None:
    """Upgrade inside the caller's transaction: all of it or nothing."""
    connection: Connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=[accounting.tables.metadata, routing.store.metadata],
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


run()
