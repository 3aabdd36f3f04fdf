"""baresip is the phone of a line of ours: it dials the codes, does not answer, and its caller comes to an agent."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from b2bua.phone.audio import tone_frames
from b2bua.phone.softphone import SoftPhone
from tests.interop.peers import Baresip, ExchangeServer, happens, import_contracts, need, until

need("baresip")

CARRIER_TONE = 440
AGENT_TONE = 880
LINE = "+493045050100"
CONTRACTS = f"""
[[tariffs]]
name = "second"
per_minute = "1.20"
increment = "1/1"

[[agents]]
id = "anna"
name = "Anna Adler"
endpoints = [{{ username = "anna", password = "secret-of-anna" }}]

[[contracts]]
id = "kanzlei-berger"
customer = "Kanzlei Berger"
tariff = "second"
target_numbers = ["+49302000100"]
plan = [{{ agent = "anna", ring_seconds = 20 }}]

[[lines]]
number = "{LINE}"
name = "Kanzlei Berger"
username = "berger"
password = "secret-of-berger"
"""


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[ExchangeServer]:
    business = import_contracts(tmp_path, CONTRACTS)
    async with ExchangeServer(tmp_path / "server", business, trunk="127.0.0.2") as running:
        yield running


@pytest_asyncio.fixture
async def carrier() -> AsyncIterator[SoftPhone]:
    phone = SoftPhone("127.0.0.2", username="+491711234567", frames=lambda: tone_frames(CARRIER_TONE))
    await phone.start()
    yield phone
    await phone.close()


# as people type it, and as RFC 3261 section 25.1 wants it
@pytest.mark.parametrize("code", ["*61*0302000100*5#", "*61*0302000100*5%23"])
async def test_a_line_of_baresip_forwards_on_no_answer(
    server: ExchangeServer, carrier: SoftPhone, tmp_path: Path, code: str
) -> None:
    line = Baresip(tmp_path / "line", server.address(), "berger", "secret-of-berger", answer="manual")
    anna = Baresip(
        tmp_path / "anna", server.address(), "anna", "secret-of-anna", frequency=AGENT_TONE, host="127.0.0.4"
    )  # fmt: skip
    async with line, anna:
        await line.registered()
        await anna.registered()
        await line.command("dial", f"sip:{code}@service.example")
        await line.event("CALL_ESTABLISHED")
        await line.event("CALL_CLOSED")
        assert (await server.record()).result == "code"

        call = carrier.call(f"sip:{LINE}@service.example", server.address())
        await line.event("CALL_INCOMING")
        await happens(call.answered, "the agent's answer", 15.0)
        await until(lambda: call.heard().frequency == AGENT_TONE, "the agent's tone at the carrier's end")
        await until(lambda: call.heard().seconds > 1.5, "a second and a half of sound")
        call.hangup()
        record = await server.record(2)
    assert (record.contract, record.agent, record.result) == ("kanzlei-berger", "anna", "answered")
    assert (record.forwarded_from, record.forwarding_kind) == (LINE, "no_answer")
    assert record.talked_ns > 1_000_000_000
