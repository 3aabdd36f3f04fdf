from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.bands import WEEKDAYS, Band, Rule
from accounting.chain import canonical
from accounting.tariff import (
    Increment,
    Tariff,
    TariffError,
    TariffVersion,
    money,
    price_text,
    tariff_content,
    tariffs_of,
)
from tests.accounting.tariffs import tariffs as any_tariff

SECOND = 1_000_000_000
JULY = datetime(2025, 7, 1, tzinfo=UTC)
D = Decimal


def ns(moment: datetime) -> int:
    return round(moment.timestamp()) * SECOND


# -- increments ------------------------------------------------------------------------------------------


@given(st.integers(1, 99_999), st.integers(1, 99_999))
def test_an_increment_is_read_as_it_is_printed(first: int, following: int) -> None:
    increment = Increment(first, following)
    assert Increment.parse(str(increment)) == increment


@pytest.mark.parametrize("text", ["", "60", "60/", "/60", "0/60", "60/0", "-1/1", "60/60 ", "60/60\n", "١/١", "1/1/1"])
def test_anything_else_is_no_increment(text: str) -> None:
    with pytest.raises(ValueError, match="increment"):
        Increment.parse(text)


# -- what a version may say ------------------------------------------------------------------------------


@pytest.mark.parametrize("price", ["-0.01", "NaN", "Infinity", "0.0000001", "1000000"])
@pytest.mark.parametrize("field", ["per_minute", "per_increment", "acceptance", "minimum_amount", "base_fee"])
def test_a_price_that_cannot_be_kept_exactly_is_refused(field: str, price: str) -> None:
    rules: dict[str, Any] = {field: D(price)}
    with pytest.raises(ValueError, match=field):
        TariffVersion(**rules)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"per_minute": D(1), "per_increment": D(1)}, "give per_minute or per_increment, not both"),
        ({"valid_from": datetime(2025, 7, 1)}, "give it a time zone"),
        ({"valid_from": datetime(1969, 7, 1, tzinfo=UTC)}, "not of our time"),
        ({"vat": D(100)}, "vat 100 must be percent"),
        ({"vat": D("19.001")}, "at most 2 places"),
        ({"vat": D("NaN")}, "vat"),
        ({"digits": 7}, "digits must be from 0 to 6"),
        ({"free_calls": -1}, "free_calls -1 must be from 0"),
        ({"free_seconds": 86_401}, "free_seconds 86401 must be from 0 to 86400"),
        ({"rounding": "down"}, "rounding 'down' must be one of half_up, half_even, up"),
        ({"hold": "own_price"}, "hold 'own_price' must be one of billed, not_billed"),
        ({"transfer": "twice"}, "whole, each_agent"),
        ({"external": "own_price"}, "external_per_minute belongs to external"),
        ({"external_per_minute": D(1)}, "external_per_minute belongs to external"),
        ({"bands": (Band("a", ("always",)), Band("a", ("mon",)))}, "two bands have one name"),
        ({"per_minute": D(1), "bands": (Band("a", ("mon",), per_increment=D(1)),)}, "band a: .* of the version's kind"),
        ({"per_increment": D(1), "bands": (Band("a", ("mon",), per_minute=D(1)),)}, "band a: .* version's kind"),
        ({"bands": (Band("a", ("mon",), D(1), D(1)),)}, "band a: .* of the version's kind"),
        ({"bands": (Band("a", ("mon",), acceptance=D(-1)),)}, "band a: acceptance -1 must be from 0"),
    ],
)
def test_what_cannot_be_is_refused_and_named(rules: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TariffVersion(**rules)


@pytest.mark.parametrize("currency", ["", "EURO", "eur", "€"])
def test_a_currency_is_an_iso_code(currency: str) -> None:
    with pytest.raises(ValueError, match="currency"):
        Tariff("t", currency, (TariffVersion(),))


def test_a_tariff_has_a_name_and_a_version() -> None:
    with pytest.raises(ValueError, match="name"):
        Tariff("", "EUR", (TariffVersion(),))
    with pytest.raises(ValueError, match="tariff t has no version"):
        Tariff("t", "EUR", ())


# -- versions --------------------------------------------------------------------------------------------


def test_the_version_valid_at_an_instant() -> None:
    old, new = TariffVersion(per_minute=D(1)), TariffVersion(valid_from=JULY, per_minute=D(2))
    tariff = Tariff("t", "EUR", (old, new))
    assert tariff.at(0) == old
    assert tariff.at(ns(JULY) - 1) == old
    assert tariff.at(ns(JULY)) == new
    assert tariff.at(ns(JULY) + 10**18) == new


def test_before_the_first_version_there_is_no_price() -> None:
    tariff = Tariff("t", "EUR", (TariffVersion(valid_from=JULY),))
    assert tariff.at(ns(JULY)) is tariff.versions[0]
    with pytest.raises(TariffError, match="tariff t has no version for 2025-06-30 23:59 UTC: give it one with an earl"):
        tariff.at(ns(JULY) - 1)


def test_a_months_version_is_that_of_its_first_instant_or_the_first_one() -> None:
    first = TariffVersion(valid_from=JULY + timedelta(days=10))
    second = TariffVersion(valid_from=JULY + timedelta(days=20))
    tariff = Tariff("t", "EUR", (first, second))
    june, july, august = ns(JULY) - 30 * 86_400 * SECOND, ns(JULY), ns(JULY) + 31 * 86_400 * SECOND
    assert tariff.of_month(june, july) is None
    assert tariff.of_month(july, august) is first
    assert tariff.of_month(august, august + 1) is second


@pytest.mark.parametrize("since", [(JULY, JULY), (JULY + timedelta(1), JULY), (None, None), (JULY, None)])
def test_versions_are_in_order(since: tuple[datetime | None, datetime | None]) -> None:
    with pytest.raises(ValueError, match="tariff t"):
        Tariff("t", "EUR", tuple(TariffVersion(valid_from=moment) for moment in since))


# -- bands -----------------------------------------------------------------------------------------------

CHRISTMAS = frozenset({date(2025, 12, 25)})  # a Thursday


@pytest.mark.parametrize(
    ("rule", "moment", "holds"),
    [
        ("mon-fri 08:00-18:00", "2025-12-22T08:00", True),  # a Monday
        ("mon-fri 08:00-18:00", "2025-12-22T07:59", False),
        ("mon-fri 08:00-18:00", "2025-12-22T18:00", False),
        ("mon-fri 08:00-18:00", "2025-12-27T12:00", False),
        ("mon-fri 08:00-12:00 13:00-18:00", "2025-12-22T12:30", False),
        ("mon-fri 08:00-12:00 13:00-18:00", "2025-12-22T13:00", True),
        ("sat,sun", "2025-12-27T00:00", True),
        ("sat,sun", "2025-12-29T00:00", False),
        ("fri-mon", "2025-12-28T12:00", True),
        ("fri-mon", "2025-12-30T12:00", False),
        ("fri 22:00-06:00", "2025-12-27T05:59", True),  # Saturday morning: Friday's night
        ("fri 22:00-06:00", "2025-12-27T06:00", False),
        ("fri 22:00-06:00", "2025-12-26T05:00", False),  # Thursday's night
        ("mon-fri", "2025-12-25T12:00", False),  # a holiday is no weekday
        ("holiday", "2025-12-25T12:00", True),
        ("holiday", "2025-12-26T12:00", False),  # not among the tariff's own
        ("sun,holiday", "2025-12-28T12:00", True),
        ("always 00:00-06:00", "2025-12-25T05:59", True),
        ("holiday 20:00-08:00", "2025-12-26T07:59", True),
        ("wed 20:00-08:00", "2025-12-25T07:59", True),  # the night began on a weekday
        ("mon 00:00-24:00", "2025-12-22T23:59", True),
    ],
)
def test_a_band_holds_by_days_and_times(rule: str, moment: str, holds: bool) -> None:
    assert Band("b", (rule,)).holds(datetime.fromisoformat(moment), CHRISTMAS) is holds


def test_one_of_a_bands_rules_is_enough() -> None:
    band = Band("off-peak", ("mon-fri 18:00-08:00", "sat,sun,holiday"))
    assert [band.holds(datetime(2025, 12, day, 12), CHRISTMAS) for day in (24, 25, 26, 27)] == [
        False,
        True,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("", "must not be empty"),
        ("monday", "'monday' is no day: write mon"),
        ("mon-", "no day"),
        ("holiday-mon", "no day"),
        ("mon 8-18", "'8-18' is no time of day: write 18:00-24:00"),
        ("mon 08:00-08:00", "is empty"),
        ("mon 24:00-06:00", "begins before 24:00"),
        ("mon 08:00-24:30", "ends at 24:00 at the latest"),
    ],
)
def test_a_band_that_cannot_be_read_says_how_to_write_it(rule: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"band night: .*{message}"):
        Band("night", (rule,))


