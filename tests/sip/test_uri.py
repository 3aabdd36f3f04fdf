"""SIP and tel URIs: RFC 3261 section 19.1's own examples, and round trips."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2bua.sip.errors import RemoteProtocolError
from b2bua.sip.uri import SipUri, TelUri, parse_uri, same_uri, split_host_port, user_part


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
    ],
)
def test_the_same_as_rfc_3261_section_19_1_4_says(one: str, other: str) -> None:
    assert same_uri(one, other)
    assert same_uri(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:bob@biloxi.com", "sips:bob@biloxi.com"),
        ("sip:bob@biloxi.com", "sip:biloxi.com"),
        ("sip:bob:x@biloxi.com", "sip:bob:X@biloxi.com"),
        ("garbage", "sip:x"),
    ],
)
def test_different_as_rfc_3261_section_19_1_4_says(one: str, other: str) -> None:
    assert not same_uri(one, other)
    assert not same_uri(other, one)


@pytest.mark.parametrize(
    "text",
    [
        "sip:alice@atlanta.com",
        "sip:alice:secretword@atlanta.com;transport=tcp",
        "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
        "sip:+1-212-555-1212:1234@gateway.com;user=phone",
        "sips:1212@gateway.com",
        "sip:alice@192.0.2.4",
        "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
        "sip:alice;day=tuesday@atlanta.com",
        "sip:[2001:db8::9]:5070;lr",
        "sip:a@[2001:db8::9]",
        "tel:+49-221-4710;ext=5",
        "sip:proxy;lr",
    ],
)
def test_uris_are_printed_as_they_were_written(text: str) -> None:
    assert str(parse_uri(text)) == text


def test_the_parts_of_a_uri() -> None:
    uri = SipUri.parse("sip:%2B49221:pw@Example.com:5070;Transport=TCP;lr?Subject=x")
    assert (uri.scheme, uri.user, uri.password, uri.host, uri.port) == ("sip", "%2B49221", "pw", "Example.com", 5070)
    assert uri.params == {"transport": "TCP", "lr": None}
    assert uri.headers == "Subject=x"
    assert uri.decoded_user == "+49221"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip",
        "sip:",
        "sip:@b",
        "sip:a@",
        "sip:a@b:99999",
        "sip:a@b:x",
        "sip:a@b c",
        "sip:a@b;;lr",
        "sip:a@b>",
        "sip:a%2@b",
        "sip:[::1",
        "sip:a@b\r\n",
        "sip:a@\u00fc",
        "tel:",
        "tel:+49@b",
        "alice@atlanta.com",
        "sip:a@b:",
    ],
)
def test_what_is_no_uri(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as raised:
        parse_uri(text)
    assert raised.value.status_hint == 400


@pytest.mark.parametrize("text", ["http://example.com", "nobodyKnows:x", "mailto:a@b", "urn:service:sos"])
def test_other_schemes_are_416(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as raised:
        parse_uri(text)
    assert raised.value.status_hint == 416


@given(st.text(min_size=1, max_size=20))
def test_any_text_can_be_a_user_part(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    uri = SipUri.parse(f"sip:{user_part(text)}@example.com")
    assert uri.decoded_user == text


@given(st.text(max_size=40))
def test_any_text_is_a_uri_or_a_remote_fault(text: str) -> None:
    for parse in (SipUri.parse, TelUri.parse, parse_uri, split_host_port):
        try:
            found = parse(text)
        except RemoteProtocolError:
            continue
        assert found is not None
    assert same_uri(text, text)
