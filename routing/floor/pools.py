"""Pools: the agents that a step may offer a call to, and the callers who wait for one of them."""

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Mapping, Set

from routing.contract import Agent, Group
from routing.floor.agents import AgentRecord, Membership
from routing.floor.callers import CallerRecord
from routing.floor.rankings import Ranking, ranking
from routing.floor.rules import NumberSource
from routing.plan import FIRST_TIER, Step, StepKind, Strategy

#: Agents of a plan that no directory told of: by value when few, for contracts that all name the same one.
_FEW = 8
#: Pools of such plans that are kept for the next caller.
_MOST_FIXED = 1024
#: Score, number and stamp of a waiting caller; the stamp tells entries that are dead.
_Waiting = tuple[float, int, int, CallerRecord]
_Line = tuple[float, int, CallerRecord]
#: agent -> (position, tier or level)
Places = dict[AgentRecord, tuple[int, int]]


class Pool:
    """The agents of one group or skill, or those that a plan names."""

    __slots__ = ("_line_keys", "_rankings", "_source", "_waiting", "grace_timer", "line", "members", "present",
                 "serving", "tiers", "users")  # fmt: skip

    def __init__(self, tiers: bool, source: NumberSource) -> None:
        #: buckets are tiers, which have no level; else levels
        self.tiers = tiers
        self.members: dict[str, Membership] = {}
        #: agents at work by bucket, and how many of them take calls
        self.present: dict[int, int] = {}
        self.serving = 0
        #: callers in a step that lets them wait for this pool's agents, in order, who rings already included
        self.line: list[_Line] = []
        #: callers in a step with this pool, whether it lets them wait or not
        self.users = 0
        self.grace_timer = 0
        self._rankings: dict[Strategy, Ranking] = {}
        #: callers for whom nobody rings, by the level that they need
        self._waiting: dict[int, list[_Waiting]] = {}
        self._source = source

    # -- agents ------------------------------------------------------------------------------------------

    def add(self, agent: AgentRecord, position: int, bucket: int) -> None:
        """A new member; one that is free already has to be freed anew, or no ranking would know."""
        member = self.members[agent.id] = Membership(agent, self, position, bucket)
        agent.memberships.append(member)
        self.count(member, agent.present, agent.serving)

    def remove(self, agent_id: str) -> None:
        """A member no longer; the agent has to be freed anew, or its entries would stand."""
        member = self.members.pop(agent_id)
        agent = member.agent
        agent.memberships.remove(member)
        self.count(member, -agent.present, -agent.serving)

    def count(self, member: Membership, present: int, serving: int) -> None:
        """A member came to work or left (1, -1 or 0), and the same for taking calls."""
        if present:
            self.present[member.bucket] = self.present.get(member.bucket, 0) + present
        self.serving += serving

    def rank(self, member: Membership) -> None:
        """The member is free."""
        for order in self._rankings.values():
            order.add(member)

    def take(self, strategy: Strategy, level: int, excluded: Set[str]) -> list[AgentRecord]:
        """Those who shall ring now; empty if nobody is free."""
        order = self._rankings.get(strategy)
        if order is None:
            order = self._rankings[strategy] = ranking(strategy, self.tiers, self._source)
            for member in self.members.values():
                if member.agent.ranked:
                    order.add(member)
        if strategy == "ring_all":
            return order.take_all(level, excluded)
        agent = order.take(level, excluded)
        return [] if agent is None else [agent]

    def attended(self, caller: CallerRecord) -> bool:
        """Somebody is at work who could take the call, be it after a break."""
        level = 0 if self.tiers else caller.level
        present = sum(count for bucket, count in self.present.items() if bucket >= level)
        refused = caller.refused_by
        if not refused or present > len(refused):
            return present > 0
        return any(
            member.agent.present and member.bucket >= level and member.agent.id not in refused
            for member in self.members.values()
        )

    # -- callers -----------------------------------------------------------------------------------------

    def stand(self, caller: CallerRecord) -> None:
        """The caller waits for whoever comes free."""
        level = 0 if self.tiers else caller.level
        waiting = self._waiting.setdefault(level, [])
        heapq.heappush(waiting, (caller.score, caller.number, caller.stamp, caller))
        if len(waiting) > 2 * len(self.line) + 16:
            waiting[:] = [entry for entry in waiting if entry[3].stamp == entry[2]]
            heapq.heapify(waiting)

    def first_for(self, member: Membership) -> tuple[float, int, CallerRecord] | None:
        """The caller whom this agent would take, with what settles the order among pools."""
        waiting = self._waiting
        if not waiting:
            return None
        best: _Waiting | None = None
        # tiers ask for no level: 0
        for level in list(waiting):
            if level <= member.bucket or self.tiers:
                top = self._first(level, member.agent.id)
                if top is not None and (best is None or top[:2] < best[:2]):
                    best = top
        return None if best is None else (best[0], best[1], best[3])

    def _first(self, level: int, agent_id: str) -> _Waiting | None:
        heap = self._waiting[level]
        aside: list[_Waiting] = []
        found = None
        while heap:
            entry = heap[0]
            if entry[3].stamp != entry[2]:
                heapq.heappop(heap)
            elif agent_id in entry[3].refused_by:
                aside.append(heapq.heappop(heap))
            else:
                found = entry
                break
        for entry in aside:
            heapq.heappush(heap, entry)
        if not heap:
            del self._waiting[level]
        return found

    def join_line(self, caller: CallerRecord) -> None:
        """The caller's place, as long as the step lasts."""
        insort(self.line, (caller.score, caller.number, caller))

    def leave_line(self, caller: CallerRecord) -> None:
        """Gone; who was never in the line changes nothing."""
        place = bisect_left(self.line, (caller.score, caller.number), key=_place)
        if place < len(self.line) and self.line[place][2] is caller:
            del self.line[place]

    def position(self, caller: CallerRecord) -> int:
        """From 1, of all who are in the line."""
        return bisect_right(self.line, (caller.score, caller.number), key=_place)


