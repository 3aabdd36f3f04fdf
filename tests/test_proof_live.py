"""A real server's books, proved: signed when it ends, audited with the public key alone, and a changed bit is named."""

import signal
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.test_process import Operator, work


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    async for working in work(Operator(tmp_path)):
        yield working


async def test_books_of_a_real_server_are_proved_and_a_changed_bit_is_found(operator: Operator) -> None:
    await operator.start()
    for _ in range(2):
        call = await operator.call()
        call.hangup()
        await call.ended.wait()
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
