"""The torture messages of RFC 4475 and RFC 5118: each gets the answer that its section wants."""

import json
from pathlib import Path
from typing import Any

import pytest

from b2bua.sip.dialog import LocalAddress
from b2bua.sip.endpoint import Endpoint
from b2bua.sip.errors import RemoteProtocolError
from b2bua.sip.events import InviteReceived, RequestReceived
from b2bua.sip.hop import Hop
from b2bua.sip.ids import SeededIds
from b2bua.sip.message import Request, Response
from b2bua.sip.parser import Keepalive, StreamFramer, parse

TORTURE = Path(__file__).parent / "torture"
MESSAGES: list[dict[str, Any]] = json.loads((TORTURE / "manifest.json").read_text())
UDP = Hop("udp", "192.0.2.200", 5060, "main")
TCP = Hop("tcp", "192.0.2.200", 40000, "main-tcp", 3)
ADDRESSES = {"main": LocalAddress("udp", "198.51.100.1", 5060), "main-tcp": LocalAddress("tcp", "198.51.100.1", 5060)}


def allowed(status: int, rule: str) -> bool:
    """``!400,!5xx`` forbids, ``501,404,4xx`` allows."""

    def fits(pattern: str) -> bool:
        return status // 100 == int(pattern[0]) if pattern.endswith("xx") else status == int(pattern)

    rules = rule.split(",")
    if rule.startswith("!"):
        return not any(fits(item[1:]) for item in rules)
    return any(fits(item) for item in rules)


def answers(messages: list[Request | Response], hop: Hop) -> list[Response]:
    """What the endpoint, and an application that lets everybody in, answer at once."""
    endpoint = Endpoint(ADDRESSES, SeededIds(1))
    now = 0.0
    for message in messages:
        endpoint.receive_message(message, hop, now)
        while endpoint.events:
            event = endpoint.events.popleft()
            if isinstance(event, InviteReceived):
                event.session.ring(now)
                event.session.refuse(404, now)
            elif isinstance(event, RequestReceived):
                endpoint.refuse(event.transaction, 401, now)
    found = []
    for data, _ in endpoint.datagrams_to_send():
        answer = parse(data)
        assert isinstance(answer, Response)
        if answer.status >= 200:
            found.append(answer)
    for _ in range(200):
        deadline = endpoint.next_deadline()
        if deadline is None:
            break
        endpoint.handle_timers(deadline)
    assert endpoint.next_deadline() is None
    assert endpoint.layer.server_count == 0
    assert not endpoint.sessions
    return found


def over_udp(data: bytes) -> list[Response]:
    """The answers to one datagram."""
    try:
        return answers([parse(data)], UDP)
    except RemoteProtocolError:
        return []


def over_tcp(data: bytes) -> tuple[list[Response], bool]:
    """The answers to octets of a stream, and whether it would be closed at once."""
    framer = StreamFramer()
    messages: list[Request | Response] = []
    try:
        # octet by octet: complete messages count although the stream breaks later
        for index in range(len(data)):
            for item in framer.feed(data[index : index + 1]):
                assert not isinstance(item, Keepalive)
                messages.append(item)
    except RemoteProtocolError:
        return answers(messages, TCP), True
    return answers(messages, TCP), False


def judge(entry: dict[str, Any], statuses: list[int]) -> None:
    action = entry["action"]
    if action == "drop":
        assert statuses == []
    elif action == "either":
        # RFC 4475 leaves the choice between refusing and being liberal; silence only for what is no SIP message
        assert all(status // 100 in (2, 4) for status in statuses)
    else:
        assert statuses
        for status in statuses:
            liberal = action in ("ok", "app") and status in (401, 403, 404, 405, 407, 480, 481, 488)
            assert allowed(status, entry["udp_allow"]) or liberal, status


@pytest.mark.parametrize("entry", MESSAGES, ids=[entry["name"] for entry in MESSAGES])
def test_datagram(entry: dict[str, Any]) -> None:
    found = over_udp((TORTURE / entry["file"]).read_bytes())
    assert len(found) <= 1
    judge(entry, [answer.status for answer in found])


@pytest.mark.parametrize("entry", MESSAGES, ids=[entry["name"] for entry in MESSAGES])
def test_stream(entry: dict[str, Any]) -> None:
    found, closed = over_tcp((TORTURE / entry["file"]).read_bytes())
    if entry["name"] == "dblreq":
        # RFC 4475 3.1.1.8: over a stream the trailing octets are another request
        assert len(found) == 2
    elif entry["name"] in ("clerr", "ncl", "mcl01"):
        # no end, or no beginning of the next message: the connection has to go, at once or when time is up
        assert found == []
        assert closed == (entry["name"] != "clerr")
    elif entry["name"] in ("baddn", "zz-test"):
        assert all(answer.status == 400 for answer in found)
    else:
        judge(entry, [answer.status for answer in found])


def test_identifiers_come_back_octet_by_octet() -> None:
    request = parse((TORTURE / "intmeth.dat").read_bytes())
    (answer,) = over_udp((TORTURE / "intmeth.dat").read_bytes())
    assert answer.status == 501
    assert answer.get("Allow")
    assert answer.call_id == request.call_id
    assert answer.get("From") == request.get("From")
    assert (answer.get("To") or "").startswith(request.get("To") or "nothing")


@pytest.mark.parametrize(
    ("name", "status", "header"),
    [
        ("badvers", 505, None),
        ("unkscm", 416, None),
        ("bext01", 420, "Unsupported"),
        ("invut", 415, "Accept"),
        ("sdp01", 406, None),
        ("mismatch02", 501, None),
        ("multi01", 400, None),
        ("scalar02", 400, None),
    ],
)
def test_exact_answer(name: str, status: int, header: str | None) -> None:
    (answer,) = over_udp((TORTURE / f"{name}.dat").read_bytes())
    assert answer.status == status
    assert header is None or answer.get(header)


def test_percent_signs_in_methods_and_names_are_no_escapes() -> None:
    message = parse((TORTURE / "esc02.dat").read_bytes())
    assert isinstance(message, Request)
    assert message.method == "RE%47IST%45R"
    assert "C%6fntact" in message.fields


def test_binary_body_is_kept() -> None:
    message = parse((TORTURE / "mpart01.dat").read_bytes())
    assert b"\x00" in message.body


def test_trailing_octets_are_cut_off() -> None:
    message = parse((TORTURE / "dblreq.dat").read_bytes())
    assert isinstance(message, Request)
    assert message.method == "REGISTER"
    assert message.body == b""
