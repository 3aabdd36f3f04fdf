"""Who may call, and whom."""

import pytest

from b2bua.sip.digest import answer_challenge
from b2bua.sip.hop import Hop
from b2bua.sip.ids import SeededIds
from b2bua.sip.message import Request, Response
from b2bua.trunk import RateLimit, Trunk, Trunks
from tests.call.desk import ANNA, BUSINESS, CARRIER, NUMBER, STRANGER, Desk, invite, names, only, register


@pytest.mark.parametrize(
    "uri",
    [
        "sip:+49302000100@198.51.100.1",
        "sip:0049302000100@198.51.100.1;user=phone",
        "sip:0302000100@198.51.100.1",
        "sip:+49-30-2000100@anything.example",
        "tel:+49-30-2000-100",
    ],
)
def test_the_request_uri_says_whose_call_it_is(uri: str) -> None:
    desk = Desk()
    out = desk.receive(invite(uri=uri), CARRIER)
    assert only(out, "INVITE", ANNA).from_.display == "Kanzlei Berger"


def test_the_caller_id_never_routes() -> None:
    desk = Desk()
    evil = invite(
        "+4930999", extra={"From": f"<sip:{NUMBER}@carrier.example>;tag=1", "To": f"<sip:{NUMBER}@x.example>"}
    )
    evil.set("P-Asserted-Identity", f"<sip:{NUMBER}@carrier.example>")
    evil.set("Diversion", f"<sip:{NUMBER}@carrier.example>;reason=unconditional")
    assert names(desk.receive(evil, CARRIER)) == [404]


@pytest.mark.parametrize("number", ["+49302000199", "+493020001001", "+49302000109", "+4930200010", "x"])
def test_unknown_and_expired_numbers_are_nobodys(number: str) -> None:
    desk = Desk()
    assert names(desk.receive(invite(number), CARRIER)) == [404]
    assert desk.journal == []
    desk.assert_quiet()


@pytest.mark.parametrize(("source", "header"), [("to", "To"), ("p-called-party-id", "P-Called-Party-ID")])
def test_a_registration_trunk_has_the_number_elsewhere(source: str, header: str) -> None:
    desk = Desk(Trunk("carrier", ("192.0.2.0/28",), did_source=source))
    account = "sip:+49302000101@198.51.100.1"
    right = invite(uri=account, extra={header: f"<sip:{NUMBER}@carrier.example>"})
    assert only(desk.receive(right, CARRIER), "INVITE").from_.display == "Kanzlei Berger"
    missing = invite(uri=account, extra={"To": "<sip:nobody@carrier.example>"})
    assert names(desk.receive(missing, CARRIER)) == [404]


def _final(desk: Desk, request: Request, hop: Hop) -> Response:
    (sent,) = desk.receive(request, hop)
    assert isinstance(sent.message, Response)
    return sent.message


def test_strangers_learn_nothing() -> None:
    desk = Desk()
    shapes = []
    for number in (NUMBER, "+49302000199", "carla", "anna", "nobody"):
        answer = _final(desk, invite(number, hop=STRANGER), STRANGER)
        challenge = (answer.get("Proxy-Authenticate") or "").split("nonce=")
        shapes.append((answer.status, sorted(answer.fields), challenge[0], challenge[1][60:]))
    assert len(set(map(str, shapes))) == 1
    assert shapes[0][0] == 407
    assert desk.exchange.endpoint.layer.server_count == 0, "no state is kept of strangers"
    assert desk.exchange.endpoint.sessions == {}


def test_unknown_and_known_names_get_the_same_challenge_and_refusal() -> None:
    desk = Desk()
    known = register(desk, "carla", "wrong", STRANGER)
    unknown = register(desk, "nobody", "wrong", STRANGER)
    assert (known.status, sorted(known.fields)) == (unknown.status, sorted(unknown.fields))
    assert known.status == 401


def test_names_that_nobody_has_get_both_kinds_of_challenge() -> None:
    business = (
        BUSINESS
        + """
[[agents]]
id = "dora"
name = "Dora"
endpoints = [{ username = "dora", password = "secret", algorithms = ["SHA-256", "MD5"] }]
"""
    )
    desk = Desk(business=business)

    def offered(name: str) -> tuple[str, ...]:
        request = invite(hop=STRANGER, extra={"From": f"<sip:{name}@service.example>;tag=1"})
        return tuple(
            value.split("algorithm=")[1].split(",")[0]
            for value in _final(desk, request, STRANGER).all("Proxy-Authenticate")
        )

    assert offered("carla") == ("MD5",)
    assert offered("dora") == ("SHA-256", "MD5")
    strangers = {offered(f"nobody{index}") for index in range(40)}
    assert strangers == {("MD5",), ("SHA-256", "MD5")}
    assert offered("nobody1") == offered("nobody1")


