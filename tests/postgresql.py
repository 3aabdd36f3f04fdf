"""A PostgreSQL server of our own, on a Unix socket in a folder of its own: no port, no password."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest


def _server_programs() -> Path | None:
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


def _unprivileged() -> list[str]:
    """PostgreSQL refuses to run as root."""
    return [] if os.geteuid() else ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


class PostgreSQLServer:
    """Made and started; may be stopped and started again. Skips the test where there is no PostgreSQL."""

    def __init__(self) -> None:
        programs = _server_programs()
        if programs is None:
            pytest.skip("PostgreSQL is not installed")
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="b2bua-pg"))  # short: a socket's path has at most 107 bytes
        self._data = self._folder / "data"
        self.url = f"postgresql://b2bua@/postgres?host={self._folder}"
        try:
            if not os.geteuid():
                try:
                    owner = pwd.getpwnam("postgres")
                except KeyError:
                    pytest.skip("PostgreSQL will not run as root, and there is no user postgres")
                os.chown(self._folder, owner.pw_uid, owner.pw_gid)
            self._run("initdb", "-U", "b2bua", "-A", "trust", "-E", "UTF8", "--no-sync")
            self.start()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def _run(self, program: str, *arguments: str) -> None:
        command = [*_unprivileged(), str(self._programs / program), "-D", str(self._data), *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=self._folder, timeout=60)

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = f"-c listen_addresses='' -c fsync=off -k {self._folder}"
        self._run("pg_ctl", "-o", options, "-l", str(self._folder / "log"), "-w", "start")

    def stop(self) -> None:
        """As if the machine died: connections are cut."""
        self._run("pg_ctl", "-m", "immediate", "-w", "stop")

    def remove(self) -> None:
        """Stop, and leave nothing behind."""
        try:
            self.stop()
        except subprocess.CalledProcessError:
            pass  # stopped already
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
