"""The floor itself: inputs in, events out. See the package for what it promises."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from routing.contract import Agent, Contract, Group
from routing.floor.agents import AgentRecord
from routing.floor.callers import CallerRecord
from routing.floor.events import AgentView, AnswerRefused, DeclineReason, FloorCounts, Status, WrapUpEnded
from routing.floor.matching import Matching
from routing.floor.pools import Pool, places_of
from routing.floor.rules import SHORTEST_DELAY_IN_QUEUE, FloorRules, NumberSource
from routing.floor.states import AgentState, Input
from routing.floor.timers import Timer
from routing.plan import NextStep

_RULES = FloorRules()


class Floor(Matching):
    """See the package's docstring. Every input ends with nobody free and nobody waiting who could meet."""

    def __init__(self, rules: FloorRules = _RULES, numbers: NumberSource | None = None) -> None:
        super().__init__(rules, numbers)

    # -- inputs: callers ---------------------------------------------------------------------------------

    def caller_entered(
        self,
        call_id: str,
        contract: Contract,
        now: float,
        priority: int = 0,
        since: float | None = None,
        refused_by: Collection[str] = (),
    ) -> None:
        """A caller seeks an agent by the contract's plan, with a ``priority`` on top of the contract's.

        Who comes back after ``agent_lost`` has waited ``since`` then, and is not offered to who has ``refused_by`` now.
        A second entrance of the same call is ignored, unless its agent has left it.
        """
        if call_id in self._callers or call_id in self._talks:
            return
        self._entrances += 1
        came = now if since is None else since
        caller = CallerRecord(call_id, contract, came, self._entrances)
        caller.refused_by.update(refused_by)
        waiting = contract.waiting
        caller.priority = waiting.priority + priority
        caller.score = came - caller.priority * self.rules.seconds_per_priority
        if waiting.longest_seconds:
            over = max(now, came + waiting.longest_seconds)
            caller.longest_timer = self._timers.start(over, Timer.LONGEST_WAIT, caller)
        self._callers[call_id] = caller
        self._seeking.append(caller)
        self._settle(now)

    def caller_left(self, call_id: str, now: float) -> None:
        """The caller hung up, at whatever stage; offers are withdrawn, an agent in the call goes on to wrap-up."""
        caller = self._callers.get(call_id)
        if caller is not None:
            self._withdraw_all(caller, "caller_left", now)
            self._drop(caller)
        talk = self._talks.get(call_id)
        if talk is not None:
            for agent in list(talk.agents.values()):
                self._step(agent, Input.END, now)
        self._settle(now)

    def call_ended(self, call_id: str, now: float) -> None:
        """The call is over, whoever ended it; the same as ``caller_left`` to the floor."""
        self.caller_left(call_id, now)

    def digit_pressed(self, call_id: str, digit: str, now: float) -> None:
        """A caller who seeks leaves by a digit, if the contract has an exit there."""
        caller = self._callers.get(call_id)
        action = None if caller is None else caller.contract.waiting.exits.get(digit)
        if caller is None or action is None:
            return
        self._withdraw_all(caller, "caller_left", now)
        if isinstance(action, NextStep):
            caller.cause = "digit"
            self._leave_step(caller)
            self._seeking.append(caller)
        else:
            self._overflow(caller, action, "digit")
        self._settle(now)

    # -- inputs: offers and calls ------------------------------------------------------------------------

    def offer_declined(self, call_id: str, agent_id: str, reason: DeclineReason, now: float) -> None:
        """The agent's phones refused, or could not be reached. The next in the plan is asked at once."""
        caller = self._callers.get(call_id)
        if caller is None or agent_id not in caller.offered:
            return
        agent = caller.offered[agent_id]
        if reason == "declined":
            caller.refused_by.add(agent_id)
        self._step(agent, Input.DECLINE, now, caller)
        self._offer_failed(agent, caller, reason, now)
        self._seek_if_silent(caller)
        self._settle(now)

    def offer_answered(self, call_id: str, agent_id: str, now: float) -> None:
        """The agent answered: AgentConnected if the offer still stood, AnswerRefused if it came too late."""
        caller = self._callers.get(call_id)
        if caller is not None and agent_id in caller.offered:
            self._step(caller.offered[agent_id], Input.ANSWER, now, caller)
            self._settle(now)
            return
        talk = self._talks.get(call_id)
        if talk is None or agent_id not in talk.agents:
            # a winner's second answer is no answer too late: refusing it would hang up on the caller
            self.events.append(AnswerRefused(call_id, agent_id))

    def agent_left(self, call_id: str, agent_id: str, now: float) -> None:
        """The agent is out of the call, which goes on without: handed on to somebody else."""
        talk = self._talks.get(call_id)
        if talk is not None and agent_id in talk.agents:
            self._step(talk.agents[agent_id], Input.END, now)
            self._settle(now)

    def agent_lost(self, call_id: str, agent_id: str, now: float) -> None:
        """An answer came to nothing before the two talked: the agent hung up on the whisper, or the phones have no
        codec in common. It counts as a refusal; there is no after-call work. The caller may enter again."""
        talk = self._talks.get(call_id)
        if talk is None or agent_id not in talk.agents:
            return
        agent = talk.agents[agent_id]
        self._step(agent, Input.END, now)
        if agent.state is AgentState.WRAP_UP:
            self.events.append(WrapUpEnded(agent_id, by_agent=False))
            self._step(agent, Input.WRAP_UP_OVER, now)
        agent.calls -= 1
        self._pause(agent, max(self.rules.declined_delay, SHORTEST_DELAY_IN_QUEUE), now)
        self._settle(now)

    def agent_paused(self, agent_id: str, seconds: float, now: float) -> None:
        """The agent is offered nothing for so long, whatever else."""
        agent = self._agent(agent_id, now)
        if seconds > 0:
            self._pause(agent, seconds, now)
            self._settle(now)

    def agent_engaged(self, agent_id: str, call_id: str, now: float, wrap_up_seconds: int = 0) -> None:
        """The agent is in a call that the floor did not offer: handed on by another agent, or an outgoing one.

        What rings there is withdrawn. Ignored for an agent in a call, and for a call whose caller still seeks.
        """
        agent = self._agent(agent_id, now)
        if agent.state is AgentState.IN_CALL or call_id in self._callers:
            return
        self._withdraw_from(agent, now)
        self._step(agent, Input.ENGAGE, now)
        self._talk(agent, call_id, wrap_up_seconds, now)
        self._settle(now)

    # -- inputs: agents ----------------------------------------------------------------------------------

    def agent_reachable(self, agent_id: str, reachable: bool, now: float) -> None:
        """Whether any phone of the agent can be rung. An agent of whom nothing was said counts as reachable:
        a wrong guess costs one offer, which comes back as unreachable at once; the other way it costs a call.
        Takes effect with the next offer."""
        agent = self._agent(agent_id, now)
        if agent.reachable != reachable:
            self._set_reachable(agent, reachable, now)
            self._settle(now)

    def status_chosen(self, agent_id: str, status: Status, reason: str, now: float) -> None:
        """The agent's own choice, with the reason of a break. What rings is withdrawn from one who is away."""
        agent = self._agent(agent_id, now)
        if (agent.status, agent.reason) != (status, reason):
            self._set_status(agent, status, reason, now)
            if status != "available":
                self._withdraw_from(agent, now)
            self._settle(now)

    def wrap_up_finished(self, agent_id: str, now: float) -> None:
        """The agent has done the after-call work before its time."""
        agent = self._agents.get(agent_id)
        if agent is not None and agent.state is AgentState.WRAP_UP:
            self.events.append(WrapUpEnded(agent_id, by_agent=True))
            self._step(agent, Input.WRAP_UP_OVER, now)
            self._settle(now)

    def use(self, agents: Mapping[str, Agent], groups: Mapping[str, Group], now: float) -> None:
        """Take a directory's agents and groups. Talks, offers, status and figures stay; who is gone from the
        directory is offered nothing more."""
        self._directory = (agents, groups)
        for agent in agents.values():
            record = self._agent(agent.id, now)
            record.wrap_up_seconds = agent.wrap_up_seconds
        for record in list(self._agents.values()):
            known = record.id in agents
            if record.known != known:
                self._set_known(record, known, now)
                if not known:
                    self._withdraw_from(record, now)
        changed, shrunk = self._pools.use(places_of(self._agents, agents, groups))
        for record in changed:
            self._not_free(record)
            self._refresh(record)
        for caller in self._callers.values():
            self._follow_directory(caller, now)
        for pool in shrunk:
            self._look_who_is_left(pool, now, at_once=True)
        self._settle(now)
        for record in list(self._agents.values()):
            self._tidy(record)

    def handle_timers(self, now: float) -> None:
        """Do what is due."""
        while (due := self._timers.pop_due(now)) is not None:
            what, subject = due
            _TIMERS[what](self, subject, now)
            self._settle(now)

    # -- outputs -----------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When ``handle_timers`` is due, in the seconds of ``now``; None if nothing is."""
        return self._timers.next()

    def agent_state(self, agent_id: str) -> AgentState:
        """What the agent is doing; nothing is known of strangers, they wait."""
        agent = self._agents.get(agent_id)
        return AgentState.WAITING if agent is None else agent.state

    def is_reachable(self, agent_id: str) -> bool:
        """What ``agent_reachable`` said last."""
        agent = self._agents.get(agent_id)
        return agent is None or agent.reachable

    def agents(self) -> list[AgentView]:
        """Every agent of whom anything is known."""
        return [agent.view() for agent in self._agents.values()]

    def counts(self) -> FloorCounts:
        """For metrics; walks over all callers."""
        callers = self._callers.values()
        return FloorCounts(
            callers_seeking=len(callers),
            callers_connected=len(self._talks),
            agents_offered=sum(len(caller.offered) for caller in callers),
            agents_in_call=sum(len(talk.agents) for talk in self._talks.values()),
            agents_in_wrap_up=self._in_wrap_up,
            callers_waiting=sum(1 for caller in callers if caller.waiting),
        )

    # -- what is due -------------------------------------------------------------------------------------

    def _ring_over(self, caller: CallerRecord, now: float) -> None:
        for agent in tuple(caller.offered.values()):
            self._step(agent, Input.WITHDRAW, now, caller, "timed_out")
            self._offer_failed(agent, caller, "no_answer", now)
        self._seek_if_silent(caller)

    def _patience_over(self, caller: CallerRecord, now: float) -> None:
        caller.step_over = True
        self._seek_unless_rung(caller)

    def _wait_over(self, caller: CallerRecord, now: float) -> None:
        caller.too_long = True
        self._seek_unless_rung(caller)

    def _widen(self, caller: CallerRecord, now: float) -> None:
        step = caller.current
        caller.level = step.widening[caller.widened].level
        caller.widened += 1
        self._start_widening(caller, step)
        # from here on the caller stands with those who need no more than this level
        self._stand_no_more(caller)
        self._seek_unless_rung(caller)

    def _seek_unless_rung(self, caller: CallerRecord) -> None:
        # a phone that rings may ring on: to be answered in the last second is better than not at all
        if not caller.offered:
            self._seeking.append(caller)

    def _pause_over(self, agent: AgentRecord, now: float) -> None:
        agent.pause_timer = 0
        self._refresh(agent)

    def _wrap_up_over(self, agent: AgentRecord, now: float) -> None:
        self.events.append(WrapUpEnded(agent.id, by_agent=False))
        self._step(agent, Input.WRAP_UP_OVER, now)

    def _grace_over(self, pool: Pool, now: float) -> None:
        pool.grace_timer = 0
        self._look_who_is_left(pool, now, at_once=True)


_TIMERS: dict[Timer, Callable[[Floor, Any, float], None]] = {
    Timer.RING: Floor._ring_over,
    Timer.PATIENCE: Floor._patience_over,
    Timer.WIDENING: Floor._widen,
    Timer.LONGEST_WAIT: Floor._wait_over,
    Timer.PAUSE: Floor._pause_over,
    Timer.WRAP_UP: Floor._wrap_up_over,
    Timer.GRACE: Floor._grace_over,
    Timer.POSITIONS: Floor._tell_positions,
}
