"""Who of the free goes first."""

from collections import Counter

import pytest

from routing.floor import Floor, Shuffle
from routing.plan import Strategy
from tests.routing.floor_ladder import agent, contract, happened, once, queue, rung, skill, staff

TEAM = ("anna", "ben", "cem")


def call(floor: Floor, number: int, strategy: Strategy, start: float, seconds: float) -> str:
    """One call to the team, answered and ended; who took it."""
    floor.caller_entered(f"c{number}", contract(queue(*TEAM, strategy=strategy)), start)
    ((_, taker),) = rung(floor)
    floor.offer_answered(f"c{number}", taker, start)
    floor.call_ended(f"c{number}", start + seconds)
    return taker


def test_longest_idle_is_who_has_been_free_for_the_longest_time() -> None:
    floor = Floor()
    takers = [call(floor, number, "longest_idle", number * 10.0, 1.0) for number in range(6)]
    assert takers == ["anna", "ben", "cem", "anna", "ben", "cem"]


def test_longest_idle_counts_from_the_end_of_the_call_not_from_its_beginning() -> None:
    floor = Floor()
    plan = contract(queue("anna", "ben"))
    floor.caller_entered("c1", plan, 0.0)
    floor.offer_answered("c1", "anna", 0.0)
    floor.caller_entered("c2", plan, 5.0)
    floor.offer_answered("c2", "ben", 5.0)
    floor.call_ended("c2", 10.0)
    floor.call_ended("c1", 20.0)
    happened(floor)
    floor.caller_entered("c3", plan, 30.0)
    assert rung(floor) == [("c3", "ben")]


def test_who_comes_back_from_a_break_is_idle_from_then_on() -> None:
    floor = Floor()
    staff(floor, agent("anna"), agent("ben"))
    floor.status_chosen("anna", "on_break", "lunch", 1.0)
    floor.status_chosen("anna", "available", "", 100.0)
    happened(floor)
    floor.caller_entered("c1", contract(queue()), 101.0)
    assert rung(floor) == [("c1", "ben")]


def test_round_robin_takes_turns_whatever_comes_of_it() -> None:
    floor = Floor()
    plan = contract(queue(*TEAM, strategy="round_robin"))
    turns = []
    for number in range(6):
        floor.caller_entered(f"c{number}", plan, float(number))
        turns += rung(floor)
        floor.caller_left(f"c{number}", float(number))
    assert [name for _, name in turns] == ["anna", "ben", "cem", "anna", "ben", "cem"]


def test_fewest_calls_evens_out_the_number_of_calls() -> None:
    floor = Floor()
    for number in range(4):
        floor.agent_engaged("anna", f"x{number}", 0.0)
        floor.call_ended(f"x{number}", 0.0)
    takers = Counter(call(floor, number, "fewest_calls", number * 10.0, 1.0) for number in range(8))
    assert takers == {"ben": 4, "cem": 4}


def test_least_talk_time_evens_out_the_time_talked() -> None:
    floor = Floor()
    assert call(floor, 1, "least_talk_time", 0.0, 100.0) == "anna"
    assert call(floor, 2, "least_talk_time", 200.0, 30.0) == "ben"
    assert call(floor, 3, "least_talk_time", 300.0, 20.0) == "cem"
    assert [call(floor, number, "least_talk_time", number * 1000.0, 5.0) for number in range(4, 8)] == [
        "cem", "cem", "ben", "cem",
    ]  # fmt: skip


def test_in_order_always_begins_with_the_first() -> None:
    floor = Floor()
    assert {call(floor, number, "in_order", number * 10.0, 1.0) for number in range(3)} == {"anna"}


def test_random_gives_everybody_the_same_chance() -> None:
    floor = Floor(numbers=Shuffle(7))
    takers = Counter(call(floor, number, "random", number * 10.0, 1.0) for number in range(3000))
    assert all(900 < count < 1100 for count in takers.values())


def test_random_order_is_repeatable() -> None:
    def takers(seed: int) -> list[str]:
        floor = Floor(numbers=Shuffle(seed))
        return [call(floor, number, "random", number * 10.0, 1.0) for number in range(20)]

    assert takers(3) == takers(3)
    assert takers(3) != takers(4)


def test_ring_all_rings_all_who_are_free() -> None:
    floor = Floor()
    floor.agent_engaged("ben", "x", 0.0)
    floor.caller_entered("c1", contract(queue(*TEAM, strategy="ring_all")), 0.0)
    assert rung(floor) == [("c1", "anna"), ("c1", "cem")]


@pytest.mark.parametrize("strategy", ["longest_idle", "in_order", "random", "fewest_calls"])
def test_a_later_tier_is_asked_when_nobody_of_the_first_is_free(strategy: Strategy) -> None:
    floor = Floor()
    staff(floor, *(agent(name) for name in TEAM), tiers={"anna": 3, "ben": 2})
    plan = contract(queue(strategy=strategy))
    for number in range(3):
        floor.caller_entered(f"c{number}", plan, float(number))
    assert [name for _, name in rung(floor)] == ["cem", "ben", "anna"]


def test_ring_all_rings_the_first_tier_that_has_anybody() -> None:
    floor = Floor()
    staff(floor, *(agent(name) for name in TEAM), tiers={"cem": 2})
    floor.caller_entered("c1", contract(queue(strategy="ring_all", ring=10)), 0.0)
    assert rung(floor) == [("c1", "anna"), ("c1", "ben")]
    floor.handle_timers(10.0)
    assert rung(floor) == [("c1", "cem")]


def test_a_skill_wants_its_level_and_is_fair_among_those_who_have_it() -> None:
    floor = Floor()
    staff(floor, agent("anna", law=5), agent("ben", law=2), agent("cem", law=3), agent("dora"))
    for number in range(3):
        floor.caller_entered(f"c{number}", contract(skill("law", 3)), float(number))
    assert rung(floor) == [("c0", "anna"), ("c1", "cem")]


def test_without_patience_everybody_free_is_asked_once() -> None:
    floor = Floor()
    floor.caller_entered("c1", contract(once("anna", "ben", strategy="longest_idle", ring=5)), 0.0)
    floor.handle_timers(5.0)
    floor.handle_timers(10.0)
    assert rung(floor) == [("c1", "anna"), ("c1", "ben")]
    assert floor.counts().callers_seeking == 0


def test_with_patience_nobody_is_asked_again_before_everybody_was_asked() -> None:
    floor = Floor()
    floor.caller_entered("c1", contract(queue(*TEAM, strategy="in_order", ring=5)), 0.0)
    for second in range(31):
        floor.handle_timers(float(second))
    assert [name for _, name in rung(floor)] == ["anna", "ben", "cem", "anna", "ben", "cem", "anna"]
