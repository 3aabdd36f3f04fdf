"""What holds for one call: by the hour, by the caller, by the kind of forwarding; and never another contract."""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.conditions import BlockedCaller, Conditions, Variant, VipCaller
from routing.contract import Contract, ContractNumber, Waiting
from routing.directory import Directory, Found
from routing.hours import parse_rule
from routing.numbers import NumberReader
from routing.plan import Announce, Refusal, Step, Voicemail

BERLIN = ZoneInfo("Europe/Berlin")
MORNING = datetime(2026, 11, 23, 9, tzinfo=BERLIN)
NIGHT = datetime(2026, 11, 23, 23, tzinfo=BERLIN)
OFFICE = (Step("group", "office"),)
ANNA = (Step("agent", "anna"),)

CLOSED = Variant(
    "closed", (parse_rule("always"),), "Good evening", {"busy": "Good evening, busy"}, (), overflow=Voicemail("a@b.de")
)
COURT = Variant("court", plan=ANNA)
CONTRACT = Contract(
    "kanzlei",
    "Kanzlei",
    "Good day",
    target_numbers=(ContractNumber("+49302000100"),),
    plan=OFFICE,
    tariff="minute",
    waiting=Waiting(priority=2),
    conditions=Conditions(
        opening_hours=(parse_rule("mon-fri 08:00-18:00"),),
        variants=(CLOSED, COURT),
        greetings={"no_answer": "Good day, nobody answers", "busy": "Good day, busy"},
        vip_callers=(VipCaller("+4930888*", 3, "court"), VipCaller("+49900123", 1)),
        blocked_callers=(
            BlockedCaller("+4990*"),
            BlockedCaller("anonymous", "no-number"),
            BlockedCaller("+4930888777"),
        ),
    ),
)


def test_by_day_the_contracts_own_plan_holds_and_by_night_the_variants() -> None:
    day, night = CONTRACT.effective(MORNING), CONTRACT.effective(NIGHT)
    assert (day.greeting, day.plan, day.variant, day.overflow) == ("Good day", OFFICE, "", None)
    assert (night.greeting, night.plan, night.variant) == ("Good evening", (), "closed")
    assert night.overflow == Voicemail("a@b.de")
    assert day.why == ("the contract's own plan: mon-fri 08:00-18:00 (Monday, 2026-11-23)",)
    assert night.why == ("variant closed: always", "greeting of variant closed")


@pytest.mark.parametrize(
    ("moment", "kind", "greeting"),
    [
        (MORNING, "", "Good day"),
        (MORNING, "unconditional", "Good day"),
        (MORNING, "unknown", "Good day"),
        (MORNING, "busy", "Good day, busy"),
        (MORNING, "no_answer", "Good day, nobody answers"),
        (NIGHT, "busy", "Good evening, busy"),
        (NIGHT, "no_answer", "Good evening"),
    ],
)
def test_the_most_specific_greeting_is_said(moment: datetime, kind: str, greeting: str) -> None:
    assert CONTRACT.effective(moment, "", kind).greeting == greeting


def test_a_variant_without_a_greeting_keeps_the_contracts() -> None:
    assert CONTRACT.effective(NIGHT, "+493088812", "busy").greeting == "Good day, busy"


def test_a_vip_goes_first_and_has_a_plan_of_their_own_at_any_hour() -> None:
    for moment in (MORNING, NIGHT):
        effective = CONTRACT.effective(moment, "+493088812")
        assert (effective.plan, effective.priority, effective.variant, effective.refused) == (ANNA, 3, "court", None)
        under = CONTRACT.under(effective)
        assert under.plan == ANNA
        assert under.waiting.priority == 5
    assert "the caller is a VIP by +4930888*: priority 3 more" in effective.why


def test_priorities_end_at_ten() -> None:
    contract = replace(CONTRACT, waiting=Waiting(priority=9, music="m"))
    assert contract.under(contract.effective(MORNING, "+493088812")).waiting == Waiting(priority=10, music="m")


def test_a_blocked_caller_is_refused() -> None:
    effective = CONTRACT.effective(MORNING, "+499055")
    assert effective.refused == Refusal(603)
    assert effective.why[-1] == "the caller is blocked by +4990*: 603 declined"


