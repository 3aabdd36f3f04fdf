"""A floor written down and read back goes on as if nothing had been."""

import json
from dataclasses import replace
from typing import Any

import pytest

from routing.contract import Contract
from routing.directory import Directory
from routing.floor import (
    AgentStatusChanged,
    AnswerRefused,
    CallerQueued,
    Floor,
    FloorRules,
    NobodyFound,
    OfferMade,
    OfferWithdrawn,
    WrapUpEnded,
    read_back,
    write_down,
)
from routing.floor.timers import Timer
from routing.plan import Refusal
from tests.routing.floor_ladder import agent, contract, happened, once, queue, rung, staff, state
from tests.routing.test_floor_simulation import Player


def restarted(floor: Floor, now: float, clock: float, *contracts: Contract) -> Floor:
    data = json.loads(json.dumps(write_down(floor, now)))
    return read_back(data, {item.id: item for item in contracts}, clock)


def test_who_rings_goes_on_ringing_for_the_time_that_is_left() -> None:
    plan = contract(queue("anna", "ben", strategy="ring_all"))
    floor = Floor()
    floor.caller_entered("c1", plan, 0.0)
    again = restarted(floor, 15.0, 1000.0, plan)
    assert happened(again) == []
    assert state(again, "anna", "ben") == ["offered", "offered"]
    assert again.next_deadline() == 1005.0
    again.offer_answered("c1", "ben", 1001.0)
    again.offer_answered("c1", "anna", 1001.0)
    assert happened(again)[1:] == [
        OfferWithdrawn("c1", "anna", "answered_elsewhere"),
        AnswerRefused("c1", "anna"),
    ]


def test_who_waits_keeps_place_and_patience() -> None:
    plan = contract(queue("anna", patience=60))
    floor = Floor()
    floor.agent_engaged("anna", "x", 0.0)
    for number in range(3):
        floor.caller_entered(f"c{number}", plan, float(number))
    again = restarted(floor, 10.0, 5.0, plan)
    assert happened(again) == []
    again.caller_entered("c3", plan, 6.0)
    assert happened(again) == [CallerQueued("c3", 4, 720)]
    again.call_ended("x", 7.0)
    assert rung(again) == [("c0", "anna")]
    again.offer_answered("c0", "anna", 8.0)
    again.handle_timers(55.9)
    assert again.counts().callers_waiting == 3
    again.handle_timers(57.0)
    assert [event for event in happened(again) if isinstance(event, NobodyFound)] == [
        NobodyFound("c1", Refusal(486), "waited_too_long"),
        NobodyFound("c2", Refusal(486), "waited_too_long"),
    ]


def test_wrap_up_pauses_breaks_and_refusals_last() -> None:
    plan = contract(queue("anna", "ben", "cem"), wrap_up=30)
    floor = Floor(FloorRules(busy_delay=40))
    floor.caller_entered("c1", plan, 0.0)
    floor.offer_answered("c1", "anna", 0.0)
    floor.call_ended("c1", 0.0)
    floor.caller_entered("c2", plan, 0.0)
    floor.offer_declined("c2", "ben", "busy", 0.0)
    floor.offer_declined("c2", "cem", "declined", 0.0)
    floor.status_chosen("cem", "on_break", "lunch", 1.0)
    again = restarted(floor, 10.0, 110.0, plan)
    assert state(again, "anna", "ben", "cem") == ["wrap_up", "waiting", "waiting"]
    again.status_chosen("cem", "available", "", 111.0)
    again.handle_timers(129.0)
    assert happened(again) == [AgentStatusChanged("cem", "available", "")]
    again.handle_timers(130.0)
    assert happened(again) == [WrapUpEnded("anna", False), OfferMade("c2", "anna", 20)]
    again.offer_declined("c2", "anna", "declined", 131.0)
    again.handle_timers(140.0)
    assert rung(again) == [("c2", "ben")]


def test_a_caller_whose_contract_is_gone_is_told_so_and_the_phone_that_rang_is_free() -> None:
    floor = Floor()
    floor.caller_entered("c1", contract(queue("anna")), 0.0)
    again = restarted(floor, 1.0, 1.0)
    assert happened(again) == [NobodyFound("c1", Refusal(480))]
    assert state(again, "anna") == ["waiting"]
    again.caller_entered("c2", contract(queue("anna")), 2.0)
    assert rung(again) == [("c2", "anna")]


def test_a_caller_whose_step_is_gone_goes_where_the_plan_ends() -> None:
    floor = Floor()
    floor.agent_engaged("anna", "x", 0.0)
    floor.agent_engaged("ben", "x", 0.0)
    floor.caller_entered("c1", contract(once("anna"), queue("ben")), 0.0)
    again = restarted(floor, 1.0, 1.0, contract(once("anna")))
    assert happened(again) == [NobodyFound("c1", Refusal(486))]
    assert again.counts().callers_seeking == 0


def test_an_agent_who_left_the_directory_meanwhile_is_offered_nothing() -> None:
    plan = contract(queue())
    floor = Floor()
    staff(floor, agent("anna"), agent("ben"))
    data = write_down(floor, 0.0)
    again = read_back(data, {"kanzlei": plan}, 0.0, Directory((), [agent("ben")]))
    again.caller_entered("c1", contract(once("anna", "ben")), 1.0)
    assert rung(again) == [("c1", "ben")]


def test_data_of_another_version_are_not_guessed_at() -> None:
    data = write_down(Floor(), 0.0) | {"version": 0}
    with pytest.raises(ValueError, match="version 0"):
        read_back(data, {}, 0.0)


class Twins:
    """A floor and what was read back of it: every input goes to both, and both must say the same."""

    INPUTS = (
        "caller_entered", "caller_left", "call_ended", "digit_pressed", "offer_declined", "offer_answered",
        "agent_left", "agent_engaged", "agent_reachable", "status_chosen", "wrap_up_finished", "handle_timers",
    )  # fmt: skip

    def __init__(self, first: Floor, second: Floor) -> None:
        self.first = first
        self.second = second

    def __getattr__(self, name: str) -> Any:
        if name not in self.INPUTS:
            return getattr(self.first, name)

        def both(*arguments: Any) -> None:
            getattr(self.first, name)(*arguments)
            getattr(self.second, name)(*arguments)
            assert list(self.first.events) == list(self.second.events), name
            self.second.events.clear()

        return both


@pytest.mark.parametrize("seed", range(100))
def test_a_floor_read_back_decides_like_the_one_written_down(seed: int) -> None:
    player = Player(f"twins/{seed}")
    books = player.books
    # random order is not written down
    for name, item in player.contracts.items():
        steps = (replace(step, strategy="in_order") if step.strategy == "random" else step for step in item.plan)
        player.contracts[name] = replace(item, plan=tuple(steps))
    for _ in range(30):
        player.move()
    data = json.loads(json.dumps(write_down(books.floor, books.now)))
    copy = read_back(data, player.contracts, books.now, books.directory, books.rules)
    if any(what is Timer.GRACE for floor in (books.floor, copy) for _, what, _ in floor._timers.running()):
        return  # which begins anew
    books.floor = Twins(books.floor, copy)  # type: ignore[assignment]
    books.use = books.restart = lambda _: None  # type: ignore[assignment, method-assign]
    for _ in range(60):
        player.move()
    books.close()
