"""The itemised statement (Einzelverbindungsnachweis) of one contract and month: its content, of which every format is
a rendering. Pure but for the time zones' files.

The content is plain JSON: text, integers, booleans, lists, objects. Money and exact seconds are text, so that nothing
is ever a binary fraction. It is the same in every language; who reads it chooses how it is written.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TypedDict
from zoneinfo import ZoneInfo

from accounting.chain import canonical
from accounting.month import BERLIN, Month
from accounting.rating import BilledCall, MonthBill, rate_month
from accounting.records import CallRecord
from accounting.tariff import Tariff, TariffError, price_text

_SECOND = 1_000_000_000


class StatementError(Exception):
    """A statement cannot be made; the message names what is wrong."""


class StatementLine(TypedDict):
    """One paid call.

    ``answered_at`` is ISO 8601, to the second, in the statement's zone; ``talked_seconds`` is exact to the nanosecond.
    ``billed_seconds``, ``units`` (increments) and ``amount`` are what the tariff makes of that. ``free`` is why a call
    costs nothing ("short", "free_call", else empty). ``recovered``: billed to the last instant proven before a crash;
    ``corrected``: changed by the back office; ``forgotten``: the numbers were deleted by age.
    """

    call_id: str
    answered_at: str
    target_number: str
    caller: str
    forwarded_from: str
    forwarding_kind: str
    agent: str
    tariff: str
    band: str
    talked_seconds: str
    billed_seconds: int
    units: int
    included_seconds: int
    external_seconds: int
    free: str
    vat_rate: str
    amount: str
    recovered: bool
    corrected: bool
    forgotten: bool


class StatementTax(TypedDict):
    """All that is taxed at one ``rate`` (percent)."""

    rate: str
    net: str
    vat: str
    gross: str


class StatementContent(TypedDict):
    """The paid calls of one contract and month, in order, and their sums.

    ``number`` and ``issued`` (ISO 8601) are empty in a draft; ``revision`` counts from 1, and a later one names in
    ``replaces`` the number that it replaces. ``calls_net`` is the sum of the lines' amounts, so that it can be checked
    by adding up; ``net``, ``vat`` and ``gross`` are the sums over ``taxes``, which have the base fee in them.
    ``not_billable`` counts answered calls that are not paid for (tests by agents), ``unanswered`` those that reached
    no agent. ``billed`` is :func:`billed_digest`.
    """

    number: str
    revision: int
    replaces: str
    issued: str
    contract: str
    customer: str
    month: str
    timezone: str
    currency: str
    base_tariff: str
    lines: list[StatementLine]
    calls_net: str
    base_fee: str
    taxes: list[StatementTax]
    net: str
    vat: str
    gross: str
    talked_seconds: str
    billed_seconds: int
    free_calls: int
    free_calls_granted: int
    included_seconds: int
    included_seconds_granted: int
    not_billable: int
    unanswered: int
    billed: str


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands above a statement. ``base_tariff`` is the contract's tariff, whose base fee is due."""

    contract: str
    customer: str = ""
    base_tariff: str = ""
    number: str = ""
    revision: int = 1
    replaces: str = ""
    issued: str = ""


def statement(
    calls: Iterable[CallRecord],
    tariffs: Mapping[str, Tariff],
    heading: Heading,
    month: Month,
    timezone: ZoneInfo = BERLIN,
) -> StatementContent:
    """Make the statement of a contract for ``month``, the midnights being those of ``timezone``.

    ``calls`` may hold other contracts' and other months' (read those that started in :meth:`Month.window_ns`).
    A call belongs to the month it was answered in, an unanswered one to the month it started in.
    Raises :class:`StatementError` for a paid call with an unknown tariff and for tariffs of several currencies.
    """
    mine = (call for call in calls if call.contract == heading.contract)
    try:
        bill = rate_month(mine, tariffs, month, timezone, heading.base_tariff)
    except TariffError as error:
        raise StatementError(f"contract {heading.contract}: {error}") from None
    return statement_content(bill, heading)


