"""We are called: ringing, answering, refusing, and every way in which a caller changes its mind."""

import pytest

from b2bua.sip.events import AckReceived, InviteCancelled, InviteReceived, SessionEnded
from b2bua.sip.session_states import State
from tests.sip.ladder import ANSWER, OFFER, TCP, UDP, Ladder, Peer


def test_a_call_is_taken_answered_and_ended_by_the_caller() -> None:
    ladder = Ladder()
    peer, session = ladder.incoming()
    session.trying(ladder.now)
    ladder.assert_sent([100])
    session.ring(ladder.now)
    ladder.assert_sent([180])
    session.answer(ANSWER, ladder.now)
    success = ladder.take_one(200).response
    assert success.body == ANSWER
    assert success.get("Content-Type") == "application/sdp"
    assert success.to.tag
    assert len(success.contacts) == 1
    assert session.remote_body == OFFER
    peer.learn(success)
    peer.ack()
    assert ladder.event(AckReceived).session is session
    assert session.state is State.CONFIRMED
    ladder.advance(3600)
    ladder.assert_sent([])
    peer.send("BYE", extra={"Reason": "Q.850;cause=16"})
    ladder.assert_sent([200])
    ended = ladder.event(SessionEnded)
    assert (ended.session, ended.cause, ended.reason) == (session, "bye", "Q.850;cause=16")
    ladder.assert_no_events()
    ladder.assert_nothing_left()


def test_we_end_the_call() -> None:
    ladder = Ladder()
    peer, session = ladder.answered()
    session.hangup(ladder.now, "SIP;cause=200")
    bye = ladder.take_one("BYE")
    assert bye.request.get("Reason") == "SIP;cause=200"
    assert bye.request.uri == "sip:peer@192.0.2.1:5060"
    assert bye.request.to.tag == peer.tag
    assert bye.hop[:3] == ("udp", "192.0.2.1", 5060)
    assert ladder.event(SessionEnded).cause == "hangup"
    peer.respond(200, bye.request)
    assert session.state is State.TERMINATED
    ladder.assert_nothing_left()
    ladder.assert_no_events()


@pytest.mark.parametrize("hop", [UDP, TCP])
def test_a_success_is_repeated_over_every_transport_until_the_ack(hop: object) -> None:
    ladder = Ladder()
    peer, session = ladder.incoming(hop=TCP if hop is TCP else UDP)
    session.answer(ANSWER, ladder.now)
    peer.learn(ladder.take_one(200).response)
    ladder.advance(8)
    # RFC 3261 13.3.1.4: T1, doubling up to T2
    assert [sent.when - 1000 for sent in ladder.take()] == [0.5, 1.5, 3.5, 7.5]
    peer.ack()
    ladder.event(AckReceived)
    ladder.advance(60)
    ladder.assert_sent([])


def test_a_lost_ack_ends_the_session_with_bye() -> None:
    ladder = Ladder()
    peer, session = ladder.incoming()
    session.answer(ANSWER, ladder.now)
    ladder.advance(31.9)
    sent = ladder.take()
    assert {item.name for item in sent} == {200}
    # T1 doubling to T2: 0, 0.5, 1.5, 3.5, 7.5, then every 4 s
    assert len(sent) == 11
    ladder.advance(0.2)
    bye = ladder.take_one("BYE").request
    assert ladder.event(SessionEnded).cause == "ack_timeout"
    peer.respond(481, bye)
    ladder.assert_nothing_left()


def test_a_repeated_invite_gets_the_last_provisional_again() -> None:
    ladder = Ladder()
    peer, session = ladder.incoming()
    session.trying(ladder.now)
    peer.repeat()
    ladder.assert_sent([100, 100])
    session.ring(ladder.now)
    peer.repeat()
    ladder.assert_sent([180, 180])
    session.answer(ANSWER, ladder.now)
    ladder.assert_sent([200])
    # RFC 6026 7.1: absorbed
    peer.repeat()
    ladder.assert_sent([])
    ladder.assert_no_events()


def test_ringing_is_repeated_every_minute_until_the_answer() -> None:
    ladder = Ladder()
    _, session = ladder.incoming()
    session.ring(ladder.now)
    ladder.advance(150)
    ladder.assert_sent([180, 180, 180])
    session.answer(ANSWER, ladder.now)
    ladder.advance(20)
    assert {sent.name for sent in ladder.take()} == {200}


def test_early_media_has_its_description() -> None:
    ladder = Ladder()
    _, session = ladder.incoming()
    session.ring(ladder.now, 183, ANSWER)
    progress = ladder.take_one(183).response
    assert (progress.body, progress.get("Content-Type")) == (ANSWER, "application/sdp")


