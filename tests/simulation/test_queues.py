"""Callers who wait, in every kind of weather: whatever agents, keys and networks do, nobody is lost, forgotten, left in
silence or charged for waiting."""

import os

import pytest

from accounting.journal import CallEnded
from routing.contract import Agent, Contract, ContractNumber, Endpoint, Group, Waiting
from routing.directory import Directory
from routing.floor import Status
from routing.plan import Announce, Callback, Dial, NextStep, Refusal, Step, Voicemail, Widening
from tests.simulation.world import Weather, World

_FIRST, _, _LAST = os.environ.get("B2BUA_SIMULATION_SEEDS", "1-6").partition("-")
SEEDS = range(int(_FIRST), int(_LAST or _FIRST) + 1)
CALLS = 300
AGENTS = 6
WEATHERS = (
    Weather(),
    Weather(loss=0.05, duplicate=0.02),
    Weather(duplicate=0.3, delay=(0.0, 1.5)),
    Weather(loss=0.2, delay=(0.001, 0.4)),
)
_STRATEGIES = (
    "longest_idle", "round_robin", "fewest_calls", "least_talk_time", "ring_all", "in_order", "random"
)  # fmt: skip


def make_directory(seed: int) -> Directory:
    """Seven contracts for one small staff, each with another way to wait and another way out."""
    names = tuple(f"agent{index}" for index in range(AGENTS))
    agents = [
        Agent(
            name, name, (Endpoint(name, contact=f"sip:{name}@10.0.0.{index + 1}:5060"),),
            {"law": 2 + index, "english": 9 - index}, 5 if index % 2 else None,
        )
        for index, name in enumerate(names)
    ]  # fmt: skip
    groups = [Group("all", "All", names, {names[0]: 2}), Group("few", "Few", names[:2])]
    strategy = _STRATEGIES[seed % len(_STRATEGIES)]
    everybody = Step("group", "all", strategy, 8, names, patience_seconds=60)  # type: ignore[arg-type]
    few = Step("group", "few", "longest_idle", 6, names[:2], patience_seconds=15)
    skilled = Step(
        "skill", "law", "longest_idle", 6, names, 6, 40, (Widening(10, 4), Widening(20, 1)),
    )  # fmt: skip
    heard = Waiting(
        answering="answer_at_once", greeting_sound="welcome", music="music", position_seconds=10, comfort_seconds=7,
        comfort_sound="comfort",
        exits={"1": Voicemail("office"), "2": Callback(), "3": Dial("+491711234567"), "4": NextStep()},
    )  # fmt: skip
    rules = {
        "music": ((everybody,), heard, Voicemail("office"), "whisper"),
        "ringing": ((everybody,), Waiting(longest_seconds=30, if_too_long=Refusal(486)), None, "whisper"),
        "short": ((few, everybody), Waiting(most_callers=2, if_full=NextStep()), Announce("closed"), ""),
        "skilled": ((skilled,), heard, Dial("+491711234567"), "whisper"),
        "full": ((few,), Waiting(most_callers=1, if_full=Voicemail("full"), priority=5), Callback(), ""),
        "silent": ((everybody,), Waiting(answering="answer_at_once"), Refusal(600), "gone"),
        "elsewhere": ((few,), Waiting(), Dial("+491711234567"), "whisper"),
    }
    contracts = [
        Contract(
            name, name, target_numbers=(ContractNumber(f"+4930200020{index}"),), plan=plan, tariff="minute",
            waiting=waiting, overflow=overflow, whisper=whisper, wrap_up_seconds=4,
        )
        for index, (name, (plan, waiting, overflow, whisper)) in enumerate(rules.items())
    ]  # fmt: skip
    return Directory(contracts, agents, groups, 1)


def populate(world: World) -> float:
    """Callers, some of whom press keys, and agents who take breaks; returns when the last call is placed."""
    chance = world.random
    when = 0.0
    for _ in range(CALLS):
        when += chance.expovariate(1 / 3.0)
        number = f"+4930200020{chance.randrange(7)}"
        world.later(when, lambda number=number: world.carrier.call(number))  # type: ignore[misc]
        if chance.random() < 0.4:
            world.later(when + chance.uniform(0.5, 40.0), lambda: press_a_key(world))
        if chance.random() < 0.1:
            world.later(when, lambda: take_a_break(world))
    return when


def press_a_key(world: World) -> None:
    calls = list(world.exchange.controller.calls)
    if calls:
        world.press(world.random.choice(calls), world.random.choice("123459#"))


def take_a_break(world: World) -> None:
    agent = f"agent{world.random.randrange(AGENTS)}"
    status: Status = "on_break" if world.random.random() < 0.5 else "logged_out"
    choose(world, agent, status)
    world.later(world.random.uniform(5.0, 60.0), lambda: choose(world, agent, "available"))


def choose(world: World, agent: str, status: Status) -> None:
    world.exchange.floor.status_chosen(agent, status, "", world.now)
    world.exchange.settle(world.at)


@pytest.mark.parametrize("seed", SEEDS)
def test_whoever_waits_is_served_or_goes_another_way(seed: int) -> None:
    weather = WEATHERS[seed % len(WEATHERS)]
    world = World(seed, weather, AGENTS, make_directory(seed))
    world.tick_every_second()
    last = populate(world)
    for _ in range(int(last + 300)):
        world.run(1.0)
        world.assert_nobody_is_offered_twice()
        world.assert_nobody_waits_in_silence()
    # a session timer is the last thing that ends a call whose every BYE was lost
    world.run(2000)
    world.assert_nothing_leaks()
    books = world.assert_books_are_right()
    records = [item for item in world.journal if isinstance(item, CallEnded)]
    for record in records:
        if record.accepted_ns and record.answered_ns:
            assert record.answered_ns >= record.accepted_ns, "waiting is before the agent"
        if record.result != "answered":
            assert record.talked_ns == 0, f"{record.end_reason} is nothing to pay for"
    reasons = {record.end_reason for record in records}
    assert len(books.connected) > CALLS / 10
    assert {"voicemail", "announcement", "callback", "other_number"} & reasons
    if not weather.loss:
        assert len(records) == len(world.carrier.placed) == CALLS
        assert all(placed.status or placed.gave_up for placed in world.carrier.placed)
    for view in world.exchange.floor.agents():
        assert view.state.name == "WAITING", "no agent is stuck"


def test_the_seeds_together_go_every_way() -> None:
    reasons: set[str] = set()
    messages = 0
    for seed in (101, 102, 103):
        world = World(seed, Weather(), AGENTS, make_directory(seed))
        world.tick_every_second()
        world.run(populate(world) + 300)
        reasons |= {item.end_reason for item in world.journal if isinstance(item, CallEnded)}
        messages += len(world.messages)
    assert {
        "agent_hung_up", "caller_hung_up", "caller_cancelled", "voicemail", "announcement", "callback",
        "other_number", "nobody_available",
    } <= reasons  # fmt: skip
    assert messages > 3
