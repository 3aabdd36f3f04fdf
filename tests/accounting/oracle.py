"""The rules of docs/accounting.md once more: independent, slow, obvious. Nothing of ``accounting`` is used.

Written from that page, not from the code it judges: loops instead of divisions, fractions instead of clever integers,
tariffs as the plain values of the journal. Times are integer nanoseconds of the wall clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

SECOND = 1_000_000_000
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Stretch = tuple[str, str, int, int]  # agent, activity, start, end


@dataclass
class Call:
    """A billable call: its stretches are not empty."""

    call_id: str
    tariff: str
    stretches: list[Stretch]

    @property
    def connected(self) -> int:
        """When."""
        return self.stretches[0][2]


@dataclass
class Price:
    """What a call is billed; ``amount`` in units of ten to the minus ``digits``."""

    seconds: int
    increments: int
    external: int
    included: int
    amount: int
    digits: int
    band: str
    free: str


def instant(text: str) -> int:
    """An ISO 8601 instant in nanoseconds."""
    return round((datetime.fromisoformat(text) - datetime.fromisoformat("1970-01-01T00:00+00:00")).total_seconds()) * (
        SECOND
    )


def version_at(tariff: Mapping[str, Any], moment: int) -> Mapping[str, Any]:
    """The last one that has begun."""
    versions: list[Mapping[str, Any]] = tariff["versions"]
    return [item for item in versions if "valid_from" not in item or instant(item["valid_from"]) <= moment][-1]


# -- bands -----------------------------------------------------------------------------------------------


def kind_of_day(local: datetime, holidays: Sequence[str]) -> str:
    """A weekday, or a holiday instead."""
    return "holiday" if local.date().isoformat() in holidays else DAYS[local.weekday()]


def days_of(text: str) -> set[str]:
    """All kinds of days that are meant."""
    found = set()
    for part in text.split(","):
        if part == "always":
            found |= {*DAYS, "holiday"}
        elif "-" in part:
            first, last = part.split("-")
            day = DAYS.index(first)
            found.add(DAYS[day])
            while DAYS[day] != last:
                day = (day + 1) % 7
                found.add(DAYS[day])
        else:
            found.add(part)
    return found


def rule_holds(rule: str, local: datetime, holidays: Sequence[str]) -> bool:
    """Whether one of its spans, of today or of yesterday over midnight, has the time."""
    days, *spans = rule.split()
    clock = f"{local.hour:02}:{local.minute:02}"
    today = kind_of_day(local, holidays)
    yesterday = kind_of_day(local - timedelta(days=1), holidays)
    for span in spans or ["00:00-24:00"]:
        begin, end = span.split("-")
        if begin < end:
            if today in days_of(days) and begin <= clock < end:
                return True
        elif (today in days_of(days) and begin <= clock) or (yesterday in days_of(days) and clock < end):
            return True
    return False


def band_of(version: Mapping[str, Any], moment: int, zone: ZoneInfo) -> Mapping[str, Any]:
    """The first that holds, or nothing."""
    local = datetime.fromtimestamp(moment // SECOND, zone)
    for band in version["bands"]:
        for rule in band["when"]:
            if rule_holds(rule, local, version["holidays"]):
                return dict(band)
    return {"name": ""}


# -- one call --------------------------------------------------------------------------------------------


def round_up(nanoseconds: int, increment: str) -> tuple[int, int]:
    """Seconds and how many increments, one after the other."""
    first, following = increment.split("/")
    seconds, increments = int(first), 1
    while seconds * SECOND < nanoseconds:
        seconds += int(following)
        increments += 1
    return seconds, increments


def is_billed(activity: str, version: Mapping[str, Any]) -> bool:
    """As talk."""
    if activity == "talk":
        return True
    return str(version[activity]) == "billed"


def round_money(exact: Fraction, digits: int, mode: str) -> int:
    """The units just below, and whether it is one more."""
    scaled = exact * Fraction(10) ** digits
    whole: int = scaled.numerator // scaled.denominator
    rest = scaled - whole
    if rest == 0:
        return whole
    if mode == "up":
        return whole + 1
    if rest == Fraction(1, 2):
        if mode == "half_up":
            return whole + 1
        return whole if whole % 2 == 0 else whole + 1
    return whole + 1 if rest > Fraction(1, 2) else whole


def price_call(call: Call, version: Mapping[str, Any], zone: ZoneInfo, left: int) -> Price:
    """Rules 2 to 10; ``left`` seconds are still included."""
    band = band_of(version, call.connected, zone)
    digits = version["digits"]

    parts: dict[str, int] = {}
    own = 0
    for agent, activity, start, end in call.stretches:
        if activity == "external" and version["external"] == "own_price":
            own += end - start
        elif is_billed(activity, version):
            who = "outside" if activity == "external" else f"agent {agent}"
            parts[who] = parts.get(who, 0) + end - start
    time = sum(parts.values())

    short, free = version["free_up_to_seconds"] * SECOND, version["free_seconds"] * SECOND
    if short > 0 and time + own <= short:
        return Price(0, 0, 0, 0, 0, digits, band["name"], "short")
    time_is_free = free > 0 and time <= free
    if time_is_free and own == 0:
        return Price(0, 0, 0, 0, 0, digits, band["name"], "short")

    seconds = increments = 0
    if not time_is_free:
        if version["transfer"] == "whole":
            parts = {"all": time}
        for part in parts.values():
            off = part if free > part else free
            free -= off
            if part - off > 0:
                rounded = round_up(part - off, version["increment"])
                seconds += rounded[0]
                increments += rounded[1]
        if seconds == 0:
            seconds, increments = round_up(0, version["increment"])
        if version["minimum_seconds"] > 0:
            least = round_up(version["minimum_seconds"] * SECOND, version["increment"])
            seconds, increments = max(seconds, least[0]), max(increments, least[1])

    external, external_increments = round_up(own, version["increment"]) if own else (0, 0)

    acceptance = Fraction(band.get("acceptance", version["acceptance"]))
    prices = band if "per_minute" in band or "per_increment" in band else version
    if "per_minute" in prices:
        price = Fraction(prices["per_minute"]) * seconds / 60
    elif "per_increment" in prices:
        price = Fraction(prices["per_increment"]) * increments
    else:
        price = Fraction(0)
    included = 0
    while included < seconds and included < left:
        included += 1
    if included:
        price = price * (seconds - included) / seconds
    exact = acceptance + price + Fraction(version.get("external_per_minute", "0")) * external / 60
    wholly_included = included == seconds and included > 0 and external == 0
    if not wholly_included and exact < Fraction(version["minimum_amount"]):
        exact = Fraction(version["minimum_amount"])
    amount = round_money(exact, digits, version["rounding"])
    return Price(
        seconds + external, increments + external_increments, external, included, amount, digits, band["name"], ""
    )


# -- one month -------------------------------------------------------------------------------------------


@dataclass
class Bill:
    """The month: prices by call in order, and cents by VAT rate: net and tax."""

    prices: list[tuple[str, Price]]
    base_fee: Fraction
    taxes: dict[Fraction, tuple[int, int]]


def month_version(tariff: Mapping[str, Any], begin: int, end: int) -> Mapping[str, Any] | None:
    """The version whose base fee, free calls and included minutes hold."""
    first = tariff["versions"][0]
    since = instant(first["valid_from"]) if "valid_from" in first else begin
    if since > begin:
        return dict(first) if since < end else None
    return version_at(tariff, begin)


def bill_month(calls: list[Call], tariffs: Mapping[str, Any], begin: int, end: int, zone: ZoneInfo, base: str) -> Bill:
    """Of one contract; ``base`` is the contract's tariff or empty."""
    mine = sorted(
        (call for call in calls if begin <= call.connected < end), key=lambda call: (call.connected, call.call_id)
    )
    names = {call.tariff for call in mine} | ({base} if base else set())
    months = {name: month_version(tariffs[name], begin, end) for name in names}
    free_calls = {name: month["free_calls"] if month else 0 for name, month in months.items()}
    included = {name: month["included_minutes"] * 60 if month else 0 for name, month in months.items()}

    sums: dict[Fraction, Fraction] = {}
    fee = Fraction(0)
    candidates = [month for name, month in months.items() if month and (name == base or not base)]
    for month in candidates:
        fee = max(fee, Fraction(month["base_fee"]))
    if fee:
        rate = max(Fraction(month["vat"]) for month in candidates if Fraction(month["base_fee"]) == fee)
        sums[rate] = fee

    prices = []
    for call in mine:
        version = version_at(tariffs[call.tariff], call.connected)
        price = price_call(call, version, zone, 0)
        if price.free == "":
            if free_calls[call.tariff] > 0:
                free_calls[call.tariff] -= 1
                price.amount, price.free = 0, "free_call"
            else:
                price = price_call(call, version, zone, included[call.tariff])
                included[call.tariff] -= price.included
        prices.append((call.call_id, price))
        rate = Fraction(version["vat"])
        sums[rate] = sums.get(rate, Fraction(0)) + Fraction(price.amount, 10**price.digits)
    taxes = {}
    for rate, total in sums.items():
        net = round_money(total, 2, "half_up")
        taxes[rate] = (net, round_money(Fraction(net, 100) * rate / 100, 2, "half_up"))
    return Bill(prices, fee, taxes)
