"""The relay's UDP ports: pairs of an even one for RTP and the next for RTCP (RFC 3550 section 11)."""

import socket
from collections import deque

from media.plan import NoPortsLeft

#: RFC 4594 section 4.1: telephony is expedited forwarding.
_EXPEDITED_FORWARDING = 46 << 2
#: Ports that other programs hold are skipped, so many before giving up.
_MOST_TRIES = 64


class PortPool:
    """Binds pairs in turn, so that a port is reused as late as possible, and never within the quarantine.

    What a finished call's peer still sends must not fall into somebody else's call. Times in seconds.
    """

    def __init__(self, host: str, port_min: int, port_max: int, quarantine_seconds: float, first: int = 0) -> None:
        self._host = host
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._quarantine = quarantine_seconds
        ports = list(range(port_min + port_min % 2, port_max, 2))
        # a server that starts again begins elsewhere: its old calls' peers are still sending
        first %= max(1, len(ports))
        self._free = deque(ports[first:] + ports[:first])
        self._resting: deque[tuple[float, int]] = deque()
        self.in_use = 0

    @property
    def free(self) -> int:
        """Pairs that can be taken, those in quarantine not among them."""
        return len(self._free)

    def take(self, now: float) -> tuple[socket.socket, socket.socket]:
        """Two bound, non-blocking sockets. Raises NoPortsLeft."""
        self.end_quarantine(now)
        for _ in range(min(_MOST_TRIES, len(self._free))):
            port = self._free.popleft()
            pair = self._bind(port)
            if pair is not None:
                self.in_use += 1
                return pair
            self._free.append(port)
        raise NoPortsLeft

    def rebind(self, port: int) -> socket.socket:
        """A fresh socket on a port of ours whose old one was just closed. Raises OSError."""
        return self._open(port)

    def give_back(self, port: int, now: float) -> None:
        """The even port of a pair whose sockets are closed."""
        self.in_use -= 1
        self._resting.append((now + self._quarantine, port))

    def end_quarantine(self, now: float) -> None:
        """Let those that have rested enough be taken again."""
        resting = self._resting
        while resting and resting[0][0] <= now:
            self._free.append(resting.popleft()[1])

    def _bind(self, port: int) -> tuple[socket.socket, socket.socket] | None:
        try:
            first = self._open(port)
        except OSError:
            return None
        try:
            return first, self._open(port + 1)
        except OSError:
            first.close()
            return None

    def _open(self, port: int) -> socket.socket:
        opened = socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            opened.bind((self._host, port))
            if self._family == socket.AF_INET:
                opened.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _EXPEDITED_FORWARDING)
            else:
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _EXPEDITED_FORWARDING)
        except OSError:
            opened.close()
            raise
        return opened
