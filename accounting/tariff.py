"""Tariffs: what a connected call costs, and a month. Pure values; money is :class:`decimal.Decimal`.

A tariff has versions; the one valid when a call was connected rates it, so a new price never touches an old call.
What each rule means is in ``docs/accounting.md``; :mod:`accounting.rating` applies them.
"""

import calendar
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Any, Literal, get_args

from accounting.bands import Band

_INCREMENT = re.compile(r"([0-9]{1,5})/([0-9]{1,5})\Z")
_CURRENCY = re.compile(r"[A-Z]{3}\Z")

#: Prices are kept with at most this many places behind the point, below ten to this power.
PRICE_DIGITS = 6
UNITS: int = 10**PRICE_DIGITS
_SECOND = 1_000_000_000
#: A day; nobody is given, or charged, more of one call than that.
LONGEST_SECONDS = 86_400
#: More a month than there are: "all of them".
MOST_A_MONTH = 10_000_000
LATEST_YEAR = 2999

#: How the exact amount becomes one of ``digits`` places: half a unit up, half to the even neighbour, always up.
Rounding = Literal["half_up", "half_even", "up"]
Charge = Literal["billed", "not_billed"]
#: Talk to the customer after a transfer: as talk with an agent, not at all, or at a price of its own.
ExternalCharge = Literal["billed", "not_billed", "own_price"]
#: A call that went from agent to agent: rounded once as a whole, or each agent's part by itself.
TransferRule = Literal["whole", "each_agent"]


class TariffError(Exception):
    """A call cannot be rated by a tariff; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Increment:
    """The billing increment (Takt): seconds of the first unit and of each following one, both at least 1."""

    first_seconds: int
    following_seconds: int

    def __post_init__(self) -> None:
        if self.first_seconds < 1 or self.following_seconds < 1:
            raise ValueError(f"increment {self}: both units must be at least 1 second")

    @classmethod
    def parse(cls, text: str) -> "Increment":
        """Read "60/60", "60/1" or "1/1". Raises ``ValueError``."""
        match = _INCREMENT.match(text)
        if match is None:
            raise ValueError(f"increment {text!r} is not FIRST/FOLLOWING in seconds, such as 60/60")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.first_seconds}/{self.following_seconds}"


MINUTE = Increment(60, 60)
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Prices:
    """What a call costs at its hour, in millionths of the currency's unit: exact, and quick to count with."""

    band: str
    acceptance: int
    per_minute: int
    per_increment: int
    external_per_minute: int
    minimum: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TariffVersion:
    """What holds from ``valid_from`` on (an aware instant; None: from the beginning) until the next version.

    Prices are amounts of the tariff's currency. The price of the time is ``per_minute`` of the billed seconds or
    ``per_increment`` begun; with neither a call costs its ``acceptance`` alone. The rules, one by one, with examples:
    ``docs/accounting.md``. Raises ``ValueError`` for what cannot be, naming the field and what to write instead.
    """

    valid_from: datetime | None = None
    increment: Increment = MINUTE
    per_minute: Decimal | None = None
    per_increment: Decimal | None = None
    #: once for each call that is billed
    acceptance: Decimal = _NOTHING
    #: a billed call is billed at least so many seconds
    minimum_seconds: int = 0
    #: a billed call costs at least this
    minimum_amount: Decimal = _NOTHING
    #: so many seconds of each call are never billed
    free_seconds: int = 0
    #: a call of at most so many seconds costs nothing; a longer one all of it
    free_up_to_seconds: int = 0
    #: the first so many calls of a month cost nothing
    free_calls: int = 0
    included_minutes: int = 0
    bands: tuple[Band, ...] = ()
    #: days on which rules for "holiday" hold instead of those for weekdays
    holidays: tuple[date, ...] = ()
    #: once a month
    base_fee: Decimal = _NOTHING
    #: percent, added to the net sum
    vat: Decimal = _NOTHING
    digits: int = 2
    rounding: Rounding = "half_up"
    hold: Charge = "billed"
    consultation: Charge = "billed"
    transfer: TransferRule = "whole"
    external: ExternalCharge = "billed"
    external_per_minute: Decimal | None = None
    #: the prices as :mod:`accounting.rating` counts with them: of no band, and of each
    prices: "Prices" = field(init=False, repr=False, compare=False)
    band_prices: tuple["Prices", ...] = field(init=False, repr=False, compare=False)
    days_off: frozenset[date] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.valid_from is not None and self.valid_from.tzinfo is None:
            raise ValueError("valid_from must be an instant: give it a time zone")
        if self.valid_from is not None and not 1970 <= self.valid_from.year <= LATEST_YEAR:
            raise ValueError(f"valid_from {self.valid_from} is not of our time")
        self._check_prices()
        self._check_amounts()
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} {getattr(self, name)!r} must be one of {', '.join(allowed)}")
        if (self.external == "own_price") != (self.external_per_minute is not None):
            raise ValueError('external_per_minute belongs to external = "own_price", and that to it: give both or none')
        names = [band.name for band in self.bands]
        if len(set(names)) != len(names):
            raise ValueError("two bands have one name: give each its own")
        object.__setattr__(self, "days_off", frozenset(self.holidays))
        object.__setattr__(self, "prices", _prices(self, None))
        object.__setattr__(self, "band_prices", tuple(_prices(self, band) for band in self.bands))

    def _check_prices(self) -> None:
        if self.per_minute is not None and self.per_increment is not None:
            raise ValueError("give per_minute or per_increment, not both")
        prices = [(name, getattr(self, name)) for name in _PRICES]
        for band in self.bands:
            prices += [(f"band {band.name}: {name}", getattr(band, name)) for name in _BAND_PRICES]
            if (band.per_increment is not None and self.per_minute is not None) or (
                band.per_minute is not None and (self.per_increment is not None or band.per_increment is not None)
            ):
                raise ValueError(f"band {band.name}: its price must be of the version's kind, a minute or an increment")
        for name, price in prices:
            if price is not None and not _is_price(price):
                raise ValueError(
                    f"{name} {price} must be from 0 to below 10^{PRICE_DIGITS} with at most {PRICE_DIGITS} places"
                )

    def _check_amounts(self) -> None:
        if not (self.vat.is_finite() and 0 <= self.vat < 100 and 100 % self.vat.as_integer_ratio()[1] == 0):
            raise ValueError(f"vat {self.vat} must be percent, from 0 to below 100 with at most 2 places, such as 19")
        if not 0 <= self.digits <= PRICE_DIGITS:
            raise ValueError(f"digits must be from 0 to {PRICE_DIGITS}")
        for name, most in _COUNTS.items():
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"{name} {getattr(self, name)} must be from 0 to {most}")

    @property
    def since_ns(self) -> int:
        """``valid_from`` as wall clock nanoseconds since 1970; 0: from the beginning."""
        since = self.valid_from
        if since is None:
            return 0
        utc = since.astimezone(UTC)
        return calendar.timegm(utc.timetuple()) * _SECOND + utc.microsecond * 1000


