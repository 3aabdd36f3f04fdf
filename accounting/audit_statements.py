"""Statements against the journal: each is rated anew, by the tariffs that stand in the journal before it."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Connection

from accounting.chain import Disagreement
from accounting.journal import Declaration
from accounting.month import BERLIN, Month
from accounting.rating import MonthBill, rate_month
from accounting.store import stream_calls
from accounting.tariff import Tariff, TariffError, tariffs_of

_SUMS = {"net": "net", "vat": "tax", "gross": "gross"}
#: The fields of a statement's line that follow from the journal, where it has them.
_LINE = ("billed_seconds", "units", "amount")


class StatementAudit:
    """Rates statements anew. ``scratch`` holds the calls of the journal so far.

    ``wanted`` are the contents of statement files by their digest: when the journal comes to one of them, its lines
    are checked too, and it is taken out.
    """

    def __init__(self, scratch: Connection, wanted: Mapping[str, Mapping[str, Any]]) -> None:
        self._scratch = scratch
        self._tariffs: dict[str, Tariff] = {}
        self.wanted = dict(wanted)

    def tariffs(self, position: int, item: Declaration) -> None:
        """From here on these are the tariffs."""
        try:
            self._tariffs = tariffs_of(item.content)
        except ValueError as error:
            raise Disagreement(position, "wrong", f"has tariffs that cannot be understood: {error}") from error

    def statement(self, position: int, item: Declaration) -> int:
        """Rate a statement anew; returns how many calls are on it."""
        said = item.content
        what = f"is statement {said.get('number')} of contract {said.get('contract')} for {said.get('month')}"
        try:
            bill = self._recount(said)
            faults = [*_sum_faults(said, bill)]
            content = self.wanted.pop(str(said["digest"]), None)
            if content is not None:
                faults += _content_faults(said, content, bill)
        except (KeyError, ValueError, TypeError, InvalidOperation, ZoneInfoNotFoundError) as error:
            raise Disagreement(position, "wrong", f"{what}, which cannot be understood: {error!r}") from error
        except TariffError as error:
            raise Disagreement(position, "wrong", f"{what}, which cannot be rated: {error}") from error
        for fault, call_id in faults:
            raise Disagreement(position, "wrong", f"{what}: {fault}", call_id)
        return len(bill.lines)

    def _recount(self, said: Mapping[str, Any]) -> MonthBill:
        month = Month.parse(said["month"])
        timezone = ZoneInfo(said["timezone"]) if said.get("timezone") else BERLIN
        since, until = month.window_ns(timezone)
        calls = stream_calls(self._scratch, contract=said["contract"], since_ns=since, until_ns=until, order="oldest")
        return rate_month(calls, self._tariffs, month, timezone, said.get("base_tariff", ""))


def _sum_faults(said: Mapping[str, Any], bill: MonthBill) -> list[tuple[str, str]]:
    faults = [
        (f"says {name} {said[name]}, but the journal says {getattr(bill, ours)}", "")
        for name, ours in _SUMS.items()
        if Decimal(said[name]) != getattr(bill, ours)
    ]
    if said["calls"] != len(bill.lines):
        faults.append((f"says {said['calls']} calls, but the journal says {len(bill.lines)}", ""))
    if bill.currency and said["currency"] != bill.currency:
        faults.append((f"says {said['currency']}, but the tariffs say {bill.currency}", ""))
    return faults


def _content_faults(said: Mapping[str, Any], content: Mapping[str, Any], bill: MonthBill) -> list[tuple[str, str]]:
    """The file is the one of which the journal has the digest: its parts must be the journal's, too."""
    faults = [
        (f"the file says {name} {content[name]}, but the journal says {value}", "")
        for name, value in said.items()
        if name in content and name not in ("calls", "digest") and content[name] != value
    ]
    ours = {line.call.call_id: line.rated for line in bill.lines}
    for line in content["lines"]:
        call_id = line["call_id"]
        rated = ours.pop(call_id, None)
        if rated is None:
            faults.append(("the file has a call that is not billed by the journal", call_id))
            continue
        faults += [
            (f"the file says {name} {line[name]}, but the journal says {getattr(rated, name)}", call_id)
            for name in _LINE
            if name in line and Decimal(line[name]) != Decimal(getattr(rated, name))
        ]
    faults += [("the file lacks a call", call_id) for call_id in ours]
    return faults
