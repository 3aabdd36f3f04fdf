"""The itemised statement (Einzelverbindungsnachweis) of one contract and month. Pure but for the time zones' files."""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from accounting.month import BERLIN, Month
from accounting.rating import BilledCall, rate_month
from accounting.records import CallRecord
from accounting.tariff import Tariff, TariffError

_SECOND = 1_000_000_000


class StatementError(Exception):
    """A statement cannot be made; the message names what is wrong."""


@dataclass(frozen=True, slots=True)
class Line:
    """One paid call: ``answered_at`` to the second in the statement's zone; ``talked_ns`` exact.

    ``billed_seconds`` and ``amount`` are what the tariff makes of that. ``recovered``: billed to the last instant
    proven before a crash.
    """

    call_id: str
    answered_at: datetime
    target_number: str
    caller: str
    forwarded_from: str
    forwarding_kind: str
    agent: str
    tariff: str
    talked_ns: int
    billed_seconds: int
    amount: Decimal
    recovered: bool

    @property
    def talked_seconds(self) -> Decimal:
        """Exact to the nanosecond."""
        return Decimal(f"{self.talked_ns}E-9")


@dataclass(frozen=True, slots=True)
class Statement:
    """The paid calls of one contract and month, in order, and their sums.

    The amount is the sum of the lines' rounded amounts, so that it can be checked by adding up. ``not_billable``
    counts answered calls that are not paid for (tests by agents), ``unanswered`` those that reached no agent.
    """

    contract: str
    month: Month
    timezone: str
    currency: str
    lines: tuple[Line, ...]
    talked_ns: int
    billed_seconds: int
    amount: Decimal
    not_billable: int
    unanswered: int


def statement(
    calls: Iterable[CallRecord],
    tariffs: Mapping[str, Tariff],
    contract: str,
    month: Month,
    timezone: ZoneInfo = BERLIN,
) -> Statement:
    """Make the statement of ``contract`` for ``month``, the midnights being those of ``timezone``.

    ``calls`` may hold other contracts' and other months' (read those that started in :meth:`Month.window_ns`).
    A call belongs to the month it was answered in, an unanswered one to the month it started in.
    Raises :class:`StatementError` for a paid call with an unknown tariff and for tariffs of several currencies.
    """
    mine = (call for call in calls if call.contract == contract)
    try:
        bill = rate_month(mine, tariffs, month, timezone)
    except TariffError as error:
        raise StatementError(f"contract {contract}: {error}") from None
    return Statement(
        contract=contract,
        month=month,
        timezone=timezone.key,
        currency=bill.currency,
        lines=tuple(_line(billed, timezone) for billed in bill.lines),
        talked_ns=bill.talked_ns,
        billed_seconds=bill.billed_seconds,
        amount=bill.calls_net,
        not_billable=bill.not_billable,
        unanswered=bill.unanswered,
    )


def _line(billed: BilledCall, timezone: ZoneInfo) -> Line:
    call, rated = billed.call, billed.rated
    return Line(
        call_id=call.call_id,
        answered_at=datetime.fromtimestamp(call.answered_at_ns // _SECOND, timezone),
        target_number=call.target_number,
        caller=call.caller,
        forwarded_from=call.forwarded_from,
        forwarding_kind=call.forwarding_kind,
        agent=call.agent,
        tariff=call.tariff,
        talked_ns=call.talked_ns,
        billed_seconds=rated.billed_seconds,
        amount=rated.amount,
        recovered=call.recovered,
    )


_COLUMNS = (
    "call_id", "answered_at", "target_number", "caller", "forwarded_from", "forwarding_kind", "agent", "tariff",
    "talked_seconds", "billed_seconds", "amount", "currency", "recovered",
)  # fmt: skip


def _cells(line: Line, currency: str) -> dict[str, str | int | bool]:
    return {
        "call_id": line.call_id,
        "answered_at": line.answered_at.isoformat(),
        "target_number": line.target_number,
        "caller": line.caller,
        "forwarded_from": line.forwarded_from,
        "forwarding_kind": line.forwarding_kind,
        "agent": line.agent,
        "tariff": line.tariff,
        "talked_seconds": f"{line.talked_seconds:f}",
        "billed_seconds": line.billed_seconds,
        "amount": str(line.amount),
        "currency": currency,
        "recovered": line.recovered,
    }


def to_csv(made: Statement) -> str:
    """RFC 4180: a head line, a line per call, and a line with the sums whose first cell is "total"."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, restval="", lineterminator="\r\n")
    writer.writeheader()
    for line in made.lines:
        cells = _cells(line, made.currency)
        writer.writerow({name: _harmless(value) if isinstance(value, str) else value for name, value in cells.items()})
    writer.writerow(
        {
            "call_id": "total",
            "talked_seconds": f"{Decimal(f'{made.talked_ns}E-9'):f}",
            "billed_seconds": made.billed_seconds,
            "amount": str(made.amount),
            "currency": made.currency,
        }
    )
    return text.getvalue()


def _harmless(text: str) -> str:
    """A caller chooses his name: a spreadsheet must not take it for a formula. Numbers in +49... stay as they are."""
    if text.startswith("+") and text[1:].isascii() and text[1:].isdigit():
        return text
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def to_json(made: Statement) -> str:
    """One object with the sums and ``lines``; money and exact seconds are strings."""
    return json.dumps(
        {
            "contract": made.contract,
            "month": str(made.month),
            "timezone": made.timezone,
            "currency": made.currency,
            "lines": [_cells(line, made.currency) for line in made.lines],
            "talked_seconds": f"{Decimal(f'{made.talked_ns}E-9'):f}",
            "billed_seconds": made.billed_seconds,
            "amount": str(made.amount),
            "not_billable": made.not_billable,
            "unanswered": made.unanswered,
        },
        ensure_ascii=False,
        indent=2,
    )
