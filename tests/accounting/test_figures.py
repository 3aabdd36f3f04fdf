"""Figures of the floor."""

import math
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.figures import CountedCall, Figures, Spread, figures
from accounting.journal import Activity, Segment

SECOND = 1_000_000_000
BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()) * SECOND


NOON = at("2026-07-01 12:00")


def answered(
    waited: float, *parts: tuple[str, Activity, float], contract: str = "c-1", started: int = NOON,
    recovered: bool = False,
) -> CountedCall:  # fmt: skip
    """Who did what how long."""
    answered_ns = now = started + round(waited * SECOND)
    segments = []
    for agent, activity, seconds in parts:
        segments.append(Segment(agent, activity, now, now + round(seconds * SECOND)))
        now = segments[-1].end_ns
    return CountedCall(contract, "answered", recovered, started, answered_ns, now, tuple(segments))


def unanswered(result: str, after: float, contract: str = "c-1", started: int = NOON) -> CountedCall:
    return CountedCall(contract, result, False, started, 0, started + round(after * SECOND), ())


def by_day(*calls: CountedCall, limit: float = 20) -> Figures:
    rows, total = figures(calls, "day", limit_ns=round(limit * SECOND), zone=BERLIN)
    (row,) = rows.values()
    assert row.offered == total.offered
    return row


def test_every_call_is_accepted_abandoned_or_refused() -> None:
    row = by_day(
        answered(4, ("anna", "talk", 60)),
        unanswered("abandoned", 30),
        unanswered("no_agent", 9),
        unanswered("failed", 1),
    )
    assert (row.offered, row.accepted, row.abandoned, row.refused) == (4, 1, 1, 2)


def test_calls_of_lines_have_no_contract_and_are_no_agents_affair() -> None:
    row = by_day(answered(4, ("anna", "talk", 60)), unanswered("relayed", 30, contract=""), unanswered("code", 2, ""))
    assert (row.offered, row.accepted, row.refused) == (1, 1, 0)


def test_the_service_level_leaves_out_who_gave_up_before_it() -> None:
    row = by_day(
        answered(20, ("anna", "talk", 60)), answered(20.1, ("anna", "talk", 60)), unanswered("abandoned", 3),
        unanswered("abandoned", 30), unanswered("no_agent", 30),
    )  # fmt: skip
    assert (row.in_time, row.gave_up_at_once) == (1, 1)
    assert row.service_level == 25.0
    assert by_day(unanswered("abandoned", 3)).service_level is None


def test_waiting_is_until_an_agent_answers_and_giving_up_is_apart() -> None:
    row = by_day(*(answered(wait, ("anna", "talk", 1)) for wait in (2, 4, 6, 88)), unanswered("abandoned", 33))
    assert row.waited.mean_ns == 25 * SECOND
    assert row.waited.percentile_ns(50) == 4 * SECOND
    assert row.waited.percentile_ns(95) == 88 * SECOND
    assert row.waited.longest_ns == 88 * SECOND
    assert row.abandoned_after.mean_ns == 33 * SECOND


def test_each_agent_has_the_own_time_after_a_transfer() -> None:
    call = answered(
        5, ("anna", "talk", 60), ("anna", "consultation", 10), ("ben", "talk", 100), ("ben", "hold", 7),
        ("ben", "talk", 20), ("ben", "external", 500),
    )  # fmt: skip
    rows, total = figures([call, unanswered("abandoned", 3)], "agent", limit_ns=SECOND, zone=BERLIN)
    anna, ben, nobody = rows["anna"], rows["ben"], rows[""]
    assert (anna.accepted, anna.taken_over, anna.talk_ns, anna.hold_ns) == (1, 0, 60 * SECOND, 10 * SECOND)
    assert (ben.accepted, ben.taken_over, ben.talk_ns, ben.hold_ns) == (0, 1, 120 * SECOND, 7 * SECOND)
    assert (ben.offered, ben.external_ns, ben.mean_talk_ns) == (0, 500 * SECOND, 120 * SECOND)
    assert (nobody.offered, nobody.abandoned) == (1, 1)
    assert (total.offered, total.accepted, total.talk_ns) == (2, 1, 180 * SECOND)


