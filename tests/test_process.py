"""The process: started, drained, killed and started again, as an operator would."""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from accounting.records import CallRecord
from accounting.spool import Spool
from accounting.store import open_engine, read_calls
from b2bua.phone.audio import tone_frames
from b2bua.phone.softphone import PhoneCall, PhoneError, SoftPhone
from tests.call.desk import BUSINESS

COMMAND = [sys.executable, "-c", "from b2bua.cli import main; main()"]
CONFIG = """
[server]
domain = "service.example"
drain_seconds = 20.0

[[listeners]]
name = "main"
host = "127.0.0.1"
port = {port}

[[trunks]]
name = "carrier"
sources = ["127.0.0.2/32"]

[media]
port_min = {media}
port_max = {media_end}

[database]
url = "{database}"

[web]
host = ""
"""


def free_port() -> int:
    """A UDP port that nobody has at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Operator:
    """Runs one server in a folder, and phones around it."""

    def __init__(self, folder: Path, database: str = "") -> None:
        self.folder = folder
        self.port = free_port()
        self.database = database or f"sqlite:///{folder / 'test.db'}"
        self.config = folder / "b2bua.toml"
        media = 21_000 + self.port % 20_000
        self.config.write_text(
            CONFIG.format(port=self.port, database=self.database, media=media, media_end=media + 200)
        )
        (folder / "contracts.toml").write_text(BUSINESS)
        self.log = folder / "log"
        self.server: asyncio.subprocess.Process | None = None
        self.carla = SoftPhone(
            "127.0.0.1", username="carla", password="secret", domain="service.example",
            frames=lambda: tone_frames(880), on_call=lambda call: call.answer(),
        )  # fmt: skip
        self.caller = SoftPhone("127.0.0.2", username="caller", frames=lambda: tone_frames(440))

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``b2bua`` to its end."""
        command = [*COMMAND, *arguments, "--config", str(self.config)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=self.folder, check=False)

    async def start(self) -> None:
        """Start the server and register Carla's phone as soon as it answers."""
        with self.log.open("ab") as log:
            self.server = await asyncio.create_subprocess_exec(
                *COMMAND, "run", "--config", str(self.config), stdout=log, stderr=log, cwd=self.folder
            )
        for _ in range(200):
            try:
                await self.carla.register(("127.0.0.1", self.port))
                return
            except PhoneError:
                assert self.server.returncode is None, self.log.read_text()
                await asyncio.sleep(0.05)
        raise AssertionError(self.log.read_text())

    async def call(self) -> PhoneCall:
        """The carrier's call to Carla, once it is answered."""
        call = self.caller.call(f"sip:+49302000102@127.0.0.1:{self.port}", ("127.0.0.1", self.port))
        async with asyncio.timeout(10):
            await call.answered.wait()
        return call

    async def stopped(self) -> int:
        """The exit code, once there is one."""
        assert self.server is not None
        async with asyncio.timeout(30):
            return await self.server.wait()

    def signal(self, number: signal.Signals) -> None:
        """To the server."""
        assert self.server is not None
        self.server.send_signal(number)

    def calls(self) -> list[CallRecord]:
        """The records in the database."""
        engine = open_engine(self.database)
        with engine.connect() as connection:
            calls = read_calls(connection)
        engine.dispose()
        return calls


async def work(operator: Operator) -> AsyncIterator[Operator]:
    imported = operator.command("import", str(operator.folder / "contracts.toml"))
    assert imported.returncode == 0, imported.stderr
    await operator.carla.start()
    await operator.caller.start()
    try:
        yield operator
    finally:
        await operator.carla.close()
        await operator.caller.close()
        if operator.server is not None and operator.server.returncode is None:
            operator.server.kill()
            await operator.server.wait()
    assert "Traceback" not in operator.log.read_text()


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    async for working in work(Operator(tmp_path)):
        yield working


