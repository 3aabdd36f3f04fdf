"""One UDP socket for SIP: read in bounded bursts, written to directly, told of ICMP errors."""

import asyncio
import errno
import select
import socket
import struct
from collections import deque
from collections.abc import Callable

from b2bua.net.addresses import literal
from b2bua.sip.hop import Hop

#: Datagrams read per wake-up, so that a flood on one socket does not starve the others.
BURST = 32
#: When a look for a second datagram finds none, so many turns go by before the next look.
SINGLE_TURNS = 8
#: Bytes of kernel buffer asked for: half a second of 10,000 messages a second.
RECEIVE_BUFFER = 4 * 1024 * 1024
#: A larger datagram cannot be sent (65,535 less the UDP and IPv6 headers, with room to spare).
LARGEST = 65_000
#: Datagrams kept while the kernel's send buffer is full; more are dropped, as the network would.
WAITING = 1024

# On Linux. Elsewhere ICMP errors are not asked for, and transactions end by their timers.
_HAS_EPOLL = hasattr(select, "epoll")
# linux/in.h, linux/in6.h, linux/errqueue.h: not named in Python 3.11
_SO_RCVBUFFORCE = 33
_IP_RECVERR = 11
_IPV6_RECVERR = 25
_EXTENDED_ERROR = struct.Struct("=IBBBBII")
_FROM_ICMP = (2, 3)

_CAN_WAIT = (errno.EAGAIN, errno.EWOULDBLOCK)
#: RFC 3261 section 18.4: host, network, port or protocol unreachable. All else (time exceeded, too big)
#: says nothing final about the peer.
_UNREACHABLE = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENOPROTOOPT)

# recv_into copies into here and the message is cut out of it: no 64 KiB allocation for 600 octets
_buffer = bytearray(65_536)
_view = memoryview(_buffer)