def _place(entry: _Line) -> tuple[float, int]:
    return entry[0], entry[1]


class Pools:
    """All pools: those of the directory's groups and skills, and those that plans bring with them."""

    def __init__(self, source: NumberSource) -> None:
        self._source = source
        self._named: dict[tuple[StepKind, str], Pool] = {}
        #: by the agents themselves, or by the identity of their tuple, which is kept for that
        self._fixed: dict[object, tuple[Pool, tuple[str, ...]]] = {}

    def named(self, step: Step) -> Pool | None:
        """The pool that the directory knows by the step's target."""
        return self._named.get((step.kind, step.target))

    def fixed(self, agents: tuple[str, ...]) -> Pool | None:
        """The pool of just these agents, if there is one already."""
        found = self._fixed.get(_fixed_key(agents))
        return None if found is None else found[0]

    def make_fixed(self, agents: tuple[str, ...], records: Iterable[AgentRecord]) -> Pool:
        """A pool of just these agents, for plans that name them; forgotten when there are too many."""
        if len(self._fixed) >= _MOST_FIXED:
            self._forget_unused()
        pool = Pool(tiers=True, source=self._source)
        for position, agent in enumerate(records):
            if agent.id not in pool.members:
                pool.add(agent, position, FIRST_TIER)
        self._fixed[_fixed_key(agents)] = (pool, agents)
        return pool

    def _forget_unused(self) -> None:
        for key, (pool, _) in list(self._fixed.items()):
            if not pool.users:
                for agent_id in list(pool.members):
                    pool.remove(agent_id)
                del self._fixed[key]

    def use(self, wanted: Mapping[tuple[StepKind, str], Places]) -> tuple[list[AgentRecord], list[Pool]]:
        """Take the directory's groups and skills.

        Returns the agents that must be freed anew, and the pools in which members are gone.
        """
        changed: dict[str, AgentRecord] = {}
        shrunk: list[Pool] = []
        for key in {**self._named, **wanted}:
            pool = self._named.get(key)
            if pool is None:
                pool = self._named[key] = Pool(tiers=key[0] != "skill", source=self._source)
            places = wanted.get(key, {})
            before = {member.agent: (member.position, member.bucket) for member in pool.members.values()}
            gone = [agent for agent, place in before.items() if places.get(agent) != place]
            for agent in gone:
                pool.remove(agent.id)
            new = [agent for agent, place in places.items() if before.get(agent) != place]
            for agent in new:
                pool.add(agent, *places[agent])
            changed.update((agent.id, agent) for agent in (*gone, *new))
            if gone:
                shrunk.append(pool)
            if key not in wanted:
                # who waits there is sent on by whoever asked for this
                del self._named[key]
        return list(changed.values()), shrunk


def _fixed_key(agents: tuple[str, ...]) -> object:
    return agents if len(agents) <= _FEW else id(agents)


def places_of(
    records: Mapping[str, AgentRecord], agents: Mapping[str, Agent], groups: Mapping[str, Group]
) -> dict[tuple[StepKind, str], Places]:
    """Who is where in which group and skill, by the directory; ``records`` has every agent of it."""
    wanted: dict[tuple[StepKind, str], Places] = {}
    for group in groups.values():
        places: Places = {}
        for position, agent_id in enumerate(group.members):
            record = records.get(agent_id)
            if record is not None:
                places.setdefault(record, (position, group.tiers.get(agent_id, FIRST_TIER)))
        wanted["group", group.id] = places
    for position, agent in enumerate(agents.values()):
        for skill, level in agent.skills.items():
            wanted.setdefault(("skill", skill), {})[records[agent.id]] = (position, level)
    return wanted
