"""A call to a customer's line: whether it comes back, as what, and after how long."""

import pytest

from b2bua.call.forwarding_probe import MOST, ProbeError, ProbeResult
from b2bua.sip.message import Request, Response
from tests.call.desk import ANNA, CARRIER, NUMBER, SDP, Desk, answer, invite, names, only

LINE = "+4930555010"
CONTRACT = "one-after-the-other"


def probe(desk: Desk, seconds: float = 60.0) -> tuple[list[ProbeResult], Request]:
    results: list[ProbeResult] = []
    desk.exchange.controller.probes.begin(CONTRACT, NUMBER, LINE, seconds, desk.at, results.append)
    sent = only(desk.sent(), "INVITE", CARRIER)
    assert isinstance(sent, Request)
    return results, sent


def comes_back(diversion: str = "", caller: str = NUMBER) -> Request:
    request = invite(extra={"From": f"<sip:{caller}@carrier.example>;tag=back"})
    if diversion:
        request.set("Diversion", diversion)
    return request


def says(sent: Request, status: int, body: bytes = b"") -> Response:
    said = answer(sent, status, body, hop=CARRIER)
    assert isinstance(said, Response)
    return said


def test_the_line_is_called_over_the_trunk_by_the_number_it_forwards_to() -> None:
    _, sent = probe(Desk())
    assert sent.uri == f"sip:{LINE}@192.0.2.1"
    assert sent.get(
        "From",
    ).startswith(f"<sip:{NUMBER}@service.example>")  # type: ignore[union-attr]
    assert b"a=inactive" in sent.body


@pytest.mark.parametrize(
    ("reason", "kind"), [("unconditional", "unconditional"), ("user-busy", "busy"), ("no-answer", "no_answer")]
)
def test_a_call_that_comes_back_tells_the_kind_that_the_carrier_names(reason: str, kind: str) -> None:
    desk = Desk()
    results, sent = probe(desk)
    desk.receive(says(sent, 100), CARRIER)
    desk.advance(3.0)
    out = desk.receive(comes_back(f"<sip:030555010@carrier.example>;reason={reason}", "+4940999"), CARRIER)
    assert set(names(out, CARRIER)) == {486, "CANCEL"}
    assert names(out, ANNA) == []
    (result,) = results
    assert (result.outcome, result.kind, round(result.seconds)) == ("came_back", kind, 3)


def test_our_own_number_is_known_again_where_the_carrier_names_no_line() -> None:
    desk = Desk()
    results, sent = probe(desk)
    desk.receive(says(sent, 180), CARRIER)
    desk.advance(20.0)
    desk.receive(comes_back(), CARRIER)
    (result,) = results
    assert (result.outcome, result.kind, round(result.rang_seconds)) == ("came_back", "no_answer", 20)


def test_a_customers_call_meanwhile_is_let_through() -> None:
    desk = Desk()
    results, _ = probe(desk)
    out = desk.receive(comes_back("<sip:+4930777@carrier.example>;reason=user-busy", "+4940999"), CARRIER)
    assert names(out, ANNA) == ["INVITE"]
    assert results == []


def test_a_line_that_answers_is_hung_up_on() -> None:
    desk = Desk()
    results, sent = probe(desk)
    out = desk.receive(says(sent, 200, SDP), CARRIER)
    assert names(out, CARRIER) == ["ACK", "BYE"]
    assert [result.outcome for result in results] == ["answered"]


def test_a_line_that_refuses_says_with_what() -> None:
    desk = Desk()
    results, sent = probe(desk)
    desk.receive(says(sent, 486), CARRIER)
    assert [(result.outcome, result.status) for result in results] == [("refused", 486)]


def test_who_rings_for_too_long_is_cancelled() -> None:
    desk = Desk()
    results, sent = probe(desk, 45.0)
    desk.receive(says(sent, 180), CARRIER)
    desk.wait(44)
    assert results == []
    assert "CANCEL" in names(desk.wait(3), CARRIER)
    assert [result.outcome for result in results] == ["rang"]
    desk.receive(says(sent, 487), CARRIER)
    assert desk.journal == []


def test_nobody_tests_half_a_town() -> None:
    desk = Desk()
    for _ in range(MOST):
        probe(desk)
    with pytest.raises(ProbeError, match="tested already"):
        probe(desk)
