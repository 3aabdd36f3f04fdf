"""SIP over TCP and TLS: one protocol object per connection, every wait and every buffer bounded."""

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from b2bua.net.addresses import literal
from b2bua.sip.errors import RemoteProtocolError
from b2bua.sip.hop import Hop
from b2bua.sip.message import Request, Response
from b2bua.sip.parser import Keepalive, StreamFramer

_PONG = b"\r\n"
_ACCEPT_BURST = 32
_BACKLOG = 512
#: Three octets of a ping may wait for the fourth for ever: they are no message.
_PART_OF_A_PING = 3
#: Seconds without accepting when the process has no file descriptor left.
_OUT_OF_DESCRIPTORS = 1.0


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What a peer may cost us over TCP and TLS. Durations in seconds, sizes in octets.

    ``connections`` and ``connections_per_address`` bound accepted connections, handshakes included;
    ``connections`` bounds those that we open, too, on its own count: strangers cannot use up our way out.
    ``incomplete`` is the time from the first octet of a message to its last, ``first_message`` the time an
    accepted connection has for its first message, ``idle`` the time without any octet in either direction.
    ``connect`` bounds one attempt, handshake included. ``waiting`` bounds what waits for one connection or
    one name to be ready.
    """

    connections: int = 10_000
    connections_per_address: int = 500
    message: int = 65_535
    incomplete: float = 10.0
    first_message: float = 30.0
    idle: float = 900.0
    connect: float = 5.0
    write_buffer: int = 1024 * 1024
    waiting: int = 256 * 1024


class ConnectionOwner(Protocol):
    """Who keeps the connections, and learns what becomes of each: made, lost and gone, once and in this order.

    One that never gets as far as ``made`` is only ``lost``.
    """

    def made(self, connection: "StreamConnection") -> None:
        """The connection can be used: TLS, if any, is up."""

    def message_received(self, message: Request | Response, hop: Hop) -> None:
        """A whole message came in."""

    def lost(self, connection: "StreamConnection") -> None:
        """Nothing can be sent or received any more."""

    def gone(self, connection: "StreamConnection") -> None:
        """The socket is closed."""


class StreamConnection(asyncio.Protocol):
    """A connection, ours or the peer's. ``hop`` is its name everywhere else.

    ``verified`` is the name that the peer's certificate was checked against, if it was. ``aliases`` are other
    ways to say ``hop`` that were used to send here: by name, or without a port.
    """

    __slots__ = (
        "_armed_for", "_framer", "_heard", "_incomplete_since", "_last", "_limits", "_loop", "_lost", "_opened",
        "_owner", "_timer", "_transport", "accepted", "aliases", "hop", "verified",
    )  # fmt: skip

    def __init__(self, hop: Hop, accepted: bool, verified: str, limits: StreamLimits, owner: ConnectionOwner) -> None:
        self.hop = hop
        self.accepted = accepted
        self.verified = verified
        self.aliases: set[Hop] = set()
        self._limits = limits
        self._owner = owner
        self._framer = StreamFramer(limits.message)
        self._loop = asyncio.get_running_loop()
        self._opened = self._last = self._loop.time()
        self._incomplete_since: float | None = None
        # whom we called may take its time
        self._heard = not accepted
        self._lost = False
        self._transport: asyncio.Transport | None = None
        self._armed_for = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # -- asyncio -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket, and TLS on it, is ready."""
        # uvloop's transports are no subclasses
        self._transport = cast(asyncio.Transport, transport)
        self._opened = self._last = self._loop.time()
        if self._lost:  # given up during the handshake
            self._transport.abort()
            return
        self._arm(self._deadline())
        self._owner.made(self)

    def data_received(self, data: bytes) -> None:
        """Octets from the peer."""
        if self._lost:
            return
        try:
            messages = self._framer.feed(data)
        except RemoteProtocolError:
            # nobody knows where the next message would begin (RFC 3261 section 18.3)
            self.abort()
            return
        now = self._last = self._loop.time()
        if self._framer.pending > _PART_OF_A_PING:
            if messages or self._incomplete_since is None:
                self._incomplete_since = now
                if self._armed_for > now + self._limits.incomplete:
                    self._arm(now + self._limits.incomplete)
        else:
            self._incomplete_since = None
        for message in messages:
            if isinstance(message, Keepalive):
                self.write(_PONG)
            else:
                self._heard = True
                self._owner.message_received(message, self.hop)
            if self._lost:
                return

    def eof_received(self) -> None:
        """The peer sends no more: SIP has no use for half a connection, so asyncio closes it."""
        self._give_up()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self._give_up()
        if self._transport is not None:
            self._transport = None
            self._owner.gone(self)

    # -- sending and ending ------------------------------------------------------------------------------

    def write(self, data: bytes) -> bool:
        """Send, or keep what the socket does not take yet; False if the connection is (now) lost."""
        transport = self._transport
        if self._lost or transport is None or transport.is_closing():
            return False
        transport.write(data)
        self._last = self._loop.time()
        if transport.get_write_buffer_size() > self._limits.write_buffer:
            # the peer does not read
            self.abort()
            return False
        return True

    def close(self) -> None:
        """Close once everything written is sent."""
        self._give_up()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        self._give_up()
        if self._transport is not None:
            self._transport.abort()

    def _give_up(self) -> None:
        if self._lost:
            return
        self._lost = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._owner.lost(self)

    # -- time --------------------------------------------------------------------------------------------

    def _deadline(self) -> float:
        if self._incomplete_since is not None:
            return self._incomplete_since + self._limits.incomplete
        if not self._heard:
            return self._opened + self._limits.first_message
        return self._last + self._limits.idle

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_for = when
        self._timer = self._loop.call_at(when, self._check)

    def _check(self) -> None:
        # the timer is not moved for every message: it finds out here whether it still matters
        deadline = self._deadline()
        if deadline > self._loop.time():
            self._arm(deadline)
        elif self._incomplete_since is None and self._heard:
            self.close()
        else:
            self.abort()


