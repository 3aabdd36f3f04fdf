"""Lines of our own in the running server: dialled, kept over a restart, set from the command line."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from b2bua.phone.audio import tone_frames
from b2bua.phone.softphone import PhoneCall, SoftPhone
from tests.test_process import Operator, work

LINE = "+493045050100"
LINES = f"""
[[lines]]
number = "{LINE}"
name = "Praxis Winter"
username = "winter"
password = "secret"
"""


class LineOperator(Operator):
    """With a line, and a phone for it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        contracts = folder / "contracts.toml"
        contracts.write_text(contracts.read_text() + LINES)
        self.line = SoftPhone(
            "127.0.0.3", username="winter", password="secret", domain="service.example",
            frames=lambda: tone_frames(660), on_call=lambda call: call.refuse(486),
        )  # fmt: skip

    async def dial(self, phone: SoftPhone, user: str) -> PhoneCall:
        """Dial, and wait until it is over."""
        call = phone.call(f"sip:{user}@127.0.0.1:{self.port}", ("127.0.0.1", self.port))
        async with asyncio.timeout(20):
            await call.ended.wait()
        return call

    async def forwarded_kind(self) -> str:
        """What the contract's agent was shown when the carrier called the line."""
        call = self.caller.call(f"sip:{LINE}@127.0.0.1:{self.port}", ("127.0.0.1", self.port))
        async with asyncio.timeout(10):
            await call.answered.wait()
        call.hangup()
        async with asyncio.timeout(10):
            await call.ended.wait()
            while len(self.calls()) == self.seen:
                await asyncio.sleep(0.05)
        newest = self.calls()[0]
        self.seen = len(self.calls())
        return newest.forwarding_kind

    seen = 0


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[LineOperator]:
    async for working in work(LineOperator(tmp_path)):
        assert isinstance(working, LineOperator)
        await working.line.start()
        try:
            yield working
        finally:
            await working.line.close()


async def test_a_dialled_forwarding_outlives_the_server_and_is_changed_from_outside(operator: LineOperator) -> None:
    await operator.start()
    await operator.line.register(("127.0.0.1", operator.port))
    dialled = await operator.dial(operator.line, "*67*+49302000102%23")
    assert (dialled.cause, dialled.answered.is_set()) == ("bye", True)
    while not operator.calls():
        await asyncio.sleep(0.05)
    (code,) = operator.calls()
    assert (code.result, code.contract, code.origin) == ("code", "", "line:winter")
    operator.seen = 1
    assert await operator.forwarded_kind() == "busy"

    operator.signal(signal.SIGKILL)
    await operator.stopped()
    await operator.start()
    await operator.line.register(("127.0.0.1", operator.port))
    assert await operator.forwarded_kind() == "busy"

    done = await asyncio.to_thread(
        operator.command, "lines", LINE, "--clear", "all", "--set", "unconditional=+49302000102"
    )
    assert done.returncode == 0, done.stderr
    await asyncio.sleep(2.5)
    assert await operator.forwarded_kind() == "unconditional"
    assert all(call.forwarded_from == LINE for call in operator.calls()[:-1])
