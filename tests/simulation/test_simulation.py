"""Two thousand calls and more through a whole exchange, in every kind of weather."""

import os

import pytest
from sqlalchemy import create_engine

from accounting.content import instants_of
from accounting.journal import CallEnded, JournalEntry
from accounting.recovery import recover
from accounting.store import create_tables, read_calls, write_batch
from tests.simulation.world import NUMBERS, Weather, World

#: 500 calls each; set B2BUA_SIMULATION_SEEDS=100-160 to look further.
_FIRST, _, _LAST = os.environ.get("B2BUA_SIMULATION_SEEDS", "1-5").partition("-")
SEEDS = range(int(_FIRST), int(_LAST or _FIRST) + 1)
CALLS = 500
WEATHERS = (
    Weather(),
    Weather(loss=0.05, duplicate=0.02),
    Weather(loss=0.15, duplicate=0.1, delay=(0.001, 0.4)),
    Weather(duplicate=0.3, delay=(0.0, 1.5)),
    Weather(loss=0.3),
)


def populate(world: World, calls: int, gap: float) -> float:
    """Schedule the calls; returns how long it takes until the last one is placed."""
    when = 0.0
    for _ in range(calls):
        when += world.random.expovariate(1 / gap)
        number = world.random.choice(NUMBERS)
        world.later(when, lambda number=number: world.carrier.call(number))  # type: ignore[misc]
    return when


@pytest.mark.parametrize("seed", SEEDS)
def test_every_call_ends_well(seed: int) -> None:
    weather = WEATHERS[seed % len(WEATHERS)]
    world = World(seed, weather)
    last = populate(world, CALLS, gap=4.0)
    step = 5.0
    for _ in range(int((last + 200) / step)):
        world.run(step)
        world.assert_nobody_is_offered_twice()
    # a session timer is the last thing that ends a call whose every BYE was lost
    world.run(2000)
    world.assert_nothing_leaks()
    books = world.assert_books_are_right()
    answered = [placed for placed in world.carrier.placed if placed.answered_at]
    assert len(world.carrier.placed) == CALLS
    assert len(answered) > CALLS / 10
    assert len(books.connected) >= len(answered)
    if not weather.loss:
        # nothing was lost: everybody heard about everything
        assert all(placed.status or placed.gave_up for placed in world.carrier.placed)
        # a CANCEL may cross the 200: then the call was connected for as long as the BYE took
        crossed = len(books.connected) - len(answered)
        assert 0 <= crossed <= sum(placed.gave_up for placed in world.carrier.placed)
        billed = sum(call.talked_ns for call in books.ended.values()) / 1e9
        talked = sum(placed.ended_at - placed.answered_at for placed in answered)
        # the two ends of the wire see the same conversation, but for the delays of the network
        assert billed == pytest.approx(talked, abs=2 * (weather.delay[1] + 0.6) * len(books.connected))


def test_same_seed_same_world() -> None:
    first, second = (World(7, Weather(loss=0.1)) for _ in range(2))
    for world in (first, second):
        populate(world, 40, gap=2.0)
        world.run(300)
    assert first.datagrams == second.datagrams
    assert first.journal == second.journal


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_any_moment_bills_to_the_last_proof(seed: int) -> None:
    world = World(seed, Weather(loss=0.02))
    world.tick_every_second()
    populate(world, 60, gap=2.0)
    world.run(world.random.uniform(20.0, 110.0))
    world.alive = False
    engine = create_engine("sqlite://")
    create_tables(engine)
    entries = [item for item in world.journal if isinstance(item, JournalEntry)]
    with engine.begin() as connection:
        write_batch(connection, world.journal)
        recovered = recover(connection)
        assert recover(connection) == []
        calls = {call.call_id: call for call in read_calls(connection)}
    connected = {entry.call_id: entry for entry in entries if entry.kind == "connected"}
    finished = {item.call_id for item in world.journal if isinstance(item, CallEnded)}
    assert {call.call_id for call in recovered} == connected.keys() - finished
    last_proof = max((instants_of(item)[0] for item in world.journal), default=0)
    for call_id, entry in connected.items():
        call = calls[call_id]
        assert call.recovered == (call_id not in finished)
        # never beyond what is proven, and a heartbeat a second proves all but the last
        assert call.talked_ns <= last_proof - entry.at_ns
        if call.recovered:
            assert call.talked_ns > last_proof - entry.at_ns - 1_100_000_000 or call.end_reason != "recovered"
