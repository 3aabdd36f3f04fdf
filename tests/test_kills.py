"""A real server under real calls, killed with signal 9 twenty times: the books against what the phones saw."""

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from accounting.records import CallRecord
from accounting.store import open_engine, read_calls
from b2bua.phone.audio import tone_frames
from b2bua.phone.softphone import PhoneCall, SoftPhone
from tests.test_process import COMMAND, CONFIG, free_port

KILLS = 20
LINES = 6
#: Seconds: between two heartbeats, until a record is durable, and what a busy machine may add to either.
HEARTBEAT = 1.0
COMMIT = 0.05
SLACK = 0.4

_AGENT = """
[[agents]]
id = "agent{line}"
name = "Agent {line}"
endpoints = [{{ contact = "sip:agent{line}@127.0.0.3:{port}" }}]

[[contracts]]
id = "contract{line}"
customer = "Customer {line}"
target_numbers = ["+4930200010{line}"]
plan = [{{ agent = "agent{line}", ring_seconds = 20 }}]
tariff = "minute"
"""
_TARIFF = """
[[tariffs]]
name = "minute"
per_minute = "1.00"
increment = "60/60"
"""
#: Forks a server that has everything imported: a real process, there in a moment.
_FORGE = """
import os, sys
import b2bua.app, b2bua.cli, b2bua.web.server, alembic.command, sqlalchemy.dialects.sqlite
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        sys.argv = ["b2bua", "run", "--config", line.strip()]
        code = 1
        try:
            b2bua.cli.main()
        except SystemExit as ended:
            code = ended.code or 0
        os._exit(code)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@dataclass
class Talk:
    """One conversation as a phone saw it: monotonic seconds; ``end`` is the kill if that came first."""

    caller: str
    begin: float
    end: float = 0.0


class Torture:
    """A server that is killed and started again, a desk of agents, and callers."""

    def __init__(self, folder: Path) -> None:
        self.random = random.Random(20)
        self.folder = folder
        self.port = free_port()
        self.database = f"sqlite:///{folder / 'test.db'}"
        self.config = folder / "b2bua.toml"
        media = 21_000 + self.port % 20_000
        self.config.write_text(
            CONFIG.format(port=self.port, database=self.database, media=media, media_end=media + 200)
        )
        self.log = folder / "log"
        self.desk = SoftPhone("127.0.0.3", username="desk", frames=lambda: tone_frames(880), on_call=self.ring)
        self.at_the_desk: list[tuple[Talk, PhoneCall]] = []
        self.callers: list[Talk] = []
        self.forge: asyncio.subprocess.Process | None = None
        self.pid = 0
        self.starts = 0
        self.placed = 0
        self.kills: list[float] = []

    async def import_business(self) -> None:
        port = self.desk.address[1]
        text = _TARIFF + "".join(_AGENT.format(line=line, port=port) for line in range(LINES))
        (self.folder / "contracts.toml").write_text(text)
        command = [*COMMAND, "import", str(self.folder / "contracts.toml"), "--config", str(self.config)]
        imported = await asyncio.create_subprocess_exec(*command, cwd=self.folder)
        assert await imported.wait() == 0

    def ring(self, call: PhoneCall) -> None:
        """The desk answers everybody at once."""
        call.answer()
        self.at_the_desk.append((Talk(number_of(call), call.answered_at), call))

    async def _line(self) -> int:
        assert self.forge is not None
        assert self.forge.stdout is not None
        async with asyncio.timeout(30):
            return int(await self.forge.stdout.readline())

    async def start(self) -> None:
        """Start the server and wait until it is ready."""
        if self.forge is None:
            with self.log.open("ab") as log:
                self.forge = await asyncio.create_subprocess_exec(
                    sys.executable, "-c", _FORGE, cwd=self.folder, stderr=log,
                    stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                )  # fmt: skip
        assert self.forge.stdin is not None
        self.forge.stdin.write(f"{self.config}\n".encode())
        self.pid = await self._line()
        self.starts += 1
        async with asyncio.timeout(30):
            while self.log.read_text().count(" ready ") < self.starts:
                await asyncio.sleep(0.02)

    async def call(self, phone: SoftPhone, line: int) -> None:
        """Call again and again, talk for a while, hang up."""
        server = ("127.0.0.1", self.port)
        while True:
            await asyncio.sleep(self.random.uniform(0.0, 0.2))
            number = f"+49401{self.placed:06d}"  # nobody calls twice
            self.placed += 1
            called = f"sip:+4930200010{line}@127.0.0.1:{self.port}"
            call = phone.call(called, server, caller=f"<sip:{number}@127.0.0.2>")
            await call.answered.wait()
            talk = Talk(number, call.answered_at)
            self.callers.append(talk)
            await asyncio.sleep(self.random.choice((0.05, 0.3, 1.0, 5.0)))
            talk.end = time.monotonic()
            call.hangup()
            await call.ended.wait()

    async def round(self) -> None:
        """Start, take calls, die."""
        await self.start()
        phone = SoftPhone("127.0.0.2", username="caller", frames=lambda: tone_frames(440))
        await phone.start()
        tasks = [asyncio.create_task(self.call(phone, line)) for line in range(LINES)]
        await asyncio.sleep(self.random.uniform(0.3, 3.0))
        killed_at = time.monotonic()
        os.kill(self.pid, signal.SIGKILL)
        self.kills.append(killed_at)
        assert await self._line() == -signal.SIGKILL
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for talk in self.callers:
            talk.end = min(talk.end or killed_at, killed_at)
        self.close_the_desk(killed_at)
        await phone.close()

    def close_the_desk(self, at: float) -> None:
        """Nobody talks any more."""
        for talk, call in self.at_the_desk:
            if not talk.end:
                talk.end = call.ended_at or at
                if not call.ended.is_set():
                    call.hangup()

    def records(self) -> list[CallRecord]:
        engine = open_engine(self.database)
        with engine.connect() as connection:
            found = [record for record in read_calls(connection) if record.result == "answered"]
        engine.dispose()
        return found


@pytest.fixture
async def torture(tmp_path: Path) -> AsyncIterator[Torture]:
    made = Torture(tmp_path)
    await made.desk.start()
    await made.import_business()
    try:
        yield made
    finally:
        await made.desk.close()
        if made.forge is not None and made.forge.returncode is None:
            made.forge.kill()
            await made.forge.wait()
    assert "Traceback" not in made.log.read_text()


def number_of(call: PhoneCall) -> str:
    """The caller's number, as the agent's phone shows it."""
    return call.caller.uri.removeprefix("sip:").partition("@")[0]


async def test_twenty_kills(torture: Torture) -> None:
    for _ in range(KILLS):
        await torture.round()
    await torture.start()
    os.kill(torture.pid, signal.SIGTERM)
    assert await torture._line() == 0

    records = {record.caller: record for record in torture.records()}
    assert len(records) == len(torture.records()), "billed twice"
    desk = {talk.caller: talk for talk, _ in torture.at_the_desk}
    assert records.keys() <= desk.keys(), "billed what no agent answered"
    for caller, record in records.items():
        # The agent's phone said 200 before the server heard it, and heard the BYE after the server had.
        heard = desk[caller]
        assert record.talked_ns / 1e9 <= heard.end - heard.begin + 0.005, (record.recovered, record.end_reason)
    for talk in torture.callers:
        if talk.caller in records:
            billed = records[talk.caller].talked_ns / 1e9
            assert billed >= talk.end - talk.begin - HEARTBEAT - COMMIT - SLACK
        else:
            age = min(killed - talk.begin for killed in torture.kills if killed >= talk.begin)
            assert age < COMMIT + SLACK, "a durable call is not billed"
    recovered = [record for record in records.values() if record.recovered]
    assert len(recovered) >= KILLS
    assert len(records) > 3 * KILLS
    billed_in_all = sum(record.talked_ns for record in records.values()) / 1e9
    heard_in_all = sum(talk.end - talk.begin for talk in desk.values())
    assert heard_in_all >= billed_in_all >= heard_in_all - (HEARTBEAT + COMMIT + SLACK) * len(desk)
    print(f"{len(records)} calls, {len(recovered)} recovered; heard {heard_in_all:.3f} s, billed {billed_in_all:.3f} s")
