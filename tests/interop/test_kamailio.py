"""Kamailio stands between the carrier and the server, as a carrier's proxy does: it stays in the path of the dialog.

Carrier and agent are built-in phones. The trunk is known by Kamailio's address, the carrier's own means nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from b2bua.phone.audio import tone_frames
from b2bua.phone.softphone import PhoneCall, SoftPhone
from tests.interop.peers import (
    Baresip,
    ExchangeServer,
    Kamailio,
    happens,
    import_contracts,
    need,
    program_path,
    stays,
    until,
)

need("kamailio")

CARRIER_TONE = 440
AGENT_TONE = 880
PROXY = "127.0.0.4"

CONTRACTS = """
[[tariffs]]
name = "second"
per_minute = "1.20"
increment = "1/1"
acceptance = "0.00"
currency = "EUR"

[[agents]]
id = "anna"
name = "Anna Adler"
endpoints = [{ username = "anna", password = "secret-of-anna" }]

[[contracts]]
id = "kanzlei-berger"
customer = "Kanzlei Berger"
greeting = "Kanzlei Berger, guten Tag"
instructions = ""
tariff = "second"
target_numbers = ["+49302000100"]
plan = [{ agent = "anna", ring_seconds = 20 }]
if_nobody = { status = 480 }
"""


@pytest.fixture(scope="module")
def business(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return import_contracts(tmp_path_factory.mktemp("business"), CONTRACTS)


@pytest_asyncio.fixture
async def server(business: Path, tmp_path: Path) -> AsyncIterator[ExchangeServer]:
    async with ExchangeServer(tmp_path / "server", business, trunk=PROXY) as running:
        yield running


@pytest_asyncio.fixture(params=["udp", "tcp"])
async def proxy(request: pytest.FixtureRequest, server: ExchangeServer, tmp_path: Path) -> AsyncIterator[Kamailio]:
    """Over TCP it changes transports between us and the carrier, and records a route for each of them."""
    transport = str(request.param)
    async with Kamailio(tmp_path / "kamailio", server.address(transport), transport=transport, host=PROXY) as running:
        yield running


@pytest_asyncio.fixture
async def carrier() -> AsyncIterator[SoftPhone]:
    phone = SoftPhone("127.0.0.2", username="+491711234567", frames=lambda: tone_frames(CARRIER_TONE))
    await phone.start()
    yield phone
    await phone.close()


class Agent:
    """Anna's phone, and the calls that reached it."""

    def __init__(self) -> None:
        self.calls: list[PhoneCall] = []
        self.phone = SoftPhone(
            "127.0.0.3", username="anna", password="secret-of-anna", domain="service.example",
            frames=lambda: tone_frames(AGENT_TONE), on_call=self._called,
        )  # fmt: skip

    def _called(self, call: PhoneCall) -> None:
        self.calls.append(call)
        call.ring()


@pytest_asyncio.fixture
async def agent(server: ExchangeServer) -> AsyncIterator[Agent]:
    running = Agent()
    await running.phone.start()
    async with asyncio.timeout(10):
        await running.phone.register(server.address())
    yield running
    await running.phone.close()


def dial(carrier: SoftPhone, proxy: Kamailio, headers: list[tuple[str, str]] | None = None) -> PhoneCall:
    host, port = proxy.address
    return carrier.call(f"sip:+49302000100@{host}:{port}", proxy.address, headers)


async def ringing_call(
    carrier: SoftPhone, proxy: Kamailio, agent: Agent, headers: list[tuple[str, str]] | None = None
) -> tuple[PhoneCall, PhoneCall]:
    """(the carrier's end, the agent's end)"""
    call = dial(carrier, proxy, headers)
    await until(lambda: agent.calls, "a call at the agent's phone")
    await happens(call.ringing, "ringing at the carrier")
    return call, agent.calls[-1]


