"""One call by itself: each rule of docs/accounting.md, and what holds for all of them together."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.bands import Band
from accounting.journal import Activity, Segment
from accounting.month import BERLIN
from accounting.rating import Rated, rate
from accounting.tariff import Increment, TariffVersion
from tests.accounting.tariffs import JULY_NS, SECOND, segments, versions

D = Decimal


def version(increment: str = "60/60", per_minute: str | None = "0.60", **rules: Any) -> TariffVersion:
    price = None if per_minute is None or "per_increment" in rules else D(per_minute)
    return TariffVersion(increment=Increment.parse(increment), per_minute=price, **rules)


def talk(duration_ns: int) -> tuple[Segment, ...]:
    return (Segment("anna", "talk", JULY_NS, JULY_NS + duration_ns),)


def call(*parts: tuple[str, Activity, float]) -> tuple[Segment, ...]:
    """Segments one after the other; seconds."""
    made = []
    at = JULY_NS
    for agent, activity, duration in parts:
        end = at + round(duration * SECOND)
        made.append(Segment(agent, activity, at, end))
        at = end
    return tuple(made)


def cost(made: tuple[Segment, ...], priced: TariffVersion, included: int = 0) -> tuple[int, int, str]:
    rated = rate(made, priced, BERLIN, included)
    return rated.billed_seconds, rated.units, str(rated.amount)


# -- increments ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("increment", "duration_ns", "billed", "units"),
    [
        ("60/60", 0, 60, 1),  # it was connected
        ("60/60", 1, 60, 1),
        ("60/60", 60 * SECOND, 60, 1),
        ("60/60", 60 * SECOND + 1, 120, 2),
        ("60/60", 60_200_000_000, 120, 2),
        ("60/60", 120 * SECOND, 120, 2),
        ("60/1", 60_200_000_000, 61, 2),
        ("60/1", 3 * SECOND, 60, 1),
        ("1/1", 0, 1, 1),
        ("1/1", 60_200_000_000, 61, 61),
        ("1/1", 61 * SECOND, 61, 61),
        ("30/6", 30 * SECOND, 30, 1),
        ("30/6", 31 * SECOND, 36, 2),
        ("30/10", 41 * SECOND, 50, 3),
    ],
)
def test_time_is_rounded_up_once(increment: str, duration_ns: int, billed: int, units: int) -> None:
    assert cost(talk(duration_ns), version(increment))[:2] == (billed, units)


# -- money -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("priced", "duration_ns", "amount"),
    [
        (version("60/60", "0.79"), 60_200_000_000, "1.58"),
        (version("1/1", "0.79"), 1 * SECOND, "0.01"),  # 0.01316...
        (version("1/1", "0.30"), 1 * SECOND, "0.01"),  # 0.005 exactly: half goes up
        (version("1/1", "0.299999"), 1 * SECOND, "0.00"),
        (version("60/60", "0.79", acceptance=D("0.95")), 0, "1.74"),
        (version("1/1", "0.005", acceptance=D("0.004")), 12 * SECOND, "0.01"),  # 0.004 + 0.001: rounded after the sum
        (version("60/60", "0.795", digits=4), SECOND, "0.7950"),
        (version("60/60", "12", digits=0), SECOND, "12"),
    ],
)
def test_money_is_rounded_once_half_up(priced: TariffVersion, duration_ns: int, amount: str) -> None:
    assert cost(talk(duration_ns), priced)[2] == amount


@pytest.mark.parametrize(
    ("rounding", "per_minute", "amount"),
    [
        ("half_up", "0.30", "0.01"),  # 0.005
        ("half_even", "0.30", "0.00"),
        ("half_even", "0.90", "0.02"),  # 0.015
        ("half_even", "0.300001", "0.01"),
        ("up", "0.30", "0.01"),
        ("up", "0.000001", "0.01"),
        ("up", "0.60", "0.01"),  # 0.01 exactly
        ("half_up", "0.60", "0.01"),
    ],
)
def test_the_rounding_mode_is_the_tariffs(rounding: str, per_minute: str, amount: str) -> None:
    assert cost(talk(SECOND), version("1/1", per_minute, rounding=rounding))[2] == amount


def test_the_callers_decimal_context_changes_nothing() -> None:
    with localcontext() as context:
        context.prec = 2
        assert rate(talk(600 * SECOND), version("60/60", "123.456789")) == Rated(600, 10, D("1234.57"))


def test_a_price_per_increment_counts_the_first_one_too() -> None:
    priced = version("60/30", per_increment=D("0.25"))
    assert cost(talk(60 * SECOND), priced) == (60, 1, "0.25")
    assert cost(talk(61 * SECOND), priced) == (90, 2, "0.50")


def test_a_price_per_call_alone() -> None:
    priced = TariffVersion(acceptance=D("2.50"))
    assert cost(talk(3600 * SECOND), priced) == (3600, 60, "2.50")


# -- minimum ---------------------------------------------------------------------------------------------


def test_a_call_is_billed_for_the_minimum_seconds_rounded_up_to_the_increment() -> None:
    priced = version("1/10", minimum_seconds=30)
    assert cost(talk(2 * SECOND), priced) == (31, 4, "0.31")
    assert cost(talk(32 * SECOND), priced) == (41, 5, "0.41")


def test_a_call_costs_the_minimum_amount_with_its_acceptance() -> None:
    priced = version("60/60", "0.60", acceptance=D("0.10"), minimum_amount=D("1.00"))
    assert cost(talk(SECOND), priced)[2] == "1.00"
    assert cost(talk(61 * SECOND), priced)[2] == "1.30"


# -- free ------------------------------------------------------------------------------------------------


def test_free_seconds_are_taken_off_each_call_before_rounding() -> None:
    priced = version("60/60", free_seconds=10, acceptance=D("0.20"))
    assert cost(talk(10 * SECOND + 1), priced) == (60, 1, "0.80")
    assert cost(talk(70 * SECOND), priced) == (60, 1, "0.80")
    assert cost(talk(70 * SECOND + 1), priced) == (120, 2, "1.40")


def test_a_call_within_its_free_seconds_costs_nothing_at_all() -> None:
    priced = version("60/60", free_seconds=10, acceptance=D("0.20"), minimum_amount=D(1), minimum_seconds=60)
    assert rate(talk(10 * SECOND), priced) == Rated(0, 0, D("0.00"), free="short")
    assert rate(talk(0), priced).free == "short"


def test_a_short_call_costs_nothing_and_a_longer_one_all_of_it() -> None:
    priced = version("1/1", free_up_to_seconds=15)
    assert rate(talk(15 * SECOND), priced) == Rated(0, 0, D("0.00"), free="short")
    assert cost(talk(15 * SECOND + 1), priced) == (16, 16, "0.16")


# -- hold, consultation, transfer, external --------------------------------------------------------------

HELD = call(("anna", "talk", 30), ("anna", "hold", 40), ("anna", "talk", 20), ("anna", "consultation", 50))


@pytest.mark.parametrize(
    ("hold", "consultation", "billed"),
    [
        ("billed", "billed", 140),
        ("not_billed", "billed", 100),
        ("billed", "not_billed", 90),
        ("not_billed", "not_billed", 50),
    ],
)
def test_hold_and_consultation_are_billed_or_not(hold: str, consultation: str, billed: int) -> None:
    assert cost(HELD, version("1/1", hold=hold, consultation=consultation))[0] == billed


def test_a_call_that_was_all_hold_costs_the_first_increment() -> None:
    assert cost(call(("anna", "hold", 100)), version("60/60", hold="not_billed"))[0] == 60


TRANSFERRED = call(("anna", "talk", 30.2), ("ben", "talk", 29.9), ("anna", "talk", 0.5))


def test_a_transferred_call_is_rounded_once_as_a_whole() -> None:
    assert cost(TRANSFERRED, version("60/60")) == (120, 2, "1.20")  # 60.6 s
    assert cost(TRANSFERRED, version("1/1"))[0] == 61


def test_or_each_agents_part_by_itself() -> None:
    assert cost(TRANSFERRED, version("1/1", transfer="each_agent"))[0] == 31 + 30  # anna 30.7 s, ben 29.9 s
    assert cost(TRANSFERRED, version("60/60", transfer="each_agent", acceptance=D(1)))[2] == "2.20"  # one acceptance


def test_an_agent_without_a_part_costs_nothing() -> None:
    made = call(("anna", "talk", 30), ("ben", "talk", 0))
    assert cost(made, version("60/60", transfer="each_agent"))[0] == 60
    assert cost(call(("anna", "talk", 0), ("ben", "talk", 0)), version("60/60", transfer="each_agent"))[0] == 60


def test_free_seconds_come_off_the_first_agents_part_first() -> None:
    made = call(("anna", "talk", 30), ("ben", "talk", 30))
    assert cost(made, version("60/60", transfer="each_agent", free_seconds=30))[0] == 60
    assert cost(made, version("60/60", transfer="each_agent", free_seconds=29))[0] == 120


def test_minimum_seconds_hold_for_the_call_not_for_each_part() -> None:
    made = call(("anna", "talk", 10), ("ben", "talk", 10))
    assert cost(made, version("1/1", transfer="each_agent", minimum_seconds=30))[0] == 30


EXTERNAL = call(("anna", "talk", 50), ("", "external", 70))


@pytest.mark.parametrize(
    ("rules", "billed", "amount"),
    [
        ({"external": "billed"}, 120, "1.20"),
        ({"external": "billed", "transfer": "each_agent"}, 180, "1.80"),  # outside is a part of its own
        ({"external": "not_billed"}, 60, "0.60"),
        ({"external": "own_price", "external_per_minute": D("0.10")}, 180, "0.80"),  # rounded by itself
        ({"external": "own_price", "external_per_minute": D(0)}, 180, "0.60"),
    ],
)
def test_external_talk_is_billed_as_talk_or_not_or_at_its_own_price(
    rules: dict[str, Any], billed: int, amount: str
) -> None:
    assert cost(EXTERNAL, version("60/60", **rules))[::2] == (billed, amount)


def test_free_seconds_do_not_reach_external_talk_at_its_own_price() -> None:
    priced = version(external="own_price", external_per_minute=D("0.10"), free_seconds=60, acceptance=D(1))
    rated = rate(EXTERNAL, priced)
    assert (rated.billed_seconds, rated.external_seconds, rated.amount) == (120, 120, D("1.20"))


# -- included seconds ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("included", "used", "amount"),
    [(0, 0, "1.40"), (30, 30, "1.10"), (119, 119, "0.21"), (120, 120, "0.20"), (500, 120, "0.20")],
)
def test_included_seconds_pay_for_the_time_not_for_the_acceptance(included: int, used: int, amount: str) -> None:
    rated = rate(talk(61 * SECOND), version("60/60", acceptance=D("0.20")), BERLIN, included)
    assert (rated.billed_seconds, rated.included_seconds, str(rated.amount)) == (120, used, amount)


def test_increments_are_paid_in_proportion_to_the_seconds_not_included() -> None:
    assert cost(talk(90 * SECOND), version("60/30", per_increment=D("0.30")), 60)[2] == "0.20"  # a third of 0.60


def test_the_minimum_amount_is_for_calls_that_are_not_wholly_included() -> None:
    priced = version(minimum_amount=D(1), acceptance=D("0.10"))
    assert cost(talk(SECOND), priced, 60)[2] == "0.10"
    assert cost(talk(SECOND), priced, 59)[2] == "1.00"


def test_external_talk_at_its_own_price_is_not_included() -> None:
    rated = rate(EXTERNAL, version(external="own_price", external_per_minute=D("0.10")), BERLIN, 1000)
    assert (rated.included_seconds, rated.amount) == (60, D("0.20"))


# -- bands -----------------------------------------------------------------------------------------------

NIGHT = Band("night", ("always 20:00-08:00",), per_minute=D("1.20"), acceptance=D(1))
BANDED = version("60/60", "0.60", bands=(NIGHT, Band("weekend", ("sat,sun",), acceptance=D("0.50"))))


@pytest.mark.parametrize(
    ("moment", "band", "amount"),
    [
        ("2025-07-01T12:00", "", "0.60"),
        ("2025-07-01T19:59:59", "", "0.60"),  # it began in the day: the night does not matter
        ("2025-07-01T20:00", "night", "2.20"),
        ("2025-07-01T07:59:59", "night", "2.20"),
        ("2025-07-05T12:00", "weekend", "1.10"),  # the price of the time is the version's
        ("2025-07-05T21:00", "night", "2.20"),  # the first of two that hold
    ],
)
def test_the_band_in_which_the_call_begins_has_the_price(moment: str, band: str, amount: str) -> None:
    at = round(datetime.fromisoformat(moment).replace(tzinfo=BERLIN).timestamp()) * SECOND
    rated = rate((Segment("anna", "talk", at, at + 60 * SECOND),), BANDED)
    assert (rated.band, str(rated.amount)) == (band, amount)


def test_bands_go_by_the_clock_of_the_time_zone() -> None:
    at = round(datetime.fromisoformat("2025-07-01T19:30:00+02:00").timestamp()) * SECOND
    made = (Segment("anna", "talk", at, at + SECOND),)
    assert rate(made, BANDED, BERLIN).band == ""
    assert rate(made, BANDED, ZoneInfo("Europe/Athens")).band == "night"


# -- what is no call -------------------------------------------------------------------------------------


def test_a_segment_that_ends_before_it_begins_is_an_error() -> None:
    with pytest.raises(ValueError, match="negative"):
        rate(talk(-1), version())


def test_no_segment_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one segment"):
        rate((), version())


# -- whatever the tariff ---------------------------------------------------------------------------------


@given(segments(), versions(), st.integers(0, 500))
def test_never_negative_and_in_the_tariffs_places(made: tuple[Segment, ...], priced: TariffVersion, left: int) -> None:
    rated = rate(made, priced, BERLIN, left)
    assert rated.amount >= 0
    assert rated.amount.as_tuple().exponent == -priced.digits
    assert 0 <= rated.included_seconds <= min(left, rated.billed_seconds - rated.external_seconds)
    assert (rated.units == 0) == (rated.billed_seconds == 0) == (rated.free == "short")


@given(segments(), versions(), st.integers(0, 500), st.integers(0, 3), st.integers(0, 200 * SECOND))
def test_a_longer_call_is_never_cheaper(
    made: tuple[Segment, ...], priced: TariffVersion, left: int, which: int, more_ns: int
) -> None:
    which %= len(made)
    stretched = list(made)
    stretched[which] = replace(made[which], end_ns=made[which].end_ns + more_ns)
    shorter, longer = rate(made, priced, BERLIN, left), rate(stretched, priced, BERLIN, left)
    assert shorter.billed_seconds <= longer.billed_seconds
    assert shorter.units <= longer.units
    assert shorter.amount <= longer.amount


@given(segments(), versions(), st.integers(0, 500), st.integers(0, 500))
def test_more_included_seconds_never_cost_more(
    made: tuple[Segment, ...], priced: TariffVersion, one: int, other: int
) -> None:
    less, more = rate(made, priced, BERLIN, min(one, other)), rate(made, priced, BERLIN, max(one, other))
    assert less.amount >= more.amount
    assert less.included_seconds <= more.included_seconds


@given(st.integers(0, 4 * 3600 * SECOND), versions())
def test_billed_time_covers_the_talk_and_never_a_whole_increment_more(duration_ns: int, priced: TariffVersion) -> None:
    priced = replace(priced, free_seconds=0, free_up_to_seconds=0, minimum_seconds=0)
    billed_ns = rate(talk(duration_ns), priced).billed_seconds * SECOND
    first_ns = priced.increment.first_seconds * SECOND
    assert billed_ns >= max(duration_ns, first_ns)
    if duration_ns > first_ns:
        assert billed_ns - duration_ns < priced.increment.following_seconds * SECOND
        assert (billed_ns - first_ns) % (priced.increment.following_seconds * SECOND) == 0
    else:
        assert billed_ns == first_ns
