"""Two ends of a stream, one a leg: what comes in at one goes out at the other.

An end is *open* until it has latched onto its peer: then its socket is connected, and the kernel drops
whatever anybody else sends. Only a new negotiation opens it again.
"""

import socket
from collections.abc import Callable

from media.plan import LegPlan
from media.statistics import ReceiverStatistics

Address = tuple[str, int]

#: Longer datagrams are no telephony.
BUFFER_SIZE = 2048
#: How long after a negotiation another host than the one that was named may latch (a phone behind NAT), seconds.
STRANGER_SECONDS = 10.0
#: RFC 3550 appendix A.1, MIN_SEQUENTIAL: so many packets in order before such a host is believed.
PROBATION = 3


class Port:
    """One socket of one leg and its counts."""

    __slots__ = ("dropped", "octets_sent", "partner", "sent", "socket", "target")

    def __init__(self, opened: socket.socket) -> None:
        self.socket = opened
        self.partner: Port | None = None
        self.target: Address | None = None
        self.sent = 0
        self.octets_sent = 0
        self.dropped = 0

    def _send(self, packet: memoryview) -> None:
        """Towards this port's leg."""
        raise NotImplementedError


class RtpPort(Port):
    """The RTP end of one leg: ``receive_open`` until it has latched, ``receive_latched`` from then on."""

    __slots__ = (
        "_buffer", "_clock", "_connected", "_latch_until", "_may_receive", "_peer", "_probation", "_reopen", "_said",
        "_suspect", "_view", "codec", "statistics",
    )  # fmt: skip

    def __init__(
        self,
        opened: socket.socket,
        buffer: bytearray,
        clock: Callable[[], float],
        reopen: Callable[["RtpPort"], socket.socket],
    ) -> None:
        super().__init__(opened)
        self._buffer = buffer
        self._view = memoryview(buffer)
        self._clock = clock
        self._reopen = reopen
        self._connected = False
        self._may_receive = False
        self._said: Address | None = None
        self._peer = ""
        self._latch_until = 0.0
        self._suspect: tuple[Address, int, int] | None = None
        self._probation = 0
        self.codec = ""
        self.statistics = ReceiverStatistics()

    @property
    def latched(self) -> bool:
        """Only one address is heard any more."""
        return self._connected

    @property
    def may_receive(self) -> bool:
        """The leg may send: silence is suspicious."""
        return self._may_receive

    def apply(self, plan: LegPlan, partner: "RtpPort", now: float) -> None:
        """A negotiation has ended. Another peer or address opens the end again."""
        self.partner = partner
        self._may_receive = plan.may_receive
        for kind in plan.payload_types.values():
            if kind.name.lower() not in ("telephone-event", "cn", "red"):
                self.codec = kind.name.upper()
                self.statistics.clock_rate = kind.clock_rate
                break
        moved = plan.remote_rtp is not None and plan.remote_rtp != self._said
        if moved or plan.peer != self._peer:
            if self._connected:
                self.socket = self._reopen(self)
                self._connected = False
            self._said = self.target = plan.remote_rtp
            self._peer = plan.peer
            self._suspect = None
            self._latch_until = now + STRANGER_SECONDS

    def receive_latched(self) -> None:
        """One packet of the peer: count it and pass it on."""
        buffer = self._buffer
        try:
            size = self.socket.recv_into(buffer)
        except OSError:
            # an ICMP error of something that we sent, or nothing to read after all
            return
        if size < 12 or buffer[0] & 0xC0 != 0x80:
            self.dropped += 1
            return
        self.statistics.count(buffer, size, self._clock())
        partner = self.partner
        if partner is None or not self._may_receive:
            self.dropped += 1
            return
        partner._send(self._view[:size])

    def receive_open(self) -> bool:
        """One packet of anybody: pass it on if it is the peer's. True if the end has latched by it."""
        buffer = self._buffer
        try:
            size, source = self.socket.recvfrom_into(buffer)
        except OSError:
            return False
        partner = self.partner
        if size < 12 or buffer[0] & 0xC0 != 0x80 or partner is None:
            self.dropped += 1
            return False
        address = (source[0], source[1])
        if not self._is_peer(address):
            self.dropped += 1
            return False
        try:
            self.socket.connect(source)
        except OSError:
            return False
        self._connected = True
        self.target = address
        self.statistics.count(buffer, size, self._clock())
        if self._may_receive:
            partner._send(self._view[:size])
        return True

    def _is_peer(self, address: Address) -> bool:
        said = self._said
        if said is not None and address[0] == said[0]:
            # another port of the same host is that host's business: a symmetric phone behind its own router
            return address[1] == said[1] or self._on_probation(address)
        if self._clock() > self._latch_until:
            return False
        return self._on_probation(address)

    def _on_probation(self, address: Address) -> bool:
        buffer = self._buffer
        sequence = buffer[2] << 8 | buffer[3]
        ssrc = int.from_bytes(buffer[8:12], "big")
        suspect = self._suspect
        self._suspect = (address, ssrc, sequence)
        if suspect is not None and suspect == (address, ssrc, (sequence - 1) & 0xFFFF):
            self._probation += 1
        else:
            self._probation = 1
        return self._probation >= PROBATION

    def _send(self, packet: memoryview) -> None:
        try:
            if self._connected:
                self.socket.send(packet)
            elif self.target is not None:
                self.socket.sendto(packet, self.target)
            else:
                return
        except OSError:
            # buffers are full, or nobody listens there (yet): a lost packet as on any network
            self.dropped += 1
            return
        self.sent += 1
        self.octets_sent += len(packet)


class RtcpPort(Port):
    """The RTCP end of one leg: a packet in seconds, so nothing here is hurried. It trusts who RTP trusts."""

    __slots__ = ("_buffer", "_rtp", "_said", "received")

    def __init__(self, opened: socket.socket, buffer: bytearray, rtp: RtpPort) -> None:
        super().__init__(opened)
        self._buffer = buffer
        self._rtp = rtp
        self._said: Address | None = None
        self.received = 0

    def apply(self, plan: LegPlan, partner: "RtcpPort") -> None:
        """A negotiation has ended."""
        self.partner = partner
        if plan.remote_rtcp != self._said:
            self._said = self.target = plan.remote_rtcp

    def receive(self) -> None:
        """One packet of anybody."""
        buffer = self._buffer
        try:
            size, source = self.socket.recvfrom_into(buffer)
        except OSError:
            return
        partner = self.partner
        trusted = self._rtp.target
        # RFC 3550 section 6.1, RFC 5761 section 4: version 2 and one of RTCP's types
        if (
            size < 8
            or buffer[0] & 0xC0 != 0x80
            or not 192 <= buffer[1] <= 223
            or partner is None
            or trusted is None
            or source[0] != trusted[0]
        ):
            self.dropped += 1
            return
        self.target = (source[0], source[1])
        self.received += 1
        partner._send(memoryview(buffer)[:size])

    def _send(self, packet: memoryview) -> None:
        if self.target is None:
            return
        try:
            self.socket.sendto(packet, self.target)
        except OSError:
            self.dropped += 1
            return
        self.sent += 1
        self.octets_sent += len(packet)
