"""Databases for the store's tests: a SQLite file each, and one PostgreSQL server where its programs are installed."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from accounting.store import create_tables, metadata, open_engine


def _server_programs() -> Path | None:
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


def _unprivileged() -> list[str]:
    """PostgreSQL refuses to run as root."""
    return [] if os.geteuid() else ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a server of our own, on a Unix socket in a folder of its own: no port, no password."""
    programs = _server_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    folder = Path(tempfile.mkdtemp(prefix="b2bua-pg"))  # short: a socket's path has at most 107 bytes
    try:
        if not os.geteuid():
            try:
                owner = pwd.getpwnam("postgres")
            except KeyError:
                pytest.skip("PostgreSQL will not run as root, and there is no user postgres")
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        data = folder / "data"

        def run(*command: str) -> None:
            subprocess.run([*_unprivileged(), *command], check=True, capture_output=True, cwd=folder, timeout=60)

        run(str(programs / "initdb"), "-D", str(data), "-U", "b2bua", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-c listen_addresses='' -c fsync=off -k {folder}"
        run(str(programs / "pg_ctl"), "-D", str(data), "-o", options, "-l", str(folder / "log"), "-w", "start")
        try:
            yield f"postgresql://b2bua@/postgres?host={folder}"
        finally:
            run(str(programs / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