class UdpListener:
    """A bound, unconnected UDP socket.

    ``on_datagram(data, hop)`` gets each datagram; ``on_unreachable(host, port)`` the destination of a
    datagram that an ICMP error or the kernel says cannot be reached. Raises OSError if it cannot be bound.
    """

    __slots__ = (
        "_dual", "_fd", "_loop", "_on_datagram", "_on_unreachable", "_poll", "_scope", "_single_turns", "_socket",
        "_waiting", "dropped", "family", "host", "name", "port",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        on_datagram: Callable[[bytes, Hop], None],
        on_unreachable: Callable[["UdpListener", str, int], None],
    ) -> None:
        self.name = name
        self._on_datagram = on_datagram
        self._on_unreachable = on_unreachable
        self._single_turns = 0
        self._waiting: deque[tuple[bytes, tuple[str, int] | tuple[str, int, int, int]]] = deque()
        #: Datagrams lost because the kernel's and our own buffer were full.
        self.dropped = 0
        info = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0]
        self.family = info[0]
        self._socket = socket.socket(self.family, socket.SOCK_DGRAM)
        try:
            self._configure(str(info[4][0]))
            self._socket.bind(info[4])
        except OSError:
            self._socket.close()
            raise
        bound = self._socket.getsockname()
        self.host: str = literal(bound[0]) or bound[0]
        self.port: int = bound[1]
        self._scope: int = bound[3] if self.family == socket.AF_INET6 else 0
        self._dual = self.family == socket.AF_INET6 and self.host == "::"
        # With IP_RECVERR an ICMP error makes the socket report POLLERR, upon which libuv stops watching it
        # for good: under uvloop one refused datagram would deafen the listener. An epoll of our own in
        # between only ever becomes readable.
        self._poll = select.epoll() if _HAS_EPOLL else None
        if self._poll is not None:
            self._poll.register(self._socket.fileno(), select.EPOLLIN)
            self._fd = self._poll.fileno()
        else:
            self._fd = self._socket.fileno()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._ready)

    def _configure(self, host: str) -> None:
        sock = self._socket
        sock.setblocking(False)
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
        except OSError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        if self.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "::" else 1)
        if _HAS_EPOLL:
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            if self.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)

    # -- sending -----------------------------------------------------------------------------------------

    def reaches(self, address: str) -> bool:
        """True if this socket has the family for an address (as ``literal`` spells it)."""
        if ":" in address:
            return self.family == socket.AF_INET6
        return self.family == socket.AF_INET or self._dual

    def send(self, data: bytes, address: str, port: int) -> bool:
        """Send to a literal address; False if the datagram can never get there from here."""
        destination: tuple[str, int] | tuple[str, int, int, int]
        if self.family == socket.AF_INET:
            destination = (address, port)
        elif ":" in address:
            destination = (address, port, 0, self._scope if address.startswith("fe80:") else 0)
        else:
            destination = ("::ffff:" + address, port)
        if self._waiting:
            self._wait(data, destination)
            return True
        try:
            self._socket.sendto(data, destination)
        except OSError as error:
            return self._resend(data, destination, error)
        return True

    def _resend(self, data: bytes, destination: tuple[str, int] | tuple[str, int, int, int], error: OSError) -> bool:
        if error.errno not in _CAN_WAIT and error.errno != errno.ENOBUFS:
            # it may be an earlier datagram's error that this call was told of: give that to whom it belongs
            self._read_errors()
            try:
                self._socket.sendto(data, destination)
            except OSError as again:
                error = again
            else:
                return True
        if error.errno in _CAN_WAIT:
            self._wait(data, destination)
            return True
        if error.errno == errno.ENOBUFS:
            self.dropped += 1
            return True
        return False

    def _wait(self, data: bytes, destination: tuple[str, int] | tuple[str, int, int, int]) -> None:
        if len(self._waiting) >= WAITING:
            self.dropped += 1
            return
        self._waiting.append((data, destination))
        if len(self._waiting) == 1:
            if self._poll is not None:
                self._poll.modify(self._socket.fileno(), select.EPOLLIN | select.EPOLLOUT)
            else:
                self._loop.add_writer(self._fd, self._flush)

    def _flush(self) -> None:
        waiting = self._waiting
        while waiting:
            data, destination = waiting[0]
            try:
                self._socket.sendto(data, destination)
            except OSError as error:
                if error.errno in _CAN_WAIT:
                    return
                self.dropped += 1
            waiting.popleft()
        if self._poll is not None:
            self._poll.modify(self._socket.fileno(), select.EPOLLIN)
        else:
            self._loop.remove_writer(self._fd)

    # -- receiving ---------------------------------------------------------------------------------------

    def _ready(self) -> None:
        if self._waiting:
            self._flush()
        sock = self._socket
        name = self.name
        plain = self.family == socket.AF_INET
        limit = BURST
        if self._single_turns:
            # one at a time was all there was to read lately: looking for another is a system call for nothing
            self._single_turns -= 1
            limit = 1
        for turn in range(limit):
            try:
                size, source = sock.recvfrom_into(_buffer)
            except OSError as error:
                if turn == 1:
                    self._single_turns = SINGLE_TURNS
                # POLLERR wakes us with nothing to read while an error is queued
                if error.errno not in _CAN_WAIT or turn == 0:
                    self._read_errors()
                return
            host = source[0]
            if not plain:
                host = literal(host) or host
            self._on_datagram(bytes(_view[:size]), Hop("udp", host, source[1], name, 0))
            if sock.fileno() < 0:  # closed by what it just received
                return

    def _read_errors(self) -> None:
        if self._poll is None:
            return
        for _ in range(BURST):
            try:
                # the data is our own datagram come back: nobody needs it
                _, ancillary, _, destination = self._socket.recvmsg(0, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return
            for level, kind, value in ancillary:
                if (level, kind) not in (
                    (socket.IPPROTO_IP, _IP_RECVERR),
                    (socket.IPPROTO_IPV6, _IPV6_RECVERR),
                ) or len(value) < _EXTENDED_ERROR.size:
                    continue
                code, origin, *_ = _EXTENDED_ERROR.unpack_from(value)
                if origin in _FROM_ICMP and code in _UNREACHABLE and destination:
                    self._on_unreachable(self, literal(destination[0]) or destination[0], destination[1])

    def close(self) -> None:
        """Stop reading, send what can be sent at once, and free the port."""
        if self._socket.fileno() < 0:
            return
        if self._waiting:
            self._flush()
        self._loop.remove_reader(self._fd)
        if self._poll is not None:
            self._poll.close()
        else:
            self._loop.remove_writer(self._fd)
        self._socket.close()