_PRICES = ("per_minute", "per_increment", "acceptance", "minimum_amount", "base_fee", "external_per_minute")
_BAND_PRICES = ("per_minute", "per_increment", "acceptance")
_CHOICES: dict[str, tuple[str, ...]] = {
    "rounding": get_args(Rounding),
    "hold": get_args(Charge),
    "consultation": get_args(Charge),
    "transfer": get_args(TransferRule),
    "external": get_args(ExternalCharge),
}
_COUNTS = {
    "minimum_seconds": LONGEST_SECONDS,
    "free_seconds": LONGEST_SECONDS,
    "free_up_to_seconds": LONGEST_SECONDS,
    "free_calls": MOST_A_MONTH,
    "included_minutes": MOST_A_MONTH,
}


@dataclass(frozen=True, slots=True)
class Tariff:
    """A name, a currency (ISO 4217), and what holds since when.

    ``versions`` are in order of ``valid_from``, each another instant. Raises ``ValueError`` for anything else.
    """

    name: str
    currency: str
    versions: tuple[TariffVersion, ...]
    _since: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a tariff needs a name")
        if not _CURRENCY.match(self.currency):
            raise ValueError(f"tariff {self.name}: currency {self.currency!r} is not an ISO 4217 code, such as EUR")
        if not self.versions:
            raise ValueError(f"tariff {self.name} has no version: give it a price")
        if any(version.valid_from is None for version in self.versions[1:]):
            raise ValueError(f"tariff {self.name}: only the first version may do without valid_from")
        since = tuple(version.since_ns for version in self.versions)
        if any(earlier >= later for earlier, later in pairwise(since)):
            raise ValueError(f"tariff {self.name}: put the versions in order of valid_from, each with another one")
        object.__setattr__(self, "_since", since)

    def at(self, wall_ns: int) -> TariffVersion:
        """The version valid at an instant. Raises :class:`TariffError` before the first one."""
        position = bisect_right(self._since, wall_ns)
        if not position:
            instant = datetime.fromtimestamp(wall_ns // _SECOND, UTC)
            raise TariffError(
                f"tariff {self.name} has no version for {instant:%Y-%m-%d %H:%M} UTC: give it one with an earlier "
                "valid_from, or with none"
            )
        return self.versions[position - 1]

    def of_month(self, since_ns: int, until_ns: int) -> TariffVersion | None:
        """The version whose base fee, free calls and included minutes a month has, given its bounds.

        That is the one valid at its first instant; in the month in which the tariff begins its first; else None.
        """
        if since_ns >= self._since[0]:
            return self.at(since_ns)
        return self.versions[0] if self._since[0] < until_ns else None


def _is_price(price: Decimal) -> bool:
    if not price.is_finite() or not 0 <= price < UNITS:
        return False
    return UNITS % price.as_integer_ratio()[1] == 0


def _prices(version: TariffVersion, band: Band | None) -> Prices:
    per_minute, per_increment, acceptance = version.per_minute, version.per_increment, version.acceptance
    if band is not None:
        if band.acceptance is not None:
            acceptance = band.acceptance
        if band.per_minute is not None or band.per_increment is not None:
            per_minute, per_increment = band.per_minute, band.per_increment
    return Prices(
        "" if band is None else band.name,
        _millionths(acceptance),
        _millionths(per_minute),
        _millionths(per_increment),
        _millionths(version.external_per_minute),
        _millionths(version.minimum_amount),
    )


def _millionths(price: Decimal | None) -> int:
    if price is None:
        return 0
    numerator, denominator = price.as_integer_ratio()
    return numerator * UNITS // denominator


# -- as plain values, for journal and database -----------------------------------------------------------

_VERSION = tuple(item.name for item in fields(TariffVersion) if item.init)
_BAND = tuple(item.name for item in fields(Band) if item.init)
_DECIMALS = frozenset((*_PRICES, "vat"))


def tariff_content(tariffs: Iterable[Tariff]) -> dict[str, object]:
    """All of the tariffs, in their order: text, integers, lists and objects.

    Prices are text without needless zeros, instants ISO 8601 in UTC; what is not given (None) is left out.
    """
    return {"tariffs": [_tariff(tariff) for tariff in tariffs]}


def tariffs_of(content: Mapping[str, Any]) -> dict[str, Tariff]:
    """What :func:`tariff_content` was made of, by name, in the same order. Raises ``ValueError`` for anything else.

    A rule that is not there has its default, so what an older version wrote is still read.
    """
    try:
        found = [_read_tariff(item) for item in content["tariffs"]]
    except (TypeError, KeyError, AttributeError, InvalidOperation) as error:
        raise ValueError(f"these are no tariffs: {error}") from None
    return {tariff.name: tariff for tariff in found}


def version_content(version: TariffVersion) -> dict[str, object]:
    """One version, as in :func:`tariff_content`."""
    return {name: _plain(value) for name in _VERSION if (value := getattr(version, name)) is not None}


def version_of(content: Mapping[str, Any]) -> TariffVersion:
    """What :func:`version_content` was made of. Raises ``ValueError``, ``TypeError`` or ``KeyError``."""
    values: dict[str, Any] = {}
    for name, value in content.items():
        if name == "valid_from":
            values[name] = datetime.fromisoformat(value)
        elif name == "increment":
            values[name] = Increment.parse(value)
        elif name == "holidays":
            values[name] = tuple(map(date.fromisoformat, value))
        elif name == "bands":
            values[name] = tuple(map(_read_band, value))
        elif name in _VERSION:
            values[name] = Decimal(value) if name in _DECIMALS else value
        else:
            raise ValueError(f"a tariff's version has no rule {name!r}: a newer version of the exchange wrote it")
    return TariffVersion(**values)


def price_text(price: Decimal) -> str:
    """Without exponent and needless zeros, whatever the decimal context: equal prices are equal texts."""
    text = f"{price.copy_abs():f}"  # no price is below zero, but there is a negative zero
    return text.rstrip("0").rstrip(".") if "." in text else text


def _tariff(tariff: Tariff) -> dict[str, object]:
    versions = [version_content(version) for version in tariff.versions]
    return {"name": tariff.name, "currency": tariff.currency, "versions": versions}


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return price_text(value)
    if isinstance(value, Increment):
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Band):
        return {name: _plain(item) for name in _BAND if (item := getattr(value, name)) is not None}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _read_tariff(item: Mapping[str, Any]) -> Tariff:
    return Tariff(item["name"], item["currency"], tuple(version_of(version) for version in item["versions"]))


def _read_band(item: Mapping[str, Any]) -> Band:
    values: dict[str, Any] = {
        name: tuple(value) if name == "when" else Decimal(value) if name in _DECIMALS else value
        for name, value in item.items()
    }
    return Band(**values)


def money(price: Decimal) -> str:
    """As people write it: two places at least, and no needless zeros beyond."""
    whole, _, places = price_text(price).partition(".")
    return f"{whole}.{places.ljust(2, '0')}"
