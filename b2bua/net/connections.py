"""The open connections: found by number or by peer, counted, and opened or accepted within limits."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable

from b2bua.net.resolver import Target
from b2bua.net.tcp import StreamConnection, StreamLimits, StreamListener, tune
from b2bua.sip.hop import Hop
from b2bua.sip.message import Request, Response

#: Seconds that connections have to send what is written when all are closed.
_FAREWELL = 1.0


class Connections:
    """All stream connections of this process.

    ``on_message(message, hop)`` gets what they receive, ``on_lost(connection)`` each usable one once when it
    ends. ``tls`` is for the connections opened here.
    """

    def __init__(
        self,
        limits: StreamLimits,
        tls: ssl.SSLContext,
        on_message: Callable[[Request | Response, Hop], None],
        on_lost: Callable[[StreamConnection], None],
    ) -> None:
        self._limits = limits
        self._tls = tls
        self.message_received = on_message
        self._on_lost = on_lost
        self._by_number: dict[int, StreamConnection] = {}
        # by transport, address, port and the name that the peer proved to have: what is meant for one name
        # never goes to another at the same address (RFC 5922 section 4)
        self._by_peer: dict[tuple[str, str, int, str], StreamConnection] = {}
        self._last_number = 0
        self._accepted = 0
        self._accepted_from: dict[str, int] = {}
        self._opened = 0
        self._handshakes: set[asyncio.Task[None]] = set()
        self._sockets: set[StreamConnection] = set()
        self._all_gone = asyncio.Event()

    def __len__(self) -> int:
        return len(self._by_number)

    def get(self, number: int) -> StreamConnection | None:
        """The open connection with this number."""
        return self._by_number.get(number)

    def to(self, transport: str, address: str, port: int, name: str) -> StreamConnection | None:
        """An open connection to this peer; over TLS only one that proved to be ``name``, unless that is empty."""
        return self._by_peer.get((transport, address, port, name if transport == "tls" else ""))

    def accept(self, listener: StreamListener, sock: socket.socket, address: str, port: int) -> None:
        """Take an accepted socket over, or close it if there are too many."""
        from_there = self._accepted_from.get(address, 0)
        if self._accepted >= self._limits.connections or from_there >= self._limits.connections_per_address:
            sock.close()
            return
        self._accepted += 1
        self._accepted_from[address] = from_there + 1
        connection = self._new(Hop(listener.transport, address, port, listener.name), accepted=True)
        task = asyncio.get_running_loop().create_task(self._welcome(connection, sock, listener.tls))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _welcome(self, connection: StreamConnection, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                sock,
                ssl=tls,
                ssl_handshake_timeout=self._limits.incomplete if tls is not None else None,
            )
        except BaseException as error:
            connection.abort()
            sock.close()
            # a handshake that fails is the stranger's affair
            if not isinstance(error, OSError):
                raise

    async def open(
        self, target: Target, listener: StreamListener | None, listener_name: str, name: str
    ) -> StreamConnection:
        """Connect to a literal address, from the listener's address if that has the family.

        Over TLS the certificate must be for ``name`` (RFC 5922 section 7.1), or the address if it is empty.
        Raises OSError (TimeoutError is one).
        """
        if self._opened >= self._limits.connections:
            raise OSError("too many connections are open")
        loop = asyncio.get_running_loop()
        transport, address, port = target
        tls = transport == "tls"
        self._opened += 1
        connection = self._new(
            Hop(transport, address, port, listener_name), accepted=False, verified=name if tls else ""
        )
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            tune(sock)
            source = listener.source_for(address) if listener is not None else None
            if source is not None:
                sock.bind((source, 0))
            async with asyncio.timeout(self._limits.connect):
                await loop.sock_connect(sock, (address, port))
                await loop.create_connection(
                    lambda: connection,
                    sock=sock,
                    ssl=self._tls if tls else None,
                    server_hostname=(name or address) if tls else None,
                )
        except BaseException:
            connection.abort()
            sock.close()
            raise
        return connection

    def _new(self, hop: Hop, accepted: bool, verified: str = "") -> StreamConnection:
        self._last_number += 1
        return StreamConnection(hop._replace(connection=self._last_number), accepted, verified, self._limits, self)

    # -- ConnectionOwner ---------------------------------------------------------------------------------

    def made(self, connection: StreamConnection) -> None:
        """Enter it: from now on it is found."""
        transport, address, port, _, number = connection.hop
        self._sockets.add(connection)
        self._by_number[number] = connection
        self._by_peer[transport, address, port, connection.verified] = connection

    def lost(self, connection: StreamConnection) -> None:
        """Forget it: what it was used for needs another."""
        transport, address, port, _, number = connection.hop
        if connection.accepted:
            self._accepted -= 1
            self._accepted_from[address] -= 1
            if not self._accepted_from[address]:
                del self._accepted_from[address]
        else:
            self._opened -= 1
        key = (transport, address, port, connection.verified)
        if self._by_peer.get(key) is connection:
            del self._by_peer[key]
        if self._by_number.pop(number, None) is not None:
            self._on_lost(connection)

    def gone(self, connection: StreamConnection) -> None:
        """One socket less."""
        self._sockets.discard(connection)
        if not self._sockets:
            self._all_gone.set()

    async def close(self) -> None:
        """Close all: what is written has a second to be sent."""
        handshakes = list(self._handshakes)
        for task in handshakes:
            task.cancel()
        await asyncio.gather(*handshakes, return_exceptions=True)
        for connection in list(self._sockets):
            connection.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL):
                await self._until_all_gone()
        for connection in list(self._sockets):
            connection.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL):
                await self._until_all_gone()

    async def _until_all_gone(self) -> None:
        while self._sockets:
            self._all_gone.clear()
            await self._all_gone.wait()
