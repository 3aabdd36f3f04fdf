"""Tariffs in the business file: read, checked and written; accounting makes its own of them.

A tariff stands in one ``[[tariffs]]`` with the prices that hold from the beginning. A new price is a
``[[tariffs.versions]]`` below it with the day from which it holds; each version says everything, nothing is taken from
the one before. What the rules mean is in ``docs/accounting.md``.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from routing.business_fields import STRICT, Moment, Name
from routing.toml_lines import Path
from routing.toml_text import Value, pair, rows

_PRICE = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?", re.ASCII)
_PERCENT = re.compile(r"[0-9]{1,2}(\.[0-9]{1,2})?", re.ASCII)
_INCREMENT = re.compile(r"[1-9][0-9]{0,4}/[1-9][0-9]{0,4}", re.ASCII)
_DAY = r"(mon|tue|wed|thu|fri|sat|sun)"
_DAYS = re.compile(rf"always|({_DAY}(-{_DAY})?|holiday)(,({_DAY}(-{_DAY})?|holiday))*", re.ASCII)
_SPAN = re.compile(r"(([01][0-9]|2[0-3]):[0-5][0-9])-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)", re.ASCII)
_DAY_SECONDS = 86_400
_MOST_A_MONTH = 10_000_000

Tables = Mapping[str, Any]
Finding = tuple[Path, str]


# -- the shape -------------------------------------------------------------------------------------------


def _price(value: object) -> Decimal:
    if not isinstance(value, str) or not _PRICE.fullmatch(value):
        raise ValueError('must be a price in quotation marks, such as "0.99"')
    return Decimal(value)


def _percent(value: object) -> Decimal:
    if not isinstance(value, str) or not _PERCENT.fullmatch(value):
        raise ValueError('must be percent in quotation marks, such as "19"')
    return Decimal(value)


def _increment(value: str) -> str:
    if not _INCREMENT.fullmatch(value):
        raise ValueError(f"{value!r} must be FIRST/FOLLOWING in seconds, both at least 1, such as 60/60")
    return value


def _rule(value: str) -> str:
    words = value.split()
    if not words or not _DAYS.fullmatch(words[0]):
        raise ValueError(f'{value!r} must begin with days: "mon-fri", "sat,sun", "holiday" or "always"')
    for word in words[1:]:
        match = _SPAN.fullmatch(word)
        if match is None or match[1] == match[3]:
            raise ValueError(f"{word!r} is no time of day, such as 18:00-24:00; for the whole day leave it out")
    return " ".join(words)


def _since(value: datetime) -> datetime:
    if not 1970 <= value.year < 3000:
        raise ValueError(f"the year {value.year} is not of our time")
    return value


Price = Annotated[Decimal, BeforeValidator(_price)]
Percent = Annotated[Decimal, BeforeValidator(_percent)]
Charge = Literal["billed", "not_billed"]
_Seconds = Annotated[int, Field(ge=0, le=_DAY_SECONDS)]
_Count = Annotated[int, Field(ge=0, le=_MOST_A_MONTH)]
_NOTHING = Decimal(0)


class _Table(BaseModel):
    model_config = STRICT


class BandTable(_Table):
    """Hours in which other prices hold; what is not given is as in the version."""

    name: Name
    when: Annotated[list[Annotated[str, AfterValidator(_rule)]], Field(min_length=1, max_length=50)]
    per_minute: Price | None = None
    per_increment: Price | None = None
    acceptance: Price | None = None


class VersionTable(_Table):
    """What holds from ``valid_from`` on, or from the beginning."""

    valid_from: Annotated[Moment, AfterValidator(_since)] | None = None
    per_minute: Price | None = None
    per_increment: Price | None = None
    increment: Annotated[str, AfterValidator(_increment)] = "60/60"
    acceptance: Price = _NOTHING
    minimum_seconds: _Seconds = 0
    minimum_amount: Price = _NOTHING
    free_seconds: _Seconds = 0
    free_up_to_seconds: _Seconds = 0
    free_calls: _Count = 0
    included_minutes: _Count = 0
    base_fee: Price = _NOTHING
    vat: Percent = _NOTHING
    digits: int = Field(default=2, ge=0, le=6)
    rounding: Literal["half_up", "half_even", "up"] = "half_up"
    hold: Charge = "billed"
    consultation: Charge = "billed"
    transfer: Literal["whole", "each_agent"] = "whole"
    external: Literal["billed", "not_billed", "own_price"] = "billed"
    external_per_minute: Price | None = None
    holidays: list[date] = Field(default=[], max_length=1000)
    bands: list[BandTable] = Field(default=[], max_length=50)


class TariffTable(VersionTable):
    """One of ``[[tariffs]]``: its own keys are the first version, unless all are in ``versions``."""

    name: Name
    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}\z")
    versions: list[VersionTable] = Field(default=[], max_length=1000)


@dataclass(frozen=True, slots=True)
class TariffData:
    """A tariff as the business file has it; prices are in ``currency`` (ISO 4217), versions in order."""

    name: str
    currency: str
    versions: tuple[VersionTable, ...]


_OWN = frozenset(("name", "currency", "versions"))


def tariff_data(table: TariffTable) -> TariffData:
    """The versions of a table, its own keys first."""
    given = table.model_fields_set - _OWN
    own = VersionTable.model_construct(given, **{name: getattr(table, name) for name in VersionTable.model_fields})
    return TariffData(table.name, table.currency, (*([own] if given else ()), *table.versions))


# -- what its parts say about each other -----------------------------------------------------------------

_PRICES = ("per_minute", "per_increment", "acceptance")


def tariff_findings(at: Path, tariff: Tables, zone: ZoneInfo) -> Iterator[Finding]:
    """Contradictions in one of ``[[tariffs]]`` as TOML has it; what has a wrong type is found elsewhere."""
    versions = tariff.get("versions", [])
    if not isinstance(versions, list):
        return
    places: list[tuple[Path, Tables]] = [(at, tariff)] if set(tariff) - _OWN or not versions else []
    places += [((*at, "versions", number), item) for number, item in enumerate(versions) if isinstance(item, Mapping)]
    before: datetime | None = None
    for number, (place, version) in enumerate(places):
        yield from _version_findings(place, version)
        if number and "valid_from" not in version:
            yield place, "needs valid_from: only the first version holds from the beginning"
        since = _instant(version.get("valid_from"), zone)
        if since is not None:
            if before is not None and since <= before:
                yield (*place, "valid_from"), "is not after that of the version above"
            before = since


def _instant(value: object, zone: ZoneInfo) -> datetime | None:
    if not isinstance(value, date) or not 1970 <= value.year < 3000:
        return None
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _version_findings(at: Path, version: Tables) -> Iterator[Finding]:
    if not any(key in version for key in _PRICES):
        yield at, "has no price: give per_minute, per_increment or acceptance"
    if "per_minute" in version and "per_increment" in version:
        yield (*at, "per_increment"), "the time has a price already: give per_minute or per_increment"
    own_price = version.get("external") == "own_price"
    if own_price and "external_per_minute" not in version:
        yield (*at, "external"), "needs external_per_minute"
    if not own_price and "external_per_minute" in version:
        yield (*at, "external_per_minute"), 'belongs to external = "own_price"'
    bands = version.get("bands")
    names: set[str] = set()
    for number, band in enumerate(bands if isinstance(bands, list) else ()):
        if isinstance(band, Mapping):
            yield from _band_findings((*at, "bands", number), band, version)
            name = band.get("name")
            if isinstance(name, str):
                if name in names:
                    yield (*at, "bands", number, "name"), f"{name!r} is the name of another band"
                names.add(name)


def _band_findings(at: Path, band: Tables, version: Tables) -> Iterator[Finding]:
    if not any(key in band for key in _PRICES):
        yield at, "has no price of its own: give per_minute, per_increment or acceptance"
    for key, other in (("per_minute", "per_increment"), ("per_increment", "per_minute")):
        if key in band and other in version:
            yield (*at, key), f"the tariff has its price {other}: give that here too"
    if "per_minute" in band and "per_increment" in band:
        yield (*at, "per_increment"), "the time has a price already: give per_minute or per_increment"


# -- writing ---------------------------------------------------------------------------------------------


def tariff_text(tariff: TariffData, moment_value: Callable[[datetime], Value]) -> str:
    """The tariff's ``[[tariffs]]``; ``moment_value`` is how a moment is written."""
    head = ["[[tariffs]]", pair("name", tariff.name), pair("currency", tariff.currency)]
    if len(tariff.versions) == 1 and tariff.versions[0].valid_from is None:
        return "\n".join((*head, *_version_lines(tariff.versions[0], moment_value))) + "\n"
    blocks = (
        "\n".join(("[[tariffs.versions]]", *_version_lines(version, moment_value))) for version in tariff.versions
    )
    return "\n\n".join(("\n".join(head), *blocks)) + "\n"


