"""Plays sounds to any number of legs from one timer.

Every packet is a payload made beforehand behind a header of twelve octets. There is no task and no timer for
each leg: many legs are spread over four slots of the 20 ms, so that a thousand of them do not hold up signalling
at once, and each slot is a loop over its voices. Few legs share one slot: waking up costs more than a packet.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Final

from media.rtp import HEADER_SIZE
from media.sounds import FRAME, SoundLibrary

SLOTS: Final = 4
PERIOD: Final = 0.02 / SLOTS
"""Seconds from slot to slot."""
#: Voices that share a slot before the next one is used, half a millisecond's work.
CROWD: Final = 64
#: More slots behind than this, the time is let go: timestamps tell (RFC 3550 section 5.1), no phone gets a burst.
_MOST_BEHIND: Final = 3 * SLOTS
#: What is played when nothing that was to be looped can be found.
FALLBACK: Final = "tone/comfort"

Output = Callable[[bytearray], object]

_pack: Final = Struct("!BBHII").pack_into
_MARKER: Final = 0x80


class Voice:
    """What is played to one leg, and where its RTP stream stands: one SSRC for the life of the leg.

    ``output`` takes the packets, None while nobody knows where to or the leg does not want any.
    """

    __slots__ = (
        "_codec", "_index", "_loop", "_names", "_payload_type", "end", "kind", "offset", "on_end", "output", "payloads",
        "position", "sent", "sequence", "slot", "ssrc",
    )  # fmt: skip

    def __init__(self, ssrc: int, sequence: int, offset: int) -> None:
        self.ssrc = ssrc
        self.sequence = sequence & 0xFFFF
        self.offset = offset
        self.output: Output | None = None
        self.on_end: Callable[[], None] | None = None
        #: -1: does not play.
        self.slot = -1
        self.sent = 0
        self._codec = ""
        self._payload_type = 0
        #: The header's second octet of the next packet.
        self.kind = 0
        self._names: Sequence[str] = ()
        self._loop = False
        self._index = 0
        self.payloads: tuple[bytes, ...] = ()
        self.position = 0
        self.end = 0

    def use(self, codec: str, payload_type: int) -> None:
        """The leg's codec; before the first ``play`` and whenever it changes."""
        self._codec, self._payload_type = codec, payload_type
        self.kind = payload_type | self.kind & _MARKER

    @property
    def codec(self) -> str:
        """What the leg speaks, by encoding name."""
        return self._codec

    def begin(self, names: Sequence[str], loop: bool, library: SoundLibrary) -> bool:
        """From the first packet of ``names``; False when there is none."""
        self._names = names
        self._loop = loop
        self._index = -1
        # RFC 3551 section 4.1: the first packet after a pause, be it that somebody else was heard
        self.kind = self._payload_type | _MARKER
        return self.proceed(library)

    def recode(self, library: SoundLibrary) -> None:
        """The same sound from here on, in the codec that is used now."""
        if self._names:
            self.payloads = library.payloads(self._names[self._index], self._codec)
            self.end = len(self.payloads)
            self.position = min(self.position, self.end)

    def proceed(self, library: SoundLibrary) -> bool:
        """The next sound; False when there is none."""
        names = self._names
        for _ in names:
            self._index += 1
            if self._index == len(names):
                if not self._loop:
                    return False
                self._index = 0
            self.payloads = library.payloads(names[self._index], self._codec)
            self.position, self.end = 0, len(self.payloads)
            if self.end:
                return True
        return False

    def unmark(self) -> None:
        """The first packet has left."""
        self.kind = self._payload_type


