"""From nanoseconds to money: a call, and a contract's month. Pure; the only place where anything is rounded.

The rules, one by one and with examples, are in ``docs/accounting.md``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Literal
from zoneinfo import ZoneInfo

from accounting.journal import Segment
from accounting.month import BERLIN, Month
from accounting.records import CallRecord
from accounting.tariff import UNITS, Prices, Tariff, TariffError, TariffVersion

_SECOND = 1_000_000_000
#: An amount is counted in this part of the currency's unit: prices are millionths a minute, and time is seconds.
_EXACT = 60 * UNITS
#: Sums and VAT are in hundredths of the currency's unit.
_CENT = Decimal("0.01")
#: Every sum of amounts is exact in this, whatever the decimal context of whoever calls.
_SUMS = Context(prec=60, rounding=ROUND_HALF_UP)
_NOTHING = Decimal(0)

#: Why a call costs nothing: it was short, or it is one of the month's free ones.
Free = Literal["", "short", "free_call"]


@dataclass(frozen=True, slots=True)
class Rated:
    """What one connected call is billed.

    ``billed_seconds`` are whole increments, all of them, and ``units`` their number; ``external_seconds`` of them are
    talk after a transfer at its own price, ``included_seconds`` of them are paid with the base fee. ``amount`` is in
    the tariff's currency, rounded. ``band`` is the time band's name, empty outside of all.
    """

    billed_seconds: int
    units: int
    amount: Decimal
    external_seconds: int = 0
    included_seconds: int = 0
    band: str = ""
    free: Free = ""


def rate(
    segments: Sequence[Segment], version: TariffVersion, timezone: ZoneInfo = BERLIN, included_seconds: int = 0
) -> Rated:
    """Rate one call by itself: its connected interval in order (wall clock), at least one segment.

    ``timezone`` is whose clock the time bands mean; ``included_seconds`` are still paid with the month's base fee.
    Time is rounded up to full increments, once, from the integer nanoseconds: 60.2 s are 120 s in 60/60, and one
    nanosecond beyond the minute is enough. A call connected for 0 ns costs the first increment all the same: it was
    connected. Calls that never reached an agent are not rated at all, so they never come here.

    The amount is an exact fraction until its one rounding. Raises ``ValueError`` for a segment that ends before it
    begins, and for none at all.
    """
    if not segments:
        raise ValueError("a connected call has at least one segment")
    prices = _prices_at(segments[0].start_ns, version, timezone)
    talk_ns, external_ns = _measure(segments, version)
    free_ns = version.free_seconds * _SECOND
    talk_is_free = 0 < free_ns >= talk_ns
    short_ns = version.free_up_to_seconds * _SECOND
    if 0 < short_ns >= talk_ns + external_ns or (talk_is_free and not external_ns):
        return Rated(0, 0, _amount(0, 1, version), band=prices.band, free="short")
    talked = units = external = external_units = 0
    if not talk_is_free:
        if version.transfer == "each_agent" and len(segments) > 1:
            talked, units = _round_parts(_by_agent(segments, version), free_ns, version)
        else:
            talked, units = _round_up(talk_ns - free_ns, version)
        if version.minimum_seconds:
            least, least_units = _round_up(version.minimum_seconds * _SECOND, version)
            talked, units = max(talked, least), max(units, least_units)
    if external_ns:
        external, external_units = _round_up(external_ns, version)
    time = prices.per_minute * talked + prices.per_increment * units * 60
    other = prices.acceptance * 60 + prices.external_per_minute * external
    included = min(talked, included_seconds)
    if included:
        # In proportion to the seconds left to pay, exact: the fraction goes into the denominator.
        numerator, denominator = other * talked + time * (talked - included), _EXACT * talked
    else:
        numerator, denominator = other + time, _EXACT
    if external or included < talked:
        numerator = max(numerator, prices.minimum * (denominator // UNITS))
    amount = _amount(numerator, denominator, version)
    return Rated(talked + external, units + external_units, amount, external, included, prices.band)


def _prices_at(start_ns: int, version: TariffVersion, timezone: ZoneInfo) -> Prices:
    """The first band that holds when the call is connected decides about the whole call."""
    if version.bands:
        local = datetime.fromtimestamp(start_ns // _SECOND, timezone)
        for band, prices in zip(version.bands, version.band_prices, strict=True):
            if band.holds(local, version.days_off):
                return prices
    return version.prices


def _measure(segments: Sequence[Segment], version: TariffVersion) -> tuple[int, int]:
    """Nanoseconds to bill as talk, and at the price for external talk."""
    talk_ns = external_ns = 0
    for segment in segments:
        duration_ns = segment.end_ns - segment.start_ns
        if duration_ns < 0:
            raise ValueError(f"a segment of {duration_ns} ns is negative")
        charge = _charge(segment, version)
        if charge == "billed":
            talk_ns += duration_ns
        elif charge == "own_price":
            external_ns += duration_ns
    return talk_ns, external_ns


def _charge(segment: Segment, version: TariffVersion) -> str:
    activity = segment.activity
    if activity == "talk":
        return "billed"
    if activity == "hold":
        return version.hold
    return version.consultation if activity == "consultation" else version.external


def _by_agent(segments: Sequence[Segment], version: TariffVersion) -> list[int]:
    """The talk of :func:`_measure` by agent, in the order in which they came; external talk is nobody's part."""
    parts: dict[tuple[bool, str], int] = {}
    for segment in segments:
        if _charge(segment, version) == "billed":
            whose = (True, "") if segment.activity == "external" else (False, segment.agent)
            parts[whose] = parts.get(whose, 0) + segment.end_ns - segment.start_ns
    return list(parts.values())


