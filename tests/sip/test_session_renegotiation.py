"""re-INVITE and UPDATE in a session that stands: both directions, glare, refusals, and the end in between."""

import pytest

from b2bua.sip.events import (
    OfferAcknowledged,
    OfferAnswered,
    OfferFailed,
    OfferReceived,
    SessionEnded,
)
from b2bua.sip.session_states import State
from tests.sip.ladder import ANSWER, HELD, HOLD, OFFER, Ladder

UPDATE_ALLOWED = {"Allow": "INVITE, ACK, BYE, CANCEL, UPDATE"}


# -- the peer's offers ---------------------------------------------------------------------------------------


def test_the_peer_offers_by_reinvite() -> None:
    ladder = Ladder()
    peer, session = ladder.answered()
    peer.invite(HOLD)
    # RFC 3261 17.2.1: a 100 while the other leg is asked
    ladder.assert_sent([100])
    offer = ladder.event(OfferReceived)
    assert (offer.session, offer.method, offer.body) == (session, "INVITE", HOLD)
    session.accept_offer(HELD, ladder.now)
    success = ladder.take_one(200).response
    assert success.body == HELD
    assert success.contacts[0].uri == peer.target
    ladder.advance(0.5)
    ladder.assert_sent([200])
    peer.ack()
    ladder.advance(40)
    ladder.assert_sent([])
    assert (session.remote_body, session.local_body) == (HOLD, HELD)
    ladder.assert_no_events()


def test_the_peer_offers_by_update() -> None:
    ladder = Ladder()
    peer, session = ladder.connected()
    peer.send("UPDATE", body=HOLD)
    offer = ladder.event(OfferReceived)
    assert (offer.method, offer.body) == ("UPDATE", HOLD)
    session.accept_offer(HELD, ladder.now)
    assert ladder.take_one(200).response.body == HELD
    ladder.advance(60)
    ladder.assert_sent([])
    peer.send("UPDATE", body=OFFER)
    ladder.event(OfferReceived)
    session.accept_offer(ANSWER, ladder.now)
    ladder.assert_sent([200])


def test_the_peer_asks_for_our_offer() -> None:
    ladder = Ladder()
    peer, session = ladder.answered()
    peer.invite(b"")
    assert ladder.event(OfferReceived).body == b""
    session.accept_offer(HELD, ladder.now)
    ladder.assert_sent([100, 200])
    peer.ack(HOLD)
    acknowledged = ladder.event(OfferAcknowledged)
    assert acknowledged.body == HOLD
    assert session.remote_body == HOLD


def test_the_same_offer_again_is_a_mere_refresh() -> None:
    ladder = Ladder()
    peer, _ = ladder.answered()
    peer.invite(OFFER)
    success = ladder.assert_sent([100, 200])[1].response
    assert success.body == ANSWER
    peer.ack()
    peer.send("UPDATE")
    assert ladder.take_one(200).response.body == b""
    ladder.assert_no_events()


def test_a_refused_offer_leaves_everything_as_it_was() -> None:
    ladder = Ladder()
    peer, session = ladder.answered()
    peer.invite(HOLD)
    ladder.event(OfferReceived)
    session.refuse_offer(488, ladder.now)
    refusal = ladder.assert_sent([100, 488])[1].response
    peer.ack_refusal(refusal)
    assert (session.remote_body, session.local_body) == (OFFER, ANSWER)
    peer.invite(HOLD)
    ladder.event(OfferReceived)


def test_a_reinvite_moves_the_target() -> None:
    ladder = Ladder()
    peer, session = ladder.answered()
    peer.contact = "<sip:moved@192.0.2.77:5099>"
    peer.invite(OFFER)
    ladder.assert_sent([100, 200])
    peer.ack()
    session.hangup(ladder.now)
    bye = ladder.take_one("BYE")
    assert bye.request.uri == "sip:moved@192.0.2.77:5099"
    assert bye.hop[1:3] == ("192.0.2.77", 5099)


