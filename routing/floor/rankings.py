"""Who of a pool's free agents goes first, by strategy.

A ranking holds free agents only. One that is free no longer is found out when its entry comes to the top, so
that coming and going costs the logarithm of the pool's size, whatever the number of agents.

The agents of a group stand in tiers, of which the first that has a free one goes; those of a skill by level, of
which all that will do are equal.
"""

import heapq
from bisect import bisect_left, insort
from collections.abc import Callable, Set
from typing import Protocol

from routing.floor.agents import AgentRecord, Membership
from routing.floor.rules import NumberSource
from routing.plan import Strategy

_Key = float
#: (key, position, serial number of the entry, free number of the agent, membership): the first three settle the order
_Entry = tuple[_Key, int, int, int, Membership]


class Ranking(Protocol):
    """The free agents of a pool in some order."""

    def add(self, member: Membership) -> None:
        """The agent came free."""

    def take(self, level: int, excluded: Set[str]) -> AgentRecord | None:
        """The first who has at least this level, or is in the first tier that has anybody; gone by that."""

    def take_all(self, level: int, excluded: Set[str]) -> list[AgentRecord]:
        """All who have at least this level, or are in the first tier that has anybody; gone by that."""


class OrderedRanking:
    """By a key that stays the same as long as an agent is free: a heap for each tier or level."""

    __slots__ = ("_buckets", "_key", "_numbers", "_serial", "_tiers")

    def __init__(self, key: Callable[[Membership], _Key], tiers: bool) -> None:
        self._key = key
        self._tiers = tiers
        self._buckets: dict[int, list[_Entry]] = {}
        self._numbers: list[int] = []
        self._serial = 0

    def add(self, member: Membership) -> None:
        bucket = self._buckets.get(member.bucket)
        if bucket is None:
            bucket = self._buckets[member.bucket] = []
            insort(self._numbers, member.bucket)
        self._serial += 1
        heapq.heappush(bucket, (self._key(member), member.position, self._serial, member.agent.free_number, member))
        if len(bucket) > 2 * len(member.pool.members) + 16:
            bucket[:] = [entry for entry in bucket if _stands(entry)]
            heapq.heapify(bucket)

    def take(self, level: int, excluded: Set[str]) -> AgentRecord | None:
        aside: list[tuple[list[_Entry], _Entry]] = []
        best: list[_Entry] | None = None
        for bucket in self._eligible(level):
            top = _top(bucket, excluded, aside)
            if top is not None and (best is None or top[:3] < best[0][:3]):
                best = bucket
                if self._tiers:
                    break
        agent = None if best is None else heapq.heappop(best)[4].agent
        for bucket, entry in aside:
            heapq.heappush(bucket, entry)
        return agent

    def take_all(self, level: int, excluded: Set[str]) -> list[AgentRecord]:
        found: list[_Entry] = []
        for bucket in self._eligible(level):
            standing = [entry for entry in bucket if _stands(entry)]
            taken = [entry for entry in standing if entry[4].agent.id not in excluded]
            if taken:
                bucket[:] = [entry for entry in standing if entry[4].agent.id in excluded]
                heapq.heapify(bucket)
                found += taken
                if self._tiers:
                    break
        return [entry[4].agent for entry in sorted(found, key=lambda entry: entry[:3])]

    def _eligible(self, level: int) -> list[list[_Entry]]:
        buckets = self._buckets
        numbers = self._numbers if self._tiers else self._numbers[bisect_left(self._numbers, level) :]
        return [buckets[number] for number in numbers]


class RandomRanking:
    """In no order: each of the free is as likely as the others."""

    __slots__ = ("_buckets", "_source", "_tiers")

    def __init__(self, source: NumberSource, tiers: bool) -> None:
        self._source = source
        self._tiers = tiers
        self._buckets: dict[int, list[tuple[int, Membership]]] = {}

    def add(self, member: Membership) -> None:
        bucket = self._buckets.setdefault(member.bucket, [])
        bucket.append((member.agent.free_number, member))
        if len(bucket) > 2 * len(member.pool.members) + 16:
            bucket[:] = [item for item in bucket if item[1].agent.free_number == item[0]]

    def take(self, level: int, excluded: Set[str]) -> AgentRecord | None:
        aside: list[tuple[list[tuple[int, Membership]], tuple[int, Membership]]] = []
        agent = None
        for buckets in self._eligible(level):
            agent = self._draw(buckets, excluded, aside)
            if agent is not None:
                break
        for bucket, item in aside:
            bucket.append(item)
        return agent

    def take_all(self, level: int, excluded: Set[str]) -> list[AgentRecord]:
        found = []
        while (agent := self.take(level, excluded)) is not None:
            found.append(agent)
        return found

    def _eligible(self, level: int) -> list[list[list[tuple[int, Membership]]]]:
        if self._tiers:
            return [[self._buckets[tier]] for tier in sorted(self._buckets)]
        return [[bucket for number, bucket in self._buckets.items() if number >= level]]

    def _draw(
        self,
        buckets: list[list[tuple[int, Membership]]],
        excluded: Set[str],
        aside: list[tuple[list[tuple[int, Membership]], tuple[int, Membership]]],
    ) -> AgentRecord | None:
        while total := sum(map(len, buckets)):
            # of 5,000 agents the likeliest is 2^-51 likelier than the others
            place = self._source.number(64) % total
            for bucket in buckets:
                if place < len(bucket):
                    item = bucket[place]
                    bucket[place] = bucket[-1]
                    bucket.pop()
                    break
                place -= len(bucket)
            agent = item[1].agent
            if agent.free_number != item[0]:
                continue
            if agent.id in excluded:
                aside.append((bucket, item))
                continue
            return agent
        return None


def _stands(entry: _Entry) -> bool:
    return entry[4].agent.free_number == entry[3]


def _top(bucket: list[_Entry], excluded: Set[str], aside: list[tuple[list[_Entry], _Entry]]) -> _Entry | None:
    while bucket:
        entry = bucket[0]
        if not _stands(entry):
            heapq.heappop(bucket)
        elif entry[4].agent.id in excluded:
            aside.append((bucket, heapq.heappop(bucket)))
        else:
            return entry
    return None


_KEYS: dict[Strategy, Callable[[Membership], _Key]] = {
    "longest_idle": lambda member: member.agent.idle_since,
    "round_robin": lambda member: member.agent.turn,
    "fewest_calls": lambda member: member.agent.calls,
    "least_talk_time": lambda member: member.agent.talk_seconds,
    "in_order": lambda member: 0,
}


def ranking(strategy: Strategy, tiers: bool, source: NumberSource) -> Ranking:
    """An empty ranking; ``tiers`` for a group's, else levels."""
    if strategy == "random":
        return RandomRanking(source, tiers)
    return OrderedRanking(_KEYS["in_order" if strategy == "ring_all" else strategy], tiers)