class Player:
    """Sends every voice a packet each 20 ms. ``clock()`` is monotonic seconds.

    ``on_ended`` is called after the ``on_end`` of voices that came to their ends together.
    """

    def __init__(
        self, library: SoundLibrary, clock: Callable[[], float], on_ended: Callable[[], None] = lambda: None
    ) -> None:
        self.library = library
        self._clock = clock
        self._on_ended = on_ended
        self._slots: list[dict[Voice, None]] = [{} for _ in range(SLOTS)]
        #: Slots done since ``_began``, those let go included.
        self._ticks = 0
        self._began = clock()
        self._packet = bytearray(HEADER_SIZE + FRAME)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        #: Voices that play.
        self.playing = 0
        #: Slots let go because the process was late.
        self.skipped = 0

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Play on ``loop`` from now on."""
        self._loop = loop
        self._schedule()

    def close(self) -> None:
        """Fall silent for good."""
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def play(self, voice: Voice, names: Sequence[str], loop: bool, on_end: Callable[[], None]) -> bool:
        """``voice`` begins with the first of ``names``; False if none of them can be played.

        Instead of a loop of nothing there is a comfort tone, if the library has it.
        """
        known = [name for name in names if self.library.payloads(name, voice.codec)]
        if not known and loop:
            known = [FALLBACK]
        if not voice.begin(known, loop, self.library):
            self.stop(voice)
            return False
        voice.on_end = on_end
        if voice.slot < 0:
            if not self.playing:
                self._ticks = max(self._ticks, self._due(self._clock()) + 1)
            counts = [len(slot) for slot in self._slots]
            voice.slot = next((at for at, count in enumerate(counts) if count < CROWD), counts.index(min(counts)))
            self._slots[voice.slot][voice] = None
            self.playing += 1
            self._schedule()
        return True

    def stop(self, voice: Voice) -> None:
        """``voice`` is silent from now on; its ``on_end`` is not called."""
        voice.on_end = None
        if voice.slot >= 0:
            del self._slots[voice.slot][voice]
            voice.slot = -1
            self.playing -= 1

    def use(self, voice: Voice, codec: str, payload_type: int) -> None:
        """The leg of ``voice`` speaks ``codec`` from now on."""
        before = voice.codec
        voice.use(codec, payload_type)
        if codec != before and voice.slot >= 0:
            voice.recode(self.library)

    def advance(self, now: float) -> None:
        """Send what is due at ``now``."""
        due = self._due(now)
        if due - self._ticks > _MOST_BEHIND:
            self.skipped += due - self._ticks
            self._ticks = due
        ended: list[Voice] = []
        while self._ticks <= due:
            self._tick(ended)
        if ended:
            for voice in ended:
                on_end = voice.on_end
                self.stop(voice)
                if on_end is not None:
                    on_end()
            self._on_ended()

    def _tick(self, ended: list[Voice]) -> None:
        """One slot: the hot path, once for each packet that is played."""
        packet = self._packet
        library = self.library
        time = self._ticks // SLOTS * FRAME
        for voice in self._slots[self._ticks % SLOTS]:
            position = voice.position
            if position == voice.end:
                if not voice.proceed(library):
                    ended.append(voice)
                    continue
                position = 0
            voice.position = position + 1
            output = voice.output
            if output is None:
                continue
            packet[HEADER_SIZE:] = voice.payloads[position]
            _pack(packet, 0, 0x80, voice.kind, voice.sequence, voice.offset + time & 0xFFFFFFFF, voice.ssrc)
            try:
                output(packet)
            except OSError:
                continue  # the kernel's buffer is full, or an ICMP error came back: as if it had never been due
            voice.sequence = voice.sequence + 1 & 0xFFFF
            voice.sent += 1
            if voice.kind & _MARKER:
                voice.unmark()
        self._ticks += 1

    def _due(self, now: float) -> int:
        """The last slot due at ``now``; to a millionth, since sums of fractions are never whole."""
        return int((now - self._began) / PERIOD + 1e-6)

    def _schedule(self) -> None:
        if self._timer is None and self._loop is not None and self.playing:
            # From the monotonic clock anew each time: what one turn is late, the next is not. Up to the next
            # millisecond, since some loops round it off and would then be asked again and again in the last one.
            empty = next(at for at in range(SLOTS) if self._slots[(self._ticks + at) % SLOTS])
            wait = self._began + (self._ticks + empty) * PERIOD - self._clock()
            self._timer = self._loop.call_later(max(0.0, math.ceil(wait * 1000) / 1000), self._run)

    def _run(self) -> None:
        self._timer = None
        self.advance(self._clock())
        self._schedule()
