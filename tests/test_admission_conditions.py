"""Who calls, when, and how it was forwarded: what changes within the contract, and what never does."""

from dataclasses import replace

import pytest

from b2bua.sip.message import Request
from routing.conditions import BlockedCaller, Conditions, Variant, VipCaller
from routing.contract import Contract
from routing.hours import parse_rule
from routing.plan import Refusal, Step, Voicemail
from tests.call.desk import ANNA, BEN, CARRIER, Desk, Sent, invite, names, only

BEN_ALONE = (Step("agent", "ben", agents=("ben",)),)
OWN = "Kanzlei Berger, guten Tag!"


def desk_with(conditions: Conditions) -> Desk:
    """The first contract has the conditions. The desk's clock begins on a Sunday, at 17:08 in Berlin."""

    def change(contract: Contract) -> Contract:
        return replace(contract, conditions=conditions) if contract.id == "one-after-the-other" else contract

    return Desk(change=change)


def call(desk: Desk, caller: str = "+4940123456", **extra: str) -> list[Sent]:
    fields = {"From": f'"Somebody" <sip:{caller}@carrier.example>;tag=1', **extra}
    return desk.receive(invite(extra=fields), CARRIER)


def greeted(out: list[Sent]) -> str | None:
    (request,) = [sent.message for sent in out if sent.name == "INVITE"]
    assert isinstance(request, Request)
    return request.get("X-Greeting")


def test_on_sundays_another_rings_and_says_something_else() -> None:
    sunday = Variant("sunday", (parse_rule("sun"),), "Notdienst Kanzlei Berger", plan=BEN_ALONE)
    desk = desk_with(Conditions(variants=(sunday,)))
    out = call(desk)
    assert names(out, BEN) == ["INVITE"]
    assert greeted(out) == "Notdienst Kanzlei Berger"
    # ten hours later it is Monday, and Anna first as always
    desk = desk_with(Conditions(variants=(sunday,)))
    desk.now += 10 * 3600
    out = call(desk)
    assert names(out, ANNA) == ["INVITE"]
    assert greeted(out) == OWN


def test_when_it_is_closed_nobody_rings_and_the_status_is_the_variants() -> None:
    closed = Variant("closed", (parse_rule("always"),), plan=(), if_nobody=Refusal(486))
    desk = desk_with(Conditions(opening_hours=(parse_rule("mon-fri 08:00-18:00"),), variants=(closed,)))
    assert names(call(desk)) == [100, 486]
    assert desk.record.contract == "one-after-the-other"
    desk.assert_quiet()


@pytest.mark.parametrize("caller", ["+49900123", "0900123", "0049900123"])
def test_a_blocked_caller_is_declined_however_the_carrier_writes_the_number(caller: str) -> None:
    desk = desk_with(Conditions(blocked_callers=(BlockedCaller("+49900*"),)))
    assert names(call(desk, caller)) == [603]
    assert desk.journal == []
    desk.assert_quiet()


def test_others_are_not_blocked() -> None:
    desk = desk_with(Conditions(blocked_callers=(BlockedCaller("+49900*"), BlockedCaller("anonymous"))))
    assert names(call(desk), ANNA) == ["INVITE"]


def test_who_hides_the_number_may_be_blocked() -> None:
    desk = desk_with(Conditions(blocked_callers=(BlockedCaller("anonymous"),)))
    assert names(call(desk, Privacy="id")) == [603]


def test_a_blocked_caller_may_hear_why_and_it_costs_nothing() -> None:
    desk = desk_with(Conditions(blocked_callers=(BlockedCaller("+49900*", "closed"),)))
    out = call(desk, "+49900123")
    assert 200 in names(out, CARRIER)
    assert "INVITE" not in names(out)
    assert desk.hears() == ("closed",)
    desk.wait(6)
    assert desk.kinds == ["ended"]
    assert (desk.record.result, desk.record.answered_ns) == ("no_agent", 0)


def test_a_vip_gets_the_plan_of_their_variant() -> None:
    vip = Conditions(variants=(Variant("vip", plan=BEN_ALONE),), vip_callers=(VipCaller("+4940123456", 5, "vip"),))
    assert names(call(desk_with(vip)), BEN) == ["INVITE"]
    assert names(call(desk_with(vip), "+4940999"), ANNA) == ["INVITE"]


def test_a_vip_waits_with_more_priority() -> None:
    desk = desk_with(Conditions(vip_callers=(VipCaller("+4940123456", 5),)))
    call(desk)
    (live,) = desk.exchange.controller.calls.values()
    assert live.contract.waiting.priority == 5


@pytest.mark.parametrize(
    ("reason", "greeting"),
    [("user-busy", "Gerade besetzt"), ("no-answer", "Niemand da"), ("unconditional", OWN), ("", OWN)],
)
def test_each_kind_of_forwarding_has_its_greeting(reason: str, greeting: str) -> None:
    desk = desk_with(Conditions(greetings={"busy": "Gerade besetzt", "no_answer": "Niemand da"}))
    out = call(desk, Diversion=f"<sip:+4930555@carrier.example>;reason={reason}") if reason else call(desk)
    assert greeted(out) == greeting


def test_conditions_of_one_contract_are_nothing_to_another() -> None:
    desk = desk_with(
        Conditions(
            blocked_callers=(BlockedCaller("*"),), variants=(Variant("v", (parse_rule("always"),), plan=BEN_ALONE),)
        )
    )
    other = desk.receive(invite("+49302000101"), CARRIER)
    assert sorted(map(str, names(other))) == ["100", "INVITE", "INVITE"]
    assert names(call(desk)) == [603]


def test_a_caller_with_our_own_number_is_no_other_contracts_caller() -> None:
    desk = desk_with(Conditions(vip_callers=(VipCaller("+49302000101", 9),)))
    out = call(desk, "+49302000101")
    assert greeted(out) == OWN
    assert only(out, "INVITE").from_.display == "Kanzlei Berger"


def test_after_hours_a_caller_may_leave_a_message_while_nobody_rings() -> None:
    closed = Variant("closed", (parse_rule("always"),), plan=(), overflow=Voicemail("info@example.com"))
    desk = desk_with(Conditions(opening_hours=(parse_rule("mon-fri 08:00-18:00"),), variants=(closed,)))
    out = call(desk)
    assert "INVITE" not in names(out)
    assert desk.hears() == ("de/voicemail/record", "tone/record")
