from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.rating import Rated, rate
from accounting.tariff import Increment, Tariff

SECOND = 1_000_000_000


def tariff(increment: str, per_minute: str = "0.79", acceptance: str = "0", digits: int = 2) -> Tariff:
    return Tariff("t", Decimal(per_minute), Increment.parse(increment), Decimal(acceptance), digits=digits)


@pytest.mark.parametrize(
    ("increment", "duration_ns", "billed"),
    [
        ("60/60", 0, 60),  # it was connected
        ("60/60", 1, 60),
        ("60/60", 60 * SECOND, 60),
        ("60/60", 60 * SECOND + 1, 120),
        ("60/60", 60_200_000_000, 120),
        ("60/60", 120 * SECOND, 120),
        ("60/1", 60_200_000_000, 61),
        ("60/1", 3 * SECOND, 60),
        ("1/1", 0, 1),
        ("1/1", 60_200_000_000, 61),
        ("1/1", 61 * SECOND, 61),
        ("30/10", 41 * SECOND, 50),
    ],
)
def test_time_is_rounded_up_once(increment: str, duration_ns: int, billed: int) -> None:
    assert rate(duration_ns, tariff(increment)).billed_seconds == billed


@pytest.mark.parametrize(
    ("priced", "duration_ns", "amount"),
    [
        (tariff("60/60"), 60_200_000_000, "1.58"),
        (tariff("1/1", "0.79"), 1 * SECOND, "0.01"),  # 0.01316...
        (tariff("1/1", "0.30"), 1 * SECOND, "0.01"),  # 0.005 exactly: half goes up
        (tariff("1/1", "0.299999"), 1 * SECOND, "0.00"),
        (tariff("60/60", "0.79", "0.95"), 0, "1.74"),
        (tariff("1/1", "0.005", "0.004"), 12 * SECOND, "0.01"),  # 0.004 + 0.001: rounded after the sum
        (tariff("60/60", "0.795", digits=4), SECOND, "0.7950"),
        (tariff("60/60", "12", digits=0), SECOND, "12"),
    ],
)
def test_money_is_rounded_once_half_up(priced: Tariff, duration_ns: int, amount: str) -> None:
    rated = rate(duration_ns, priced)
    assert str(rated.amount) == amount


def test_the_callers_decimal_context_changes_nothing() -> None:
    with localcontext() as context:
        context.prec = 2
        assert rate(600 * SECOND, tariff("60/60", "123.456789")) == Rated(600, Decimal("1234.57"))


def test_a_negative_duration_is_an_error() -> None:
    with pytest.raises(ValueError, match="negative"):
        rate(-1, tariff("1/1"))


INCREMENTS = st.builds(Increment, st.integers(1, 600), st.integers(1, 600))
PRICES = st.decimals(0, 999, places=6, allow_nan=False, allow_infinity=False)
TARIFFS = st.builds(
    Tariff, name=st.just("t"), per_minute=PRICES, increment=INCREMENTS, acceptance=PRICES, digits=st.integers(0, 6)
)
DURATIONS = st.integers(0, 4 * 3600 * SECOND)


@given(DURATIONS, TARIFFS)
def test_billed_time_covers_the_talk_and_never_a_whole_increment_more(duration_ns: int, priced: Tariff) -> None:
    billed_ns = rate(duration_ns, priced).billed_seconds * SECOND
    first_ns = priced.increment.first_seconds * SECOND
    assert billed_ns >= max(duration_ns, first_ns)
    if duration_ns > first_ns:
        assert billed_ns - duration_ns < priced.increment.following_seconds * SECOND
        assert (billed_ns - first_ns) % (priced.increment.following_seconds * SECOND) == 0
    else:
        assert billed_ns == first_ns


@given(DURATIONS, DURATIONS, TARIFFS)
def test_a_longer_call_is_never_cheaper(one: int, other: int, priced: Tariff) -> None:
    shorter, longer = rate(min(one, other), priced), rate(max(one, other), priced)
    assert shorter.billed_seconds <= longer.billed_seconds
    assert shorter.amount <= longer.amount


@given(DURATIONS, TARIFFS)
def test_the_amount_is_within_half_a_unit_of_the_exact_price(duration_ns: int, priced: Tariff) -> None:
    rated = rate(duration_ns, priced)
    assert rated.amount.as_tuple().exponent == -priced.digits
    error = (rated.amount - priced.acceptance) * 60 - priced.per_minute * rated.billed_seconds
    half = Decimal(30).scaleb(-priced.digits)
    assert -half < error <= half
