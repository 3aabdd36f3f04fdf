"""What the journal proves of each call, against what its summary says. Pure.

The summary ("ended") is what is billed. The records before it say the same in small: connected, activity, hung up, and
what proves that the process lived. Both are read here independently of the code that wrote them.
"""

from collections.abc import Iterator

from accounting.chain import Disagreement
from accounting.journal import Activity, CallEnded, JournalEntry, Segment

#: The run under which the first release's calls were put into the chain: their records are in runs of their own.
_MIGRATED = "0001"


class _Talk:
    """A connected call: its segments so far, and the one that goes on, if any."""

    __slots__ = ("activity", "agent", "doubted_from", "entry", "own_ns", "position", "segments", "since_ns")

    def __init__(self, position: int, entry: JournalEntry) -> None:
        self.position = position
        self.entry = entry
        self.agent = entry.agent
        self.activity: Activity = "talk"
        #: None between a hang-up and the summary
        self.since_ns: int | None = entry.at_ns
        self.segments: list[Segment] = []
        #: the last instant of a record of this call itself
        self.own_ns = entry.at_ns
        #: up to when the run's other records prove anything of it, once records were lost
        self.doubted_from: int | None = None

    def turn(self, at_ns: int, agent: str, activity: Activity, since_ns: int | None) -> None:
        if self.since_ns is not None:
            self.segments.append(Segment(self.agent, self.activity, self.since_ns, max(self.since_ns, at_ns)))
        self.agent, self.activity, self.since_ns = agent, activity, since_ns
        self.own_ns = max(self.own_ns, at_ns)


class _Run:
    """One life of a process."""

    __slots__ = ("lossy", "proven_ns", "sequence")

    def __init__(self) -> None:
        self.sequence = 0
        self.proven_ns = 0
        self.lossy = False


class ProvenCalls:
    """Takes the journal's entries and summaries in the order of the chain; raises :class:`Disagreement`.

    ``losses`` counts gaps in the sequences, each of which is one or more lost records; ``unproven`` counts summaries
    that stand alone because of them: right in themselves, but with nothing to compare them to. Memory is that of the
    calls that are connected, and of the runs.
    """

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}
        self._talks: dict[str, _Talk] = {}
        self.losses = 0
        self.unproven = 0

    @property
    def open_calls(self) -> int:
        """Calls that were connected and have no summary yet."""
        return len(self._talks)

    def sequence(self, position: int, run: str, sequence: int) -> None:
        """Every record has a key of its own: within a run they go upwards."""
        known = self._runs.get(run)
        if known is None:
            known = self._runs[run] = _Run()
        if sequence <= known.sequence:
            raise Disagreement(position, "added", f"has the key {run}/{sequence}, which was given out before")
        if sequence > known.sequence + 1:
            self.losses += 1
            known.lossy = True
            for talk in self._talks.values():
                if talk.entry.run == run and talk.doubted_from is None:
                    talk.doubted_from = known.proven_ns
        known.sequence = sequence

    def entry(self, position: int, entry: JournalEntry) -> None:
        """A record of a connected call, or a heartbeat."""
        run = self._runs[entry.run]
        run.proven_ns = max(run.proven_ns, entry.at_ns)
        if entry.kind == "heartbeat":
            return
        talk = self._talks.get(entry.call_id)
        if entry.kind == "connected":
            if talk is None:
                self._talks[entry.call_id] = _Talk(position, entry)
            else:
                talk.turn(entry.at_ns, entry.agent, "talk", entry.at_ns)
        elif talk is None or talk.since_ns is None:
            if not run.lossy:
                raise Disagreement(
                    position, "wrong", f"says {entry.kind} of a call that is not connected", entry.call_id
                )  # fmt: skip
        elif entry.kind == "activity":
            talk.turn(entry.at_ns, entry.agent, entry.activity, entry.at_ns)
        else:
            talk.turn(entry.at_ns, "", "talk", None)

    def ended(self, position: int, call: CallEnded) -> None:
        """A call's summary: it must follow from what was recorded of it."""
        run = self._runs[call.run]
        run.proven_ns = max(run.proven_ns, call.ended_ns)
        talk = self._talks.pop(call.call_id, None)
        for reason in self._faults(call, talk, run):
            raise Disagreement(position, "wrong", reason, call.call_id)

    def _faults(self, call: CallEnded, talk: _Talk | None, run: _Run) -> Iterator[str]:
        yield from _own_faults(call)
        if talk is None:
            if call.segments:
                if call.run != _MIGRATED and not run.lossy:
                    yield f"says {_seconds(call.talked_ns)} talked, but no record says that it was connected"
                self.unproven += 1
            return
        begun = talk.entry
        for name in ("contract", "tariff", "billable"):
            ours, theirs = getattr(begun, name), getattr(call, name)
            if ours != theirs:
                yield f"says {name} {theirs!r}, but record {talk.position} said {ours!r}"
        if call.run == begun.run and call.wall_anchor_ns != begun.wall_ns - begun.at_ns:
            yield f"has another wall clock than record {talk.position}"
        if call.run != begun.run:
            if call.run != _MIGRATED:
                yield f"is of run {call.run}, but record {talk.position} was of run {begun.run}"
            yield from _total_faults(call, talk, self._proof(talk))
        elif talk.doubted_from is not None:
            # Records are missing: of the parts nothing is sure, but of the end.
            self.unproven += 1
            if call.recovered:
                yield from _beyond(call, begun.at_ns, self._proof(talk))
        elif call.recovered and talk.since_ns is not None:
            yield from _recovered_faults(call, talk, self._proof(talk))
        elif talk.since_ns is not None:
            yield "ends a call of which no record says that it was hung up"
        elif call.segments != tuple(talk.segments):
            yield _difference(call.segments, talk.segments)

    def _proof(self, talk: _Talk) -> int:
        """Up to when the call is proven, monotonic nanoseconds of its run."""
        if talk.since_ns is None:
            return talk.segments[-1].end_ns
        if talk.doubted_from is not None:
            return max(talk.doubted_from, talk.own_ns)
        return self._runs[talk.entry.run].proven_ns


