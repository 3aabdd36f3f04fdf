"""What users of app_queue, mod_callcenter and call_center complain of, each as a test."""

import pytest

from routing.floor import (
    AgentConnected,
    AgentState,
    AnswerRefused,
    CallerQueued,
    DeclineReason,
    Floor,
    FloorRules,
    OfferMade,
    OfferWithdrawn,
    WrapUpEnded,
    WrapUpStarted,
    read_back,
    write_down,
)
from tests.routing.floor_ladder import contract, happened, once, queue, rung, state


def test_no_agent_is_stuck_in_use_whatever_end_a_call_takes() -> None:
    floor = Floor()
    plan = contract(queue("anna"))
    for number, end in enumerate(("call_ended", "caller_left", "agent_left")):
        call, now = f"c{number}", number * 100.0
        floor.caller_entered(call, plan, now)
        floor.offer_answered(call, "anna", now + 1)
        if end == "agent_left":
            floor.agent_left(call, "anna", now + 2)
        else:
            getattr(floor, end)(call, now + 2)
        # said twice, by both sides hanging up at once
        floor.call_ended(call, now + 2)
        assert state(floor, "anna") == ["waiting"], end
    assert rung(floor) == [("c0", "anna"), ("c1", "anna"), ("c2", "anna")]


def test_an_agent_whose_phone_vanishes_in_a_call_is_not_stuck_in_use() -> None:
    floor = Floor()
    floor.caller_entered("c1", contract(queue("anna")), 0.0)
    floor.offer_answered("c1", "anna", 1.0)
    floor.agent_reachable("anna", False, 2.0)
    floor.call_ended("c1", 3.0)
    floor.caller_entered("c2", contract(queue("anna", "ben")), 4.0)
    assert ("c2", "ben") in rung(floor)
    floor.agent_reachable("anna", True, 5.0)
    floor.caller_entered("c3", contract(queue("anna", "ben")), 6.0)
    assert rung(floor) == [("c3", "anna")]


@pytest.mark.parametrize("reason", ["busy", "declined", "unreachable", "no_answer"])
def test_a_declined_offer_does_not_drop_the_caller(reason: DeclineReason) -> None:
    floor = Floor()
    floor.caller_entered("c1", contract(queue("anna", "ben")), 0.0)
    floor.agent_engaged("ben", "other", 0.0)
    happened(floor)
    floor.offer_declined("c1", "anna", reason, 1.0)
    assert happened(floor) == [CallerQueued("c1", 1, 90)]
    floor.call_ended("other", 5.0)
    assert rung(floor) == [("c1", "ben")]


def test_wrap_up_is_honoured_after_a_transfer() -> None:
    floor = Floor()
    plan = contract(queue("anna"), wrap_up=30)
    floor.caller_entered("c1", plan, 0.0)
    floor.offer_answered("c1", "anna", 1.0)
    floor.agent_left("c1", "anna", 60.0)  # handed on: the call goes on without her
    floor.caller_entered("c2", plan, 61.0)
    assert WrapUpStarted("anna", "c1", 30) in happened(floor)
    floor.call_ended("c1", 80.0)  # the end of the call she handed on changes nothing for her
    floor.handle_timers(89.9)
    assert state(floor, "anna") == ["wrap_up"]
    assert rung(floor) == []
    floor.handle_timers(90.0)
    assert happened(floor) == [WrapUpEnded("anna", False), OfferMade("c2", "anna", 20)]


def test_wrap_up_is_honoured_by_who_takes_over_too() -> None:
    floor = Floor()
    floor.caller_entered("c1", contract(queue("anna"), wrap_up=30), 0.0)
    floor.offer_answered("c1", "anna", 1.0)
    floor.agent_engaged("ben", "c1", 50.0)
    floor.agent_left("c1", "anna", 60.0)
    assert state(floor, "anna", "ben") == ["wrap_up", "in_call"]
    floor.call_ended("c1", 100.0)
    assert state(floor, "anna", "ben") == ["wrap_up", "wrap_up"]


def test_wrap_up_is_honoured_when_the_caller_leaves_as_the_agent_answers() -> None:
    floor = Floor()
    floor.caller_entered("c1", contract(queue("anna"), wrap_up=30), 0.0)
    floor.offer_answered("c1", "anna", 1.0)
    floor.caller_left("c1", 1.0)
    floor.caller_entered("c2", contract(queue("anna")), 2.0)
    assert rung(floor) == [("c1", "anna")]
    assert state(floor, "anna") == ["wrap_up"]


