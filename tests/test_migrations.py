"""Databases of every released schema are brought up to date with all that is in them."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, MetaData, insert, inspect, select

import b2bua.database
from accounting.chain import GENESIS, record_hash
from accounting.journal import CallEnded
from accounting.recovery import rebuild, recover
from accounting.store import open_engine, read_call, read_calls, read_journal, read_records, read_tariffs
from accounting.tables import journal_head
from accounting.tariff import Increment, Tariff, TariffVersion, tariffs_of
from b2bua.database import DatabaseError, upgrade

SECOND = 1_000_000_000
NOON = 1_751_320_800 * SECOND

ENTRY = {"contract": "", "tariff": "", "agent": "", "billable": False, "side": "", "facts": "{}"}
FACTS = '{"caller":"+4930111","forwarded_from":"+4989","started_ns":3000000000,"origin":"trunk:carrier"}'
CALL = {
    "origin": "trunk:carrier", "contract": "c-1", "tariff": "standard", "agent": "anna", "dialled": "+49301",
    "target_number": "+49301", "caller": "+4930111", "forwarded_from": "+4989", "forwarding_kind": "busy",
    "result": "answered", "end_reason": "caller_hung_up", "status": 200, "billable": True, "recovered": False,
    "started_at_ns": NOON + 3 * SECOND, "rang_at_ns": 0, "answered_at_ns": NOON + 5 * SECOND,
    "ended_at_ns": NOON + 65 * SECOND, "talked_ns": 60 * SECOND, "media": '{"caller":{"lost":2,"mos":4.4}}',
}  # fmt: skip


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A database without any table."""
    if request.param == "sqlite":
        made = open_engine(f"sqlite:///{tmp_path / 'old.db'}")
    else:
        made = open_engine(request.getfixturevalue("postgresql"))
    _empty(made)
    yield made
    _empty(made)
    made.dispose()


def _empty(engine: Engine) -> None:
    present = MetaData()
    present.reflect(engine)
    present.drop_all(engine)


def at_schema(engine: Engine, revision: str) -> MetaData:
    config = Config()
    config.set_main_option("script_location", str(Path(b2bua.database.__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    tables = MetaData()
    tables.reflect(engine)
    return tables


def entry(sequence: int, kind: str, call_id: str, at: float, **fields: object) -> dict[str, object]:
    at_ns = int(at * SECOND)
    found = {"run": "old", "sequence": sequence, "kind": kind, "call_id": call_id, "at_ns": at_ns}
    return {**ENTRY, **found, "wall_ns": NOON + at_ns, **fields}


def verified_end(connection: Connection) -> tuple[int, str]:
    """Where the chain ends, after each of its records has been checked."""
    end = GENESIS
    position = 0
    for position, record in enumerate(read_records(connection), start=1):
        end = record_hash(
            end, position, record.run, record.sequence, record.kind, record.call_id, record.at_ns, record.wall_ns,
            record.content,
        )  # fmt: skip
        assert (record.position, record.hash) == (position, end)
    assert connection.execute(select(journal_head.c.position, journal_head.c.hash)).one() == (position, end)
    return position, end


def test_the_journal_of_0001_becomes_the_beginning_of_the_chain(engine: Engine) -> None:
    tables = at_schema(engine, "0001").tables
    begun = {"contract": "c-1", "tariff": "standard", "agent": "anna", "billable": True, "facts": FACTS}
    with engine.begin() as connection:
        connection.execute(
            insert(tables["journal"]),
            [
                entry(1, "connected", "done", 5, **begun),
                entry(2, "hung_up", "done", 65, side="caller_hung_up"),
                entry(3, "connected", "open", 70, **begun),
                entry(4, "heartbeat", "", 75),
            ],
        )
        connection.execute(insert(tables["calls"]), [{**CALL, "call_id": "done", "run": "old"}])
    upgrade(engine)
    with engine.begin() as connection:
        assert verified_end(connection)[0] == 5
        assert not any("+4930111" in record.content for record in read_records(connection))
        call = read_call(connection, "done")
        assert call is not None
        assert (call.caller, call.talked_ns, call.media) == (
            "+4930111",
            60 * SECOND,
            {"caller": {"lost": 2, "mos": 4.4}},
        )
        assert [(part.agent, part.duration_ns) for part in call.segments] == [("anna", 60 * SECOND)]
        ended = [item for item in read_journal(connection) if isinstance(item, CallEnded)]
        assert [(item.call_id, item.caller, item.talked_ns) for item in ended] == [("done", "+4930111", 60 * SECOND)]
        (recovered,) = recover(connection)
        assert (recovered.call_id, recovered.talked_ns, recovered.caller) == ("open", 5 * SECOND, "+4930111")
        before = read_calls(connection)
        rebuild(connection)
        assert read_calls(connection) == before
    assert not {"journal_0001", "calls_0001"} & set(inspect(engine).get_table_names())


def test_a_tariff_of_0001_becomes_its_first_version_and_stands_in_the_journal(engine: Engine) -> None:
    tables = at_schema(engine, "0001").tables
    with engine.begin() as connection:
        price = {"per_minute": "0.790000", "increment": "60/1", "acceptance": "0", "digits": 4, "currency": "CHF"}
        connection.execute(insert(tables["tariffs"]), [{"name": "old", **price}])
    upgrade(engine)
    version = TariffVersion(per_minute=Decimal("0.79"), increment=Increment(60, 1), digits=4)
    with engine.connect() as connection:
        assert read_tariffs(connection) == {"old": Tariff("old", "CHF", (version,))}
        (record,) = read_records(connection)
        assert tariffs_of(json.loads(record.content)) == read_tariffs(connection)
        assert verified_end(connection) == (1, record.hash)


def test_an_empty_database_gets_everything_and_twice_is_once(engine: Engine) -> None:
    upgrade(engine)
    upgrade(engine)
    with engine.connect() as connection:
        assert connection.execute(select(journal_head.c.position, journal_head.c.hash)).one() == (0, GENESIS)


def test_the_schema_is_what_the_program_expects(engine: Engine) -> None:
    """Columns and keys that Alembic makes are those of the tables in the code."""
    import accounting.tables
    import routing.store

    upgrade(engine)
    inspector = inspect(engine)
    for metadata in (accounting.tables.metadata, routing.store.metadata):
        for table in metadata.tables.values():
            made = {column["name"]: column["nullable"] for column in inspector.get_columns(table.name)}
            assert made == {column.name: column.nullable for column in table.columns}, table.name
            key = inspector.get_pk_constraint(table.name)["constrained_columns"]
            assert key == [column.name for column in table.primary_key.columns], table.name


def test_a_database_of_a_newer_version_is_refused(engine: Engine) -> None:
    upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DatabaseError, match="9999, which this version does not know: install a newer"):
        upgrade(engine)
