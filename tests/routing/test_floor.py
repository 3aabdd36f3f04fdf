"""Ladders: what goes into the floor, what comes out."""

import pytest

from routing.contract import Contract
from routing.floor import (
    AgentConnected,
    AgentState,
    AnswerRefused,
    DeclineReason,
    Floor,
    FloorCounts,
    FloorEvent,
    NobodyFound,
    OfferMade,
    OfferWithdrawn,
)
from routing.plan import Refusal, Step


def in_order(*agents: str, ring: int = 20) -> Step:
    return Step("group", "g", "in_order", ring, agents)


def ring_all(*agents: str, ring: int = 30) -> Step:
    return Step("group", "g", "ring_all", ring, agents)


def plan(*steps: Step) -> Contract:
    return Contract("kanzlei", "Kanzlei", plan=steps, if_nobody=Refusal(486))


def happened(floor: Floor) -> list[FloorEvent]:
    events = list(floor.events)
    floor.events.clear()
    return events


def state(floor: Floor, *agents: str) -> list[str]:
    return [floor.agent_state(agent).value for agent in agents]


# -- in order --------------------------------------------------------------------------------------------


def test_in_order_the_next_rings_when_the_one_before_has_rung_long_enough() -> None:
    floor = Floor()
    floor.caller_entered("c1", plan(in_order("anna", "ben")), 0.0)
    assert happened(floor) == [OfferMade("c1", "anna", 20)]
    assert floor.next_deadline() == 20.0
    floor.handle_timers(19.999)
    assert happened(floor) == []
    floor.handle_timers(20.0)
    assert happened(floor) == [OfferWithdrawn("c1", "anna", "timed_out"), OfferMade("c1", "ben", 20)]
    assert floor.next_deadline() == 40.0
    floor.handle_timers(40.0)
    assert happened(floor) == [OfferWithdrawn("c1", "ben", "timed_out"), NobodyFound("c1", Refusal(486))]
    assert floor.next_deadline() is None
    assert floor.counts() == FloorCounts(0, 0, 0, 0)


@pytest.mark.parametrize("reason", ["busy", "declined", "unreachable", "no_answer"])
def test_in_order_a_refusal_asks_the_next_at_once(reason: DeclineReason) -> None:
    floor = Floor()
    floor.caller_entered("c1", plan(in_order("anna", "ben")), 0.0)
    floor.offer_declined("c1", "anna", reason, 3.0)
    assert happened(floor) == [OfferMade("c1", "anna", 20), OfferMade("c1", "ben", 20)]
    assert state(floor, "anna", "ben") == ["waiting", "offered"]
    assert floor.next_deadline() == 23.0


def test_an_agent_who_answers_takes_the_call_and_the_timer_stops() -> None:
    floor = Floor()
    floor.caller_entered("c1", plan(in_order("anna", "ben")), 0.0)
    floor.offer_answered("c1", "anna", 5.0)
    assert happened(floor)[1:] == [AgentConnected("c1", "anna")]
    assert floor.next_deadline() is None
    floor.handle_timers(1000.0)
    assert happened(floor) == []
    assert state(floor, "anna") == ["in_call"]
    floor.call_ended("c1", 2000.0)
    assert happened(floor) == []
    assert state(floor, "anna") == ["waiting"]


def test_the_second_step_comes_when_the_first_is_used_up() -> None:
    floor = Floor()
    floor.caller_entered("c1", plan(in_order("anna", ring=10), ring_all("ben", "cem", ring=7)), 0.0)
    happened(floor)
    floor.handle_timers(10.0)
    assert happened(floor) == [
        OfferWithdrawn("c1", "anna", "timed_out"),
        OfferMade("c1", "ben", 7),
        OfferMade("c1", "cem", 7),
    ]
    assert floor.next_deadline() == 17.0


# -- ring all --------------------------------------------------------------------------------------------


def test_ring_all_the_first_to_answer_wins_and_the_others_stop_ringing() -> None:
    floor = Floor()
    floor.caller_entered("c1", plan(ring_all("anna", "ben", "cem")), 0.0)
    assert happened(floor) == [OfferMade("c1", name, 30) for name in ("anna", "ben", "cem")]
    floor.offer_answered("c1", "ben", 4.0)
    assert happened(floor) == [
        AgentConnected("c1", "ben"),
        OfferWithdrawn("c1", "anna", "answered_elsewhere"),
        OfferWithdrawn("c1", "cem", "answered_elsewhere"),
    ]
    assert state(floor, "anna", "ben", "cem") == ["waiting", "in_call", "waiting"]


