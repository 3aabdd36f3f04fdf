"""The relay as a media engine: RTP through user-space sockets of this process."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from media.engine import (
    DigitPressed,
    LegStatistics,
    MediaClosed,
    MediaEvent,
    MediaFailed,
    MediaTimedOut,
    RecordingEnded,
    SdpReady,
    SoundEnded,
)
from media.negotiation import Negotiation, NegotiationError
from media.plan import LocalPorts, NoPortsLeft
from media.relay.loop import Readiness
from media.relay.player import Player
from media.relay.ports import PortPool, SocketPair
from media.relay.session import Session
from media.relay.tap import Recording
from media.sounds import PLAYER_CODECS, SoundLibrary


class _Allocator:
    """The pool as a negotiation sees it, which knows no time."""

    __slots__ = ("_clock", "_pool")

    def __init__(self, pool: PortPool, clock: Callable[[], float]) -> None:
        self._pool = pool
        self._clock = clock

    def allocate(self, session: str, leg: str, family: int | None) -> SocketPair:
        if family is not None and family != self._pool.version:
            raise NoPortsLeft
        return self._pool.allocate(self._clock())

    def release(self, ports: LocalPorts) -> None:
        assert isinstance(ports, SocketPair)
        self._pool.release(ports, self._clock())


class RelayEngine:
    """A :class:`media.engine.MediaEngine` on sockets of ``host``, a literal address.

    Descriptions name ``advertise``. A leg that should send and does not for ``timeout_seconds`` (0: never
    mind) is a ``MediaTimedOut``. ``ids_number(bits)`` gives random bits, ``clock()`` monotonic seconds.
    ``strict`` takes packets from signalled addresses only: right for trunks, deaf to phones behind a NAT.

    ``sounds`` is what can be played.

    ``on_event`` is called when an event was queued outside a command; it must not give commands at once.
    """

    def __init__(
        self,
        host: str,
        advertise: str,
        port_min: int,
        port_max: int,
        quarantine_seconds: float,
        timeout_seconds: float,
        ids_number: Callable[[int], int],
        clock: Callable[[], float],
        strict: bool = False,
        sounds: SoundLibrary | None = None,
    ) -> None:
        self.events: deque[MediaEvent] = deque()
        self.on_event: Callable[[], None] | None = None
        self._readiness = Readiness(clock)
        self._pool = PortPool(
            host, port_min, port_max, quarantine_seconds, ids_number, advertise, self._readiness.unwatch
        )
        self._allocator = _Allocator(self._pool, clock)
        self._timeout_seconds = timeout_seconds
        self._number = ids_number
        self._clock = clock
        self._strict = strict
        self._player = Player(sounds if sounds is not None else SoundLibrary(), clock, self._happened)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sessions: dict[str, Session] = {}
        self._played_before = 0
        self._relayed_before = 0
        self._dropped_before = 0

    # -- the process around it ---------------------------------------------------------------------------

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Relay and play from now on, on ``loop``."""
        self._loop = loop
        self._readiness.attach(loop)
        self._player.attach(loop)

    def detach(self) -> None:
        """Close every socket; the object is done. No events; recordings are written before it returns."""
        self._player.close()
        for session in self._sessions.values():
            for recording in session.recordings():
                recording.write()
            session.close()
        self._sessions.clear()
        self._readiness.close()
        self._pool.close()

    def sweep(self, now: float) -> None:
        """About once a second: silent legs, latches, rested ports, recordings that are long enough."""
        self._pool.sweep(now)
        before = len(self.events)
        for name, session in self._sessions.items():
            for leg in session.sweep(now, self._timeout_seconds):
                self.events.append(MediaTimedOut(name, leg))
            for recording in session.recorded(now):
                self._write(name, recording)
        if len(self.events) > before:
            self._happened()

    def play_due(self, now: float) -> None:
        """Play what is due at ``now``; the loop does so by itself."""
        self._player.advance(now)

    def _happened(self) -> None:
        if self.on_event is not None:
            self.on_event()

    def _happens(self, event: MediaEvent) -> None:
        self.events.append(event)
        self._happened()

    # -- commands ----------------------------------------------------------------------------------------

    def offer(self, session: str, leg: str, to_leg: str, sdp: bytes) -> None:
        """See :class:`media.engine.MediaEngine`."""
        self._negotiate(session, leg, to_leg, lambda found: found.negotiation.offer(leg, to_leg, sdp), opens=True)

    def answer(self, session: str, leg: str, to_leg: str, sdp: bytes, join: bool = True) -> None:
        """See :class:`media.engine.MediaEngine`."""

        def answer(found: Session) -> bytes:
            text = found.negotiation.answer(leg, to_leg, sdp)
            found.apply(self._clock(), join)
            return text

        self._negotiate(session, leg, to_leg, answer)

    def answer_alone(self, session: str, leg: str, sdp: bytes) -> None:
        """See :class:`media.engine.MediaEngine`."""

        def answer(found: Session) -> bytes:
            text = found.negotiation.answer_alone(leg, sdp, PLAYER_CODECS)
            found.apply(self._clock(), join=False)
            return text

        self._negotiate(session, leg, leg, answer, opens=True)

    def offer_for(self, session: str, leg: str, to_leg: str) -> None:
        """See :class:`media.engine.MediaEngine`."""

        def offer(found: Session) -> bytes:
            plans = found.negotiation.plans
            text = found.negotiation.offer_for(leg, to_leg)
            if len(plans) != 1 or len(plans[0].legs) != 1:
                found.apply(self._clock(), join=False)
            return text

        self._negotiate(session, leg, to_leg, offer)

    def _negotiate(
        self, session: str, leg: str, to_leg: str, step: Callable[[Session], bytes], opens: bool = False
    ) -> None:
        found = self._sessions.get(session)
        if found is None and opens:
            negotiation = Negotiation(session, self._allocator, self._session_number)
            found = Session(negotiation, self._readiness, self._strict, self._player, self._number)
            self._sessions[session] = found
        if found is None:
            self.events.append(MediaFailed(session, "not_acceptable", leg, "an answer without an offer"))
            return
        try:
            self.events.append(SdpReady(session, to_leg, step(found)))
        except NegotiationError as error:
            self.events.append(MediaFailed(session, error.reason, leg, str(error)))

    def join(self, session: str) -> None:
        """See :class:`media.engine.MediaEngine`."""
        found = self._sessions.get(session)
        if found is not None:
            found.join()

    def play(self, session: str, leg: str, sounds: Sequence[str], loop: bool = False, tag: str = "") -> None:
        """See :class:`media.engine.MediaEngine`."""
        found = self._sessions.get(session)
        if found is None:
            return
        ended = SoundEnded(session, leg, tag)
        if not found.play(leg, sounds, loop, partial(self.events.append, ended)) and not loop:
            self.events.append(ended)

    def stop(self, session: str, leg: str) -> None:
        """See :class:`media.engine.MediaEngine`."""
        found = self._sessions.get(session)
        if found is not None:
            found.stop(leg)

    def listen(self, session: str, leg: str) -> None:
        """See :class:`media.engine.MediaEngine`."""
        found = self._sessions.get(session)
        if found is not None:
            found.listen(leg, lambda digit: self._happens(DigitPressed(session, leg, digit)))

    def record(self, session: str, leg: str, path: Path, most_seconds: float) -> None:
        """See :class:`media.engine.MediaEngine`."""
        self.finish(session, leg)
        found = self._sessions.get(session)
        if found is not None:
            found.record(leg, path, most_seconds, self._clock())

    def finish(self, session: str, leg: str) -> None:
        """See :class:`media.engine.MediaEngine`."""
        found = self._sessions.get(session)
        recording = None if found is None else found.finish(leg)
        if recording is not None:
            self._write(session, recording)

    def _write(self, session: str, recording: Recording) -> None:
        """In a thread: a disk may take its time, calls do not."""
        if self._loop is None:
            self._written(session, recording, recording.write())
            return
        writing = self._loop.run_in_executor(None, recording.write)
        writing.add_done_callback(lambda done: self._written(session, recording, done.result()))

    def _written(self, session: str, recording: Recording, result: tuple[float, str]) -> None:
        self._happens(RecordingEnded(session, recording.leg, recording.path, *result))

    def rollback(self, session: str) -> None:
        """See :class:`media.engine.MediaEngine`."""
        found = self._sessions.get(session)
        if found is not None:
            found.negotiation.rollback()

    def close(self, session: str) -> None:
        """See :class:`media.engine.MediaEngine`."""
        found = self._sessions.pop(session, None)
        if found is None:
            self.events.append(MediaClosed(session))
            return
        self._relayed_before += found.packets_relayed
        self._dropped_before += found.packets_dropped
        self._played_before += found.packets_played
        for recording in found.recordings():
            self._write(session, recording)
        figures = found.statistics()
        found.close()
        self.events.append(MediaClosed(session, figures))

    # -- what it can tell --------------------------------------------------------------------------------

    def statistics(self, session: str) -> dict[str, LegStatistics]:
        """The figures so far of each leg of an open session; empty if there is none."""
        found = self._sessions.get(session)
        return {} if found is None else dict(found.statistics())

    @property
    def sessions(self) -> int:
        """Sessions that are open."""
        return len(self._sessions)

    @property
    def ports_free(self) -> int:
        """Pairs of ports that can be had now."""
        return self._pool.free

    @property
    def ports_in_use(self) -> int:
        """Pairs of ports taken; 0 when every session is closed."""
        return self._pool.in_use

    @property
    def packets_relayed(self) -> int:
        """RTP packets that left, since the start."""
        return self._relayed_before + sum(session.packets_relayed for session in self._sessions.values())

    @property
    def packets_played(self) -> int:
        """RTP packets of our own that left, since the start."""
        return self._played_before + sum(session.packets_played for session in self._sessions.values())

    @property
    def legs_playing(self) -> int:
        """Legs that are being played to."""
        return self._player.playing

    @property
    def packets_dropped(self) -> int:
        """Packets that came and did not leave, since the start."""
        return self._dropped_before + sum(session.packets_dropped for session in self._sessions.values())

    def _session_number(self) -> int:
        return self._number(62)
