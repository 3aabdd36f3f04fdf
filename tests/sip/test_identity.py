"""The caller as it may be shown: From, P-Asserted-Identity, Privacy (RFC 3323, RFC 3325)."""

import pytest

from b2bua.sip.identity import ANONYMOUS, CallerIdentity, caller_identity, identity_headers, wants_privacy
from b2bua.sip.message import Request


def invite(from_value: str = '"Ada" <sip:+4930123456@carrier.example>;tag=1', **headers: str) -> Request:
    fields = {"From": [from_value], **{name.replace("_", "-"): [value] for name, value in headers.items()}}
    return Request("INVITE", "sip:+492214710@example.com", fields)


def test_from_is_shown() -> None:
    assert caller_identity(invite(), trust_asserted=True) == CallerIdentity("+4930123456", "Ada")


def test_what_a_trusted_peer_asserts_counts_more() -> None:
    request = invite(P_Asserted_Identity='"Ada L." <sip:+4930999@carrier.example>')
    assert caller_identity(request, trust_asserted=True) == CallerIdentity("+4930999", "Ada L.", asserted=True)


def test_what_others_assert_counts_nothing() -> None:
    request = invite(P_Asserted_Identity="<sip:+4930999@carrier.example>")
    assert caller_identity(request, trust_asserted=False) == CallerIdentity("+4930123456", "Ada")


@pytest.mark.parametrize(
    "value", ["<tel:+4930999>", "<tel:+4930999>, <sip:+4930999@c>", '"garbage", <tel:+4930999>', "<sip:+4930999;x@c>"]
)
def test_the_assertion_in_all_its_spellings(value: str) -> None:
    assert caller_identity(invite(P_Asserted_Identity=value), trust_asserted=True).user == "+4930999"


@pytest.mark.parametrize("value", ["garbage <", "<sip:carrier.example>", "", "<http://x>"])
def test_an_unreadable_assertion_leaves_from(value: str) -> None:
    assert caller_identity(invite(P_Asserted_Identity=value), trust_asserted=True).user == "+4930123456"


@pytest.mark.parametrize("privacy", ["id", "user", "header", "session", "id; critical", "critical;ID", "user ; id"])
def test_privacy_holds_whoever_asks_for_it(privacy: str) -> None:
    request = invite(Privacy=privacy, P_Asserted_Identity="<sip:+4930999@c>")
    assert caller_identity(request, trust_asserted=True) == ANONYMOUS
    assert caller_identity(request, trust_asserted=False) == ANONYMOUS


@pytest.mark.parametrize("privacy", ["none", "none;id", "critical", ""])
def test_no_privacy(privacy: str) -> None:
    assert not wants_privacy(invite(Privacy=privacy))


@pytest.mark.parametrize(
    "value",
    [
        '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=1',
        "<sip:c8oqz84zk7z@anonymous.invalid>;tag=1",
        "<sip:Anonymous@carrier.example>",
        "sip:anonymous@anonymous.invalid;tag=1",
        "garbage <",
        "",
        "<http://x>",
    ],
)
def test_an_anonymous_from(value: str) -> None:
    assert caller_identity(invite(value), trust_asserted=False) == ANONYMOUS


def test_phones_of_ours_are_told_what_is_known() -> None:
    assert identity_headers(ANONYMOUS, "example.com") == [("Privacy", "id")]
    assert identity_headers(CallerIdentity("+4930", "Ada"), "example.com") == []
    asserted = CallerIdentity("a b>\r\n", "Ada", asserted=True)
    assert identity_headers(asserted, "example.com") == [("P-Asserted-Identity", "<sip:a%20b%3E%0D%0A@example.com>")]
