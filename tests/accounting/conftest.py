"""Databases for the store's tests: a SQLite file each, and PostgreSQL where its programs are installed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from accounting.store import create_tables, open_engine
from accounting.tables import metadata


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database of each kind."""
    if request.param == "sqlite":
        made = open_engine(f"sqlite:///{tmp_path / 'b2bua.db'}")
    else:
        made = open_engine(request.getfixturevalue("postgresql"))
        metadata.drop_all(made)
    create_tables(made)
    yield made
    made.dispose()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Engine]:
    """An empty SQLite database."""
    made = open_engine(f"sqlite:///{tmp_path / 'b2bua.db'}")
    create_tables(made)
    yield made
    made.dispose()
