"""Via, name-addr, CSeq, lists and parameters: spelled as usual, oddly, and wrongly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2bua.sip.errors import RemoteProtocolError
from b2bua.sip.headers import CSeq, NameAddr, Via, parse_params, quote_display, split_list, unquote_string


@pytest.mark.parametrize(
    ("text", "transport", "host", "port", "params"),
    [
        ("SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK776", "UDP", "pc33.atlanta.com", None, {"branch": "z9hG4bK776"}),
        (
            "SIP/2.0/TCP 192.0.2.1:5062;rport;branch=z9hG4bKa",
            "TCP",
            "192.0.2.1",
            5062,
            {"rport": None, "branch": "z9hG4bKa"},
        ),
        (
            "SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bKa;rport",
            "UDP",
            "192.0.2.1",
            5062,
            {"rport": None, "branch": "z9hG4bKa"},
        ),
        ("SIP/2.0/TLS [2001:db8::9]:5061;received=192.0.2.1", "TLS", "2001:db8::9", 5061, {"received": "192.0.2.1"}),
        (
            "SIP / 2.0 / UDP first.example.com : 4000 ;ttl=16 ; branch = z9hG4bKb",
            "UDP",
            "first.example.com",
            4000,
            {"ttl": "16", "branch": "z9hG4bKb"},
        ),
        ("sip/2.0/udp h", "UDP", "h", None, {}),
    ],
)
def test_via(text: str, transport: str, host: str, port: int | None, params: dict[str, str | None]) -> None:
    via = Via.parse(text)
    assert via == Via(transport, host, port, params)
    assert Via.parse(str(via)) == via


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SIP/2.0/UDP",
        "SIP/2.0 h",
        "SIP/2.0/UDP h:99999;branch=z9hG4bKa",
        "SIP/2.0/UDP h:99999",
        "SIP/2.0/UDP ;branch=x",
        "SIP/2.0/UDP h:0x10",
        "HTTP/1.1/TCP h",
        "SIP/2.0/UDP [::1;branch=x",
    ],
)
def test_what_is_no_via(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Via.parse(text)


VIA_PIECES = st.sampled_from(
    [
        "SIP/2.0/UDP ",
        "SIP/2.0/TCP ",
        "h.example",
        "192.0.2.1",
        "[2001:db8::1]",
        ":5060",
        ":59999",
        ":65535",
        ":65536",
        ":99999",
        ":1",
        ";rport",
        ";branch=z9hG4bKa",
        ";branch=",
        ";received=1.2.3.4",
        ";",
        " ",
        '"',
        "=",
        ';a="b;c"',
        "<",
    ]
)


@given(st.lists(VIA_PIECES, max_size=7).map("".join))
def test_the_short_way_to_read_a_via_is_the_long_way(text: str) -> None:
    try:
        expected = Via._parse_odd(text)
    except RemoteProtocolError:
        with pytest.raises(RemoteProtocolError):
            Via.parse(text)
        return
    assert Via.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "display", "uri", "params"),
    [
        ("<sip:a@b>", "", "sip:a@b", {}),
        ("sip:a@b;tag=1", "", "sip:a@b", {"tag": "1"}),
        ('"Mr. \\"X\\" <y>" <sip:a@b;lr>;tag=1;x', 'Mr. "X" <y>', "sip:a@b;lr", {"tag": "1", "x": None}),
        ("Bob <sip:a@b>", "Bob", "sip:a@b", {}),
        ('"" <sip:a@b>', "", "sip:a@b", {}),
        ("Two Words<sip:a@b>;TAG=x", "Two Words", "sip:a@b", {"tag": "x"}),
        ("<sip:a@b?x=1,2> ; tag = q", "", "sip:a@b?x=1,2", {"tag": "q"}),
        ("\u041e\u043b\u044f <sip:a@b>", "\u041e\u043b\u044f", "sip:a@b", {}),
    ],
)
def test_name_addr(text: str, display: str, uri: str, params: dict[str, str | None]) -> None:
    address = NameAddr.parse(text)
    assert address == NameAddr(display, uri, params)
    assert NameAddr.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    ["", "<>", "<sip:a@b", '"x <sip:a@b>', '"x" sip:a@b', "<sip:a@b> tag=1", "a, b <sip:a@b>", "sip:a@b?x=1", ";tag=1"],
)
def test_what_is_no_name_addr(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        NameAddr.parse(text)


ADDRESS_PIECES = st.sampled_from(
    [
        '"',
        "\\",
        "Bob",
        " ",
        "<",
        ">",
        "sip:a@b",
        ";tag=1",
        ";tag=",
        ";x",
        ";",
        ",",
        "?",
        "\t",
        "\u00e9",
        "\x00",
        ";TAG=2",
    ]
)


@given(st.lists(ADDRESS_PIECES, max_size=8).map("".join))
def test_the_short_way_to_read_a_name_addr_is_the_long_way(text: str) -> None:
    try:
        expected = NameAddr._parse_odd(text)
    except RemoteProtocolError:
        with pytest.raises(RemoteProtocolError):
            NameAddr.parse_anew(text)
        return
    assert NameAddr.parse_anew(text) == expected


@pytest.mark.parametrize(
    ("text", "number", "method"),
    [("1 INVITE", 1, "INVITE"), ("0009 INVITE", 9, "INVITE"), ("2147483647\t !x", 2**31 - 1, "!x")],
)
def test_cseq(text: str, number: int, method: str) -> None:
    assert CSeq.parse(text) == CSeq(number, method)


@pytest.mark.parametrize(
    "text", ["", "1", "INVITE", "INVITE 1", "-1 INVITE", "2147483648 INVITE", "1 INVITE x", "\u0661 INVITE", "1 \u00c4"]
)
def test_what_is_no_cseq(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        CSeq.parse(text)


def test_lists_are_cut_outside_quotes_and_brackets() -> None:
    assert split_list('"a, \\" b" <sip:x,y>, <sip:z> ,q') == ['"a, \\" b" <sip:x,y>', "<sip:z>", "q"]
    assert split_list("") == [""]


def test_parameters() -> None:
    assert parse_params('a=1; B ;c = "x;y" ;;d=') == {"a": "1", "b": None, "c": '"x;y"', "d": ""}


@given(st.text(max_size=30))
def test_any_text_can_be_quoted(text: str) -> None:
    assert unquote_string(quote_display(text)) == text
    assert split_list(quote_display(text)) == [quote_display(text)]