def _version_lines(version: VersionTable, moment_value: Callable[[datetime], Value]) -> Iterator[str]:
    for key, field in VersionTable.model_fields.items():
        value = getattr(version, key)
        if key == "bands":
            if value:
                yield rows(key, [_band_value(band) for band in value])
        elif isinstance(value, datetime):
            yield pair(key, moment_value(value))
        elif isinstance(value, Decimal):
            if value != field.get_default() or key in _PRICES:
                yield pair(key, _percent_text(value) if key == "vat" else _price_text(value))
        elif value != field.get_default() or key == "increment":
            yield pair(key, value)


def _band_value(band: BandTable) -> Mapping[str, Value]:
    prices = {key: _price_text(price) for key in _PRICES if (price := getattr(band, key)) is not None}
    return {"name": band.name, "when": band.when, **prices}


def _price_text(price: Decimal) -> str:
    whole, _, places = f"{price:f}".partition(".")
    return f"{whole}.{places.rstrip('0').ljust(2, '0')}"


def _percent_text(percent: Decimal) -> str:
    whole, _, places = f"{percent:f}".partition(".")
    return f"{whole}.{places}" if places.strip("0") else whole


# -- as plain values, for accounting ---------------------------------------------------------------------


def tariffs_content(tariffs: Iterable[TariffData]) -> dict[str, object]:
    """Text, integers, lists and objects, as accounting's ``tariffs_of`` reads them."""
    return {
        "tariffs": [
            {
                "name": tariff.name,
                "currency": tariff.currency,
                "versions": [version.model_dump(mode="json", exclude_none=True) for version in tariff.versions],
            }
            for tariff in tariffs
        ]
    }


def tariffs_from_content(content: Mapping[str, Any]) -> tuple[TariffData, ...]:
    """What accounting's ``tariff_content`` has made."""
    return tuple(
        TariffData(item["name"], item["currency"], tuple(map(_version_table, item["versions"])))
        for item in content["tariffs"]
    )


def _version_table(content: Mapping[str, Any]) -> VersionTable:
    values = dict(content)
    if "valid_from" in values:
        values["valid_from"] = datetime.fromisoformat(values["valid_from"])
    values["holidays"] = [date.fromisoformat(day) for day in values.get("holidays", ())]
    return VersionTable.model_validate(values)
