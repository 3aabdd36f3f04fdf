"""The exchange's side in these tests: transports whose callbacks write everything down, and a plain peer."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from b2bua.net.resolver import Resolver
from b2bua.net.tcp import StreamLimits
from b2bua.net.transports import ListenerSpec, Transports
from b2bua.sip.hop import Hop
from b2bua.sip.message import Request, Response

PATIENCE = 5.0
T = TypeVar("T")


def options(call_id: str = "1", body: bytes = b"", host: str = "127.0.0.1") -> bytes:
    """A whole OPTIONS request as octets."""
    return (
        f"OPTIONS sip:office@{host} SIP/2.0\r\n"
        f"Via: SIP/2.0/TCP {host};branch=z9hG4bK{call_id}\r\n"
        "Max-Forwards: 70\r\n"
        "From: <sip:phone@example.com>;tag=a\r\n"
        "To: <sip:office@example.com>\r\n"
        f"Call-ID: {call_id}\r\n"
        "CSeq: 1 OPTIONS\r\n"
        f"Content-Length: {len(body)}\r\n"
        "\r\n"
    ).encode() + body


class Office:
    """Transports, and what they called back, each in a queue of its own."""

    def __init__(
        self,
        *specs: ListenerSpec,
        limits: StreamLimits | None = None,
        resolver: Resolver | None = None,
        authorities: Path | None = None,
    ) -> None:
        self.datagrams: asyncio.Queue[tuple[bytes, Hop]] = asyncio.Queue()
        self.messages: asyncio.Queue[tuple[Request | Response, Hop]] = asyncio.Queue()
        self.failures: asyncio.Queue[Hop] = asyncio.Queue()
        self.closed: asyncio.Queue[Hop] = asyncio.Queue()
        self.transports = Transports(
            specs or (listener("udp"),),
            on_datagram=lambda data, hop: self.datagrams.put_nowait((data, hop)),
            on_message=lambda message, hop: self.messages.put_nowait((message, hop)),
            on_failure=self.failures.put_nowait,
            on_closed=self.closed.put_nowait,
            resolver=resolver,
            limits=limits,
            authorities=authorities,
        )
        self.send: Callable[[bytes, Hop], None] = self.transports.send
        self.bound = self.transports.bound

    async def __aenter__(self) -> "Office":
        await self.transports.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.transports.close()

    def quiet(self, *but: asyncio.Queue[T]) -> bool:
        """True if nothing unread was called back, other than in the queues named."""
        queues: Sequence[asyncio.Queue[object]] = (self.datagrams, self.messages, self.failures, self.closed)  # type: ignore[assignment]
        return all(queue.empty() for queue in queues if queue not in but)


def listener(
    transport: Literal["udp", "tcp", "tls"],
    host: str = "127.0.0.1",
    name: str = "",
    certificate: Path | None = None,
    private_key: Path | None = None,
) -> ListenerSpec:
    """A listener on any free port, named after its transport."""
    return ListenerSpec(name or transport, transport, host, 0, certificate, private_key)


async def soon(queue: asyncio.Queue[T]) -> T:
    """The next item, or a failed test."""
    async with asyncio.timeout(PATIENCE):
        return await queue.get()


class Peer:
    """The other end of one stream connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.port: int = writer.get_extra_info("sockname")[1]

    @classmethod
    async def connect(cls, address: tuple[str, int], **options: object) -> "Peer":
        return cls(*await asyncio.open_connection(*address, **options))  # type: ignore[arg-type]

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def read(self, size: int) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readexactly(size)

    async def until_closed(self) -> bytes:
        """What comes before the other side closes."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read(-1)
            except ConnectionError:
                return b""

    def close(self) -> None:
        self.writer.close()


class Server:
    """A peer that listens."""

    def __init__(self) -> None:
        self.peers: asyncio.Queue[Peer] = asyncio.Queue()

    async def __aenter__(self) -> "Server":
        self._server = await asyncio.start_server(
            lambda reader, writer: self.peers.put_nowait(Peer(reader, writer)), "127.0.0.1", 0
        )
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        while not self.peers.empty():
            self.peers.get_nowait().close()
