"""We call: progress, answers once and twice, refusals, and giving up at every moment."""

import pytest

from b2bua.sip.events import InviteFailed, ProgressReceived, SessionAnswered, SessionEnded
from b2bua.sip.hop import Hop
from b2bua.sip.session_states import State
from tests.sip.ladder import ANSWER, OFFER, TCP, Ladder


def test_a_call_rings_is_answered_and_ended_by_us() -> None:
    ladder = Ladder()
    peer, session = ladder.outgoing()
    invite = peer.invited
    assert invite is not None
    assert (invite.uri, invite.body, invite.max_forwards) == ("sip:agent@192.0.2.1", ANSWER, 70)
    peer.respond(100)
    ladder.assert_no_events()
    peer.respond(180)
    assert ladder.event(ProgressReceived).status == 180
    peer.respond(183, body=OFFER)
    assert ladder.event(ProgressReceived).body == OFFER
    ladder.assert_sent([])
    peer.respond(200, body=OFFER)
    ack = ladder.take_one("ACK").request
    assert (ack.uri, ack.cseq.number, ack.body) == ("sip:peer@192.0.2.1:5060", 1, b"")
    assert ack.via.branch != invite.via.branch
    answered = ladder.event(SessionAnswered)
    assert (answered.session, answered.body, answered.ack_due) == (session, OFFER, False)
    session.hangup(ladder.now)
    bye = ladder.take_one("BYE").request
    assert bye.cseq.number == 2
    assert ladder.event(SessionEnded).cause == "hangup"
    peer.respond(200, bye)
    ladder.assert_no_events()
    ladder.assert_nothing_left()


def test_the_callee_ends_the_call() -> None:
    ladder = Ladder()
    peer, session = ladder.connected()
    peer.send("BYE")
    ladder.assert_sent([200])
    assert ladder.event(SessionEnded).cause == "bye"
    assert session.state is State.TERMINATED
    ladder.assert_nothing_left()


def test_an_invite_is_repeated_and_fails_after_64_t1() -> None:
    ladder = Ladder()
    _, session = ladder.outgoing()
    ladder.advance(31.9)
    assert [sent.when - 1000 for sent in ladder.take()] == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    ladder.assert_no_events()
    ladder.advance(0.1)
    failed = ladder.event(InviteFailed)
    assert (failed.session, failed.status, failed.response) == (session, 408, None)
    ladder.assert_nothing_left()


def test_long_ringing_does_not_time_out() -> None:
    ladder = Ladder()
    peer, session = ladder.outgoing()
    peer.respond(180)
    ladder.advance(600)
    ladder.assert_sent([])
    peer.respond(200, body=OFFER)
    ladder.assert_sent(["ACK"])
    assert session.state is State.CONFIRMED


@pytest.mark.parametrize("status", [302, 404, 486, 503, 603])
def test_a_refusal_is_acknowledged_and_told(status: int) -> None:
    ladder = Ladder()
    peer, session = ladder.outgoing()
    peer.respond(status)
    ack = ladder.take_one("ACK").request
    assert peer.invited is not None
    # RFC 3261 17.1.1.3: part of the INVITE's transaction
    assert ack.via.branch == peer.invited.via.branch
    failed = ladder.event(InviteFailed)
    assert failed.status == status
    assert failed.response is not None
    assert session.state is State.TERMINATED
    peer.respond(status)
    ladder.assert_sent(["ACK"])
    ladder.assert_no_events()
    ladder.assert_nothing_left()


def test_a_dead_network_fails_the_call_at_once() -> None:
    ladder = Ladder()
    _, session = ladder.outgoing()
    ladder.endpoint.transport_failed(session.hop, ladder.now)
    assert ladder.event(InviteFailed).status == 503
    ladder.assert_nothing_left()