def test_ring_all_an_answer_too_late_is_refused_and_changes_nothing() -> None:
    floor = Floor()
    floor.caller_entered("c1", plan(ring_all("anna", "ben")), 0.0)
    floor.offer_answered("c1", "anna", 4.0)
    happened(floor)
    floor.offer_answered("c1", "ben", 4.0)
    assert happened(floor) == [AnswerRefused("c1", "ben")]
    assert state(floor, "anna", "ben") == ["in_call", "waiting"]


def test_a_winners_second_answer_does_not_hang_up_on_the_caller() -> None:
    floor = Floor()
    floor.caller_entered("c1", plan(in_order("anna")), 0.0)
    floor.offer_answered("c1", "anna", 1.0)
    happened(floor)
    floor.offer_answered("c1", "anna", 1.0)
    assert happened(floor) == []


def test_ring_all_goes_on_until_the_last_has_refused() -> None:
    floor = Floor()
    floor.caller_entered("c1", plan(ring_all("anna", "ben")), 0.0)
    happened(floor)
    floor.offer_declined("c1", "anna", "busy", 1.0)
    assert happened(floor) == []
    assert floor.next_deadline() == 30.0
    floor.offer_declined("c1", "ben", "declined", 2.0)
    assert happened(floor) == [NobodyFound("c1", Refusal(486))]


# -- who is not asked ------------------------------------------------------------------------------------


def test_who_is_in_a_call_is_passed_over() -> None:
    floor = Floor()
    floor.caller_entered("c1", plan(in_order("anna")), 0.0)
    floor.offer_answered("c1", "anna", 1.0)
    happened(floor)
    floor.caller_entered("c2", plan(in_order("anna", "ben")), 2.0)
    assert happened(floor) == [OfferMade("c2", "ben", 20)]


def test_who_rings_for_another_caller_is_passed_over() -> None:
    floor = Floor()
    floor.caller_entered("c1", plan(ring_all("anna", "ben")), 0.0)
    happened(floor)
    floor.caller_entered("c2", plan(ring_all("anna", "ben", "cem")), 1.0)
    assert happened(floor) == [OfferMade("c2", "cem", 30)]


def test_who_is_unreachable_is_passed_over_until_a_phone_is_back() -> None:
    floor = Floor()
    floor.agent_reachable("anna", False, 0.0)
    assert not floor.is_reachable("anna")
    floor.caller_entered("c1", plan(in_order("anna")), 0.0)
    assert happened(floor) == [NobodyFound("c1", Refusal(486))]
    floor.agent_reachable("anna", True, 0.0)
    assert floor.is_reachable("anna")
    floor.caller_entered("c2", plan(in_order("anna")), 1.0)
    assert happened(floor) == [OfferMade("c2", "anna", 20)]


def test_an_agent_who_loses_the_phone_in_a_call_is_not_offered_the_next_one() -> None:
    floor = Floor()
    floor.caller_entered("c1", plan(in_order("anna")), 0.0)
    floor.offer_answered("c1", "anna", 1.0)
    floor.agent_reachable("anna", False, 0.0)
    assert state(floor, "anna") == ["in_call"]
    floor.call_ended("c1", 2.0)
    happened(floor)
    floor.caller_entered("c2", plan(in_order("anna")), 3.0)
    assert happened(floor) == [NobodyFound("c2", Refusal(486))]


def test_who_declined_a_caller_is_not_asked_again_by_a_later_step_but_who_did_not_hear_is() -> None:
    floor = Floor()
    floor.caller_entered("c1", plan(in_order("anna", "ben", ring=5), ring_all("anna", "ben")), 0.0)
    floor.offer_declined("c1", "anna", "declined", 1.0)
    happened(floor)
    floor.handle_timers(6.0)
    assert happened(floor) == [OfferWithdrawn("c1", "ben", "timed_out"), OfferMade("c1", "ben", 30)]


@pytest.mark.parametrize("steps", [(), (in_order(),), (ring_all(), in_order())])
def test_a_plan_without_agents_finds_nobody_at_once(steps: tuple[Step, ...]) -> None:
    floor = Floor()
    floor.caller_entered("c1", plan(*steps), 0.0)
    assert happened(floor) == [NobodyFound("c1", Refusal(486))]
    assert floor.next_deadline() is None


def test_an_agent_named_twice_in_a_step_rings_once() -> None:
    floor = Floor()
    floor.caller_entered("c1", plan(ring_all("anna", "anna")), 0.0)
    assert happened(floor) == [OfferMade("c1", "anna", 30)]


# -- the caller leaves -----------------------------------------------------------------------------------


