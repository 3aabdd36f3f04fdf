"""Client transactions: RFC 3261 section 17.1 and RFC 6026, every timer at its moment."""

import pytest

from b2bua.sip.client_transaction import (
    INVITE_TRANSITIONS,
    NON_INVITE_TRANSITIONS,
    ClientTransaction,
    State,
    Transitions,
)
from b2bua.sip.errors import LocalProtocolError
from b2bua.sip.hop import Hop
from b2bua.sip.message import Request
from b2bua.sip.timers import TimerSettings
from tests.sip.wire import TCP, UDP, Owner, Wire, answer_bytes, our_request


def sent_request(
    method: str = "INVITE", hop: Hop = UDP, settings: TimerSettings | None = None
) -> tuple[Wire, Owner, ClientTransaction, Request]:
    wire = Wire(settings)
    owner = Owner()
    request = our_request(method, hop.transport.upper())
    transaction = wire.layer.request(request, hop, owner, wire.now)
    return wire, owner, transaction, request


# -- INVITE --------------------------------------------------------------------------------------------------


def test_timer_a_doubles_without_a_bound_until_timer_b() -> None:
    wire, owner, transaction, _ = sent_request()
    wire.advance(31.999)
    assert wire.times() == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert owner.failures == []
    wire.advance(0.001)
    assert owner.failures == ["timeout"]
    assert transaction.state is State.TERMINATED
    wire.assert_quiet()


def test_timers_follow_t1() -> None:
    wire, owner, _, _ = sent_request(settings=TimerSettings(t1=0.1, t2=1, t4=1))
    wire.advance(6.4)
    assert wire.times() == pytest.approx([0, 0.1, 0.3, 0.7, 1.5, 3.1, 6.3])
    assert owner.failures == ["timeout"]


def test_over_tcp_an_invite_is_sent_once_and_times_out() -> None:
    wire, owner, _, _ = sent_request(hop=TCP)
    wire.advance(32)
    assert wire.times() == [0]
    assert owner.failures == ["timeout"]
    wire.assert_quiet()


def test_a_provisional_response_stops_timers_a_and_b() -> None:
    wire, owner, transaction, request = sent_request()
    wire.receive(answer_bytes(request, 100))
    wire.take()
    wire.advance(3600)
    wire.assert_sent([])
    wire.receive(answer_bytes(request, 180))
    assert owner.responses == [100, 180]
    assert transaction.state is State.PROCEEDING


@pytest.mark.parametrize("status", [300, 404, 503, 699])
def test_a_refusal_is_acknowledged_and_absorbed_for_timer_d(status: int) -> None:
    wire, owner, transaction, request = sent_request()
    wire.take()
    wire.receive(answer_bytes(request, status))
    ack = wire.take_one()
    assert isinstance(ack.message, Request)
    assert (ack.name, ack.hop) == ("ACK", UDP)
    # RFC 3261 17.1.1.3
    assert ack.message.get("Via") == request.get("Via")
    assert ack.message.uri == request.uri
    assert ack.message.get("From") == request.get("From")
    assert ack.message.to.tag == "theirs"
    assert ack.message.get("CSeq") == "1 ACK"
    assert owner.responses == [status]
    wire.advance(31.9)
    wire.receive(answer_bytes(request, status))
    wire.assert_sent(["ACK"])
    assert owner.responses == [status]
    assert transaction.state is State.COMPLETED
    wire.advance(0.1)
    wire.assert_quiet()


def test_timer_d_is_32_seconds_even_where_t1_is_small() -> None:
    wire, _, transaction, request = sent_request(settings=TimerSettings(t1=0.01, t2=1, t4=1))
    wire.receive(answer_bytes(request, 486))
    wire.advance(31.9)
    assert transaction.state is State.COMPLETED
    wire.advance(0.1)
    wire.assert_quiet()


def test_over_tcp_a_refusal_ends_at_once() -> None:
    wire, owner, _, request = sent_request(hop=TCP)
    wire.receive(answer_bytes(request, 486), TCP)
    wire.assert_sent(["INVITE", "ACK"])
    assert owner.responses == [486]
    wire.assert_quiet()


