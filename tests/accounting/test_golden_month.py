"""The month of docs/golden-month.md, through the journal: the page's tariff, the page's calls, the page's bill."""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import Engine

from accounting.journal import Activity
from accounting.month import BERLIN, Month
from accounting.rating import MonthBill, rate_month
from accounting.recovery import rebuild, recover
from accounting.store import declare, declare_tariffs, read_tariffs, stream_calls, write_batch
from accounting.tariff import tariffs_of
from routing.business import read_business
from routing.business_tariffs import tariffs_content
from tests.accounting.ledger import SECOND, HandLedger, call_ended

PAGE = (Path(__file__).parents[2] / "docs" / "golden-month.md").read_text(encoding="utf-8")
CONTRACT = "praxis-winter"
MARCH = Month(2026, 3)
_PART = re.compile(r"(Anna|Ben) (talk|hold|external|consultation) ([0-9.]+)")


@dataclass(frozen=True)
class Row:
    """One line of the page's table; empty columns for calls that are not on the bill."""

    number: int
    at: datetime
    happened: str
    billed: str
    included: str
    amount: str

    @property
    def call_id(self) -> str:
        return f"call-{self.number:02}"

    @property
    def parts(self) -> list[tuple[str, Activity, int]]:
        """Agent, activity and nanoseconds, without binary fractions."""
        return [
            (agent.lower(), cast(Activity, activity), _nanoseconds(seconds))
            for agent, activity, seconds in _PART.findall(self.happened)
        ]


def _nanoseconds(seconds: str) -> int:
    whole, _, rest = seconds.partition(".")
    return int(whole) * SECOND + int(rest.ljust(9, "0"))


def table() -> list[Row]:
    found = []
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 7 and cells[0].isdigit():
            number, at, happened, billed, included, _, amount = cells
            when = datetime.fromisoformat(at).replace(tzinfo=BERLIN)
            found.append(Row(int(number), when, happened, billed, included, amount))
    return found


def sums() -> dict[str, Decimal]:
    rows = re.findall(r"^\| ([a-zA-Z ]+) \| .* \| ([0-9]+\.[0-9]{2}) \|$", PAGE.split("## The sums")[1], re.MULTILINE)
    return {name: Decimal(amount) for name, amount in rows}


def write_month(engine: Engine, rows: list[Row]) -> None:
    """As the exchange writes it: tariffs by an import, calls by a server that is killed once, a correction."""
    (toml,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    tariffs = list(tariffs_of(tariffs_content(read_business(toml, "golden-month.md", "").tariffs)).values())
    anchor = _wall(rows[0].at) - SECOND
    hand = HandLedger("march", anchor)
    killed = HandLedger("killed", anchor)
    with engine.begin() as connection:
        declare_tariffs(connection, tariffs, anchor)
    for row in rows:
        _write(killed if row.happened.startswith("recovered") else hand, row, anchor)
    for one in (hand, killed):
        with engine.begin() as connection:
            write_batch(connection, one.items)
    with engine.begin() as connection:
        assert len(recover(connection, living=["march"])) == 1
    for row in rows:
        corrected = re.match(r"corrected to ([0-9]+)", row.happened)
        if corrected:
            content = {"talked_ns": int(corrected[1]) * SECOND, "reason": "did not hang up", "by": "eva"}
            with engine.begin() as connection:
                declare(connection, "correction", row.call_id, anchor, content)


def _wall(at: datetime) -> int:
    return round(at.timestamp()) * SECOND


def _write(hand: HandLedger, row: Row, anchor: int) -> None:
    ledger = hand.ledger
    start = at = _wall(row.at) - anchor
    if row.happened == "abandoned":
        ledger.ended(
            call_ended(row.call_id, contract=CONTRACT, tariff="comfort", result="abandoned", started=start / 1e9)
        )
        return
    billable = not row.happened.startswith("test call")
    before = ""
    for agent, activity, length in row.parts:
        if agent != before:
            ledger.connected(
                call_id=row.call_id, contract=CONTRACT, tariff="comfort", agent=agent, billable=billable, at_ns=at,
            )  # fmt: skip
            before = agent
        if activity != "talk" or at != start:
            ledger.turned(call_id=row.call_id, agent=agent, activity=activity, at_ns=at)
        at += length
    if row.happened.startswith("recovered"):
        ledger.heartbeat(at)
        return
    ledger.hung_up(call_id=row.call_id, at_ns=at, side="caller_hung_up")
    ended = call_ended(row.call_id, contract=CONTRACT, tariff="comfort", agent=before, billable=billable)
    # seconds as floats would lose the nanosecond that call 3 is about
    ledger.ended(replace(ended, started_ns=start, answered_ns=start, ended_ns=at))


def bill_of(engine: Engine) -> MonthBill:
    since, until = MARCH.window_ns(BERLIN)
    with engine.connect() as connection:
        calls = stream_calls(connection, contract=CONTRACT, since_ns=since, until_ns=until, order="oldest")
        return rate_month(calls, read_tariffs(connection), MARCH, BERLIN, "comfort")


@pytest.fixture
def bill(engine: Engine) -> MonthBill:
    write_month(engine, table())
    return bill_of(engine)


def test_every_call_costs_what_the_page_says(bill: MonthBill) -> None:
    wanted = [(row.call_id, row.billed, row.included, row.amount) for row in table() if row.amount]
    found = [
        (line.call.call_id, str(line.rated.billed_seconds), str(line.rated.included_seconds), str(line.rated.amount))
        for line in bill.lines
    ]
    assert len(wanted) == 20
    assert found == wanted


def test_the_sums_are_those_of_the_page(bill: MonthBill) -> None:
    assert sums() == {
        "calls": bill.calls_net, "base fee": bill.base_fee, "net": bill.net, "VAT": bill.tax, "gross": bill.gross,
    }  # fmt: skip
    assert (bill.unanswered, bill.not_billable) == (1, 1)
    assert [line.call.call_id for line in bill.lines if line.call.recovered] == ["call-12"]
    assert [line.call.call_id for line in bill.lines if line.call.corrected] == ["call-20"]


def test_the_page_has_every_rule_at_work() -> None:
    happened = " ".join(row.happened for row in table())
    for word in ("talk", "hold", "consultation", "external", "abandoned", "test call", "recovered", "corrected"):
        assert word in happened
    assert "Anna talk 70, Ben talk 55" in happened


def test_the_page_adds_up_by_itself() -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith("| calls |"))
    addends = re.findall(r"[0-9]+\.[0-9]{2}", row.split("|")[2])
    amounts = [row.amount for row in table() if row.amount and row.amount != "0.00"]
    assert addends == amounts


def test_the_books_rebuilt_from_the_journal_say_the_same(engine: Engine, bill: MonthBill) -> None:
    with engine.begin() as connection:
        rebuild(connection)
    assert bill_of(engine) == bill
