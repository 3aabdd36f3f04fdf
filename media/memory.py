"""A media engine without sockets: the relay's negotiation and its port numbers, for simulations and tests."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from media.engine import (
    DigitPressed,
    LegStatistics,
    MediaClosed,
    MediaEvent,
    MediaFailed,
    RecordingEnded,
    SdpReady,
    SoundEnded,
)
from media.negotiation import Negotiation, NegotiationError
from media.plan import LocalPorts, NoPortsLeft, PortPair
from media.sounds import PLAYER_CODECS


class _CountingPorts:
    """Hands out port numbers; at most ``limit`` pairs at a time."""

    def __init__(self, address: str, limit: int) -> None:
        self._address = address
        self._limit = limit
        self._next = 30_000
        self.in_use: set[int] = set()

    def allocate(self, session: str, leg: str, family: int | None) -> LocalPorts:
        if len(self.in_use) >= self._limit:
            raise NoPortsLeft
        while self._next in self.in_use:
            self._next = 30_000 + (self._next - 30_000 + 2) % 30_000
        port = self._next
        self._next = 30_000 + (port - 30_000 + 2) % 30_000
        self.in_use.add(port)
        return PortPair(self._address, port, port + 1)

    def release(self, ports: LocalPorts) -> None:
        self.in_use.discard(ports.rtp_port)


class Playing(NamedTuple):
    """What a leg hears of ours: ``sounds`` by name, until ``ends`` (None: a loop)."""

    sounds: tuple[str, ...]
    tag: str
    ends: float | None


class _Recording(NamedTuple):
    path: Path
    began: float
    ends: float


class _Session:
    """One call: its negotiation, whether its legs hear each other, what is played, listened to and recorded."""

    __slots__ = ("joined", "listening", "negotiation", "playing", "recording")

    def __init__(self, negotiation: Negotiation) -> None:
        self.negotiation = negotiation
        self.joined = False
        self.playing: dict[str, Playing] = {}
        self.listening: set[str] = set()
        self.recording: dict[str, _Recording] = {}

    def has(self, leg: str) -> bool:
        return any(end.leg == leg for plan in self.negotiation.plans for end in plan.legs)


class MemoryMediaEngine:
    """Negotiates and counts, relays nothing. ``port_limit`` provokes ``no_ports``.

    ``sounds`` are names and their lengths in seconds. Time passes in ``tick`` only; keys are pressed by ``press``.
    Recordings write no file.
    """

    def __init__(
        self,
        address: str = "192.0.2.99",
        port_limit: int = 15_000,
        sounds: Mapping[str, float] | None = None,
    ) -> None:
        self.events: deque[MediaEvent] = deque()
        self._ports = _CountingPorts(address, port_limit)
        self._sessions: dict[str, _Session] = {}
        self._number = 0
        self._sounds = sounds or {}
        self._now = 0.0

    @property
    def ports_in_use(self) -> int:
        """Pairs taken; 0 when every session is closed, or something leaks."""
        return len(self._ports.in_use)

    @property
    def sessions(self) -> int:
        """Sessions that are open."""
        return len(self._sessions)

    # -- what tests do and see ---------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """It is ``now``: sounds and recordings that are over by then end, the earliest first."""
        while True:
            at = self.next_end()
            if at is None or at > now:
                break
            self._now = at
            for name, session in self._sessions.items():
                for leg, playing in list(session.playing.items()):
                    if playing.ends is not None and playing.ends <= at:
                        del session.playing[leg]
                        self.events.append(SoundEnded(name, leg, playing.tag))
                for leg, recording in list(session.recording.items()):
                    if recording.ends <= at:
                        self._finish(name, session, leg)
        self._now = max(self._now, now)

    def next_end(self) -> float | None:
        """When the next sound or recording is over; None when there is none."""
        ends = [playing.ends for session in self._sessions.values() for playing in session.playing.values()]
        ends += [recording.ends for session in self._sessions.values() for recording in session.recording.values()]
        return min((end for end in ends if end is not None), default=None)

    def press(self, session: str, leg: str, digit: str) -> None:
        """``leg`` presses a key; heard if anybody listens."""
        found = self._sessions.get(session)
        if found is not None and leg in found.listening:
            self.events.append(DigitPressed(session, leg, digit))

    def playing(self, session: str, leg: str) -> Playing | None:
        """What ``leg`` hears of ours just now."""
        found = self._sessions.get(session)
        return None if found is None else found.playing.get(leg)

    def joined(self, session: str) -> bool:
        """Whether the legs hear each other."""
        found = self._sessions.get(session)
        return found is not None and found.joined

    # -- commands ----------------------------------------------------------------------------------------

    def offer(self, session: str, leg: str, to_leg: str, sdp: bytes) -> None:
        """See :class:`media.engine.MediaEngine`."""
        self._negotiate(session, leg, to_leg, lambda found: found.negotiation.offer(leg, to_leg, sdp), opens=True)

    def answer(self, session: str, leg: str, to_leg: str, sdp: bytes, join: bool = True) -> None:
        """See :class:`media.engine.MediaEngine`."""

        def answer(found: _Session) -> bytes:
            text = found.negotiation.answer(leg, to_leg, sdp)
            found.joined = join
            if join:
                found.playing.clear()
            return text

        self._negotiate(session, leg, to_leg, answer)

    def answer_alone(self, session: str, leg: str, sdp: bytes) -> None:
        """See :class:`media.engine.MediaEngine`."""
        self._negotiate(
            session, leg, leg, lambda found: found.negotiation.answer_alone(leg, sdp, PLAYER_CODECS), opens=True
        )

    def offer_for(self, session: str, leg: str, to_leg: str) -> None:
        """See :class:`media.engine.MediaEngine`."""
        self._negotiate(session, leg, to_leg, lambda found: found.negotiation.offer_for(leg, to_leg))

    def _negotiate(
        self, session: str, leg: str, to_leg: str, step: Callable[[_Session], bytes], opens: bool = False
    ) -> None:
        found = self._sessions.get(session)
        if found is None and opens:
            found = self._sessions[session] = _Session(Negotiation(session, self._ports, self._session_number))
        if found is None:
            self.events.append(MediaFailed(session, "not_acceptable", leg, "an answer without an offer"))
            return
        try:
            text = step(found)
        except NegotiationError as error:
            self.events.append(MediaFailed(session, error.reason, leg, str(error)))
            return
        if len(found.negotiation.plans) == 1 and len(found.negotiation.plans[0].legs) == 1:
            found.joined = False
        for gone in [name for name in found.playing if not found.has(name)]:
            del found.playing[gone]
        self.events.append(SdpReady(session, to_leg, text))

    def join(self, session: str) -> None:
        """See :class:`media.engine.MediaEngine`."""
        found = self._sessions.get(session)
        if found is not None and any(len(plan.legs) == 2 for plan in found.negotiation.plans):
            found.joined = True
            found.playing.clear()

    def play(self, session: str, leg: str, sounds: Sequence[str], loop: bool = False, tag: str = "") -> None:
        """See :class:`media.engine.MediaEngine`."""
        found = self._sessions.get(session)
        if found is None:
            return
        found.playing.pop(leg, None)
        known = tuple(name for name in sounds if name in self._sounds)
        if loop:
            if found.has(leg):
                found.playing[leg] = Playing(known, tag, None)
        elif known and found.has(leg):
            found.playing[leg] = Playing(known, tag, self._now + sum(self._sounds[name] for name in known))
        else:
            self.events.append(SoundEnded(session, leg, tag))

    def stop(self, session: str, leg: str) -> None:
        """See :class:`media.engine.MediaEngine`."""
        found = self._sessions.get(session)
        if found is not None:
            found.playing.pop(leg, None)

    def listen(self, session: str, leg: str) -> None:
        """See :class:`media.engine.MediaEngine`."""
        found = self._sessions.get(session)
        if found is not None and found.has(leg):
            found.listening.add(leg)

    def record(self, session: str, leg: str, path: Path, most_seconds: float) -> None:
        """See :class:`media.engine.MediaEngine`."""
        self.finish(session, leg)
        found = self._sessions.get(session)
        if found is not None and found.has(leg):
            found.recording[leg] = _Recording(path, self._now, self._now + most_seconds)

    def finish(self, session: str, leg: str) -> None:
        """See :class:`media.engine.MediaEngine`."""
        found = self._sessions.get(session)
        if found is not None:
            self._finish(session, found, leg)

    def _finish(self, name: str, session: _Session, leg: str) -> None:
        recording = session.recording.pop(leg, None)
        if recording is not None:
            self.events.append(RecordingEnded(name, leg, recording.path, self._now - recording.began))

    def rollback(self, session: str) -> None:
        """See :class:`media.engine.MediaEngine`."""
        found = self._sessions.get(session)
        if found is not None:
            found.negotiation.rollback()

    def close(self, session: str) -> None:
        """See :class:`media.engine.MediaEngine`; the statistics are all zero."""
        found = self._sessions.get(session)
        figures: dict[str, LegStatistics] = {}
        if found is not None:
            for leg in list(found.recording):
                self._finish(session, found, leg)
            del self._sessions[session]
            figures = {end.leg: LegStatistics() for plan in found.negotiation.plans for end in plan.legs}
            found.negotiation.close()
        self.events.append(MediaClosed(session, figures))

    def _session_number(self) -> int:
        self._number += 1
        return self._number