def test_a_reinvite_without_ack_ends_the_session() -> None:
    ladder = Ladder()
    peer, session = ladder.answered()
    peer.invite(HOLD)
    ladder.event(OfferReceived)
    session.accept_offer(HELD, ladder.now)
    ladder.advance(31.9)
    ladder.take()
    ladder.advance(0.2)
    bye = ladder.take_one("BYE").request
    assert ladder.event(SessionEnded).cause == "ack_timeout"
    peer.respond(200, bye)
    ladder.assert_nothing_left()


def test_a_second_offer_before_the_answer_to_the_first_is_500() -> None:
    """RFC 3261 section 14.2, RFC 3311 section 5.2."""
    ladder = Ladder()
    peer, session = ladder.answered()
    peer.invite(HOLD)
    ladder.event(OfferReceived)
    ladder.assert_sent([100])
    peer.send("UPDATE", body=HOLD)
    refusal = ladder.take_one(500).response
    assert 0 <= int(refusal.get("Retry-After") or "") <= 10
    session.accept_offer(HELD, ladder.now)
    ladder.assert_sent([200])


def test_an_offer_before_our_first_answer_is_500() -> None:
    ladder = Ladder()
    peer, session = ladder.incoming()
    session.ring(ladder.now)
    peer.learn(ladder.take_one(180).response)
    peer.send("UPDATE", body=HOLD)
    assert ladder.take_one(500).response.get("Retry-After")
    ladder.assert_no_events()


def test_an_offer_before_the_ack_to_our_success_is_491() -> None:
    ladder = Ladder()
    peer, session = ladder.answered()
    peer.invite(HOLD)
    ladder.event(OfferReceived)
    session.accept_offer(HELD, ladder.now)
    ladder.assert_sent([100, 200])
    peer.send("UPDATE", body=OFFER)
    ladder.assert_sent([491])


def test_a_cancelled_reinvite_is_answered_all_the_same() -> None:
    ladder = Ladder()
    peer, session = ladder.answered()
    peer.invite(HOLD)
    ladder.event(OfferReceived)
    peer.cancel()
    ladder.assert_sent([100, 200])
    session.accept_offer(HELD, ladder.now)
    ladder.assert_sent([200])
    peer.ack()
    assert session.state is State.CONFIRMED


def test_an_offer_of_something_else_than_sdp_is_415() -> None:
    ladder = Ladder()
    peer, _ = ladder.answered()
    peer.invite(b"<xml/>", {"Content-Type": "application/xml"})
    assert ladder.take_one(415).response.get("Accept") == "application/sdp"
    peer.send("UPDATE", body=b"<xml/>", extra={"Content-Type": "application/xml"})
    ladder.assert_sent([415])
    ladder.assert_no_events()


def test_the_bye_answers_a_reinvite_that_waits() -> None:
    """RFC 3261 section 15.1.2: pending requests get 487."""
    ladder = Ladder()
    peer, session = ladder.answered()
    peer.invite(HOLD)
    ladder.event(OfferReceived)
    ladder.assert_sent([100])
    peer.send("BYE")
    assert sorted(str(sent.name) for sent in ladder.take()) == ["200", "487"]
    ladder.event(SessionEnded)
    # the other leg's answer comes too late
    session.accept_offer(HELD, ladder.now)
    session.refuse_offer(488, ladder.now)
    ladder.assert_no_events()
    ladder.assert_nothing_left()


def test_our_hangup_answers_a_reinvite_that_waits() -> None:
    ladder = Ladder()
    peer, session = ladder.answered()
    peer.invite(HOLD)
    ladder.event(OfferReceived)
    ladder.assert_sent([100])
    session.hangup(ladder.now)
    _, bye = ladder.assert_sent([487, "BYE"])
    session.accept_offer(HELD, ladder.now)
    session.refuse_offer(488, ladder.now)
    ladder.assert_sent([])
    peer.respond(200, bye.request)
    ladder.assert_nothing_left()


# -- our offers ----------------------------------------------------------------------------------------------


