"""Session timers (RFC 4028) and glare of refreshes (RFC 3261 section 14.1)."""

import pytest

from b2bua.sip.events import InviteFailed, OfferReceived, SessionAnswered, SessionEnded
from b2bua.sip.session import Session
from b2bua.sip.session_states import State
from b2bua.sip.session_timer import SessionTimerPolicy
from tests.sip.ladder import ANSWER, HOLD, OFFER, Ladder, Peer

POLICY = SessionTimerPolicy(expires=1800, minimum=90)
UPDATE_ALLOWED = "INVITE, ACK, BYE, CANCEL, UPDATE"


def we_refresh(interval: int = 100, allow: str = UPDATE_ALLOWED) -> tuple[Ladder, Peer, Session]:
    """A session that we called and have to refresh."""
    ladder = Ladder(POLICY)
    peer, session = ladder.connected(extra={"Session-Expires": f"{interval};refresher=uac", "Allow": allow})
    return ladder, peer, session


def test_we_ask_for_a_session_timer() -> None:
    ladder = Ladder(POLICY)
    peer, _ = ladder.outgoing()
    invite = peer.invited
    assert invite is not None
    assert (invite.get("Session-Expires"), invite.get("Min-SE")) == ("1800", "90")
    assert invite.get("Supported") == "timer"


def test_we_refresh_by_update_at_half_the_interval() -> None:
    ladder, peer, session = we_refresh(100)
    ladder.advance(49.9)
    ladder.assert_sent([])
    ladder.advance(0.2)
    update = ladder.take_one("UPDATE").request
    assert (update.body, update.get("Session-Expires")) == (b"", "100;refresher=uac")
    peer.respond(200, update, extra={"Session-Expires": "100;refresher=uac"})
    ladder.advance(49.9)
    ladder.assert_sent([])
    ladder.advance(0.2)
    ladder.assert_sent(["UPDATE"])
    ladder.assert_no_events()
    assert session.state is State.CONFIRMED


@pytest.mark.parametrize("absurd", [0, 1, 89])
def test_a_peer_cannot_make_us_refresh_all_the_time(absurd: int) -> None:
    """RFC 4028 section 4: nothing below 90 s is an interval, whatever a 2xx says."""
    ladder, _, _ = we_refresh(absurd)
    ladder.advance(44.9)
    ladder.assert_sent([])
    ladder.advance(0.2)
    ladder.assert_sent(["UPDATE"])


def test_we_refresh_by_reinvite_where_update_is_not_allowed() -> None:
    ladder, peer, _ = we_refresh(100, "INVITE, ACK, BYE, CANCEL")
    ladder.advance(50)
    invite = ladder.take_one("INVITE").request
    assert invite.body == ANSWER
    peer.respond(200, invite, OFFER, {"Session-Expires": "100;refresher=uac"})
    ladder.assert_sent(["ACK"])
    ladder.advance(50)
    ladder.assert_sent(["INVITE"])
    ladder.assert_no_events()


def test_the_peer_refreshes_as_callee() -> None:
    ladder = Ladder(POLICY)
    peer, _ = ladder.connected(extra={"Session-Expires": "120;refresher=uas"})
    for _ in range(5):
        ladder.advance(60)
        peer.send("UPDATE", extra={"Session-Expires": "120;refresher=uac", "Supported": "timer"})
        success = ladder.take_one(200).response
        assert success.get("Session-Expires") == "120;refresher=uac"
        assert success.get("Require") == "timer"
    ladder.assert_no_events()


def test_a_session_that_the_peer_does_not_refresh_expires() -> None:
    """RFC 4028 section 10: BYE a third of the interval, or 32 s, before its end."""
    ladder = Ladder(POLICY)
    peer, _ = ladder.connected(extra={"Session-Expires": "120;refresher=uas"})
    ladder.advance(87.9)
    ladder.assert_sent([])
    ladder.advance(0.2)
    bye = ladder.take_one("BYE").request
    assert "Session expired" in (bye.get("Reason") or "")
    assert ladder.event(SessionEnded).cause == "session_expired"
    peer.respond(200, bye)
    ladder.assert_nothing_left()


@pytest.mark.parametrize("status", [408, 481])
def test_a_refresh_that_meets_no_dialog_ends_the_session(status: int) -> None:
    ladder, peer, _ = we_refresh()
    ladder.advance(50)
    peer.respond(status, ladder.take_one("UPDATE").request)
    bye = ladder.take_one("BYE").request
    assert ladder.event(SessionEnded).cause == "peer_lost"
    peer.respond(481, bye)
    ladder.assert_nothing_left()


def test_a_refresh_that_nobody_answers_ends_the_session() -> None:
    ladder, _, _ = we_refresh()
    ladder.advance(50 + 32)
    assert ladder.take()[-1].name == "BYE"
    assert ladder.event(SessionEnded).cause == "peer_lost"
    ladder.assert_nothing_left()