class StreamListener:
    """A listening socket that hands on accepted sockets. Raises OSError if it cannot be bound."""

    __slots__ = (
        "_loop", "_on_accept", "_resume", "_socket", "family", "host", "name", "port", "tls", "transport",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        on_accept: Callable[["StreamListener", socket.socket, str, int], None],
    ) -> None:
        self.name = name
        self.tls = tls
        self.transport = "tcp" if tls is None else "tls"
        self._on_accept = on_accept
        self._resume: asyncio.TimerHandle | None = None
        info = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0]
        self.family = info[0]
        self._socket = socket.socket(self.family, socket.SOCK_STREAM)
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self.family == socket.AF_INET6:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if info[4][0] == "::" else 1)
            self._socket.bind(info[4])
            self._socket.listen(_BACKLOG)
        except OSError:
            self._socket.close()
            raise
        bound = self._socket.getsockname()
        self.host: str = literal(bound[0]) or bound[0]
        self.port: int = bound[1]
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._ready)

    def _ready(self) -> None:
        for _ in range(_ACCEPT_BURST):
            try:
                accepted, source = self._socket.accept()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    # the connection stays in the backlog: asking again at once would only burn the CPU
                    self._loop.remove_reader(self._socket.fileno())
                    self._resume = self._loop.call_later(_OUT_OF_DESCRIPTORS, self._watch)
                if error.errno != errno.ECONNABORTED:
                    return
                continue
            accepted.setblocking(False)
            tune(accepted)
            self._on_accept(self, accepted, literal(source[0]) or source[0], source[1])

    def _watch(self) -> None:
        self._resume = None
        self._loop.add_reader(self._socket.fileno(), self._ready)

    def source_for(self, address: str) -> str | None:
        """The address to open connections to ``address`` from, None if the system should choose."""
        if literal(self.host) in ("0.0.0.0", "::") or (":" in address) != (self.family == socket.AF_INET6):
            return None
        return self.host

    def close(self) -> None:
        """Accept no more and free the port."""
        if self._socket.fileno() < 0:
            return
        if self._resume is not None:
            self._resume.cancel()
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()


def tune(sock: socket.socket) -> None:
    """A message is sent whole and at once; a peer that acknowledges nothing for 30 s is gone."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)


def server_context(certificate: Path, private_key: Path) -> ssl.SSLContext:
    """TLS 1.2 or later for a listener. Raises OSError (ssl.SSLError is one) for files that do not fit."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, private_key)
    return context


def client_context(authorities: Path | None = None) -> ssl.SSLContext:
    """TLS 1.2 or later towards servers, whose certificates must be signed by the system's authorities.

    ``authorities`` is a PEM file that replaces them.
    """
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
