"""Callers who wait: order, priority, limits, and where they go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.contract import Group, Waiting
from routing.floor import (
    CallerOverflowed,
    CallerQueued,
    Floor,
    FloorRules,
    NobodyFound,
    OfferMade,
    OfferWithdrawn,
    PositionChanged,
)
from routing.plan import Announce, Callback, Dial, Refusal, Voicemail, Widening
from tests.routing.floor_ladder import agent, contract, happened, once, queue, rung, skill, staff, state


def busy(floor: Floor, *agents: str) -> None:
    for name in agents:
        floor.agent_engaged(name, f"busy-{name}", 0.0)


# -- order -----------------------------------------------------------------------------------------------


def test_callers_are_taken_in_the_order_in_which_they_came() -> None:
    floor = Floor()
    busy(floor, "anna")
    for number in range(3):
        floor.caller_entered(f"c{number}", contract(queue("anna")), float(number))
    taken = []
    call = "busy-anna"
    for now in (10.0, 20.0, 30.0):
        floor.call_ended(call, now)
        ((call, name),) = rung(floor)
        floor.offer_answered(call, name, now)
        taken.append(call)
    assert taken == ["c0", "c1", "c2"]


def test_a_caller_whose_offer_failed_keeps_the_place() -> None:
    floor = Floor()
    floor.caller_entered("c1", contract(queue("anna", ring=10)), 0.0)
    floor.caller_entered("c2", contract(queue("anna")), 1.0)
    floor.handle_timers(10.0)
    assert rung(floor) == [("c1", "anna")]
    floor.handle_timers(12.0)
    assert rung(floor) == [("c1", "anna")]


def test_a_higher_priority_goes_first_until_the_other_has_waited_for_it() -> None:
    floor = Floor(FloorRules(seconds_per_priority=60))
    busy(floor, "anna", "ben")
    vip = contract(queue("anna", "ben"), waiting=Waiting(priority=2), name="vip")
    floor.caller_entered("early", contract(queue("anna", "ben")), 0.0)
    floor.caller_entered("vip", vip, 119.0)
    floor.call_ended("busy-anna", 130.0)
    assert rung(floor) == [("vip", "anna")]
    floor.caller_entered("late vip", vip, 131.0)
    floor.call_ended("busy-ben", 140.0)
    assert rung(floor) == [("early", "ben")]


def test_a_callers_own_priority_counts_on_top() -> None:
    floor = Floor()
    busy(floor, "anna")
    floor.caller_entered("c1", contract(queue("anna")), 0.0)
    floor.caller_entered("c2", contract(queue("anna")), 1.0, priority=1)
    floor.call_ended("busy-anna", 2.0)
    assert rung(floor) == [("c2", "anna")]


@given(
    st.lists(st.tuples(st.integers(0, 10), st.integers(0, 30)), min_size=1, max_size=60),
    st.integers(0, 10),
    st.integers(1, 100),
)
def test_nobody_starves(arrivals: list[tuple[int, int]], priority: int, worth: int) -> None:
    """Whoever else comes, with whatever priority: who comes more than ten priorities' worth later is not first."""
    floor = Floor(FloorRules(seconds_per_priority=float(worth)))
    busy(floor, "anna")
    now = 0.0
    floor.caller_entered("patient", contract(queue("anna", patience=10**6), waiting=Waiting(priority=priority)), now)
    entered = {"patient": now}
    for number, (other, gap) in enumerate(arrivals):
        now += gap
        call = f"c{number}"
        entered[call] = now
        floor.caller_entered(call, contract(queue("anna", patience=10**6), waiting=Waiting(priority=other)), now)
    call = "busy-anna"
    while call != "patient":
        now += 1
        happened(floor)
        floor.call_ended(call, now)
        ((call, name),) = rung(floor)
        floor.offer_answered(call, name, now)
        assert entered[call] <= worth * 10


def test_a_shared_agent_serves_the_queue_whose_caller_is_first() -> None:
    floor = Floor()
    busy(floor, "anna", "ben")
    floor.caller_entered("c1", contract(queue("anna"), name="one"), 2.0)
    floor.caller_entered("c2", contract(queue("anna", "ben", group="two"), name="two"), 1.0)
    floor.call_ended("busy-anna", 3.0)
    assert rung(floor) == [("c2", "anna")]


def test_callers_who_ring_all_come_in_order_when_several_agents_come_free_at_once() -> None:
    floor = Floor()
    floor.caller_entered("c0", contract(once("anna", "ben", strategy="ring_all")), 0.0)
    floor.caller_entered("early", contract(queue("ben", strategy="ring_all", group="b")), 1.0)
    floor.caller_entered("late", contract(queue("anna", "ben", strategy="ring_all")), 2.0)
    happened(floor)
    floor.caller_left("c0", 3.0)
    assert rung(floor) == [("early", "ben"), ("late", "anna")]


