"""Phones that do not answer are not rung, and agents without any other are offered nothing."""

import pytest

from b2bua.sip.hop import Hop
from b2bua.sip.message import Request, Response
from tests.call.desk import ANNA, BEN, BUSINESS, CARRIER, SDP, Desk, Sent, answer, invite, names, only, register

HOME = Hop("udp", "10.0.0.3", 5060, "main")
#: ``register`` sends from a phone's own address, so that each phone registers its own contact.
CARLA = "+49302000102"
TWO_PHONES = BUSINESS.replace(
    '[{ contact = "sip:anna@10.0.0.1:5060" }]',
    '[{ contact = "sip:anna@10.0.0.1:5060" }, { contact = "sip:anna-home@10.0.0.3:5060" }]',
)


def asked(sent: list[Sent], hop: Hop) -> Request:
    request = only(sent, "OPTIONS", hop)
    assert isinstance(request, Request)
    return request


def answering(desk: Desk, seconds: float, *there: Hop) -> list[Sent]:
    """Let time pass; who is there answers every question. What else was sent."""
    out = []
    hosts = {hop.host: hop for hop in there}
    for _ in range(round(seconds * 10)):
        for item in desk.advance(0.1):
            if item.name == "OPTIONS" and item.hop.host in hosts:
                assert isinstance(item.message, Request)
                desk.receive(answer(item.message, 200, hop=hosts[item.hop.host]), hosts[item.hop.host])
            else:
                out.append(item)
    return out


def registers(desk: Desk, hop: Hop, expires: int = 600) -> list[Sent]:
    """Carla's phone there registers, while questions may be on their way; everything that is sent then."""
    sent: list[Sent] = []
    receive = desk.receive

    def without_questions(message: Request | Response | bytes, at: Hop) -> list[Sent]:
        sent[:] = receive(message, at)
        return [item for item in sent if isinstance(item.message, Response)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(desk, "receive", without_questions)
        assert register(desk, "carla", "secret", hop, expires).status == 200
    return sent


def test_without_an_interval_nobody_is_asked() -> None:
    assert "OPTIONS" not in names(Desk().advance(300))


def test_the_question_is_an_options_to_the_phone_itself() -> None:
    desk = Desk(options_seconds=60)
    request = asked(desk.advance(20.1), ANNA)
    assert request.uri == "sip:anna@10.0.0.1:5060"
    assert request.to.uri == "sip:anna@10.0.0.1:5060"
    assert request.get("Max-Forwards") == "70"
    assert request.get("Accept") == "application/sdp"
    assert request.contacts[0].uri.endswith("@198.51.100.1:5060")


def test_a_phone_that_gives_no_answer_is_not_rung_until_it_does() -> None:
    desk = Desk(options_seconds=60)
    answering(desk, 120, BEN)
    assert not desk.floor.is_reachable("anna")
    assert desk.floor.is_reachable("ben")
    out = desk.receive(invite(), CARRIER)
    assert names(out, ANNA) == []
    assert only(out, "INVITE", BEN)
    # it is asked on, and any answer brings it back
    back = desk.wait_for("OPTIONS", ANNA, 60)
    assert isinstance(back, Request)
    desk.receive(answer(back, 501), ANNA)
    assert desk.floor.is_reachable("anna")


def test_an_agent_with_another_phone_stays_in_reach() -> None:
    desk = Desk(options_seconds=60, business=TWO_PHONES)
    answering(desk, 120, HOME, BEN)
    assert desk.floor.is_reachable("anna")
    out = desk.receive(invite(), CARRIER)
    assert names(out, ANNA) == []
    assert only(out, "INVITE", HOME)


def test_when_the_last_phone_goes_waiting_callers_go_to_somebody_else() -> None:
    desk = Desk(options_seconds=60)
    answering(desk, 120)
    assert names(desk.receive(invite(), CARRIER), CARRIER) == [100, 480]


def test_a_transport_that_fails_is_an_answer_too() -> None:
    desk = Desk(options_seconds=60)
    asked(desk.advance(20.1), ANNA)
    desk.exchange.transport_failed(ANNA, desk.at)
    assert not desk.floor.is_reachable("anna")


def test_a_phone_that_is_rung_in_vain_is_asked_at_once() -> None:
    desk = Desk(options_seconds=3600)
    out = desk.receive(invite(), CARRIER)
    assert only(out, "INVITE", ANNA)
    desk.exchange.transport_failed(ANNA, desk.at)
    out = desk.sent()
    assert only(out, "INVITE", BEN)
    asked(out, ANNA)


def test_a_phone_that_registers_is_asked_at_once_and_rung_when_it_answers() -> None:
    desk = Desk(options_seconds=60)
    assert register(desk, "carla", "secret", HOME, expires=600).status == 200
    assert desk.floor.is_reachable("carla")
    answering(desk, 130, ANNA, BEN)
    assert not desk.floor.is_reachable("carla")
    assert names(desk.receive(invite(CARLA), CARRIER)) == [100, 480]
    # between two rounds: no question to her is on its way
    desk.wait_for("OPTIONS", HOME)
    answering(desk, 33, ANNA, BEN)
    again = registers(desk, HOME)
    request = asked(again, HOME)
    assert names(again, HOME) == [200, "OPTIONS"]
    assert not desk.floor.is_reachable("carla")
    desk.receive(answer(request, 200, hop=HOME), HOME)
    assert desk.floor.is_reachable("carla")
    assert only(desk.receive(invite(CARLA), CARRIER), "INVITE", HOME)


def test_a_second_phone_brings_an_agent_back_whose_first_gives_no_answer() -> None:
    desk = Desk(options_seconds=60)
    register(desk, "carla", "secret", HOME, expires=600)
    answering(desk, 130, ANNA, BEN)
    assert not desk.floor.is_reachable("carla")
    mobile = HOME._replace(host="10.0.0.4")
    registers(desk, mobile)
    assert desk.floor.is_reachable("carla")
    out = desk.receive(invite(CARLA), CARRIER)
    assert only(out, "INVITE", mobile)
    assert "INVITE" not in names(out, HOME)
    # and without it she is out of reach again
    offered = only(out, "INVITE", mobile)
    assert isinstance(offered, Request)
    desk.receive(answer(offered, 486, hop=mobile), mobile)
    registers(desk, mobile, expires=0)
    assert not desk.floor.is_reachable("carla")


def test_a_phone_that_is_gone_is_forgotten_and_new_when_it_comes_again() -> None:
    desk = Desk(options_seconds=60)
    register(desk, "carla", "secret", HOME, expires=600)
    answering(desk, 130, ANNA, BEN)
    assert not desk.floor.is_reachable("carla")
    registers(desk, HOME, expires=0)
    assert desk.exchange.controller.phones.dead == {}
    registers(desk, HOME)
    assert desk.floor.is_reachable("carla")


def test_a_call_in_progress_knows_nothing_of_it() -> None:
    desk = Desk(options_seconds=60)
    offered = only(desk.receive(invite(), CARRIER), "INVITE", ANNA)
    assert isinstance(offered, Request)
    desk.receive(answer(offered, 200, SDP), ANNA)
    out = answering(desk, 30)
    assert "BYE" not in names(out, ANNA)