def test_a_refused_refresh_is_tried_again_before_the_session_expires() -> None:
    ladder, peer, session = we_refresh(1000)
    ladder.advance(500)
    peer.respond(500, ladder.take_one("UPDATE").request)
    ladder.advance(250)
    update = ladder.take_one("UPDATE").request
    peer.respond(200, update, extra={"Session-Expires": "1000;refresher=uac"})
    ladder.advance(499)
    ladder.assert_sent([])
    assert session.state is State.CONFIRMED
    ladder.assert_no_events()


def test_a_refresh_that_is_always_refused_lets_the_session_expire() -> None:
    ladder, peer, _ = we_refresh(1000)
    for _ in range(1000):
        ladder.advance(1)
        for sent in ladder.take():
            if sent.name == "UPDATE":
                peer.respond(500, sent.request)
    assert ladder.event(SessionEnded).cause == "session_expired"
    ladder.take()
    ladder.assert_nothing_left()


def test_a_refusal_of_the_peers_offer_does_not_stop_our_refreshing() -> None:
    """The refresh fell due while an offer was under way, which then refreshed nothing."""
    ladder, peer, session = we_refresh(1000)
    ladder.advance(499)
    peer.invite(HOLD)
    ladder.event(OfferReceived)
    ladder.assert_sent([100])
    ladder.advance(2)
    session.refuse_offer(488, ladder.now)
    ladder.take()
    ladder.advance(400)
    assert "UPDATE" in [sent.name for sent in ladder.take()]


def test_a_refresh_that_is_too_short_is_asked_for_again() -> None:
    ladder, peer, session = we_refresh(100)
    ladder.advance(50)
    peer.respond(422, ladder.take_one("UPDATE").request, extra={"Min-SE": "300"})
    update = ladder.take_one("UPDATE").request
    assert (update.get("Session-Expires"), update.get("Min-SE")) == ("300;refresher=uac", "300")
    peer.respond(200, update, extra={"Session-Expires": "300;refresher=uac"})
    ladder.advance(149)
    ladder.assert_sent([])
    ladder.advance(1.2)
    ladder.assert_sent(["UPDATE"])
    assert session.state is State.CONFIRMED


def test_a_peer_that_always_answers_422_is_not_asked_for_ever() -> None:
    ladder, peer, _ = we_refresh(1000)
    ladder.advance(500)
    asked = 0
    while sent := ladder.take():
        asked += 1
        assert asked < 10
        peer.respond(422, sent[0].request, extra={"Min-SE": "90"})
    assert asked == 4


# -- the first INVITE ----------------------------------------------------------------------------------------


def test_our_invite_is_repeated_with_the_interval_that_422_wants() -> None:
    ladder = Ladder(SessionTimerPolicy(expires=90, minimum=90))
    peer, _ = ladder.outgoing()
    first = peer.invited
    assert first is not None
    peer.respond(422, extra={"Min-SE": "1800"})
    _, again = ladder.assert_sent(["ACK", "INVITE"])
    invite = again.request
    assert (invite.get("Session-Expires"), invite.get("Min-SE")) == ("1800", "1800")
    assert invite.cseq.number == 2
    assert (invite.call_id, invite.from_.tag) == (first.call_id, first.from_.tag)
    assert invite.via.branch != first.via.branch
    ladder.assert_no_events()
    peer.invited = invite
    peer.respond(200, body=OFFER, extra={"Session-Expires": "1800;refresher=uac"})
    assert ladder.take_one("ACK").request.cseq.number == 2
    ladder.event(SessionAnswered)


def test_an_invite_that_is_always_422_fails() -> None:
    ladder = Ladder(POLICY)
    peer, _ = ladder.outgoing()
    for _ in range(3):
        peer.respond(422, extra={"Min-SE": "2000"})
        peer.invited = ladder.assert_sent(["ACK", "INVITE"])[1].request
    peer.respond(422, extra={"Min-SE": "2000"})
    ladder.assert_sent(["ACK"])
    assert ladder.event(InviteFailed).status == 422
    ladder.assert_nothing_left()


def test_giving_up_while_an_invite_is_repeated_cancels_the_new_one() -> None:
    ladder = Ladder(POLICY)
    peer, session = ladder.outgoing()
    peer.respond(422, extra={"Min-SE": "2000"})
    invite = ladder.assert_sent(["ACK", "INVITE"])[1].request
    peer.respond(180, invite)
    session.hangup(ladder.now)
    assert ladder.take_one("CANCEL").request.via.branch == invite.via.branch


def test_an_invite_with_too_short_an_interval_is_422() -> None:
    ladder = Ladder(POLICY)
    peer = Peer(ladder)
    peer.invite(extra={"Session-Expires": "60", "Supported": "timer"})
    assert ladder.take_one(422).response.get("Min-SE") == "90"
    ladder.assert_no_events()