def test_both_of_a_call_come_free_at_once_and_both_are_used() -> None:
    floor = Floor()
    staff(floor, agent("anna"), agent("ben"), tiers={"ben": 2})
    floor.agent_engaged("anna", "both", 0.0)
    floor.agent_engaged("ben", "both", 0.0)
    floor.caller_entered("all", contract(queue(strategy="ring_all")), 1.0)
    floor.caller_entered("next", contract(queue("ben", group="unknown")), 2.0)
    happened(floor)
    floor.call_ended("both", 3.0)
    assert rung(floor) == [("all", "anna"), ("next", "ben")]


def test_callers_sent_on_together_go_in_order() -> None:
    floor = Floor()
    groups = {name: Group(name, name, ("anna",)) for name in ("x", "y")}
    floor.use({"anna": agent("anna"), "ben": agent("ben")}, groups, 0.0)
    busy(floor, "anna")
    floor.caller_entered("late", contract(queue(group="x"), queue("ben", group="b"), name="x"), 2.0)
    floor.caller_entered("early", contract(queue(group="y"), queue("ben", group="b"), name="y"), 1.0)
    happened(floor)
    floor.status_chosen("anna", "logged_out", "", 3.0)
    assert rung(floor) == [("early", "ben")]


# -- position and expected wait --------------------------------------------------------------------------


def test_who_must_wait_is_told_where_and_for_how_long() -> None:
    floor = Floor(FloorRules(handling_seconds=120))
    busy(floor, "anna", "ben")
    for number in range(3):
        floor.caller_entered(f"c{number}", contract(queue("anna", "ben")), 0.0)
    assert happened(floor) == [CallerQueued("c0", 1, 60), CallerQueued("c1", 2, 120), CallerQueued("c2", 3, 180)]


def test_the_expected_wait_follows_how_long_calls_take() -> None:
    floor = Floor(FloorRules(handling_seconds=100))
    floor.caller_entered("c0", contract(queue("anna"), wrap_up=50), 0.0)
    floor.offer_answered("c0", "anna", 0.0)
    floor.call_ended("c0", 950.0)  # 1,000 s with wrap-up: a tenth of the way from 100 to 1,000
    happened(floor)
    floor.caller_entered("c1", contract(queue("anna")), 951.0)
    assert happened(floor) == [CallerQueued("c1", 1, 190)]


def test_positions_are_told_again_when_they_have_changed_but_not_more_often_than_allowed() -> None:
    floor = Floor(FloorRules(position_seconds=10, handling_seconds=60))
    busy(floor, "anna")
    for number in range(4):
        floor.caller_entered(f"c{number}", contract(queue("anna")), 0.0)
    happened(floor)
    floor.caller_left("c0", 1.0)
    floor.caller_left("c2", 2.0)
    assert happened(floor) == []
    floor.handle_timers(10.0)
    assert happened(floor) == [PositionChanged("c1", 1, 60), PositionChanged("c3", 2, 120)]
    floor.handle_timers(20.0)
    assert happened(floor) == []
    floor.caller_left("c1", 21.0)
    floor.caller_left("c3", 21.0)
    floor.call_ended("busy-anna", 21.0)
    floor.handle_timers(30.0)
    assert floor.next_deadline() is None


def test_who_comes_with_priority_moves_the_others_back() -> None:
    floor = Floor(FloorRules(handling_seconds=60))
    busy(floor, "anna")
    floor.caller_entered("c0", contract(queue("anna")), 0.0)
    floor.caller_entered("vip", contract(queue("anna")), 1.0, priority=5)
    assert happened(floor) == [CallerQueued("c0", 1, 60), CallerQueued("vip", 1, 60)]
    floor.handle_timers(10.0)
    assert happened(floor) == [PositionChanged("c0", 2, 120)]


# -- limits ----------------------------------------------------------------------------------------------


def test_patience_leads_to_the_next_step() -> None:
    floor = Floor()
    busy(floor, "anna")
    floor.caller_entered("c1", contract(queue("anna", patience=30), queue("ben", group="b")), 0.0)
    floor.handle_timers(29.9)
    assert rung(floor) == []
    floor.handle_timers(30.0)
    assert rung(floor) == [("c1", "ben")]


