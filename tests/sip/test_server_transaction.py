"""Server transactions: RFC 3261 section 17.2, RFC 4320 and RFC 6026, every timer at its moment."""

import pytest

from b2bua.sip.errors import LocalProtocolError
from b2bua.sip.hop import Hop
from b2bua.sip.message import Request, response_to
from b2bua.sip.server_transaction import (
    INVITE_TRANSITIONS,
    NON_INVITE_TRANSITIONS,
    ServerTransaction,
    State,
    Transitions,
)
from b2bua.sip.timers import TimerSettings
from tests.sip.wire import TCP, UDP, Owner, Wire, request_bytes


def received(
    method: str = "INVITE", hop: Hop = UDP, settings: TimerSettings | None = None
) -> tuple[Wire, ServerTransaction, Request]:
    wire = Wire(settings)
    transaction = wire.receive_new(request_bytes(method, transport=hop.transport.upper()), hop)
    return wire, transaction, transaction.request


def again(wire: Wire, method: str = "INVITE", hop: Hop = UDP) -> None:
    assert wire.receive(request_bytes(method, transport=hop.transport.upper()), hop) is None


def ack(wire: Wire, hop: Hop = UDP) -> None:
    assert wire.receive(request_bytes("ACK", to_tag="ours", transport=hop.transport.upper()), hop) is None


# -- INVITE --------------------------------------------------------------------------------------------------


def test_a_100_is_sent_once_and_has_no_to_tag() -> None:
    wire, transaction, _ = received()
    transaction.trying(wire.now)
    transaction.trying(wire.now)
    sent = wire.take_one()
    assert sent.name == 100
    assert sent.message.to.tag is None


def test_no_100_after_a_180() -> None:
    wire, transaction, request = received()
    transaction.respond(response_to(request, 180, to_tag="ours"), wire.now)
    transaction.trying(wire.now)
    wire.assert_sent([180])


def test_a_repeated_invite_gets_the_latest_provisional() -> None:
    wire, transaction, request = received()
    again(wire)
    wire.assert_sent([])
    transaction.trying(wire.now)
    transaction.respond(response_to(request, 183, to_tag="ours"), wire.now)
    wire.take()
    again(wire)
    wire.assert_sent([183])
    assert len(wire.transactions) == 1


def test_a_refusal_is_repeated_by_timer_g_until_timer_h() -> None:
    wire, transaction, request = received()
    owner = Owner()
    transaction.owner = owner
    transaction.respond(response_to(request, 486, to_tag="ours"), wire.now)
    wire.advance(31.9)
    assert wire.times() == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert owner.missed_acks == 0
    wire.advance(0.1)
    assert owner.missed_acks == 1
    wire.assert_sent([])
    wire.assert_quiet()


def test_over_tcp_a_refusal_is_sent_once_but_timer_h_runs() -> None:
    wire, transaction, request = received(hop=TCP)
    owner = Owner()
    transaction.owner = owner
    transaction.respond(response_to(request, 486, to_tag="ours"), wire.now)
    wire.advance(31.9)
    assert wire.times() == [0]
    wire.advance(0.1)
    assert owner.missed_acks == 1
    wire.assert_quiet()


def test_an_ack_confirms_and_timer_i_absorbs_its_repetitions() -> None:
    wire, transaction, request = received()
    transaction.respond(response_to(request, 486, to_tag="ours"), wire.now)
    ack(wire)
    assert transaction.state is State.CONFIRMED
    wire.take()
    ack(wire)
    again(wire)
    wire.advance(4.9)
    wire.assert_sent([])
    assert transaction.state is State.CONFIRMED
    wire.advance(0.1)
    assert wire.acks == []
    wire.assert_quiet()


def test_over_tcp_an_ack_ends_at_once() -> None:
    wire, transaction, request = received(hop=TCP)
    transaction.respond(response_to(request, 486, to_tag="ours"), wire.now)
    ack(wire, TCP)
    wire.assert_quiet()


def test_in_completed_a_repeated_invite_gets_the_refusal_again() -> None:
    wire, transaction, request = received()
    transaction.respond(response_to(request, 486, to_tag="ours"), wire.now)
    wire.take()
    again(wire)
    wire.assert_sent([486])


