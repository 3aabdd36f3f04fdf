"""Everything else inside and outside of dialogs: INFO, OPTIONS, order, routes, and what is refused."""

import pytest

from b2bua.sip.events import (
    InfoAnswered,
    InfoReceived,
    InviteReceived,
    RequestReceived,
    SessionAnswered,
    SessionEnded,
)
from b2bua.sip.hop import Hop
from b2bua.sip.session_states import State
from tests.sip.ladder import ANSWER, OFFER, TCP, UDP, Ladder, Peer

DTMF = "application/dtmf-relay"


# -- INFO ----------------------------------------------------------------------------------------------------


def test_an_info_is_told_and_answered() -> None:
    ladder = Ladder()
    peer, session = ladder.answered()
    peer.send("INFO", body=b"Signal=5\r\n", extra={"Content-Type": DTMF})
    ladder.assert_sent([])
    info = ladder.event(InfoReceived)
    assert (info.session, info.content_type, info.body) == (session, DTMF, b"Signal=5\r\n")
    session.answer_request(info.transaction, 200, ladder.now)
    ladder.assert_sent([200])
    peer.send("BYE")
    ladder.assert_nothing_left()


def test_an_info_that_is_answered_late_gets_a_100_meanwhile() -> None:
    """RFC 4320 section 4.1: not before timer E of the client has reached T2."""
    ladder = Ladder()
    peer, session = ladder.answered()
    peer.send("INFO")
    info = ladder.event(InfoReceived)
    ladder.advance(3.4)
    ladder.assert_sent([])
    ladder.advance(0.2)
    ladder.assert_sent([100])
    session.answer_request(info.transaction, 200, ladder.now)
    ladder.assert_sent([200])


@pytest.mark.parametrize(("after", "status"), [(40, 200), (40, 408), (31.99, 408)])
def test_an_info_that_is_answered_too_late_is_not_answered(after: float, status: int) -> None:
    """RFC 4320 section 4.2: a 408 to anything but INVITE comes too late in any case."""
    ladder = Ladder()
    peer, session = ladder.answered()
    peer.send("INFO")
    info = ladder.event(InfoReceived)
    ladder.advance(after)
    ladder.assert_sent([100])
    session.answer_request(info.transaction, status, ladder.now)
    ladder.assert_sent([])
    assert session.state is State.CONFIRMED
    peer.send("BYE")
    ladder.assert_nothing_left()


def test_our_info_brings_its_token_back() -> None:
    ladder = Ladder()
    peer, session = ladder.connected()
    token = object()
    session.send_info(DTMF, b"Signal=5\r\n", token, ladder.now)
    info = ladder.take_one("INFO").request
    assert (info.body, info.get("Content-Type"), info.cseq.number) == (b"Signal=5\r\n", DTMF, 2)
    peer.respond(200, info)
    answered = ladder.event(InfoAnswered)
    assert (answered.session, answered.token, answered.status) == (session, token, 200)


def test_our_info_is_refused_or_lost_without_harm() -> None:
    ladder = Ladder()
    peer, session = ladder.connected()
    session.send_info(DTMF, b"", 1, ladder.now)
    peer.respond(415, ladder.take_one("INFO").request)
    assert ladder.event(InfoAnswered).status == 415
    session.send_info(DTMF, b"", 2, ladder.now)
    ladder.advance(32)
    answered = ladder.event(InfoAnswered)
    assert (answered.token, answered.status) == (2, 408)
    assert ladder.event(SessionEnded).cause == "peer_lost"


def test_our_info_meets_no_dialog() -> None:
    ladder = Ladder()
    peer, session = ladder.connected()
    session.send_info(DTMF, b"", 1, ladder.now)
    peer.respond(481, ladder.take_one("INFO").request)
    assert ladder.event(InfoAnswered).status == 481
    assert ladder.event(SessionEnded).cause == "peer_lost"
    ladder.assert_sent(["BYE"])


def test_no_info_outside_a_standing_session() -> None:
    ladder = Ladder()
    _, session = ladder.outgoing()
    session.send_info(DTMF, b"", 1, ladder.now)
    assert ladder.event(InfoAnswered).status == 481
    ladder.assert_sent([])


def test_an_info_before_our_answer_is_500() -> None:
    ladder = Ladder()
    peer, session = ladder.incoming()
    session.ring(ladder.now)
    peer.learn(ladder.take_one(180).response)
    peer.send("INFO")
    ladder.assert_sent([500])
    ladder.assert_no_events()