def test_we_offer_by_reinvite() -> None:
    ladder = Ladder()
    peer, session = ladder.answered()
    session.offer(HELD, ladder.now)
    invite = ladder.take_one("INVITE").request
    assert (invite.body, invite.to.tag, invite.uri) == (HELD, peer.tag, "sip:peer@192.0.2.1:5060")
    peer.respond(100, invite)
    peer.respond(200, invite, HOLD)
    ack = ladder.take_one("ACK").request
    assert ack.cseq.number == invite.cseq.number
    answered = ladder.event(OfferAnswered)
    assert (answered.body, answered.ack_due) == (HOLD, False)
    # lost ACK
    peer.respond(200, invite, HOLD)
    assert ladder.take_one("ACK").message.encode() == ack.encode()
    ladder.assert_no_events()


def test_we_offer_by_update() -> None:
    ladder = Ladder()
    peer, session = ladder.connected()
    session.offer(HELD, ladder.now, "UPDATE")
    update = ladder.take_one("UPDATE").request
    assert update.contacts
    peer.respond(200, update, HOLD)
    assert ladder.event(OfferAnswered).body == HOLD
    ladder.assert_sent([])


def test_we_ask_for_the_peers_offer() -> None:
    ladder = Ladder()
    peer, session = ladder.connected()
    session.offer(b"", ladder.now)
    invite = ladder.take_one("INVITE").request
    assert invite.body == b""
    peer.respond(200, invite, HOLD)
    answered = ladder.event(OfferAnswered)
    assert (answered.body, answered.ack_due) == (HOLD, True)
    ladder.assert_sent([])
    session.acknowledge(HELD, ladder.now)
    ack = ladder.take_one("ACK").request
    assert (ack.body, ack.cseq.number) == (HELD, invite.cseq.number)
    assert session.local_body == HELD


def test_hanging_up_acknowledges_the_peers_offer_first() -> None:
    ladder = Ladder()
    peer, session = ladder.connected()
    session.offer(b"", ladder.now)
    peer.respond(200, ladder.take_one("INVITE").request, HOLD)
    ladder.event(OfferAnswered)
    session.hangup(ladder.now)
    _, bye = ladder.assert_sent(["ACK", "BYE"])
    peer.respond(200, bye.request)
    ladder.event(SessionEnded)
    session.acknowledge(HELD, ladder.now)
    ladder.assert_sent([])
    ladder.assert_nothing_left()


@pytest.mark.parametrize("status", [488, 500, 603])
def test_our_refused_offer_leaves_everything_as_it_was(status: int) -> None:
    ladder = Ladder()
    peer, session = ladder.answered()
    session.offer(HELD, ladder.now)
    peer.respond(status, ladder.take_one("INVITE").request)
    ladder.assert_sent(["ACK"])
    assert ladder.event(OfferFailed).status == status
    assert session.local_body == ANSWER
    assert session.state is State.CONFIRMED


@pytest.mark.parametrize("status", [408, 481])
def test_a_peer_that_knows_no_such_dialog_is_gone(status: int) -> None:
    ladder = Ladder()
    peer, session = ladder.answered()
    session.offer(HELD, ladder.now)
    peer.respond(status, ladder.take_one("INVITE").request)
    _, bye = ladder.assert_sent(["ACK", "BYE"])
    assert ladder.event(OfferFailed).status == status
    assert ladder.event(SessionEnded).cause == "peer_lost"
    peer.respond(481, bye.request)
    ladder.assert_nothing_left()


def test_an_offer_that_nobody_answers_ends_the_session() -> None:
    ladder = Ladder()
    _, session = ladder.answered()
    session.offer(HELD, ladder.now)
    ladder.advance(32)
    assert ladder.event(OfferFailed).status == 408
    assert ladder.event(SessionEnded).cause == "peer_lost"
    ladder.take()
    ladder.assert_nothing_left()
    assert session.state is State.TERMINATED