@pytest.mark.parametrize("hop", [UDP, TCP])
def test_every_success_is_passed_on_until_timer_m(hop: Hop) -> None:
    """RFC 6026 section 7.2: the user acknowledges, and forks show themselves."""
    wire, owner, transaction, request = sent_request(hop=hop)
    wire.take()
    wire.receive(answer_bytes(request, 200), hop)
    wire.advance(31.9)
    wire.receive(answer_bytes(request, 200, "fork"), hop)
    assert owner.responses == [200, 200]
    wire.assert_sent([])
    assert transaction.state is State.ACCEPTED
    wire.advance(0.1)
    wire.assert_quiet()
    # RFC 6026 8.9: then it is a stray
    wire.receive(answer_bytes(request, 200), hop)
    assert len(wire.strays) == 1
    assert owner.responses == [200, 200]


@pytest.mark.parametrize("first", [200, 404])
@pytest.mark.parametrize("then", [100, 180, 404, 200])
def test_what_comes_after_the_final_response_changes_nothing(first: int, then: int) -> None:
    wire, owner, transaction, request = sent_request()
    wire.receive(answer_bytes(request, first))
    state = transaction.state
    wire.receive(answer_bytes(request, then))
    assert transaction.state is state
    assert owner.responses == ([200, 200] if first == then == 200 else [first])


def test_a_transport_failure_ends_an_invite_that_has_no_answer() -> None:
    wire, owner, _, _ = sent_request()
    wire.layer.transport_failed(UDP, wire.now)
    assert owner.failures == ["transport"]
    wire.assert_quiet()


def test_a_transport_failure_spares_others_and_what_was_answered() -> None:
    wire, owner, transaction, request = sent_request(hop=TCP)
    for other in (UDP, TCP._replace(connection=8), TCP._replace(host="192.0.2.2"), TCP._replace(port=1)):
        wire.layer.transport_failed(other, wire.now)
    assert owner.failures == []
    wire.receive(answer_bytes(request, 180), TCP)
    wire.layer.transport_failed(TCP, wire.now)
    assert transaction.state is State.PROCEEDING
    assert owner.failures == []


def test_the_request_is_dropped_with_its_final_response() -> None:
    _, _, transaction, request = sent_request()
    assert transaction.request is request
    wire, _, transaction, request = sent_request()
    wire.receive(answer_bytes(request, 200))
    with pytest.raises(LocalProtocolError):
        _ = transaction.request


# -- CANCEL --------------------------------------------------------------------------------------------------


def test_a_cancel_waits_for_a_provisional_response() -> None:
    wire, owner, transaction, request = sent_request()
    wire.layer.cancel(transaction, "SIP;cause=200", wire.now)
    wire.advance(1)
    wire.assert_sent(["INVITE", "INVITE"])
    wire.receive(answer_bytes(request, 100))
    cancel = wire.take_one()
    assert isinstance(cancel.message, Request)
    assert cancel.name == "CANCEL"
    # RFC 3261 9.1: the same but for the method
    assert cancel.message.get("Via") == request.get("Via")
    assert cancel.message.uri == request.uri
    assert cancel.message.get("To") == request.get("To")
    assert cancel.message.get("CSeq") == "1 CANCEL"
    assert cancel.message.get("Reason") == "SIP;cause=200"
    wire.receive(answer_bytes(cancel.message, 200))
    wire.receive(answer_bytes(request, 487))
    wire.assert_sent(["ACK"])
    assert owner.responses == [100, 487]


def test_a_cancel_is_sent_once_and_repeated_by_its_own_transaction() -> None:
    wire, _, transaction, request = sent_request()
    wire.receive(answer_bytes(request, 180))
    wire.take()
    wire.layer.cancel(transaction, None, wire.now)
    wire.layer.cancel(transaction, None, wire.now)
    wire.receive(answer_bytes(request, 180))
    wire.assert_sent(["CANCEL"])
    wire.advance(0.5)
    wire.assert_sent(["CANCEL"])


def test_a_cancelled_invite_without_an_answer_times_out_after_64_t1() -> None:
    wire, owner, transaction, request = sent_request()
    wire.receive(answer_bytes(request, 180))
    wire.advance(100)
    wire.layer.cancel(transaction, None, wire.now)
    wire.advance(31.9)
    assert owner.failures == []
    wire.advance(0.1)
    assert owner.failures == ["timeout"]
    wire.assert_quiet()


@pytest.mark.parametrize("status", [200, 486])
def test_no_cancel_after_a_final_response(status: int) -> None:
    wire, _, transaction, request = sent_request()
    wire.receive(answer_bytes(request, status))
    wire.take()
    wire.layer.cancel(transaction, None, wire.now)
    wire.assert_sent([])