def statement_content(bill: MonthBill, heading: Heading) -> StatementContent:
    """Write a bill down."""
    zone = ZoneInfo(bill.timezone)
    content: StatementContent = {
        "number": heading.number,
        "revision": heading.revision,
        "replaces": heading.replaces,
        "issued": heading.issued,
        "contract": heading.contract,
        "customer": heading.customer,
        "month": str(bill.month),
        "timezone": bill.timezone,
        "currency": bill.currency,
        "base_tariff": heading.base_tariff,
        "lines": [_line(billed, zone) for billed in bill.lines],
        "calls_net": _money(bill.calls_net),
        "base_fee": _money(bill.base_fee),
        "taxes": [
            {"rate": price_text(tax.rate), "net": _money(tax.net), "vat": _money(tax.tax), "gross": _money(tax.gross)}
            for tax in bill.taxes
        ],
        "net": _money(bill.net),
        "vat": _money(bill.tax),
        "gross": _money(bill.gross),
        "talked_seconds": _seconds(bill.talked_ns),
        "billed_seconds": bill.billed_seconds,
        "free_calls": bill.free_calls,
        "free_calls_granted": bill.free_calls_granted,
        "included_seconds": bill.included_seconds,
        "included_seconds_granted": bill.included_seconds_granted,
        "not_billable": bill.not_billable,
        "unanswered": bill.unanswered,
        "billed": "",
    }
    content["billed"] = billed_digest(content)
    return content


def _line(billed: BilledCall, zone: ZoneInfo) -> StatementLine:
    call, rated = billed.call, billed.rated
    return {
        "call_id": call.call_id,
        "answered_at": datetime.fromtimestamp(call.answered_at_ns // _SECOND, zone).isoformat(),
        "target_number": call.target_number,
        "caller": call.caller,
        "forwarded_from": call.forwarded_from,
        "forwarding_kind": call.forwarding_kind,
        "agent": call.agent,
        "tariff": call.tariff,
        "band": rated.band,
        "talked_seconds": _seconds(call.talked_ns),
        "billed_seconds": rated.billed_seconds,
        "units": rated.units,
        "included_seconds": rated.included_seconds,
        "external_seconds": rated.external_seconds,
        "free": rated.free,
        "vat_rate": price_text(billed.vat),
        "amount": str(rated.amount),
        "recovered": call.recovered,
        "corrected": call.corrected,
        "forgotten": call.forgotten,
    }


def _seconds(duration_ns: int) -> str:
    return f"{duration_ns // _SECOND}.{duration_ns % _SECOND:09}"


def _money(amount: Decimal) -> str:
    """At least cents: sums of nothing and round base fees have no places of their own."""
    exponent = amount.as_tuple().exponent
    return f"{amount:f}" if isinstance(exponent, int) and exponent <= -2 else f"{amount:.2f}"


# What is the same as long as the books are the same: later versions may write more into a statement, customers are
# renamed, and the numbers of callers are deleted by age.
_BILLED = (
    "contract", "month", "timezone", "currency", "base_tariff", "calls_net", "base_fee", "net", "vat", "gross",
    "not_billable", "unanswered",
)  # fmt: skip
_BILLED_LINE = (
    "call_id", "answered_at", "tariff", "talked_seconds", "billed_seconds", "units", "vat_rate", "amount",
)  # fmt: skip


def billed_digest(content: StatementContent) -> str:
    """SHA-256, 64 hexadecimal digits, of what is billed: without number, customer and the numbers of callers.

    Two statements of a month that have the same one bill the same.
    """
    whole: Mapping[str, object] = content
    lines: Iterable[Mapping[str, object]] = content["lines"]
    said = [[whole[name] for name in _BILLED], [[line[name] for name in _BILLED_LINE] for line in lines]]
    return hashlib.sha256(canonical(said).encode()).hexdigest()


def is_empty(content: StatementContent) -> bool:
    """Is there nothing to send: no call, not even a free one, and no base fee?"""
    return not content["lines"] and Decimal(content["gross"]) == 0


def file_name(content: StatementContent) -> str:
    """A name for files with this statement, without ending: the number, or month and contract of a draft.

    Whatever a contract is called, it is a name and no path.
    """
    name = content["number"] or f"{content['month']}-{content['contract']}-draft"
    return "".join(
        character if character.isascii() and (character.isalnum() or character in "-_.") else _percent(character)
        for character in name
    )


def _percent(character: str) -> str:
    return "".join(f"%{octet:02X}" for octet in character.encode("utf-8", "replace"))