def test_a_refusal_is_repeated_until_its_ack() -> None:
    ladder = Ladder()
    peer, session = ladder.incoming()
    session.refuse(486, ladder.now, [("Retry-After", "10")])
    refusal = ladder.take_one(486).response
    assert refusal.get("Retry-After") == "10"
    ladder.advance(1.6)
    ladder.assert_sent([486, 486])
    peer.ack_refusal(refusal)
    ladder.advance(20)
    ladder.assert_sent([])
    ladder.assert_no_events()
    ladder.assert_nothing_left()


def test_a_refusal_without_ack_ends_after_64_t1() -> None:
    ladder = Ladder()
    _, session = ladder.incoming()
    session.refuse(404, ladder.now)
    ladder.assert_nothing_left()
    ladder.assert_no_events()


def test_who_is_turned_away_costs_nothing() -> None:
    ladder = Ladder()
    _, session = ladder.incoming()
    session.turn_away(403, ladder.now)
    ladder.assert_sent([403])
    assert ladder.endpoint.layer.server_count == 0
    assert ladder.endpoint.sessions == {}
    assert len(ladder.endpoint.timers) == 0


@pytest.mark.parametrize("ringing", [False, True])
def test_cancel_before_and_after_180(ringing: bool) -> None:
    ladder = Ladder()
    peer, session = ladder.incoming()
    if ringing:
        session.ring(ladder.now)
        ladder.assert_sent([180])
    peer.cancel({"Reason": 'SIP;cause=200;text="Call completed elsewhere"'})
    answer, refusal = ladder.assert_sent([200, 487])
    # RFC 3261 9.2: both have the same To tag
    assert answer.response.to.tag == refusal.response.to.tag
    assert answer.response.cseq.method == "CANCEL"
    cancelled = ladder.event(InviteCancelled)
    assert cancelled.reason.startswith("SIP;cause=200")
    peer.ack_refusal(refusal.response)
    ladder.advance(120)
    ladder.assert_sent([])
    ladder.assert_nothing_left()


def test_a_repeated_cancel_is_answered_and_told_once() -> None:
    ladder = Ladder()
    peer, _ = ladder.incoming()
    peer.cancel()
    peer.cancel()
    ladder.assert_sent([200, 487, 200])
    ladder.event(InviteCancelled)
    ladder.assert_no_events()


def test_a_cancel_that_comes_after_our_answer_changes_nothing() -> None:
    ladder = Ladder()
    peer, session = ladder.incoming()
    session.answer(ANSWER, ladder.now)
    peer.learn(ladder.take_one(200).response)
    peer.cancel()
    ladder.assert_sent([200])
    peer.ack()
    ladder.event(AckReceived)
    assert session.state is State.CONFIRMED
    peer.send("BYE")
    ladder.assert_sent([200])


def test_a_cancel_without_an_invite_is_481() -> None:
    ladder = Ladder()
    peer = Peer(ladder)
    peer.send("CANCEL", 1)
    ladder.assert_sent([481])
    ladder.assert_nothing_left()


def test_the_application_may_be_slower_than_the_cancel() -> None:
    """Over TCP nothing is left of the INVITE by the time that the application looks at it."""
    ladder = Ladder()
    peer = Peer(ladder, TCP)
    peer.invite()
    peer.cancel()
    _, refusal = ladder.assert_sent([200, 487])
    peer.ack_refusal(refusal.response)
    session = ladder.event(InviteReceived).session
    session.trying(ladder.now)
    session.ring(ladder.now)
    session.answer(ANSWER, ladder.now)
    session.refuse(486, ladder.now)
    session.hangup(ladder.now)
    ladder.assert_sent([])
    ladder.event(InviteCancelled)
    ladder.assert_nothing_left()


def test_an_early_bye_is_a_cancel() -> None:
    ladder = Ladder()
    peer, session = ladder.incoming()
    session.ring(ladder.now)
    peer.learn(ladder.take_one(180).response)
    peer.send("BYE")
    ladder.assert_sent([200, 487])
    ladder.event(InviteCancelled)
    ladder.assert_no_events()


def test_hanging_up_an_unanswered_call_refuses_it() -> None:
    ladder = Ladder()
    _, session = ladder.incoming()
    session.hangup(ladder.now)
    ladder.assert_sent([480])
    ladder.assert_no_events()
    ladder.assert_nothing_left()


