"""Names to targets (RFC 3263, RFC 2782), in a zone of dictionaries and on a clock by hand."""

import asyncio
import random
import socket
import threading
from collections import Counter
from collections.abc import Iterator

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2bua.net.lookup import DnsLookup
from b2bua.net.resolver import (
    AVOIDED_FOR,
    FAILED_FOR,
    LONGEST,
    MOST_TARGETS,
    SHORTEST,
    Naptr,
    ResolutionError,
    Resolver,
    Srv,
    Target,
    naptr_services,
    srv_order,
)
from b2bua.sip.hop import Hop
from tests.net.office import Office, Server, listener, options, soon
from tests.net.zone import Zone

RECORDS = st.lists(
    st.builds(Srv, st.integers(0, 3), st.integers(0, 65535), st.just(5060), st.text(min_size=1)), max_size=8
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# -- RFC 2782 --------------------------------------------------------------------------------------------


@given(RECORDS, st.randoms(use_true_random=False))
def test_every_record_is_tried_once_and_lower_priorities_first(records: list[Srv], chance: random.Random) -> None:
    ordered = srv_order(records, chance.randrange)
    assert Counter(ordered) == Counter(records)
    assert [record.priority for record in ordered] == sorted(record.priority for record in records)


def test_the_first_is_drawn_in_proportion_to_the_weights() -> None:
    records = [Srv(0, 10, 1, "ten"), Srv(0, 60, 1, "sixty"), Srv(0, 30, 1, "thirty"), Srv(0, 0, 1, "hardly ever")]
    first = Counter(srv_order(records, lambda below, n=drawn: n % below)[0].target for drawn in range(101))  # type: ignore[misc]
    assert first == {"ten": 10, "thirty": 30, "sixty": 60, "hardly ever": 1}


def test_records_without_weight_still_all_come() -> None:
    records = [Srv(0, 0, 1, name) for name in "abc"]
    assert {record.target for record in srv_order(records, lambda below: below - 1)} == set("abc")


# -- RFC 3263 section 4.1 --------------------------------------------------------------------------------


def test_naptr_records_are_taken_in_order_and_only_for_what_we_speak() -> None:
    records = [
        Naptr(50, 60, "s", "SIP+D2U", "_sip._udp.example.com"),
        Naptr(50, 50, "S", "sips+D2T", "_sips._tcp.example.com"),
        Naptr(10, 10, "s", "SIP+D2S", "_sip._sctp.example.com"),
        Naptr(10, 10, "u", "E2U+sip", ""),
        Naptr(90, 50, "s", "SIP+D2T", "_sip._tcp.example.com"),
    ]
    assert naptr_services(records, ["udp", "tcp"]) == [
        ("udp", "_sip._udp.example.com"),
        ("tcp", "_sip._tcp.example.com"),
    ]


@pytest.mark.parametrize(
    ("transport", "host", "port", "target"),
    [
        ("udp", "192.0.2.1", 0, Target("udp", "192.0.2.1", 5060)),
        ("", "192.0.2.1", 5070, Target("udp", "192.0.2.1", 5070)),
        ("tls", "[2001:db8::1]", 0, Target("tls", "2001:db8::1", 5061)),
    ],
)
async def test_an_address_asks_nobody(transport: str, host: str, port: int, target: Target) -> None:
    zone = Zone()
    resolver = Resolver(zone)
    assert resolver.cached(transport, host, port) == [target]
    assert await resolver.resolve(transport, host, port) == [target]
    assert not zone.asked


async def test_a_port_means_that_only_addresses_are_asked_for() -> None:
    zone = Zone(
        addresses={"example.com": ["192.0.2.1", "2001:db8::1"]}, srv={"_sip._udp.example.com": [Srv(0, 0, 1, "x")]}
    )
    assert await Resolver(zone).resolve("udp", "Example.COM.", 5070) == [
        Target("udp", "192.0.2.1", 5070),
        Target("udp", "2001:db8::1", 5070),
    ]
    assert zone.asked == {"A example.com": 1}


async def test_a_transport_without_a_port_asks_for_srv_records() -> None:
    zone = Zone(
        srv={"_sips._tcp.example.com": [Srv(20, 0, 5071, "second"), Srv(10, 0, 5061, "first")]},
        addresses={"first": ["192.0.2.1"], "second": ["192.0.2.2"]},
    )
    assert await Resolver(zone).resolve("tls", "example.com", 0) == [
        Target("tls", "192.0.2.1", 5061),
        Target("tls", "192.0.2.2", 5071),
    ]


async def test_without_srv_records_the_name_itself_and_the_usual_port_do() -> None:
    zone = Zone(addresses={"example.com": ["192.0.2.1"]})
    assert await Resolver(zone).resolve("tls", "example.com", 0) == [Target("tls", "192.0.2.1", 5061)]


async def test_neither_transport_nor_port_asks_for_naptr_records_first() -> None:
    zone = Zone(
        naptr={"example.com": [Naptr(10, 10, "s", "SIP+D2T", "_sip._tcp.carrier.example")]},
        srv={"_sip._tcp.carrier.example": [Srv(0, 0, 5062, "proxy")]},
        addresses={"proxy": ["192.0.2.1"]},
    )
    assert await Resolver(zone).resolve("", "example.com", 0) == [Target("tcp", "192.0.2.1", 5062)]


async def test_without_naptr_records_every_transport_of_ours_is_asked_for() -> None:
    zone = Zone(srv={"_sip._tcp.example.com": [Srv(0, 0, 5060, "proxy")]}, addresses={"proxy": ["192.0.2.1"]})
    assert await Resolver(zone).resolve("", "example.com", 0) == [Target("tcp", "192.0.2.1", 5060)]
    assert await Resolver(zone, transports=["udp"]).resolve("", "proxy", 0) == [Target("udp", "192.0.2.1", 5060)]


async def test_a_service_that_is_decidedly_not_available_is_not_tried_elsewhere() -> None:
    zone = Zone(srv={"_sip._udp.example.com": [Srv(0, 0, 0, "")]}, addresses={"example.com": ["192.0.2.1"]})
    with pytest.raises(ResolutionError):
        await Resolver(zone).resolve("udp", "example.com", 0)


async def test_the_number_of_targets_is_bounded() -> None:
    zone = Zone(
        srv={"_sip._udp.example.com": [Srv(0, 1, 5060, f"host{number}") for number in range(100)]},
        addresses={f"host{number}": ["192.0.2.1", "192.0.2.2"] for number in range(100)},
    )
    assert len(await Resolver(zone).resolve("udp", "example.com", 0)) == MOST_TARGETS
    assert sum(zone.asked.values()) == MOST_TARGETS + 1


# -- the cache -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ttl", "kept"), [(300.0, 300.0), (0.0, SHORTEST), (1e6, LONGEST)])
async def test_answers_are_kept_for_their_ttl_within_bounds(ttl: float, kept: float) -> None:
    clock, zone = Clock(), Zone(addresses={"example.com": ["192.0.2.1"]}, ttl=ttl)
    resolver = Resolver(zone, clock=clock)
    targets = await resolver.resolve("udp", "example.com", 5060)
    clock.now += kept - 0.001
    assert resolver.cached("udp", "EXAMPLE.com", 5060) == targets
    clock.now += 0.002
    assert resolver.cached("udp", "example.com", 5060) is None


async def test_that_there_is_no_such_name_is_kept_briefly() -> None:
    clock, zone = Clock(), Zone()
    resolver = Resolver(zone, clock=clock)
    for _ in range(2):
        with pytest.raises(ResolutionError):
            await resolver.resolve("udp", "example.com", 5060)
    assert zone.asked == {"A example.com": 1}
    clock.now += FAILED_FOR + 1
    zone.known_addresses["example.com"] = ["192.0.2.1"]
    assert await resolver.resolve("udp", "example.com", 5060) == [Target("udp", "192.0.2.1", 5060)]


async def test_while_the_dns_is_down_the_last_answer_holds() -> None:
    clock, zone = Clock(), Zone(addresses={"example.com": ["192.0.2.1"]})
    resolver = Resolver(zone, clock=clock)
    targets = await resolver.resolve("udp", "example.com", 5060)
    zone.down = True
    clock.now += 301
    assert await resolver.resolve("udp", "example.com", 5060) == targets
    clock.now += 3700
    with pytest.raises(ResolutionError):
        await resolver.resolve("udp", "example.com", 5060)


async def test_the_order_is_drawn_once_per_answer() -> None:
    zone = Zone(
        srv={"_sip._udp.example.com": [Srv(0, 1, 5060, name) for name in "abcd"]},
        addresses={name: [f"192.0.2.{number}"] for number, name in enumerate("abcd")},
    )
    resolver = Resolver(zone)
    targets = await resolver.resolve("udp", "example.com", 0)
    assert all(resolver.cached("udp", "example.com", 0) == targets for _ in range(20))


async def test_a_target_that_failed_comes_last_for_a_while() -> None:
    clock, zone = Clock(), Zone(addresses={"example.com": ["192.0.2.1", "192.0.2.2"]})
    resolver = Resolver(zone, clock=clock)
    first, second = await resolver.resolve("udp", "example.com", 5060)
    resolver.failed(first)
    assert resolver.cached("udp", "example.com", 5060) == [second, first]
    clock.now += AVOIDED_FOR
    assert resolver.cached("udp", "example.com", 5060) == [first, second]


async def test_the_cache_is_bounded() -> None:
    names = [f"host{number}" for number in range(20)]
    resolver = Resolver(Zone(addresses={name: ["192.0.2.1"] for name in names}), capacity=10)
    for name in names:
        await resolver.resolve("udp", name, 5060)
        resolver.failed(Target("udp", name, 5060))
    assert sum(resolver.cached("udp", name, 5060) is not None for name in names) == 10


# -- names in the transports -----------------------------------------------------------------------------


async def test_a_datagram_to_a_name_waits_for_the_dns() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind(("127.0.0.1", 0))
        phone.setblocking(False)
        zone = Zone(
            srv={"_sip._udp.example.com": [Srv(0, 0, phone.getsockname()[1], "proxy")]},
            addresses={"proxy": ["127.0.0.1"]},
        )
        async with Office(listener("udp"), resolver=Resolver(zone)) as office:
            hop = Hop("udp", "example.com", 0, "udp")
            for text in (b"one", b"two"):
                office.send(text, hop)
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(5.0):
                assert [await loop.sock_recv(phone, 10) for _ in range(2)] == [b"one", b"two"]
                office.send(b"three", hop)
                assert await loop.sock_recv(phone, 10) == b"three"
            assert zone.asked["SRV _sip._udp.example.com"] == 1


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_a_name_that_leads_nowhere_is_a_failure(transport: str) -> None:
    async with Office(listener("udp"), resolver=Resolver(Zone())) as office:
        hop = Hop(transport, "nowhere.example", 0, "udp")
        office.send(b"x", hop)
        assert office.quiet()
        assert await soon(office.failures) == hop


async def test_a_refusal_by_a_name_is_told_by_its_name_and_the_next_target_is_used() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind(("127.0.0.2", 0))
        phone.setblocking(False)
        port = phone.getsockname()[1]
        zone = Zone(addresses={"example.com": ["127.0.0.1", "127.0.0.2"]})
        async with Office(listener("udp"), resolver=Resolver(zone)) as office:
            hop = Hop("udp", "example.com", port, "udp")
            office.send(b"refused", hop)
            assert {await soon(office.failures), await soon(office.failures)} == {
                hop,
                Hop("udp", "127.0.0.1", port, "udp"),
            }
            office.send(b"taken", hop)
            async with asyncio.timeout(5.0):
                assert await asyncio.get_running_loop().sock_recv(phone, 10) == b"taken"


async def test_a_connection_to_a_name_is_tried_at_every_address_and_then_kept() -> None:
    async with Server() as trunk, Office(listener("tcp")) as office:
        zone = Zone(addresses={"example.com": ["127.0.0.2", "127.0.0.1"]})
        office.transports.resolver = Resolver(zone)
        hop = Hop("tcp", "example.com", trunk.port, "tcp")
        office.send(b"one ", hop)
        peer = await soon(trunk.peers)
        assert await peer.read(4) == b"one "
        office.send(b"two", hop)
        office.send(b"!", hop._replace(host="127.0.0.1"))
        assert await peer.read(4) == b"two!"
        assert office.quiet()
        # what was sent by name and not answered is told by name when the connection ends
        peer.close()
        assert await soon(office.failures) == hop
        assert (await soon(office.closed)).host == "127.0.0.1"
        office.send(options("again"), hop)
        assert (await (await soon(trunk.peers)).read(7)) == b"OPTIONS"


# -- dnspython -------------------------------------------------------------------------------------------


@pytest.fixture
def name_server() -> Iterator[dict[tuple[str, str], list[str]]]:
    """A name server on this machine that answers from a dictionary; what is not in it does not exist."""
    records: dict[tuple[str, str], list[str]] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                data, source = sock.recvfrom(4096)
                if not data:
                    return
                query = dns.message.from_wire(data)
                response = dns.message.make_response(query)
                name, kind = query.question[0].name.to_text(), dns.rdatatype.to_text(query.question[0].rdtype)
                if (name, kind) in records:
                    response.answer.append(dns.rrset.from_text_list(name, 120, "IN", kind, records[name, kind]))
                elif not any(known == name for known, _ in records):
                    response.set_rcode(dns.rcode.NXDOMAIN)
                sock.sendto(response.to_wire(), source)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        records["port", ""] = [str(sock.getsockname()[1])]
        yield records
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stop:
            stop.sendto(b"", sock.getsockname())
        thread.join(5.0)


async def test_records_come_from_a_real_name_server(name_server: dict[tuple[str, str], list[str]]) -> None:
    name_server["example.com.", "NAPTR"] = ['10 20 "s" "SIP+D2T" "" _sip._tcp.example.com.']
    name_server["_sip._tcp.example.com.", "SRV"] = ["1 2 5070 proxy.example.com."]
    name_server["proxy.example.com.", "A"] = ["192.0.2.1"]
    name_server["proxy.example.com.", "AAAA"] = ["2001:db8::1"]
    lookup = DnsLookup(["127.0.0.1"], int(name_server["port", ""][0]))
    assert await lookup.naptr("example.com") == ([Naptr(10, 20, "s", "SIP+D2T", "_sip._tcp.example.com")], 120)
    assert await lookup.srv("_sip._tcp.example.com") == ([Srv(1, 2, 5070, "proxy.example.com")], 120)
    assert await lookup.addresses("proxy.example.com") == (["192.0.2.1", "2001:db8::1"], 120)
    assert (await lookup.srv("_sip._udp.example.com"))[0] == []
    assert await Resolver(lookup).resolve("", "example.com", 0) == [
        Target("tcp", "192.0.2.1", 5070),
        Target("tcp", "2001:db8::1", 5070),
    ]


async def test_the_hosts_file_knows_what_the_dns_does_not(name_server: dict[tuple[str, str], list[str]]) -> None:
    lookup = DnsLookup(["127.0.0.1"], int(name_server["port", ""][0]))
    addresses, _ = await lookup.addresses("localhost")
    assert "127.0.0.1" in addresses


@pytest.mark.parametrize("name", ["a" * 64 + ".example", "a..b", "\udcff.example"])
async def test_what_cannot_be_a_name_is_not_found(name: str, name_server: dict[tuple[str, str], list[str]]) -> None:
    lookup = DnsLookup(["127.0.0.1"], int(name_server["port", ""][0]))
    with pytest.raises(ResolutionError):
        await Resolver(lookup).resolve("udp", name, 5060)
