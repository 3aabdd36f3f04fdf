"""The relay in this process: a media engine on plain sockets.

Ready sockets are found by an epoll of the relay's own, whose descriptor the event loop watches: one callback
of the loop serves all sockets that are ready, and a socket costs one dictionary look-up. (uvloop would also
stop watching a UDP socket for good after its first ICMP error; an epoll does not.)
"""

import asyncio
import select
import socket
from collections import deque
from collections.abc import Callable

from media.engine import LegStatistics, MediaClosed, MediaEvent, MediaFailed, MediaTimedOut, SdpReady
from media.negotiation import Negotiation, NegotiationError
from media.plan import LocalPorts, NoPortsLeft
from media.relay.ports import PortPool
from media.relay.stream import BUFFER_SIZE, RtcpPort, RtpPort

#: Sockets served in one turn of the loop: SIP waits so long at most.
_MOST_AT_ONCE = 128


class RelayPorts:
    """A pair of sockets of one leg; what the negotiation calls its local ports."""

    __slots__ = ("address", "leg", "rtcp", "rtcp_port", "rtp", "rtp_port")

    def __init__(self, leg: str, address: str, rtp_port: int, rtp: RtpPort, rtcp: RtcpPort) -> None:
        self.leg = leg
        self.address = address
        self.rtp_port = rtp_port
        self.rtcp_port = rtp_port + 1
        self.rtp = rtp
        self.rtcp = rtcp


class _Session:
    """One call's sound."""

    __slots__ = ("negotiation", "ports", "seen", "timed_out")

    def __init__(self) -> None:
        self.negotiation: Negotiation | None = None
        self.ports: list[RelayPorts] = []
        #: per pair: packets at the last look, and when there was one
        self.seen: dict[int, tuple[int, float]] = {}
        self.timed_out = False


