"""TCP over real loopback sockets: framing, reuse, and what a peer may not do."""

import asyncio
import errno
import socket

import pytest

from b2bua.net.tcp import StreamLimits
from b2bua.sip.hop import Hop
from tests.net.office import Office, Peer, Server, listener, options, soon


def call_id(data: bytes) -> str:
    return next(line[9:].decode() for line in data.split(b"\r\n") if line.startswith(b"Call-ID: "))


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


async def test_the_hop_of_a_message_is_the_connection_back() -> None:
    async with Office(listener("tcp", name="phones")) as office:
        phone = await Peer.connect(office.bound("phones"))
        phone.send(options("first"))
        message, hop = await soon(office.messages)
        assert message.call_id == "first"
        assert hop == Hop("tcp", "127.0.0.1", phone.port, "phones", hop.connection)
        assert hop.connection > 0
        office.send(b"answer", hop)
        assert await phone.read(6) == b"answer"
        phone.close()
        assert await soon(office.closed) == hop
        assert office.quiet()
        assert office.transports.connections == 0


async def test_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no ::1")
    async with Office(listener("tcp", "::1", "one"), listener("tcp", "::1", "two")) as office:
        office.send(options(), Hop("tcp", "[::1]", office.bound("two")[1], "one"))
        _, hop = await soon(office.messages)
        assert (hop.host, hop.listener) == ("::1", "two")


async def test_a_message_may_come_octet_by_octet() -> None:
    async with Office(listener("tcp")) as office:
        phone = await Peer.connect(office.bound("tcp"))
        phone.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in options("slow", b"hello"):
            phone.send(bytes([octet]))
            await asyncio.sleep(0)
        message, _ = await soon(office.messages)
        assert (message.call_id, message.body) == ("slow", b"hello")


async def test_a_segment_may_hold_two_messages_and_a_half() -> None:
    async with Office(listener("tcp")) as office:
        phone = await Peer.connect(office.bound("tcp"))
        third = options("third", b"body")
        phone.send(options("first") + options("second", b"x") + third[:50])
        assert [(await soon(office.messages))[0].call_id for _ in range(2)] == ["first", "second"]
        assert office.messages.empty()
        phone.send(third[50:])
        assert (await soon(office.messages))[0].call_id == "third"


async def test_a_ping_gets_a_pong_and_is_no_message() -> None:
    async with Office(listener("tcp")) as office:
        phone = await Peer.connect(office.bound("tcp"))
        phone.send(b"\r\n\r\n")
        assert await phone.read(2) == b"\r\n"
        phone.send(options("after the ping") + b"\r\n\r\n")
        assert (await soon(office.messages))[0].call_id == "after the ping"
        assert await phone.read(2) == b"\r\n"
        assert office.quiet()


async def test_a_request_to_the_peer_of_an_open_connection_goes_over_it() -> None:
    async with Office(listener("tcp")) as office:
        phone = await Peer.connect(office.bound("tcp"))
        phone.send(options())
        _, hop = await soon(office.messages)
        office.send(b"INVITE", hop._replace(connection=0))
        office.send(b"again", hop._replace(connection=hop.connection + 1000))
        assert await phone.read(11) == b"INVITEagain"
        assert office.transports.connections == 1


async def test_an_answer_whose_connection_is_closed_opens_one_to_where_the_request_came_from() -> None:
    async with Office(listener("tcp")) as office, Server() as phone:
        lost = await Peer.connect(office.bound("tcp"))
        lost.send(options())
        _, hop = await soon(office.messages)
        lost.close()
        await soon(office.closed)
        office.send(b"answer", hop._replace(port=phone.port))
        assert await (await soon(phone.peers)).read(6) == b"answer"


async def test_messages_sent_at_once_share_one_new_connection_in_order() -> None:
    async with Office(listener("tcp")) as office, Server() as trunk:
        hop = Hop("tcp", "127.0.0.1", trunk.port, "tcp")
        for text in (b"one ", b"two ", b"three"):
            office.send(text, hop)
        peer = await soon(trunk.peers)
        assert await peer.read(13) == b"one two three"
        office.send(b"four", hop)
        assert await peer.read(4) == b"four"
        assert trunk.peers.empty()
        peer.send(options("from the trunk"))
        message, where = await soon(office.messages)
        assert message.call_id == "from the trunk"
        assert where == hop._replace(connection=where.connection)
        assert where.connection > 0


async def test_without_a_tcp_listener_connections_can_still_be_opened() -> None:
    async with Office(listener("udp")) as office, Server() as trunk:
        office.send(b"INVITE", Hop("tcp", "127.0.0.1", trunk.port, "udp"))
        assert await (await soon(trunk.peers)).read(6) == b"INVITE"


async def test_every_message_to_a_peer_that_refuses_fails_with_its_own_hop() -> None:
    async with Office(listener("tcp")) as office:
        hop = Hop("tcp", "127.0.0.1", closed_port(), "tcp")
        again = hop._replace(listener="other")
        office.send(b"x", hop)
        office.send(b"y", again)
        assert office.quiet()
        assert [await soon(office.failures), await soon(office.failures)] == [hop, again]
        assert office.quiet()


async def test_a_peer_that_never_answers_the_connect_fails_in_time() -> None:
    # a listener whose backlog is full drops further SYNs
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            assert filler.connect_ex(full.getsockname()) in (0, errno.EINPROGRESS)
        async with Office(listener("tcp"), limits=StreamLimits(connect=0.1)) as office:
            hop = Hop("tcp", "127.0.0.1", full.getsockname()[1], "tcp")
            office.send(b"x", hop)
            assert await soon(office.failures) == hop
        for filler in fillers:
            filler.close()


