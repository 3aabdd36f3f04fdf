"""The relay as a media engine: RTP through user-space sockets of this process."""

import asyncio
from collections import deque
from collections.abc import Callable

from media.engine import LegStatistics, MediaClosed, MediaEvent, MediaFailed, MediaTimedOut, SdpReady
from media.negotiation import Negotiation, NegotiationError
from media.plan import LocalPorts, NoPortsLeft
from media.relay.loop import Readiness
from media.relay.ports import PortPool, SocketPair
from media.relay.session import Session


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

    ``on_event`` is called when an event was queued outside a command.
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
        self._sessions: dict[str, Session] = {}
        self._relayed_before = 0
        self._dropped_before = 0

    # -- the process around it ---------------------------------------------------------------------------

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Relay from now on, on ``loop``."""
        self._readiness.attach(loop)

    def detach(self) -> None:
        """Close every socket; the object is done. No events."""
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()
        self._readiness.close()
        self._pool.close()

    def sweep(self, now: float) -> None:
        """About once a second: silent legs, latches, rested ports."""
        self._pool.sweep(now)
        before = len(self.events)
        for name, session in self._sessions.items():
            for leg in session.sweep(now, self._timeout_seconds):
                self.events.append(MediaTimedOut(name, leg))
        if len(self.events) > before and self.on_event is not None:
            self.on_event()

    # -- commands ----------------------------------------------------------------------------------------

    def offer(self, session: str, leg: str, to_leg: str, sdp: bytes) -> None:
        """See :class:`media.engine.MediaEngine`."""
        found = self._sessions.get(session)
        if found is None:
            negotiation = Negotiation(session, self._allocator, self._session_number)
            found = self._sessions[session] = Session(negotiation, self._readiness, self._strict)
        try:
            self.events.append(SdpReady(session, to_leg, found.negotiation.offer(leg, to_leg, sdp)))
        except NegotiationError as error:
            self.events.append(MediaFailed(session, error.reason, leg, str(error)))

    def answer(self, session: str, leg: str, to_leg: str, sdp: bytes) -> None:
        """See :class:`media.engine.MediaEngine`."""
        found = self._sessions.get(session)
        if found is None:
            self.events.append(MediaFailed(session, "not_acceptable", leg, "an answer without an offer"))
            return
        try:
            answer = found.negotiation.answer(leg, to_leg, sdp)
        except NegotiationError as error:
            self.events.append(MediaFailed(session, error.reason, leg, str(error)))
            return
        found.apply(self._clock())
        self.events.append(SdpReady(session, to_leg, answer))

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
    def packets_dropped(self) -> int:
        """Packets that came and did not leave, since the start."""
        return self._dropped_before + sum(session.packets_dropped for session in self._sessions.values())

    def _session_number(self) -> int:
        return self._number(62)
