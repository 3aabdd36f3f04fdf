"""The one timer: everybody gets 50 packets a second, whatever the loop is late; no sockets."""

import asyncio
import itertools
from array import array
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.relay.player import CROWD, PERIOD, SLOTS, Player, Voice
from media.sounds import SoundLibrary
from media.tones import tone

SOUNDS = SoundLibrary()
SOUNDS.add("long", tone(500, 2.0))
SOUNDS.add("short", array("h", range(1, 800)))


class Loop:
    """Calls nothing; keeps what it was asked for."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def call_later(self, wait: float, _call: object) -> object:
        self.waits.append(wait)
        return object()


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


class Heard:
    """A voice and the headers of what it sent."""

    def __init__(self, payload_type: int = 0) -> None:
        self.voice = Voice(0xABCD, 65_530, 2**32 - 800)
        self.voice.use("PCMU", payload_type)
        self.packets: list[bytes] = []
        self.voice.output = self.take
        self.ended = 0

    def take(self, packet: bytearray) -> None:
        self.packets.append(bytes(packet))

    def end(self) -> None:
        self.ended += 1

    @property
    def timestamps(self) -> list[int]:
        return [int.from_bytes(packet[4:8], "big") for packet in self.packets]

    @property
    def sequences(self) -> list[int]:
        return [int.from_bytes(packet[2:4], "big") for packet in self.packets]


def player(clock: Clock) -> Player:
    return Player(SOUNDS, clock)


def steps(values: list[int], modulus: int) -> set[int]:
    return {(after - before) % modulus for before, after in itertools.pairwise(values)}


def test_legs_are_spread_over_the_slots() -> None:
    clock = Clock()
    made = player(clock)
    legs = [Heard() for _ in range(6 * CROWD)]
    for leg in legs:
        made.play(leg.voice, ["long"], True, leg.end)
    counts = []
    for _ in range(SLOTS):
        before = sum(len(leg.packets) for leg in legs)
        clock.now += PERIOD
        made.advance(clock.now)
        counts.append(sum(len(leg.packets) for leg in legs) - before)
    assert counts == [6 * CROWD // SLOTS] * SLOTS


@given(st.lists(st.floats(0.0, 0.055), min_size=1, max_size=60))
def test_a_timer_that_is_late_drifts_by_nothing(waits: list[float]) -> None:
    clock = Clock()
    made = player(clock)
    leg = Heard()
    made.play(leg.voice, ["long"], True, leg.end)
    for wait in waits:
        clock.now += wait
        made.advance(clock.now)
    assert abs(len(leg.packets) - sum(waits) / 0.02) <= 1.01
    assert made.skipped == 0
    if len(leg.packets) > 1:
        assert steps(leg.timestamps, 2**32) == {160}
        assert steps(leg.sequences, 2**16) == {1}


@given(st.lists(st.floats(0.0, 3.0), min_size=1, max_size=30))
def test_after_a_stall_there_is_no_burst_and_timestamps_tell(waits: list[float]) -> None:
    clock = Clock()
    made = player(clock)
    leg = Heard()
    made.play(leg.voice, ["long"], True, leg.end)
    first = clock.now
    for wait in waits:
        clock.now += wait
        before = len(leg.packets)
        made.advance(clock.now)
        assert len(leg.packets) - before <= 4
    for timestamp in leg.timestamps[-1:]:
        elapsed = (timestamp - leg.timestamps[0]) % 2**32 / 8000
        assert elapsed <= clock.now - first
    assert steps(leg.sequences, 2**16) <= {1}


def test_the_timer_waits_for_the_next_slot_by_the_clock() -> None:
    clock, loop = Clock(), Loop()
    made = player(clock)
    made.attach(cast(asyncio.AbstractEventLoop, loop))
    assert not loop.waits  # nobody listens: no timer
    leg = Heard()
    made.play(leg.voice, ["long"], True, leg.end)
    (wait,) = loop.waits
    assert 0 < wait <= 0.021
    clock.now += wait + 0.003  # 3 ms late
    cast(Any, made)._run()
    assert len(leg.packets) == 1
    assert loop.waits[1:] == [pytest.approx(0.0165, abs=0.0015)]
    made.stop(leg.voice)
    clock.now += PERIOD
    cast(Any, made)._run()
    assert len(loop.waits) == 2


def test_an_end_is_told_after_the_sound_not_with_its_last_packet() -> None:
    clock = Clock()
    told: list[int] = []
    made = Player(SOUNDS, clock, lambda: told.append(1))
    legs = [Heard(), Heard()]
    for leg in legs:
        assert made.play(leg.voice, ["short"], False, leg.end)
    for _ in range(5 * SLOTS):
        clock.now += PERIOD
        made.advance(clock.now)
    assert [len(leg.packets) for leg in legs] == [5, 5]
    assert [leg.ended for leg in legs] == [0, 0]
    clock.now += 0.02
    made.advance(clock.now)
    assert [leg.ended for leg in legs] == [1, 1]
    assert made.playing == 0
    assert told == [1]


def test_a_socket_that_fails_loses_nothing_but_time() -> None:
    clock = Clock()
    made = player(clock)
    leg = Heard()

    def fail(packet: bytearray) -> None:
        raise BlockingIOError

    leg.voice.output = fail
    made.play(leg.voice, ["short"], False, leg.end)
    clock.now += 0.06
    made.advance(clock.now)
    leg.voice.output = leg.take
    clock.now += 0.06
    made.advance(clock.now)
    assert leg.sequences == [65_530, 65_531]
    assert leg.packets[0][1] == 0x80  # the first one that left is marked


def test_another_codec_goes_on_at_the_same_place() -> None:
    clock = Clock()
    made = player(clock)
    leg = Heard()
    made.play(leg.voice, ["long"], False, leg.end)
    clock.now += 0.1
    made.advance(clock.now)
    made.use(leg.voice, "PCMA", 8)
    clock.now += 0.02
    made.advance(clock.now)
    assert leg.packets[-1][1] == 8
    assert leg.packets[-1][12:] == SOUNDS.payloads("long", "PCMA")[5]


def test_a_sound_replaced_in_the_library_plays_on() -> None:
    clock = Clock()
    sounds = SoundLibrary()
    sounds.add("music", tone(500, 0.1))
    made = Player(sounds, clock)
    leg = Heard()
    made.play(leg.voice, ["music"], True, leg.end)
    clock.now += 0.06
    made.advance(clock.now)
    sounds.remove("music")
    clock.now += 0.06
    made.advance(clock.now)
    assert len(leg.packets) == 5
    clock.now += 0.06
    made.advance(clock.now)
    assert leg.ended == 1  # gone when its turn came again: told, so that the call can do something