def test_a_band_has_a_name_and_a_rule() -> None:
    with pytest.raises(ValueError, match="needs a name"):
        Band("", ("mon",))
    with pytest.raises(ValueError, match="band b: say when it holds"):
        Band("b", ())


@given(st.sampled_from(WEEKDAYS), st.sampled_from(WEEKDAYS))
def test_ranges_of_days_go_round_the_week(first: str, last: str) -> None:
    days, back = Rule.parse(f"{first}-{last}").days, Rule.parse(f"{last}-{first}").days
    assert days & back == Rule.parse(f"{first},{last}").days
    assert len(days) + len(back) == (2 if first == last else 9)


# -- as plain values -------------------------------------------------------------------------------------


@given(st.lists(any_tariff(), max_size=3, unique_by=lambda tariff: tariff.name))
def test_tariffs_come_back_from_their_content_as_they_were(some: list[Tariff]) -> None:
    content = tariff_content(some)
    canonical(content)  # plain: text, integers, lists, objects
    back = tariffs_of(content)
    assert list(back.values()) == some
    assert tariff_content(back.values()) == content


def test_equal_tariffs_have_equal_content() -> None:
    one = Tariff("t", "EUR", (TariffVersion(per_minute=D("0.990000"), valid_from=JULY),))
    summer = JULY.astimezone(tz=datetime.fromisoformat("2025-07-01T00:00+02:00").tzinfo)
    other = Tariff("t", "EUR", (TariffVersion(per_minute=D("0.99"), valid_from=summer),))
    assert one == other
    assert canonical(tariff_content([one])) == canonical(tariff_content([other]))