# -- OPTIONS, and order --------------------------------------------------------------------------------------


def test_options_outside_a_dialog_tell_what_we_can() -> None:
    ladder = Ladder()
    Peer(ladder).send("OPTIONS")
    answer = ladder.take_one(200).response
    assert {"INVITE", "BYE", "UPDATE", "INFO", "OPTIONS", "REGISTER"} <= set(answer.values("Allow"))
    assert (answer.get("Accept"), answer.get("Supported")) == ("application/sdp", "timer")
    assert ladder.endpoint.layer.server_count == 0
    ladder.assert_no_events()


def test_options_inside_a_dialog() -> None:
    ladder = Ladder()
    peer, _ = ladder.answered()
    peer.send("OPTIONS")
    assert "UPDATE" in (ladder.take_one(200).response.get("Allow") or "")
    peer.send("BYE")
    ladder.assert_sent([200])
    ladder.assert_nothing_left()


def test_a_request_with_an_old_number_is_500() -> None:
    """RFC 3261 section 12.2.2."""
    ladder = Ladder()
    peer, session = ladder.answered()
    peer.send("OPTIONS", 20)
    ladder.assert_sent([200])
    peer.send("BYE", 19)
    peer.send("BYE", 20)
    ladder.assert_sent([500, 500])
    assert session.state is State.CONFIRMED
    # gaps are allowed
    peer.send("BYE", 300)
    ladder.assert_sent([200])


@pytest.mark.parametrize("method", ["BYE", "INVITE", "UPDATE", "INFO", "OPTIONS"])
def test_a_request_of_an_unknown_dialog_is_481(method: str) -> None:
    ladder = Ladder()
    peer = Peer(ladder)
    peer.remote += ";tag=unknown"
    peer.send(method)
    ladder.assert_sent([481])
    ladder.assert_no_events()
    assert ladder.endpoint.layer.server_count == 0


@pytest.mark.parametrize("method", ["BYE", "UPDATE", "INFO"])
def test_a_request_that_needs_a_dialog_and_names_none_is_481(method: str) -> None:
    ladder = Ladder()
    Peer(ladder).send(method)
    ladder.assert_sent([481])


def test_a_strangers_bye_does_not_end_our_call() -> None:
    """Call-ID and our tag are not enough: the caller's tag belongs to the dialog too."""
    ladder = Ladder()
    peer, session = ladder.answered()
    peer.local = "<sip:caller@peer.example>;tag=stranger"
    peer.send("BYE")
    ladder.assert_sent([481])
    assert session.state is State.CONFIRMED


def test_a_request_after_the_end_is_481() -> None:
    ladder = Ladder()
    peer, _ = ladder.answered()
    peer.send("BYE")
    peer.send("INFO")
    ladder.assert_sent([200, 481])


def test_an_ack_of_an_unknown_dialog_is_silently_dropped() -> None:
    ladder = Ladder()
    peer = Peer(ladder)
    peer.remote += ";tag=unknown"
    peer.send("ACK", 1)
    ladder.assert_sent([])
    ladder.assert_nothing_left()


# -- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["SUBSCRIBE", "MESSAGE", "REFER", "PUBLISH", "PRACK", "NOTIFY"])
def test_a_method_that_we_do_not_allow_is_405(method: str) -> None:
    ladder = Ladder()
    Peer(ladder).send(method)
    assert "INVITE" in (ladder.take_one(405).response.get("Allow") or "")


def test_a_method_that_nobody_knows_is_501() -> None:
    ladder = Ladder()
    Peer(ladder).send("FROBNICATE")
    assert ladder.take_one(501).response.get("Allow")


@pytest.mark.parametrize("method", ["REFER", "SUBSCRIBE"])
def test_a_method_that_we_do_not_allow_in_a_dialog_is_405(method: str) -> None:
    ladder = Ladder()
    peer, session = ladder.answered()
    peer.send(method)
    assert ladder.take_one(405).response.get("Allow")
    assert session.state is State.CONFIRMED


def test_what_a_request_requires_and_we_cannot_is_420() -> None:
    ladder = Ladder()
    peer = Peer(ladder)
    peer.invite(extra={"Require": "timer, 100rel, gruu"})
    assert ladder.take_one(420).response.get("Unsupported") == "100rel, gruu"
    peer.invite(extra={"Require": "timer", "Supported": "timer"})
    ladder.event(InviteReceived)
    ladder.assert_sent([])