async def answered_call(carrier: SoftPhone, proxy: Kamailio, agent: Agent) -> tuple[PhoneCall, PhoneCall]:
    call, taken = await ringing_call(carrier, proxy, agent)
    taken.answer()
    await happens(call.answered, "the agent's answer at the carrier")
    await until(lambda: call.heard().frequency == AGENT_TONE, "the agent's tone at the carrier's end")
    await until(lambda: taken.heard().frequency == CARRIER_TONE, "the carrier's tone at the agent's end")
    return call, taken


async def relayed(proxy: Kamailio, *steps: str) -> None:
    """The proxy has passed on exactly these, in this order."""
    await until(lambda: len(proxy.relayed()) >= len(steps), f"{len(steps)} requests through the proxy")
    assert proxy.relayed() == list(steps)
    assert "astray" not in proxy.output


NEW_CALL = ("INVITE 127.0.0.2 new", "ACK 127.0.0.2 in-dialog")


async def test_carrier_hangs_up_through_the_proxy(
    server: ExchangeServer, proxy: Kamailio, carrier: SoftPhone, agent: Agent
) -> None:
    call, taken = await answered_call(carrier, proxy, agent)
    call.hangup()
    await happens(call.ended, "the answer to the BYE")
    await happens(taken.ended, "the BYE at the agent's phone")

    await relayed(proxy, *NEW_CALL, "BYE 127.0.0.2 in-dialog")
    record = await server.record()
    assert (record.origin, record.contract, record.target_number) == (
        "trunk:carrier", "kanzlei-berger", "+49302000100",
    )  # fmt: skip
    assert (record.caller, record.forwarded_from) == ("+491711234567", "")
    assert (record.result, record.end_reason) == ("answered", "caller_hung_up")
    assert record.talked_ns > 0


async def test_bye_of_the_agent_follows_the_route_set(
    server: ExchangeServer, proxy: Kamailio, carrier: SoftPhone, agent: Agent
) -> None:
    call, taken = await answered_call(carrier, proxy, agent)
    taken.hangup()
    await happens(call.ended, "the BYE at the carrier")
    await happens(taken.ended, "the answer to the BYE")
    assert call.cause == "bye"

    await relayed(proxy, *NEW_CALL, "BYE 127.0.0.1 in-dialog")
    record = await server.record()
    assert (record.result, record.end_reason) == ("answered", "agent_hung_up")


async def test_reinvites_follow_the_route_set_both_ways(proxy: Kamailio, carrier: SoftPhone, agent: Agent) -> None:
    call, taken = await answered_call(carrier, proxy, agent)

    # the agent holds: the carrier falls silent, and speaks again when it is resumed
    offer(agent.phone, taken, taken.description().replace(b"a=ptime:20", b"a=ptime:20\r\na=sendonly"))
    await relayed(proxy, *NEW_CALL, *renegotiation("127.0.0.1"))
    silent_since = call.packets_sent
    await stays(lambda: call.packets_sent == silent_since, "the carrier is silent as long as it is held")
    offer(agent.phone, taken, taken.description())
    await until(lambda: call.packets_sent > silent_since + 25, "the carrier's voice again")
    await relayed(proxy, *NEW_CALL, *renegotiation("127.0.0.1") * 2)

    # the carrier offers again
    offer(carrier, call, call.description())
    await relayed(proxy, *NEW_CALL, *renegotiation("127.0.0.1") * 2, *renegotiation("127.0.0.2"))

    heard = taken.heard().packets
    await until(lambda: taken.heard().packets > heard + 25, "sound after all of that")
    assert taken.heard().frequency == CARRIER_TONE
    call.hangup()
    await happens(taken.ended, "the BYE at the agent's phone")


def offer(phone: SoftPhone, call: PhoneCall, description: bytes) -> None:
    call.session.offer(description, phone.now)
    phone.flush()


def renegotiation(source: str) -> tuple[str, str]:
    return f"INVITE {source} in-dialog", f"ACK {source} in-dialog"


