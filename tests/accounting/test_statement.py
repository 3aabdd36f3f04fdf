import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine

from accounting.journal import CallEnded, Segment
from accounting.month import BERLIN, Month
from accounting.records import CallRecord
from accounting.statement import Heading, StatementContent, StatementError, statement
from accounting.statement_text import to_csv, to_json
from accounting.store import read_calls, read_tariffs, replace_tariffs, write_batch
from accounting.tariff import Increment, Tariff, TariffVersion
from tests.accounting.ledger import SECOND, HandLedger, call_ended

JULY = Month(2025, 7)
STANDARD = TariffVersion(per_minute=Decimal("0.79"), increment=Increment(60, 60), acceptance=Decimal("0.50"))
TARIFFS = {"standard": Tariff("standard", "EUR", (STANDARD,))}


def ns(moment: str, zone: ZoneInfo = BERLIN) -> int:
    return round(datetime.fromisoformat(moment).replace(tzinfo=zone).timestamp()) * SECOND


def record(
    answered_at: str = "2025-07-10T09:00:00",
    talked: float = 60.2,
    *,
    call_id: str = "call-1",
    contract: str = "c-1",
    tariff: str = "standard",
    caller: str = "+4930123456",
    result: str = "answered",
    billable: bool = True,
    recovered: bool = False,
    started_at: str | None = None,
) -> CallRecord:
    """A call; an unanswered one started at ``answered_at``."""
    answered = result == "answered"
    at = ns(answered_at)
    talked_ns = round(talked * SECOND) if answered else 0
    return CallRecord(
        call_id=call_id,
        run="run-1",
        origin="trunk:carrier",
        contract=contract,
        tariff=tariff,
        agent="anna",
        dialled="+493055500",
        target_number="+493055500",
        caller=caller,
        forwarded_from="+498912345",
        forwarding_kind="no_answer",
        result=result,
        end_reason="caller_hung_up",
        status=200,
        billable=billable,
        recovered=recovered,
        corrected=False,
        forgotten=False,
        started_at_ns=ns(started_at) if started_at else at - (5 * SECOND if answered else 0),
        rang_at_ns=0,
        accepted_at_ns=0,
        answered_at_ns=at if answered else 0,
        ended_at_ns=at + talked_ns,
        talked_ns=talked_ns,
        segments=(Segment("anna", "talk", at, at + talked_ns),) if answered else (),
        media={},
    )


def made(*calls: CallRecord, month: Month = JULY, zone: ZoneInfo = BERLIN) -> StatementContent:
    return statement(calls, TARIFFS, Heading("c-1"), month, zone)


def test_a_paid_call_is_itemised() -> None:
    (line,) = made(record())["lines"]
    assert line["answered_at"] == "2025-07-10T09:00:00+02:00"
    assert (line["caller"], line["forwarded_from"], line["agent"]) == ("+4930123456", "+498912345", "anna")
    assert line["talked_seconds"] == "60.200000000"
    assert line["billed_seconds"] == 120
    assert line["amount"] == "2.08"


def test_the_sums_are_the_sums_of_the_lines_in_order() -> None:
    drawn_up = made(
        record("2025-07-20T10:00:00", 10, call_id="b"),
        record("2025-07-02T10:00:00", 70, call_id="a"),
    )
    assert [line["call_id"] for line in drawn_up["lines"]] == ["a", "b"]
    assert drawn_up["calls_net"] == "3.37"
    assert (drawn_up["billed_seconds"], drawn_up["talked_seconds"]) == (180, "80.000000000")
    assert drawn_up["currency"] == "EUR"


def test_tests_and_unanswered_calls_are_only_counted() -> None:
    drawn_up = made(
        record(call_id="paid"),
        record(call_id="test", billable=False, tariff="unknown"),
        record(call_id="gave up", result="abandoned", tariff="unknown"),
        record(call_id="nobody", result="no_agent"),
        record(call_id="another's", contract="c-2"),
        record(call_id="another's abandoned", contract="c-2", result="abandoned"),
    )
    assert [line["call_id"] for line in drawn_up["lines"]] == ["paid"]
    assert (drawn_up["not_billable"], drawn_up["unanswered"]) == (1, 2)


def test_a_call_belongs_to_the_month_it_was_answered_in_by_local_midnight() -> None:
    june = record("2025-06-30T23:59:59", call_id="june")
    first = record("2025-07-01T00:00:00", call_id="first", started_at="2025-06-30T23:59:40")
    last = record("2025-07-31T23:59:59", 3600, call_id="last")
    august = record("2025-08-01T00:00:00", call_id="august")
    everything = (june, first, last, august)
    assert [line["call_id"] for line in made(*everything)["lines"]] == ["first", "last"]
    assert [line["call_id"] for line in made(*everything, month=Month(2025, 6))["lines"]] == ["june"]
    # 22:00 UTC: in London it is still June.
    london = made(*everything, zone=ZoneInfo("Europe/London"))
    assert [line["call_id"] for line in london["lines"]] == ["last", "august"]


