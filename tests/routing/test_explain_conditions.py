"""What a person is told of hours, callers and kinds of forwarding."""

from datetime import datetime
from zoneinfo import ZoneInfo

from routing.business import read_business
from routing.explain import Explanation, Reason, explain, render
from routing.numbers import NumberReader
from tests.routing.test_business_conditions import FULL

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2026, 11, 23, 10, tzinfo=BERLIN)
EVENING = datetime(2026, 11, 23, 20, tzinfo=BERLIN)
CHRISTMAS = datetime(2026, 12, 25, 10, tzinfo=BERLIN)


def told(at: datetime, caller: str = "", kind: str = "") -> Explanation:
    directory = read_business(FULL, "contracts.toml", "service.example").directory()
    return explain(directory, NumberReader(), "+49302000100", at, kind=kind, caller=caller)


def test_within_the_opening_hours_the_own_plan_is_told_with_its_rule() -> None:
    explanation = told(MONDAY)
    assert explanation.conditions == ("the contract's own plan: mon-fri 08:00-12:00 13:00-18:00 (Monday, 2026-11-23)",)
    assert [item.step.target for item in explanation.steps] == ["office"]
    assert Reason("variant closed", "would hold too (always), but what was chosen is more specific") in (
        explanation.why_not
    )
    assert Reason("variant court", "is for certain VIP callers only") in explanation.why_not
    assert explanation.rings


def test_after_hours_it_is_the_variants_plan_and_status() -> None:
    explanation = told(EVENING)
    assert explanation.steps == ()
    assert explanation.if_nobody == "486 busy"
    assert ("greeting", "We are closed") in explanation.agent_sees
    own = next(item.reason for item in explanation.why_not if item.thing == "the contract's own plan")
    assert own.startswith("does not hold at this hour: mon-fri 08:00-12:00 13:00-18:00; holiday closed")
    text = render(explanation)
    assert "because\n  - variant closed: always\n" in text
    assert "plan\n  then 486 busy\n" in text


def test_on_a_holiday_it_is_closed() -> None:
    assert told(CHRISTMAS).conditions[0] == "variant closed: always"


def test_a_vip_has_a_plan_at_any_hour_and_it_is_told_why() -> None:
    for at in (MONDAY, EVENING):
        explanation = told(at, "0171 3920012")
        assert [item.step.target for item in explanation.steps] == ["anna"]
        assert "the caller is a VIP by +491713920012: priority 5 more" in explanation.conditions
    assert Reason(
        "variant closed", "would hold at this hour (always), but this VIP has a plan of their own"
    ) in explanation.why_not  # fmt: skip


def test_a_blocked_caller_is_refused_and_the_plan_is_not_told() -> None:
    explanation = told(MONDAY, "+49900123")
    assert (explanation.verdict, explanation.refused, explanation.rings) == ("found", "603 declined", False)
    text = render(explanation)
    assert "the caller is blocked by +4990*: 603 declined" in text
    assert "\nplan\n" not in text
    assert told(MONDAY, "anonymous").refused == "603 declined"
    assert told(MONDAY, "+49301").refused == "announcement blocked"


def test_the_greeting_is_that_of_the_kind_of_forwarding() -> None:
    assert ("greeting", "Kanzlei, we are on the phone") in told(MONDAY, kind="busy").agent_sees
    assert ("greeting", "Closed, and busy") in told(EVENING, kind="busy").agent_sees


def test_the_colour_is_told() -> None:
    assert ("colour", "#1e6fba") in told(MONDAY).agent_sees