def test_a_repeated_success_gets_the_same_ack_again() -> None:
    ladder = Ladder()
    peer, _ = ladder.outgoing()
    peer.respond(200, body=OFFER)
    first = ladder.take_one("ACK")
    ladder.event(SessionAnswered)
    ladder.advance(0.5)
    peer.respond(200, body=OFFER)
    again = ladder.take_one("ACK")
    assert again.message.encode() == first.message.encode()
    ladder.assert_no_events()


def test_a_success_repeated_after_the_end_is_still_acknowledged() -> None:
    ladder = Ladder()
    peer, session = ladder.outgoing()
    peer.respond(200, body=OFFER)
    ladder.assert_sent(["ACK"])
    session.hangup(ladder.now)
    bye = ladder.take_one("BYE").request
    peer.respond(200, bye)
    peer.respond(200, body=OFFER)
    ladder.assert_sent(["ACK"])
    ladder.assert_nothing_left()


def test_giving_up_before_any_answer_waits_with_the_cancel() -> None:
    """RFC 3261 section 9.1: no CANCEL before a provisional response."""
    ladder = Ladder()
    peer, session = ladder.outgoing()
    session.hangup(ladder.now, 'SIP;cause=200;text="Call completed elsewhere"')
    ladder.assert_sent([])
    peer.respond(100)
    cancel = ladder.take_one("CANCEL").request
    assert peer.invited is not None
    assert cancel.via.branch == peer.invited.via.branch
    assert cancel.get("Reason") == 'SIP;cause=200;text="Call completed elsewhere"'
    peer.respond(200, cancel)
    peer.respond(487)
    ladder.assert_sent(["ACK"])
    ladder.assert_no_events()
    assert session.state is State.TERMINATED
    ladder.assert_nothing_left()


def test_giving_up_while_it_rings() -> None:
    ladder = Ladder()
    peer, session = ladder.outgoing()
    peer.respond(180)
    session.hangup(ladder.now)
    cancel = ladder.take_one("CANCEL").request
    peer.respond(180)
    peer.respond(200, cancel)
    peer.respond(487)
    ladder.assert_sent(["ACK"])
    assert ladder.event(ProgressReceived).status == 180
    ladder.assert_no_events()
    ladder.assert_nothing_left()


def test_a_cancelled_invite_that_is_never_answered_ends() -> None:
    ladder = Ladder()
    peer, session = ladder.outgoing()
    peer.respond(180)
    session.hangup(ladder.now)
    ladder.advance(32)
    assert session.state is State.TERMINATED
    ladder.take()
    ladder.assert_nothing_left()


def test_a_cancel_that_crosses_the_success_is_followed_by_ack_and_bye() -> None:
    ladder = Ladder()
    peer, session = ladder.outgoing()
    peer.respond(180)
    ladder.event(ProgressReceived)
    session.hangup(ladder.now)
    cancel = ladder.take_one("CANCEL").request
    peer.respond(200, body=OFFER)
    ack, bye = ladder.assert_sent(["ACK", "BYE"])
    assert ack.request.cseq.number == 1
    assert bye.request.cseq.number == 2
    peer.respond(481, cancel)
    # the peer repeats its 2xx until it sees the ACK
    peer.respond(200, body=OFFER)
    ladder.assert_sent(["ACK"])
    peer.respond(200, bye.request)
    assert session.state is State.TERMINATED
    ladder.assert_nothing_left()


def test_a_second_callee_of_a_fork_is_acknowledged_and_ended() -> None:
    ladder = Ladder()
    peer, session = ladder.outgoing()
    peer.respond(200, body=OFFER)
    ladder.assert_sent(["ACK"])
    ladder.event(SessionAnswered)
    peer.contact = "<sip:second@192.0.2.9:5070>"
    peer.respond(200, body=OFFER, tag="second")
    ack, bye = ladder.assert_sent(["ACK", "BYE"])
    assert ack.request.to.tag == bye.request.to.tag == "second"
    assert ack.request.uri == bye.request.uri == "sip:second@192.0.2.9:5070"
    assert bye.hop[:3] == ("udp", "192.0.2.9", 5070)
    assert bye.request.cseq.number == 2
    # its repetitions get the ACK, but no other BYE
    peer.respond(200, body=OFFER, tag="second")
    ladder.assert_sent(["ACK"])
    peer.respond(200, bye.request)
    assert session.state is State.CONFIRMED
    ladder.assert_no_events()
    session.hangup(ladder.now)
    peer.respond(200, ladder.take_one("BYE").request)
    ladder.assert_nothing_left()


