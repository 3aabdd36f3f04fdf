"""Who gets whom: free agents and seeking callers are brought together."""

from routing.floor.agents import AgentRecord
from routing.floor.callers import CallerRecord
from routing.floor.pools import Pool
from routing.floor.states import Input
from routing.floor.timers import Timer
from routing.floor.working import Working
from routing.plan import NextStep, Step


class Matching(Working):
    """Decides. Everything here takes its order from callers' scores and agents' rankings alone."""

    def _settle(self, now: float) -> None:
        """Bring together who came free and who seeks. Callers who wait stay in order: who has just come back
        from an offer that failed stands with them before anybody who came free is given away."""
        while self._freed or self._seeking:
            seeking, self._seeking = self._seeking, []
            seeking.sort(key=_in_order)
            for caller in seeking:
                if caller.may_wait and not caller.offered and not caller.waiting and self._is_here(caller):
                    self._stand(caller)
            self._give_away(now)
            for caller in seeking:
                if self._is_here(caller) and not caller.offered:
                    self._seek(caller, now)

    def _give_away(self, now: float) -> None:
        """Give each who came free to the caller who is first for them; the others are then known to be free."""
        while self._freed:
            freed, self._freed = self._freed, []
            held: list[AgentRecord] = []
            first: CallerRecord | None = None
            for agent in freed:
                if not agent.free:
                    continue
                caller = _first_caller(agent)
                if caller is not None and caller.current.strategy != "ring_all":
                    self._make_offers(caller, [agent], now)
                    continue
                if not agent.ranked:
                    agent.ranked = True
                    for member in agent.memberships:
                        member.pool.rank(member)
                if caller is not None:
                    held.append(agent)
                    if first is None or _in_order(caller) < _in_order(first):
                        first = caller
            if first is not None:
                # all who came free shall ring for this caller; who then does not is given to the next
                self._seek(first, now)
                self._freed += [agent for agent in held if agent.free]

    def _seek(self, caller: CallerRecord, now: float) -> None:
        """Go on through the plan until somebody rings, the caller may wait, or the plan is used up."""
        while True:
            if caller.too_long:
                caller.too_long = False
                caller.cause = "waited_too_long"
                action = caller.contract.waiting.if_too_long
                if not isinstance(action, NextStep):
                    return self._overflow(caller, action, "waited_too_long")
                self._leave_step(caller)
            if caller.step >= len(caller.contract.plan):
                contract = caller.contract
                return self._overflow(caller, contract.overflow or contract.if_nobody, caller.cause)
            step = caller.current
            pool = caller.pool or self._enter_step(caller, step, now)
            if caller.step_over:
                caller.cause = "waited_too_long"
            else:
                agents = self._take(caller, step, pool)
                if agents:
                    return self._make_offers(caller, agents, now)
                if step.patience_seconds:
                    cause = self._why_not_wait(caller, pool)
                    if cause is None:
                        return self._wait(caller, pool, now)
                    caller.cause = cause
                    action = caller.contract.waiting.if_full
                    if cause == "queue_full" and not isinstance(action, NextStep):
                        return self._overflow(caller, action, cause)
            self._leave_step(caller)

    def _take(self, caller: CallerRecord, step: Step, pool: Pool) -> list[AgentRecord]:
        refused = caller.refused_by
        asked = caller.asked
        if not asked:
            return pool.take(step.strategy, caller.level, refused)
        agents = pool.take(step.strategy, caller.level, asked | refused)
        if not agents and step.patience_seconds:
            asked.clear()
            agents = pool.take(step.strategy, caller.level, refused)
        return agents

    def _make_offers(self, caller: CallerRecord, agents: list[AgentRecord], now: float) -> None:
        self._stand_no_more(caller)
        for agent in agents:
            self._step(agent, Input.OFFER, now, caller)
        caller.ring_timer = self._timers.start(now + caller.current.ring_seconds, Timer.RING, caller)

    def _is_here(self, caller: CallerRecord) -> bool:
        return self._callers.get(caller.id) is caller

    def _enter_step(self, caller: CallerRecord, step: Step, now: float) -> Pool:
        pool = self._join(caller, step, now)
        caller.level = step.level
        caller.step_since = now
        if step.patience_seconds:
            caller.patience_timer = self._timers.start(now + step.patience_seconds, Timer.PATIENCE, caller)
            self._start_widening(caller, step)
        return pool

    def _join(self, caller: CallerRecord, step: Step, now: float) -> Pool:
        pool = caller.pool = self._pool_of(step, now)
        pool.users += 1
        if step.patience_seconds:
            pool.join_line(caller)
        return pool

    def _follow_directory(self, caller: CallerRecord, now: float) -> None:
        """The directory may have got to know the group that the caller waits for: its agents count, not the plan's.
        Or it knows the group no longer, and the other way round."""
        pool = caller.pool
        if pool is None or self._pool_of(caller.current, now) is pool:
            return
        self._stand_no_more(caller)
        pool.leave_line(caller)
        pool.users -= 1
        self._join(caller, caller.current, now)
        if not caller.offered:
            self._seeking.append(caller)

    def _pool_of(self, step: Step, now: float) -> Pool:
        pool = self._pools.named(step) or self._pools.fixed(step.agents)
        if pool is None:
            pool = self._pools.make_fixed(step.agents, [self._agent(agent_id, now) for agent_id in step.agents])
        return pool


def _in_order(caller: CallerRecord) -> tuple[float, int]:
    return caller.score, caller.number


def _first_caller(agent: AgentRecord) -> CallerRecord | None:
    """The caller who waits for this agent, of all queues."""
    best: tuple[float, int, CallerRecord] | None = None
    for member in agent.memberships:
        first = member.pool.first_for(member)
        if first is not None and (best is None or first[:2] < best[:2]):
            best = first
    return None if best is None else best[2]
