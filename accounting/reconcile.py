"""The carrier's calls beside ours: which are the same, which are missing, and where the durations differ. Pure.

Two calls can be the same if they came in on the same number, began within a window of each other (after the offset
between the two clocks) and do not name different callers. Among all ways to pair them up, the one is taken that
leaves fewest calls alone, and among those the one with the least sum of distances: of beginning and of duration,
both in nanoseconds. See :mod:`accounting.matching`; it is exact as long as fewer than ``BLOCK`` calls of a number
follow each other within the window. Longer rows are cut where a block is half over, with the other half known.

Everything is read as it is consumed: both sides come sorted by number and beginning.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from heapq import merge
from itertools import groupby
from typing import Literal

from accounting.carrier import CarrierCall, same_caller
from accounting.journal import Segment
from accounting.matching import assign

_SECOND = 1_000_000_000
#: So many calls of one number are looked at together at most.
BLOCK = 1000
#: Clocks and forgotten time zones: further apart nobody is believed to be.
WIDEST_OFFSET_NS = 14 * 3600 * _SECOND

#: Carriers write down when the call came or when it was connected; durations count from the connection.
Instant = Literal["connected", "started"]
Kind = Literal["missing_here", "missing_there", "duration"]


@dataclass(frozen=True, slots=True)
class OurCall:
    """What we know of a call, wall clock nanoseconds.

    ``connected_ns`` and ``duration_ns`` are those of the carrier's leg: from when we took the call, be it only to let
    the caller wait, until it was over; 0 if we never took it. ``segments`` are what the customer pays for.
    """

    call_id: str
    contract: str
    tariff: str
    called: str
    caller: str
    started_ns: int
    connected_ns: int
    answered_ns: int
    duration_ns: int
    segments: tuple[Segment, ...]
    billable: bool

    def at(self, instant: Instant) -> int:
        """When it began, as the carrier counts."""
        return self.connected_ns if instant == "connected" and self.connected_ns else self.started_ns


@dataclass(frozen=True, slots=True)
class Offset:
    """The carrier's clock less ours, and what its beginnings are; ``votes`` pairs of calls say so."""

    ns: int = 0
    instant: Instant = "connected"
    votes: int = 0


@dataclass(frozen=True, slots=True)
class Match:
    """The same call on both sides, or a call that only one side has."""

    theirs: CarrierCall | None
    ours: OurCall | None


#: Price of our call if it had been so many nanoseconds longer than recorded; None if there is no tariff for it.
Price = Callable[[OurCall, int], Decimal | None]
#: Price of a call that we do not have, by the number's contract; None if nobody knows.
Missed = Callable[[CarrierCall], Decimal | None]


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that does not agree.

    ``our_price`` is what the customer pays for our record, ``right_price`` what it would be if the carrier were
    right; both None where there is nothing to rate.
    """

    kind: Kind
    theirs: CarrierCall | None
    ours: OurCall | None
    our_price: Decimal | None = None
    right_price: Decimal | None = None

    @property
    def seconds(self) -> Decimal:
        """The carrier's duration less ours."""
        theirs = self.theirs.duration_ns if self.theirs else 0
        return Decimal(f"{theirs - (self.ours.duration_ns if self.ours else 0)}E-9")

    @property
    def money(self) -> Decimal:
        """What we would have earned more had the carrier's record been ours; negative: less."""
        return (self.right_price or Decimal(0)) - (self.our_price or Decimal(0))


@dataclass(slots=True)
class Sums:
    """What was compared; durations in nanoseconds. ``outside`` are rows of another month."""

    agreed: int = 0
    differences: Counter[Kind] = field(default_factory=Counter)
    unanswered: int = 0
    unanswered_only_there: int = 0
    outside: int = 0
    their_calls: int = 0
    our_calls: int = 0
    their_ns: int = 0
    our_ns: int = 0
    their_price: Decimal = Decimal(0)
    our_price: Decimal = Decimal(0)
    money: Decimal = Decimal(0)

    @property
    def agrees(self) -> bool:
        """Whether there is not one difference."""
        return not self.differences.total()


# -- pairing -----------------------------------------------------------------------------------------------


