"""baresip is an agent's phone: registered with a password, rung by the server, heard and understood.

The carrier is the built-in phone on another loopback address. Sound is told by its frequency.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from accounting.records import CallRecord
from b2bua.phone.audio import tone_frames
from b2bua.phone.softphone import PhoneCall, SoftPhone
from tests.interop.peers import Baresip, ExchangeServer, happens, import_contracts, need, stays, until

need("baresip")

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate")

CARRIER_TONE = 440
AGENT_TONE = 880

CONTRACTS = """
time_zone = "Europe/Berlin"

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

[[agents]]
id = "ben"
name = "Ben Brandt"
endpoints = [{ username = "ben", password = "secret-of-ben", algorithms = ["SHA-256", "MD5"] }]

[[agents]]
id = "carla"
name = "Carla Conrad"
endpoints = [{ username = "carla", password = "secret-of-carla" }]

[[groups]]
id = "office"
name = "Office"
members = ["anna", "carla"]

[[contracts]]
id = "kanzlei-berger"
customer = "Kanzlei Berger"
greeting = "Kanzlei Berger, guten Tag"
instructions = ""
tariff = "second"
target_numbers = ["+49302000100"]
plan = [{ agent = "anna", ring_seconds = 20 }]
if_nobody = { status = 480 }

[[contracts]]
id = "elektro-sommer"
customer = "Elektro Sommer"
greeting = "Elektro Sommer, guten Tag"
instructions = ""
tariff = "second"
target_numbers = ["+49302000101"]
plan = [{ agent = "carla", ring_seconds = 20 }]
if_nobody = { status = 480 }