def test_wrap_up_is_not_cut_short_by_an_offer_abandoned_elsewhere() -> None:
    floor = Floor()
    floor.caller_entered("c1", contract(queue("anna"), wrap_up=30), 0.0)
    floor.offer_answered("c1", "anna", 1.0)
    floor.call_ended("c1", 10.0)
    floor.caller_entered("c2", contract(queue("anna", "ben", strategy="ring_all")), 12.0)
    floor.caller_left("c2", 13.0)
    floor.caller_entered("c3", contract(queue("anna")), 14.0)
    assert rung(floor) == [("c1", "anna"), ("c2", "ben")]
    floor.handle_timers(40.0)
    assert rung(floor) == [("c3", "anna")]


def test_a_talking_agent_is_not_offered_a_second_call_by_another_queue() -> None:
    floor = Floor()
    floor.caller_entered("c1", contract(queue("anna"), name="one"), 0.0)
    floor.caller_entered("c2", contract(queue("anna", group="other"), name="two"), 0.0)
    assert rung(floor) == [("c1", "anna")]
    floor.offer_answered("c1", "anna", 1.0)
    floor.caller_entered("c3", contract(once("anna"), name="three"), 2.0)
    assert rung(floor) == []
    floor.call_ended("c1", 3.0)
    assert rung(floor) == [("c2", "anna")]


def test_an_agent_in_an_outgoing_call_is_not_offered_one() -> None:
    floor = Floor()
    floor.agent_engaged("anna", "out", 0.0)
    floor.caller_entered("c1", contract(queue("anna")), 1.0)
    assert rung(floor) == []
    floor.call_ended("out", 2.0)
    assert rung(floor) == [("c1", "anna")]


def test_a_603_is_not_rung_again_at_once() -> None:
    floor = Floor(FloorRules(declined_delay=15))
    floor.caller_entered("c1", contract(queue("anna")), 0.0)
    floor.offer_declined("c1", "anna", "declined", 1.0)
    floor.caller_entered("c2", contract(queue("anna")), 2.0)
    floor.handle_timers(15.9)
    assert rung(floor) == [("c1", "anna")]
    floor.handle_timers(16.0)
    assert rung(floor) == [("c2", "anna")], "and never again for the caller who was declined"


def test_a_phone_that_is_always_busy_is_not_rung_at_the_speed_of_the_network() -> None:
    floor = Floor()  # no delays set
    for number in range(100):
        floor.caller_entered(f"c{number}", contract(queue("anna")), 0.0)
    offers = 0
    for second in range(10):
        floor.handle_timers(float(second))
        while made := rung(floor):
            offers += len(made)
            floor.offer_declined(*made[0], "busy", float(second))
    assert offers == 5


def test_nobody_is_frozen_reserved_when_a_caller_leaves_in_the_instant_of_the_answer() -> None:
    for answer_first in (True, False):
        floor = Floor()
        floor.caller_entered("c1", contract(queue("anna", "ben", strategy="ring_all")), 0.0)
        floor.caller_entered("c2", contract(queue("anna", "ben")), 0.0)
        happened(floor)
        if answer_first:
            floor.offer_answered("c1", "anna", 1.0)
            floor.caller_left("c1", 1.0)
            assert happened(floor) == [
                AgentConnected("c1", "anna"),
                OfferWithdrawn("c1", "ben", "answered_elsewhere"),
                OfferMade("c2", "ben", 20),
            ]
            assert state(floor, "anna", "ben") == ["waiting", "offered"]
        else:
            floor.caller_left("c1", 1.0)
            floor.offer_answered("c1", "anna", 1.0)
            events = happened(floor)
            assert events[-1] == AnswerRefused("c1", "anna")
            assert OfferMade("c2", "anna", 20) in events
            assert state(floor, "anna", "ben") == ["offered", "waiting"]


def test_after_a_restart_nobody_who_talks_is_thought_free() -> None:
    floor = Floor()
    plan = contract(queue("anna"))
    floor.caller_entered("c1", plan, 0.0)
    floor.offer_answered("c1", "anna", 1.0)
    again = read_back(write_down(floor, 2.0), {"kanzlei": plan}, 5000.0)
    assert again.agent_state("anna") is AgentState.IN_CALL
    again.caller_entered("c2", plan, 5001.0)
    assert rung(again) == []
    again.call_ended("c1", 5010.0)
    assert rung(again) == [("c2", "anna")]