def test_hanging_up_before_the_ack_waits_for_it() -> None:
    """RFC 3261 section 15: the callee must not send BYE before it has the ACK."""
    ladder = Ladder()
    peer, session = ladder.incoming()
    session.answer(ANSWER, ladder.now)
    peer.learn(ladder.take_one(200).response)
    session.hangup(ladder.now)
    ladder.assert_sent([])
    ladder.advance(1)
    ladder.assert_sent([200])
    peer.ack()
    bye = ladder.take_one("BYE").request
    assert ladder.event(SessionEnded).cause == "hangup"
    peer.respond(200, bye)
    ladder.assert_no_events()
    ladder.assert_nothing_left()


def test_hanging_up_without_ever_an_ack_sends_bye_in_the_end() -> None:
    ladder = Ladder()
    peer, session = ladder.incoming()
    session.answer(ANSWER, ladder.now)
    session.hangup(ladder.now)
    ladder.advance(31.9)
    assert {sent.name for sent in ladder.take()} == {200}
    ladder.advance(0.2)
    bye = ladder.take_one("BYE").request
    peer.respond(200, bye)
    ladder.assert_nothing_left()


def test_a_bye_before_the_ack_stops_the_repetition() -> None:
    ladder = Ladder()
    peer, session = ladder.incoming()
    session.answer(ANSWER, ladder.now)
    peer.learn(ladder.take_one(200).response)
    peer.send("BYE")
    ladder.assert_sent([200])
    assert ladder.event(SessionEnded).cause == "bye"
    ladder.advance(40)
    ladder.assert_sent([])
    ladder.assert_nothing_left()


def test_byes_that_cross_are_both_answered() -> None:
    ladder = Ladder()
    peer, session = ladder.answered()
    session.hangup(ladder.now)
    ours = ladder.take_one("BYE").request
    peer.send("BYE")
    ladder.assert_sent([200])
    peer.respond(481, ours)
    assert ladder.event(SessionEnded).cause == "hangup"
    ladder.assert_no_events()
    assert session.state is State.TERMINATED
    ladder.assert_nothing_left()


def test_a_bye_that_nobody_answers_ends_after_64_t1() -> None:
    ladder = Ladder()
    _, session = ladder.answered()
    session.hangup(ladder.now)
    ladder.advance(32)
    assert {sent.name for sent in ladder.take()} == {"BYE"}
    assert session.state is State.TERMINATED
    ladder.assert_nothing_left()


def test_a_repeated_bye_gets_the_same_answer() -> None:
    ladder = Ladder()
    peer, _ = ladder.answered()
    bye = peer.send("BYE")
    ladder.receive(bye)
    first, second = ladder.assert_sent([200, 200])
    assert first.message.encode() == second.message.encode()
    ladder.event(SessionEnded)
    ladder.assert_no_events()


def test_an_invite_without_a_description_is_answered_with_ours() -> None:
    ladder = Ladder()
    peer, session = ladder.incoming(body=b"")
    session.answer(ANSWER, ladder.now)
    peer.learn(ladder.take_one(200).response)
    peer.ack(OFFER)
    assert ladder.event(AckReceived).body == OFFER
    assert session.remote_body == OFFER


def test_a_call_over_tcp_stays_on_its_connection() -> None:
    ladder = Ladder()
    peer, session = ladder.incoming(hop=TCP)
    session.ring(ladder.now)
    session.answer(ANSWER, ladder.now)
    ringing, success = ladder.assert_sent([180, 200])
    assert ringing.hop.connection == success.hop.connection == TCP.connection
    assert "transport=tcp" in (success.response.get("Contact") or "")
    peer.learn(success.response)
    peer.ack()
    session.hangup(ladder.now)
    bye = ladder.take_one("BYE")
    assert bye.hop == TCP
    assert bye.request.via.transport == "TCP"
    peer.respond(200, bye.request)
    ladder.assert_nothing_left()


def test_an_ack_for_another_number_is_not_ours() -> None:
    ladder = Ladder()
    peer, session = ladder.incoming()
    session.answer(ANSWER, ladder.now)
    peer.learn(ladder.take_one(200).response)
    peer.send("ACK", 7)
    assert session.state is State.ANSWERED
    ladder.assert_no_events()


def test_an_ack_with_a_strangers_tag_is_not_ours() -> None:
    ladder = Ladder()
    peer, session = ladder.incoming()
    session.answer(ANSWER, ladder.now)
    peer.learn(ladder.take_one(200).response)
    peer.local = "<sip:caller@peer.example>;tag=stranger"
    peer.ack()
    assert session.state is State.ANSWERED