def test_an_update_with_too_short_an_interval_is_422() -> None:
    ladder = Ladder(POLICY)
    peer, _ = ladder.answered()
    peer.send("UPDATE", extra={"Session-Expires": "60", "Supported": "timer"})
    assert ladder.take_one(422).response.get("Min-SE") == "90"


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ({"Session-Expires": "600;refresher=uac", "Supported": "timer"}, "600;refresher=uac"),
        ({"Session-Expires": "600;refresher=uas", "Supported": "timer"}, "600;refresher=uas"),
        ({"Session-Expires": "600", "Supported": "timer"}, "600;refresher=uac"),
        ({"x": "600", "k": "timer"}, "600;refresher=uac"),
        # a proxy asked for it: the caller does not know how
        ({"Session-Expires": "600"}, "600;refresher=uas"),
        ({"Session-Expires": "7200", "Supported": "timer"}, "1800;refresher=uac"),
        ({"Session-Expires": "7200", "Min-SE": "3600", "Supported": "timer"}, "3600;refresher=uac"),
        ({"Supported": "timer"}, "1800;refresher=uac"),
        ({}, None),
    ],
)
def test_the_interval_and_the_refresher_that_we_answer(asked: dict[str, str], answered: str | None) -> None:
    ladder = Ladder(POLICY)
    _, session = ladder.incoming(extra=asked)
    session.answer(ANSWER, ladder.now)
    assert ladder.take_one(200).response.get("Session-Expires") == answered


def test_as_callee_and_refresher_we_refresh() -> None:
    ladder = Ladder(POLICY)
    peer, _ = ladder.answered({"Session-Expires": "100;refresher=uas", "Supported": "timer", "Allow": UPDATE_ALLOWED})
    ladder.advance(50)
    update = ladder.take_one("UPDATE").request
    # RFC 4028 7.4: the roles are those of this transaction
    assert update.get("Session-Expires") == "100;refresher=uac"
    peer.respond(200, update, extra={"Session-Expires": "100;refresher=uac"})
    ladder.advance(50)
    ladder.assert_sent(["UPDATE"])


def test_a_peer_without_timers_may_hold_forever() -> None:
    ladder = Ladder(POLICY)
    _, session = ladder.connected()
    ladder.advance(86_400)
    ladder.assert_sent([])
    assert session.state is State.CONFIRMED


def test_a_refresh_without_a_timer_stops_the_timer() -> None:
    """RFC 4028 section 7.2: no Session-Expires in the 2xx, no session timer."""
    ladder, peer, session = we_refresh()
    ladder.advance(50)
    peer.respond(200, ladder.take_one("UPDATE").request)
    ladder.advance(86_400)
    ladder.assert_sent([])
    assert session.state is State.CONFIRMED


# -- glare ---------------------------------------------------------------------------------------------------


def retries_after_glare(ladder: Ladder, peer: Peer, draws: int) -> list[float]:
    waits = []
    for _ in range(draws):
        sent = ladder.take_one("UPDATE")
        peer.respond(491, sent.request)
        start = ladder.now
        while not ladder.sent:
            ladder.advance(0.01)
            assert ladder.now - start < 5
        waits.append(ladder.now - start)
    return waits


def test_a_refresh_in_glare_waits_longer_where_the_call_id_is_ours() -> None:
    ladder, peer, _ = we_refresh()
    ladder.advance(50)
    waits = retries_after_glare(ladder, peer, 3)
    assert all(2.09 <= wait <= 4.01 for wait in waits), waits
    peer.respond(200, ladder.take_one("UPDATE").request, extra={"Session-Expires": "100;refresher=uac"})
    ladder.assert_no_events()


def test_a_refresh_in_glare_waits_less_where_the_call_id_is_the_peers() -> None:
    ladder = Ladder(POLICY)
    peer, _ = ladder.answered({"Session-Expires": "100;refresher=uas", "Supported": "timer", "Allow": UPDATE_ALLOWED})
    ladder.advance(50)
    waits = retries_after_glare(ladder, peer, 3)
    assert all(0 <= wait <= 2.01 for wait in waits), waits


def test_the_peers_offer_takes_the_place_of_a_refresh_that_waits() -> None:
    ladder, peer, session = we_refresh()
    ladder.advance(50)
    peer.respond(491, ladder.take_one("UPDATE").request)
    peer.invite(HOLD, {"Session-Expires": "100;refresher=uas", "Supported": "timer"})
    ladder.event(OfferReceived)
    session.accept_offer(ANSWER, ladder.now)
    ladder.assert_sent([100, 200])
    peer.ack()
    ladder.advance(49)
    ladder.assert_sent([])
    ladder.advance(1.2)
    ladder.assert_sent(["UPDATE"])


def test_the_end_forgets_a_refresh_that_waits() -> None:
    ladder, peer, _ = we_refresh()
    ladder.advance(50)
    peer.respond(491, ladder.take_one("UPDATE").request)
    peer.send("BYE")
    ladder.assert_sent([200])
    ladder.advance(10)
    ladder.assert_sent([])
    ladder.event(SessionEnded)
    ladder.assert_nothing_left()


def test_nothing_waits_in_glare_after_the_end() -> None:
    ladder, peer, session = we_refresh()
    ladder.advance(50)
    update = ladder.take_one("UPDATE").request
    session.hangup(ladder.now)
    bye = ladder.take_one("BYE").request
    peer.respond(491, update)
    peer.respond(200, bye)
    ladder.advance(10)
    ladder.assert_sent([])
    ladder.assert_nothing_left()