async def test_a_drained_server_lets_the_last_call_end(operator: Operator) -> None:
    await operator.start()
    call = await operator.call()
    operator.signal(signal.SIGTERM)
    refused = operator.caller.call(f"sip:+49302000102@127.0.0.1:{operator.port}", ("127.0.0.1", operator.port))
    async with asyncio.timeout(10):
        await refused.ended.wait()
    assert refused.status == 503
    assert not call.ended.is_set()
    call.hangup()
    assert await operator.stopped() == 0
    (record,) = operator.calls()
    assert (record.result, record.end_reason) == ("answered", "caller_hung_up")


async def test_a_second_signal_says_bye_to_everybody(operator: Operator) -> None:
    await operator.start()
    call = await operator.call()
    operator.signal(signal.SIGTERM)
    while "draining" not in operator.log.read_text():
        await asyncio.sleep(0.02)
    operator.signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        await call.ended.wait()
    assert call.cause == "bye"
    assert await operator.stopped() == 0
    (record,) = operator.calls()
    assert (record.result, record.end_reason) == ("answered", "shutdown")


async def _killed_and_recovered(operator: Operator) -> None:
    await operator.start()
    call = await operator.call()
    # two heartbeats prove the first second of it
    await asyncio.sleep(2.5)
    operator.signal(signal.SIGKILL)
    await operator.stopped()
    assert operator.calls() == []
    await operator.start()
    (record,) = operator.calls()
    assert (record.result, record.recovered, record.agent) == ("answered", True, "carla")
    assert 1.0 < record.talked_ns / 1e9 < 2.7
    call.hangup()
    operator.signal(signal.SIGTERM)
    assert await operator.stopped() == 0
    assert operator.calls() == [record]


async def test_kill_9_bills_to_the_last_proven_instant(operator: Operator) -> None:
    await _killed_and_recovered(operator)


async def test_kill_9_with_postgresql(tmp_path: Path, postgresql: str) -> None:
    engine = open_engine(postgresql)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("CREATE DATABASE process_test")
    engine.dispose()
    database = postgresql.replace("/postgres?", "/process_test?")
    async for operator in work(Operator(tmp_path, database)):
        await _killed_and_recovered(operator)


async def test_new_business_data_are_followed_without_a_restart(operator: Operator) -> None:
    await operator.start()
    call = await operator.call()
    changed = operator.folder / "changed.toml"
    changed.write_text(BUSINESS.replace("+49302000102", "+49302000777"))
    assert operator.command("import", str(changed)).returncode == 0
    async with asyncio.timeout(10):
        while "business_data_changed" not in operator.log.read_text():
            await asyncio.sleep(0.05)
    other = operator.caller.call(f"sip:+49302000102@127.0.0.1:{operator.port}", ("127.0.0.1", operator.port))
    async with asyncio.timeout(10):
        await other.ended.wait()
    assert other.status == 404
    assert not call.ended.is_set(), "live calls are not touched"
    call.hangup()
    async with asyncio.timeout(10):
        await call.ended.wait()


async def test_garbage_does_not_stop_the_server(operator: Operator) -> None:
    await operator.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as vandal:
        for size in range(0, 1400, 7):
            vandal.sendto(bytes((size * 7 + index * 31) % 256 for index in range(size)), ("127.0.0.1", operator.port))
        vandal.sendto(b"INVITE sip:x SIP/2.0\r\n" + b"Via: \r\n" * 300, ("127.0.0.1", operator.port))
    call = await operator.call()
    call.hangup()
    async with asyncio.timeout(10):
        await call.ended.wait()


def test_a_taken_port_is_told_plainly(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", operator.port))
        ended = operator.command("run")
    assert ended.returncode == 1
    assert "listener 'main'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_database_that_is_away_at_the_start_is_told_with_advice(tmp_path: Path) -> None:
    ended = Operator(tmp_path, f"postgresql://b2bua@/b2bua?host={tmp_path}").command("run")
    assert ended.returncode == 1
    assert "cannot be reached" in ended.stderr
    assert "Start it, or correct database.url" in ended.stderr
    assert "spool are safe" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_second_server_on_the_same_spool_is_refused(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    spool = Spool(tmp_path / "test-spool.db", reserve=0)
    ended = operator.command("run")
    spool.close()
    assert ended.returncode == 1
    assert "another server's" in ended.stderr
    assert "Traceback" not in ended.stderr