def test_what_a_request_in_a_dialog_requires_is_420() -> None:
    ladder = Ladder()
    peer, _ = ladder.answered()
    peer.send("INFO", extra={"Require": "100rel"})
    ladder.assert_sent([420])
    ladder.assert_no_events()


def test_an_invite_that_has_gone_too_far_is_483() -> None:
    ladder = Ladder()
    Peer(ladder).invite(extra={"Max-Forwards": "0"})
    ladder.assert_sent([483])
    Peer(ladder).invite(extra={"Max-Forwards": "1"})
    ladder.event(InviteReceived)


def test_the_same_invite_by_another_way_is_482() -> None:
    """RFC 3261 section 8.2.2.2."""
    ladder = Ladder()
    peer, _ = ladder.incoming()
    invite = peer.write("INVITE", 1, OFFER)
    ladder.receive(invite)
    ladder.assert_sent([482])
    ladder.assert_no_events()


def test_a_new_attempt_with_the_next_number_is_no_merger() -> None:
    """A challenged or refused INVITE comes again with the same Call-ID and tag (RFC 3261 section 8.1.3.5)."""
    ladder = Ladder()
    peer, session = ladder.incoming()
    session.refuse(401, ladder.now)
    peer.ack_refusal(ladder.take_one(401).response)
    peer.invite()
    ladder.event(InviteReceived)
    ladder.assert_sent([])


def test_an_invite_without_contact_is_400() -> None:
    """RFC 3261 section 8.1.1.8: where should our BYE go?"""
    ladder = Ladder()
    invite = Peer(ladder).write("INVITE", body=OFFER)
    invite.remove("Contact")
    ladder.receive(invite)
    ladder.assert_sent([400])


def test_an_invite_of_old_without_contact_is_answered_to_its_from() -> None:
    """RFC 2543 wanted no Contact, and had no magic cookie."""
    ladder = Ladder()
    peer = Peer(ladder)
    peer.local = "<sip:old@192.0.2.44:5077>;tag=peer"
    invite = peer.write("INVITE", body=OFFER, branch="1")
    invite.remove("Contact")
    ladder.receive(invite)
    session = ladder.event(InviteReceived).session
    session.answer(ANSWER, ladder.now)
    peer.last = invite
    peer.learn(ladder.take_one(200).response)
    peer.ack()
    session.hangup(ladder.now)
    bye = ladder.take_one("BYE")
    assert (bye.request.uri, bye.hop.host, bye.hop.port) == ("sip:old@192.0.2.44:5077", "192.0.2.44", 5077)


@pytest.mark.parametrize("route", ["garbage", "<sip:>", "<http://proxy.example>", '"', "<sip:a@b c>", "<sip:p1;lr>,,"])
def test_an_invite_with_a_broken_route_is_400(route: str) -> None:
    ladder = Ladder()
    Peer(ladder).invite(extra={"Record-Route": route})
    ladder.assert_sent([400])
    ladder.assert_no_events()


@pytest.mark.parametrize("route", ["garbage", "<sip:>", "<http://proxy.example>", '"', "<sip:a@b c>"])
def test_an_answer_with_a_broken_route_still_makes_a_dialog(route: str) -> None:
    ladder = Ladder()
    peer, session = ladder.outgoing()
    peer.respond(200, body=OFFER, extra={"Record-Route": route})
    ladder.assert_sent(["ACK"])
    ladder.event(SessionAnswered)
    session.hangup(ladder.now)
    peer.respond(200, ladder.take_one("BYE").request)
    ladder.assert_nothing_left()


@pytest.mark.parametrize("contact", ["<tel:+492214710>", "<sip:>", "<mailto:x@y>", "<sip:x@y:99999>"])
def test_an_answer_with_a_useless_contact_is_answered_where_it_came_from(contact: str) -> None:
    ladder = Ladder()
    peer, session = ladder.outgoing()
    peer.contact = contact
    peer.respond(200, body=OFFER)
    assert ladder.take_one("ACK").hop == UDP
    session.hangup(ladder.now)
    assert ladder.take_one("BYE").hop == UDP


def test_the_same_stateless_refusal_for_the_same_request() -> None:
    """RFC 3261 section 8.2.7: also the To tag."""
    ladder = Ladder()
    request = Peer(ladder).send("OPTIONS")
    ladder.receive(request)
    first, second = ladder.assert_sent([200, 200])
    assert first.response.to.tag == second.response.to.tag