@pytest.mark.parametrize(
    ("month", "since", "until"),
    [
        ("2025-03", "2025-02-28T23:00", "2025-03-31T22:00"),  # summer time begins in March
        ("2025-10", "2025-09-30T22:00", "2025-10-31T23:00"),
        ("2025-12", "2025-11-30T23:00", "2025-12-31T23:00"),
        ("2024-02", "2024-01-31T23:00", "2024-02-29T23:00"),
    ],
)
def test_months_follow_summer_time(month: str, since: str, until: str) -> None:
    bounds = Month.parse(month).bounds_ns()
    assert [datetime.fromtimestamp(bound / SECOND, UTC).isoformat()[:16] for bound in bounds] == [since, until]
    assert Month.parse(month).window_ns() == (bounds[0] - 86_400 * SECOND, bounds[1])


@pytest.mark.parametrize(
    "text", ["", "2025", "2025-13", "2025-00", "2025-7", "25-07", "٢٠٢٥-٠٧", "2025-07-01", "0001-01"]
)
def test_anything_else_is_no_month(text: str) -> None:
    with pytest.raises(ValueError, match="month"):
        Month.parse(text)


def test_an_unknown_tariff_is_named() -> None:
    with pytest.raises(StatementError, match=r"c-1: call call-1 .*'gone'"):
        made(record(tariff="gone"))


def test_two_currencies_cannot_be_added_up() -> None:
    tariffs = {**TARIFFS, "swiss": Tariff("swiss", "CHF", (STANDARD,))}
    with pytest.raises(StatementError, match="standard \\(EUR\\), swiss \\(CHF\\)"):
        statement([record(), record(call_id="2", tariff="swiss")], tariffs, Heading("c-1"), JULY)


def test_a_month_without_calls_is_an_empty_statement() -> None:
    empty = made()
    assert (empty["lines"], empty["gross"], empty["currency"]) == ([], "0.00", "")
    assert to_csv(empty).count("\r\n") == 5
    assert json.loads(to_json(empty))["content"]["lines"] == []


def test_csv_has_a_line_per_call_and_the_sums() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(made(record(recovered=True), record(call_id="call-2", talked=5))))))
    assert [row["call_id"] for row in rows] == ["call-1", "call-2", "total", "base_fee", "net", "vat", "gross"]
    assert rows[0]["talked_seconds"] == "60.200000000"
    assert rows[0]["amount"] == "2.08"
    assert rows[0]["recovered"] == "True"
    assert rows[0]["caller"] == "+4930123456"
    assert (rows[2]["billed_seconds"], rows[2]["amount"], rows[2]["currency"]) == ("180", "3.37", "EUR")


@pytest.mark.parametrize("caller", ["=HYPERLINK(1)", "+49|cmd", "-1", "@x", "\tx"])
def test_a_caller_is_no_formula(caller: str) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(made(record(caller=caller))))))
    assert rows[0]["caller"] == "'" + caller


def test_json_holds_money_as_text() -> None:
    read = json.loads(to_json(made(record(), record(call_id="x", billable=False))))["content"]
    assert read["month"] == "2025-07"
    assert read["gross"] == "2.08"
    assert read["lines"][0]["amount"] == "2.08"
    assert read["lines"][0]["talked_seconds"] == "60.200000000"
    assert read["not_billable"] == 1


def test_from_ledger_to_statement(engine: Engine) -> None:
    hand = HandLedger()  # its monotonic zero is 2025-07-01 00:00 in Berlin
    ended: list[CallEnded] = [
        call_ended("a", answered=5.0, ended=65.2),
        call_ended("b", answered=100.0, ended=130.0, billable=False),
        call_ended("c", result="abandoned"),
    ]
    for call in ended:
        if call.answered_ns:
            hand.connected(call.answered_ns / SECOND, call.call_id, billable=call.billable)
            hand.hung_up(call.ended_ns / SECOND, call.call_id)
        hand.ended(call)
    since, until = JULY.window_ns()
    with engine.begin() as connection:
        replace_tariffs(connection, TARIFFS.values())
        write_batch(connection, hand.items)
        drawn_up = statement(
            read_calls(connection, contract="c-1", since_ns=since, until_ns=until),
            read_tariffs(connection),
            Heading("c-1"),
            JULY,
        )
    assert [(line["call_id"], line["billed_seconds"], line["amount"]) for line in drawn_up["lines"]] == [
        ("a", 120, "2.08")
    ]
    assert drawn_up["lines"][0]["answered_at"] == "2025-07-01T00:00:05+02:00"
    assert (drawn_up["not_billable"], drawn_up["unanswered"]) == (1, 1)
