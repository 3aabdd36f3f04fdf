"""For all tests: a silent log, and one PostgreSQL server for those who need it."""

import logging
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


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
