"""Reading few columns of many calls says the same as reading all of them."""

from dataclasses import fields, replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete

from accounting.carrier import caller_digits
from accounting.excerpts import read_counted_calls, read_our_calls
from accounting.journal import Item
from accounting.records import CallRecord
from accounting.store import read_calls, stream_calls, write_batch
from accounting.tables import calls
from tests.accounting.ledger import ANCHOR, HandLedger, call_ended

SECOND = 1_000_000_000
ALWAYS = (0, 2**62)


def test_a_record_has_the_columns_of_its_table_in_their_order() -> None:
    assert [field.name for field in fields(CallRecord)] == [column.name for column in calls.columns]


def written(engine: Engine, *times: tuple[str, str, float, float]) -> None:
    """Calls of a number and an origin: started, and talked for; 0 s were never answered."""
    items: list[Item] = []
    hand = HandLedger(append=items.append)
    for index, (origin, number, started, talked) in enumerate(times):
        result = "answered" if talked else "abandoned"
        call = call_ended(
            f"call-{index}", started=started, answered=started + 4, ended=started + 4 + talked, result=result,
            media={"caller": {"mos": 4.2}},
        )  # fmt: skip
        if talked:
            hand.connected(started + 4, call.call_id)
        hand.ended(replace(call, origin=origin, target_number=number))
    with engine.begin() as connection:
        connection.execute(delete(calls))
        write_batch(connection, items)


def test_our_calls_come_by_number_and_instant(engine: Engine) -> None:
    written(
        engine,
        ("trunk:a", "+49302", 50.0, 10.0), ("trunk:b", "+49301", 40.0, 0.0), ("trunk:a", "+49301", 30.0, 20.0),
        ("agent:anna", "+49301", 20.0, 20.0), ("trunk:a", "a", 1.0, 1.0), ("trunk:a", "Z", 1.0, 1.0),
    )  # fmt: skip
    with engine.connect() as connection:
        found = list(read_our_calls(connection, *ALWAYS, order="connected"))
        assert [call.call_id for call in found] == ["call-2", "call-1", "call-0", "call-5", "call-4"]
        assert [call.call_id for call in read_our_calls(connection, *ALWAYS, origin="trunk:b", order="started")] == [
            "call-1"
        ]
    call, unanswered = found[0], found[1]
    assert call.started_ns == ANCHOR + 30 * SECOND
    assert call.connected_ns == call.answered_ns == ANCHOR + 34 * SECOND
    assert call.duration_ns == 20 * SECOND
    assert call.caller == caller_digits("+4930123456")
    assert [part.duration_ns for part in call.segments] == [20 * SECOND]
    assert (unanswered.connected_ns, unanswered.duration_ns, unanswered.segments) == (0, 0, ())


def test_a_caller_who_waited_was_connected_to_the_carrier_before(engine: Engine) -> None:
    items: list[Item] = []
    hand = HandLedger(append=items.append)
    hand.connected(30.0)
    hand.ended(replace(call_ended(started=1.0, answered=30.0, ended=50.0), accepted_ns=2 * SECOND))
    gave_up = call_ended("call-2", started=1.0, ended=9.0, result="abandoned")
    hand.ended(replace(gave_up, accepted_ns=2 * SECOND))
    with engine.begin() as connection:
        write_batch(connection, items)
        found = {call.call_id: call for call in read_our_calls(connection, *ALWAYS, order="connected")}
    assert found["call-1"].duration_ns == 48 * SECOND
    assert found["call-2"].duration_ns == 7 * SECOND


def test_counted_calls_are_those_from_outside(engine: Engine) -> None:
    written(
        engine, ("trunk:a", "+49302", 50.0, 10.0), ("agent:anna", "+49301", 20.0, 20.0), ("trunk:b", "+49", 9.0, 0.0)
    )
    with engine.connect() as connection:
        found = list(read_counted_calls(connection, *ALWAYS))
        assert sorted(call.result for call in found) == ["abandoned", "answered"]
        assert list(read_counted_calls(connection, *ALWAYS, contract="another")) == []
        assert list(read_counted_calls(connection, ANCHOR, ANCHOR + 9 * SECOND)) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.just("trunk:a"), st.just("+49"), st.floats(1, 99), st.sampled_from((0.0, 5.0))), max_size=5)
)
def test_without_media_everything_else_is_there(sqlite: Engine, times: list[tuple[str, str, float, float]]) -> None:
    with sqlite.begin() as connection:
        for table in ("journal", "calls", "open_calls"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
    written(sqlite, *times)
    with sqlite.connect() as connection:
        whole = read_calls(connection)
        assert [replace(call, media={}) for call in whole] == list(stream_calls(connection, media=False))
        assert all(call.media for call in whole)