@pytest.mark.parametrize("hop", [UDP, TCP])
def test_in_accepted_invites_are_absorbed_until_timer_l(hop: Hop) -> None:
    """RFC 6026 section 7.1: the user repeats the 2xx."""
    wire, transaction, request = received(hop=hop)
    success = response_to(request, 200, to_tag="ours")
    transaction.respond(success, wire.now)
    wire.take()
    again(wire, hop=hop)
    wire.assert_sent([])
    transaction.respond(success, wire.now)
    wire.assert_sent([200])
    wire.advance(31.9)
    again(wire, hop=hop)
    assert transaction.state is State.ACCEPTED
    wire.advance(0.1)
    wire.assert_quiet()
    transaction.respond(success, wire.now)
    wire.assert_sent([])


def test_in_accepted_an_ack_with_the_invites_branch_is_passed_on() -> None:
    """That is how RFC 2543 peers acknowledge a 2xx."""
    wire, transaction, request = received()
    transaction.respond(response_to(request, 200, to_tag="ours"), wire.now)
    ack(wire)
    assert len(wire.acks) == 1
    assert transaction.state is State.ACCEPTED


@pytest.mark.parametrize("first", [200, 486])
@pytest.mark.parametrize("then", [180, 200, 486])
def test_after_a_final_response_only_a_repeated_success_is_sent(first: int, then: int) -> None:
    wire, transaction, request = received()
    later = response_to(request, then, to_tag="ours")
    transaction.respond(response_to(request, first, to_tag="ours"), wire.now)
    if first == then == 200:
        transaction.respond(later, wire.now)
        wire.assert_sent([200, 200])
    else:
        with pytest.raises(LocalProtocolError):
            transaction.respond(later, wire.now)
        wire.assert_sent([first])


def test_an_invite_may_wait_for_hours() -> None:
    wire, transaction, request = received()
    transaction.trying(wire.now)
    wire.advance(86_400)
    transaction.respond(response_to(request, 200, to_tag="ours"), wire.now)
    wire.assert_sent([100, 200])


def test_a_failing_transport_changes_nothing() -> None:
    """RFC 6026 section 8.8: the next retransmission may get through."""
    wire, transaction, request = received()
    transaction.respond(response_to(request, 486, to_tag="ours"), wire.now)
    wire.layer.transport_failed(UDP, wire.now)
    assert transaction.state is State.COMPLETED


# -- CANCEL --------------------------------------------------------------------------------------------------


def test_a_cancel_is_answered_by_the_layer_and_told_to_the_owner_once() -> None:
    wire, transaction, _ = received()
    owner = Owner()
    transaction.owner = owner
    transaction.to_tag = "ours"
    for _ in range(2):
        wire.receive(request_bytes("CANCEL"))
        sent = wire.take_one()
        assert (sent.name, sent.message.to.tag, sent.message.cseq.method) == (200, "ours", "CANCEL")
    assert len(owner.cancels) == 1
    assert transaction.state is State.PROCEEDING


@pytest.mark.parametrize("status", [200, 486])
def test_a_cancel_after_the_final_response_has_no_effect(status: int) -> None:
    wire, transaction, request = received()
    owner = Owner()
    transaction.owner = owner
    transaction.respond(response_to(request, status, to_tag="ours"), wire.now)
    wire.take()
    wire.receive(request_bytes("CANCEL"))
    sent = wire.take_one()
    assert (sent.name, sent.message.to.tag) == (200, "ours")
    assert owner.cancels == []


def test_a_cancel_of_nothing_is_481_and_its_repetition_too() -> None:
    wire = Wire()
    wire.receive(request_bytes("CANCEL"))
    wire.receive(request_bytes("CANCEL"))
    first, second = wire.take()
    assert (first.name, second.name) == (481, 481)
    assert first.message.get("To") == second.message.get("To")
    wire.assert_quiet()


def test_a_cancel_of_another_method_is_answered_and_ignored() -> None:
    wire, transaction, _ = received("OPTIONS")
    wire.receive(request_bytes("CANCEL"))
    wire.assert_sent([200])
    assert transaction.state is State.TRYING


