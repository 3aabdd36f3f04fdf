"""The database: one schema for SQLite and PostgreSQL, brought up to date by Alembic when the server starts."""

from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError

from accounting.store import open_engine

_MIGRATIONS = Path(__file__).parent / "migrations"


class DatabaseError(Exception):
    """The database cannot be used; the text says what to do."""


def open_database(url: str) -> Engine:
    """An engine for the URL. Raises DatabaseError for a URL that nobody understands."""
    try:
        return open_engine(url)
    except (ArgumentError, NoSuchModuleError) as error:
        raise DatabaseError(
            f"database.url {_without_password(url)!r} is not understood; write sqlite:///FILE or "
            "postgresql://USER:PASSWORD@HOST/DATABASE"
        ) from error


def upgrade(engine: Engine) -> None:
    """Bring the schema up to date; a database of a newer version is refused. Raises DatabaseError."""
    config = AlembicConfig()
    config.set_main_option("script_location", str(_MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    try:
        with engine.begin() as connection:
            present = MigrationContext.configure(connection).get_current_revision()
            if present == script.get_current_head():
                return
            if present is not None and present not in {item.revision for item in script.walk_revisions()}:
                raise DatabaseError(
                    f"the database has schema {present}, which this version does not know: install a newer b2bua"
                )
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except OperationalError as error:
        raise unreachable(engine, error) from error


def unreachable(engine: Engine, error: OperationalError) -> DatabaseError:
    """What to tell the operator when the database is away."""
    return DatabaseError(
        f"the database {_without_password(str(engine.url))} cannot be reached: {error.orig}\n"
        "Start it, or correct database.url, and try again. Records that wait in the spool are safe; "
        "the next start delivers them."
    )


def _without_password(url: str) -> str:
    start, at, rest = url.rpartition("@")
    scheme, slashes, user = start.partition("://")
    return f"{scheme}{slashes}{user.partition(':')[0]}@{rest}" if at else url