def test_a_success_that_crosses_the_cancel_is_passed_on() -> None:
    wire, owner, transaction, request = sent_request()
    wire.receive(answer_bytes(request, 180))
    wire.layer.cancel(transaction, None, wire.now)
    wire.receive(answer_bytes(request, 200))
    assert owner.responses == [180, 200]
    wire.advance(32)
    assert owner.failures == []
    wire.assert_quiet()


def test_only_an_invite_can_be_cancelled() -> None:
    wire, _, transaction, _ = sent_request("BYE")
    with pytest.raises(LocalProtocolError):
        wire.layer.cancel(transaction, None, wire.now)


# -- other methods -------------------------------------------------------------------------------------------


def test_timer_e_doubles_up_to_t2_until_timer_f() -> None:
    wire, owner, _, _ = sent_request("BYE")
    wire.advance(32)
    assert wire.times() == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert owner.failures == ["timeout"]
    wire.assert_quiet()


def test_in_proceeding_timer_e_is_t2() -> None:
    wire, owner, transaction, request = sent_request("OPTIONS")
    wire.advance(0.6)
    wire.receive(answer_bytes(request, 100))
    assert transaction.state is State.PROCEEDING
    wire.take()
    wire.advance(20)
    # the timer that runs already runs out first (RFC 3261 17.1.2.2)
    assert wire.times() == [1.5, 5.5, 9.5, 13.5, 17.5]
    wire.advance(11.4)
    assert owner.failures == ["timeout"]
    assert owner.responses == [100]


def test_over_tcp_a_request_is_sent_once_and_times_out() -> None:
    wire, owner, _, _ = sent_request("BYE", TCP)
    wire.advance(32)
    assert wire.times() == [0]
    assert owner.failures == ["timeout"]
    wire.assert_quiet()


@pytest.mark.parametrize("status", [200, 302, 481, 503])
def test_a_final_response_is_told_once_and_absorbed_for_timer_k(status: int) -> None:
    wire, owner, transaction, request = sent_request("BYE")
    wire.receive(answer_bytes(request, status))
    wire.take()
    wire.advance(4.9)
    wire.receive(answer_bytes(request, status))
    wire.receive(answer_bytes(request, 100))
    wire.assert_sent([])
    assert owner.responses == [status]
    assert transaction.state is State.COMPLETED
    wire.advance(0.1)
    wire.assert_quiet()


def test_over_tcp_a_final_response_ends_at_once() -> None:
    wire, owner, _, request = sent_request("BYE", TCP)
    wire.receive(answer_bytes(request, 200), TCP)
    assert owner.responses == [200]
    wire.assert_quiet()


@pytest.mark.parametrize("provisional", [False, True])
def test_a_transport_failure_ends_a_request_that_has_no_final_answer(provisional: bool) -> None:
    wire, owner, _, request = sent_request("OPTIONS")
    if provisional:
        wire.receive(answer_bytes(request, 100))
    wire.layer.transport_failed(UDP, wire.now)
    assert owner.failures == ["transport"]
    wire.assert_quiet()


# -- what our own code must not do ---------------------------------------------------------------------------


def test_an_ack_has_no_transaction() -> None:
    with pytest.raises(LocalProtocolError):
        sent_request("ACK")


def test_a_branch_names_one_transaction() -> None:
    wire, owner, _, request = sent_request()
    with pytest.raises(LocalProtocolError):
        wire.layer.request(request, UDP, owner, wire.now)


def test_a_header_with_a_line_break_is_not_sent_and_leaves_nothing() -> None:
    wire = Wire()
    request = our_request(extra={"Subject": ["x\r\nRoute: <sip:evil>"]})
    with pytest.raises(LocalProtocolError):
        wire.layer.request(request, UDP, Owner(), wire.now)
    wire.assert_sent([])
    wire.assert_quiet()


# -- the tables ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [INVITE_TRANSITIONS, NON_INVITE_TRANSITIONS])
def test_every_state_is_reached_and_all_but_the_last_are_left(table: Transitions) -> None:
    left = {state for state, _ in table}
    reached = {state for _, state in table.values()}
    initial = State.CALLING if table is INVITE_TRANSITIONS else State.TRYING
    assert left | {State.TERMINATED} == reached | {initial}
    assert State.TERMINATED not in left