async def test_what_waits_for_a_connection_is_bounded() -> None:
    async with Office(listener("tcp"), limits=StreamLimits(waiting=10)) as office, Server() as trunk:
        hop = Hop("tcp", "127.0.0.1", trunk.port, "tcp")
        office.send(b"12345678", hop)
        office.send(b"too much", hop)
        assert await soon(office.failures) == hop
        assert await (await soon(trunk.peers)).read(8) == b"12345678"


@pytest.mark.parametrize(
    "bad",
    [
        options("large", bytes(5000)),
        b"OPTIONS sip:x SIP/2.0\r\nSubject: " + b"x" * 5000,
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        options().replace(b"Content-Length: 0", b"Content-Length: -1"),
        options().replace(b"Content-Length: 0", b"Content-Length: 9999999999999"),
    ],
    ids=["a large message", "an endless header", "a TLS hello", "a negative length", "a huge length"],
)
async def test_a_stream_that_cannot_be_framed_is_closed(bad: bytes) -> None:
    async with Office(listener("tcp"), limits=StreamLimits(message=4096)) as office:
        phone = await Peer.connect(office.bound("tcp"))
        phone.send(options("good"))
        _, hop = await soon(office.messages)
        phone.send(bad)
        assert await phone.until_closed() == b""
        assert await soon(office.closed) == hop
        assert office.quiet()


async def test_a_message_that_never_ends_is_not_waited_for() -> None:
    async with Office(listener("tcp"), limits=StreamLimits(incomplete=0.05)) as office:
        phone = await Peer.connect(office.bound("tcp"))
        # RFC 4475 section 3.1.2.1 over TCP: Content-Length promises more than ever comes
        phone.send(options("whole") + options("promised").replace(b"Content-Length: 0", b"Content-Length: 9999"))
        assert (await soon(office.messages))[0].call_id == "whole"
        assert await phone.until_closed() == b""
        await soon(office.closed)
        assert office.quiet()


async def test_dripping_does_not_buy_time() -> None:
    async with Office(listener("tcp"), limits=StreamLimits(incomplete=0.05)) as office:
        phone = await Peer.connect(office.bound("tcp"))
        phone.send(options())
        await soon(office.messages)

        loop = asyncio.get_running_loop()

        def drip() -> None:
            phone.send(b"x")
            loop.call_later(0.01, drip)

        phone.send(b"OPTIONS sip:x SIP/2.0\r\nSubject: ")
        drip()
        await phone.until_closed()
        await soon(office.closed)


@pytest.mark.parametrize("said", [b"", b"\r\n", b"\r\n\r\n"])
async def test_a_connection_that_never_says_anything_is_closed(said: bytes) -> None:
    async with Office(listener("tcp"), limits=StreamLimits(first_message=0.05)) as office:
        phone = await Peer.connect(office.bound("tcp"))
        phone.send(said)
        await phone.until_closed()
        await soon(office.closed)


async def test_an_idle_connection_is_closed_and_one_that_spoke_is_given_longer() -> None:
    async with Office(listener("tcp"), limits=StreamLimits(first_message=0.01, idle=0.1)) as office:
        phone = await Peer.connect(office.bound("tcp"))
        phone.send(options())
        await soon(office.messages)
        started = asyncio.get_running_loop().time()
        await phone.until_closed()
        assert asyncio.get_running_loop().time() - started > 0.05
        await soon(office.closed)


async def test_a_peer_that_does_not_read_is_closed() -> None:
    async with Office(listener("tcp"), limits=StreamLimits(write_buffer=65_536)) as office:
        phone = await Peer.connect(office.bound("tcp"))
        phone.send(options())
        _, hop = await soon(office.messages)
        phone.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(1000):
            office.send(bytes(65_536), hop)
            if office.transports.connections == 0:
                break
        assert office.transports.connections == 0
        assert await soon(office.closed) == hop


@pytest.mark.parametrize(
    "limits", [StreamLimits(connections=2), StreamLimits(connections_per_address=2)], ids=["all", "one address"]
)
async def test_one_connection_too_many_is_closed_and_its_place_is_given_back(limits: StreamLimits) -> None:
    async with Office(listener("tcp"), limits=limits) as office:
        phones = [await Peer.connect(office.bound("tcp")) for _ in range(2)]
        for phone in phones:
            phone.send(options())
            await soon(office.messages)
        surplus = await Peer.connect(office.bound("tcp"))
        assert await surplus.until_closed() == b""
        phones[0].close()
        await soon(office.closed)
        another = await Peer.connect(office.bound("tcp"))
        another.send(options("admitted"))
        assert (await soon(office.messages))[0].call_id == "admitted"


async def test_accepted_connections_do_not_use_up_the_way_out() -> None:
    async with Office(listener("tcp"), limits=StreamLimits(connections=1)) as office, Server() as trunk:
        phone = await Peer.connect(office.bound("tcp"))
        phone.send(options())
        await soon(office.messages)
        office.send(b"INVITE", Hop("tcp", "127.0.0.1", trunk.port, "tcp"))
        assert await (await soon(trunk.peers)).read(6) == b"INVITE"


async def test_what_is_written_is_sent_before_the_end_and_nothing_is_called_back_after_it() -> None:
    async with Office(listener("tcp")) as office:
        phone = await Peer.connect(office.bound("tcp"))
        phone.send(options())
        _, hop = await soon(office.messages)
        office.send(b"BYE", hop)
    assert await phone.until_closed() == b"BYE"
    office.send(b"too late", hop)
    assert office.quiet()


async def test_closing_ends_attempts_to_connect() -> None:
    async with Office(listener("tcp")) as office:
        office.send(b"x", Hop("tcp", "192.0.2.1", 5060, "tcp"))
    assert office.quiet()
