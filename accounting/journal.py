"""The journal: what happened to the money, written down as it happens.

Two records bracket each connected interval, one heartbeat proves all open ones at an instant, and one summary
closes each call. The back office declares the rest: tariffs, statements, corrections. Values only;
:mod:`accounting.content` writes them down, :mod:`accounting.store` knows where. All times are integer nanoseconds:
``at_ns`` of the monotonic clock, which never jumps but begins anew with each process, and ``wall_ns``, which is
that plus one anchor taken when the process started, so that a step of the wall clock cannot stretch a call.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Kind = Literal["connected", "activity", "hung_up", "heartbeat"]
Declared = Literal["tariffs", "statement", "correction"]
#: What the connected parties do: talk, the caller waits on hold, the agent asks somebody meanwhile, or the caller
#: goes on talking to the customer after a transfer and no agent is there any more.
Activity = Literal["talk", "hold", "consultation", "external"]
Facts = Mapping[str, str | int]

NO_FACTS: Facts = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One line of the journal; ``(run, sequence)`` is its key, without gaps within a run.

    A gap therefore says that records were lost, and nothing after it proves that a call opened before it
    was still connected.

    ``run`` names one life of the process. ``call_id`` is empty in a heartbeat. ``contract``, ``tariff``,
    ``agent``, ``billable`` and ``facts`` belong to "connected", ``agent`` and ``activity`` to "activity",
    ``side`` to "hung_up".
    """

    run: str
    sequence: int
    kind: Kind
    call_id: str
    at_ns: int
    wall_ns: int
    contract: str = ""
    tariff: str = ""
    agent: str = ""
    billable: bool = False
    side: str = ""
    facts: Facts = field(default_factory=dict)
    activity: Activity = "talk"


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the connected interval, ``[start_ns, end_ns)``, in which agent and activity were the same."""

    agent: str
    activity: Activity
    start_ns: int
    end_ns: int

    @property
    def duration_ns(self) -> int:
        """Nanoseconds, unrounded."""
        return self.end_ns - self.start_ns


@dataclass(frozen=True, slots=True)
class CallEnded:
    """One call from its INVITE to its end, answered or not.

    ``origin`` is "trunk:NAME", "agent:NAME" or "line:NAME"; ``caller`` is empty when anonymous; ``forwarding_kind`` is
    unconditional, busy, no_answer or unknown, empty when the call was not forwarded; ``result`` is answered,
    abandoned, no_agent or failed, and of a call with a line of ours, whose ``contract`` is empty, relayed or code too;
    ``end_reason`` is a stable slug; ``status`` the final SIP status; ``*_ns`` are monotonic, 0 = never:
    ``accepted_ns`` is when we answered the caller ourselves, to wait or to be told something, ``answered_ns`` when an
    agent did; ``media`` holds plain statistics by leg.

    The last fields are the ledger's, whoever makes the value leaves them alone: ``(run, sequence)`` is the key in
    the journal; ``talked_ns`` is the sum of the connected ``segments``, exact; wall time is ``wall_anchor_ns`` plus
    monotonic time; ``recovered`` says that the process died and the call was read from the journal.
    """

    call_id: str
    origin: str
    contract: str
    tariff: str
    agent: str
    dialled: str
    target_number: str
    caller: str
    forwarded_from: str
    forwarding_kind: str
    result: str
    end_reason: str
    status: int
    billable: bool
    started_ns: int
    rang_ns: int
    answered_ns: int
    ended_ns: int
    media: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    accepted_ns: int = 0
    run: str = ""
    sequence: int = 0
    wall_anchor_ns: int = 0
    talked_ns: int = 0
    segments: tuple[Segment, ...] = ()
    recovered: bool = False


@dataclass(frozen=True, slots=True)
class Declaration:
    """Something that the back office wrote into the journal.

    ``subject`` is what it is about: the call's id of a correction, the number of a statement, nothing for tariffs.
    ``content`` is plain: text, integers, booleans, lists, objects.
    """

    run: str
    sequence: int
    kind: Declared
    subject: str
    wall_ns: int
    content: Mapping[str, object]


Item = JournalEntry | CallEnded | Declaration


class _Open:
    """A call that is connected: the segment that goes on, and those before it."""

    __slots__ = ("activity", "agent", "segments", "since_ns")

    def __init__(self, agent: str, since_ns: int) -> None:
        self.agent = agent
        self.activity: Activity = "talk"
        self.since_ns = since_ns
        self.segments: tuple[Segment, ...] = ()

    def turn(self, agent: str, activity: Activity, at_ns: int) -> None:
        """Close the segment, go on as said."""
        at_ns = max(self.since_ns, at_ns)
        self.segments = (*self.segments, Segment(self.agent, self.activity, self.since_ns, at_ns))
        self.agent = agent
        self.activity = activity
        self.since_ns = at_ns


class Ledger:
    """Turns the ends of connected intervals into journal entries and hands them to ``append``, in order.

    ``wall_anchor_ns`` is wall clock minus monotonic clock, taken once at the start of the process. ``run`` may
    be given, to put a node's name in; otherwise the wall time of the first record names the run, which no other
    life of this process can share.
    """

    __slots__ = ("_append", "_open", "_sequence", "_talked", "run", "wall_anchor_ns")

    def __init__(self, append: Callable[[Item], None], wall_anchor_ns: int, run: str = "") -> None:
        self._append = append
        self.wall_anchor_ns = wall_anchor_ns
        self.run = run
        self._sequence = 0
        self._open: dict[str, _Open] = {}
        #: the segments of calls that hung up and have not ended yet
        self._talked: dict[str, tuple[Segment, ...]] = {}

    @property
    def open_calls(self) -> int:
        """How many connected intervals are open."""
        return len(self._open)

    def connected(
        self,
        *,
        call_id: str,
        contract: str,
        tariff: str,
        agent: str,
        billable: bool,
        at_ns: int,
        facts: Facts = NO_FACTS,
    ) -> None:
        """Caller and agent are joined: the connected interval opens.

        ``facts`` are fields of :class:`CallEnded` known by now (origin, dialled, target_number, caller,
        forwarded_from, forwarding_kind, started_ns, rang_ns, accepted_ns): after a crash the itemised statement has
        nothing else to take them from. A call that is open already (handed from agent to agent) starts its
        next segment here.
        """
        known = self._open.get(call_id)
        if known is None:
            known = self._open[call_id] = _Open(agent, at_ns)
            known.segments = self._talked.pop(call_id, ())
        else:
            known.turn(agent, "talk", at_ns)
        self._write("connected", call_id, at_ns, contract, tariff, agent, billable, "", facts)

    def turned(self, *, call_id: str, agent: str, activity: Activity, at_ns: int) -> None:
        """A connected call goes on otherwise: on hold, talking again, another agent. Nothing if it is not open."""
        known = self._open.get(call_id)
        if known is not None and (known.agent, known.activity) != (agent, activity):
            known.turn(agent, activity, at_ns)
            self._write("activity", call_id, at_ns, agent=agent, activity=activity)

    def hung_up(self, *, call_id: str, at_ns: int, side: str) -> None:
        """The connected interval closes. Only the first hang-up counts: both sides may hang up at once."""
        known = self._open.pop(call_id, None)
        if known is not None:
            known.turn("", "talk", at_ns)
            self._talked[call_id] = known.segments
            self._write("hung_up", call_id, at_ns, side=side)

    def ended(self, call: CallEnded) -> None:
        """The call is over; an interval still open closes with it."""
        self.hung_up(call_id=call.call_id, at_ns=call.ended_ns, side=call.end_reason)
        segments = self._talked.pop(call.call_id, ())
        # By position: dataclasses.replace takes twice the time, and this is done for every call.
        self._append(
            CallEnded(
                call.call_id, call.origin, call.contract, call.tariff, call.agent, call.dialled, call.target_number,
                call.caller, call.forwarded_from, call.forwarding_kind, call.result, call.end_reason, call.status,
                call.billable, call.started_ns, call.rang_ns, call.answered_ns, call.ended_ns, call.media,
                call.accepted_ns, self._name_run(call.ended_ns), self._next(), self.wall_anchor_ns,
                total_ns(segments), segments,
            )
        )  # fmt: skip

    def heartbeat(self, at_ns: int) -> None:
        """Prove with one record that every open call was still connected at this instant."""
        if self._open:
            self._write("heartbeat", "", at_ns)

    def _name_run(self, at_ns: int) -> str:
        if not self.run:
            self.run = f"{self.wall_anchor_ns + at_ns:016x}"
        return self.run

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence

    def _write(
        self,
        kind: Kind,
        call_id: str,
        at_ns: int,
        contract: str = "",
        tariff: str = "",
        agent: str = "",
        billable: bool = False,
        side: str = "",
        facts: Facts = NO_FACTS,
        activity: Activity = "talk",
    ) -> None:
        self._append(
            JournalEntry(
                self._name_run(at_ns), self._next(), kind, call_id, at_ns, self.wall_anchor_ns + at_ns,
                contract, tariff, agent, billable, side, facts, activity,
            )
        )  # fmt: skip


def total_ns(segments: Iterable[Segment]) -> int:
    """Nanoseconds of all segments together."""
    return sum(segment.end_ns - segment.start_ns for segment in segments)