def test_a_blocked_caller_may_hear_an_announcement_while_nobody_rings() -> None:
    effective = CONTRACT.effective(MORNING, "anonymous")
    assert effective.refused == Announce("no-number")
    under = CONTRACT.under(effective)
    assert (under.plan, under.overflow, under.waiting) == ((), Announce("no-number"), Waiting())


def test_the_more_specific_of_vip_and_blocked_wins() -> None:
    # one number out of a blocked range, and one number out of a range of VIPs
    assert CONTRACT.effective(MORNING, "+49900123").refused is None
    assert CONTRACT.effective(MORNING, "+49900123").priority == 1
    blocked = CONTRACT.effective(MORNING, "+4930888777")
    assert (blocked.refused, blocked.priority, blocked.variant) == (Refusal(603), 0, "")


def test_of_equally_specific_ones_the_refusal_wins() -> None:
    both = Conditions(vip_callers=(VipCaller("+491"),), blocked_callers=(BlockedCaller("+491"),))
    assert replace(CONTRACT, conditions=both).effective(MORNING, "+491").refused == Refusal(603)


def test_the_longest_beginning_fits_best_and_an_unknown_caller_nothing() -> None:
    callers = tuple(VipCaller(pattern, 1) for pattern in ("*", "+49*", "+4930*", "+49301", "+4930123*"))
    found = Conditions(vip_callers=callers)
    for number, pattern in (
        ("+49301", "+49301"),
        ("+493012", "+4930*"),
        ("+4930123", "+4930123*"),
        ("+493012345", "+4930123*"),
        ("+4940", "+49*"),
        ("+1", "*"),
    ):
        vip = found.vip(number)
        assert vip is not None
        assert vip.pattern == pattern
    assert found.vip("") is None


def test_a_variants_status_counts_instead_of_the_contracts_way_out() -> None:
    closed = Conditions(variants=(Variant("closed", (parse_rule("mon-sun"),), plan=(), if_nobody=Refusal(486)),))
    contract = replace(CONTRACT, overflow=Voicemail("a@b.de"), conditions=closed)
    night = contract.under(contract.effective(NIGHT))
    assert (night.plan, night.if_nobody, night.overflow) == ((), Refusal(486), None)


def test_without_conditions_the_contract_is_the_same_object() -> None:
    plain = Contract("a", "A", "Hello", plan=OFFICE)
    effective = plain.effective(MORNING, "+49", "busy")
    assert (effective.greeting, effective.plan, effective.why) == ("Hello", OFFICE, ())
    assert plain.under(effective) is plain


# -- the caller never chooses the contract ---------------------------------------------------------------

callers = st.one_of(
    st.sampled_from(("", "anonymous", "+49302000100", "+49302000101", "+493088812", "+499055", "+4930888777")),
    st.text(max_size=20),
)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))
kinds = st.sampled_from(("", "unconditional", "busy", "no_answer", "unknown", "nonsense"))
OTHER = Contract("elektro", "Elektro", target_numbers=(ContractNumber("+49302000101"),), plan=ANNA, tariff="second")


@given(callers, moments, kinds)
def test_whoever_calls_it_stays_the_contract_of_the_dialled_number(caller: str, moment: datetime, kind: str) -> None:
    directory = Directory((CONTRACT, OTHER))
    found = directory.resolve(NumberReader(), "sip:+49302000100@trunk", moment)
    assert isinstance(found, Found)
    effective = found.contract.effective(moment, caller, kind)
    under = found.contract.under(effective)
    changed = {"greeting", "plan", "if_nobody", "overflow", "waiting"}
    for name in Contract.__dataclass_fields__:
        if name not in changed:
            assert getattr(under, name) == getattr(CONTRACT, name)
    # a caller's number adds or refuses: among this contract's own plans, with at least its priority
    assert effective.plan in (OFFICE, ANNA, ())
    assert effective.priority >= 0
    if effective.refused is None:
        assert under.waiting.priority >= CONTRACT.waiting.priority


@given(callers, moments)
def test_nobody_but_those_named_is_treated_otherwise(caller: str, moment: datetime) -> None:
    known = caller.startswith(("+4930888", "+4990")) or caller == "anonymous"
    if not known:
        assert CONTRACT.effective(moment, caller) == CONTRACT.effective(moment)
