"""The way of one call to a line of ours: ring it, or forward it, from line to line, to a contract or to outside.

Forwarded are calls to a line at once, when it is busy, or when nobody answers; a line that is not registered counts
as one that nobody answers. Each forwarding is noted, so that whoever gets the call learns of it.
"""

from dataclasses import dataclass
from datetime import datetime

from routing.contract import Contract
from routing.directory import Directory, Found
from routing.forwarding import ForwardingKind
from routing.lines import MOST_HOPS, Line, LineForwarding, LineForwardings
from routing.numbers import TargetNumber
from routing.plan import Refusal

#: 3GPP TS 24.604 section 4.5.2.6: who was forwarded too often is told as if nobody were there.
TOO_MANY_HOPS = Refusal(480)


@dataclass(frozen=True, slots=True)
class Diverted:
    """One forwarding by a line of ours, on the way of a call."""

    line: str
    kind: ForwardingKind


@dataclass(frozen=True, slots=True)
class RingLine:
    """Ring the line's phones; after ``seconds`` nobody answers, 0 is until the caller gives up."""

    line: Line
    seconds: int


@dataclass(frozen=True, slots=True)
class ToContract:
    """The call is one to this contract now; the contract is as it is for this call."""

    number: TargetNumber
    contract: Contract


@dataclass(frozen=True, slots=True)
class ToNumber:
    """The call goes on over the trunk."""

    number: str


@dataclass(frozen=True, slots=True)
class Ended:
    """Nobody is to be had; ``reason`` is a stable slug."""

    refusal: Refusal
    reason: str


Way = RingLine | ToContract | ToNumber | Ended


class LineRoute:
    """Where one call has got to. ``caller`` is a number in E.164, "anonymous" or "" (for contracts' conditions);
    ``hops`` is how often it was forwarded before it reached us."""

    __slots__ = ("_caller", "_directory", "_forwardings", "_hops", "diverted", "line")

    def __init__(
        self, directory: Directory, forwardings: LineForwardings, caller: str = "", hops: int = 0
    ) -> None:  # fmt: skip
        self._directory = directory
        self._forwardings = forwardings
        self._caller = caller
        self._hops = hops
        #: the oldest first
        self.diverted: list[Diverted] = []
        #: the line that was reached last
        self.line: Line | None = None

    @property
    def hops(self) -> int:
        """How often the call was forwarded, before us and by us."""
        return self._hops + len(self.diverted)

    def arrive(self, line: Line, moment: datetime) -> Way:
        """The call is for this line."""
        if any(item.line == line.number for item in self.diverted):
            return Ended(Refusal(480), "forwarding_loop")
        self.line = line
        at_once = self._forwardings.active(line.number, "unconditional")
        if at_once is not None:
            return self._follow(line, at_once, moment)
        unanswered = self._forwardings.active(line.number, "no_answer")
        return RingLine(line, (unanswered.seconds or line.no_answer_seconds) if unanswered is not None else 0)

    def busy(self, moment: datetime, declined: bool = False) -> Way:
        """The line's phones are busy, or somebody there pressed the key that says no."""
        return self._failed("busy", moment, Ended(Refusal(603), "line_declined") if declined else _BUSY)

    def unanswered(self, moment: datetime, unreachable: bool = False) -> Way:
        """Nobody answered in time, or no phone of the line is there."""
        return self._failed("no_answer", moment, _UNREACHABLE if unreachable else _UNANSWERED)

    def _failed(self, kind: ForwardingKind, moment: datetime, otherwise: Ended) -> Way:
        line = self.line
        assert line is not None
        forwarding = self._forwardings.active(line.number, kind)
        return otherwise if forwarding is None else self._follow(line, forwarding, moment)

    def _follow(self, line: Line, forwarding: LineForwarding, moment: datetime) -> Way:
        self.diverted.append(Diverted(line.number, forwarding.kind))
        if self.hops > MOST_HOPS:
            return Ended(TOO_MANY_HOPS, "too_many_forwardings")
        number = TargetNumber(forwarding.number)
        found = self._directory.lookup(number, moment)
        if isinstance(found, Found):
            return self._enter(number, found.contract, forwarding.kind, moment)
        next_line = self._directory.lines.get(number)
        if next_line is not None:
            return self.arrive(next_line, moment)
        # asked again at each call: what the line may do can have changed since
        if line.forwards_to(number):
            return ToNumber(number)
        return Ended(Refusal(480), "forwarding_not_allowed")

    def _enter(self, number: TargetNumber, contract: Contract, kind: ForwardingKind, moment: datetime) -> Way:
        effective = contract.effective(moment, self._caller, kind)
        if isinstance(effective.refused, Refusal):
            return Ended(effective.refused, "caller_blocked")
        return ToContract(number, contract.under(effective))


_BUSY = Ended(Refusal(486), "line_busy")
_UNANSWERED = Ended(Refusal(480), "line_unanswered")
_UNREACHABLE = Ended(Refusal(480), "line_unreachable")
