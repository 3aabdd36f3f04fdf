"""Keys and recordings, whatever the network does to their packets; no sockets."""

import struct
from array import array
from dataclasses import dataclass
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from media.g711 import alaw_encode, ulaw_encode
from media.relay.tap import DIGITS, Keys, Recording
from media.rtp import HEADER_SIZE, payload_of
from media.tones import tone


@dataclass(frozen=True)
class Packet:
    press: int
    timestamp: int
    payload: bytes


def packets_of(digits: list[str], start: int) -> list[Packet]:
    """Each press as a phone sends it: begun, going on, ended three times (RFC 4733 section 2.5.1)."""
    packets = []
    for press, digit in enumerate(digits):
        timestamp = (start + press * 1600) % 2**32
        for duration, end in ((160, 0), (320, 0), (480, 0), (640, 0x80), (640, 0x80), (640, 0x80)):
            packets.append(Packet(press, timestamp, struct.pack("!BBH", DIGITS.index(digit), end | 10, duration)))
    return packets


def told(packets: list[Packet], keys: Keys | None = None) -> str:
    keys = keys or Keys()
    return "".join(keys.take(7, packet.timestamp, packet.payload) for packet in packets)


_presses = st.lists(st.sampled_from(DIGITS), max_size=8)
_starts = st.integers(0, 2**32 - 1)


@given(_presses, _starts, st.data())
def test_loss_and_doubles_change_nothing_while_one_packet_of_a_press_is_left(
    digits: list[str], start: int, data: st.DataObject
) -> None:
    packets = []
    for packet in packets_of(digits, start):
        packets += [packet] * data.draw(st.integers(0, 3))
    left = {packet.press for packet in packets}
    assert told(packets) == "".join(digit for at, digit in enumerate(digits) if at in left)


@given(_presses, _starts, st.data())
def test_disorder_tells_no_press_twice_and_none_that_was_not(
    digits: list[str], start: int, data: st.DataObject
) -> None:
    packets = packets_of(digits, start)
    shuffled = sorted(packets, key=lambda packet: packets.index(packet) + data.draw(st.integers(0, 9)))
    heard = told(shuffled)
    # a press all of whose packets came after the next one's began is lost, as a late packet is; the rest keep order
    remaining = iter(digits)
    assert all(digit in remaining for digit in heard)


@given(_presses, _starts, st.data())
def test_disorder_within_a_press_and_with_its_neighbours_end_changes_nothing(
    digits: list[str], start: int, data: st.DataObject
) -> None:
    packets = packets_of(digits, start)
    for at in range(0, len(packets) - 6, 6):
        if data.draw(st.booleans()):  # the last of one press after the first of the next
            packets[at + 5], packets[at + 6] = packets[at + 6], packets[at + 5]
    assert told(packets) == "".join(digits)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2**32 - 1), st.binary(max_size=8)), max_size=50))
def test_no_payload_raises(packets: list[tuple[int, int, bytes]]) -> None:
    keys = Keys()
    for ssrc, timestamp, payload in packets:
        assert keys.take(ssrc, timestamp, payload) in {"", *DIGITS}


def test_a_key_held_for_long_is_one_press() -> None:
    keys = Keys()
    segments = [(0, 0xFFFF), (0xFFFF, 0xFFFF), (2 * 0xFFFF, 800)]
    pressed = [keys.take(7, at, struct.pack("!BBH", 5, 0, duration)) for at, duration in segments]
    assert pressed == ["5", "", ""]


def test_a_phone_that_begins_anew_is_heard() -> None:
    keys = Keys()
    assert told(packets_of(["1"], 2**31), keys) == "1"
    assert told(packets_of(["1"], 5), keys) == "1"  # far back: no late packet
    other = packets_of(["1"], 5)[0]
    assert keys.take(8, other.timestamp, other.payload) == "1"  # another source


def test_flash_is_no_digit() -> None:
    assert Keys().take(7, 1, struct.pack("!BBH", 16, 0, 160)) == ""


