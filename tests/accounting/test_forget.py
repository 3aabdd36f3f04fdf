from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from accounting.audit import audit_database
from accounting.checkpoint import PublicKeys, Signer
from accounting.forget import forget
from accounting.recovery import rebuild
from accounting.store import read_call, read_calls, read_records
from accounting.tables import journal
from tests.accounting.books import audited, export, new_signer, write_books
from tests.accounting.ledger import ANCHOR, SECOND

#: Later than anything in these books.
LATER = ANCHOR + 10_000 * SECOND


@pytest.fixture
def signer() -> Signer:
    return new_signer()


def forget_all(engine: Engine, before_ns: int = LATER, most: int = 1000) -> list[int]:
    counts: list[int] = []
    while not counts or counts[-1]:
        with engine.begin() as connection:
            counts.append(forget(connection, before_ns, most))
    return counts


def test_forgotten_numbers_leave_chain_sums_and_statements_verifiable(
    engine: Engine, signer: Signer, tmp_path: Path
) -> None:
    write_books(engine, signer)
    with engine.connect() as connection:
        before = audit_database(connection, PublicKeys([signer.public_key]))
    forget_all(engine)
    with engine.connect() as connection:
        after = audit_database(connection, PublicKeys([signer.public_key]))
    assert (before.forgotten, after.forgotten) == (0, 10)
    assert (after.head, after.talked_ns, after.statements) == (before.head, before.talked_ns, before.statements)
    path = export(engine, tmp_path / "journal.jsonl")
    assert b"+4930111" not in path.read_bytes()
    assert audited(path, signer).head == before.head


def test_neither_numbers_nor_salts_are_left(engine: Engine, signer: Signer) -> None:
    write_books(engine, signer)
    forget_all(engine)
    with engine.connect() as connection:
        assert {record.personal for record in read_records(connection)} == {""}
        assert {(call.caller, call.forwarded_from) for call in read_calls(connection)} == {("", "")}
        assert all(call.forgotten for call in read_calls(connection))


def test_only_what_is_old_enough_is_forgotten(engine: Engine, signer: Signer) -> None:
    write_books(engine, signer)
    forget_all(engine, ANCHOR + 66 * SECOND)
    with engine.connect() as connection:
        kept = {record.call_id for record in read_records(connection) if record.personal}
        plain, later = read_call(connection, "plain"), read_call(connection, "later")
    assert kept == {"else", "nobody", "crashed", "test", "later", "open"}
    assert plain is not None
    assert (plain.forgotten, plain.caller) == (True, "")
    assert later is not None
    assert (later.forgotten, later.caller) == (False, "+4930123456")


def test_it_is_done_in_batches_and_comes_to_an_end(engine: Engine, signer: Signer) -> None:
    write_books(engine, signer)
    assert forget_all(engine, most=4) == [4, 4, 2, 0]


def test_a_rebuild_comes_to_the_same(engine: Engine, signer: Signer) -> None:
    write_books(engine, signer)
    forget_all(engine, ANCHOR + 66 * SECOND)
    with engine.begin() as connection:
        before = read_calls(connection)
        rebuild(connection)
        assert read_calls(connection) == before


def test_the_database_file_has_no_number_any_more(sqlite: Engine, signer: Signer) -> None:
    write_books(sqlite, signer)
    forget_all(sqlite)
    with sqlite.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        assert connection.execute(select(journal.c.position)).first() is not None
    file = Path(str(sqlite.url.database))
    for path in file.parent.glob(file.name + "*"):
        assert b"+4930111" not in path.read_bytes()


def test_old_records_are_found_without_reading_the_journal(sqlite: Engine) -> None:
    with sqlite.connect() as connection:
        plan = connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT position FROM journal WHERE personal <> '' AND wall_ns < 5 "
            "ORDER BY wall_ns LIMIT 5"
        ).all()
    assert "journal_personal" in str(plan)
