"""The parser and the framer against everything that hypothesis and the torture messages can think of."""

import string
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2bua.sip.dialog import LocalAddress
from b2bua.sip.endpoint import Endpoint
from b2bua.sip.errors import LocalProtocolError, RemoteProtocolError
from b2bua.sip.events import InfoReceived, InviteReceived, OfferReceived, RequestReceived
from b2bua.sip.hop import Hop
from b2bua.sip.ids import SeededIds
from b2bua.sip.message import Request, Response, canonical_name
from b2bua.sip.parser import MAX_HEADER_LINES, Keepalive, StreamFramer, parse
from b2bua.sip.validation import acceptance_fault, request_fault, response_fault

TORTURE = sorted((Path(__file__).parent / "torture").glob("*.dat"))
MESSAGES = [path.read_bytes() for path in TORTURE]
UDP = Hop("udp", "192.0.2.1", 5060, "main")
CALL = (
    b"INVITE sip:+492214710@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\n"
    b"Max-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n"
    b"Contact: <sip:a@192.0.2.1>\r\nRecord-Route: <sip:p;lr>\r\nSession-Expires: 1800\r\nSupported: timer\r\n"
    b"Content-Type: application/sdp\r\nContent-Length: 4\r\n\r\nv=0\n"
)
SEEDS = [*MESSAGES, CALL]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A torture message with pieces cut out, doubled, overwritten and put in."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 30)))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            del data[start:end]
        elif kind == 1:
            data[start:start] = data[start:end]
        else:
            piece = draw(
                st.binary(max_size=8)
                | st.sampled_from([b"\r\n", b"\r\n ", b"\n", b"\r", b";", b",", b'"', b"<", b">", b"\x00", b":", b"%"])
                | st.sampled_from([b"\xff\xfe", b"\xe2\x80\xa8", b"\xc2\x85", b"99999999999", b"-1", b"\\"])
            )
            data[start : end if kind == 2 else start] = piece
    return bytes(data)


def look_at_everything(message: Request | Response) -> None:
    """Every accessor may raise RemoteProtocolError, and nothing else."""
    for name in ("via", "from_", "to", "cseq", "call_id", "contacts", "max_forwards"):
        with suppress(RemoteProtocolError):
            getattr(message, name)
    if isinstance(message, Request):
        request_fault(message)
        acceptance_fault(message)
    else:
        response_fault(message)


@given(st.binary(max_size=300) | mutated())
def test_the_parser_raises_nothing_but_its_own_error(data: bytes) -> None:
    try:
        message = parse(data)
    except RemoteProtocolError:
        return
    look_at_everything(message)


@given(mutated())
def test_what_was_parsed_can_be_sent_and_is_then_the_same(data: bytes) -> None:
    try:
        message = parse(data)
    except RemoteProtocolError:
        return
    again = parse(message.encode())
    assert type(again) is type(message)
    assert again.fields == message.fields
    assert again.body == message.body


TOKEN = st.text(string.ascii_letters + string.digits + "-.!%*_+`'~", min_size=1, max_size=12)
VALUE = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=30
).map(lambda text: text.strip(" \t"))  # fmt: skip
NAME = TOKEN.map(canonical_name).filter(lambda name: name != "Content-Length")
FIELDS = st.dictionaries(NAME, st.lists(VALUE, min_size=1, max_size=3), max_size=6)


@given(TOKEN, TOKEN, FIELDS, st.binary(max_size=50))
def test_a_request_survives_the_wire(method: str, uri: str, fields: dict[str, list[str]], body: bytes) -> None:
    sent = Request(method, f"sip:{uri}", fields, body)
    if method.upper() == "SIP":
        return
    got = parse(sent.encode())
    assert isinstance(got, Request)
    assert got.fault is None
    assert (got.method, got.uri, got.fields, got.body) == (method, f"sip:{uri}", fields, body)


