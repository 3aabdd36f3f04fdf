"""The callers' side of the floor: steps, queues, limits, and where callers go for whom nobody is found."""

from collections import deque
from collections.abc import Mapping
from typing import Any

from routing.contract import Agent, Group
from routing.floor.agents import AgentRecord
from routing.floor.callers import CallerRecord, Talk
from routing.floor.events import (
    CallerOverflowed,
    CallerQueued,
    FloorEvent,
    NobodyFound,
    OverflowCause,
    PositionChanged,
)
from routing.floor.pools import Pool, Pools
from routing.floor.rules import FloorRules, NumberSource, Shuffle
from routing.floor.timers import Timer, Timers
from routing.plan import Destination, Refusal, Step


class Queueing:
    """Everything that the floor remembers, and what becomes of callers without an agent's doing."""

    def __init__(self, rules: FloorRules, numbers: NumberSource | None) -> None:
        self.events: deque[FloorEvent] = deque()
        self.rules = rules
        self._agents: dict[str, AgentRecord] = {}
        #: callers who seek, and calls that have found
        self._callers: dict[str, CallerRecord] = {}
        self._talks: dict[str, Talk] = {}
        self._pools = Pools(Shuffle() if numbers is None else numbers)
        self._directory: tuple[Mapping[str, Agent], Mapping[str, Group]] | None = None
        self._timers: Timers[Any] = Timers()
        #: callers told to wait, by call, and how many by contract
        self._queued: dict[str, CallerRecord] = {}
        self._queued_of: dict[str, int] = {}
        self._positions_timer = 0
        self._entrances = 0
        self._offers = 0
        self._in_wrap_up = 0
        #: how long a call keeps an agent, wrap-up included, in seconds
        self._handling = rules.handling_seconds
        #: who came free, and who needs an agent, since it was last settled who gets whom
        self._freed: list[AgentRecord] = []
        self._seeking: list[CallerRecord] = []

    # -- the caller's steps ------------------------------------------------------------------------------

    def _leave_step(self, caller: CallerRecord) -> None:
        pool = caller.pool
        if pool is not None:
            self._stand_no_more(caller)
            pool.leave_line(caller)
            pool.users -= 1
            caller.pool = None
        for timer in (caller.ring_timer, caller.patience_timer, caller.widening_timer):
            self._timers.stop(timer)
        if caller.queued:
            caller.queued = False
            del self._queued[caller.id]
            contract = caller.contract.id
            self._queued_of[contract] -= 1
            if not self._queued_of[contract]:
                del self._queued_of[contract]
        caller.asked.clear()
        caller.step += 1
        caller.step_over = False
        caller.widened = 0

    def _drop(self, caller: CallerRecord) -> None:
        self._leave_step(caller)
        self._timers.stop(caller.longest_timer)
        del self._callers[caller.id]

    def _overflow(self, caller: CallerRecord, action: Destination, cause: OverflowCause) -> None:
        self._drop(caller)
        if isinstance(action, Refusal):
            self.events.append(NobodyFound(caller.id, action, cause))
        else:
            self.events.append(CallerOverflowed(caller.id, action, cause))

    def _start_widening(self, caller: CallerRecord, step: Step) -> None:
        if caller.widened < len(step.widening):
            when = caller.step_since + step.widening[caller.widened].after_seconds
            caller.widening_timer = self._timers.start(when, Timer.WIDENING, caller)

    # -- waiting -----------------------------------------------------------------------------------------

    def _why_not_wait(self, caller: CallerRecord, pool: Pool) -> OverflowCause | None:
        if not pool.grace_timer and not pool.attended(caller):
            return "nobody_logged_in"
        contract = caller.contract
        most = contract.waiting.most_callers
        if most and not caller.queued and self._queued_of.get(contract.id, 0) >= most:
            return "queue_full"
        return None

    def _wait(self, caller: CallerRecord, pool: Pool, now: float) -> None:
        if not caller.waiting:
            self._stand(caller)
        if caller.queued:
            return
        position = pool.position(caller)
        self._note_queued(caller, position)
        self.events.append(CallerQueued(caller.id, position, self._expected_wait(pool, position)))
        self._start_positions(now)

    def _note_queued(self, caller: CallerRecord, position: int) -> None:
        caller.queued = True
        caller.told_position = position
        self._queued[caller.id] = caller
        self._queued_of[caller.contract.id] = self._queued_of.get(caller.contract.id, 0) + 1

    def _tell_positions(self, _: object, now: float) -> None:
        """Tell those whose position has changed; again as long as anybody waits."""
        self._positions_timer = 0
        for pool in {id(caller.pool): caller.pool for caller in self._queued.values()}.values():
            assert pool is not None
            for position, (_, _, caller) in enumerate(pool.line, 1):
                if caller.queued and caller.told_position != position:
                    caller.told_position = position
                    self.events.append(PositionChanged(caller.id, position, self._expected_wait(pool, position)))
        self._start_positions(now)

    def _start_positions(self, now: float) -> None:
        if self._queued and not self._positions_timer:
            when = now + self.rules.position_seconds
            self._positions_timer = self._timers.start(when, Timer.POSITIONS, None)

    def _expected_wait(self, pool: Pool, position: int) -> int:
        return round(position * self._handling / max(1, pool.serving))

    def _stand(self, caller: CallerRecord) -> None:
        assert caller.pool is not None
        caller.waiting = True
        caller.pool.stand(caller)

    def _stand_no_more(self, caller: CallerRecord) -> None:
        if caller.waiting:
            caller.waiting = False
            caller.stamp += 1

    def _look_who_is_left(self, pool: Pool, now: float, at_once: bool) -> None:
        """Members left: who waits for nobody goes on, at once or after a grace."""
        if not pool.line:
            return
        left = [caller for _, _, caller in pool.line if not pool.attended(caller)]
        if left and at_once:
            self._seeking += [caller for caller in left if not caller.offered]
        elif left and not pool.grace_timer:
            pool.grace_timer = self._timers.start(now + self.rules.unreachable_grace, Timer.GRACE, pool)
