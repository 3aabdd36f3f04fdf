"""A caller who waits, over real sockets: the announcement, the music, the whisper, then the agent."""

import asyncio
import itertools
import random
import struct
import time
import wave
from array import array
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from media.engine import DigitPressed, MediaEvent, MediaFailed, RecordingEnded, SoundEnded
from media.g711 import alaw_decode, ulaw_decode
from media.relay.engine import RelayEngine
from media.sdp import parse
from media.sounds import SoundLibrary
from media.tones import dominant_frequency, tone
from tests.media.office import PATIENCE, Office, Phone, audio_port, frames, heard, port_range


def library() -> SoundLibrary:
    made = SoundLibrary()
    made.add_tones()
    for name, frequency, seconds in (("hello", 600, 0.3), ("music", 900, 0.2), ("contract", 1500, 0.2)):
        assert made.add(name, tone(frequency, seconds)) is None
    return made


class Waiting(Office):
    """An office whose caller is answered before there is an agent."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        super().__init__(address, sounds=library())

    def answer_alone(self, sdp: bytes = b"") -> bytes:
        self.engine.answer_alone("call", "caller", sdp or self.caller.description())
        answer = self.ready("caller")
        self.caller.relay_port = audio_port(answer)
        return answer

    def offer_agent(self) -> bytes:
        self.engine.offer_for("call", "caller", "agent")
        offer = self.ready("agent")
        self.agent.relay_port = audio_port(offer)
        return offer

    def agent_answers(self, join: bool = True, sdp: bytes = b"") -> bytes:
        self.engine.answer("call", "agent", "caller", sdp or self.agent.description(formats="0 101"), join)
        return self.ready("caller")

    async def sound(self, phone: Phone, seconds: float) -> list[bytes]:
        """What ``phone`` hears in the next ``seconds``, which pass."""
        packets = []
        for _ in range(round(seconds / 0.02)):
            self.now += 0.02
            self.engine.play_due(self.now)
            packets.append(await phone.receive())
        return packets

    def passes(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.02)):
            self.now += 0.02
            self.engine.play_due(self.now)

    async def received(self, leg: str, packets: int) -> None:
        """The relay has taken so many packets from ``leg``."""
        async with asyncio.timeout(PATIENCE):
            while self.engine.statistics("call")[leg].packets_received < packets:
                await asyncio.sleep(0)

    async def event(self) -> MediaEvent:
        """The next event; recordings are written in a thread."""
        async with asyncio.timeout(PATIENCE):
            while not self.engine.events:
                await asyncio.sleep(0)
        return self.engine.events.popleft()


@pytest_asyncio.fixture
async def office() -> AsyncIterator[Waiting]:
    made = Waiting()
    yield made
    made.close()


def header(packet: bytes) -> tuple[bool, int, int, int, int]:
    """(marker, payload type, sequence, timestamp, SSRC)"""
    number = int.from_bytes
    return (
        bool(packet[1] & 0x80),
        packet[1] & 0x7F,
        number(packet[2:4], "big"),
        number(packet[4:8], "big"),
        number(packet[8:12], "big"),
    )


def event(digit: str, duration: int, end: bool = False) -> bytes:
    return bytes(["0123456789*#ABCD".index(digit), 0x80 if end else 0]) + duration.to_bytes(2, "big")


# -- descriptions --------------------------------------------------------------------------------------------


async def test_the_answer_has_one_codec_and_the_keys(office: Waiting) -> None:
    answer = office.answer_alone(office.caller.description(formats="9 8 0 101"))
    (media,) = parse(answer).media
    assert media.formats == ["8", "101"]
    assert media.attribute("rtpmap") is not None
    assert "sendrecv" in media.attributes


async def test_a_caller_without_a_codec_of_ours_or_with_keys_of_encryption_is_refused(office: Waiting) -> None:
    for sdp in (
        office.caller.description(formats="9 101"),
        office.caller.description().replace(b"RTP/AVP", b"RTP/SAVP")
        + b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n",
    ):
        office.engine.answer_alone("call", "caller", sdp)
        failure = office.engine.events.popleft()
        assert isinstance(failure, MediaFailed)
        assert failure.reason == "not_acceptable"
    assert office.engine.ports_in_use == 0


async def test_the_agent_is_offered_what_the_caller_agreed_and_the_caller_is_not_asked_again(office: Waiting) -> None:
    answer = office.answer_alone(office.caller.description(formats="8 0 101"))
    (media,) = parse(office.offer_agent()).media
    assert media.formats == ["8", "101"]
    assert office.agent_answers(sdp=office.agent.description(formats="8 101")) == answer


async def test_an_agent_without_the_callers_codec_is_refused_and_the_next_one_is_not(office: Waiting) -> None:
    office.answer_alone(office.caller.description(formats="8 101"))
    office.offer_agent()
    office.engine.answer("call", "agent", "caller", office.agent.description(formats="0"))
    assert isinstance(office.engine.events.popleft(), MediaFailed)
    office.offer_agent()
    office.agent_answers(sdp=office.agent.description(formats="8 101"))


async def test_an_offer_for_a_leg_that_was_not_answered_is_refused(office: Waiting) -> None:
    office.engine.offer_for("call", "caller", "agent")
    assert isinstance(office.engine.events.popleft(), MediaFailed)
    office.offer(office.caller.description())
    office.engine.offer_for("call", "caller", "agent")
    assert isinstance(office.engine.events.popleft(), MediaFailed)


async def test_a_caller_who_offers_anew_while_waiting_keeps_codec_port_and_the_agents_offer(office: Waiting) -> None:
    before = office.answer_alone(office.caller.description(formats="8 0 101"))
    office.offer_agent()
    after = office.answer_alone(office.caller.description(formats="0 8 101", version=2))
    assert parse(after).media[0].formats == ["8", "101"]
    assert audio_port(after) == audio_port(before)
    office.agent_answers(sdp=office.agent.description(formats="8 101"))
    office.caller.send(b"hello", payload_type=8)
    assert (await office.agent.receive())[12:] == b"hello"


async def test_a_call_can_be_renegotiated_after_joining_and_given_to_another_agent(office: Waiting) -> None:
    office.answer_alone()
    office.offer_agent()
    office.agent_answers()
    office.connect(office.caller.description(version=2), office.agent.description(version=2))
    await office.relayed(office.agent, office.caller)
    offer = office.offer_agent()
    assert parse(offer).media[0].formats == ["0", "8", "101"]
    office.engine.play("call", "caller", ["music"], loop=True)
    assert heard(await office.sound(office.caller, 0.3)) == 900


# -- sounds --------------------------------------------------------------------------------------------------


async def test_announcement_then_music_then_the_agent(office: Waiting) -> None:
    office.answer_alone()
    office.engine.play("call", "caller", ["hello"], tag="greeting")
    assert heard(await office.sound(office.caller, 0.3)) == 600
    office.passes(0.02)
    assert list(office.engine.events) == [SoundEnded("call", "caller", "greeting")]
    office.engine.events.clear()
    office.engine.play("call", "caller", ["music"], loop=True)
    assert heard(await office.sound(office.caller, 1.0)) == 900
    office.offer_agent()
    assert heard(await office.sound(office.caller, 0.2)) == 900
    office.agent_answers()
    office.passes(0.5)
    at_caller = []
    for low, high in zip(frames(440, 0.4), frames(1200, 0.4), strict=True):
        office.agent.send(high)
        office.caller.send(low)
        at_caller.append(await office.caller.receive())
        await office.agent.receive()
    assert heard(at_caller) == 1200
    assert not office.engine.events


async def test_the_caller_hears_his_own_codec(office: Waiting) -> None:
    office.answer_alone(office.caller.description(formats="8"))
    office.engine.play("call", "caller", ["hello"])
    packets = await office.sound(office.caller, 0.3)
    assert {header(packet)[1] for packet in packets} == {8}
    assert dominant_frequency(alaw_decode(b"".join(packet[12:] for packet in packets)))[0] == 600


async def test_a_sound_is_one_stream_whatever_is_played(office: Waiting) -> None:
    office.answer_alone()
    office.engine.play("call", "caller", ["hello", "music"])
    packets = await office.sound(office.caller, 0.5)
    office.engine.play("call", "caller", ["music"], loop=True)
    packets += await office.sound(office.caller, 0.5)
    headers = [header(packet) for packet in packets]
    assert len({ssrc for *_, ssrc in headers}) == 1
    for before, after in itertools.pairwise(headers):
        assert (after[2] - before[2]) % 2**16 == 1
        assert (after[3] - before[3]) % 2**32 == 160
    assert [at for at, (marker, *_) in enumerate(headers) if marker] == [0, 25]


async def test_timestamps_tell_a_pause(office: Waiting) -> None:
    office.answer_alone()
    office.engine.play("call", "caller", ["hello"])
    first = header((await office.sound(office.caller, 0.3))[-1])
    office.passes(1.0)
    office.engine.play("call", "caller", ["hello"])
    second = header((await office.sound(office.caller, 0.02))[0])
    assert (second[2] - first[2]) % 2**16 == 1
    assert (second[3] - first[3]) % 2**32 == 51 * 160
    assert second[0]


async def test_the_first_packet_of_the_agent_is_marked_and_no_other(office: Waiting) -> None:
    office.answer_alone()
    office.engine.play("call", "caller", ["music"], loop=True)
    await office.sound(office.caller, 0.1)
    office.offer_agent()
    office.agent_answers()
    office.agent.send(event("5", 160), payload_type=101)
    assert not header(await office.caller.receive())[0]
    office.agent.send()
    assert header(await office.caller.receive())[0]
    office.agent.send()
    assert not header(await office.caller.receive())[0]


async def test_no_packet_of_a_call_without_sounds_is_touched(office: Waiting) -> None:
    office.connect()
    for _ in range(3):
        assert not header(await office.relayed(office.agent, office.caller))[0]


async def test_the_agent_hears_the_whisper_while_the_caller_hears_music_then_they_are_joined(office: Waiting) -> None:
    office.answer_alone()
    office.engine.play("call", "caller", ["music"], loop=True)
    office.offer_agent()
    office.agent_answers(join=False)
    office.engine.play("call", "agent", ["contract"], tag="whisper")
    at_caller, at_agent = [], []
    for _ in range(10):
        office.caller.send(b"caller")
        office.agent.send(b"agent")
        at_caller += await office.sound(office.caller, 0.02)
        at_agent.append(await office.agent.receive())
    assert heard(at_caller) == 900
    assert heard(at_agent) == 1500
    office.passes(0.02)
    assert list(office.engine.events) == [SoundEnded("call", "agent", "whisper")]
    office.engine.events.clear()
    await office.caller.receive()
    for leg in ("caller", "agent"):
        await office.received(leg, 10)
    office.engine.join("call")
    office.passes(0.5)
    office.agent.send(b"here is the agent")
    office.caller.send(b"here is the caller")
    assert (await office.caller.receive())[12:] == b"here is the agent"
    assert (await office.agent.receive())[12:] == b"here is the caller"
    assert office.caller.waiting() == 0
    assert office.engine.legs_playing == 0
    assert office.engine.packets_dropped == 0
    assert office.engine.packets_played == 21


async def test_hold_music_in_a_joined_call_silences_the_other_leg_until_it_stops(office: Waiting) -> None:
    office.connect()
    await office.relayed(office.agent, office.caller)
    office.engine.play("call", "caller", ["music"], loop=True)
    office.agent.send(b"aside")
    assert heard(await office.sound(office.caller, 0.3)) == 900
    await office.relayed(office.caller, office.agent)
    office.engine.stop("call", "caller")
    office.agent.send(b"back")
    assert (await office.caller.receive())[12:] == b"back"
    figures = office.hang_up()
    assert figures["caller"].packets_sent == 2 + 15
    assert figures["caller"].octets_sent == 16 * 172 + 16
    assert office.engine.packets_relayed == 3


async def test_a_caller_who_does_not_want_sound_gets_none_and_the_time_passes(office: Waiting) -> None:
    office.answer_alone(office.caller.description(direction="sendonly"))
    office.engine.play("call", "caller", ["hello"], tag="greeting")
    office.passes(0.34)
    assert list(office.engine.events) == [SoundEnded("call", "caller", "greeting")]
    assert office.caller.waiting() == 0


async def test_unknown_sounds_are_left_out(office: Waiting) -> None:
    office.answer_alone()
    office.engine.play("call", "caller", ["gone", "hello", "gone"], tag="partly")
    assert heard(await office.sound(office.caller, 0.3)) == 600
    office.passes(0.02)
    office.engine.play("call", "caller", ["gone"], tag="wholly")
    assert [e.tag for e in office.engine.events if isinstance(e, SoundEnded)] == ["partly", "wholly"]


async def test_a_loop_of_unknown_sounds_is_a_comfort_tone(office: Waiting) -> None:
    office.answer_alone()
    office.engine.play("call", "caller", ["gone"], loop=True)
    assert dominant_frequency(samples(await office.sound(office.caller, 0.2)))[0] == pytest.approx(425, abs=10)
    assert not office.engine.events


async def test_what_is_replaced_or_stopped_does_not_end(office: Waiting) -> None:
    office.answer_alone()
    office.engine.play("call", "caller", ["hello"], tag="first")
    office.engine.play("call", "caller", ["music"], tag="second")
    office.passes(0.1)
    office.engine.stop("call", "caller")
    office.passes(1.0)
    assert not office.engine.events


async def test_a_phone_behind_nat_hears_the_sound_once_it_spoke(office: Waiting) -> None:
    office.answer_alone(office.caller.description().replace(b"127.0.0.1", b"192.0.2.1"))
    office.engine.play("call", "caller", ["music"], loop=True)
    office.passes(0.1)
    assert office.caller.waiting() == 0
    office.caller.send()
    await office.received("caller", 1)
    assert heard(await office.sound(office.caller, 0.3)) == 900


async def test_commands_for_calls_that_are_gone_do_nothing(office: Waiting) -> None:
    office.engine.play("gone", "caller", ["music"])
    office.engine.stop("gone", "caller")
    office.engine.listen("gone", "caller")
    office.engine.record("gone", "caller", Path("gone.wav"), 1.0)
    office.engine.finish("gone", "caller")
    office.engine.join("gone")
    office.answer_alone()
    office.engine.stop("call", "agent")
    office.engine.listen("call", "agent")
    office.engine.record("call", "agent", Path("gone.wav"), 1.0)
    assert not office.engine.events


async def test_the_sound_ends_with_the_call(office: Waiting) -> None:
    office.answer_alone()
    office.engine.play("call", "caller", ["music"], loop=True)
    await office.sound(office.caller, 0.1)
    assert office.hang_up()["caller"].packets_sent == 5
    office.passes(0.5)
    assert office.caller.waiting() == 0
    assert office.engine.ports_in_use == 0
    assert office.engine.packets_played == 5


async def test_the_loop_plays_by_itself_in_real_time() -> None:
    office = Waiting()
    began = time.monotonic()
    office.engine.detach()
    office.engine = RelayEngine(
        "127.0.0.1", "127.0.0.1", *port_range(), 10.0, 60.0, random.getrandbits, time.monotonic, sounds=library()
    )
    try:
        ended = asyncio.Event()
        office.engine.attach(asyncio.get_running_loop())
        office.engine.on_event = ended.set
        office.answer_alone()
        office.engine.play("call", "caller", ["hello"], tag="greeting")
        packets = [await office.caller.receive() for _ in range(15)]
        async with asyncio.timeout(PATIENCE):
            await ended.wait()
        assert time.monotonic() - began >= 0.3
        assert heard(packets) == 600
        assert list(office.engine.events) == [SoundEnded("call", "caller", "greeting")]
    finally:
        office.close()


async def test_ipv6() -> None:
    office = Waiting("::1")
    try:
        office.answer_alone()
        office.engine.play("call", "caller", ["music"], loop=True)
        assert heard(await office.sound(office.caller, 0.3)) == 900
    finally:
        office.close()


# -- keys ----------------------------------------------------------------------------------------------------


async def test_each_key_once_however_often_its_packets_come(office: Waiting) -> None:
    office.answer_alone()
    office.engine.listen("call", "caller")
    woken: list[int] = []
    office.engine.on_event = lambda: woken.append(1)
    for at, digit in enumerate("1#1", start=1):
        for duration, end in ((160, False), (320, False), (480, True), (480, True), (480, True)):
            press(office.caller, digit, at * 8000, duration, end)
    pressed = [await office.event() for _ in range(3)]
    assert pressed == [DigitPressed("call", "caller", digit) for digit in "1#1"]
    office.caller.send()
    assert not office.engine.events
    assert len(woken) == 3


async def test_keys_are_heard_though_the_agents_phone_knows_none(office: Waiting) -> None:
    office.answer_alone()
    office.engine.listen("call", "caller")
    office.offer_agent()
    office.agent_answers(sdp=office.agent.description(formats="0"))
    press(office.caller, "#", 8000, 160, end=False)
    assert await office.event() == DigitPressed("call", "caller", "#")


async def test_keys_reach_the_agent_too(office: Waiting) -> None:
    office.connect()
    office.engine.listen("call", "caller")
    press(office.caller, "*", 8000, 160, end=False)
    assert (await office.agent.receive())[12:] == event("*", 160)
    assert await office.event() == DigitPressed("call", "caller", "*")


# -- recording -----------------------------------------------------------------------------------------------


async def test_a_recording_has_what_the_caller_said(office: Waiting, tmp_path: Path) -> None:
    path = tmp_path / "message.wav"
    office.answer_alone()
    office.engine.record("call", "caller", path, 60.0)
    await speak(office, 700, 0.5)
    assert not path.exists()
    office.engine.finish("call", "caller")
    assert await office.event() == RecordingEnded("call", "caller", path, 0.5)
    assert dominant_frequency(recorded(path))[0] == 700
    assert [entry.name for entry in tmp_path.iterdir()] == ["message.wav"]


async def test_a_recording_ends_at_its_length(office: Waiting, tmp_path: Path) -> None:
    path = tmp_path / "message.wav"
    office.answer_alone()
    office.engine.record("call", "caller", path, 0.3)
    await speak(office, 700, 0.5)
    office.advance(0.1)
    assert await office.event() == RecordingEnded("call", "caller", path, 0.3)
    assert len(recorded(path)) == 2400


async def test_a_recording_of_silence_ends_in_time_without_a_file(office: Waiting, tmp_path: Path) -> None:
    office.answer_alone()
    office.engine.record("call", "caller", tmp_path / "message.wav", 5.0)
    office.advance(4.9)
    assert not office.engine.events
    office.advance(0.2)
    assert await office.event() == RecordingEnded("call", "caller", tmp_path / "message.wav", 0.0)
    assert not list(tmp_path.iterdir())


async def test_a_caller_who_hangs_up_leaves_his_recording(office: Waiting, tmp_path: Path) -> None:
    path = tmp_path / "message.wav"
    office.answer_alone()
    office.engine.record("call", "caller", path, 60.0)
    await speak(office, 700, 0.2)
    office.hang_up()
    assert await office.event() == RecordingEnded("call", "caller", path, 0.2)
    assert dominant_frequency(recorded(path))[0] == 700


async def test_recordings_are_written_when_the_server_stops(office: Waiting, tmp_path: Path) -> None:
    office.answer_alone()
    office.engine.record("call", "caller", tmp_path / "message.wav", 60.0)
    await speak(office, 700, 0.2)
    office.engine.detach()
    assert len(recorded(tmp_path / "message.wav")) == 1600


async def test_a_disk_that_fails_is_told(office: Waiting, tmp_path: Path) -> None:
    path = tmp_path / "a file" / "message.wav"
    path.parent.touch()
    office.answer_alone()
    office.engine.record("call", "caller", path, 60.0)
    await speak(office, 700, 0.1)
    office.engine.finish("call", "caller")
    ended = await office.event()
    assert isinstance(ended, RecordingEnded)
    assert ended.seconds == 0.0
    assert ended.fault == "File exists"


def samples(packets: list[bytes]) -> "array[int]":
    return ulaw_decode(b"".join(packet[12:] for packet in packets))


def recorded(path: Path) -> "array[int]":
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8000)
        return array("h", file.readframes(file.getnframes()))


def press(phone: Phone, digit: str, timestamp: int, duration: int, end: bool) -> None:
    phone.sequence += 1
    header = (0x80, 101, phone.sequence, timestamp, phone.ssrc)
    packet = struct.pack("!BBHII", *header) + event(digit, duration, end)
    phone.rtp.sendto(packet, (phone.address, phone.relay_port))


async def speak(office: Waiting, frequency: int, seconds: float) -> None:
    """The caller says a tone, and all of it has arrived."""
    said = 0
    for frame in frames(frequency, seconds):
        office.caller.send(frame)
        said += 1
    await office.received("caller", said)