def test_our_second_offer_at_a_time_fails_at_home() -> None:
    ladder = Ladder()
    _, session = ladder.answered()
    session.offer(HELD, ladder.now)
    session.offer(ANSWER, ladder.now)
    ladder.assert_sent(["INVITE"])
    assert ladder.event(OfferFailed).status == 491


def test_no_offer_before_the_session_is_confirmed() -> None:
    """RFC 3261 section 14.1: not while the first INVITE is in progress."""
    ladder = Ladder()
    _, session = ladder.incoming()
    session.offer(HELD, ladder.now)
    assert ladder.event(OfferFailed).status == 491
    session.answer(ANSWER, ladder.now)
    session.offer(HELD, ladder.now)
    assert ladder.event(OfferFailed).status == 491
    ladder.assert_sent([200])


def test_no_offer_after_the_end() -> None:
    ladder = Ladder()
    peer, session = ladder.answered()
    peer.send("BYE")
    ladder.assert_sent([200])
    ladder.event(SessionEnded)
    session.offer(HELD, ladder.now)
    assert ladder.event(OfferFailed).status == 481
    ladder.assert_sent([])
    ladder.assert_nothing_left()


def test_a_success_that_crosses_our_hangup_is_acknowledged_and_nothing_more() -> None:
    ladder = Ladder()
    peer, session = ladder.answered()
    session.offer(HELD, ladder.now)
    invite = ladder.take_one("INVITE").request
    peer.respond(100, invite)
    session.hangup(ladder.now)
    cancel, bye = ladder.assert_sent(["CANCEL", "BYE"])
    ladder.event(SessionEnded)
    peer.respond(200, invite, HOLD, {"Session-Expires": "90;refresher=uac"})
    ladder.assert_sent(["ACK"])
    peer.respond(200, cancel.request)
    peer.respond(200, bye.request)
    ladder.assert_no_events()
    ladder.assert_nothing_left()


def test_a_cancelled_offer_is_not_reported_after_the_end() -> None:
    ladder = Ladder()
    peer, session = ladder.answered()
    session.offer(HELD, ladder.now)
    invite = ladder.take_one("INVITE").request
    peer.respond(100, invite)
    peer.send("BYE")
    ladder.assert_sent([200, "CANCEL"])
    ladder.event(SessionEnded)
    peer.respond(487, invite)
    ladder.assert_sent(["ACK"])
    ladder.assert_no_events()
    ladder.assert_nothing_left()


def test_an_old_success_is_acknowledged_while_a_newer_offer_is_on_its_way() -> None:
    """Our ACK was lost, and an UPDATE is out: the peer repeats its 2xx all the same."""
    ladder = Ladder()
    peer, session = ladder.answered()
    session.offer(HELD, ladder.now)
    invite = ladder.take_one("INVITE").request
    peer.respond(200, invite, HOLD)
    ack = ladder.take_one("ACK")
    ladder.event(OfferAnswered)
    session.offer(ANSWER, ladder.now, "UPDATE")
    update = ladder.take_one("UPDATE").request
    peer.respond(200, invite, HOLD)
    assert ladder.take_one("ACK").message.encode() == ack.message.encode()
    peer.respond(200, update, OFFER)
    assert ladder.event(OfferAnswered).body == OFFER
    peer.respond(200, invite, HOLD)
    ladder.assert_sent(["ACK"])
    assert session.remote_body == OFFER


# -- glare ---------------------------------------------------------------------------------------------------


def test_the_peers_offer_against_ours_is_491() -> None:
    ladder = Ladder()
    peer, session = ladder.answered()
    session.offer(HELD, ladder.now)
    ours = ladder.take_one("INVITE").request
    peer.invite(HOLD)
    refusal = ladder.take_one(491).response
    peer.ack_refusal(refusal)
    peer.respond(491, ours)
    ladder.assert_sent(["ACK"])
    # the application's own offer is the application's to repeat
    assert ladder.event(OfferFailed).status == 491
    peer.invite(HOLD)
    ladder.event(OfferReceived)