def test_a_phone_that_rings_when_patience_ends_rings_on() -> None:
    floor = Floor()
    busy(floor, "anna")
    floor.caller_entered("c1", contract(queue("anna", patience=30), overflow=Voicemail("box")), 0.0)
    floor.call_ended("busy-anna", 25.0)
    happened(floor)
    floor.handle_timers(30.0)
    assert happened(floor) == []
    floor.handle_timers(45.0)
    assert happened(floor) == [
        OfferWithdrawn("c1", "anna", "timed_out"),
        CallerOverflowed("c1", Voicemail("box"), "waited_too_long"),
    ]


def test_a_full_queue_sends_the_next_caller_elsewhere_but_not_to_a_free_agent() -> None:
    floor = Floor()
    waiting = Waiting(most_callers=2, if_full=Dial("+49301"))
    plan = contract(queue("anna"), waiting=waiting)
    floor.caller_entered("c0", plan, 0.0)
    for number in range(1, 4):
        floor.caller_entered(f"c{number}", plan, 1.0)
    assert happened(floor) == [
        OfferMade("c0", "anna", 20),
        CallerQueued("c1", 2, 360),
        CallerQueued("c2", 3, 540),
        CallerOverflowed("c3", Dial("+49301"), "queue_full"),
    ]
    floor.caller_left("c1", 2.0)
    floor.caller_entered("c4", plan, 3.0)
    assert happened(floor) == [CallerQueued("c4", 3, 540)]


def test_a_full_queue_may_send_to_another_group() -> None:
    floor = Floor()
    plan = contract(queue("anna"), queue("ben", group="b"), waiting=Waiting(most_callers=1))
    busy(floor, "anna")
    floor.caller_entered("c1", plan, 0.0)
    floor.caller_entered("c2", plan, 0.0)
    assert rung(floor) == [("c2", "ben")]


def test_who_is_told_busy_hears_so_only_at_the_limit() -> None:
    floor = Floor()
    busy(floor, "anna")
    plan = contract(queue("anna"), waiting=Waiting(most_callers=1, if_full=Refusal(486)))
    floor.caller_entered("c1", plan, 0.0)
    floor.caller_entered("c2", plan, 0.0)
    assert happened(floor)[-1] == NobodyFound("c2", Refusal(486), "queue_full")


def test_the_longest_wait_counts_over_all_steps() -> None:
    floor = Floor()
    busy(floor, "anna", "ben")
    waiting = Waiting(longest_seconds=50, if_too_long=Announce("sorry"))
    floor.caller_entered("c1", contract(queue("anna", patience=30), queue("ben", group="b"), waiting=waiting), 0.0)
    floor.handle_timers(49.0)
    happened(floor)
    floor.handle_timers(50.0)
    assert happened(floor) == [CallerOverflowed("c1", Announce("sorry"), "waited_too_long")]


def test_nobody_logged_in_sends_the_caller_on_at_once() -> None:
    floor = Floor()
    staff(floor, agent("anna"), agent("ben"))
    floor.status_chosen("anna", "logged_out", "", 0.0)
    floor.agent_reachable("ben", False, 0.0)
    happened(floor)
    floor.caller_entered("c1", contract(queue(), overflow=Voicemail("box")), 1.0)
    assert happened(floor) == [CallerOverflowed("c1", Voicemail("box"), "nobody_logged_in")]


def test_who_is_on_a_break_comes_back_so_callers_wait() -> None:
    floor = Floor()
    staff(floor, agent("anna"))
    floor.status_chosen("anna", "on_break", "lunch", 0.0)
    floor.caller_entered("c1", contract(queue()), 1.0)
    assert CallerQueued("c1", 1, 180) in happened(floor)
    floor.status_chosen("anna", "available", "", 60.0)
    assert rung(floor) == [("c1", "anna")]


def test_when_the_last_logs_out_those_who_wait_go_on_at_once() -> None:
    floor = Floor()
    staff(floor, agent("anna"), agent("ben"))
    busy(floor, "anna", "ben")
    floor.caller_entered("c1", contract(queue(), overflow=Callback()), 1.0)
    floor.status_chosen("ben", "logged_out", "", 2.0)
    happened(floor)
    floor.status_chosen("anna", "logged_out", "", 3.0)
    assert happened(floor)[-1] == CallerOverflowed("c1", Callback(), "nobody_logged_in")


def test_when_the_last_phone_is_lost_there_is_a_grace_to_register_again() -> None:
    floor = Floor(FloorRules(unreachable_grace=10))
    staff(floor, agent("anna"))
    busy(floor, "anna")
    floor.caller_entered("c1", contract(queue(), overflow=Callback()), 1.0)
    happened(floor)
    floor.agent_reachable("anna", False, 2.0)
    floor.agent_reachable("anna", True, 11.0)
    floor.handle_timers(12.0)
    assert happened(floor) == []
    floor.agent_reachable("anna", False, 13.0)
    floor.handle_timers(23.0)
    assert happened(floor) == [CallerOverflowed("c1", Callback(), "nobody_logged_in")]


