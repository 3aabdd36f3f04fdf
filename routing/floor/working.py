"""The agents' side of the floor: their states by the one table, and what keeps them from being offered."""

from collections.abc import Callable

from routing.floor.agents import AgentRecord
from routing.floor.callers import CallerRecord, Talk
from routing.floor.events import (
    AgentConnected,
    AgentStatusChanged,
    DeclineReason,
    OfferMade,
    OfferWithdrawn,
    Status,
    WithdrawalCause,
    WrapUpStarted,
)
from routing.floor.queueing import Queueing
from routing.floor.rules import SHORTEST_DELAY_IN_QUEUE
from routing.floor.states import TRANSITIONS, AgentState, Input
from routing.floor.timers import Timer

#: Weight of the last call in the expected handling time.
_NEWEST = 0.1


class Working(Queueing):
    """What happens to agents; who is free then, is matched later."""

    def _agent(self, agent_id: str, now: float) -> AgentRecord:
        agent = self._agents.get(agent_id)
        if agent is None:
            agent = self._agents[agent_id] = AgentRecord(agent_id, now)
            agent.known = self._directory is None or agent_id in self._directory[0]
            # in no pool yet, so nobody can be waiting for them
            agent.free = agent.ranked = agent.can_be_offered
        return agent

    def _tidy(self, agent: AgentRecord) -> None:
        if not (agent.known or agent.memberships) and agent.state is AgentState.WAITING:
            self._timers.stop(agent.pause_timer)
            del self._agents[agent.id]

    def _refresh(self, agent: AgentRecord) -> None:
        """See whether the agent can be offered a call now."""
        if not agent.can_be_offered:
            self._not_free(agent)
        elif not agent.free:
            agent.free = True
            self._freed.append(agent)

    def _not_free(self, agent: AgentRecord) -> None:
        if agent.free:
            agent.free = agent.ranked = False
            agent.free_number += 1

    # -- status and reach --------------------------------------------------------------------------------

    def _set_status(self, agent: AgentRecord, status: Status, reason: str, now: float) -> None:
        before = (agent.present, agent.serving)
        if agent.status == "logged_out":
            agent.calls = 0
            agent.talk_seconds = 0.0
        if status == "available" and agent.status != "available":
            agent.idle_since = now
            agent.missed = 0
        agent.status = status
        agent.reason = reason
        self.events.append(AgentStatusChanged(agent.id, status, reason))
        self._presence_changed(agent, before, now, at_once=True)

    def _set_reachable(self, agent: AgentRecord, reachable: bool, now: float) -> None:
        before = (agent.present, agent.serving)
        agent.reachable = reachable
        self._presence_changed(agent, before, now, at_once=False)

    def _set_known(self, agent: AgentRecord, known: bool, now: float) -> None:
        before = (agent.present, agent.serving)
        agent.known = known
        self._presence_changed(agent, before, now, at_once=True)

    def _presence_changed(self, agent: AgentRecord, before: tuple[bool, bool], now: float, at_once: bool) -> None:
        present = agent.present - before[0]
        serving = agent.serving - before[1]
        if present or serving:
            for member in agent.memberships:
                member.pool.count(member, present, serving)
                if present < 0 and not member.pool.present[member.bucket]:
                    self._look_who_is_left(member.pool, now, at_once)
        self._refresh(agent)

    # -- offers that fail --------------------------------------------------------------------------------

    def _offer_failed(self, agent: AgentRecord, caller: CallerRecord, reason: DeclineReason, now: float) -> None:
        """The agent gets no other offer for a while, and a break after missing too many."""
        rules = self.rules
        if reason == "no_answer" and caller.current.strategy != "ring_all":
            # nobody misses a call that rings at everybody's
            agent.missed += 1
            if agent.missed == rules.missed_before_break:
                agent.missed = 0
                self._set_status(agent, "on_break", "missed_offers", now)
        seconds: float = getattr(rules, f"{reason}_delay")
        if caller.current.patience_seconds:
            seconds = max(seconds, SHORTEST_DELAY_IN_QUEUE)
        if seconds:
            self._pause(agent, seconds, now)

    def _pause(self, agent: AgentRecord, seconds: float, now: float) -> None:
        self._timers.stop(agent.pause_timer)
        agent.pause_timer = self._timers.start(now + seconds, Timer.PAUSE, agent)
        self._refresh(agent)

    def _withdraw_all(self, caller: CallerRecord, cause: WithdrawalCause, now: float) -> None:
        for agent in tuple(caller.offered.values()):
            self._step(agent, Input.WITHDRAW, now, caller, cause)

    def _withdraw_from(self, agent: AgentRecord, now: float) -> None:
        """The agent cannot take what rings there; the caller goes on."""
        caller = self._callers.get(agent.call_id) if agent.state is AgentState.OFFERED else None
        if caller is not None:
            self._step(agent, Input.WITHDRAW, now, caller, "agent_unavailable")
            self._seek_if_silent(caller)

    def _seek_if_silent(self, caller: CallerRecord) -> None:
        """The caller needs somebody else, if nobody rings any more."""
        if not caller.offered:
            self._timers.stop(caller.ring_timer)
            self._seeking.append(caller)

    # -- the agent's state table -------------------------------------------------------------------------

    def _step(
        self,
        agent: AgentRecord,
        happening: Input,
        now: float,
        caller: CallerRecord | None = None,
        cause: WithdrawalCause = "answered_elsewhere",
    ) -> None:
        action, agent.state = TRANSITIONS[agent.state, happening]
        _ACTIONS[action](self, agent, now, caller, cause)
        self._refresh(agent)

    def _offer(self, agent: AgentRecord, now: float, caller: CallerRecord | None, cause: WithdrawalCause) -> None:
        assert caller is not None
        self._offers += 1
        agent.turn = self._offers
        agent.call_id = caller.id
        caller.offered[agent.id] = agent
        caller.asked.add(agent.id)
        self.events.append(OfferMade(caller.id, agent.id, caller.current.ring_seconds))

    def _connect(self, agent: AgentRecord, now: float, caller: CallerRecord | None, cause: WithdrawalCause) -> None:
        assert caller is not None
        del caller.offered[agent.id]
        agent.missed = 0
        self._drop(caller)
        self._talk(agent, caller.id, caller.contract.wrap_up_seconds, now)
        self.events.append(AgentConnected(caller.id, agent.id))
        self._withdraw_all(caller, "answered_elsewhere", now)

    def _take_back(self, agent: AgentRecord, now: float, caller: CallerRecord | None, cause: WithdrawalCause) -> None:
        assert caller is not None
        agent.call_id = ""
        del caller.offered[agent.id]

    def _withdraw(self, agent: AgentRecord, now: float, caller: CallerRecord | None, cause: WithdrawalCause) -> None:
        assert caller is not None
        self._take_back(agent, now, caller, cause)
        self.events.append(OfferWithdrawn(caller.id, agent.id, cause))

    def _engage(self, agent: AgentRecord, now: float, caller: CallerRecord | None, cause: WithdrawalCause) -> None:
        self._stop_wrap_up(agent)

    def _wrap_up(self, agent: AgentRecord, now: float, caller: CallerRecord | None, cause: WithdrawalCause) -> None:
        talk = self._talks[agent.call_id]
        del talk.agents[agent.id]
        if not talk.agents:
            del self._talks[agent.call_id]
        seconds = talk.wrap_up_seconds if agent.wrap_up_seconds is None else agent.wrap_up_seconds
        talked = now - agent.talking_since
        agent.talk_seconds += talked
        self._handling += _NEWEST * (talked + seconds - self._handling)
        self._in_wrap_up += 1
        if seconds:
            agent.wrap_up_timer = self._timers.start(now + seconds, Timer.WRAP_UP, agent)
            self.events.append(WrapUpStarted(agent.id, agent.call_id, seconds))
        else:
            self._step(agent, Input.WRAP_UP_OVER, now)

    def _release(self, agent: AgentRecord, now: float, caller: CallerRecord | None, cause: WithdrawalCause) -> None:
        self._stop_wrap_up(agent)
        agent.call_id = ""
        agent.idle_since = now

    # -- talking and wrap-up -----------------------------------------------------------------------------

    def _talk(self, agent: AgentRecord, call_id: str, wrap_up_seconds: int, now: float) -> None:
        talk = self._talks.get(call_id)
        if talk is None:
            talk = self._talks[call_id] = Talk(wrap_up_seconds)
        talk.agents[agent.id] = agent
        agent.call_id = call_id
        agent.calls += 1
        agent.talking_since = now

    def _stop_wrap_up(self, agent: AgentRecord) -> None:
        if agent.call_id:
            # else the agent was waiting
            self._in_wrap_up -= 1
        self._timers.stop(agent.wrap_up_timer)
        agent.wrap_up_timer = 0


_ACTIONS: dict[str, Callable[[Working, AgentRecord, float, CallerRecord | None, WithdrawalCause], None]] = {
    action: getattr(Working, f"_{action}") for action, _ in TRANSITIONS.values()
}
