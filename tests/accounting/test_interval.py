import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.interval import ConnectedInterval, connected_intervals
from accounting.journal import JournalEntry, Segment
from tests.accounting.ledger import ANCHOR, SECOND, HandLedger


def spans(entries: list[JournalEntry]) -> list[tuple[str, float, float, bool]]:
    return [
        (interval.call_id, interval.connected_ns / SECOND, interval.hung_up_ns / SECOND, interval.recovered)
        for interval in connected_intervals(entries)
    ]


def test_a_call_is_connected_until_it_hangs_up() -> None:
    hand = HandLedger()
    hand.connected(5.0, facts={"caller": "+4930"})
    hand.heartbeat(10.0)
    hand.hung_up(65.2)
    (interval,) = connected_intervals(hand.entries)
    assert interval == ConnectedInterval(
        run="run-1", call_id="call-1", contract="c-1", tariff="standard", agent="anna", billable=True,
        connected_ns=5 * SECOND, hung_up_ns=65_200_000_000, wall_anchor_ns=ANCHOR, side="caller_hung_up",
        recovered=False, facts={"caller": "+4930"}, segments=(Segment("anna", "talk", 5 * SECOND, 65_200_000_000),),
    )  # fmt: skip
    assert interval.duration_ns == 60_200_000_000


def test_after_a_crash_a_call_ends_at_the_last_heartbeat() -> None:
    hand = HandLedger()
    hand.connected(5.0)
    hand.heartbeat(10.0)
    hand.heartbeat(15.0)
    assert spans(hand.entries) == [("call-1", 5.0, 15.0, True)]


def test_after_a_crash_before_any_heartbeat_a_call_has_no_length() -> None:
    hand = HandLedger()
    hand.connected(5.0)
    assert spans(hand.entries) == [("call-1", 5.0, 5.0, True)]


def test_another_calls_record_proves_an_open_call_too() -> None:
    hand = HandLedger()
    hand.connected(5.0, "a")
    hand.connected(8.0, "b")
    hand.hung_up(9.0, "b")
    assert spans(hand.entries) == [("b", 8.0, 9.0, False), ("a", 5.0, 9.0, True)]


def test_another_runs_records_prove_nothing() -> None:
    first, second = HandLedger("run-1"), HandLedger("run-2")
    first.connected(500.0, "a")
    first.heartbeat(510.0)
    second.connected(1000.0, "b")
    second.hung_up(1100.0, "b")
    assert spans(first.entries + second.entries) == [("a", 500.0, 510.0, True), ("b", 1000.0, 1100.0, False)]


def test_a_living_runs_open_calls_are_left_open() -> None:
    hand = HandLedger("run-1")
    hand.connected(5.0)
    hand.heartbeat(6.0)
    assert list(connected_intervals(hand.entries, living={"run-1"})) == []


def test_nothing_after_a_gap_proves_a_call_opened_before_it() -> None:
    hand = HandLedger()
    hand.connected(5.0, "a")
    hand.heartbeat(10.0)
    hand.hung_up(12.0, "a")  # lost: the database was away for long
    hand.connected(20.0, "b")
    hand.heartbeat(100.0)
    entries = [entry for entry in hand.entries if entry.sequence != 3]
    assert spans(entries) == [("a", 5.0, 10.0, True), ("b", 20.0, 100.0, True)]


def test_a_calls_own_hang_up_counts_even_after_a_gap() -> None:
    hand = HandLedger()
    hand.connected(5.0)
    hand.heartbeat(10.0)
    hand.hung_up(30.0)
    assert spans([entry for entry in hand.entries if entry.kind != "heartbeat"]) == [("call-1", 5.0, 30.0, False)]


def test_a_handed_over_call_has_one_interval_for_each_agent() -> None:
    hand = HandLedger()
    hand.connected(5.0, agent="anna")
    hand.connected(30.0, agent="bert")
    hand.hung_up(40.0)
    assert [(interval.agent, interval.duration_ns // SECOND) for interval in connected_intervals(hand.entries)] == [
        ("anna", 25),
        ("bert", 10),
    ]


def test_a_repeated_entry_is_passed_over_and_disorder_is_refused() -> None:
    hand = HandLedger()
    hand.connected(5.0)
    hand.hung_up(6.0)
    one, two = hand.entries
    assert spans([one, one, two, two]) == [("call-1", 5.0, 6.0, False)]
    with pytest.raises(ValueError, match="out of order"):
        spans([two, one])


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["connected", "hung_up", "heartbeat"]), st.sampled_from("abcde")), max_size=30
)


@given(actions=ACTIONS, lost=st.sets(st.integers(1, 30)), crash=st.integers(0, 30))
def test_no_crash_and_no_loss_ever_lengthens_a_call(actions: list[tuple[str, str]], lost: set[int], crash: int) -> None:
    hand = HandLedger()
    known: set[str] = set()
    for second, (action, call_id) in enumerate(actions):
        if action == "connected" and call_id not in known:
            known.add(call_id)
            hand.connected(second, call_id)
        elif action == "hung_up":
            hand.hung_up(second, call_id)
        elif action == "heartbeat":
            hand.heartbeat(second)
    truth = {interval.call_id: interval for interval in connected_intervals(hand.entries)}
    survived = [entry for entry in hand.entries if entry.sequence not in lost][:crash]
    seen = {interval.call_id: interval for interval in connected_intervals(survived)}
    assert set(seen) == {entry.call_id for entry in survived if entry.kind == "connected"}
    for call_id, interval in seen.items():
        assert interval.connected_ns == truth[call_id].connected_ns
        assert interval.hung_up_ns <= truth[call_id].hung_up_ns
        if not interval.recovered:
            assert interval == truth[call_id]
