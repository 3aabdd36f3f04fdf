"""What a statement says, field by field, and that it can be written in every way."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.checkpoint_store import content_digest
from accounting.month import Month
from accounting.statement import Heading, StatementContent, billed_digest, file_name, is_empty, statement
from accounting.statement_text import harmless, to_csv, to_embed, to_json
from accounting.tariff import Increment, Tariff, TariffVersion
from tests.accounting.test_statement import record

JULY = Month(2025, 7)
PLUS = Tariff(
    "plus",
    "EUR",
    (
        TariffVersion(
            per_minute=Decimal("0.60"), increment=Increment(60, 1), base_fee=Decimal("10"), vat=Decimal("19"),
            included_minutes=1, free_calls=1,
        ),
    ),
)  # fmt: skip
OTHER = Tariff("other", "EUR", (TariffVersion(per_minute=Decimal("1.00"), vat=Decimal("7"), digits=4),))
TARIFFS = {"plus": PLUS, "other": OTHER}


def july(*more: str) -> StatementContent:
    calls = [
        record("2025-07-01T08:00:00", 30, call_id="free", tariff="plus"),
        record("2025-07-01T09:00:00", 90.5, call_id="included", tariff="plus"),
        record("2025-07-01T10:00:00", 61, call_id="other", tariff="other"),
        *(record("2025-07-02T10:00:00", 10, call_id=name, tariff="plus") for name in more),
    ]
    return statement(calls, TARIFFS, Heading("c-1", "Müller", "plus"), JULY)


def test_everything_billed_is_in_the_content() -> None:
    content = july()
    assert [(line["call_id"], line["amount"], line["free"], line["included_seconds"]) for line in content["lines"]] == [
        ("free", "0.00", "free_call", 0), ("included", "0.31", "", 60), ("other", "2.0000", "", 0),
    ]  # fmt: skip
    assert content["taxes"] == [
        {"rate": "7", "net": "2.00", "vat": "0.14", "gross": "2.14"},
        {"rate": "19", "net": "10.31", "vat": "1.96", "gross": "12.27"},
    ]
    assert (content["calls_net"], content["base_fee"]) == ("2.3100", "10.00")
    assert (content["net"], content["vat"], content["gross"]) == ("12.31", "2.10", "14.41")
    assert (content["included_seconds"], content["included_seconds_granted"]) == (60, 60)
    assert (content["free_calls"], content["free_calls_granted"]) == (1, 1)
    assert (content["number"], content["revision"], content["customer"]) == ("", 1, "Müller")


def test_the_content_is_plain_json() -> None:
    content = july()
    assert json.loads(json.dumps(content)) == content
    assert json.loads(to_json(content, {"signature": "x"})) == {"content": content, "proof": {"signature": "x"}}
    assert json.loads(to_json(content)) == {"content": content, "draft": True}
    assert len(content_digest(content)) == 64


def test_what_is_billed_has_a_digest_of_its_own() -> None:
    content = july()
    same: StatementContent = {**content, "customer": "Schmidt", "number": "7", "issued": "now"}
    same["lines"] = [{**line, "caller": "", "forgotten": True} for line in content["lines"]]
    assert billed_digest(same) == content["billed"]
    assert july("more")["billed"] != content["billed"]
    other: StatementContent = {**content, "vat": "2.11"}
    assert billed_digest(other) != content["billed"]


def test_csv_ends_with_every_sum() -> None:
    lines = to_csv(july()).split("\r\n")
    assert [line.split(",")[0] for line in lines] == [
        "call_id", "free", "included", "other", "total", "base_fee", "net", "vat", "vat", "gross", "",
    ]  # fmt: skip
    assert lines[7] == "vat,,,,,,,,,,,,,,,7,0.14,EUR,,"


@given(st.text())
def test_no_script_is_ended_by_what_is_in_it(caller: str) -> None:
    call = replace(record(tariff="plus"), caller=caller.encode("utf-8", "replace").decode())
    content = statement([call], TARIFFS, Heading("c-1"), JULY)
    embedded = to_embed(content)
    assert b"<" not in embedded
    assert json.loads(embedded)["content"] == content


@given(st.text(max_size=5))
def test_a_spreadsheet_sees_no_formula(text: str) -> None:
    cell = harmless(text)
    assert not cell.startswith(("=", "-", "@", "\t", "\r", "\n"))
    assert not cell.startswith("+") or cell[1:].isdecimal()
    assert cell.removeprefix("'") == text.removeprefix("'")


@pytest.mark.parametrize(
    ("heading", "name"),
    [
        (Heading("c-1", number="2025-07-c-1-1"), "2025-07-c-1-1"),
        (Heading("../../etc/passwd"), "2025-07-..%2F..%2Fetc%2Fpasswd-draft"),
        (Heading("Müller & Söhne"), "2025-07-M%C3%BCller%20%26%20S%C3%B6hne-draft"),
        (Heading("a%b"), "2025-07-a%25b-draft"),
    ],
)
def test_a_file_is_named_by_the_number(heading: Heading, name: str) -> None:
    assert file_name(statement([], TARIFFS, heading, JULY)) == name


def test_a_month_without_calls_and_base_fee_is_empty() -> None:
    assert is_empty(statement([], TARIFFS, Heading("c-1", base_tariff="other"), JULY))
    assert not is_empty(statement([], TARIFFS, Heading("c-1", base_tariff="plus"), JULY))
