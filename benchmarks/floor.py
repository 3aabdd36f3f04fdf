"""What a decision of the floor costs, and how that grows with agents and waiting callers.

No sockets and no processes: the floor by itself, as the exchange calls it. Every agent has two of ten groups and
three of ten skills, every caller a group or a skill; strategies are mixed. A decision is one input, until its
events have been taken. CPU time of the process.
"""

import gc
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from routing.contract import Agent, Contract, Group, Waiting
from routing.floor import CallerQueued, Floor, OfferMade
from routing.plan import Step, Strategy

GROUPS = 10
SKILLS = 10
_STRATEGIES: tuple[Strategy, ...] = ("longest_idle", "round_robin", "fewest_calls", "least_talk_time", "random")


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    agents: tuple[int, ...] = (50, 100, 200, 500, 1000, 2000, 5000)
    waiting: tuple[int, ...] = (10, 100, 1000)
    decisions: int = 5000


QUICK = Plan(agents=(50, 500, 5000), waiting=(10, 1000), decisions=1000)


@dataclass(frozen=True)
class Figures:
    """Microseconds a decision on a floor of this size."""

    agents: int
    waiting: int
    #: a caller comes, and a free agent of many is offered the call
    offered_us: float
    #: a caller comes while nobody is free
    queued_us: float
    #: an agent hangs up and is offered the caller who is next
    taken_us: float
    #: an agent declines, and another of the free is offered the call
    declined_us: float
    #: a whole call through the queue: entered, offered, answered, ended
    call_us: float


def run(plan: Plan, say: Callable[[str], None]) -> list[Figures]:
    """Measure every size."""
    found = []
    for agents in plan.agents:
        for waiting in plan.waiting:
            say(f"floor: {agents} agents, {waiting} waiting callers")
            found.append(_measure(agents, waiting, plan.decisions))
    return found


class _Bench:
    """A floor with its agents; calls get numbers."""

    def __init__(self, agents: int) -> None:
        dice = random.Random(agents)
        skills = [f"s{number}" for number in range(SKILLS)]
        staff = {
            f"a{number}": Agent(
                f"a{number}", "", skills={name: dice.randint(1, 5) for name in dice.sample(skills, 3)}
            )
            for number in range(agents)
        }  # fmt: skip
        members: list[list[str]] = [[] for _ in range(GROUPS)]
        for agent_id in staff:
            for group in dice.sample(range(GROUPS), 2):
                members[group].append(agent_id)
        groups = {
            f"g{number}": Group(f"g{number}", "", tuple(ids), {name: dice.randint(1, 3) for name in ids})
            for number, ids in enumerate(members)
        }
        self.floor = Floor()
        self.floor.use(staff, groups, 0.0)
        self.agents = list(staff)
        self.plans = [
            Contract(
                f"k{number}", "", waiting=Waiting(priority=number % 3),
                plan=(
                    Step("group", f"g{number % GROUPS}", _STRATEGIES[number % 5], 20, (), 1, 3600)
                    if number % 2
                    else Step("skill", f"s{number % SKILLS}", _STRATEGIES[number % 5], 20, (), 1 + number % 3, 3600),
                ),
            )
            for number in range(100)
        ]  # fmt: skip
        self.now = 1.0
        self.calls = 0

    def enter(self) -> str:
        """A caller of the next contract."""
        self.calls += 1
        call_id = f"c{self.calls}"
        self.floor.caller_entered(call_id, self.plans[self.calls % 100], self.now)
        return call_id

    def offer(self) -> OfferMade:
        """Take the events; the offer among them."""
        found = None
        events = self.floor.events
        while events:
            event = events.popleft()
            if isinstance(event, OfferMade):
                found = event
        assert found is not None
        return found


def _measure(agents: int, waiting: int, decisions: int) -> Figures:
    bench = _Bench(agents)
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        offered, declined = _free_agents(bench, decisions)
        queued, taken, call = _busy_agents(bench, waiting, decisions)
    finally:
        gc.enable()
        gc.unfreeze()
    return Figures(agents, waiting, offered, queued, taken, declined, call)


def _free_agents(bench: _Bench, decisions: int) -> tuple[float, float]:
    """Callers come one at a time to a floor on which everybody is free."""
    floor = bench.floor
    clock = time.process_time_ns
    offered = declined = 0
    for _ in range(decisions):
        bench.now += 1.0
        floor.handle_timers(bench.now)
        floor.events.clear()
        start = clock()
        call_id = bench.enter()
        offer = bench.offer()
        middle = clock()
        floor.offer_declined(call_id, offer.agent_id, "busy", bench.now)
        offer = bench.offer()
        declined += clock() - middle
        offered += middle - start
        floor.offer_answered(call_id, offer.agent_id, bench.now)
        floor.call_ended(call_id, bench.now)
        floor.events.clear()
    return offered / decisions / 1000, declined / decisions / 1000


def _busy_agents(bench: _Bench, waiting: int, decisions: int) -> tuple[float, float, float]:
    """Everybody talks, and as many wait; one call ends, the next caller is taken, another one comes."""
    floor = bench.floor
    clock = time.process_time_ns
    # pauses of those who declined are over
    bench.now += 60.0
    floor.handle_timers(bench.now)
    talks: list[str] = []
    for agent_id in bench.agents:
        bench.calls += 1
        floor.agent_engaged(agent_id, f"c{bench.calls}", bench.now)
        talks.append(f"c{bench.calls}")
    for _ in range(waiting):
        bench.enter()
    floor.events.clear()
    dice = random.Random(waiting)
    queued = taken = other = 0
    ended = 0
    while ended < decisions:
        bench.now += 0.01
        place = dice.randrange(len(talks))
        start = clock()
        floor.call_ended(talks[place], bench.now)
        ended += 1
        offers = [event for event in floor.events if isinstance(event, OfferMade)]
        floor.events.clear()
        first = clock()
        taken += first - start
        if not offers:
            # nobody of those who wait can be served by this agent: free now, and engaged again
            talks[place] = talks[-1]
            talks.pop()
            idle = [view.id for view in floor.agents() if not view.call_id]
            for agent_id in idle:
                bench.calls += 1
                floor.agent_engaged(agent_id, f"c{bench.calls}", bench.now)
                talks.append(f"c{bench.calls}")
            floor.events.clear()
            continue
        talks[place] = offers[0].call_id
        start = clock()
        floor.offer_answered(offers[0].call_id, offers[0].agent_id, bench.now)
        floor.events.clear()
        middle = clock()
        other += middle - start
        bench.enter()
        assert isinstance(floor.events.popleft(), CallerQueued)
        queued += clock() - middle
        floor.handle_timers(bench.now)
        floor.events.clear()
    count = decisions * 1000
    return queued / count, taken / count, (queued + taken + other) / count