def test_a_register_is_the_applications() -> None:
    ladder = Ladder()
    peer = Peer(ladder)
    register = peer.send("REGISTER")
    received = ladder.event(RequestReceived)
    assert received.hop == UDP
    ladder.endpoint.respond(received.transaction, 200, ladder.now, [("Expires", "60")])
    ladder.receive(register)
    first, second = ladder.assert_sent([200, 200])
    assert first.message.encode() == second.message.encode()
    ladder.assert_no_events()
    ladder.assert_nothing_left()


# -- routes --------------------------------------------------------------------------------------------------

ROUTES = "<sip:p1.example;lr>, <sip:p2.example:5080;lr>"


def test_the_routes_of_a_caller_are_taken_in_their_order() -> None:
    ladder = Ladder()
    peer, session = ladder.incoming({"Record-Route": ROUTES})
    session.ring(ladder.now)
    session.answer(ANSWER, ladder.now)
    ringing, success = ladder.assert_sent([180, 200])
    # RFC 3261 12.1.1: copied as they came
    assert ringing.response.values("Record-Route") == ROUTES.split(", ")
    assert success.response.values("Record-Route") == ROUTES.split(", ")
    peer.learn(success.response)
    peer.ack()
    session.hangup(ladder.now)
    bye = ladder.take_one("BYE")
    assert bye.request.values("Route") == ROUTES.split(", ")
    assert bye.request.uri == "sip:peer@192.0.2.1:5060"
    assert bye.hop[:3] == ("udp", "p1.example", 0)


def test_the_routes_of_a_callee_are_taken_backwards() -> None:
    ladder = Ladder()
    peer, session = ladder.outgoing()
    peer.respond(200, body=OFFER, extra={"Record-Route": ROUTES})
    ack = ladder.take_one("ACK")
    assert ack.request.values("Route") == ROUTES.split(", ")[::-1]
    assert ack.hop[:3] == ("udp", "p2.example", 5080)
    session.hangup(ladder.now)
    assert ladder.take_one("BYE").request.values("Route") == ROUTES.split(", ")[::-1]


def test_a_strict_router_gets_itself_as_the_request_uri() -> None:
    """RFC 3261 section 12.2.1.1."""
    ladder = Ladder()
    peer, session = ladder.incoming({"Record-Route": "<sip:strict.example>, <sip:p2.example;lr>"})
    session.answer(ANSWER, ladder.now)
    peer.learn(ladder.take_one(200).response)
    peer.ack()
    session.hangup(ladder.now)
    bye = ladder.take_one("BYE")
    assert bye.request.uri == "sip:strict.example"
    assert bye.request.values("Route") == ["<sip:p2.example;lr>", "<sip:peer@192.0.2.1:5060>"]
    assert bye.hop.host == "strict.example"


def test_a_reinvite_does_not_change_the_routes() -> None:
    ladder = Ladder()
    peer, session = ladder.answered({"Record-Route": ROUTES})
    peer.invite(OFFER, {"Record-Route": "<sip:p9.example;lr>"})
    ladder.assert_sent([100, 200])
    peer.ack()
    session.hangup(ladder.now)
    assert ladder.take_one("BYE").request.values("Route") == ROUTES.split(", ")


def test_preloaded_routes_are_sent_with_the_invite() -> None:
    ladder = Ladder()
    peer, session = ladder.outgoing(routes=["<sip:edge.example;lr>"])
    assert peer.invited is not None
    assert peer.invited.get("Route") == "<sip:edge.example;lr>"
    peer.respond(180)
    session.hangup(ladder.now)
    # RFC 3261 9.1: the CANCEL takes the same way
    assert ladder.take_one("CANCEL").request.get("Route") == "<sip:edge.example;lr>"


def test_the_connection_that_the_peer_uses_last_is_the_one_to_use() -> None:
    """RFC 3261 section 18.1.1: a phone that lost its connection comes back over another."""
    ladder = Ladder()
    peer, session = ladder.answered(hop=TCP)
    peer.hop = Hop("tcp", "192.0.2.1", 40999, "trunk-tcp", 8)
    peer.send("OPTIONS")
    assert ladder.take_one(200).hop.connection == 8
    session.hangup(ladder.now)
    assert ladder.take_one("BYE").hop == peer.hop


def test_thousands_of_refusals_leave_nothing() -> None:
    ladder = Ladder()
    for _ in range(1000):
        peer = Peer(ladder)
        peer.send("SUBSCRIBE")
        peer.send("OPTIONS")
        peer.send("BYE")
    assert len(ladder.take()) == 3000
    assert ladder.endpoint.layer.server_count == 0
    assert len(ladder.endpoint.timers) == 0
