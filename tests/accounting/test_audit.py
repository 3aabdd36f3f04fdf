from pathlib import Path

import pytest
from sqlalchemy import Engine, text, update

from accounting.audit import Findings, audit_database
from accounting.chain import Disagreement
from accounting.checkpoint import PublicKeys, Signer
from accounting.tables import calls, journal
from tests.accounting.books import audited, export, new_signer, write_books


@pytest.fixture
def signer() -> Signer:
    return new_signer()


def audited_there(engine: Engine, *signers: Signer) -> Findings:
    with engine.connect() as connection:
        return audit_database(connection, PublicKeys(one.public_key for one in signers))


def test_books_that_are_right_are_found_right(engine: Engine, signer: Signer) -> None:
    write_books(engine, signer)
    found = audited_there(engine, signer)
    assert (found.records, found.checkpoints, found.unsigned) == (26, 3, 2)
    assert (found.calls, found.recovered, found.open_calls, found.rows) == (6, 1, 1, 6)
    assert (found.corrections, found.tariffs, found.statements, found.lines) == (1, 1, 1, 3)
    assert found.notices == ["the last 2 records are not signed yet"]


def test_an_export_is_audited_with_the_public_key_only(engine: Engine, signer: Signer, tmp_path: Path) -> None:
    write_books(engine, signer)
    there = audited_there(engine, signer)
    there.rows = 0
    for name in ("journal.jsonl", "journal.jsonl.gz"):
        assert audited(export(engine, tmp_path / name), signer) == there


def test_an_export_without_numbers_is_audited_all_the_same(engine: Engine, signer: Signer, tmp_path: Path) -> None:
    write_books(engine, signer)
    path = export(engine, tmp_path / "journal.jsonl", personal=False)
    assert b"+4930111" not in path.read_bytes()
    assert audited(path, signer).statements == 1
    assert audited(path, signer).forgotten == 10


def test_a_foreign_key_is_refused(engine: Engine, signer: Signer) -> None:
    write_books(engine, signer)
    with pytest.raises(Disagreement, match="none of those you trust"):
        audited_there(engine, new_signer())


@pytest.mark.parametrize("table", ["journal", "calls"])
def test_a_second_added_to_a_call_is_found(engine: Engine, signer: Signer, table: str) -> None:
    write_books(engine, signer)
    with engine.begin() as connection:
        if table == "calls":
            connection.execute(update(calls).where(calls.c.call_id == "plain").values(talked_ns=61_200_000_000))
        else:
            connection.exec_driver_sql(
                "UPDATE journal SET content = replace(content, '65200000000', '66200000000') WHERE kind = 'ended'"
            )
    with pytest.raises(Disagreement) as found:
        audited_there(engine, signer)
    assert found.value.call_id == "plain"
    assert "talked_ns 61200000000" in found.value.reason or "it was changed" in found.value.reason


def test_rows_that_are_missing_or_added_are_found(engine: Engine, signer: Signer) -> None:
    write_books(engine, signer)
    with engine.begin() as connection:
        connection.execute(update(calls).where(calls.c.call_id == "nobody").values(call_id="somebody"))
    with pytest.raises(Disagreement, match="lacks call nobody"):
        audited_there(engine, signer)
    with engine.begin() as connection:
        columns = ", ".join(column.name for column in calls.columns if column.name != "call_id")
        connection.execute(
            text(f"INSERT INTO calls (call_id, {columns}) SELECT 'nobody', {columns} FROM calls "
                 "WHERE call_id = 'somebody'")
        )  # fmt: skip
    with pytest.raises(Disagreement, match="has call somebody, of which the journal knows nothing"):
        audited_there(engine, signer)


def test_a_tail_that_is_cut_off_is_found(engine: Engine, signer: Signer) -> None:
    write_books(engine, signer)
    with engine.begin() as connection:
        connection.execute(journal.delete().where(journal.c.position >= 25))
    with pytest.raises(Disagreement, match="record 25: is missing: the journal should end at record 26"):
        audited_there(engine, signer)
    with engine.begin() as connection:
        connection.execute(journal.delete().where(journal.c.position >= 20))
    with pytest.raises(Disagreement, match="record 20: is missing: checkpoint 2 signs record"):
        audited_there(engine, signer)
