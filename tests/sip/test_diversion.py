"""Forwarded calls: which line, why, over how many hops; as trunks and exchanges really write it."""

import pytest

from b2bua.sip.diversion import read_forwarding
from b2bua.sip.message import Request

LINE = "+492214711"


def invite(**headers: list[str]) -> Request:
    return Request(
        "INVITE", "sip:+492214710@example.com", {name.replace("_", "-"): value for name, value in headers.items()}
    )


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("unconditional", "unconditional"),
        ("user-busy", "busy"),
        ("no-answer", "no_answer"),
        ('"no-answer"', "no_answer"),
        ("User-Busy", "busy"),
        ("time-of-day", "unconditional"),
        ("deflection", "busy"),
        ("unavailable", "no_answer"),
        ("something", "unknown"),
        ("", "unknown"),
    ],
)
def test_diversion_tells_line_and_reason(reason: str, kind: str) -> None:
    forwarding = read_forwarding(invite(Diversion=[f"<sip:{LINE}@carrier.example>;reason={reason};counter=1"]))
    assert forwarding is not None
    assert (forwarding.line, forwarding.kind, forwarding.hops, forwarding.source) == (LINE, kind, 1, "diversion")


def test_the_newest_diversion_stands_on_top() -> None:
    values = [f"<sip:{LINE}@c>;reason=no-answer", "<sip:+49301@c>;reason=unconditional;counter=2"]
    for headers in (values, [", ".join(values)]):
        forwarding = read_forwarding(invite(Diversion=headers))
        assert forwarding is not None
        assert (forwarding.line, forwarding.kind, forwarding.hops) == (LINE, "no_answer", 3)


@pytest.mark.parametrize(
    "value",
    [
        f'"Office, main" <sip:{LINE}@c;user=phone>;reason=user-busy;privacy=off;screen=no',
        f"<tel:{LINE}>;reason=user-busy",
        f"sip:{LINE}@c;reason=user-busy",
        "<sip:%2B492214711@c>;reason=user-busy",
        f"<sip:{LINE};npdi@c>;reason=user-busy",
    ],
)
def test_diversion_in_all_its_spellings(value: str) -> None:
    forwarding = read_forwarding(invite(Diversion=[value]))
    assert forwarding is not None
    assert (forwarding.line, forwarding.kind) == (LINE, "busy")


@pytest.mark.parametrize(
    ("cause", "kind"),
    [("302", "unconditional"), ("486", "busy"), ("408", "no_answer"), ("480", "no_answer"), ("599", "unknown")],
)
def test_history_info_as_rfc_7044_and_4458_write_it(cause: str, kind: str) -> None:
    headers = [
        f"<sip:{LINE}@carrier.example>;index=1",
        f"<sip:+492214710@example.com;cause={cause}>;index=1.1;mp=1",
    ]
    forwarding = read_forwarding(invite(History_Info=headers))
    assert forwarding is not None
    assert (forwarding.line, forwarding.kind, forwarding.hops) == (LINE, kind, 1)
    assert forwarding.source == "history-info"


def test_history_info_as_rfc_4244_wrote_it() -> None:
    headers = [
        f"<sip:{LINE}@carrier.example?Reason=SIP%3Bcause%3D486%3Btext%3D%22Busy%20Here%22>;index=1, "
        "<sip:+492214710@example.com>;index=1.1"
    ]
    forwarding = read_forwarding(invite(History_Info=headers))
    assert forwarding is not None
    assert (forwarding.line, forwarding.kind, forwarding.hops) == (LINE, "busy", 1)


def test_a_chain_names_the_last_who_forwarded() -> None:
    headers = [
        "<sip:+49301@c>;index=1",
        f"<sip:{LINE}@c;cause=302>;index=1.1;mp=1",
        "<sip:+492214710@example.com;cause=408>;index=1.1.1;mp=1.1",
    ]
    forwarding = read_forwarding(invite(History_Info=headers))
    assert forwarding is not None
    assert (forwarding.line, forwarding.kind, forwarding.hops) == (LINE, "no_answer", 2)


def test_diversion_goes_before_history_info() -> None:
    history = ["<sip:+49301@c>;index=1", "<sip:+492214710@e;cause=302>;index=1.1"]
    forwarding = read_forwarding(invite(Diversion=[f"<sip:{LINE}@c>;reason=user-busy"], History_Info=history))
    assert forwarding is not None
    assert (forwarding.line, forwarding.source) == (LINE, "diversion")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"History-Info": ["<sip:+492214710@example.com>;index=1"]},
        {"Diversion": ["garbage <"]},
        {"Diversion": [""]},
        {"History-Info": ["<", "<"]},
    ],
)
def test_what_tells_nothing(headers: dict[str, list[str]]) -> None:
    assert read_forwarding(Request("INVITE", "sip:+492214710@example.com", headers)) is None


@pytest.mark.parametrize(
    ("counter", "hops"), [("5", 5), ("x", 1), ("-1", 1), ("999", 100), ("99999999999999", 1), ("", 1)]
)
def test_the_counter_is_not_trusted_blindly(counter: str, hops: int) -> None:
    forwarding = read_forwarding(invite(Diversion=[f"<sip:{LINE}@c>;reason=away;counter={counter}"]))
    assert forwarding is not None
    assert forwarding.hops == hops


def test_a_thousand_diversions_cost_little() -> None:
    forwarding = read_forwarding(invite(Diversion=[f"<sip:{LINE}@c>;counter=1"] * 1000))
    assert forwarding is not None
    assert forwarding.hops == 20