@given(st.integers(100, 699), VALUE, FIELDS, st.binary(max_size=50))
def test_a_response_survives_the_wire(status: int, reason: str, fields: dict[str, list[str]], body: bytes) -> None:
    sent = Response(status, reason, fields, body)
    got = parse(sent.encode())
    assert isinstance(got, Response)
    assert got.fault is None
    assert (got.status, got.reason, got.fields, got.body) == (status, sent.reason, fields, body)


@given(st.text(max_size=20), st.sampled_from("\r\n"), st.text(max_size=20))
def test_no_line_break_gets_out(before: str, separator: str, after: str) -> None:
    request = Request("INVITE", "sip:a@b", {"Subject": [before + separator + after]})
    with pytest.raises(LocalProtocolError):
        request.encode()


# -- streams -------------------------------------------------------------------------------------------------


def feed(pieces: list[bytes]) -> list[tuple[object, ...]]:
    framer = StreamFramer()
    found: list[tuple[object, ...]] = []
    for piece in pieces:
        for message in framer.feed(piece):
            if isinstance(message, Keepalive):
                found.append(("ping",))
            else:
                found.append((message.start_line, message.fields, message.body))
    return found


@given(st.data())
def test_a_stream_gives_the_same_however_it_is_cut(data: st.DataObject) -> None:
    bodies = data.draw(st.lists(st.binary(max_size=20), min_size=1, max_size=4))
    stream = b""
    for body in bodies:
        stream += data.draw(st.sampled_from([b"", b"\r\n", b"\r\n\r\n", b"\r\n\r\n\r\n\r\n"]))
        stream += Request("INFO", "sip:a@b", {"To": ["<sip:a@b>"]}, body).encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert feed(pieces) == feed([stream])
    assert feed([stream[at : at + 1] for at in range(len(stream))]) == feed([stream])
    assert [found[-1] for found in feed([stream]) if len(found) > 1] == bodies


@given(st.lists(st.binary(max_size=40) | mutated(), max_size=5))
def test_a_broken_stream_raises_nothing_but_its_own_error(pieces: list[bytes]) -> None:
    framer = StreamFramer(2000)
    try:
        for piece in pieces:
            for message in framer.feed(piece):
                if not isinstance(message, Keepalive):
                    look_at_everything(message)
    except RemoteProtocolError:
        pass


@pytest.mark.parametrize(
    "fault",
    [b"Content-Length: five\r\n", b"Content-Length: 5\r\nl: 6\r\n", b"Content-Length: -1\r\n",
     b"no colon here\r\nContent-Length: x\r\n", b"\xa0: 1\r\nContent-Length: 1\r\nContent-Length: 2\r\n"],
)  # fmt: skip
def test_a_stream_whose_lengths_cannot_be_known_is_given_up(fault: bytes) -> None:
    """Else the body of one would be read as the next message, by us or by whoever is behind us."""
    framer = StreamFramer()
    with pytest.raises(RemoteProtocolError):
        framer.feed(b"OPTIONS sip:a@b SIP/2.0\r\nTo: <sip:a@b>\r\n" + fault + b"\r\nBYE sip:a@b SIP/2.0\r\n\r\n")


