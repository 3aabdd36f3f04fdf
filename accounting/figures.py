"""Figures of the floor from the records of calls: how many came, waited, were taken, and how long they talked. Pure.

What counts as what is said at :class:`Figures`. Calls are read as they are consumed; what is kept grows with the
number of rows of the result, not with the number of calls.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from accounting.journal import Segment

_SECOND = 1_000_000_000
#: Zones are apart by whole quarters of an hour.
_QUARTER = 900 * _SECOND

By = Literal["hour", "hour-of-day", "day", "agent", "group", "contract"]


@dataclass(frozen=True, slots=True)
class CountedCall:
    """What the figures need of a call; wall clock nanoseconds, 0 = never. ``result`` is that of the record."""

    contract: str
    result: str
    recovered: bool
    started_ns: int
    answered_ns: int
    ended_ns: int
    segments: tuple[Segment, ...]


class Spread:
    """Durations: their number, mean and longest exactly, percentiles to a tenth of a second, from a minute on to a
    second. Nothing is kept of a single one, so a year of calls fits."""

    __slots__ = ("_buckets", "count", "longest_ns", "total_ns")

    def __init__(self) -> None:
        self.count = 0
        self.total_ns = 0
        self.longest_ns = 0
        self._buckets: Counter[int] = Counter()

    def add(self, duration_ns: int) -> None:
        """One more; negative ones count as none (a clock that was set back between two records)."""
        duration_ns = max(0, duration_ns)
        self.count += 1
        self.total_ns += duration_ns
        self.longest_ns = max(self.longest_ns, duration_ns)
        tenths = duration_ns // (_SECOND // 10)
        self._buckets[tenths if tenths < 600 else tenths - tenths % 10] += 1

    @property
    def mean_ns(self) -> int | None:
        """None if there is none."""
        return self.total_ns // self.count if self.count else None

    def percentile_ns(self, percent: int) -> int | None:
        """The duration that so many percent do not exceed (nearest rank), rounded down as said; None if none."""
        rank = -(-self.count * percent // 100)
        for tenths in sorted(self._buckets):
            rank -= self._buckets[tenths]
            if rank <= 0:
                return tenths * (_SECOND // 10)
        return None


@dataclass(slots=True)
class Figures:
    """One row.

    ``offered`` calls came in; each of them was ``accepted`` (reached an agent), ``abandoned`` (the caller gave up
    before) or ``refused`` (nobody could take it, or it failed). Waiting is from the call's beginning until an agent
    answered, ringing included. ``in_time`` were accepted within the limit, ``gave_up_at_once`` abandoned within it.
    By agent, ``accepted`` are the calls that the agent answered, ``taken_over`` those that came by transfer.
    ``talk_ns`` is connected time with an agent, ``hold_ns`` that on hold or in consultation, ``external_ns`` that
    after a transfer out of the house. ``recovered`` calls end at their last proof before a crash.
    """

    offered: int = 0
    accepted: int = 0
    taken_over: int = 0
    abandoned: int = 0
    refused: int = 0
    recovered: int = 0
    in_time: int = 0
    gave_up_at_once: int = 0
    talk_ns: int = 0
    hold_ns: int = 0
    external_ns: int = 0
    waited: Spread = field(default_factory=Spread)
    abandoned_after: Spread = field(default_factory=Spread)

    @property
    def service_level(self) -> float | None:
        """Percent accepted in time, of all that were offered but those who gave up before they could be."""
        counted = self.offered - self.gave_up_at_once
        return 100 * self.in_time / counted if counted else None

    @property
    def mean_talk_ns(self) -> int | None:
        """Talk a call that was accepted or taken over; None if there was none."""
        calls = self.accepted + self.taken_over
        return self.talk_ns // calls if calls else None

    def take(self, call: CountedCall, limit_ns: int) -> None:
        """A call without its connected time."""
        self.offered += 1
        self.recovered += call.recovered
        if call.result == "answered":
            waited_ns = call.answered_ns - call.started_ns
            self.accepted += 1
            self.in_time += waited_ns <= limit_ns
            self.waited.add(waited_ns)
        elif call.result == "abandoned":
            waited_ns = call.ended_ns - call.started_ns
            self.abandoned += 1
            self.gave_up_at_once += waited_ns <= limit_ns
            self.abandoned_after.add(waited_ns)
        else:
            self.refused += 1

    def connect(self, segments: Iterable[Segment]) -> None:
        """Connected time."""
        for segment in segments:
            duration_ns = segment.end_ns - segment.start_ns
            if segment.activity == "talk":
                self.talk_ns += duration_ns
            elif segment.activity == "external":
                self.external_ns += duration_ns
            else:
                self.hold_ns += duration_ns


def figures(
    calls: Iterable[CountedCall],
    by: By,
    *,
    limit_ns: int,
    zone: ZoneInfo,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> tuple[dict[str, Figures], Figures]:
    """The rows by key, in order, and the sum of all calls.

    ``limit_ns`` is how long nobody should wait; hours and days are those of ``zone`` in which the call came.
    ``groups`` are the groups of each agent: a call counts in each group of the agent who answered, and a transfer
    counts in those that the first agent was not in, so the rows may add up to more than the sum. Calls that reached
    nobody stand under "" by agent and group: nobody knows whom they would have reached. Calls without a contract, to
    lines of our own and back, were never the agents' and are left out.
    """
    rows: dict[str, Figures] = {}
    total = Figures()
    key = None if by in ("agent", "group") else _key(by, zone)
    membership = groups or {}
    for call in calls:
        if not call.contract:
            continue
        total.take(call, limit_ns)
        total.connect(call.segments)
        if key is not None:
            name = key(call)
            row = rows.get(name)
            if row is None:
                row = rows[name] = Figures()
            row.take(call, limit_ns)
            row.connect(call.segments)
        else:
            _by_agent(rows, call, limit_ns, None if by == "agent" else membership)
    return dict(sorted(rows.items())), total


def _by_agent(
    rows: dict[str, Figures], call: CountedCall, limit_ns: int, membership: Mapping[str, Sequence[str]] | None
) -> None:
    """The one who answered has the call, each who talked has the time; external time is the one's who transferred."""
    parts: dict[str, list[Segment]] = {}
    for segment in call.segments:
        names = (segment.agent,) if membership is None else membership.get(segment.agent) or ("",)
        for name in names:
            parts.setdefault(name, []).append(segment)
    first = call.segments[0].agent if call.segments else ""
    owners = (first,) if membership is None else membership.get(first) or ("",)
    for name in owners:
        rows.setdefault(name, Figures()).take(call, limit_ns)
    for name, segments in parts.items():
        row = rows.setdefault(name, Figures())
        row.taken_over += name not in owners
        row.connect(segments)


def _key(by: By, zone: ZoneInfo) -> Callable[[CountedCall], str]:
    if by == "contract":
        return lambda call: call.contract
    written = {"hour": "%Y-%m-%d %H:00%z", "hour-of-day": "%H:00", "day": "%Y-%m-%d"}[by]
    known: dict[int, str] = {}

    def named(call: CountedCall) -> str:
        quarter = call.started_ns // _QUARTER
        name = known.get(quarter)
        if name is None:
            name = known[quarter] = datetime.fromtimestamp(quarter * 900, zone).strftime(written)
        return name

    return named
