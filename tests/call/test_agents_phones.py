"""Agents with several phones: together, in order, over the trunk; and one call at a time at all of them."""

import pytest

from b2bua.sip.hop import Hop
from b2bua.sip.message import Request, Response
from routing.floor import AgentState
from tests.call.desk import (
    ANNA,
    BEN,
    CARRIER,
    SDP,
    Desk,
    Sent,
    answer,
    cancel,
    from_phone,
    invite,
    names,
    only,
    register,
    within,
)

HOME = Hop("udp", "10.0.0.3", 5060, "main")
MOBILE = "+491713920012"

BUSINESS = """
[[tariffs]]
name = "minute"
per_minute = "1.00"

[[agents]]
id = "anna"
name = "Anna"
ring = "in_order"
endpoints = [
    { username = "desk", password = "secret" },
    { contact = "sip:anna@10.0.0.1:5060" },
    { number = "+491713920012" },
]

[[agents]]
id = "ben"
name = "Ben"
endpoints = [{ contact = "sip:ben@10.0.0.2:5060" }, { contact = "sip:ben-home@10.0.0.3:5060" }]

[[groups]]
id = "all"
name = "All"
members = ["anna", "ben"]

[[contracts]]
id = "in-order"
customer = "Kanzlei Berger"
greeting = "Kanzlei Berger, guten Tag!"
target_numbers = ["+49302000100"]
plan = [{ agent = "anna", ring_seconds = 30 }, { agent = "ben", ring_seconds = 20 }]
tariff = "minute"

[[contracts]]
id = "together"
customer = "Elektro Sommer"
target_numbers = ["+49302000101"]
plan = [{ agent = "ben", ring_seconds = 20 }]
if_nobody = { status = 486 }
tariff = "minute"

[[contracts]]
id = "queue"
customer = "Praxis Winter"
target_numbers = ["+49302000102"]
plan = [{ agent = "anna", ring_seconds = 20, patience_seconds = 300 }]
tariff = "minute"
"""
TOGETHER = "+49302000101"
QUEUE = "+49302000102"


def at_work() -> Desk:
    """Anna's desk phone is not registered: her fixed phone is the first, her mobile the second."""
    return Desk(business=BUSINESS)


def rings(sent: list[Sent], hop: Hop) -> Request:
    request = only(sent, "INVITE", hop)
    assert isinstance(request, Request)
    return request


def hangs_up(desk: Desk, request: Request, accepted: Response | Request) -> list[Sent]:
    assert isinstance(accepted, Response)
    desk.receive(within(request, accepted, "ACK", 1), CARRIER)
    return desk.receive(within(request, accepted, "BYE", 2), CARRIER)


# -- in order --------------------------------------------------------------------------------------------


def test_the_desk_phone_rings_first_and_the_mobile_after_ten_seconds() -> None:
    desk = at_work()
    request = invite()
    out = desk.receive(request, CARRIER)
    assert names(out) == [100, "INVITE"]
    first = rings(out, ANNA)
    desk.receive(answer(first, 180), ANNA)
    assert desk.advance(9.9) == []
    out = desk.advance(0.2)
    assert only(out, "CANCEL", ANNA)
    mobile = rings(out, CARRIER)
    assert mobile.uri == f"sip:{MOBILE}@192.0.2.1"
    # the last phone rings as long as the offer stands: 30 seconds in all
    assert "CANCEL" not in names(desk.advance(15), CARRIER)
    desk.receive(answer(mobile, 180, hop=CARRIER), CARRIER)
    out = desk.receive(answer(mobile, 200, SDP, hop=CARRIER), CARRIER)
    assert names(out, CARRIER) == ["ACK", 200]
    desk.receive(answer(first, 487), ANNA)
    desk.advance(10)
    hangs_up(desk, request, only(out, 200, CARRIER))
    assert (desk.record.agent, desk.record.result) == ("anna", "answered")
    assert round(desk.record.talked_ns / 1e9) == 10
    desk.assert_quiet()