async def test_cancel_through_the_proxy_stops_the_ringing(
    server: ExchangeServer, proxy: Kamailio, carrier: SoftPhone, agent: Agent
) -> None:
    call, ringing = await ringing_call(carrier, proxy, agent)
    call.hangup()
    await happens(ringing.ended, "the CANCEL at the agent's phone")
    assert ringing.cause == "cancelled"
    await happens(call.ended, "the end of the INVITE")
    assert (call.cause, call.status) == ("cancelled", 487)

    await relayed(proxy, "INVITE 127.0.0.2 new", "CANCEL 127.0.0.2 new")
    record = await server.record()
    assert (record.result, record.end_reason, record.talked_ns) == ("abandoned", "caller_cancelled", 0)


async def test_diverted_call_says_whose_line_it_was(
    server: ExchangeServer, proxy: Kamailio, carrier: SoftPhone, agent: Agent
) -> None:
    diversion = ("Diversion", '"Berger" <sip:+493098765@carrier.example>;reason=no-answer;counter=1')
    call, taken = await ringing_call(carrier, proxy, agent, [diversion])
    assert taken.caller.display == "Kanzlei Berger"
    assert taken.header("X-Forwarded-From") == "+493098765"
    assert taken.header("X-Forwarding-Kind") == "no_answer"
    taken.answer()
    await happens(call.answered, "the agent's answer at the carrier")
    call.hangup()
    await happens(taken.ended, "the BYE at the agent's phone")

    record = await server.record()
    assert (record.forwarded_from, record.forwarding_kind) == ("+493098765", "no_answer")


async def test_carrier_that_goes_round_the_proxy_is_a_stranger(
    server: ExchangeServer, proxy: Kamailio, carrier: SoftPhone, agent: Agent
) -> None:
    call = carrier.call("sip:+49302000100@service.example", server.address())
    await happens(call.ended, "the refusal")
    assert (call.cause, call.status) == ("refused", 407)
    assert not agent.calls


async def test_refusal_reaches_the_carrier_through_the_proxy(
    server: ExchangeServer, proxy: Kamailio, carrier: SoftPhone, agent: Agent
) -> None:
    call, ringing = await ringing_call(carrier, proxy, agent)
    ringing.refuse(486)
    await happens(call.ended, "the refusal")
    assert (call.cause, call.status) == ("refused", 480)

    record = await server.record()
    assert (record.result, record.end_reason) == ("no_agent", "nobody_available")


@pytest.mark.skipif(program_path("baresip") is None, reason="baresip is not installed")
async def test_kamailio_in_front_and_baresip_behind(
    server: ExchangeServer, proxy: Kamailio, carrier: SoftPhone, tmp_path: Path
) -> None:
    """Nothing of our own but the server and the carrier's voice: hold, resume and BYE from end to end."""
    host, port = server.address()
    async with Baresip(tmp_path / "baresip", (host, port), "anna", "secret-of-anna", frequency=AGENT_TONE) as phone:
        await phone.registered()
        call = dial(carrier, proxy)
        await happens(call.answered, "the agent's answer at the carrier")
        await phone.event("CALL_ESTABLISHED")
        await until(lambda: call.heard().frequency == AGENT_TONE, "the agent's tone at the carrier's end")

        await phone.command("hold")
        await relayed(proxy, *NEW_CALL, *renegotiation("127.0.0.1"))
        await until(lambda: len(phone.messages("ACK ")) == 2, "the end of the hold at baresip")
        silent_since = call.packets_sent
        await stays(lambda: call.packets_sent == silent_since, "the carrier is silent as long as it is held")
        await phone.command("resume")
        await until(lambda: call.packets_sent > silent_since + 75, "the carrier's voice again")

        await phone.command("hangup")
        await happens(call.ended, "the agent's BYE at the carrier")
        await until(lambda: phone.packets()[1] > call.packets_sent - 5, "all of the carrier's packets at baresip")
        await relayed(proxy, *NEW_CALL, *renegotiation("127.0.0.1") * 2, "BYE 127.0.0.1 in-dialog")

        record = await server.record()
        assert (record.result, record.end_reason) == ("answered", "agent_hung_up")
        assert {record.media[side]["lost"] for side in ("caller", "agent")} == {0}