def test_a_call_counts_in_each_group_of_the_agent() -> None:
    groups = {"anna": ["law", "all"], "ben": ["all", "night"]}
    calls = [answered(5, ("anna", "talk", 60), ("ben", "talk", 30)), answered(5, ("carl", "talk", 10))]
    rows, total = figures(calls, "group", limit_ns=SECOND, zone=BERLIN, groups=groups)
    assert {name: (row.accepted, row.taken_over, row.talk_ns // SECOND) for name, row in rows.items()} == {
        "": (1, 0, 10), "all": (1, 0, 90), "law": (1, 0, 60), "night": (0, 1, 30),
    }  # fmt: skip
    assert total.accepted == 2


def test_hours_and_days_are_local_and_the_hour_that_comes_twice_is_two() -> None:
    calls = [
        unanswered("abandoned", 1, started=at(text))
        for text in ("2026-07-01 23:59:59", "2026-07-02 00:00", "2026-07-02 00:59:59", "2026-07-02 01:00")
    ]
    rows, _ = figures(calls, "hour", limit_ns=0, zone=BERLIN)
    assert {name: row.offered for name, row in rows.items()} == {
        "2026-07-01 23:00+0200": 1, "2026-07-02 00:00+0200": 2, "2026-07-02 01:00+0200": 1,
    }  # fmt: skip
    assert list(figures(calls, "day", limit_ns=0, zone=BERLIN)[0]) == ["2026-07-01", "2026-07-02"]
    assert list(figures(calls, "hour-of-day", limit_ns=0, zone=BERLIN)[0]) == ["00:00", "01:00", "23:00"]
    twice = at("2026-10-25 02:30")
    autumn = [unanswered("abandoned", 1, started=twice + hour * 3600 * SECOND) for hour in (0, 1)]
    assert list(figures(autumn, "hour", limit_ns=0, zone=BERLIN)[0]) == [
        "2026-10-25 02:00+0100", "2026-10-25 02:00+0200",
    ]  # fmt: skip


def test_contracts_and_recovered_calls() -> None:
    calls = [answered(1, ("anna", "talk", 5), recovered=True), unanswered("failed", 1, contract="c-2")]
    rows, _ = figures(calls, "contract", limit_ns=0, zone=BERLIN)
    assert {name: (row.offered, row.recovered) for name, row in rows.items()} == {"c-1": (1, 1), "c-2": (1, 0)}


def test_nothing_is_no_figure() -> None:
    rows, total = figures([], "day", limit_ns=0, zone=BERLIN)
    assert rows == {}
    assert (total.waited.mean_ns, total.waited.percentile_ns(95), total.mean_talk_ns) == (None, None, None)


@given(st.lists(st.integers(0, 4000 * SECOND), min_size=1, max_size=60), st.sampled_from((1, 50, 95, 100)))
def test_percentiles_are_right_to_a_tenth_and_later_a_second(durations: list[int], percent: int) -> None:
    spread = Spread()
    for duration in durations:
        spread.add(duration)
    exact = sorted(durations)[math.ceil(len(durations) * percent / 100) - 1]
    step = SECOND // 10 if exact < 60 * SECOND else SECOND
    found = spread.percentile_ns(percent)
    assert found is not None
    assert found <= exact < found + step
    assert spread.mean_ns == sum(durations) // len(durations)
    assert spread.longest_ns == max(durations)


@given(
    st.lists(
        st.one_of(
            st.builds(unanswered, st.sampled_from(("abandoned", "no_agent", "failed")), st.floats(0, 100)),
            st.builds(
                lambda waited, parts: answered(waited, *parts),
                st.floats(0, 100),
                st.lists(
                    st.tuples(
                        st.sampled_from(("anna", "ben")), st.sampled_from(("talk", "hold", "external")),
                        st.floats(0, 50),
                    ),
                    min_size=1, max_size=3,
                ),
            ),
        ),
        max_size=12,
    )
)  # fmt: skip
@pytest.mark.parametrize("by", ["hour", "day", "agent", "contract"])
def test_the_rows_add_up_to_the_sum(by: str, calls: list[CountedCall]) -> None:
    rows, total = figures(calls, by, limit_ns=20 * SECOND, zone=BERLIN)  # type: ignore[arg-type]
    for name in ("offered", "accepted", "abandoned", "refused", "in_time", "talk_ns", "hold_ns", "external_ns"):
        assert sum(getattr(row, name) for row in rows.values()) == getattr(total, name)
    assert total.offered == total.accepted + total.abandoned + total.refused == len(calls)
