"""Duplicates cannot be charged: a journal that is written twice, or again in part, changes nothing."""

from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text

from accounting.journal import Item
from accounting.recovery import rebuild, recover
from accounting.store import create_tables, write_batch
from accounting.tables import calls, journal, metadata, open_calls
from tests.accounting.strategies import journals


def everything(engine: Engine) -> list[object]:
    """All rows that money follows from."""
    with engine.connect() as connection:
        return [
            connection.execute(select(table).order_by(*table.primary_key.columns)).all()
            for table in (journal, calls, open_calls)
        ]


def write(engine: Engine, items: Sequence[Item], sizes: Sequence[int] = ()) -> None:
    """In batches of those sizes, the rest in one."""
    rest = list(items)
    for size in sizes:
        with engine.begin() as connection:
            write_batch(connection, rest[:size])
        rest = rest[size:]
    with engine.begin() as connection:
        write_batch(connection, rest)


def clear(engine: Engine) -> None:
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(text(f"DELETE FROM {table.name}"))
    create_tables(engine)


@settings(
    max_examples=25, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(journals(), st.data())
def test_a_journal_that_is_replayed_changes_nothing(engine: Engine, items: list[Item], data: st.DataObject) -> None:
    clear(engine)
    sizes = data.draw(st.lists(st.integers(0, 7), max_size=4), label="batches")
    write(engine, items, sizes)
    before = everything(engine)
    assert len(before[0]) == len(items)  # type: ignore[arg-type]

    write(engine, items)
    assert everything(engine) == before, "the whole of it again"
    begin = data.draw(st.integers(0, len(items)), label="begin")
    end = data.draw(st.integers(begin, len(items)), label="end")
    write(engine, items[begin:end], [1])
    assert everything(engine) == before, "a part of it again"

    with engine.begin() as connection:
        recover(connection)
    recovered = everything(engine)
    write(engine, items)
    with engine.begin() as connection:
        assert recover(connection) == []
    assert everything(engine) == recovered, "again after a crash and a recovery"
    with engine.begin() as connection:
        rebuild(connection)
    assert everything(engine)[1] == recovered[1], "and what is derived follows from the journal alone"
