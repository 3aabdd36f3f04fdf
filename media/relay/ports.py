"""Pairs of UDP ports for RTP and RTCP, as bound sockets."""

import ctypes
import errno
import ipaddress
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from media.plan import NoPortsLeft

# RFC 4594 section 4.1: telephony is forwarded expedited, DSCP 46
_TRAFFIC_CLASS: Final = 46 << 2
#: A port that belongs to somebody else is asked for again after this long, in seconds.
_REFUSED_SECONDS: Final = 60.0
#: Pairs kept open for the next calls: opening, binding and closing four sockets costs a call more than its SDP.
_MOST_SPARE: Final = 4096
#: Below so many spare pairs the next one would be too easy to guess.
_ENOUGH_SPARE: Final = 256

_libc: Final = ctypes.CDLL(None, use_errno=True)


def disconnect(fileno: int) -> None:
    """connect(2) to AF_UNSPEC, which Python's own sockets cannot; the bound port stays."""
    if _libc.connect(fileno, bytes(28), 28) < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


class SocketPair(NamedTuple):
    """Two bound, non-blocking UDP sockets: RTP on an even port, RTCP on the next (RFC 3550 section 11).

    ``address`` is what to advertise, a ``LocalPorts`` that carries its sockets.
    """

    address: str
    rtp_port: int
    rtcp_port: int
    rtp: socket.socket
    rtcp: socket.socket


class PortPool:
    """The pairs within ``port_min`` to ``port_max`` on ``host``, a literal address.

    They are handed out in random order: who floods guessed ports must not meet the next call. A pair given
    back rests ``quarantine_seconds``, so that late packets of one call never sound in another, and is kept
    open for another call; what came in meanwhile is for the next owner to discard. All takes constant time;
    ``number(bits)`` gives random bits; ``now`` is monotonic seconds. ``before_closing`` is told the number of
    every socket that is going to be closed.
    """

    __slots__ = (
        "_address", "_before_closing", "_family", "_free", "_host", "_kept", "_number", "_quarantine_seconds",
        "_resting", "_spare", "in_use", "version",
    )  # fmt: skip

    def __init__(
        self,
        host: str,
        port_min: int,
        port_max: int,
        quarantine_seconds: float,
        number: Callable[[int], int],
        advertise: str = "",
        before_closing: Callable[[int], None] = lambda fileno: None,
    ) -> None:
        self._host = host
        self._before_closing = before_closing
        self._address = advertise or host
        if ipaddress.ip_address(self._address).is_unspecified:
            # in a session description that would put every call on hold (RFC 3264 section 8.4)
            raise ValueError(f"{self._address} cannot be advertised")
        #: 4 or 6
        self.version = ipaddress.ip_address(self._address).version
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        first = port_min + port_min % 2
        self._free = list(range(first, port_max, 2))
        self._spare: list[SocketPair] = []
        self._resting: deque[tuple[float, int, SocketPair | None]] = deque()
        #: Open pairs that nobody has: spare, or resting.
        self._kept = 0
        self._quarantine_seconds = quarantine_seconds
        self._number = number
        #: Pairs handed out.
        self.in_use = 0

    @property
    def free(self) -> int:
        """Pairs that can be had now."""
        return len(self._free) + len(self._spare)

    @property
    def resting(self) -> int:
        """Pairs in quarantine, or found taken by another program."""
        return len(self._resting)

    def allocate(self, now: float) -> SocketPair:
        """A bound pair; raises NoPortsLeft. Ports the system refuses are skipped and rest for a while."""
        self.sweep(now)
        free = self._free
        if len(self._spare) >= _ENOUGH_SPARE or not free:
            spare = self._take_spare()
            if spare is not None:
                return spare
        for _ in range(len(free)):
            at = self._number(32) % len(free)
            port = free[at]
            free[at] = free[-1]
            free.pop()
            try:
                pair = self._bind(port)
            except OSError as error:
                if error.errno in (errno.EADDRINUSE, errno.EACCES):
                    self._rest(now + _REFUSED_SECONDS, port, None)
                    continue
                # no file descriptors or memory left, or no such address: the next port fares no better
                free.append(port)
                raise NoPortsLeft from error
            self.in_use += 1
            return pair
        raise NoPortsLeft

    def release(self, pair: SocketPair, now: float) -> None:
        """The pair rests before it is handed out again."""
        self.in_use -= 1
        kept: SocketPair | None = pair
        if self._kept < _MOST_SPARE:
            self._kept += 1
        else:
            self._close(pair)
            kept = None
        self._rest(now + self._quarantine_seconds, pair.rtp_port, kept)

    def close(self) -> None:
        """Close what is kept open."""
        for pair in (*self._spare, *(pair for _, _, pair in self._resting if pair is not None)):
            self._close(pair)
        self._spare.clear()
        self._resting.clear()

    def sweep(self, now: float) -> None:
        """Pairs that have rested are free again."""
        resting = self._resting
        while resting and resting[0][0] <= now:
            _, port, pair = resting.popleft()
            if pair is None:
                self._free.append(port)
            else:
                self._spare.append(pair)

    def _take_spare(self) -> SocketPair | None:
        spare = self._spare
        if spare:
            at = self._number(32) % len(spare)
            pair = spare[at]
            spare[at] = spare[-1]
            spare.pop()
            self._kept -= 1
            self.in_use += 1
            return pair
        return None

    def _rest(self, until: float, port: int, pair: SocketPair | None) -> None:
        # Two lengths of rest share one queue: one behind a longer one waits for it, which is rare and harmless.
        self._resting.append((until, port, pair))

    def _bind(self, port: int) -> SocketPair:
        rtp = self._open(port)
        try:
            return SocketPair(self._address, port, port + 1, rtp, self._open(port + 1))
        except OSError:
            rtp.close()
            raise

    def _open(self, port: int) -> socket.socket:
        opened = socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            if self._family == socket.AF_INET6:
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _TRAFFIC_CLASS)
            else:
                opened.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _TRAFFIC_CLASS)
            opened.bind((self._host, port))
        except OSError:
            opened.close()
            raise
        return opened

    def _close(self, pair: SocketPair) -> None:
        for opened in (pair.rtp, pair.rtcp):
            self._before_closing(opened.fileno())
            opened.close()