def test_who_was_declined_by_everybody_does_not_wait_for_nobody() -> None:
    floor = Floor()
    staff(floor, agent("anna"), agent("ben"))
    floor.caller_entered("c1", contract(queue(), overflow=Callback()), 0.0)
    floor.offer_declined("c1", "anna", "declined", 1.0)
    floor.offer_declined("c1", "ben", "declined", 2.0)
    assert happened(floor)[-1] == CallerOverflowed("c1", Callback(), "nobody_logged_in")


# -- skills ----------------------------------------------------------------------------------------------


def test_after_a_while_a_lower_level_will_do() -> None:
    floor = Floor()
    staff(floor, agent("anna", law=5), agent("ben", law=3), agent("cem", law=1))
    busy(floor, "anna")
    floor.caller_entered("c1", contract(skill("law", 4, Widening(10, 3), Widening(20, 1))), 0.0)
    floor.handle_timers(9.9)
    assert rung(floor) == []
    floor.handle_timers(10.0)
    assert rung(floor) == [("c1", "ben")]
    floor.handle_timers(20.0)
    floor.offer_declined("c1", "ben", "busy", 21.0)
    assert rung(floor) == [("c1", "cem")]


def test_an_agent_serves_only_callers_whose_level_they_have() -> None:
    floor = Floor()
    staff(floor, agent("anna", law=5), agent("ben", law=2))
    busy(floor, "anna", "ben")
    floor.caller_entered("hard", contract(skill("law", 4)), 0.0)
    floor.caller_entered("easy", contract(skill("law", 1)), 1.0)
    floor.call_ended("busy-ben", 2.0)
    assert rung(floor) == [("easy", "ben")]
    floor.call_ended("busy-anna", 3.0)
    assert rung(floor) == [("hard", "anna")]


# -- leaving by a digit ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rings", [False, True])
def test_a_digit_leads_out_of_the_queue(rings: bool) -> None:
    floor = Floor()
    if not rings:
        busy(floor, "anna")
    floor.caller_entered("c1", contract(queue("anna"), waiting=Waiting(exits={"1": Voicemail("box")})), 0.0)
    happened(floor)
    floor.digit_pressed("c1", "2", 1.0)
    assert happened(floor) == []
    floor.digit_pressed("c1", "1", 2.0)
    withdrawn = [OfferWithdrawn("c1", "anna", "caller_left")] if rings else []
    assert happened(floor) == [*withdrawn, CallerOverflowed("c1", Voicemail("box"), "digit")]
    floor.digit_pressed("c1", "1", 3.0)
    assert happened(floor) == []
    assert state(floor, "anna") == ["waiting" if rings else "in_call"]


# -- the directory changes -------------------------------------------------------------------------------


def test_who_waits_meets_an_agent_who_joined_the_group_since() -> None:
    floor = Floor()
    staff(floor, agent("anna"))
    busy(floor, "anna")
    floor.caller_entered("c1", contract(queue("anna")), 0.0)
    happened(floor)
    staff(floor, agent("anna"), agent("ben"), now=5.0)
    assert rung(floor) == [("c1", "ben")]


def test_who_waits_for_a_group_that_only_the_plan_knew_meets_the_directorys() -> None:
    floor = Floor()
    busy(floor, "anna")
    floor.caller_entered("c1", contract(queue("anna")), 0.0)
    happened(floor)
    staff(floor, agent("anna"), agent("ben"), now=5.0)
    assert rung(floor) == [("c1", "ben")]


def test_what_rings_at_somebody_who_is_gone_from_the_directory_is_withdrawn() -> None:
    floor = Floor()
    staff(floor, agent("anna"), agent("ben"))
    floor.caller_entered("c1", contract(queue()), 0.0)
    floor.caller_entered("c2", contract(queue()), 0.0)
    floor.offer_answered("c2", "ben", 1.0)
    happened(floor)
    staff(floor, agent("cem"), now=5.0)
    assert happened(floor) == [OfferWithdrawn("c1", "anna", "agent_unavailable"), OfferMade("c1", "cem", 20)]
    assert state(floor, "ben") == ["in_call"], "who talks goes on talking"
    floor.call_ended("c2", 6.0)
    floor.caller_entered("c3", contract(queue("ben", group="old")), 7.0)
    assert rung(floor) == []