def pair(
    theirs: Iterable[CarrierCall], ours: Iterable[OurCall], window_ns: int, offset: Offset = Offset()
) -> Iterator[Match]:
    """Each call of both sides once. Both come sorted by ``called``, then by when they began (see ``Offset``)."""
    instant = offset.instant
    dated: Iterator[tuple[str, int, CarrierCall | OurCall]] = merge(
        ((call.called, call.started_ns - offset.ns, call) for call in theirs),
        ((call.called, call.at(instant), call) for call in ours),
        key=lambda item: item[:2],
    )
    for _, calls in groupby(dated, key=lambda item: item[0]):
        block: list[_Dated] = []
        most = BLOCK
        for _, at_ns, call in calls:
            if block and at_ns - block[-1][0] > window_ns:
                yield from _solved(block, window_ns)
                block, most = [], BLOCK
            elif len(block) >= most:
                settled, block = _cut(block, window_ns)
                yield from settled
                most = max(BLOCK, 2 * len(block))
            block.append((at_ns, call))
        yield from _solved(block, window_ns)


_Dated = tuple[int, CarrierCall | OurCall]


def _solved(block: Sequence[_Dated], window_ns: int) -> list[Match]:
    return [
        Match(theirs[1] if theirs else None, ours[1] if ours else None) for theirs, ours in _pairs(block, window_ns)
    ]