def test_an_agent_may_make_a_test_call_that_costs_nothing() -> None:
    desk = Desk()
    request = invite(hop=STRANGER, extra={"From": "<sip:carla@service.example>;tag=1"})
    challenge = _final(desk, request, STRANGER)
    credentials = answer_challenge(challenge, request, "carla", "secret", SeededIds(3))
    assert credentials is not None
    request.set(*credentials)
    request.set("Via", "SIP/2.0/UDP 203.0.113.66:5060;branch=z9hG4bKagain")
    request.set("CSeq", "2 INVITE")
    out = desk.receive(request, STRANGER)
    assert only(out, "INVITE", ANNA)
    (call,) = desk.exchange.controller.calls.values()
    assert call.summary.origin == "agent:carla"
    assert not call.summary.billable


def test_a_replayed_answer_is_worth_nothing() -> None:
    desk = Desk()
    request = invite(hop=STRANGER, extra={"From": "<sip:carla@service.example>;tag=1"})
    credentials = answer_challenge(_final(desk, request, STRANGER), request, "carla", "secret", SeededIds(3))
    assert credentials is not None
    for index, expected in ((2, [100, "INVITE"]), (3, [407])):
        request.set(*credentials)
        request.set("Via", f"SIP/2.0/UDP 203.0.113.66:5060;branch=z9hG4bKreplay{index}")
        request.set("CSeq", f"{index} INVITE")
        request.set("Call-ID", f"replay-{index}")
        assert names(desk.receive(request, STRANGER)) == expected


def test_nobody_registers_for_somebody_else() -> None:
    desk = Desk()
    fields = {
        "Via": ["SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKreg"],
        "From": ["<sip:carla@service.example>;tag=1"],
        "To": ["<sip:other@service.example>"],
        "Call-ID": ["1"],
        "CSeq": ["1 REGISTER"],
        "Contact": ["<sip:x@10.0.0.9>"],
    }
    request = Request("REGISTER", "sip:service.example", fields)
    challenge = _final(desk, request, ANNA)
    credentials = answer_challenge(challenge, request, "carla", "secret", SeededIds(3))
    assert credentials is not None
    request.set(*credentials)
    request.set("Via", "SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKreg2")
    request.set("CSeq", "2 REGISTER")
    assert _final(desk, request, ANNA).status == 403


def test_a_full_trunk_a_full_house_and_a_flood_get_503() -> None:
    desk = Desk(Trunk("carrier", ("192.0.2.0/28",), max_calls=1))
    desk.receive(invite(), CARRIER)
    refusal = only(desk.receive(invite("+49302000101"), CARRIER), 503)
    assert refusal.get("Retry-After") == "5"
    desk = Desk(max_calls=1)
    desk.receive(invite(), CARRIER)
    assert names(desk.receive(invite("+49302000101"), CARRIER)) == [503]
    desk = Desk(Trunk("carrier", ("192.0.2.0/28",), max_calls_per_second=2))
    statuses = [names(desk.receive(invite("+49302000199"), CARRIER))[-1] for _ in range(4)]
    assert statuses == [404, 404, 503, 503]
    desk.now += 1
    assert names(desk.receive(invite("+49302000199"), CARRIER)) == [404]


def test_a_trunk_is_free_again_when_its_calls_are_over() -> None:
    trunk = Trunk("carrier", ("192.0.2.0/28",), max_calls=1)
    desk = Desk(trunk)
    for _ in range(3):
        out = desk.receive(invite("+49302000102"), CARRIER)
        assert names(out) == [100, 480]
        assert trunk.calls == 0


def test_no_new_calls_while_records_cannot_be_kept() -> None:
    desk = Desk()
    desk.receive(invite(), CARRIER)
    desk.admission.journal_full = True
    refusal = only(desk.receive(invite("+49302000101"), CARRIER), 503)
    assert refusal.get("Retry-After") == "5"
    assert len(desk.exchange.controller.calls) == 1, "the call in progress goes on"
    assert desk.metrics.refused == {"journal_full": 1}
    desk.admission.journal_full = False
    assert 503 not in names(desk.receive(invite("+49302000101"), CARRIER))


def test_no_new_calls_while_draining() -> None:
    desk = Desk()
    desk.exchange.drain()
    assert names(desk.receive(invite(), CARRIER)) == [503]


def test_trunks_are_found_by_network_and_listener() -> None:
    trunks = Trunks([Trunk("a", ("192.0.2.0/24",), listener="tcp"), Trunk("b", ("192.0.2.7/32", "2001:db8::/32"))])

    def found(host: str, listener: str = "udp") -> str | None:
        trunk = trunks.find(Hop("udp", host, 5060, listener))
        return trunk.name if trunk is not None else None

    assert found("192.0.2.7") == "b"
    assert found("192.0.2.7", "tcp") == "a"
    assert found("192.0.2.8") is None
    assert found("2001:db8::5") == "b"
    assert found("::ffff:192.0.2.7") == "b"
    assert found("not an address") is None


def test_the_rate_limit_is_a_bucket_of_one_second() -> None:
    limit = RateLimit(2.0)
    assert [limit.allows(10.0) for _ in range(3)] == [True, True, False]
    assert [limit.allows(10.5), limit.allows(10.5)] == [True, False]
    assert RateLimit(0.0).allows(0.0)
