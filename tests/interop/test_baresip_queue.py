"""Three real telephones and callers who wait: what everybody hears, in order, told by the frequencies of tones."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from b2bua.phone.audio import tone_frames
from b2bua.phone.softphone import PhoneCall, SoftPhone
from media.tones import tone, tones_in_order
from media.wave_file import write_wave
from tests.interop.peers import Baresip, ExchangeServer, happens, import_contracts, need, until

need("baresip")

ANNOUNCEMENT, MUSIC, WHISPER, CALLER = 600, 1000, 1500, 440
TONES = {"anna": 880, "ben": 700, "carla": 1200}

CONTRACTS = """
[[tariffs]]
name = "second"
per_minute = "1.20"
increment = "1/1"

[[groups]]
id = "office"
name = "Office"
members = ["anna", "ben", "carla"]

[[contracts]]
id = "autohaus-herbst"
customer = "Autohaus Herbst"
greeting = "Autohaus Herbst, Werkstatt, guten Tag"
instructions = "Never name a price."
tariff = "second"
target_numbers = ["+49302000100"]
plan = [{ group = "office", strategy = "in_order", patience_seconds = 60 }]
whisper = "whisper"

[contracts.waiting]
answering = "answer_at_once"
greeting_sound = "announcement"
music = "music"
""" + "".join(
    f'[[agents]]\nid = "{name}"\nname = "{name.title()}"\n'
    f'endpoints = [{{ username = "{name}", password = "secret-of-{name}" }}]\n'
    for name in TONES
)


@pytest.fixture(scope="module")
def business(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return import_contracts(tmp_path_factory.mktemp("business"), CONTRACTS)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sounds")
    for name, frequency, seconds in (
        ("announcement", ANNOUNCEMENT, 1.0),
        ("music", MUSIC, 4.0),
        ("whisper", WHISPER, 1.0),
    ):
        (folder / f"{name}.wav").write_bytes(write_wave(tone(frequency, seconds)))
    return folder


@pytest_asyncio.fixture
async def server(business: Path, sounds: Path, tmp_path: Path) -> AsyncIterator[ExchangeServer]:
    async with ExchangeServer(tmp_path / "server", business, trunk="127.0.0.2", sounds=sounds) as running:
        yield running


@pytest_asyncio.fixture
async def carrier() -> AsyncIterator[SoftPhone]:
    phone = SoftPhone("127.0.0.2", username="+491711234567", frames=lambda: tone_frames(CALLER))
    await phone.start()
    yield phone
    await phone.close()


@pytest_asyncio.fixture
async def agents(server: ExchangeServer, tmp_path: Path) -> AsyncIterator[dict[str, Baresip]]:
    phones = {
        name: Baresip(
            tmp_path / name, server.address(), name, f"secret-of-{name}",
            frequency=frequency, answer="manual", host=f"127.0.0.{number}",
        )
        for number, (name, frequency) in enumerate(TONES.items(), start=3)
    }  # fmt: skip
    async with phones["anna"], phones["ben"], phones["carla"]:
        await asyncio.gather(*(phone.registered() for phone in phones.values()))
        yield phones


def dial(carrier: SoftPhone, server: ExchangeServer) -> PhoneCall:
    return carrier.call("sip:+49302000100@service.example", server.address())


async def hears(call: PhoneCall, frequency: int, what: str) -> None:
    # of the whole recording, as it is judged in the end: tones are told in tenths of a second from its beginning
    await until(lambda: tones_in_order(call.samples)[-1:] == [frequency], what)


async def test_announcement_then_music_then_the_agent_and_for_her_the_whisper_then_the_caller(
    server: ExchangeServer, carrier: SoftPhone, agents: dict[str, Baresip]
) -> None:
    anna = agents["anna"]
    call = dial(carrier, server)
    await happens(call.answered, "the answer of the queue")
    await anna.event("CALL_INCOMING")
    await hears(call, MUSIC, "music for who waits")
    await anna.command("accept")
    await hears(call, TONES["anna"], "the agent's voice")
    await asyncio.sleep(1.0)  # let the two talk for a second
    call.hangup()
    await anna.event("CALL_CLOSED")
    await happens(call.ended, "the end of the call")

    assert tones_in_order(call.samples) == [ANNOUNCEMENT, MUSIC, TONES["anna"]]
    assert anna.heard_in_order() == [WHISPER, CALLER]
    (invite,) = anna.messages("INVITE ")
    assert invite.header("X-Greeting") == "Autohaus Herbst, Werkstatt, guten Tag"
    record = await server.record()
    assert (record.result, record.agent, record.end_reason) == ("answered", "anna", "caller_hung_up")
    waited = (record.answered_at_ns - record.accepted_at_ns) / 1e9
    assert waited > 2.0, "announcement and whisper are waiting time"
    assert 0.9 < record.talked_ns / 1e9 < 10.0


async def test_three_agents_talk_and_the_fourth_caller_gets_the_first_who_is_free(
    server: ExchangeServer, carrier: SoftPhone, agents: dict[str, Baresip]
) -> None:
    calls = {}
    for name, phone in agents.items():
        calls[name] = dial(carrier, server)
        await phone.event("CALL_INCOMING")
        await phone.command("accept")
        await hears(calls[name], TONES[name], f"the voice of {name}")
    fourth = dial(carrier, server)
    await hears(fourth, MUSIC, "music for the fourth caller")
    # everybody hears their own agent and nobody else's
    assert [tones_in_order(call.samples)[-1] for call in calls.values()] == list(TONES.values())

    await agents["ben"].command("hangup")
    await agents["ben"].event("CALL_INCOMING")
    await agents["ben"].command("accept")
    await hears(fourth, TONES["ben"], "ben's voice")
    fourth.hangup()
    calls["anna"].hangup()
    calls["carla"].hangup()
    for call in (fourth, *calls.values()):
        await happens(call.ended, "the end of a call")

    assert tones_in_order(fourth.samples) == [ANNOUNCEMENT, MUSIC, TONES["ben"]]
    assert agents["anna"].heard_in_order() == [WHISPER, CALLER]
    assert agents["carla"].heard_in_order() == [WHISPER, CALLER]
    assert [len(phone.messages("INVITE ")) for phone in agents.values()] == [1, 2, 1], "no phone rings in a call"
    await server.record(4)


async def test_a_caller_who_hangs_up_to_the_music_is_not_billed_and_leaves_the_agents_free(
    server: ExchangeServer, carrier: SoftPhone, agents: dict[str, Baresip]
) -> None:
    impatient = dial(carrier, server)
    await agents["anna"].event("CALL_INCOMING")
    await hears(impatient, MUSIC, "music")
    impatient.hangup()
    await agents["anna"].event("CALL_CLOSED")
    record = await server.record()
    assert (record.result, record.end_reason, record.talked_ns) == ("abandoned", "caller_hung_up", 0)
    assert record.accepted_at_ns > 0

    following = dial(carrier, server)
    await agents["anna"].event("CALL_INCOMING")
    await agents["anna"].command("accept")
    await hears(following, TONES["anna"], "the agent's voice")
    following.hangup()
    await happens(following.ended, "the end of the call")
