"""The open connections: found by number or by peer, counted, and opened or accepted within limits."""

import asyncio
import socket
import ssl
from collections.abc import Callable

from b2bua.net.resolver import Target
from b2bua.net.tcp import StreamConnection, StreamLimits, StreamListener, tune
from b2bua.sip.hop import Hop
from b2bua.sip.message import Request, Response

#: Seconds that connections have to send what is written, at the end.
_FAREWELL = 1.0


class Connections:
    """All stream connections of this process.

    ``on_message(message, hop)`` gets what they receive, ``on_lost(connection)`` each one once when it ends.
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
        self._on_message = on_message
        self._on_lost = on_lost
        self._by_number: dict[int, StreamConnection] = {}
        # the last item is the name that the peer's certificate was checked against, "" if it was not asked
        # for one: a connection verified for one name carries nothing for another (RFC 5922 section 4)
        self._by_peer: dict[tuple[str, str, int, str], StreamConnection] = {}
        self._verified: dict[int, str] = {}
        self._last_number = 0
        self._accepted: dict[str, int] = {}
        self._total = {True: 0, False: 0}
        self._handshakes: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._by_number)

    def get(self, number: int) -> StreamConnection | None:
        """The open connection with this number."""
        return self._by_number.get(number)

    def to(self, transport: str, address: str, port: int, name: str = "") -> StreamConnection | None:
        """An open connection to this peer; over TLS one that proved to be ``name``."""
        return self._by_peer.get((transport, address, port, name if transport == "tls" else ""))

    # -- accepting ---------------------------------------------------------------------------------------

    def accept(self, listener: StreamListener, sock: socket.socket, address: str, port: int) -> None:
        """Take an accepted socket over, or close it if there are too many."""
        if (
            self._total[True] >= self._limits.connections
            or self._accepted.get(address, 0) >= self._limits.connections_per_address
        ):
            sock.close()
            return
        connection = self._new(Hop(listener.transport, address, port, listener.name), accepted=True)
        self._total[True] += 1
        self._accepted[address] = self._accepted.get(address, 0) + 1
        task = asyncio.get_running_loop().create_task(self._shake_hands(connection, sock, listener.tls))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, connection: StreamConnection, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        address = connection.hop.host
        try:
            # known before the first octet is read: the answer may be asked for at once
            self._enter(connection, "")
            await loop.connect_accepted_socket(
                lambda: connection,
                sock,
                ssl=tls,
                ssl_handshake_timeout=self._limits.incomplete if tls is not None else None,
            )
            await connection.gone.wait()
        except (OSError, TimeoutError):
            connection.abort()
        finally:
            sock.close()
            self._total[True] -= 1
            if self._accepted[address] > 1:
                self._accepted[address] -= 1
            else:
                del self._accepted[address]

    # -- opening -----------------------------------------------------------------------------------------

    async def open(
        self, target: Target, listener: StreamListener | None, listener_name: str, name: str
    ) -> StreamConnection:
        """Connect to a literal address, from the listener's address if that has the family.

        Over TLS the certificate must be for ``name`` (RFC 5922 section 7.1), or the address if it is empty.
        Raises OSError or TimeoutError.
        """
        if self._total[False] >= self._limits.connections:
            raise OSError("too many connections are open")
        self._total[False] += 1
        try:
            connection = await self._connect(target, listener, listener_name, name)
        except BaseException:
            self._total[False] -= 1
            raise
        return connection

    async def _connect(
        self, target: Target, listener: StreamListener | None, listener_name: str, name: str
    ) -> StreamConnection:
        loop = asyncio.get_running_loop()
        transport, address, port = target
        connection = self._new(Hop(transport, address, port, listener_name), accepted=False)
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            tune(sock)
            source = listener.source_for(address) if listener is not None else None
            if source is not None:
                sock.bind((source, 0))
            async with asyncio.timeout(self._limits.connect):
                await loop.sock_connect(sock, (address, port))
                self._enter(connection, name)
                await loop.create_connection(
                    lambda: connection,
                    sock=sock,
                    ssl=self._tls if transport == "tls" else None,
                    server_hostname=(name or address) if transport == "tls" else None,
                )
        except BaseException:
            connection.abort()
            sock.close()
            raise
        return connection

    # -- the table ---------------------------------------------------------------------------------------

    def _new(self, hop: Hop, accepted: bool) -> StreamConnection:
        self._last_number += 1
        hop = hop._replace(connection=self._last_number)
        return StreamConnection(hop, accepted, self._limits, self._on_message, self._forget)

    def _enter(self, connection: StreamConnection, name: str) -> None:
        transport, address, port, _, number = connection.hop
        verified = name if transport == "tls" else ""
        self._by_number[number] = connection
        self._verified[number] = verified
        self._by_peer[transport, address, port, verified] = connection

    def _forget(self, connection: StreamConnection) -> None:
        transport, address, port, _, number = connection.hop
        if self._by_number.pop(number, None) is None:
            return
        key = (transport, address, port, self._verified.pop(number))
        if self._by_peer.get(key) is connection:
            del self._by_peer[key]
        self._on_lost(connection)
