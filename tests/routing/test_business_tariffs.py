"""Tariffs in the business file: what may be written, what comes of it, and every fault at its line."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.bands import Band
from accounting.tariff import Increment, Tariff, TariffVersion, tariff_content, tariffs_of
from routing.business import Business, write_business
from routing.business_tariffs import tariffs_content, tariffs_from_content
from tests.accounting.tariffs import tariffs as any_tariff
from tests.routing.test_business import faults, read

PLAIN = """\
[[tariffs]]
name = "minute"
per_minute = "0.99"
"""

VERSIONS = """\
[[tariffs]]
name = "minute"
per_minute = "0.99"
vat = "16"

[[tariffs.versions]]
valid_from = 2025-07-01
per_minute = "1.09"
acceptance = "0.25"
vat = "19"

[[tariffs.versions]]
valid_from = 2026-01-01
per_minute = "1.19"
increment = "30/6"
bands = [
    { name = "night", when = ["mon-fri 20:00-08:00", "sat,sun,holiday"], per_minute = "1.49", acceptance = "0.50" },
]
holidays = [2026-12-25, 2026-12-26]
external = "own_price"
external_per_minute = "0.10"
"""

D = Decimal


def as_rated(text: str) -> list[Tariff]:
    """The tariffs as accounting has them."""
    return list(tariffs_of(tariffs_content(read(text).tariffs)).values())


def test_the_old_form_is_one_version_that_holds_from_the_beginning() -> None:
    assert as_rated(PLAIN) == [Tariff("minute", "EUR", (TariffVersion(per_minute=D("0.99")),))]


def test_versions_begin_at_midnight_of_the_files_time_zone_and_take_nothing_from_each_other() -> None:
    (tariff,) = as_rated(VERSIONS)
    old, summer, rich = tariff.versions
    assert old == TariffVersion(per_minute=D("0.99"), vat=D(16))
    assert summer == TariffVersion(
        valid_from=datetime(2025, 6, 30, 22, tzinfo=UTC), per_minute=D("1.09"), acceptance=D("0.25"), vat=D(19)
    )
    assert (rich.vat, rich.acceptance, rich.increment) == (D(0), D(0), Increment(30, 6))
    assert rich.bands == (Band("night", ("mon-fri 20:00-08:00", "sat,sun,holiday"), D("1.49"), None, D("0.50")),)
    assert [day.isoformat() for day in rich.holidays] == ["2026-12-25", "2026-12-26"]


def test_all_versions_may_stand_below() -> None:
    text = '[[tariffs]]\nname = "t"\n[[tariffs.versions]]\nvalid_from = 2025-07-01\nper_minute = "1"\n'
    (tariff,) = as_rated(text)
    assert [version.per_minute for version in tariff.versions] == [D(1)]


def test_one_version_is_written_in_the_old_form() -> None:
    written = write_business(read(PLAIN))
    assert "versions" not in written
    assert 'increment = "60/60"' in written  # what holds by default is said where it matters most
    assert "free_calls" not in written


@given(st.lists(any_tariff(), max_size=3, unique_by=lambda tariff: tariff.name))
def test_whatever_accounting_can_rate_goes_through_the_file_and_back(some: list[Tariff]) -> None:
    some = [tariff for tariff in some if all(_bands_have_prices(version) for version in tariff.versions)]
    data = tariffs_from_content(tariff_content(some))
    written = write_business(Business(tariffs=data))
    assert read(written).tariffs == data
    assert as_rated(written) == some


def _bands_have_prices(version: TariffVersion) -> bool:
    return all((band.per_minute, band.per_increment, band.acceptance) != (None, None, None) for band in version.bands)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            'per_minute = "0.99"\n',
            "",
            "1: tariffs[1]: has no price: give per_minute, per_increment or acceptance",
        ),
        (
            'per_minute = "0.99"\n',
            'per_minute = "0.99"\nper_increment = "0.10"\n',
            "4: tariffs[1].per_increment: the time has a price already: give per_minute or per_increment",
        ),
        (
            'per_minute = "0.99"\n',
            'per_minute = "0.99"\nincluded_minutes = "100"\n',
            "4: tariffs[1].included_minutes: must be a whole number",
        ),
        (
            'per_minute = "0.99"\n',
            'per_minute = "0.99"\nvat = "19.001"\n',
            '4: tariffs[1].vat: must be percent in quotation marks, such as "19"',
        ),
        (
            'per_minute = "0.99"\n',
            'per_minute = "0.99"\nrounding = "down"\n',
            "4: tariffs[1].rounding: Input should be 'half_up', 'half_even' or 'up'",
        ),
        (
            'per_minute = "0.99"\n',
            'per_minute = "0.99"\nhold = "own_price"\n',
            "4: tariffs[1].hold: Input should be 'billed' or 'not_billed'",
        ),
        (
            'per_minute = "0.99"\n',
            'per_minute = "0.99"\nsurcharge = "1"\n',
            "4: tariffs[1].surcharge: is no key that belongs here",
        ),
        (
            'per_minute = "0.99"\n',
            'per_minute = "0.99"\nfree_seconds = 86401\n',
            "4: tariffs[1].free_seconds: Input should be less than or equal to 86400",
        ),
    ],
)
def test_faults_of_one_version_are_at_their_line(old: str, new: str, expected: str) -> None:
    assert faults(PLAIN.replace(old, new)) == [f"contracts.toml:{expected}"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "valid_from = 2026-01-01\n",
            "",
            "12: tariffs[1].versions[2]: needs valid_from: only the first version holds from the beginning",
        ),
        (
            "valid_from = 2026-01-01",
            "valid_from = 2025-07-01",
            "13: tariffs[1].versions[2].valid_from: is not after that of the version above",
        ),
        (
            "valid_from = 2026-01-01",
            'valid_from = "2026-01-01"',
            "13: tariffs[1].versions[2].valid_from: must be a date or a date with time, without quotes, "
            "such as 2025-01-31",
        ),
        (
            "valid_from = 2025-07-01",
            "valid_from = 1969-07-01",
            "7: tariffs[1].versions[1].valid_from: the year 1969 is not of our time",
        ),
        (
            'external_per_minute = "0.10"\n',
            "",
            "20: tariffs[1].versions[2].external: needs external_per_minute",
        ),
        (
            'external = "own_price"\n',
            "",
            '20: tariffs[1].versions[2].external_per_minute: belongs to external = "own_price"',
        ),
        (
            'per_minute = "1.49", acceptance = "0.50"',
            'per_increment = "0.10"',
            "17: tariffs[1].versions[2].bands[1].per_increment: the tariff has its price per_minute: "
            "give that here too",
        ),
        (
            ', per_minute = "1.49", acceptance = "0.50"',
            "",
            "17: tariffs[1].versions[2].bands[1]: has no price of its own: "
            "give per_minute, per_increment or acceptance",
        ),
        (
            "sat,sun,holiday",
            "weekend",
            "17: tariffs[1].versions[2].bands[1].when[2]: 'weekend' must begin with days: "
            '"mon-fri", "sat,sun", "holiday" or "always"',
        ),
        (
            "20:00-08:00",
            "20-8",
            "17: tariffs[1].versions[2].bands[1].when[1]: '20-8' is no time of day, such as 18:00-24:00; "
            "for the whole day leave it out",
        ),
        (
            "\n]\nholidays",
            '\n    { name = "night", when = ["always"], per_minute = "1" },\n]\nholidays',
            "18: tariffs[1].versions[2].bands[2].name: 'night' is the name of another band",
        ),
        (
            "[2026-12-25, 2026-12-26]",
            "[2026-12-25T12:00:00]",
            "19: tariffs[1].versions[2].holidays[1]: must be a date without quotes, such as 2025-12-25",
        ),
        (
            "[2026-12-25, 2026-12-26]",
            '["25.12."]',
            "19: tariffs[1].versions[2].holidays[1]: must be a date without quotes, such as 2025-12-25",
        ),
    ],
)
def test_faults_of_versions_are_at_their_line(old: str, new: str, expected: str) -> None:
    assert faults(VERSIONS.replace(old, new)) == [f"contracts.toml:{expected}"]


def test_a_wrong_type_is_said_once() -> None:
    assert faults(PLAIN + "versions = 1\n") == ["contracts.toml:4: tariffs[1].versions: must be an array: [ ... ]"]
    assert faults(PLAIN + "bands = [1]\n") == ["contracts.toml:4: tariffs[1].bands[1]: must be a table"]


@given(
    st.sampled_from(("mon-fri", "sat,sun", "holiday", "always", "fri-mon,holiday", "never", "mon-", ",")),
    st.lists(st.sampled_from(("08:00-18:00", "22:00-06:00", "00:00-24:00", "24:00-06:00", "8-18")), max_size=2),
)
def test_a_rule_that_the_file_takes_accounting_takes_too(days: str, times: list[str]) -> None:
    rule = " ".join((days, *times))
    text = PLAIN + f'bands = [{{ name = "b", when = ["{rule}"], per_minute = "1" }}]\n'
    try:
        Band("b", (rule,))
    except ValueError:
        assert len(faults(text)) == 1
    else:
        assert as_rated(text)[0].versions[0].bands[0].when == (rule,)