def test_a_stream_may_not_grow_without_a_bound() -> None:
    framer = StreamFramer(1000)
    for _ in range(125):
        framer.feed(b"X-Header")
    with pytest.raises(RemoteProtocolError):
        framer.feed(b"X")
    with pytest.raises(RemoteProtocolError):
        StreamFramer(1000).feed(b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 5000\r\n\r\n")


def test_a_body_that_drips_in_is_not_parsed_again_for_every_drop(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = 0
    head = b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 1000\r\n\r\n"
    original = StreamFramer.__init__.__globals__["_parse_head"]

    def counting(head: bytes) -> object:
        nonlocal parsed
        parsed += 1
        return original(head)

    monkeypatch.setattr("b2bua.sip.parser._parse_head", counting)
    framer = StreamFramer()
    framer.feed(head)
    found = [message for _ in range(1000) for message in framer.feed(b"x")]
    assert len(found) == 1
    assert parsed == 1


# -- names ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "canonical"),
    [("v", "Via"), ("CALL-ID", "Call-ID"), ("call-id", "Call-ID"), ("i", "Call-ID"), ("cseq", "CSeq"),
     ("min-se", "Min-SE"), ("x", "Session-Expires"), ("p-asserted-identity", "P-Asserted-Identity"),
     ("x-odd-one", "X-Odd-One"), ("MIME-version", "MIME-Version"), ("history-info", "History-Info")],
)  # fmt: skip
def test_header_names_have_one_spelling(written: str, canonical: str) -> None:
    assert canonical_name(written) == canonical
    assert canonical_name(canonical) == canonical


@pytest.mark.parametrize("lookalike", ["\u212a", "\u017fubject", "\u0130", "\u017f"])
def test_letters_that_only_look_like_ours_are_no_header_of_ours(lookalike: str) -> None:
    """Unicode folds the Kelvin sign to k and the long s to s: others would not see a Supported there."""
    name = canonical_name(lookalike)
    assert name not in ("Supported", "Subject", "Call-ID")


def test_too_many_headers_are_no_message() -> None:
    with pytest.raises(RemoteProtocolError):
        parse(b"OPTIONS sip:a@b SIP/2.0\r\n" + b"X: 1\r\n" * (MAX_HEADER_LINES + 1) + b"\r\n")


def test_folded_lines_are_joined() -> None:
    message = parse(b"OPTIONS sip:a@b SIP/2.0\r\nSubject: one\r\n two\r\n\t three\r\nTo: x\r\n\r\n")
    assert message.get("Subject") == "one two three"
    assert message.get("To") == "x"


def test_a_lone_line_feed_starts_no_header() -> None:
    message = parse(b"OPTIONS sip:a@b SIP/2.0\r\nSubject: one\nRoute: <sip:evil>\r\n\r\n")
    assert message.get("Route") is None
    assert message.fault is not None


def test_a_line_feed_in_a_header_name_is_a_fault() -> None:
    message = parse(b"OPTIONS sip:a@b SIP/2.0\r\nSubject: one\r\n\nRoute: <sip:evil>\r\n\r\n")
    assert set(message.fields) == {"Subject"}
    assert message.fault is not None


# -- the endpoint --------------------------------------------------------------------------------------------


@given(st.lists(mutated(), min_size=1, max_size=4))
def test_the_endpoint_raises_nothing_whatever_it_receives(messages: list[bytes]) -> None:
    endpoint = Endpoint({"main": LocalAddress("udp", "198.51.100.1", 5060)}, SeededIds(1))
    now = 0.0
    for data in messages:
        endpoint.receive(data, UDP, now)
        while endpoint.events:
            event = endpoint.events.popleft()
            if isinstance(event, InviteReceived):
                event.session.trying(now)
                event.session.ring(now)
                event.session.answer(b"v=0\n", now)
                event.session.hangup(now)
            elif isinstance(event, OfferReceived):
                event.session.accept_offer(b"v=0\n", now)
            elif isinstance(event, InfoReceived):
                event.session.answer_request(event.transaction, 200, now)
            elif isinstance(event, RequestReceived):
                endpoint.respond(event.transaction, 200, now)
        now += 1
        endpoint.handle_timers(now)
    for _ in range(300):
        deadline = endpoint.next_deadline()
        if deadline is None:
            break
        now = max(now, deadline)
        endpoint.handle_timers(now)
    assert endpoint.next_deadline() is None
    assert endpoint.sessions == {}
    assert (endpoint.layer.client_count, endpoint.layer.server_count) == (0, 0)
    for data, _ in endpoint.datagrams_to_send():
        parse(data)