def test_content_of_before_a_rule_existed_has_its_default() -> None:
    content = {"tariffs": [{"name": "t", "currency": "EUR", "versions": [{"per_minute": "0.5", "increment": "1/1"}]}]}
    expected = Tariff("t", "EUR", (TariffVersion(per_minute=D("0.5"), increment=Increment(1, 1)),))
    assert tariffs_of(content) == {"t": expected}


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"tariffs": 1},
        {"tariffs": [1]},
        {"tariffs": [{"name": "t", "currency": "EUR", "versions": [{"surcharge": "1"}]}]},
        {"tariffs": [{"name": "t", "currency": "EUR", "versions": [{"per_minute": "x"}]}]},
        {"tariffs": [{"name": "t", "currency": "EUR", "versions": [{"bands": [{"name": "b"}]}]}]},
    ],
)
def test_other_content_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any of them
        tariffs_of(content)


def test_prices_as_text() -> None:
    with localcontext() as context:
        context.prec = 2
        assert price_text(D("123.450000")) == "123.45"
    assert [price_text(D(text)) for text in ("0", "-0", "10", "1E+2", "0.000001")] == [
        "0",
        "0",
        "10",
        "100",
        "0.000001",
    ]
    assert [money(D(text)) for text in ("0", "10", "0.5", "0.123456")] == ["0.00", "10.00", "0.50", "0.123456"]
