"""Killed 250 times at random instants under load: what is billed is what was proven, and the peers agree.

What happens before an instant does not depend on a kill at that instant, so one world is killed several times: each
time with what spool and database held then, and what the peers had seen.
"""

import random
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from accounting.content import instants_of
from accounting.delivery import deliver_spool
from accounting.journal import CallEnded, Item, JournalEntry
from accounting.records import CallRecord
from accounting.recovery import recover
from accounting.spool import Spool
from accounting.store import create_tables, read_calls, read_journal, write_batch
from accounting.tables import metadata
from tests.simulation.test_simulation import populate
from tests.simulation.world import Weather, World

WORLDS = 50
KILLS_PER_WORLD = 5
#: Seconds between two heartbeats, and until a record is on disk.
HEARTBEAT = 1.0
COMMIT = 0.05
WEATHERS = (Weather(), Weather(loss=0.05, duplicate=0.02), Weather(), Weather(loss=0.15, delay=(0.001, 0.4)))


@dataclass
class Seen:
    """One call, as somebody saw it until the kill: seconds, and if it was over."""

    talked: float
    over: bool


def clear(engine: Engine) -> None:
    create_tables(engine)
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(text(f"DELETE FROM {table.name}"))
    create_tables(engine)


def restarted(engine: Engine, path: Path, durable: list[Item], chance: random.Random) -> dict[str, CallRecord]:
    """Start again with the files of the dead process: deliver, recover; returns the books by call.

    The database has what was delivered, the spool what was not, and maybe some groups that it had not forgotten.
    """
    clear(engine)
    delivered = chance.randint(0, len(durable))
    with engine.begin() as connection:
        write_batch(connection, durable[:delivered])
    spool = Spool(path, reserve=0)
    kept = max(0, delivered - chance.randint(0, 30))
    while kept < len(durable):
        size = chance.randint(1, 40)
        spool.append(durable[kept : kept + size])
        kept += size
    if chance.random() < 0.3 and spool.records:
        # killed once more, in the middle of the start
        with engine.begin() as connection:
            write_batch(connection, spool.read(0, chance.randint(1, spool.records))[0][1])
    spool.close()
    spool = Spool(path, reserve=0)
    deliver_spool(engine, spool)
    spool.close()
    with engine.begin() as connection:
        recovered = recover(connection)
        assert recover(connection) == [], "never twice"
        assert len({call.call_id for call in recovered}) == len(recovered)
    with engine.connect() as connection:
        written = [item for item in read_journal(connection) if not (isinstance(item, CallEnded) and item.recovered)]
        assert [item.sequence for item in written] == [item.sequence for item in durable], "nothing lost or doubled"
        return {call.call_id: call for call in read_calls(connection)}


def truth(journal: list[Item], killed_at: float) -> dict[str, Seen]:
    """What really happened to each connected call until the kill, whether it was durable or not."""
    seen: dict[str, Seen] = {}
    begun: dict[str, int] = {}
    for item in journal:
        if isinstance(item, JournalEntry):
            if item.kind == "connected":
                begun[item.call_id] = item.at_ns
                seen[item.call_id] = Seen(killed_at - item.at_ns / 1e9, over=False)
            elif item.kind == "hung_up":
                seen[item.call_id] = Seen((item.at_ns - begun[item.call_id]) / 1e9, over=True)
    return seen


@pytest.mark.parametrize("seed", range(WORLDS))
def test_killed_at_random_instants(seed: int, tmp_path: Path) -> None:
    engine = create_engine("sqlite://")
    chance = random.Random(seed)
    weather = WEATHERS[seed % len(WEATHERS)]
    world = World(seed, weather)
    world.tick_every_second()
    populate(world, 40, gap=0.5)
    begin = world.now
    compared = 0
    for kill, after in enumerate(sorted(chance.uniform(5.0, 45.0) for _ in range(KILLS_PER_WORLD))):
        world.run(begin + after - world.now)
        last_commit = world.now - chance.uniform(0.0, COMMIT)
        durable = world.journal[: bisect_right(world.taken_at, last_commit)]
        books = restarted(engine, tmp_path / f"spool-{kill}.db", durable, chance)

        proven = max((instants_of(item)[0] for item in durable), default=0)
        true = truth(world.journal, world.now)
        connected = {
            item.call_id: item for item in durable if isinstance(item, JournalEntry) and item.kind == "connected"
        }
        finished = {item.call_id for item in durable if isinstance(item, CallEnded)}
        answered = {call_id for call_id, call in books.items() if call.result == "answered"}
        assert answered == connected.keys(), "each durably connected call, and no other"
        for call_id, opening in connected.items():
            call, real = books[call_id], true[call_id]
            talked = call.talked_ns / 1e9
            assert call.recovered == (call_id not in finished)
            assert call.talked_ns <= proven - opening.at_ns, "never beyond what is proven"
            assert talked <= real.talked + 1e-6, "never beyond what was talked"
            assert talked >= real.talked - HEARTBEAT - COMMIT - 1e-6
            if call_id in finished:
                assert talked == pytest.approx(real.talked, abs=1e-6)
        if not weather.loss:
            # the peer's clock: it hears of answer and end later or earlier by a datagram's way
            way = 2 * weather.delay[1]
            by_caller = {call.caller: call.talked_ns / 1e9 for call in books.values()}
            for placed in world.carrier.placed:
                if placed.answered_at and placed.caller in by_caller:
                    talked = (placed.ended_at or world.now) - placed.answered_at
                    billed = by_caller[placed.caller]
                    assert talked + way >= billed >= talked - HEARTBEAT - COMMIT - way
                    compared += 1
    assert weather.loss or compared
    engine.dispose()