def _own_faults(call: CallEnded) -> Iterator[str]:
    """What is wrong whatever else was recorded."""
    total = sum(segment.end_ns - segment.start_ns for segment in call.segments)
    if total != call.talked_ns:
        yield f"says {_seconds(call.talked_ns)} talked, but its parts are {_seconds(total)}"
    before_ns = None
    for segment in call.segments:
        if segment.end_ns < segment.start_ns or (before_ns is not None and segment.start_ns < before_ns):
            yield "has parts that overlap or run backwards"
        before_ns = segment.end_ns


def _total_faults(call: CallEnded, talk: _Talk, proof_ns: int) -> Iterator[str]:
    """The migrated call counts by the wall clock: only its length can be compared."""
    proven = sum(segment.end_ns - segment.start_ns for segment in talk.segments)
    if talk.since_ns is not None:
        proven += max(0, proof_ns - talk.since_ns)
    if call.talked_ns > proven or (call.talked_ns < proven and not call.recovered):
        yield f"says {_seconds(call.talked_ns)} talked, but the records say {_seconds(proven)}"


def _recovered_faults(call: CallEnded, talk: _Talk, proof_ns: int) -> Iterator[str]:
    """The process died during this segment: it ends where the journal last proves it, never beyond."""
    yield from _beyond(call, talk.entry.at_ns, proof_ns)
    since_ns = talk.since_ns
    *parts, last = call.segments or (Segment("", "talk", 0, 0),)
    if parts != talk.segments:
        yield _difference(parts, talk.segments)
    if (last.agent, last.activity, last.start_ns) != (talk.agent, talk.activity, since_ns):
        yield f"has a last part that is not the one of {talk.agent or 'nobody'}, {talk.activity}, that was going on"


def _beyond(call: CallEnded, connected_ns: int, proof_ns: int) -> Iterator[str]:
    if any(segment.end_ns > proof_ns for segment in call.segments):
        beyond = max(segment.end_ns for segment in call.segments) - proof_ns
        yield f"was recovered {_seconds(beyond)} beyond the last instant that the journal proves"
    if any(segment.start_ns < connected_ns for segment in call.segments):
        yield "was recovered from before it was connected"


def _difference(said: "list[Segment] | tuple[Segment, ...]", found: list[Segment]) -> str:
    for number, (ours, theirs) in enumerate(zip(said, found, strict=False), start=1):
        if ours != theirs:
            return f"says {_part(ours)} as part {number}, but the records say {_part(theirs)}"
    return f"says {len(said)} parts of talk, but the records say {len(found)}"


def _part(segment: Segment) -> str:
    return f"{segment.agent or 'nobody'}, {segment.activity}, {_seconds(segment.end_ns - segment.start_ns)}"


def _seconds(nanoseconds: int) -> str:
    """Exact: a nanosecond may be an increment."""
    return f"{nanoseconds // 10**9}.{nanoseconds % 10**9:09} s"