def test_every_phone_registered_under_one_name_rings_in_its_turn() -> None:
    desk = at_work()
    assert register(desk, "desk", "secret", HOME).status == 200
    second = HOME._replace(host="10.0.0.4")
    assert register(desk, "desk", "secret", second).status == 200
    out = desk.receive(invite(), CARRIER)
    refused, other = rings(out, HOME), rings(out, second)
    # one of the two refuses: the other still rings, and nobody else yet
    assert names(desk.receive(answer(refused, 486), HOME)) == ["ACK"]
    desk.receive(answer(other, 180, hop=second), second)
    out = desk.advance(10.1)
    assert names(out) == ["CANCEL", "INVITE"]
    rings(out, ANNA)
    rings(desk.advance(10), CARRIER)


@pytest.mark.parametrize("status", [404, 408, 480, 486, 500, 503])
def test_what_refuses_lets_the_next_phone_ring_at_once(status: int) -> None:
    desk = at_work()
    first = rings(desk.receive(invite(), CARRIER), ANNA)
    out = desk.receive(answer(first, status), ANNA)
    assert names(out) == ["ACK", "INVITE"]
    rings(out, CARRIER)
    assert desk.floor.agent_state("anna") is AgentState.OFFERED


def test_a_phone_that_is_not_there_costs_no_time() -> None:
    desk = at_work()
    rings(desk.receive(invite(), CARRIER), ANNA)
    desk.exchange.transport_failed(ANNA, desk.at)
    rings(desk.sent(), CARRIER)


@pytest.mark.parametrize("status", [600, 603, 606])
def test_who_declines_declines_at_all_phones(status: int) -> None:
    desk = at_work()
    first = rings(desk.receive(invite(), CARRIER), ANNA)
    out = desk.receive(answer(first, status), ANNA)
    assert names(out) == ["ACK", "INVITE", "INVITE"]
    rings(out, BEN)
    assert names(out, CARRIER) == []


def test_when_all_phones_have_refused_the_next_agent_is_asked() -> None:
    desk = at_work()
    first = rings(desk.receive(invite(), CARRIER), ANNA)
    mobile = rings(desk.receive(answer(first, 486), ANNA), CARRIER)
    out = desk.receive(answer(mobile, 480, hop=CARRIER), CARRIER)
    assert names(out, CARRIER) == ["ACK"]
    rings(out, BEN)
    rings(out, HOME)


def test_the_offer_ends_whichever_phone_rings_and_no_other_begins() -> None:
    desk = Desk(business=BUSINESS.replace("ring_seconds = 30", "ring_seconds = 8"))
    first = rings(desk.receive(invite(), CARRIER), ANNA)
    desk.receive(answer(first, 180), ANNA)
    out = desk.advance(8.1)
    assert only(out, "CANCEL", ANNA)
    rings(out, BEN)
    assert "INVITE" not in names(desk.advance(5), CARRIER)


def test_a_caller_who_gives_up_stops_the_phones_and_their_order() -> None:
    desk = at_work()
    request = invite()
    first = rings(desk.receive(request, CARRIER), ANNA)
    desk.receive(answer(first, 180), ANNA)
    out = desk.receive(cancel(request), CARRIER)
    assert names(out, ANNA) == ["CANCEL"]
    desk.receive(answer(first, 487), ANNA)
    assert "INVITE" not in names(desk.advance(60))
    assert desk.record.result == "abandoned"
    desk.assert_quiet()


def test_an_answer_ends_the_order() -> None:
    desk = at_work()
    first = rings(desk.receive(invite(), CARRIER), ANNA)
    desk.advance(9)
    desk.receive(answer(first, 200, SDP), ANNA)
    assert "INVITE" not in names(desk.advance(5))


def test_an_answer_that_crosses_the_end_of_its_turn_is_hung_up_and_the_offer_stands() -> None:
    desk = at_work()
    first = rings(desk.receive(invite(), CARRIER), ANNA)
    desk.receive(answer(first, 180), ANNA)
    mobile = rings(desk.advance(10.1), CARRIER)
    out = desk.receive(answer(first, 200, SDP), ANNA)
    assert names(out) == ["ACK", "BYE"]
    assert desk.kinds == []
    out = desk.receive(answer(mobile, 200, SDP, tag="mobile", hop=CARRIER), CARRIER)
    assert names(out, CARRIER) == ["ACK", 200]
    assert desk.kinds == ["connected"]


# -- over the trunk --------------------------------------------------------------------------------------


