"""Whole statements as texts that somebody has read: any change of a letter shows."""

from pathlib import Path

import pytest

from accounting.statement import Heading, statement
from accounting.statement_text import to_csv
from b2bua.statements.language import language_of
from b2bua.statements.letterhead import Letterhead
from b2bua.statements.rendering import Format, render
from tests.accounting.test_statement import record
from tests.accounting.test_statement_content import JULY, TARIFFS

GOLDEN = Path(__file__).parent / "golden"
CONTENT = statement(
    [
        record("2025-07-01T08:00:00", 30, call_id="free", tariff="plus", caller=""),
        record("2025-07-01T09:00:00", 90.04, call_id="included", tariff="plus", caller="=HYPERLINK(1)"),
        record("2025-07-31T23:59:59", 3661, call_id="other", tariff="other", recovered=True),
        record("2025-07-03T10:00:00", 5, call_id="test", billable=False),
        *(record(call_id=f"nobody {number}", result="abandoned") for number in range(2)),
    ],
    TARIFFS,
    Heading("c-1", "Müller & Söhne", "plus", "2025-07-c-1-2", 2, "2025-07-c-1-1", "2025-08-01T06:00:00+02:00"),
    JULY,
)


def test_csv() -> None:
    assert to_csv(CONTENT).encode() == (GOLDEN / "statement.csv").read_bytes()


@pytest.mark.parametrize("language", ["de", "en"])
def test_table(language: str) -> None:
    made = render(CONTENT, None, Format.TABLE, language_of(language), Letterhead()).decode()
    shown = "\n".join(line.rstrip() for line in made.splitlines())
    assert shown == (GOLDEN / f"statement.{language}.txt").read_text(encoding="utf-8").rstrip("\n")
