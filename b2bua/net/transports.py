"""All listeners of an exchange as one thing that sends and receives SIP."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from b2bua.net.addresses import DEFAULT_PORTS, literal
from b2bua.net.connections import Connections
from b2bua.net.lookup import DnsLookup
from b2bua.net.resolver import ResolutionError, Resolver, Target
from b2bua.net.tcp import StreamConnection, StreamLimits, StreamListener, client_context, server_context
from b2bua.net.udp import LARGEST, UdpListener
from b2bua.sip.hop import Hop
from b2bua.sip.message import Request, Response

#: Names and connections that can be waited for at the same time.
_MOST_ERRANDS = 1024
#: UDP destinations remembered under the names by which they were asked for, and names kept of each.
_MOST_ALIASED, _MOST_ALIASES = 4096, 8


@dataclass(frozen=True, slots=True)
class ListenerSpec:
    """One socket that takes SIP. ``host`` is an address literal, ``port`` 0 any free port; TLS needs both files."""

    name: str
    transport: Literal["udp", "tcp", "tls"]
    host: str
    port: int
    certificate: Path | None = None
    private_key: Path | None = None


class _Errand:
    """What waits for a name to be found or a connection to be made."""

    __slots__ = ("size", "task", "waiting")

    def __init__(self) -> None:
        self.waiting: list[tuple[bytes, Hop]] = []
        self.size = 0
        self.task: asyncio.Task[None] | None = None


class Transports:
    """Sockets on one side, four callbacks on the other.

    ``on_datagram(data, hop)`` gets what came over UDP, ``on_message(message, hop)`` what came over a
    connection, framed already. ``on_failure(hop)`` names the ``hop`` of a ``send`` that did not arrive, exactly
    as it was given, or a UDP address that the network calls unreachable; ``on_closed(hop)`` a connection that
    ended, whoever ended it. The last two never come from inside ``send``. None may raise.

    ``authorities`` is a PEM file of certificates that replaces the system's for connections opened here.
    """

    def __init__(
        self,
        specs: Sequence[ListenerSpec],
        *,
        on_datagram: Callable[[bytes, Hop], None],
        on_message: Callable[[Request | Response, Hop], None],
        on_failure: Callable[[Hop], None],
        on_closed: Callable[[Hop], None],
        resolver: Resolver | None = None,
        limits: StreamLimits | None = None,
        authorities: Path | None = None,
    ) -> None:
        self._specs = list(specs)
        self._on_datagram = on_datagram
        self._on_message = on_message
        self._on_failure = on_failure
        self._on_closed = on_closed
        self.resolver = resolver if resolver is not None else Resolver(DnsLookup())
        self._limits = limits if limits is not None else StreamLimits()
        self._authorities = authorities
        self._udp: dict[str, UdpListener] = {}
        self._streams: dict[str, StreamListener] = {}
        self._errands: dict[tuple[str, str, int], _Errand] = {}
        self._by_name: dict[tuple[str, str, int], StreamConnection] = {}
        self._aliases: dict[tuple[str, str, int], set[Hop]] = {}
        self._open = False

    async def start(self) -> None:
        """Bind all listeners, or none. Raises OSError, saying which, or ValueError for TLS without files."""
        self._loop = asyncio.get_running_loop()
        self._connections = Connections(self._limits, client_context(self._authorities), self._on_message, self._lost)
        self._open = True
        try:
            for spec in self._specs:
                self._bind(spec)
        except BaseException:
            await self.close()
            raise

    def _bind(self, spec: ListenerSpec) -> None:
        try:
            if spec.transport == "udp":
                self._udp[spec.name] = UdpListener(
                    spec.name, spec.host, spec.port, self._on_datagram, self._unreachable
                )
                return
            tls = None
            if spec.transport == "tls":
                if spec.certificate is None or spec.private_key is None:
                    raise ValueError(f"listener {spec.name!r}: tls needs a certificate and a private key")
                tls = server_context(spec.certificate, spec.private_key)
            self._streams[spec.name] = StreamListener(spec.name, spec.host, spec.port, tls, self._connections.accept)
        except OSError as error:
            raise OSError(
                error.errno, f"listener {spec.name!r} ({spec.transport} {spec.host} port {spec.port}): {error.strerror}"
            ) from error

    def bound(self, name: str) -> tuple[str, int]:
        """The address and port of a listener, as bound. Raises KeyError."""
        listener = self._udp.get(name) or self._streams[name]
        return listener.host, listener.port

    @property
    def connections(self) -> int:
        """Open stream connections."""
        return len(self._connections)

    @property
    def dropped(self) -> int:
        """Datagrams that were not sent because buffers were full."""
        return sum(listener.dropped for listener in self._udp.values())

    async def close(self) -> None:
        """Free all ports and close all connections; nothing is called back any more."""
        self._open = False
        for datagrams in self._udp.values():
            datagrams.close()
        for streams in self._streams.values():
            streams.close()
        tasks = [errand.task for errand in self._errands.values() if errand.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._connections.close()

    # -- sending -----------------------------------------------------------------------------------------

    def send(self, data: bytes, hop: Hop) -> None:
        """Send a message, now or as soon as its way is open. Never blocks, never raises, never calls back.

        A hop with a connection goes there while it is open; otherwise an open one to the same peer is used
        (RFC 5923), or a new one made. Names are looked up (RFC 3263); port 0 leaves the port to the DNS.
        """
        if not self._open:
            return
        transport = hop.transport
        if not 0 <= hop.port <= 65535:
            self._fail(hop)
        elif transport == "udp":
            listener = self._udp.get(hop.listener)
            address = literal(hop.host)
            if (
                listener is None
                or address is None
                or not hop.port
                or len(data) > LARGEST
                or not listener.reaches(address)
            ):
                self._send_datagram(data, hop, address)
            elif not listener.send(data, address, hop.port):
                self._fail(hop)
        elif transport in DEFAULT_PORTS:
            self._send_stream(data, hop)
        else:
            self._fail(hop)

    def _send_datagram(self, data: bytes, hop: Hop, address: str | None) -> None:
        if len(data) > LARGEST:
            self._fail(hop)
            return
        targets = self.resolver.cached("udp", hop.host, hop.port)
        if targets is None:
            self._wait(("udp", hop.host.lower(), hop.port), data, hop)
        else:
            self._send_to_first(data, hop, targets)

    def _send_to_first(self, data: bytes, hop: Hop, targets: list[Target]) -> None:
        for target in targets:
            listener = self._listener_reaching(hop.listener, target.host)
            if listener is None:
                continue
            self._remember(listener.name, target, hop)
            if listener.send(data, target.host, target.port):
                return
            self.resolver.failed(target)
        self._fail(hop)

    def _listener_reaching(self, name: str, address: str) -> UdpListener | None:
        listener = self._udp.get(name)
        if listener is not None:
            return listener if listener.reaches(address) else None
        return next((one for one in self._udp.values() if one.reaches(address)), None)

    def _send_stream(self, data: bytes, hop: Hop) -> None:
        transport, host, port, _, number = hop
        if number:
            connection = self._connections.get(number)
            if connection is not None and connection.write(data):
                return
        address = literal(host)
        if address is not None:
            key = (transport, address, port or DEFAULT_PORTS[transport])
            connection = self._connections.to(*key, "")
        else:
            key = (transport, host.lower(), port)
            connection = self._by_name.get(key)
        if connection is None or key in self._errands or not self._write(connection, data, hop):
            # behind what waits already, so that messages stay in order
            self._wait(key, data, hop)

    @staticmethod
    def _write(connection: StreamConnection, data: bytes, hop: Hop) -> bool:
        if not connection.write(data):
            return False
        there = connection.hop
        if (hop.host != there.host or hop.port != there.port) and len(connection.aliases) < _MOST_ALIASES:
            connection.aliases.add(hop)
        return True

    # -- what has to wait --------------------------------------------------------------------------------

    def _wait(self, key: tuple[str, str, int], data: bytes, hop: Hop) -> None:
        errand = self._errands.get(key)
        if errand is None:
            if len(self._errands) >= _MOST_ERRANDS:
                self._fail(hop)
                return
            errand = self._errands[key] = _Errand()
            run = self._find_name if key[0] == "udp" else self._connect
            errand.task = self._loop.create_task(run(key, errand))
        if errand.size + len(data) > self._limits.waiting:
            self._fail(hop)
            return
        errand.size += len(data)
        errand.waiting.append((data, hop))

    async def _find_name(self, key: tuple[str, str, int], errand: _Errand) -> None:
        targets: list[Target] = []
        try:
            targets = await self.resolver.resolve(*key)
        except ResolutionError:
            pass
        finally:
            del self._errands[key]
        for data, hop in errand.waiting:
            self._send_to_first(data, hop, targets)

    async def _connect(self, key: tuple[str, str, int], errand: _Errand) -> None:
        connection: StreamConnection | None = None
        try:
            connection = await self._connection_to(key, errand)
        finally:
            del self._errands[key]
        for data, hop in errand.waiting:
            if connection is None or not self._write(connection, data, hop):
                self._fail(hop)

    async def _connection_to(self, key: tuple[str, str, int], errand: _Errand) -> StreamConnection | None:
        transport, host, _ = key
        name = "" if literal(host) is not None else host.rstrip(".")
        # the loop runs this after send() has put the first message in
        asked = errand.waiting[0][1].listener
        listener = self._streams.get(asked)
        if listener is None or listener.transport != transport:
            listener = next((one for one in self._streams.values() if one.transport == transport), None)
        try:
            targets = await self.resolver.resolve(*key)
        except ResolutionError:
            return None
        for target in targets:
            connection = self._connections.to(*target, name)
            if connection is None:
                try:
                    connection = await self._connections.open(
                        target, listener, listener.name if listener is not None else asked, name
                    )
                except (OSError, ValueError):  # ssl calls a name that cannot be in a certificate a ValueError
                    self.resolver.failed(target)
                    continue
            if name:
                self._by_name[key] = connection
            return connection
        return None

    # -- what went wrong ---------------------------------------------------------------------------------

    def _fail(self, hop: Hop) -> None:
        self._loop.call_soon(self._tell, self._on_failure, hop)

    def _tell(self, callback: Callable[[Hop], None], hop: Hop) -> None:
        if self._open:
            callback(hop)

    def _remember(self, listener: str, target: Target, hop: Hop) -> None:
        if hop.host == target.host and hop.port == target.port:
            return
        key = (listener, target.host, target.port)
        aliases = self._aliases.get(key)
        if aliases is None:
            while len(self._aliases) >= _MOST_ALIASED:
                del self._aliases[next(iter(self._aliases))]
            aliases = self._aliases[key] = set()
        if len(aliases) < _MOST_ALIASES:
            aliases.add(hop)

    def _unreachable(self, listener: UdpListener, address: str, port: int) -> None:
        self.resolver.failed(Target("udp", address, port))
        self._fail(Hop("udp", address, port, listener.name))
        for hop in self._aliases.pop((listener.name, address, port), ()):
            self._fail(hop)

    def _lost(self, connection: StreamConnection) -> None:
        for key in [key for key, one in self._by_name.items() if one is connection]:
            del self._by_name[key]
        self._loop.call_soon(self._tell, self._on_closed, connection.hop)
        for hop in connection.aliases:
            self._fail(hop)