def test_the_mobile_is_called_as_a_forwarded_call() -> None:
    desk = at_work()
    first = rings(desk.receive(invite(), CARRIER), ANNA)
    assert first.get("Diversion") is None
    mobile = rings(desk.receive(answer(first, 486), ANNA), CARRIER)
    assert mobile.from_.uri == "sip:+4940123456@service.example"
    assert mobile.get("P-Asserted-Identity") == "<sip:+49302000100@service.example>"
    assert "+49302000100" in (mobile.get("Diversion") or "")
    assert mobile.get("History-Info")
    # what is for agents' phones alone is not for carriers
    assert mobile.get("X-Greeting") is None


def test_what_the_mobile_network_says_before_the_answer_is_not_for_the_caller() -> None:
    desk = at_work()
    first = rings(desk.receive(invite(), CARRIER), ANNA)
    mobile = rings(desk.receive(answer(first, 486), ANNA), CARRIER)
    out = desk.receive(answer(mobile, 183, SDP, hop=CARRIER), CARRIER)
    assert names(out) == [180]


def test_without_a_way_out_there_is_no_mobile() -> None:
    only_mobile = BUSINESS.replace('    { contact = "sip:anna@10.0.0.1:5060" },\n', "")
    desk = Desk(business=only_mobile, proxy="")
    assert not desk.floor.is_reachable("anna")
    assert names(desk.receive(invite(), CARRIER)) == [100, "INVITE", "INVITE"]
    desk = Desk(business=only_mobile)
    assert desk.floor.is_reachable("anna")
    rings(desk.receive(invite(), CARRIER), CARRIER)


# -- one call at a time ----------------------------------------------------------------------------------


def test_two_callers_never_ring_at_two_phones_of_one_agent() -> None:
    desk = at_work()
    out = desk.receive(invite(TOGETHER), CARRIER)
    office, home = rings(out, BEN), rings(out, HOME)
    # the second caller finds nobody, though two phones are there
    assert names(desk.receive(invite(TOGETHER), CARRIER)) == [100, 486]
    desk.receive(answer(home, 180, hop=HOME), HOME)
    desk.receive(answer(office, 180, hop=BEN), BEN)
    out = desk.receive(answer(home, 200, SDP, hop=HOME), HOME)
    assert only(out, "CANCEL", BEN).get("Reason") == 'SIP;cause=200;text="Call completed elsewhere"'
    assert only(out, 200, CARRIER)
    # nor while they talk
    assert names(desk.receive(invite(TOGETHER), CARRIER)) == [100, 486]


def test_both_phones_answer_at_once_and_one_is_hung_up() -> None:
    desk = at_work()
    out = desk.receive(invite(TOGETHER), CARRIER)
    office, home = rings(out, BEN), rings(out, HOME)
    desk.receive(answer(home, 180, hop=HOME), HOME)
    desk.receive(answer(office, 180, hop=BEN), BEN)
    assert only(desk.receive(answer(home, 200, SDP, tag="home", hop=HOME), HOME), 200, CARRIER)
    out = desk.receive(answer(office, 200, SDP, tag="office", hop=BEN), BEN)
    assert names(out) == ["ACK", "BYE"]
    assert desk.kinds == ["connected"]


def test_the_second_caller_waits_while_the_first_goes_from_phone_to_phone_and_talks() -> None:
    desk = at_work()
    first = rings(desk.receive(invite(QUEUE), CARRIER), ANNA)
    desk.receive(answer(first, 180), ANNA)
    assert names(desk.receive(invite(QUEUE), CARRIER)) == [100, 180], "hears it ring, though nothing does"
    out = desk.advance(10.1)
    assert names(out) == ["CANCEL", "INVITE"], "the first caller's turn to the mobile, and nothing for the second"
    desk.receive(answer(first, 487), ANNA)
    mobile = rings(out, CARRIER)
    out = desk.receive(answer(mobile, 200, SDP, hop=CARRIER), CARRIER)
    assert names(out) == ["ACK", 200]
    assert "INVITE" not in names(desk.advance(25))
    # the agent hangs up the mobile: now the second caller's turn begins with the desk phone
    bye = from_phone(mobile, "BYE", 2, hop=CARRIER)
    out = desk.receive(bye, CARRIER)
    assert names(out).count("INVITE") == 1
    rings(out, ANNA)
