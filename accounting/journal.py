"""The journal: what happened to the money, written down as it happens.

Two records bracket each connected interval, one heartbeat proves all open ones at an instant, and one summary
closes each call. Values only; :mod:`accounting.store` knows where they go. All times are integer nanoseconds:
``at_ns`` of the monotonic clock, which never jumps but begins anew with each process, and ``wall_ns``, which is
that plus one anchor taken when the process started, so that a step of the wall clock cannot stretch a call.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Kind = Literal["connected", "hung_up", "heartbeat"]
Facts = Mapping[str, str | int]

NO_FACTS: Facts = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One line of the journal; ``(run, sequence)`` is its key, without gaps within a run.

    A gap therefore says that records were lost, and nothing after it proves that a call opened before it
    was still connected.

    ``run`` names one life of the process. ``call_id`` is empty in a heartbeat. ``contract``, ``tariff``,
    ``agent``, ``billable`` and ``facts`` belong to "connected", ``side`` to "hung_up".
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


@dataclass(frozen=True, slots=True)
class CallEnded:
    """One call from its INVITE to its end, answered or not.

    ``origin`` is "trunk:NAME" or "agent:NAME"; ``caller`` is empty when anonymous; ``forwarding_kind`` is
    unconditional, busy, no_answer or unknown, empty when the call was not forwarded; ``result`` is answered,
    abandoned, no_agent or failed; ``end_reason`` is a stable slug; ``status`` the final SIP status; ``*_ns`` are
    monotonic, 0 = never; ``media`` holds plain statistics by leg.

    The last four fields are the ledger's, whoever makes the value leaves them alone: ``talked_ns`` is the sum of
    the connected intervals, exact; wall time is ``wall_anchor_ns`` plus monotonic time; ``recovered`` says that
    the process died and the call was read from the journal.
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
    run: str = ""
    wall_anchor_ns: int = 0
    talked_ns: int = 0
    recovered: bool = False


Item = JournalEntry | CallEnded


class Ledger:
    """Turns the ends of connected intervals into journal entries and hands them to ``append``, in order.

    ``wall_anchor_ns`` is wall clock minus monotonic clock, taken once at the start of the process. ``run`` may
    be given, to put a node's name in; otherwise the wall time of the first record names the run, which no other
    life of this process can share.
    """

    __slots__ = ("_append", "_connected_at", "_sequence", "_talked", "run", "wall_anchor_ns")

    def __init__(self, append: Callable[[Item], None], wall_anchor_ns: int, run: str = "") -> None:
        self._append = append
        self.wall_anchor_ns = wall_anchor_ns
        self.run = run
        self._sequence = 0
        self._connected_at: dict[str, int] = {}
        self._talked: dict[str, int] = {}

    @property
    def open_calls(self) -> int:
        """How many connected intervals are open."""
        return len(self._connected_at)

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
        forwarded_from, forwarding_kind, started_ns, rang_ns): after a crash the itemised statement has
        nothing else to take them from. A call that is open already (handed from agent to agent) starts its
        next interval here.
        """
        self._close(call_id, at_ns)
        self._connected_at[call_id] = at_ns
        self._write("connected", call_id, at_ns, contract, tariff, agent, billable, "", facts)

    def hung_up(self, *, call_id: str, at_ns: int, side: str) -> None:
        """The connected interval closes. Only the first hang-up counts: both sides may hang up at once."""
        if self._close(call_id, at_ns):
            self._write("hung_up", call_id, at_ns, side=side)

    def ended(self, call: CallEnded) -> None:
        """The call is over; an interval still open closes with it."""
        self.hung_up(call_id=call.call_id, at_ns=call.ended_ns, side=call.end_reason)
        self._name_run(call.ended_ns)
        # By position: dataclasses.replace takes twice the time, and this is done for every call.
        self._append(
            CallEnded(
                call.call_id, call.origin, call.contract, call.tariff, call.agent, call.dialled, call.target_number,
                call.caller, call.forwarded_from, call.forwarding_kind, call.result, call.end_reason, call.status,
                call.billable, call.started_ns, call.rang_ns, call.answered_ns, call.ended_ns, call.media,
                self.run, self.wall_anchor_ns, self._talked.pop(call.call_id, 0),
            )
        )  # fmt: skip

    def heartbeat(self, at_ns: int) -> None:
        """Prove with one record that every open call was still connected at this instant."""
        if self._connected_at:
            self._write("heartbeat", "", at_ns)

    def _close(self, call_id: str, at_ns: int) -> bool:
        connected_at = self._connected_at.pop(call_id, None)
        if connected_at is None:
            return False
        self._talked[call_id] = self._talked.get(call_id, 0) + max(0, at_ns - connected_at)
        return True

    def _name_run(self, at_ns: int) -> None:
        if not self.run:
            self.run = f"{self.wall_anchor_ns + at_ns:016x}"

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
    ) -> None:
        self._name_run(at_ns)
        self._sequence += 1
        self._append(
            JournalEntry(
                self.run, self._sequence, kind, call_id, at_ns, self.wall_anchor_ns + at_ns,
                contract, tariff, agent, billable, side, facts,
            )
        )  # fmt: skip
