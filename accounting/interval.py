"""Connected intervals: what the journal proves about the time callers talked to agents. Pure."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from accounting.journal import CallEnded, Declaration, Facts, Item, JournalEntry, Segment


@dataclass(frozen=True, slots=True)
class ConnectedInterval:
    """An agent connected to a caller, from ``connected_ns`` to ``hung_up_ns`` (monotonic clock of ``run``).

    Wall time is ``wall_anchor_ns`` plus monotonic time. ``segments`` are its parts by agent and activity.
    ``recovered``: no hang-up was recorded, and the interval ends at the last instant that the journal proves.
    """

    run: str
    call_id: str
    contract: str
    tariff: str
    agent: str
    billable: bool
    connected_ns: int
    hung_up_ns: int
    wall_anchor_ns: int
    side: str
    recovered: bool
    facts: Facts
    segments: tuple[Segment, ...] = ()

    @property
    def duration_ns(self) -> int:
        """Nanoseconds connected, unrounded."""
        return self.hung_up_ns - self.connected_ns


def connected_intervals(items: Iterable[Item], living: Collection[str] = ()) -> Iterator[ConnectedInterval]:
    """Yield the connected intervals of a journal, each as soon as it is known to be closed.

    ``items`` come in order of ``(run, sequence)``, runs in any order; a repeated entry is passed over. Runs
    in ``living`` still go on: their open calls are left out. In every other run the process is dead, and a call
    left open ends at the last record of that run, since each record proves that the calls open before it had
    not hung up; never beyond. A gap in the sequence means lost records, maybe the hang-up: nothing after it
    proves anything about a call opened before it, but for what is recorded of that call itself.

    Raises ``ValueError`` if the entries of a run are out of order.
    """
    run: _Run | None = None
    for item in items:
        if isinstance(item, Declaration):
            continue
        if run is None or item.run != run.name:
            if run is not None and run.name not in living:
                yield from run.died()
            run = _Run(item)
        closed = run.take(item)
        if closed is not None:
            yield closed
    if run is not None and run.name not in living:
        yield from run.died()


class _Talk:
    """A connected interval that goes on."""

    __slots__ = ("activity", "agent", "doubted_from", "opening", "segments", "since_ns")

    def __init__(self, opening: JournalEntry) -> None:
        self.opening = opening
        self.agent = opening.agent
        self.activity = opening.activity
        self.since_ns = opening.at_ns
        self.segments: list[Segment] = []
        #: up to when it is proven, once records were lost
        self.doubted_from: int | None = None

    def turn(self, at_ns: int) -> None:
        at_ns = max(self.since_ns, at_ns)
        self.segments.append(Segment(self.agent, self.activity, self.since_ns, at_ns))
        self.since_ns = at_ns

    def closed(self, end_ns: int, side: str, *, recovered: bool) -> ConnectedInterval:
        self.turn(end_ns)
        opening = self.opening
        return ConnectedInterval(
            run=opening.run,
            call_id=opening.call_id,
            contract=opening.contract,
            tariff=opening.tariff,
            agent=opening.agent,
            billable=opening.billable,
            connected_ns=opening.at_ns,
            hung_up_ns=self.since_ns,
            wall_anchor_ns=opening.wall_ns - opening.at_ns,
            side=side,
            recovered=recovered,
            facts=opening.facts,
            segments=tuple(self.segments),
        )


class _Run:
    """One life of the process: the calls it has open and up to when they are proven."""

    def __init__(self, first: JournalEntry | CallEnded) -> None:
        self.name = first.run
        self.sequence = first.sequence - 1
        self.proven_ns = _instant(first)
        self.open: dict[str, _Talk] = {}

    def take(self, item: JournalEntry | CallEnded) -> ConnectedInterval | None:
        if item.sequence == self.sequence:
            return None
        if item.sequence < self.sequence:
            raise ValueError(f"journal of run {self.name} out of order at {item.sequence}")
        if item.sequence > self.sequence + 1:
            for other in self.open.values():
                if other.doubted_from is None:
                    other.doubted_from = self.proven_ns
        self.sequence = item.sequence
        self.proven_ns = max(self.proven_ns, _instant(item))
        talk = self.open.get(item.call_id)
        if isinstance(item, CallEnded):
            if talk is None:
                return None
            # Its hang-up was lost, or the process that found it open after a crash closed it here.
            del self.open[item.call_id]
            end = item.segments[-1].end_ns if item.segments else talk.since_ns
            return talk.closed(end, item.end_reason, recovered=item.recovered)
        match item.kind:
            case "activity":
                if talk is not None:
                    talk.turn(item.at_ns)
                    talk.agent, talk.activity = item.agent, item.activity
            case "hung_up":
                if talk is not None:
                    del self.open[item.call_id]
                    return talk.closed(item.at_ns, item.side, recovered=False)
            case "connected":
                self.open[item.call_id] = _Talk(item)
                if talk is not None:
                    return _handed_over(talk, item.at_ns)
        return None

    def died(self) -> Iterator[ConnectedInterval]:
        for talk in self.open.values():
            end = self.proven_ns if talk.doubted_from is None else talk.doubted_from
            yield talk.closed(end, "", recovered=True)


def _handed_over(talk: _Talk, at_ns: int) -> ConnectedInterval:
    if talk.doubted_from is not None:
        return talk.closed(talk.doubted_from, "", recovered=True)
    # From one agent to the next without a hang-up: the one interval ends where the other begins.
    return talk.closed(at_ns, "handed_over", recovered=False)


def _instant(item: JournalEntry | CallEnded) -> int:
    return item.ended_ns if isinstance(item, CallEnded) else item.at_ns
