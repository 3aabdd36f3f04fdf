"""Connected intervals: what the journal proves about the time callers talked to agents. Pure."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from accounting.journal import Facts, JournalEntry


@dataclass(frozen=True, slots=True)
class ConnectedInterval:
    """An agent connected to a caller, from ``connected_ns`` to ``hung_up_ns`` (monotonic clock of ``run``).

    Wall time is ``wall_anchor_ns`` plus monotonic time. ``recovered``: no hang-up was recorded, and the
    interval ends at the last instant that the journal proves.
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

    @property
    def duration_ns(self) -> int:
        """Nanoseconds connected, unrounded."""
        return self.hung_up_ns - self.connected_ns


def connected_intervals(entries: Iterable[JournalEntry], living: Collection[str] = ()) -> Iterator[ConnectedInterval]:
    """Yield the connected intervals of a journal, each as soon as it is known to be closed.

    ``entries`` come in order of ``(run, sequence)``, runs in any order; a repeated entry is passed over. Runs
    in ``living`` still go on: their open calls are left out. In every other run the process is dead, and a call
    left open ends at the last record of that run, since each record proves that the calls open before it had
    not hung up; never beyond. A gap in the sequence means lost records, maybe the hang-up: nothing after it
    proves anything about a call opened before it, but for that call's own hang-up.

    Raises ``ValueError`` if the entries of a run are out of order.
    """
    run: _Run | None = None
    for entry in entries:
        if run is None or entry.run != run.name:
            if run is not None and run.name not in living:
                yield from run.died()
            run = _Run(entry)
        closed = run.take(entry)
        if closed is not None:
            yield closed
    if run is not None and run.name not in living:
        yield from run.died()


class _Run:
    """One life of the process: the calls it has open and up to when they are proven."""

    def __init__(self, first: JournalEntry) -> None:
        self.name = first.run
        self.sequence = first.sequence - 1
        self.proven_ns = first.at_ns
        self.open: dict[str, JournalEntry] = {}
        self.doubted_from: dict[str, int] = {}

    def take(self, entry: JournalEntry) -> ConnectedInterval | None:
        if entry.sequence == self.sequence:
            return None
        if entry.sequence < self.sequence:
            raise ValueError(f"journal of run {self.name} out of order at {entry.sequence}")
        if entry.sequence > self.sequence + 1:
            for call_id in self.open:
                self.doubted_from.setdefault(call_id, self.proven_ns)
        self.sequence = entry.sequence
        self.proven_ns = max(self.proven_ns, entry.at_ns)
        opening = self.open.get(entry.call_id)
        if entry.kind == "heartbeat":
            return None
        if entry.kind == "hung_up":
            if opening is None:
                return None
            del self.open[entry.call_id]
            self.doubted_from.pop(entry.call_id, None)
            return _interval(opening, entry.at_ns, entry.side, recovered=False)
        self.open[entry.call_id] = entry
        doubted_from = self.doubted_from.pop(entry.call_id, None)
        if opening is None:
            return None
        if doubted_from is not None:
            return _interval(opening, doubted_from, "", recovered=True)
        # Handed from one agent to the next without a hang-up: the one interval ends where the other begins.
        return _interval(opening, entry.at_ns, "handed_over", recovered=False)

    def died(self) -> Iterator[ConnectedInterval]:
        for call_id, opening in self.open.items():
            end = self.doubted_from.get(call_id, self.proven_ns)
            yield _interval(opening, end, "", recovered=True)


def _interval(opening: JournalEntry, end_ns: int, side: str, *, recovered: bool) -> ConnectedInterval:
    return ConnectedInterval(
        run=opening.run,
        call_id=opening.call_id,
        contract=opening.contract,
        tariff=opening.tariff,
        agent=opening.agent,
        billable=opening.billable,
        connected_ns=opening.at_ns,
        hung_up_ns=max(opening.at_ns, end_ns),
        wall_anchor_ns=opening.wall_ns - opening.at_ns,
        side=side,
        recovered=recovered,
        facts=opening.facts,
    )
