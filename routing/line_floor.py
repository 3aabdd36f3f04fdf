"""Lines of our own, seen from a call: what the floor is for a contract's call, a search is for a line's.

It takes the same inputs and answers by the same events, so that a call cannot tell whether agents ring or a line
does. There are no queues here, and nobody to choose from: one line at a time, along a :class:`LineRoute`.
"""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import count

from routing.contract import Contract
from routing.floor import AgentConnected, AnswerRefused, DeclineReason, OfferMade, OfferWithdrawn
from routing.line_codes import Confirmation
from routing.line_route import Ended, LineRoute, RingLine, ToContract, ToNumber, Way

#: How long a line rings that is not forwarded, seconds: RFC 3261 16.6 gives an INVITE as long.
LONGEST_RINGING = 180


@dataclass(frozen=True, slots=True)
class CallSent:
    """No line takes the call: it goes on to a contract or to outside, is told something, or ends."""

    call_id: str
    way: ToContract | ToNumber | Confirmation | Ended


LineEvent = OfferMade | OfferWithdrawn | AgentConnected | AnswerRefused | CallSent


class LineFloor:
    """All searches, their events and their one timer each. ``moment_of`` makes an aware datetime of ``now``."""

    def __init__(self, moment_of: Callable[[float], datetime]) -> None:
        self.events: deque[LineEvent] = deque()
        self.moment_of = moment_of
        self._timers: list[tuple[float, int, LineSearch]] = []
        self._numbers = count()

    def search(self, route: LineRoute, way: Way | Confirmation) -> "LineSearch":
        """For one call, which begins with ``way``."""
        return LineSearch(self, route, way)

    def wake(self, search: "LineSearch", at: float) -> None:
        """Ask this search again then; it knows whether that still matters."""
        heapq.heappush(self._timers, (at, next(self._numbers), search))

    def next_deadline(self) -> float | None:
        """When ``handle_timers`` is due, seconds of the clock of ``now``."""
        timers = self._timers
        while timers and timers[0][2].rings_until != timers[0][0]:
            heapq.heappop(timers)
        return timers[0][0] if timers else None

    def handle_timers(self, now: float) -> None:
        """End the ringing that is due."""
        while (deadline := self.next_deadline()) is not None and deadline <= now:
            _, _, search = heapq.heappop(self._timers)
            search.timed_out(now)


class LineSearch:
    """One call on its way. Lines are offered the call by their number, in the place of an agent's id."""

    __slots__ = ("_call_id", "_floor", "_ringing", "_way", "rings_until", "route")

    def __init__(self, floor: LineFloor, route: LineRoute, way: Way | Confirmation) -> None:
        self._floor = floor
        self._way = way
        self._call_id = ""
        self._ringing = ""
        self.route = route
        #: when the ringing ends, seconds; 0.0 when nothing rings
        self.rings_until = 0.0

    def caller_entered(self, call_id: str, contract: Contract, now: float) -> None:
        """The caller can be offered to phones now; a line's call has no contract."""
        self._call_id = call_id
        self._go(self._way, now)

    def offer_declined(self, call_id: str, agent_id: str, reason: DeclineReason, now: float) -> None:
        """The line's phones refused, or none is there."""
        if self._stop() != agent_id:
            return
        moment = self._floor.moment_of(now)
        if reason in ("busy", "declined"):
            self._go(self.route.busy(moment, declined=reason == "declined"), now)
        else:
            self._go(self.route.unanswered(moment, unreachable=True), now)

    def offer_answered(self, call_id: str, agent_id: str, now: float) -> None:
        """A phone of the line answered."""
        if self._ringing == agent_id:
            self._stop()
            self._floor.events.append(AgentConnected(call_id, agent_id))
        else:
            self._floor.events.append(AnswerRefused(call_id, agent_id))

    def timed_out(self, now: float) -> None:
        """It has rung long enough."""
        line = self._stop()
        if line:
            self._floor.events.append(OfferWithdrawn(self._call_id, line, "timed_out"))
            self._go(self.route.unanswered(self._floor.moment_of(now)), now)

    def caller_left(self, call_id: str, now: float) -> None:
        """The caller gave up."""
        line = self._stop()
        if line:
            self._floor.events.append(OfferWithdrawn(call_id, line, "caller_left"))

    def call_ended(self, call_id: str, now: float) -> None:
        """The call is over."""
        self._stop()

    def _stop(self) -> str:
        line, self._ringing, self.rings_until = self._ringing, "", 0.0
        return line

    def _go(self, way: Way | Confirmation, now: float) -> None:
        if not isinstance(way, RingLine):
            self._floor.events.append(CallSent(self._call_id, way))
            return
        seconds = way.seconds or LONGEST_RINGING
        self._ringing = way.line.number
        self.rings_until = now + seconds
        self._floor.wake(self, self.rings_until)
        self._floor.events.append(OfferMade(self._call_id, way.line.number, seconds))