[[contracts]]
id = "praxis-lang"
customer = "Praxis Lang"
greeting = "Praxis Lang, guten Tag"
instructions = ""
tariff = "second"
target_numbers = ["+49302000102"]
plan = [{ group = "office", strategy = "ring_all", ring_seconds = 20 }]
if_nobody = { status = 480 }
"""


@pytest.fixture(scope="module")
def business(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return import_contracts(tmp_path_factory.mktemp("business"), CONTRACTS)


@pytest_asyncio.fixture
async def server(business: Path, tmp_path: Path) -> AsyncIterator[ExchangeServer]:
    async with ExchangeServer(tmp_path / "server", business, trunk="127.0.0.2") as running:
        yield running


@pytest_asyncio.fixture
async def carrier() -> AsyncIterator[SoftPhone]:
    phone = SoftPhone("127.0.0.2", username="+491711234567", frames=lambda: tone_frames(CARRIER_TONE))
    await phone.start()
    yield phone
    await phone.close()


def agent(
    server: ExchangeServer,
    folder: Path,
    *,
    transport: str = "udp",
    answer: str = "auto",
    codecs: str = "PCMU/8000/1,PCMA/8000/1",
) -> Baresip:
    return Baresip(
        folder / "baresip", server.address(transport), "anna", "secret-of-anna",
        frequency=AGENT_TONE, transport=transport, answer=answer, codecs=codecs,
    )  # fmt: skip


def dial(carrier: SoftPhone, server: ExchangeServer, number: str = "+49302000100") -> PhoneCall:
    return carrier.call(f"sip:{number}@service.example", server.address())


async def answered_call(carrier: SoftPhone, server: ExchangeServer, phone: Baresip) -> PhoneCall:
    await phone.registered()
    call = dial(carrier, server)
    await happens(call.answered, "the agent's answer")
    await phone.event("CALL_ESTABLISHED")
    await until(lambda: call.heard().frequency == AGENT_TONE, "the agent's tone at the carrier's end")
    await until(lambda: call.heard().seconds > 1.5, "a second and a half of sound")
    return call


def was_talked(record: CallRecord, end_reason: str, codec: str = "PCMU") -> None:
    assert (record.contract, record.agent, record.result) == ("kanzlei-berger", "anna", "answered")
    assert record.end_reason == end_reason
    assert 1_000_000_000 < record.talked_ns < 60_000_000_000
    assert record.talked_ns <= record.ended_at_ns - record.started_at_ns
    for side in ("caller", "agent"):
        figures = record.media[side]
        assert figures["codec"] == codec
        assert isinstance(figures["packets_received"], int)
        assert figures["packets_received"] > 50
        assert isinstance(figures["packets_sent"], int)
        assert figures["packets_sent"] > 50
        assert figures["lost"] == 0
        assert isinstance(figures["mos"], float)
        assert figures["mos"] > 4.0


@pytest.mark.parametrize("transport", ["udp", "tcp", pytest.param("tls", marks=needs_openssl)])
async def test_tones_pass_both_ways_and_the_caller_hangs_up(
    server: ExchangeServer, carrier: SoftPhone, tmp_path: Path, transport: str
) -> None:
    async with agent(server, tmp_path, transport=transport) as phone:
        call = await answered_call(carrier, server, phone)
        call.hangup()
        await happens(call.ended, "the end of the call")
        await phone.event("CALL_CLOSED")
        assert phone.heard()[0] == CARRIER_TONE

        was_talked(await server.record(), "caller_hung_up")
        (invite,) = phone.messages("INVITE ")
        assert invite.transport == transport.upper()
        assert invite.header("X-Greeting") == "Kanzlei Berger, guten Tag"
        assert invite.header("From").startswith('"Kanzlei Berger" <sip:')
        # over TCP and TLS that is the connection of the REGISTER, and not a new one to the port in Contact
        assert invite.destination == phone.messages("REGISTER ")[0].source


async def test_agent_hangs_up(server: ExchangeServer, carrier: SoftPhone, tmp_path: Path) -> None:
    async with agent(server, tmp_path) as phone:
        call = await answered_call(carrier, server, phone)
        await phone.command("hangup")
        await happens(call.ended, "the agent's BYE at the carrier")
        assert call.cause == "bye"
        assert phone.heard()[0] == CARRIER_TONE

        was_talked(await server.record(), "agent_hung_up")


async def test_agent_over_tcp_hangs_up(server: ExchangeServer, carrier: SoftPhone, tmp_path: Path) -> None:
    async with agent(server, tmp_path, transport="tcp") as phone:
        call = await answered_call(carrier, server, phone)
        await phone.command("hangup")
        await happens(call.ended, "the agent's BYE at the carrier")

        was_talked(await server.record(), "agent_hung_up")
        assert {message.transport for message in phone.messages("BYE ")} == {"TCP"}


async def test_agent_holds_and_resumes(server: ExchangeServer, carrier: SoftPhone, tmp_path: Path) -> None:
    async with agent(server, tmp_path) as phone:
        call = await answered_call(carrier, server, phone)

        await phone.command("hold")
        await until(lambda: reinvites(carrier) == 1, "the re-INVITE for the hold at the carrier")
        await until(lambda: acknowledged(phone), "the hold's acknowledgement")
        silent_since = call.packets_sent
        await stays(lambda: call.packets_sent == silent_since, "the carrier is silent as long as it is held")

        await phone.command("resume")
        await until(lambda: reinvites(carrier) == 2, "the re-INVITE for the resumption at the carrier")
        await until(lambda: call.packets_sent > silent_since + 75, "the carrier's voice again")
        assert call.heard().frequency == AGENT_TONE

        call.hangup()
        await happens(call.ended, "the end of the call")
        await phone.event("CALL_CLOSED")
        assert phone.heard()[0] == CARRIER_TONE
        await until(lambda: phone.packets()[1] > call.packets_sent - 5, "all of the carrier's packets at baresip")
        # a held call is a connected call: the time runs on
        was_talked(await server.record(), "caller_hung_up")


def reinvites(carrier: SoftPhone) -> int:
    """INVITEs with a description that reached the carrier; it is called by nobody, so they are re-INVITEs."""
    return sum(not step.sent and step.summary == "INVITE (SDP)" for step in carrier.trace)


def acknowledged(phone: Baresip) -> list[str]:
    """The re-INVITEs that baresip has acknowledged."""
    return [message.header("CSeq") for message in phone.messages("ACK ") if message.source.startswith(phone.host)]


async def test_busy_agent_refuses_and_the_caller_is_told(
    server: ExchangeServer, carrier: SoftPhone, tmp_path: Path
) -> None:
    async with agent(server, tmp_path, answer="manual") as phone:
        await phone.registered()
        call = dial(carrier, server)
        await happens(call.ringing, "ringing")
        await phone.event("CALL_INCOMING")
        await phone.command("hangup")
        await happens(call.ended, "the refusal")
        assert phone.messages("SIP/2.0 486 ")
        assert (call.cause, call.status) == ("refused", 480)

        record = await server.record()
        assert (record.result, record.end_reason) == ("no_agent", "nobody_available")
        assert (record.talked_ns, record.answered_at_ns) == (0, 0)


async def test_caller_gives_up_while_it_rings(server: ExchangeServer, carrier: SoftPhone, tmp_path: Path) -> None:
    async with agent(server, tmp_path, answer="manual") as phone:
        await phone.registered()
        call = dial(carrier, server)
        await happens(call.ringing, "ringing")
        await phone.event("CALL_INCOMING")
        call.hangup()
        await happens(call.ended, "the end of the INVITE")
        assert (call.cause, call.status) == ("cancelled", 487)
        await phone.event("CALL_CLOSED")
        assert phone.messages("CANCEL ")
        assert phone.messages("SIP/2.0 487 ")

        record = await server.record()
        assert (record.result, record.end_reason, record.talked_ns) == ("abandoned", "caller_cancelled", 0)


async def test_agent_answers_by_hand_and_is_free_for_the_next_caller(
    server: ExchangeServer, carrier: SoftPhone, tmp_path: Path
) -> None:
    async with agent(server, tmp_path, answer="manual") as phone:
        await phone.registered()
        for number in (1, 2):
            call = dial(carrier, server)
            await phone.event("CALL_INCOMING")
            assert not call.answered.is_set()
            await phone.command("accept")
            await happens(call.answered, "the agent's answer")
            await until(lambda: call.heard().frequency == AGENT_TONE, "the agent's tone")  # noqa: B023
            await phone.command("hangup")
            await happens(call.ended, "the end of the call")
            record = await server.record(number)
            assert (record.result, record.end_reason) == ("answered", "agent_hung_up")


async def test_all_phones_ring_and_the_first_to_answer_has_the_call(
    server: ExchangeServer, carrier: SoftPhone, tmp_path: Path
) -> None:
    carla = Baresip(
        tmp_path / "carla", server.address("tcp"), "carla", "secret-of-carla",
        frequency=1200, transport="tcp", answer="manual", host="127.0.0.5",
    )  # fmt: skip
    async with agent(server, tmp_path, answer="manual") as anna, carla:
        await anna.registered()
        await carla.registered()
        call = dial(carrier, server, "+49302000102")
        await anna.event("CALL_INCOMING")
        await carla.event("CALL_INCOMING")
        await carla.command("accept")
        await happens(call.answered, "carla's answer")
        await anna.event("CALL_CLOSED")
        (cancel,) = anna.messages("CANCEL ")
        assert "cause=200" in cancel.header("Reason"), "her phone shows no missed call"
        await until(lambda: call.heard().frequency == 1200, "carla's tone at the carrier's end")
        call.hangup()
        await carla.event("CALL_CLOSED")
        await happens(call.ended, "the end of the call")
        record = await server.record()
        assert (record.contract, record.agent, record.end_reason) == ("praxis-lang", "carla", "caller_hung_up")


async def test_wrong_password_is_no_registration(server: ExchangeServer, carrier: SoftPhone, tmp_path: Path) -> None:
    async with Baresip(tmp_path / "baresip", server.address(), "anna", "guessed") as phone:
        await until(lambda: len(phone.messages("SIP/2.0 401 ")) > 1, "the second challenge")
        assert not phone.messages("SIP/2.0 200 ")
        call = dial(carrier, server)
        await happens(call.ended, "the refusal")
        assert (call.cause, call.status) == ("refused", 480)
        assert not phone.messages("INVITE ")


async def test_sha256_and_md5_are_offered_to_a_phone_that_wants_both(server: ExchangeServer, tmp_path: Path) -> None:
    async with Baresip(tmp_path / "baresip", server.address(), "ben", "secret-of-ben") as phone:
        await until(lambda: phone.messages("SIP/2.0 401 "), "the challenge")
        challenge = phone.messages("SIP/2.0 401 ")[0].text
        assert challenge.index("algorithm=SHA-256") < challenge.index("algorithm=MD5")
        await until(lambda: phone.messages("SIP/2.0 200 ") or "not implemented" in phone.output, "baresip's judgement")
        if not phone.messages("SIP/2.0 200 "):
            pytest.skip("this baresip knows no SHA-256, and gives up at the sight of it")


async def test_phone_that_knows_only_alaw(server: ExchangeServer, carrier: SoftPhone, tmp_path: Path) -> None:
    async with agent(server, tmp_path, codecs="PCMA/8000/1") as phone:
        call = await answered_call(carrier, server, phone)
        call.hangup()
        await happens(call.ended, "the end of the call")
        await phone.event("CALL_CLOSED")
        assert phone.heard()[0] == CARRIER_TONE

        was_talked(await server.record(), "caller_hung_up", codec="PCMA")


async def test_tcp_phone_that_vanished_is_out_of_reach_at_once(
    server: ExchangeServer, carrier: SoftPhone, tmp_path: Path
) -> None:
    async with agent(server, tmp_path, transport="tcp") as phone:
        await phone.registered()
        await phone.vanish()
        call = dial(carrier, server)
        # far sooner than any INVITE could time out
        await happens(call.ended, "the refusal", seconds=2.0)
        assert (call.cause, call.status) == ("refused", 480)


async def test_caller_is_let_go_although_the_tcp_phone_vanished(
    server: ExchangeServer, carrier: SoftPhone, tmp_path: Path
) -> None:
    async with agent(server, tmp_path, transport="tcp") as phone:
        call = await answered_call(carrier, server, phone)
        await phone.vanish()
        call.hangup()
        await happens(call.ended, "the answer to the BYE", seconds=2.0)

        record = await server.record()
        assert (record.result, record.agent) == ("answered", "anna")
        assert record.talked_ns > 1_000_000_000


async def test_phone_that_came_back_is_rung_where_it_is_now(
    server: ExchangeServer, carrier: SoftPhone, tmp_path: Path
) -> None:
    async with agent(server, tmp_path / "before", transport="tcp") as phone:
        await phone.registered()
        await phone.vanish()
    async with agent(server, tmp_path / "after", transport="tcp") as phone:
        call = await answered_call(carrier, server, phone)
        call.hangup()
        await happens(call.ended, "the end of the call")
        assert (await server.record()).result == "answered"


async def test_agent_calls_with_a_password(server: ExchangeServer, tmp_path: Path) -> None:
    """407, digest, and a contract's number: the call of an agent is answered by another one, and costs nothing."""
    calls: list[PhoneCall] = []

    def answer(call: PhoneCall) -> None:
        calls.append(call)
        call.ring()
        call.answer()

    carla = SoftPhone(
        "127.0.0.2", username="carla", password="secret-of-carla", domain="service.example",
        frames=lambda: tone_frames(CARRIER_TONE), on_call=answer,
    )  # fmt: skip
    await carla.start()
    try:
        async with asyncio.timeout(10):
            await carla.register(server.address())
        async with agent(server, tmp_path) as phone:
            await phone.registered()
            await phone.command("dial", "sip:+49302000101@service.example")
            await phone.event("CALL_ESTABLISHED")
            (call,) = calls
            assert call.caller.display == "Elektro Sommer"
            await until(lambda: call.heard().frequency == AGENT_TONE, "anna's tone at carla's phone")
            await until(lambda: call.heard().seconds > 1.5, "a second and a half of sound")
            await phone.command("hangup")
            await happens(call.ended, "the end of the call")
            assert phone.heard()[0] == CARRIER_TONE
            assert phone.messages("SIP/2.0 407 ")

            record = await server.record()
            assert (record.origin, record.contract, record.agent) == ("agent:anna", "elektro-sommer", "carla")
            assert (record.result, record.end_reason, record.billable) == ("answered", "caller_hung_up", False)
    finally:
        await carla.close()