class RelayEngine:
    """See :class:`media.engine.MediaEngine`. ``clock`` gives monotonic seconds, ``number(bits)`` random ones."""

    def __init__(
        self,
        host: str,
        advertise: str,
        port_min: int,
        port_max: int,
        quarantine_seconds: float,
        timeout_seconds: float,
        number: Callable[[int], int],
        clock: Callable[[], float],
    ) -> None:
        self.events: deque[MediaEvent] = deque()
        #: called when an event came up outside of a command
        self.on_event: Callable[[], None] | None = None
        self._advertise = advertise
        self._timeout = timeout_seconds
        self._number = number
        self._clock = clock
        self._pool = PortPool(host, port_min, port_max, quarantine_seconds, number(16))
        self._family = 6 if ":" in advertise else 4
        self._sessions: dict[str, _Session] = {}
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[], object]] = {}
        self._buffer = bytearray(BUFFER_SIZE)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._packets_of_closed = 0
        self._dropped_of_closed = 0

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Relay from now on, on this loop."""
        self._loop = loop
        loop.add_reader(self._epoll.fileno(), self.relay)

    def detach(self) -> None:
        """Stop, and close everything."""
        if self._loop is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._loop = None
        for session in list(self._sessions):
            self.close(session)
        self._epoll.close()

    def relay(self) -> None:
        """Serve every socket that is ready, one packet each."""
        handlers = self._handlers
        for fd, _ in self._epoll.poll(0, _MOST_AT_ONCE):
            handler = handlers.get(fd)
            if handler is not None:
                handler()

    # -- the engine's commands ---------------------------------------------------------------------------

    def offer(self, session: str, leg: str, to_leg: str, sdp: bytes) -> None:
        """See the protocol."""
        relayed = self._sessions.get(session)
        if relayed is None:
            relayed = self._sessions[session] = _Session()
            relayed.negotiation = Negotiation(session, self, self._session_number)
        negotiation = relayed.negotiation
        assert negotiation is not None
        try:
            self.events.append(SdpReady(session, to_leg, negotiation.offer(leg, to_leg, sdp)))
        except NegotiationError as error:
            self.events.append(MediaFailed(session, error.reason, leg, str(error)))

    def answer(self, session: str, leg: str, to_leg: str, sdp: bytes) -> None:
        """See the protocol."""
        relayed = self._sessions.get(session)
        if relayed is None or relayed.negotiation is None:
            self.events.append(MediaFailed(session, "not_acceptable", leg, "an answer without an offer"))
            return
        try:
            self.events.append(SdpReady(session, to_leg, relayed.negotiation.answer(leg, to_leg, sdp)))
        except NegotiationError as error:
            self.events.append(MediaFailed(session, error.reason, leg, str(error)))
            return
        self._apply(relayed)

    def rollback(self, session: str) -> None:
        """See the protocol."""
        relayed = self._sessions.get(session)
        if relayed is not None and relayed.negotiation is not None:
            relayed.negotiation.rollback()

    def close(self, session: str) -> None:
        """See the protocol."""
        relayed = self._sessions.pop(session, None)
        figures: dict[str, LegStatistics] = {}
        if relayed is not None:
            figures = _figures(relayed.ports)
            if relayed.negotiation is not None:
                relayed.negotiation.close()
            for ports in relayed.ports:
                # the two ends know each other: let them go
                ports.rtp.partner = ports.rtcp.partner = None
        self.events.append(MediaClosed(session, figures))

    def _apply(self, relayed: _Session) -> None:
        assert relayed.negotiation is not None
        now = self._clock()
        paired: set[int] = set()
        for plan in relayed.negotiation.plans:
            first, second = plan.legs
            one, other = first.local, second.local
            assert isinstance(one, RelayPorts)
            assert isinstance(other, RelayPorts)
            for ports, leg_plan, partner in ((one, first, other), (other, second, one)):
                ports.rtp.apply(leg_plan, partner.rtp, now)
                ports.rtcp.apply(leg_plan, partner.rtcp)
                self._listen(ports.rtp)
                relayed.seen[id(ports)] = (ports.rtp.statistics.packets, now)
                paired.add(id(ports))
        for ports in relayed.ports:
            if id(ports) not in paired:
                # no longer part of what was agreed: nothing flows
                ports.rtp.partner = ports.rtcp.partner = None
                relayed.seen.pop(id(ports), None)

    def _session_number(self) -> int:
        return self._number(62)

    # -- ports -------------------------------------------------------------------------------------------

    def allocate(self, session: str, leg: str, family: int | None) -> LocalPorts:
        """See :class:`media.plan.PortAllocator`."""
        if family is not None and family != self._family:
            raise NoPortsLeft
        rtp_socket, rtcp_socket = self._pool.take(self._clock())
        port: int = rtp_socket.getsockname()[1]
        rtp = RtpPort(rtp_socket, self._buffer, self._clock, self._reopened)
        rtcp = RtcpPort(rtcp_socket, self._buffer, rtp)
        ports = RelayPorts(leg, self._advertise, port, rtp, rtcp)
        self._sessions[session].ports.append(ports)
        self._epoll.register(rtp_socket.fileno(), select.EPOLLIN)
        self._epoll.register(rtcp_socket.fileno(), select.EPOLLIN)
        self._listen(rtp)
        self._handlers[rtcp_socket.fileno()] = rtcp.receive
        return ports

    def release(self, ports: LocalPorts) -> None:
        """See :class:`media.plan.PortAllocator`."""
        assert isinstance(ports, RelayPorts)
        rtp, rtcp = ports.rtp, ports.rtcp
        self._packets_of_closed += rtp.sent
        self._dropped_of_closed += rtp.dropped + rtcp.dropped
        for opened in (rtp.socket, rtcp.socket):
            # closing takes it out of the epoll too
            self._handlers.pop(opened.fileno(), None)
            opened.close()
        self._pool.give_back(ports.rtp_port, self._clock())

    def _listen(self, rtp: RtpPort) -> None:
        fd = rtp.socket.fileno()
        if rtp.latched:
            self._handlers[fd] = rtp.receive_latched
            return

        def receive_open() -> None:
            if rtp.receive_open():
                self._handlers[fd] = rtp.receive_latched

        self._handlers[fd] = receive_open

    def _reopened(self, rtp: RtpPort) -> socket.socket:
        """A connected socket cannot be disconnected from Python: another one takes its port."""
        old = rtp.socket
        port: int = old.getsockname()[1]
        self._handlers.pop(old.fileno(), None)
        old.close()
        fresh = self._pool.rebind(port)
        self._epoll.register(fresh.fileno(), select.EPOLLIN)
        return fresh

    # -- once a second -----------------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """Find legs that should be heard and are not; let ports out of quarantine."""
        self._pool.end_quarantine(now)
        if not self._timeout:
            return
        before = len(self.events)
        for name, session in self._sessions.items():
            if session.timed_out:
                continue
            for ports in session.ports:
                seen = session.seen.get(id(ports))
                if seen is None:
                    continue
                packets = ports.rtp.statistics.packets
                if packets != seen[0] or not ports.rtp.may_receive:
                    session.seen[id(ports)] = (packets, now)
                elif now - seen[1] > self._timeout:
                    session.timed_out = True
                    self.events.append(MediaTimedOut(name, ports.leg))
                    break
        if len(self.events) > before and self.on_event is not None:
            self.on_event()

    # -- for the metrics ---------------------------------------------------------------------------------

    @property
    def ports_free(self) -> int:
        """Pairs that can be taken."""
        return self._pool.free

    @property
    def ports_in_use(self) -> int:
        """Pairs of open sessions."""
        return self._pool.in_use

    @property
    def packets_relayed(self) -> int:
        """RTP packets that went out since the start."""
        return self._packets_of_closed + sum(
            ports.rtp.sent for session in self._sessions.values() for ports in session.ports
        )

    @property
    def packets_dropped(self) -> int:
        """Packets that went nowhere: of strangers, malformed, held, or refused by the kernel."""
        return self._dropped_of_closed + sum(
            ports.rtp.dropped + ports.rtcp.dropped for session in self._sessions.values() for ports in session.ports
        )


def _figures(all_ports: list[RelayPorts]) -> dict[str, LegStatistics]:
    """Per leg; of several streams the one with most packets tells of loss and jitter."""
    by_leg: dict[str, list[RelayPorts]] = {}
    for ports in all_ports:
        by_leg.setdefault(ports.leg, []).append(ports)
    figures = {}
    for leg, of_leg in by_leg.items():
        main = max(of_leg, key=lambda ports: ports.rtp.statistics.packets).rtp
        figures[leg] = LegStatistics(
            packets_received=sum(ports.rtp.statistics.packets for ports in of_leg),
            packets_sent=sum(ports.rtp.sent for ports in of_leg),
            octets_received=sum(ports.rtp.statistics.octets for ports in of_leg),
            octets_sent=sum(ports.rtp.octets_sent for ports in of_leg),
            rtcp_received=sum(ports.rtcp.received for ports in of_leg),
            rtcp_sent=sum(ports.rtcp.sent for ports in of_leg),
            lost=main.statistics.lost,
            jitter_ms=main.statistics.jitter_ms,
            mos=main.statistics.mos(main.codec),
            codec=main.codec,
            remote=main.target,
        )
    return figures
