from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.tariff import Increment, Tariff


@given(st.integers(1, 99_999), st.integers(1, 99_999))
def test_an_increment_is_read_as_it_is_printed(first: int, following: int) -> None:
    increment = Increment(first, following)
    assert Increment.parse(str(increment)) == increment


@pytest.mark.parametrize("text", ["", "60", "60/", "/60", "0/60", "60/0", "-1/1", "60/60 ", "60/60\n", "١/١", "1/1/1"])
def test_anything_else_is_no_increment(text: str) -> None:
    with pytest.raises(ValueError, match="increment"):
        Increment.parse(text)


@pytest.mark.parametrize("price", ["-0.01", "NaN", "Infinity", "0.0000001", "1000000"])
def test_a_price_the_store_cannot_keep_is_refused(price: str) -> None:
    with pytest.raises(ValueError, match="per_minute"):
        Tariff("t", Decimal(price), Increment(60, 60))
    with pytest.raises(ValueError, match="acceptance"):
        Tariff("t", Decimal("0.79"), Increment(60, 60), Decimal(price))


@pytest.mark.parametrize("currency", ["", "EURO", "eur", "€"])
def test_a_currency_is_an_iso_code(currency: str) -> None:
    with pytest.raises(ValueError, match="currency"):
        Tariff("t", Decimal(1), Increment(1, 1), currency=currency)


def test_a_tariff_has_a_name_and_sensible_digits() -> None:
    with pytest.raises(ValueError, match="name"):
        Tariff("", Decimal(1), Increment(1, 1))
    with pytest.raises(ValueError, match="digits"):
        Tariff("t", Decimal(1), Increment(1, 1), digits=7)