def _round_parts(parts: list[int], free_ns: int, version: TariffVersion) -> tuple[int, int]:
    seconds = units = 0
    for part_ns in parts:
        billed_ns = max(0, part_ns - free_ns)
        free_ns -= part_ns - billed_ns
        if billed_ns:
            rounded, count = _round_up(billed_ns, version)
            seconds += rounded
            units += count
    # All of them empty: the caller was connected, which costs the first increment, once.
    return (seconds, units) if units else _round_up(0, version)


def _round_up(duration_ns: int, version: TariffVersion) -> tuple[int, int]:
    """Whole increments, in seconds and counted."""
    first, following = version.increment.first_seconds, version.increment.following_seconds
    beyond_ns = duration_ns - first * _SECOND
    if beyond_ns <= 0:
        return first, 1
    count = -(-beyond_ns // (following * _SECOND))
    return first + count * following, 1 + count


def _amount(numerator: int, denominator: int, version: TariffVersion) -> Decimal:
    """The one rounding. Made from text: arithmetic would depend on the decimal context of whoever calls."""
    digits = version.digits
    whole, rest = divmod(numerator * 10**digits, denominator)
    if rest:
        mode = version.rounding
        if mode == "up" or 2 * rest > denominator or (2 * rest == denominator and (mode == "half_up" or whole % 2)):
            whole += 1
    return Decimal(f"{whole}E-{digits}")


# -- the month -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BilledCall:
    """A paid call, what it is billed, and its VAT in percent."""

    call: CallRecord
    rated: Rated
    vat: Decimal


@dataclass(frozen=True, slots=True)
class Tax:
    """All that is taxed at one rate: ``net`` in cents, ``tax`` rounded half up to cents, and their sum."""

    rate: Decimal
    net: Decimal
    tax: Decimal
    gross: Decimal


@dataclass(frozen=True, slots=True)
class MonthBill:
    """The month of one contract.

    ``lines`` are in the order in which the calls were connected; ``calls_net`` is the sum of their amounts, exact.
    ``net``, ``tax`` and ``gross`` are the sums over ``taxes``, which have the base fee in them. ``free_calls`` and
    ``included_seconds`` are what was used, ``free_calls_granted`` and ``included_seconds_granted`` what there was.
    ``not_billable`` counts answered calls that are not paid for (tests by agents), ``unanswered`` those that reached
    no agent. ``currency`` is empty if there is neither a call nor a base tariff.
    """

    month: Month
    timezone: str
    currency: str
    lines: tuple[BilledCall, ...]
    calls_net: Decimal
    base_fee: Decimal
    taxes: tuple[Tax, ...]
    net: Decimal
    tax: Decimal
    gross: Decimal
    talked_ns: int
    billed_seconds: int
    free_calls: int
    free_calls_granted: int
    included_seconds: int
    included_seconds_granted: int
    not_billable: int
    unanswered: int


class _Account:
    """What is left of a tariff's month."""

    __slots__ = ("free_calls", "included_seconds", "month", "tariff")

    def __init__(self, tariff: Tariff, bounds: tuple[int, int]) -> None:
        self.tariff = tariff
        self.month: TariffVersion | None = tariff.of_month(*bounds)
        self.free_calls = 0 if self.month is None else self.month.free_calls
        self.included_seconds = 0 if self.month is None else self.month.included_minutes * 60

    def bill(self, call: CallRecord, timezone: ZoneInfo) -> BilledCall:
        """The next call, in order."""
        version = self.tariff.at(call.answered_at_ns)
        segments = call.segments or (Segment(call.agent, "talk", call.answered_at_ns, call.answered_at_ns),)
        left = 0 if self.free_calls else self.included_seconds
        rated = rate(segments, version, timezone, left)
        if self.free_calls and not rated.free:
            self.free_calls -= 1
            rated = replace(rated, amount=Decimal(f"0E-{version.digits}"), free="free_call")
        self.included_seconds -= rated.included_seconds
        return BilledCall(call, rated, version.vat)


def rate_month(
    calls: Iterable[CallRecord],
    tariffs: Mapping[str, Tariff],
    month: Month,
    timezone: ZoneInfo = BERLIN,
    base_tariff: str = "",
) -> MonthBill:
    """Make the bill of one contract, whose ``calls`` come in any order.

    Calls of other months are passed over (read those that started in :meth:`Month.window_ns`). A call belongs to the
    month it was connected in by the midnights of ``timezone``, an unanswered one to the month it started in.
    ``base_tariff`` is the tariff whose base fee is due, calls or no calls; without it that is the highest one of the
    tariffs that calls were rated by. Raises :class:`TariffError` for an unknown tariff, for a call before a tariff's
    first version, and for tariffs of several currencies.
    """
    bounds = since, until = month.bounds_ns(timezone)
    paid: list[CallRecord] = []
    not_billable = unanswered = 0
    for call in calls:
        answered = call.result == "answered"
        if not since <= (call.answered_at_ns if answered else call.started_at_ns) < until:
            continue
        if not answered:
            unanswered += 1
        elif not call.billable:
            not_billable += 1
        else:
            paid.append(call)
    paid.sort(key=lambda call: (call.answered_at_ns, call.call_id))
    accounts: dict[str, _Account] = {}
    if base_tariff:
        accounts[base_tariff] = _Account(_known(base_tariff, "the contract", tariffs), bounds)
    for call in paid:
        if call.tariff not in accounts:
            accounts[call.tariff] = _Account(_known(call.tariff, f"call {call.call_id}", tariffs), bounds)
    currency = _one_currency([account.tariff for account in accounts.values()], month)
    lines = tuple(accounts[call.tariff].bill(call, timezone) for call in paid)
    months = [account.month for account in accounts.values() if account.month is not None]
    if base_tariff:
        base = accounts[base_tariff].month
    else:
        base = max(months, key=lambda version: (version.base_fee, version.vat), default=None)
    fee = _NOTHING if base is None else base.base_fee
    with localcontext(_SUMS):
        sums: dict[Decimal, Decimal] = {base.vat: fee} if base is not None and fee else {}
        for line in lines:
            sums[line.vat] = sums.get(line.vat, _NOTHING) + line.rated.amount
        taxes = tuple(_tax(percent, sums[percent]) for percent in sorted(sums))
        return MonthBill(
            month=month,
            timezone=timezone.key,
            currency=currency,
            lines=lines,
            calls_net=sum((line.rated.amount for line in lines), _NOTHING),
            base_fee=fee,
            taxes=taxes,
            net=sum((tax.net for tax in taxes), _NOTHING),
            tax=sum((tax.tax for tax in taxes), _NOTHING),
            gross=sum((tax.gross for tax in taxes), _NOTHING),
            talked_ns=sum(call.talked_ns for call in paid),
            billed_seconds=sum(line.rated.billed_seconds for line in lines),
            free_calls=sum(line.rated.free == "free_call" for line in lines),
            free_calls_granted=sum(version.free_calls for version in months),
            included_seconds=sum(line.rated.included_seconds for line in lines),
            included_seconds_granted=sum(version.included_minutes * 60 for version in months),
            not_billable=not_billable,
            unanswered=unanswered,
        )


def _known(name: str, who: str, tariffs: Mapping[str, Tariff]) -> Tariff:
    tariff = tariffs.get(name)
    if tariff is None:
        raise TariffError(f"{who} has the unknown tariff {name!r}: import a file in which it is")
    return tariff


def _one_currency(used: list[Tariff], month: Month) -> str:
    currencies = {tariff.currency for tariff in used}
    if len(currencies) > 1:
        names = ", ".join(sorted({f"{tariff.name} ({tariff.currency})" for tariff in used}))
        raise TariffError(f"tariffs of several currencies in {month}: {names}; one bill has one currency")
    return currencies.pop() if currencies else ""


def _tax(percent: Decimal, total: Decimal) -> Tax:
    net = total.quantize(_CENT)
    tax = (net * percent / 100).quantize(_CENT)
    return Tax(percent, net, tax, net + tax)
