"""A media engine without sockets: the relay's negotiation and its port numbers, for simulations and tests."""

from collections import deque

from media.engine import LegStatistics, MediaClosed, MediaEvent, MediaFailed, SdpReady
from media.negotiation import Negotiation, NegotiationError
from media.plan import LocalPorts, NoPortsLeft, PortPair


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


class MemoryMediaEngine:
    """Negotiates and counts, relays nothing. ``port_limit`` provokes ``no_ports``."""

    def __init__(self, address: str = "192.0.2.99", port_limit: int = 15_000) -> None:
        self.events: deque[MediaEvent] = deque()
        self._ports = _CountingPorts(address, port_limit)
        self._sessions: dict[str, Negotiation] = {}
        self._number = 0

    @property
    def ports_in_use(self) -> int:
        """Pairs taken; 0 when every session is closed, or something leaks."""
        return len(self._ports.in_use)

    @property
    def sessions(self) -> int:
        """Sessions that are open."""
        return len(self._sessions)

    def offer(self, session: str, leg: str, to_leg: str, sdp: bytes) -> None:
        """See :class:`media.engine.MediaEngine`."""
        negotiation = self._sessions.get(session)
        if negotiation is None:
            negotiation = self._sessions[session] = Negotiation(session, self._ports, self._session_number)
        try:
            self.events.append(SdpReady(session, to_leg, negotiation.offer(leg, to_leg, sdp)))
        except NegotiationError as error:
            self.events.append(MediaFailed(session, error.reason, leg, str(error)))

    def answer(self, session: str, leg: str, to_leg: str, sdp: bytes) -> None:
        """See :class:`media.engine.MediaEngine`."""
        negotiation = self._sessions.get(session)
        if negotiation is None:
            self.events.append(MediaFailed(session, "not_acceptable", leg, "an answer without an offer"))
            return
        try:
            self.events.append(SdpReady(session, to_leg, negotiation.answer(leg, to_leg, sdp)))
        except NegotiationError as error:
            self.events.append(MediaFailed(session, error.reason, leg, str(error)))

    def rollback(self, session: str) -> None:
        """See :class:`media.engine.MediaEngine`."""
        negotiation = self._sessions.get(session)
        if negotiation is not None:
            negotiation.rollback()

    def close(self, session: str) -> None:
        """See :class:`media.engine.MediaEngine`; the statistics are all zero."""
        negotiation = self._sessions.pop(session, None)
        figures: dict[str, LegStatistics] = {}
        if negotiation is not None:
            figures = {end.leg: LegStatistics() for plan in negotiation.plans for end in plan.legs}
            negotiation.close()
        self.events.append(MediaClosed(session, figures))

    def _session_number(self) -> int:
        self._number += 1
        return self._number
