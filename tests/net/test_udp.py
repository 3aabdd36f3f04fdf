"""UDP over real loopback sockets."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from b2bua.net.addresses import literal
from b2bua.net.udp import BURST, LARGEST
from b2bua.sip.hop import Hop
from tests.net.office import Office, listener, options, soon


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no ::1")


@pytest.fixture
def phone() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5.0)
        yield sock


def hop_to(sock: socket.socket) -> Hop:
    host, port = sock.getsockname()
    return Hop("udp", host, port, "udp")


def closed_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


async def test_the_hop_of_a_datagram_is_the_way_back(phone: socket.socket) -> None:
    async with Office(listener("udp", name="trunk")) as office:
        phone.sendto(b"hello", office.bound("trunk"))
        data, hop = await soon(office.datagrams)
        assert data == b"hello"
        assert hop == Hop("udp", "127.0.0.1", phone.getsockname()[1], "trunk", 0)
        office.send(b"hello yourself", hop)
        assert phone.recvfrom(100) == (b"hello yourself", office.bound("trunk"))
        assert office.quiet()


@needs_ipv6
@pytest.mark.parametrize("spelling", ["::1", "[::1]", "0:0:0:0:0:0:0:1"])
async def test_ipv6_goes_both_ways_however_it_is_written(spelling: str) -> None:
    async with Office(listener("udp", "::1", "one"), listener("udp", "::1", "two")) as office:
        office.send(b"hello", Hop("udp", spelling, office.bound("two")[1], "one"))
        assert await soon(office.datagrams) == (b"hello", Hop("udp", "::1", office.bound("one")[1], "two", 0))


@needs_ipv6
async def test_a_listener_for_both_families_calls_ipv4_by_its_name(phone: socket.socket) -> None:
    async with Office(listener("udp", "::")) as office:
        phone.sendto(b"hello", ("127.0.0.1", office.bound("udp")[1]))
        _, hop = await soon(office.datagrams)
        assert hop.host == "127.0.0.1"
        office.send(b"hello yourself", hop)
        assert phone.recvfrom(100)[0] == b"hello yourself"


async def test_a_burst_larger_than_one_wake_up_arrives_whole_and_in_order(phone: socket.socket) -> None:
    async with Office() as office:
        sent = [b"%d" % number for number in range(3 * BURST + 1)]
        for data in sent:
            phone.sendto(data, office.bound("udp"))
        assert [(await soon(office.datagrams))[0] for _ in sent] == sent


async def test_an_empty_datagram_is_a_datagram(phone: socket.socket) -> None:
    async with Office() as office:
        phone.sendto(b"", office.bound("udp"))
        assert (await soon(office.datagrams))[0] == b""


async def test_a_refused_datagram_is_a_failure_of_its_destination_only(phone: socket.socket) -> None:
    async with Office() as office:
        nobody = Hop("udp", "127.0.0.1", closed_port(), "udp")
        office.send(options("to nobody"), nobody)
        office.send(b"to the phone", hop_to(phone))
        assert await soon(office.failures) == nobody
        assert phone.recvfrom(100)[0] == b"to the phone"
        # the listener still hears
        phone.sendto(b"hello", office.bound("udp"))
        assert (await soon(office.datagrams))[0] == b"hello"
        assert office.quiet()


async def test_every_refusal_among_many_is_told(phone: socket.socket) -> None:
    async with Office() as office:
        nobody = {Hop("udp", "127.0.0.1", closed_port(), "udp") for _ in range(5)}
        for hop in nobody:
            office.send(b"x", hop)
        assert {await soon(office.failures) for _ in nobody} == nobody


async def test_failures_come_after_send_and_not_from_inside_it() -> None:
    async with Office() as office:
        hop = Hop("udp", "127.0.0.1", 5060, "udp")
        office.send(bytes(LARGEST + 1), hop)
        assert office.quiet()
        assert await soon(office.failures) == hop


@pytest.mark.parametrize(
    "hop",
    [
        Hop("udp", "2001:db8::1", 5060, "udp"),
        Hop("udp", "192.0.2.1", 70_000, "udp"),
        Hop("sctp", "192.0.2.1", 5060, "udp"),
        Hop("udp", "255.255.255.255", 5060, "udp"),
    ],
)
async def test_what_cannot_be_sent_fails_and_does_not_raise(hop: Hop) -> None:
    async with Office() as office:
        office.send(b"x", hop)
        assert await soon(office.failures) == hop


async def test_where_there_is_no_epoll_it_works_without_failures(
    phone: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("b2bua.net.udp._HAS_EPOLL", False)
    async with Office() as office:
        office.send(b"to nobody", hop_to(phone)._replace(port=closed_port()))
        phone.sendto(b"hello", office.bound("udp"))
        _, hop = await soon(office.datagrams)
        office.send(b"hello yourself", hop)
        assert phone.recvfrom(100)[0] == b"hello yourself"
        assert office.quiet()


@pytest.mark.parametrize("has_epoll", [True, False])
async def test_while_the_kernel_takes_nothing_datagrams_wait_in_order(
    has_epoll: bool, phone: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("b2bua.net.udp._HAS_EPOLL", has_epoll)
    async with Office() as office:
        udp = office.transports._udp["udp"]
        hop = hop_to(phone)

        class Full:
            """A socket whose send buffer is full until it is drained."""

            def __init__(self, sock: socket.socket) -> None:
                self.sock = sock
                self.full = True

            def sendto(self, data: bytes, address: tuple[str, int]) -> int:
                if self.full:
                    raise BlockingIOError(11, "full")
                return self.sock.sendto(data, address)

            def __getattr__(self, name: str) -> object:
                return getattr(self.sock, name)

        full = Full(udp._socket)
        monkeypatch.setattr(udp, "_socket", full)
        for number in range(3):
            office.send(b"%d" % number, hop)
        full.full = False
        office.send(b"3", hop)
        async with asyncio.timeout(5.0):
            phone.setblocking(False)
            loop = asyncio.get_running_loop()
            assert [await loop.sock_recv(phone, 10) for _ in range(4)] == [b"0", b"1", b"2", b"3"]
        assert office.quiet()
        assert office.transports.dropped == 0


async def test_a_taken_port_is_named_in_the_error() -> None:
    async with Office() as office:
        taken = listener("udp", name="second")
        port = office.bound("udp")[1]
        other = Office(type(taken)("second", "udp", "127.0.0.1", port))
        with pytest.raises(OSError, match=rf"'second'.*port {port}"):
            await other.transports.start()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("example.com", None),
        ("192.0.2", None),
        ("", None),
    ],
)
def test_an_address_has_one_spelling(written: str, meant: str | None) -> None:
    assert literal(written) == meant
