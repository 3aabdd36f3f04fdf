"""Lines of our own in every kind of weather: forwarded at random, from line to line, to contracts and outside, while
callers give up and phones do what they like. Nothing leaks, and only contracts' connected time is ever charged."""

import os

import pytest

from accounting.journal import CallEnded
from routing.contract import Agent, Contract, ContractNumber, Endpoint, Waiting
from routing.directory import Directory
from routing.forwarding import ForwardingKind
from routing.lines import Line, LineForwarding
from routing.plan import Step
from tests.simulation.world import Weather, World

_FIRST, _, _LAST = os.environ.get("B2BUA_SIMULATION_SEEDS", "1-4").partition("-")
SEEDS = range(int(_FIRST), int(_LAST or _FIRST) + 1)
CALLS = 300
WEATHERS = (
    Weather(),
    Weather(loss=0.05, duplicate=0.02),
    Weather(duplicate=0.3, delay=(0.0, 1.5)),
    Weather(loss=0.2, delay=(0.001, 0.4)),
)
OUTSIDE = "+491711234567"
KINDS: tuple[ForwardingKind, ...] = ("unconditional", "busy", "no_answer")


def make_directory() -> Directory:
    """Three agents, a contract that rings through and one that answers at once, and four lines; one has no phone."""
    names = ("agent0", "agent1", "agent2")
    agents = [
        Agent(name, name, (Endpoint(name, contact=f"sip:{name}@10.0.0.{at}:5060"),)) for at, name in enumerate(names, 1)
    ]
    plan = (Step("group", "all", "in_order", 6, names, patience_seconds=30),)
    at_once = Waiting(answering="answer_at_once", greeting_sound="welcome", music="music")
    contracts = [
        Contract("ringing", "R", target_numbers=(ContractNumber("+49302000300"),), plan=plan, tariff="minute"),
        Contract(
            "music", "M", target_numbers=(ContractNumber("+49302000301"),), plan=plan, tariff="minute",
            waiting=at_once, whisper="whisper",
        ),
    ]  # fmt: skip
    lines = [
        Line(f"+493045030{at}", f"Line {at}", Endpoint("", f"line{at}", f"sip:line{at}@10.0.0.{at + 4}:5060"), 5,
             may_forward_to=(OUTSIDE,))
        for at in range(3)
    ]  # fmt: skip
    lines.append(Line("+4930450309", "Unregistered", Endpoint("", "line9"), 5))
    return Directory(contracts, agents, (), 1, lines)


def populate(world: World) -> float:
    """Calls to lines and contracts, and lines that change their minds; returns when the last call is placed."""
    chance = world.random
    forwardings = world.exchange.admission.lines.forwardings
    numbers = [*world.directory.numbers, *world.directory.lines]
    when = 0.0
    for _ in range(CALLS):
        when += chance.expovariate(1 / 3.0)
        number = chance.choice(numbers)
        world.later(when, lambda number=number: world.carrier.call(number))  # type: ignore[misc]
        if chance.random() < 0.7:
            line = chance.choice(list(world.directory.lines))
            forwarding = LineForwarding(
                line, chance.choices(KINDS, (1, 3, 3))[0], chance.choice([*numbers, OUTSIDE, "+4990"]),
                chance.choice((0, 9)), chance.random() < 0.8,
            )  # fmt: skip
            world.later(when, lambda item=forwarding: forwardings.take(item))  # type: ignore[misc]
    return when


@pytest.mark.parametrize("seed", SEEDS)
def test_every_call_of_a_line_ends_well(seed: int) -> None:
    weather = WEATHERS[seed % len(WEATHERS)]
    world = World(seed, weather, directory=make_directory())
    world.tick_every_second()
    last = populate(world)
    for _ in range(int((last + 200) / 5)):
        world.run(5.0)
        world.assert_nobody_is_offered_twice()
    world.run(2500)
    world.assert_nothing_leaks()
    books = world.assert_books_are_right()
    for call in books.ended.values():
        judge(call)
    results = {call.result for call in books.ended.values()}
    assert {"answered", "relayed", "failed"} <= results
    forwarded = {
        (call.contract, call.forwarding_kind)
        for call in books.ended.values()
        if call.forwarded_from in world.directory.lines
    }
    assert len(forwarded) >= 2


def judge(call: CallEnded) -> None:
    """A contract, or nothing to pay."""
    if not call.contract:
        assert call.result in ("relayed", "failed", "abandoned")
        assert (call.agent, call.talked_ns, call.answered_ns, call.tariff) == ("", 0, 0, "")
    else:
        assert call.result != "relayed"
    if call.forwarded_from.startswith("+4930450"):
        assert call.forwarding_kind in KINDS
