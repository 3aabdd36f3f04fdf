"""A leg's RTCP: reports are handed on, from who may be the leg's RTP."""

import socket
from typing import Final

from media.plan import LegPlan
from media.relay.loop import Readiness
from media.relay.packet import LARGEST, buffer, slices
from media.relay.stream import Address, RtpPort

_HEADER_SIZE: Final = 8


class RtcpPort:
    """Takes one leg's RTCP and hands it on; let in is who may be the leg's RTP, at any port.

    A few packets a minute: never connected, each is looked at.
    """

    __slots__ = (
        "_peer",
        "_peer_name",
        "_readiness",
        "_rtp",
        "_signalled",
        "_silent",
        "_socket",
        "_source",
        "_waits",
        "_watched",
        "dropped",
        "received",
        "sent",
    )

    def __init__(self, opened: socket.socket, readiness: Readiness, rtp: RtpPort) -> None:
        self._socket = opened
        self._readiness = readiness
        self._rtp = rtp
        self._watched = False
        self._peer: RtcpPort | None = None
        self._waits = False
        self._peer_name: str | None = None
        self._signalled: Address | None = None
        self._source: Address | None = None
        self._silent = False
        self.received = 0
        self.sent = 0
        self.dropped = 0

    def agree(self, plan: LegPlan) -> None:
        """What the last answer says of this leg; opens the port if need be."""
        remote = plan.remote_rtcp
        if plan.peer != self._peer_name or (remote is not None and remote != self._signalled):
            self._peer_name = plan.peer
            self._signalled = remote
            self._source = None
        # RFC 3264 section 8.4: no RTCP either goes to 0.0.0.0
        self._silent = remote is None and not plan.may_send
        if not self._watched:
            self._watched = True
            self._readiness.watch(self._socket.fileno(), self._receive)

    def suspend(self) -> None:
        """No description in force has this stream."""
        self._peer = None
        if self._watched:
            self._watched = False
            self._readiness.rest(self._socket)

    def forward_to(self, peer: "RtcpPort | None", waits: bool = False) -> None:
        """From now on the leg's reports go to ``peer``'s leg; see ``RtpPort.forward_to``."""
        self._peer = peer
        self._waits = waits

    def _receive(self, now: float) -> bool:
        try:
            size, origin = self._socket.recvfrom_into(buffer)
        except OSError:
            return False
        if not _is_rtcp(size) or not self._is_from_leg(origin[:2]):
            self.dropped += 1
            return True
        self.received += 1
        if self._peer is None:
            self.dropped += not self._waits
        elif not self._peer._send(size):
            self.dropped += 1
        return True

    def _is_from_leg(self, source: Address) -> bool:
        if self._source is not None:
            return source == self._source
        rtp = self._rtp.source
        if source != self._signalled and (rtp is None or source[0] != rtp[0]):
            return False
        self._source = source
        return True

    def _send(self, size: int) -> bool:
        target = self._source or self._signalled
        if target is None or self._silent:
            return False
        try:
            self._socket.sendto(slices[size], target)
        except OSError:
            return False
        self.sent += 1
        return True


def _is_rtcp(size: int) -> bool:
    """RFC 3550 appendix A.2: version 2, begins with a report, whole 32-bit words."""
    return _HEADER_SIZE <= size <= LARGEST and size % 4 == 0 and buffer[0] & 0xE0 == 0x80 and buffer[1] in (200, 201)
