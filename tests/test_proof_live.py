"""A real server's books, proved: signed when it ends, audited with the public key alone, and a changed bit is named."""

import asyncio
import json
import re
import signal
import socket
import sqlite3
import urllib.request
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.test_process import Operator, work


class Watched(Operator):
    """With metrics and health."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.web: int = probe.getsockname()[1]
        config = self.config.read_text().replace('[web]\nhost = ""', f'[web]\nhost = "127.0.0.1"\nport = {self.web}')
        self.config.write_text(config)

    async def told(self, path: str) -> str:
        """What the server tells its watchers."""

        def fetch() -> bytes:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.web}{path}", timeout=10) as answer:
                return bytes(answer.read())

        return (await asyncio.to_thread(fetch)).decode()


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Watched]:
    made = Watched(tmp_path)
    async for _ in work(made):
        yield made


async def test_books_of_a_real_server_are_proved_and_a_changed_bit_is_found(operator: Watched) -> None:
    await operator.start()
    for _ in range(2):
        call = await operator.call()
        call.hangup()
        await call.ended.wait()
    health, metrics = json.loads(await operator.told("/health")), await operator.told("/metrics")
    assert health["journal_wrong"] == ""
    assert datetime.fromisoformat(health["journal_signed"]).tzinfo is not None
    (age,) = re.findall(r"^b2bua_journal_checkpoint_age_seconds ([0-9.]+)$", metrics, re.MULTILINE)
    assert 0.0 <= float(age) < 120.0
    operator.signal(signal.SIGTERM)
    assert await operator.stopped() == 0

    shown = operator.command("accounting", "public-key")
    assert shown.returncode == 0, shown.stderr
    key = operator.folder / "public.pem"
    key.write_text(shown.stdout)
    journal = operator.folder / "journal.jsonl"
    assert operator.command("accounting", "export", str(journal)).returncode == 0
    audited = operator.command("audit", str(journal), "--public-key", str(key))
    assert audited.returncode == 0, audited.stdout + audited.stderr
    assert "0 records before the end" in audited.stdout + audited.stderr

    audited = operator.command("audit")
    assert audited.returncode == 0, audited.stdout + audited.stderr
    assert "nothing disagrees" in audited.stdout

    # What the disk, or somebody with an editor for bytes, does: one bit of a second that was talked.
    database = operator.folder / "test.db"
    with sqlite3.connect(database) as books:
        position, content = books.execute("SELECT position, content FROM journal WHERE kind = 'ended'").fetchone()
        books.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    books.close()
    octets = bytearray(database.read_bytes())
    at = octets.index(content.encode()) + content.encode().index(b'"talked_ns":') + len('"talked_ns":')
    octets[at] ^= 1
    database.write_bytes(octets)
    audited = operator.command("audit")
    assert audited.returncode == 1
    assert f"record {position}" in audited.stdout + audited.stderr