def _cut(block: list[_Dated], window_ns: int) -> tuple[list[Match], list[_Dated]]:
    """The first half of a block, settled in sight of the other, and what stays to be looked at again."""
    until = block[len(block) // 2][0]
    seen = block[-1][0] - window_ns
    settled: list[Match] = []
    kept: list[_Dated] = []
    for theirs, ours in _pairs(block, window_ns):
        dated: list[_Dated] = [item for item in (theirs, ours) if item is not None]
        # a call that is alone may find its other half among those that follow
        if all(at_ns <= until and (len(dated) == 2 or at_ns < seen) for at_ns, _ in dated):
            settled.append(Match(theirs[1] if theirs else None, ours[1] if ours else None))
        else:
            kept += dated
    kept.sort(key=lambda item: item[0])
    return settled, kept


_DatedPair = tuple[tuple[int, CarrierCall] | None, tuple[int, OurCall] | None]


def _pairs(block: Sequence[_Dated], window_ns: int) -> list[_DatedPair]:
    theirs = [(at_ns, call) for at_ns, call in block if isinstance(call, CarrierCall)]
    ours = [(at_ns, call) for at_ns, call in block if isinstance(call, OurCall)]
    edges: list[list[tuple[int, int]]] = []
    first = 0
    for at_ns, call in theirs:
        while first < len(ours) and ours[first][0] < at_ns - window_ns:
            first += 1
        edges.append(row := [])
        for index in range(first, len(ours)):
            our_at_ns, our = ours[index]
            if our_at_ns > at_ns + window_ns:
                break
            if same_caller(call.caller, our.caller):
                row.append((index, abs(at_ns - our_at_ns) + abs(call.duration_ns - our.duration_ns)))
    chosen = assign(edges, len(ours))
    taken = set(chosen)
    found: list[_DatedPair] = [
        (dated, ours[index] if index >= 0 else None) for dated, index in zip(theirs, chosen, strict=True)
    ]
    found += [(None, dated) for index, dated in enumerate(ours) if index not in taken]
    return found


# -- clocks ------------------------------------------------------------------------------------------------

#: A vote needs calls this long: short ones are all alike.
_TELLING_NS = 5 * _SECOND
#: More calls than these of one duration and number tell nothing.
_ALIKE = 200


def estimate_offset(theirs: Iterable[CarrierCall], ours: Iterable[OurCall]) -> Offset:
    """How far the carrier's clock is from ours, told from a sample of both sides' calls, in any order.

    Calls of one number whose durations agree to a second and a half vote for the difference of their beginnings:
    the true pairs vote for the same, the others for anything. The median of the winners counts; where beginnings
    are those of the call and not of the connection, more agree on the one than on the other. Without at least
    three votes, and a third more than the next best, nothing is assumed.
    """
    by_duration: dict[tuple[str, int], list[OurCall]] = defaultdict(list)
    for our in ours:
        if our.duration_ns >= _TELLING_NS:
            by_duration[our.called, our.duration_ns // _SECOND].append(our)
    votes: dict[Instant, list[int]] = {"connected": [], "started": []}
    for call in theirs:
        second = call.duration_ns // _SECOND
        alike = [our for near in (second - 1, second, second + 1) for our in by_duration.get((call.called, near), ())]
        if call.duration_ns < _TELLING_NS or len(alike) > _ALIKE:
            continue
        for our in alike:
            if not same_caller(call.caller, our.caller):
                continue
            for instant, collected in votes.items():
                difference = call.started_ns - our.at(instant)
                if abs(difference) <= WIDEST_OFFSET_NS and abs(call.duration_ns - our.duration_ns) <= 3 * _SECOND // 2:
                    collected.append(difference)
    # at equal votes the connection: what durations count from
    best = max((_won(votes[instant], instant) for instant in ("started", "connected")), key=_weight)
    return best if best.votes >= 3 else Offset()


def _weight(offset: Offset) -> tuple[int, bool]:
    return offset.votes, offset.instant == "connected"


def _won(votes: list[int], instant: Instant) -> Offset:
    """The two seconds that most vote for, and the median within."""
    buckets = Counter(vote // _SECOND for vote in votes)
    if not buckets:
        return Offset()
    top = max(buckets, key=lambda bucket: (buckets[bucket] + buckets[bucket + 1], -abs(bucket)))
    winners = sorted(vote for vote in votes if vote // _SECOND in (top, top + 1))
    elsewhere = max((count for bucket, count in buckets.items() if abs(bucket - top) > 5), default=0)
    if 3 * len(winners) < 4 * elsewhere:
        return Offset()
    return Offset(winners[len(winners) // 2], instant, len(winners))


def lengthened(segments: Sequence[Segment], by_ns: int) -> tuple[Segment, ...]:
    """The same call with another end, earlier or later; at the earliest where it began."""
    end_ns = max(segments[0].start_ns, segments[-1].end_ns + by_ns)
    kept = [part for part in segments if part.start_ns <= end_ns]
    return (*kept[:-1], replace(kept[-1], end_ns=end_ns))


# -- judging -----------------------------------------------------------------------------------------------


def differences(
    matches: Iterable[Match],
    sums: Sums,
    *,
    month_ns: tuple[int, int],
    offset: Offset,
    tolerance_ns: int,
    price: Price,
    missed: Missed = lambda call: None,
) -> Iterator[Difference]:
    """What does not agree, as it is consumed; ``sums`` grows along.

    A call belongs to the month that it began in by the carrier's clock.
    A call that nobody answered costs nothing and is missed by nobody.
    """
    since, until = month_ns
    for match in matches:
        theirs, ours = match.theirs, match.ours
        if theirs is None and ours is not None:
            if not since <= ours.at(offset.instant) + offset.ns < until:
                continue
            if not ours.duration_ns:
                sums.unanswered += 1
                continue
        elif theirs is not None:
            if not since <= theirs.started_ns < until:
                sums.outside += 1
                continue
            if ours is None and not theirs.duration_ns:
                sums.unanswered_only_there += 1
                continue
        found = _judged(match, tolerance_ns, price, missed, sums)
        if found is not None:
            sums.differences[found.kind] += 1
            sums.money += found.money
            yield found


def _judged(match: Match, tolerance_ns: int, price: Price, missed: Missed, sums: Sums) -> Difference | None:
    theirs, ours = match.theirs, match.ours
    our_price = None
    if theirs is not None:
        sums.their_calls += 1
        sums.their_ns += theirs.duration_ns
        sums.their_price += theirs.price or 0
    if ours is not None:
        sums.our_calls += 1
        sums.our_ns += ours.duration_ns
        if ours.answered_ns and ours.billable:
            our_price = price(ours, 0)
            sums.our_price += our_price or 0
    if ours is None:
        return Difference("missing_here", theirs, None, None, missed(theirs) if theirs is not None else None)
    if theirs is None:
        return Difference("missing_there", None, ours, our_price, Decimal(0) if our_price is not None else None)
    more = theirs.duration_ns - ours.duration_ns
    if abs(more) <= tolerance_ns:
        sums.agreed += 1
        return None
    right = None if our_price is None else price(ours, more)
    return Difference("duration", theirs, ours, our_price, right)
