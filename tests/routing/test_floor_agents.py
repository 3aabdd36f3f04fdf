"""What keeps an agent from being offered a call, and what brings them back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.floor import (
    TRANSITIONS,
    AgentState,
    AgentStatusChanged,
    CallerQueued,
    DeclineReason,
    Floor,
    FloorRules,
    Input,
    OfferMade,
    OfferWithdrawn,
    WrapUpEnded,
    WrapUpStarted,
)
from tests.routing.floor_ladder import agent, contract, happened, once, queue, rung, staff, state


def answered(floor: Floor, call: str, name: str, now: float, wrap_up: int = 0) -> None:
    floor.caller_entered(call, contract(queue(name, group=f"only-{name}"), wrap_up=wrap_up), now)
    floor.offer_answered(call, name, now)
    floor.events.clear()


# -- status ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["on_break", "logged_out"])
def test_who_is_away_is_not_offered(status: str) -> None:
    floor = Floor()
    floor.status_chosen("anna", status, "lunch", 0.0)  # type: ignore[arg-type]
    assert happened(floor) == [AgentStatusChanged("anna", status, "lunch")]  # type: ignore[arg-type]
    floor.caller_entered("c1", contract(once("anna", "ben")), 1.0)
    assert rung(floor) == [("c1", "ben")]


def test_the_same_status_again_is_no_news() -> None:
    floor = Floor()
    floor.status_chosen("anna", "available", "", 0.0)
    assert happened(floor) == []


def test_who_goes_on_a_break_while_the_phone_rings_is_withdrawn_and_the_caller_goes_on() -> None:
    floor = Floor()
    floor.caller_entered("c1", contract(queue("anna", "ben")), 0.0)
    happened(floor)
    floor.status_chosen("anna", "on_break", "", 1.0)
    assert happened(floor) == [
        AgentStatusChanged("anna", "on_break", ""),
        OfferWithdrawn("c1", "anna", "agent_unavailable"),
        OfferMade("c1", "ben", 20),
    ]


def test_who_logs_out_in_a_call_goes_on_talking_and_is_then_left_alone() -> None:
    floor = Floor()
    answered(floor, "c1", "anna", 0.0)
    floor.status_chosen("anna", "logged_out", "", 1.0)
    assert state(floor, "anna") == ["in_call"]
    floor.call_ended("c1", 2.0)
    floor.caller_entered("c2", contract(once("anna", "ben")), 3.0)
    assert rung(floor) == [("c2", "ben")]


# -- wrap-up ---------------------------------------------------------------------------------------------


def test_wrap_up_lasts_as_the_contract_says() -> None:
    floor = Floor()
    answered(floor, "c1", "anna", 0.0, wrap_up=30)
    floor.call_ended("c1", 60.0)
    assert happened(floor) == [WrapUpStarted("anna", "c1", 30)]
    assert floor.next_deadline() == 90.0
    assert floor.counts().agents_in_wrap_up == 1
    floor.handle_timers(90.0)
    assert happened(floor) == [WrapUpEnded("anna", False)]
    assert state(floor, "anna") == ["waiting"]


@pytest.mark.parametrize(("own", "seconds"), [(5, 5), (0, 0), (None, 30)])
def test_an_agents_own_wrap_up_goes_before_the_contracts(own: int | None, seconds: int) -> None:
    floor = Floor()
    staff(floor, agent("anna", wrap_up=own))
    answered(floor, "c1", "anna", 0.0, wrap_up=30)
    floor.call_ended("c1", 60.0)
    assert happened(floor) == ([WrapUpStarted("anna", "c1", seconds)] if seconds else [])


def test_the_agent_may_end_the_wrap_up() -> None:
    floor = Floor()
    answered(floor, "c1", "anna", 0.0, wrap_up=30)
    floor.call_ended("c1", 60.0)
    floor.caller_entered("c2", contract(queue("anna")), 61.0)
    happened(floor)
    floor.wrap_up_finished("anna", 62.0)
    assert happened(floor) == [WrapUpEnded("anna", True), OfferMade("c2", "anna", 20)]
    floor.wrap_up_finished("anna", 63.0)
    assert happened(floor) == []
    floor.offer_answered("c2", "anna", 64.0)
    floor.handle_timers(90.0)
    assert state(floor, "anna") == ["in_call"], "the timer of the wrap-up that was ended is gone"


# -- pauses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "seconds"), [("declined", 10.0), ("busy", 20.0), ("no_answer", 30.0), ("unreachable", 40.0)]
)
def test_after_an_offer_that_failed_the_agent_has_a_pause(reason: DeclineReason, seconds: float) -> None:
    floor = Floor(FloorRules(declined_delay=10, busy_delay=20, no_answer_delay=30, unreachable_delay=40))
    floor.caller_entered("c1", contract(once("anna")), 0.0)
    floor.offer_declined("c1", "anna", reason, 0.0)
    floor.caller_entered("c2", contract(queue("anna")), 1.0)
    floor.handle_timers(seconds - 0.1)
    assert rung(floor) == [("c1", "anna")]
    floor.handle_timers(seconds)
    assert rung(floor) == [("c2", "anna")]


def test_a_missed_offer_is_followed_by_the_pause_of_no_answer() -> None:
    floor = Floor(FloorRules(no_answer_delay=30))
    floor.caller_entered("c1", contract(once("anna", ring=10)), 0.0)
    floor.handle_timers(10.0)
    floor.caller_entered("c2", contract(queue("anna")), 11.0)
    happened(floor)
    assert floor.agents()[0].paused
    floor.handle_timers(40.0)
    assert rung(floor) == [("c2", "anna")]


def test_who_did_not_win_a_ring_all_has_no_pause() -> None:
    floor = Floor(FloorRules(declined_delay=10, no_answer_delay=10))
    floor.caller_entered("c1", contract(queue("anna", "ben", strategy="ring_all")), 0.0)
    floor.offer_answered("c1", "anna", 1.0)
    happened(floor)
    floor.caller_entered("c2", contract(queue("ben")), 1.0)
    assert rung(floor) == [("c2", "ben")]


# -- automatic breaks ------------------------------------------------------------------------------------


def test_who_misses_too_many_offers_is_sent_on_a_break() -> None:
    floor = Floor(FloorRules(missed_before_break=2))
    floor.caller_entered("c1", contract(queue("anna", ring=10)), 0.0)
    now = 0.0
    while not any(isinstance(event, AgentStatusChanged) for event in floor.events):
        now += 1.0
        floor.handle_timers(now)
    assert now == 22.0
    assert happened(floor)[-1] == AgentStatusChanged("anna", "on_break", "missed_offers")
    assert floor.counts().callers_waiting == 1
    floor.handle_timers(24.0)
    floor.status_chosen("anna", "available", "", 30.0)
    assert rung(floor) == [("c1", "anna")]


def test_an_answer_forgives_what_was_missed_and_ring_all_counts_for_nobody() -> None:
    floor = Floor(FloorRules(missed_before_break=2))
    for number, (strategy, answer) in enumerate(
        [("in_order", False), ("in_order", True), ("in_order", False), ("ring_all", False), ("ring_all", False)]
    ):
        now = number * 100.0
        floor.caller_entered(f"c{number}", contract(once("anna", strategy=strategy, ring=10)), now)  # type: ignore[arg-type]
        if answer:
            floor.offer_answered(f"c{number}", "anna", now)
            floor.call_ended(f"c{number}", now)
        floor.handle_timers(now + 10)
    assert not [event for event in happened(floor) if isinstance(event, AgentStatusChanged)]


# -- reach -----------------------------------------------------------------------------------------------


def test_who_registers_takes_who_waits() -> None:
    floor = Floor()
    staff(floor, agent("anna"), agent("ben"))
    floor.agent_engaged("ben", "x", 0.0)
    floor.agent_reachable("anna", False, 0.0)
    floor.caller_entered("c1", contract(queue()), 1.0)
    assert happened(floor) == [CallerQueued("c1", 1, 180)]
    floor.agent_reachable("anna", True, 2.0)
    assert rung(floor) == [("c1", "anna")]


def test_registering_again_while_the_phone_rings_changes_nothing() -> None:
    floor = Floor()
    floor.caller_entered("c1", contract(queue("anna")), 0.0)
    floor.caller_entered("c2", contract(queue("anna")), 0.0)
    happened(floor)
    for reachable in (False, True, True):
        floor.agent_reachable("anna", reachable, 1.0)
    assert happened(floor) == []
    assert state(floor, "anna") == ["offered"]


# -- calls that the floor did not offer ------------------------------------------------------------------


def test_who_takes_another_call_while_the_phone_rings_is_withdrawn() -> None:
    floor = Floor()
    floor.caller_entered("c1", contract(queue("anna", "ben")), 0.0)
    happened(floor)
    floor.agent_engaged("anna", "out", 1.0)
    assert happened(floor) == [OfferWithdrawn("c1", "anna", "agent_unavailable"), OfferMade("c1", "ben", 20)]
    floor.offer_answered("c1", "anna", 1.0)
    assert state(floor, "anna") == ["in_call"]


def test_an_agent_in_a_call_is_in_no_other() -> None:
    floor = Floor()
    answered(floor, "c1", "anna", 0.0)
    floor.agent_engaged("anna", "c2", 1.0)
    floor.call_ended("c2", 2.0)
    assert state(floor, "anna") == ["in_call"]
    floor.call_ended("c1", 3.0)
    assert state(floor, "anna") == ["waiting"]


def test_a_caller_who_is_handed_back_may_seek_again() -> None:
    floor = Floor()
    answered(floor, "c1", "anna", 0.0)
    floor.agent_left("c1", "anna", 1.0)
    floor.caller_entered("c1", contract(queue("ben")), 1.0)
    assert rung(floor) == [("c1", "ben")]


# -- figures ---------------------------------------------------------------------------------------------


def test_an_agents_figures_begin_anew_with_the_log_in() -> None:
    floor = Floor()
    answered(floor, "c1", "anna", 0.0)
    floor.call_ended("c1", 60.0)
    assert [(view.calls, view.talk_seconds) for view in floor.agents()] == [(1, 60.0)]
    floor.status_chosen("anna", "logged_out", "", 61.0)
    floor.status_chosen("anna", "available", "", 62.0)
    assert [(view.calls, view.talk_seconds) for view in floor.agents()] == [(0, 0.0)]


# -- the table -------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(Input), max_size=50))
def test_every_way_through_the_table_leads_back_to_waiting(inputs: list[Input]) -> None:
    where = AgentState.WAITING
    for happening in inputs:
        where = TRANSITIONS.get((where, happening), ("", where))[1]
    for happening in (Input.WITHDRAW, Input.END, Input.WRAP_UP_OVER):
        where = TRANSITIONS.get((where, happening), ("", where))[1]
    assert where is AgentState.WAITING
