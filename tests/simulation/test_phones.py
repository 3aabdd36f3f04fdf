"""Agents with several phones, in order and together, of which some vanish for a while; a mobile over the trunk."""

from dataclasses import replace

import pytest

from routing.contract import Agent, Endpoint
from routing.directory import Directory
from tests.simulation.test_simulation import populate
from tests.simulation.world import Weather, World, make_directory

AGENTS = 6
CALLS = 200
WEATHERS = (
    Weather(),
    Weather(loss=0.1, duplicate=0.05),
    Weather(duplicate=0.3, delay=(0.0, 1.5)),
)


def with_more_phones() -> Directory:
    """Everybody has a phone of their own and the one at home, which all share, or a mobile; most of them in order."""
    plain = make_directory(AGENTS)
    agents = [more_phones(agent, index) for index, agent in enumerate(plain.agents.values())]
    return Directory(plain.contracts.values(), agents, (), 1)


def more_phones(agent: Agent, index: int) -> Agent:
    own = agent.endpoints[0]
    home = Endpoint(agent.id, contact=f"sip:{agent.id}@10.0.1.1:5060")
    mobile = Endpoint(agent.id, number=f"+49171000000{index}")
    endpoints = ((own, home), (own, mobile), (home, own, mobile))[index % 3]
    if index == AGENTS - 1:
        return replace(agent, endpoints=endpoints)
    return replace(agent, endpoints=endpoints, ring="in_order", endpoint_seconds=1 + index)


def vanish(world: World, index: int) -> None:
    """A phone is without power for a minute or two."""
    address = (f"10.0.0.{index + 1}", 5060)
    party = world.parties.pop(address, None)
    if party is not None:
        world.later(world.random.uniform(30.0, 150.0), lambda: world.parties.update({address: party}))


@pytest.mark.parametrize("seed", range(1, 7))
def test_an_agent_has_one_call_whichever_phones_there_are(seed: int) -> None:
    weather = WEATHERS[seed % len(WEATHERS)]
    world = World(seed, weather, AGENTS, with_more_phones(), options_seconds=20.0)
    world.tick_every_second()
    last = populate(world, CALLS, gap=4.0)
    for index in range(AGENTS):
        world.later(world.random.uniform(0.0, last), lambda index=index: vanish(world, index))  # type: ignore[misc]
    reachability = world.exchange.reachability
    assert reachability is not None
    most_dead = 0
    for _ in range(int(last + 200)):
        world.run(1.0)
        world.assert_nobody_is_offered_twice()
        most_dead = max(most_dead, reachability.dead)
    assert most_dead
    assert reachability.dead == 0 or weather.loss, "everybody is back, and asked again"
    # the questions end with the agents, and nothing of them is left
    reachability.use({}, world.now)
    world.run(2000)
    world.assert_nothing_leaks()
    assert (reachability.asked, reachability.dead) == (0, 0)
    books = world.assert_books_are_right()
    assert len(books.connected) > CALLS / 10
    if not weather.loss:
        assert all(placed.status or placed.gave_up for placed in world.carrier.placed)
    for view in world.exchange.floor.agents():
        assert view.state.name == "WAITING", "no agent is stuck"