def test_a_late_offer_is_answered_in_the_ack() -> None:
    ladder = Ladder()
    peer, session = ladder.outgoing(body=b"")
    peer.respond(200, body=OFFER)
    ladder.assert_sent([])
    answered = ladder.event(SessionAnswered)
    assert (answered.body, answered.ack_due) == (OFFER, True)
    # until the answer is there, the peer repeats its 2xx in vain
    peer.respond(200, body=OFFER)
    ladder.assert_sent([])
    session.acknowledge(ANSWER, ladder.now)
    ack = ladder.take_one("ACK").request
    assert (ack.body, ack.get("Content-Type")) == (ANSWER, "application/sdp")
    peer.respond(200, body=OFFER)
    assert ladder.take_one("ACK").request.body == ANSWER


def test_a_late_offer_that_is_never_answered_is_acknowledged_before_the_bye() -> None:
    ladder = Ladder()
    peer, session = ladder.outgoing(body=b"")
    peer.respond(200, body=OFFER)
    ladder.event(SessionAnswered)
    session.hangup(ladder.now)
    _, bye = ladder.assert_sent(["ACK", "BYE"])
    peer.respond(200, bye.request)
    ladder.event(SessionEnded)
    ladder.assert_nothing_left()


def test_byes_that_cross_are_both_answered() -> None:
    ladder = Ladder()
    peer, session = ladder.connected()
    session.hangup(ladder.now)
    ours = ladder.take_one("BYE").request
    peer.send("BYE")
    ladder.assert_sent([200])
    peer.respond(200, ours)
    assert ladder.event(SessionEnded).cause == "hangup"
    ladder.assert_no_events()
    ladder.assert_nothing_left()


def test_a_call_over_tcp_stays_on_its_connection() -> None:
    ladder = Ladder()
    peer, session = ladder.connected(hop=TCP)
    session.hangup(ladder.now)
    bye = ladder.take_one("BYE")
    assert bye.hop == TCP
    peer.respond(200, bye.request)
    ladder.assert_nothing_left()


def test_a_symmetric_peer_is_spoken_to_where_it_is_and_not_where_it_thinks() -> None:
    ladder = Ladder()
    nat = Hop("udp", "203.0.113.7", 49152, "trunk")
    session = ladder.endpoint.invite(
        "sip:phone@10.0.0.5", nat, "<sip:exchange@example.com>", "<sip:phone@10.0.0.5>", ANSWER, ladder.now,
        symmetric=True,
    )  # fmt: skip
    invite = ladder.take_one("INVITE").request
    peer, _ = Ladder().outgoing()
    peer.ladder = ladder
    peer.hop = nat
    peer.contact = "<sip:phone@10.0.0.5:5060>"
    peer.take_invite(invite)
    peer.respond(200, body=OFFER)
    ack = ladder.take_one("ACK")
    assert (ack.request.uri, ack.hop) == ("sip:phone@10.0.0.5:5060", nat)
    session.hangup(ladder.now)
    assert ladder.take_one("BYE").hop == nat


def test_a_response_of_somebody_else_is_ignored() -> None:
    ladder = Ladder()
    peer, session = ladder.outgoing()
    assert peer.invited is not None
    stray = ladder.endpoint.counters.unmatched_responses
    response = peer.respond(100)
    response.set("Via", (response.get("Via") or "").replace("branch=z9hG4bK", "branch=z9hG4bKx"))
    response.status = 200
    ladder.receive(response)
    assert ladder.endpoint.counters.unmatched_responses == stray + 1
    assert session.state is State.OUTGOING
    ladder.assert_sent([])
