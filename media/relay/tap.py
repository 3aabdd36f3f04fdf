"""What is taken from a leg's packets beside relaying them: pressed keys, and a recording of what it says."""

from array import array
from collections.abc import Callable
from pathlib import Path
from struct import Struct
from typing import Final

from media.g711 import alaw_decode, ulaw_decode
from media.plan import LegPlan
from media.rtp import HEADER_SIZE, payload_of
from media.sounds import CODECS
from media.wave_file import RATE, write_wave

DIGITS: Final = "0123456789*#ABCD"
"""By event number (RFC 4733 section 3.2)."""

#: A packet this much older than the press before it, in timestamp units, is late; beyond, the phone has begun anew.
_LATE: Final = 5 * RATE
#: What a timestamp may leap for the gap to be kept as silence, in samples.
_MOST_GAP: Final = 10 * RATE
_LONGEST_SEGMENT: Final = 0xFFFF

_ENCODE: Final = CODECS
_DECODE: Final = {"PCMA": alaw_decode, "PCMU": ulaw_decode}
_SILENCE: Final = {"PCMA": b"\xd5", "PCMU": b"\xff"}

_header: Final = Struct("!BBHII").unpack_from
_event: Final = Struct("!BBH").unpack_from


class Keys:
    """Tells one press from the next, whatever packets are lost, doubled or out of order (RFC 4733 section 2.5)."""

    __slots__ = ("_duration", "_ended", "_event", "_ssrc", "_timestamp")

    def __init__(self) -> None:
        self._ssrc = -1
        self._timestamp = 0
        self._event = -1
        self._duration = 0
        self._ended = True

    def take(self, ssrc: int, timestamp: int, payload: bytes | memoryview) -> str:
        """A packet of telephone-event; returns the digit if it is the first one seen of its press, else ""."""
        if len(payload) < 4:
            return ""
        event, flags, duration = _event(payload)
        if event >= len(DIGITS):
            return ""
        same = ssrc == self._ssrc
        ahead = (timestamp - self._timestamp) & 0xFFFFFFFF
        if same and not ahead:
            self._ended = self._ended or bool(flags & 0x80)
            self._duration = max(self._duration, duration)
            return ""
        if same and 0x100000000 - ahead <= _LATE:
            return ""
        # Section 2.5.1.3: a key held for more than 8 s is told in segments, each with a timestamp of its own.
        goes_on = same and event == self._event and not self._ended and ahead == _LONGEST_SEGMENT
        self._ssrc, self._timestamp, self._event = ssrc, timestamp, event
        self._duration, self._ended = duration, bool(flags & 0x80)
        return "" if goes_on else DIGITS[event]


class Recording:
    """What one leg says, as it comes; ``most_seconds`` of it at most.

    Kept in memory as it was sent, 8000 octets a second however small the packets are.
    """

    __slots__ = ("_codec", "_first", "_most", "_octets", "_ssrc", "ends", "full", "leg", "path")

    def __init__(self, leg: str, path: Path, most_seconds: float, now: float) -> None:
        self.leg = leg
        self.path = path
        #: When it is over, however little has come.
        self.ends = now + most_seconds
        self._most = int(most_seconds * RATE)
        self._octets = bytearray()
        self._codec = ""
        self._ssrc = -1
        self._first = 0
        #: Nothing more is taken.
        self.full = False

    def take(self, ssrc: int, timestamp: int, codec: str, payload: bytes) -> None:
        """A packet of speech. Gaps are kept, late packets and doubles are not."""
        if not self._codec:
            self._codec = codec
        octets = self._octets
        length = len(octets)
        if self._ssrc != ssrc:
            # a new source goes on where the old one left off
            self._ssrc = ssrc
            self._first = timestamp - length
        at = (timestamp - self._first) & 0xFFFFFFFF
        if at < length or at >= 0x80000000:
            if (length - at) & 0xFFFFFFFF <= _MOST_GAP:
                return
            at = length  # the phone has begun anew
        elif at - length > _MOST_GAP:
            at = length
        self._first = timestamp - at
        if at >= self._most:
            self.full = True
            return
        octets.extend(_SILENCE[self._codec] * (at - length))
        if codec != self._codec:
            payload = _ENCODE[self._codec](_DECODE[codec](payload))
        octets.extend(payload[: self._most - at])
        self.full = len(octets) >= self._most

    def samples(self) -> "array[int]":
        """All of it, linear; silence where nothing came."""
        return _DECODE[self._codec](bytes(self._octets)) if self._codec else array("h")

    def write(self) -> tuple[float, str]:
        """Write the file; returns its seconds, and the fault if it could not be written. Blocks.

        First under a name of its own, so that whoever finds ``path`` finds all of it.
        """
        samples = self.samples()
        if not samples:
            return 0.0, ""
        unfinished = self.path.with_name(self.path.name + ".part")
        try:
            # a mailbox's folder comes with its first message
            self.path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_bytes(write_wave(samples))
            unfinished.replace(self.path)
        except OSError as error:
            return 0.0, error.strerror or str(error)
        return len(samples) / RATE, ""


class Tap:
    """Looks at each packet of one leg on its way."""

    __slots__ = ("_codecs", "_events", "_keys", "_on_digit", "recording")

    def __init__(self) -> None:
        self._keys: Keys | None = None
        self._on_digit: Callable[[str], None] = lambda digit: None
        self.recording: Recording | None = None
        self._events: frozenset[int] = frozenset()
        self._codecs: dict[int, str] = {}

    def agree(self, plan: LegPlan) -> None:
        """What payload types mean from now on."""
        entries = plan.payload_types.values()
        self._events = frozenset(entry.number for entry in entries if entry.name.lower() == "telephone-event")
        self._codecs = {entry.number: entry.name.upper() for entry in entries if entry.name.upper() in CODECS}

    def listen(self, on_digit: Callable[[str], None]) -> None:
        """``on_digit`` for each key pressed from now on."""
        self._on_digit = on_digit
        if self._keys is None:
            self._keys = Keys()

    def take(self, packet: bytes | memoryview) -> None:
        """A whole RTP packet, header checked."""
        payload_type = packet[1] & 0x7F
        if self._keys is not None and payload_type in self._events:
            _, _, _, timestamp, ssrc = _header(packet)
            digit = self._keys.take(ssrc, timestamp, payload_of(packet))
            if digit:
                self._on_digit(digit)
        elif self.recording is not None and payload_type in self._codecs and len(packet) > HEADER_SIZE:
            _, _, _, timestamp, ssrc = _header(packet)
            self.recording.take(ssrc, timestamp, self._codecs[payload_type], bytes(payload_of(packet)))