def test_a_caller_who_leaves_while_one_rings() -> None:
    floor = Floor()
    floor.caller_entered("c1", plan(in_order("anna", "ben")), 0.0)
    happened(floor)
    floor.caller_left("c1", 1.0)
    assert happened(floor) == [OfferWithdrawn("c1", "anna", "caller_left")]
    assert floor.next_deadline() is None
    assert floor.agent_state("anna") is AgentState.WAITING


def test_a_caller_who_leaves_while_all_ring() -> None:
    floor = Floor()
    floor.caller_entered("c1", plan(ring_all("anna", "ben")), 0.0)
    happened(floor)
    floor.caller_left("c1", 1.0)
    assert happened(floor) == [OfferWithdrawn("c1", name, "caller_left") for name in ("anna", "ben")]


def test_a_caller_who_leaves_in_the_second_step() -> None:
    floor = Floor()
    floor.caller_entered("c1", plan(in_order("anna"), ring_all("ben", "cem")), 0.0)
    floor.handle_timers(20.0)
    happened(floor)
    floor.caller_left("c1", 21.0)
    assert happened(floor) == [OfferWithdrawn("c1", name, "caller_left") for name in ("ben", "cem")]
    floor.handle_timers(1000.0)
    assert happened(floor) == []


def test_a_caller_who_leaves_the_connected_agent() -> None:
    floor = Floor()
    floor.caller_entered("c1", plan(in_order("anna")), 0.0)
    floor.offer_answered("c1", "anna", 1.0)
    happened(floor)
    floor.caller_left("c1", 2.0)
    assert happened(floor) == []
    assert floor.agent_state("anna") is AgentState.WAITING
    floor.caller_left("c1", 3.0)
    assert happened(floor) == []


def test_an_agent_who_answers_just_after_the_caller_left_is_refused() -> None:
    floor = Floor()
    floor.caller_entered("c1", plan(in_order("anna")), 0.0)
    floor.caller_left("c1", 1.0)
    happened(floor)
    floor.offer_answered("c1", "anna", 1.0)
    assert happened(floor) == [AnswerRefused("c1", "anna")]


def test_an_agent_who_answers_just_after_the_ring_time_is_refused() -> None:
    floor = Floor()
    floor.caller_entered("c1", plan(in_order("anna", "ben")), 0.0)
    floor.handle_timers(20.0)
    happened(floor)
    floor.offer_answered("c1", "anna", 20.0)
    assert happened(floor) == [AnswerRefused("c1", "anna")]
    assert state(floor, "anna", "ben") == ["waiting", "offered"]


def test_a_refusal_that_comes_too_late_changes_nothing() -> None:
    floor = Floor()
    floor.caller_entered("c1", plan(in_order("anna", "ben")), 0.0)
    floor.handle_timers(20.0)
    floor.caller_entered("c2", plan(in_order("anna")), 20.0)
    happened(floor)
    floor.offer_declined("c1", "anna", "busy", 21.0)
    assert happened(floor) == []
    assert state(floor, "anna", "ben") == ["offered", "offered"]


def test_a_call_enters_once() -> None:
    floor = Floor()
    floor.caller_entered("c1", plan(in_order("anna")), 0.0)
    happened(floor)
    floor.caller_entered("c1", plan(in_order("ben")), 1.0)
    assert happened(floor) == []


# -- many callers ----------------------------------------------------------------------------------------


def test_the_floor_counts_callers_and_agents() -> None:
    floor = Floor()
    floor.caller_entered("c1", plan(in_order("anna")), 0.0)
    floor.caller_entered("c2", plan(ring_all("ben", "cem")), 0.0)
    floor.offer_answered("c1", "anna", 1.0)
    assert floor.counts() == FloorCounts(callers_seeking=1, callers_connected=1, agents_offered=2, agents_in_call=1)


def test_timers_of_answered_callers_do_not_pile_up() -> None:
    floor = Floor()
    for number in range(1000):
        floor.caller_entered(f"c{number}", plan(in_order("anna", ring=600)), float(number))
        floor.offer_answered(f"c{number}", "anna", float(number))
        floor.call_ended(f"c{number}", float(number))
    assert len(floor._timers) < 200
    assert not floor._callers
    assert not floor._talks


def test_timers_that_are_due_together_all_run() -> None:
    floor = Floor()
    floor.caller_entered("c1", plan(in_order("anna")), 0.0)
    floor.caller_entered("c2", plan(in_order("ben")), 1.0)
    happened(floor)
    floor.handle_timers(100.0)
    assert happened(floor) == [
        OfferWithdrawn("c1", "anna", "timed_out"),
        NobodyFound("c1", Refusal(486)),
        OfferWithdrawn("c2", "ben", "timed_out"),
        NobodyFound("c2", Refusal(486)),
    ]
