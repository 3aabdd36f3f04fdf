"""Databases for the store's tests: SQLite always, PostgreSQL where its programs are installed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, make_url

from routing.store import metadata


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database of each kind."""
    if request.param == "memory":
        made = create_engine("sqlite://")
    elif request.param == "sqlite":
        made = create_engine(f"sqlite:///{tmp_path / 'b2bua.db'}")
    else:
        url = make_url(request.getfixturevalue("postgresql"))
        made = create_engine(url.set(drivername="postgresql+psycopg"))
        metadata.drop_all(made)
    metadata.create_all(made)
    yield made
    made.dispose()
