from dataclasses import replace

from accounting.interval import connected_intervals
from accounting.journal import Ledger, Segment
from tests.accounting.ledger import ANCHOR, SECOND, HandLedger, call_ended


def test_an_answered_call_leaves_two_entries_and_a_call() -> None:
    hand = HandLedger()
    hand.connected(5.0)
    hand.hung_up(65.2)
    hand.ended(call_ended())
    assert [(entry.sequence, entry.kind, entry.at_ns) for entry in hand.entries] == [
        (1, "connected", 5 * SECOND),
        (2, "hung_up", 65_200_000_000),
    ]
    assert hand.entries[0].wall_ns == ANCHOR + 5 * SECOND
    (recorded,) = hand.calls
    assert recorded.talked_ns == 60_200_000_000
    assert recorded == replace(
        call_ended(), run="run-1", sequence=3, wall_anchor_ns=ANCHOR, talked_ns=60_200_000_000,
        segments=(Segment("anna", "talk", 5 * SECOND, 65_200_000_000),),
    )  # fmt: skip
    assert not recorded.recovered


def test_an_abandoned_call_leaves_no_entry() -> None:
    hand = HandLedger()
    hand.ended(call_ended(result="abandoned"))
    assert hand.entries == []
    assert hand.calls[0].talked_ns == 0


def test_only_the_first_hang_up_counts() -> None:
    hand = HandLedger()
    hand.connected(5.0)
    hand.hung_up(10.0)
    hand.hung_up(12.0)
    hand.ended(call_ended(ended=12.0))
    assert [entry.kind for entry in hand.entries] == ["connected", "hung_up"]
    assert hand.calls[0].talked_ns == 5 * SECOND


def test_a_call_that_ends_while_open_is_closed_with_it() -> None:
    hand = HandLedger()
    hand.connected(5.0)
    hand.ended(call_ended(ended=20.0))
    assert hand.entries[-1].kind == "hung_up"
    assert hand.calls[0].talked_ns == 15 * SECOND
    assert hand.ledger.open_calls == 0


def test_a_call_handed_to_another_agent_is_talked_without_a_gap() -> None:
    hand = HandLedger()
    hand.connected(5.0)
    hand.connected(30.0, agent="bert")
    hand.hung_up(40.0)
    hand.ended(call_ended(ended=40.0))
    assert hand.calls[0].talked_ns == 35 * SECOND
    assert hand.calls[0].segments == (
        Segment("anna", "talk", 5 * SECOND, 30 * SECOND),
        Segment("bert", "talk", 30 * SECOND, 40 * SECOND),
    )


def test_hold_and_consultation_part_the_time_without_a_gap() -> None:
    hand = HandLedger()
    hand.connected(5.0)
    hand.turned(10.0, activity="hold")
    hand.turned(10.5, activity="hold")
    hand.turned(12.0, activity="talk")
    hand.hung_up(20.0)
    hand.turned(21.0, activity="hold")
    hand.ended(call_ended(ended=20.0))
    assert [entry.kind for entry in hand.entries] == ["connected", "activity", "activity", "hung_up"]
    assert [(part.activity, part.duration_ns // SECOND) for part in hand.calls[0].segments] == [
        ("talk", 5), ("hold", 2), ("talk", 8),
    ]  # fmt: skip
    assert next(iter(connected_intervals(hand.items))).segments == hand.calls[0].segments


def test_one_heartbeat_proves_all_open_calls_and_none_is_written_without() -> None:
    hand = HandLedger()
    hand.heartbeat(1.0)
    assert hand.entries == []
    hand.connected(5.0, "a")
    hand.connected(6.0, "b")
    assert hand.ledger.open_calls == 2
    hand.heartbeat(7.0)
    assert [entry.kind for entry in hand.entries] == ["connected", "connected", "heartbeat"]
    hand.hung_up(8.0, "a")
    hand.hung_up(9.0, "b")
    hand.heartbeat(10.0)
    assert hand.entries[-1].kind == "hung_up"


def test_a_run_without_a_name_is_named_after_its_first_instant() -> None:
    first, second = HandLedger(run=""), HandLedger(run="")
    first.connected(5.0)
    second.connected(5.1)
    assert first.entries[0].run
    assert first.entries[0].run != second.entries[0].run


def test_a_ledger_keeps_nothing_of_a_call_that_is_over() -> None:
    hand = HandLedger()
    for number in range(10):
        hand.connected(5.0, f"{number}")
        hand.hung_up(6.0, f"{number}")
        hand.ended(replace(call_ended(), call_id=f"{number}"))
    ledger: Ledger = hand.ledger
    assert not ledger._talked
    assert not ledger._open