@given(st.binary(min_size=HEADER_SIZE, max_size=60))
def test_a_payload_is_within_its_packet(packet: bytes) -> None:
    assert len(payload_of(packet)) <= len(packet) - HEADER_SIZE


def test_a_payload_behind_sources_extension_and_before_padding() -> None:
    packet = b"\xb1\x00" + bytes(10) + b"CSRC" + b"\xbe\xde\x00\x01EXTN" + b"sound" + b"\0\0\3"
    assert payload_of(packet) == b"sound"


# -- recording -----------------------------------------------------------------------------------------------


def said(count: int) -> list[tuple[int, bytes]]:
    """(timestamp, payload), each payload of its own value."""
    return [(at * 160, bytes([at % 100]) * 160) for at in range(count)]


def made(packets: list[tuple[int, bytes]], start: int = 0, most_seconds: float = 60.0) -> Recording:
    recording = Recording("caller", Path("message.wav"), most_seconds, 0.0)
    for timestamp, payload in packets:
        recording.take(7, (start + timestamp) % 2**32, "PCMU", payload)
    return recording


@given(_starts, st.sets(st.integers(1, 18)), st.integers(0, 19))
def test_what_is_lost_is_silence_and_what_comes_twice_is_there_once(start: int, lost: set[int], twice: int) -> None:
    packets = said(20)
    whole = made(packets, start).samples()
    arriving = [packet for at, packet in enumerate(packets) if at not in lost for _ in range(1 + (at == twice))]
    heard = made(arriving, start).samples()
    assert len(heard) == len(whole) == 3200
    for at in range(20):
        part = slice(at * 160, at * 160 + 160)
        assert heard[part] == (array("h", bytes(320)) if at in lost else whole[part])


@given(st.lists(st.tuples(st.integers(0, 1), _starts, st.binary(max_size=200)), max_size=40))
def test_no_timestamps_make_it_longer_than_allowed(packets: list[tuple[int, int, bytes]]) -> None:
    recording = Recording("caller", Path("message.wav"), 0.5, 0.0)
    for ssrc, timestamp, payload in packets:
        recording.take(ssrc, timestamp, "PCMA", payload)
    assert len(recording.samples()) <= 4000


def test_a_leap_of_the_timestamps_is_no_hour_of_silence() -> None:
    assert len(made([(0, b"a" * 160), (8000 * 3600, b"b" * 160), (100, b"c" * 160)]).samples()) == 480


def test_a_source_that_changes_goes_on_where_the_last_one_left_off() -> None:
    recording = made(said(2))
    recording.take(8, 99_999, "PCMA", alaw_encode(tone(500, 0.02)))
    assert len(recording.samples()) == 480


def test_a_recording_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "message.wav"
    path.write_bytes(b"an older one")
    recording = Recording("caller", path, 60.0, 0.0)
    assert recording.write() == (0.0, "")
    assert path.read_bytes() == b"an older one"
    recording.take(7, 0, "PCMU", ulaw_encode(tone(500, 0.02)))
    assert recording.write() == (0.02, "")
    assert path.read_bytes()[:4] == b"RIFF"
    assert [entry.name for entry in tmp_path.iterdir()] == ["message.wav"]


def test_the_first_message_makes_its_mailbox(tmp_path: Path) -> None:
    path = tmp_path / "voicemail" / "office@example.com" / "message.wav"
    recording = Recording("caller", path, 60.0, 0.0)
    recording.take(7, 0, "PCMU", ulaw_encode(tone(500, 0.02)))
    assert recording.write() == (0.02, "")
    assert path.read_bytes()[:4] == b"RIFF"


@given(st.lists(st.binary(min_size=1, max_size=3), max_size=200))
def test_memory_is_that_of_the_sound_however_small_the_packets(payloads: list[bytes]) -> None:
    recording = Recording("caller", Path("message.wav"), 0.02, 0.0)
    timestamp = 0
    for payload in payloads:
        recording.take(7, timestamp, "PCMU", payload)
        timestamp += len(payload)
    assert len(recording.samples()) == min(160, timestamp)
    assert recording.full == (timestamp >= 160)
