"""Tariffs go into the journal when they change, and bills are proved by those: from the import to the audit."""

from pathlib import Path

import pytest
from sqlalchemy import text

from accounting.store import open_engine
from tests.back_office import Call, b2bua, book, furnish


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One customer, and calls of July 2025 of 61 seconds and of 20 minutes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    furnish(tmp_path, [("c-1", "Praxis Winter", "de")])
    book(tmp_path, Call("one", 9 * 3600, 61.0), Call("two", 10 * 3600, 1200.0))
    return tmp_path


def execute(statement: str) -> list[tuple[object, ...]]:
    engine = open_engine("sqlite:///b2bua.db")
    with engine.begin() as connection:
        done = connection.execute(text(statement))
        found = [tuple(row) for row in done] if done.returns_rows else []
    engine.dispose()
    return found


def declared() -> int:
    """How many tables of tariffs the journal has."""
    return len(execute("SELECT position FROM journal WHERE kind = 'tariffs'"))


def import_with(old: str, new: str) -> None:
    business = Path("contracts.toml").read_text(encoding="utf-8")
    assert old in business
    Path("contracts.toml").write_text(business.replace(old, new), encoding="utf-8")
    done = b2bua("import", "contracts.toml")
    assert done.exit_code == 0, done.output


def issue() -> str:
    done = b2bua("statement", "c-1", "--month", "2025-07", "--issue", "--format", "json")
    assert done.exit_code == 0, done.output
    return done.output


def test_tariffs_are_written_into_the_journal_only_when_they_change(office: Path) -> None:
    assert declared() == 1
    import_with("Praxis Winter", "Praxis Sommer")
    assert declared() == 1
    import_with('per_minute = "0.89"', 'per_minute = "0.99"')
    assert declared() == 2
    import_with('per_minute = "0.99"', 'per_minute = "0.89"')
    assert declared() == 3


def test_a_rebuilt_database_knows_which_tariffs_were_written(office: Path) -> None:
    assert b2bua("accounting", "rebuild").exit_code == 0
    import_with("Praxis Winter", "Praxis Sommer")
    assert declared() == 1


def test_an_import_that_fails_at_the_end_leaves_neither_contracts_nor_tariffs(office: Path) -> None:
    execute("CREATE TRIGGER full BEFORE INSERT ON journal BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    before = b2bua("export").output
    business = Path("contracts.toml").read_text(encoding="utf-8")
    Path("contracts.toml").write_text(
        business.replace('"0.89"', '"9.89"').replace("Winter", "Sommer"), encoding="utf-8"
    )
    assert b2bua("import", "contracts.toml").exit_code != 0
    assert b2bua("export").output == before
    assert declared() == 1


def test_a_bill_is_proved_by_the_tariffs_of_its_time(office: Path) -> None:
    issue()
    import_with('per_minute = "0.89"', 'per_minute = "0.99"')
    done = b2bua("audit")
    assert done.exit_code == 0, done.output
    assert "1 statements follow from calls and tariffs: 2 calls on them, 2 tables of tariffs" in done.output


def test_a_bill_by_a_price_that_was_never_imported_is_found(office: Path) -> None:
    execute("UPDATE tariffs SET versions = replace(versions, '0.89', '1.89')")
    issue()
    done = b2bua("audit")
    assert done.exit_code == 1
    # 2 + 20 minutes, and the base fee of 19.90
    assert "says net 61.48, but the journal says 39.48" in done.output