def test_a_cancel_of_another_source_name_is_481() -> None:
    """RFC 3261 section 9.2: matched like any request, by branch and sent-by."""
    wire, transaction, _ = received()
    wire.receive(request_bytes("CANCEL", via="192.0.2.99"))
    wire.assert_sent([481])
    assert transaction.state is State.PROCEEDING


# -- other methods -------------------------------------------------------------------------------------------


def test_a_final_response_is_repeated_for_repetitions_until_timer_j() -> None:
    wire, transaction, request = received("OPTIONS")
    again(wire, "OPTIONS")
    wire.assert_sent([])
    transaction.respond(response_to(request, 200, to_tag="ours"), wire.now)
    wire.advance(31.9)
    again(wire, "OPTIONS")
    wire.assert_sent([200, 200])
    wire.advance(0.1)
    wire.assert_quiet()


def test_over_tcp_a_final_response_ends_at_once() -> None:
    wire, transaction, request = received("OPTIONS", TCP)
    transaction.respond(response_to(request, 200, to_tag="ours"), wire.now)
    wire.assert_sent([200])
    wire.assert_quiet()


def test_a_second_final_response_is_discarded() -> None:
    wire, transaction, request = received("OPTIONS")
    first, second = response_to(request, 200), response_to(request, 500)
    transaction.respond(first, wire.now)
    transaction.respond(second, wire.now)
    wire.assert_sent([200])


def test_a_slow_answer_has_a_100_before_it() -> None:
    wire, transaction, request = received("REGISTER")
    wire.advance(3.4)
    wire.assert_sent([])
    wire.advance(0.1)
    wire.assert_sent([100])
    again(wire, "REGISTER")
    wire.assert_sent([100])
    transaction.respond(response_to(request, 200, to_tag="ours"), wire.now)
    wire.assert_sent([200])


def test_a_request_that_is_never_answered_ends_without_408() -> None:
    """RFC 4320 section 4.2."""
    wire, transaction, _ = received("REGISTER")
    wire.advance(32)
    wire.assert_sent([100])
    assert transaction.state is State.TERMINATED
    wire.assert_quiet()


@pytest.mark.parametrize("status", [100, 180, 408])
def test_responses_that_rfc_4320_forbids(status: int) -> None:
    wire, transaction, request = received("REGISTER")
    with pytest.raises(LocalProtocolError):
        transaction.respond(response_to(request, status), wire.now)
    wire.assert_sent([])


# -- without keeping anything --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_a_stateless_refusal_keeps_nothing(method: str) -> None:
    wire, transaction, request = received(method)
    transaction.respond_statelessly(response_to(request, 403, to_tag="ours"))
    wire.assert_sent([403])
    wire.assert_quiet()


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_an_abandoned_request_keeps_nothing(method: str) -> None:
    wire, transaction, _ = received(method)
    transaction.abandon()
    wire.assert_sent([])
    wire.assert_quiet()


def test_no_stateless_refusal_after_the_final_response() -> None:
    wire, transaction, request = received()
    refusal = response_to(request, 403)
    transaction.respond(response_to(request, 200, to_tag="ours"), wire.now)
    with pytest.raises(LocalProtocolError):
        transaction.respond_statelessly(refusal)


def test_a_response_that_cannot_be_sent_changes_nothing() -> None:
    wire, transaction, request = received()
    broken = response_to(request, 200)
    broken.set("Subject", "x\r\ny")
    with pytest.raises(LocalProtocolError):
        transaction.respond(broken, wire.now)
    transaction.respond(response_to(request, 200, to_tag="ours"), wire.now)
    wire.assert_sent([200])


@pytest.mark.parametrize("table", [INVITE_TRANSITIONS, NON_INVITE_TRANSITIONS])
def test_every_state_is_reached_and_all_but_the_last_are_left(table: Transitions) -> None:
    left = {state for state, _ in table}
    reached = {state for _, state in table.values()}
    initial = State.PROCEEDING if table is INVITE_TRANSITIONS else State.TRYING
    assert left | {State.TERMINATED} == reached | {initial}
    assert State.TERMINATED not in left
