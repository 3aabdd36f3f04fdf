"""The floor: all agents and all seeking callers; who is free, and who gets whom.

Sans-IO: inputs are method calls with the time as an argument (``now``: seconds of one monotonic clock),
answers are events in ``events``, never return values, so that a floor shared by many nodes can take this
one's place. Decisions depend on the order of inputs alone.

What holds at every moment, whatever the order of inputs:

- an agent has at most one offer or one caller;
- a caller has at most one winner, and while it has none, at least one offer that will time out;
- an agent comes free on every path: declined, timed out, answered elsewhere, caller gone, call over.
"""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from routing.contract import Contract
from routing.plan import Refusal, Step

DeclineReason = Literal["busy", "declined", "unreachable", "no_answer"]
WithdrawalCause = Literal["answered_elsewhere", "timed_out", "caller_left"]


class AgentState(Enum):
    """What the floor sees of an agent."""

    WAITING = "waiting"
    OFFERED = "offered"
    IN_CALL = "in_call"

    __hash__ = object.__hash__


class Input(Enum):
    """What can happen to an agent."""

    OFFER = "a caller is offered"
    ANSWER = "answered in time"
    DECLINE = "declined, busy or unreachable"
    WITHDRAW = "offer withdrawn"
    END = "call over"

    __hash__ = object.__hash__


#: (state, input) -> (action of Floor, next state); no other line sets an agent's state.
#: Inputs for a call that is not the agent's own never get here.
TRANSITIONS: dict[tuple[AgentState, Input], tuple[str, AgentState]] = {
    (AgentState.WAITING, Input.OFFER): ("offer", AgentState.OFFERED),
    (AgentState.OFFERED, Input.ANSWER): ("connect", AgentState.IN_CALL),
    (AgentState.OFFERED, Input.DECLINE): ("take_back", AgentState.WAITING),
    (AgentState.OFFERED, Input.WITHDRAW): ("withdraw", AgentState.WAITING),
    (AgentState.IN_CALL, Input.END): ("release", AgentState.WAITING),
}


@dataclass(frozen=True, slots=True)
class OfferMade:
    """Ring this agent for this call; the floor takes the offer back after ``ring_seconds``."""

    call_id: str
    agent_id: str
    ring_seconds: int


@dataclass(frozen=True, slots=True)
class OfferWithdrawn:
    """Stop ringing this agent."""

    call_id: str
    agent_id: str
    cause: WithdrawalCause


@dataclass(frozen=True, slots=True)
class AgentConnected:
    """This agent takes the call."""

    call_id: str
    agent_id: str


@dataclass(frozen=True, slots=True)
class AnswerRefused:
    """The agent answered an offer that was no longer theirs; hang up on them."""

    call_id: str
    agent_id: str


@dataclass(frozen=True, slots=True)
class NobodyFound:
    """The plan is used up; the floor has forgotten the caller."""

    call_id: str
    action: Refusal


FloorEvent = OfferMade | OfferWithdrawn | AgentConnected | AnswerRefused | NobodyFound


@dataclass(frozen=True, slots=True)
class FloorCounts:
    """How full the floor is, for metrics."""

    callers_seeking: int
    callers_connected: int
    agents_offered: int
    agents_in_call: int


class _Agent:
    """An agent that is busy or unreachable; waiting reachable ones need no record."""

    __slots__ = ("call_id", "id", "reachable", "state")

    def __init__(self, agent_id: str) -> None:
        self.id = agent_id
        self.state = AgentState.WAITING
        self.call_id = ""
        self.reachable = True


class _Caller:
    """A caller's way through its plan: ``step`` and the next ``member`` of it."""

    __slots__ = ("agent_id", "declined_by", "id", "if_nobody", "member", "offered", "plan", "step", "timer")

    def __init__(self, call_id: str, contract: Contract) -> None:
        self.id = call_id
        self.plan: tuple[Step, ...] = contract.plan
        self.if_nobody = contract.if_nobody
        self.step = 0
        self.member = 0
        #: agents that ring now, in order of offering
        self.offered: dict[str, None] = {}
        #: the agent that took the call
        self.agent_id = ""
        #: agents that said no to this caller; they are not asked again
        self.declined_by: tuple[str, ...] = ()
        #: number of the running ring timer, 0 for none
        self.timer = 0


class Floor:
    """See the module's docstring. Agents are known by id alone; which ones count is in each plan's steps."""

    def __init__(self) -> None:
        self.events: deque[FloorEvent] = deque()
        self._agents: dict[str, _Agent] = {}
        self._callers: dict[str, _Caller] = {}
        #: (when, timer number, call id); an entry whose number is not its caller's is dead
        self._timers: list[tuple[float, int, str]] = []
        self._timer_number = 0
        self._timers_running = 0

    # -- inputs ------------------------------------------------------------------------------------------

    def caller_entered(self, call_id: str, contract: Contract, now: float) -> None:
        """A caller seeks an agent by the contract's plan. A second entrance of the same call is ignored."""
        if call_id in self._callers:
            return
        caller = _Caller(call_id, contract)
        self._callers[call_id] = caller
        self._seek(caller, now)

    def caller_left(self, call_id: str, now: float) -> None:
        """The caller hung up, at whatever stage; offers are withdrawn, an agent in the call comes free."""
        self._forget(call_id)

    def call_ended(self, call_id: str, now: float) -> None:
        """The call is over, whoever ended it; the same as ``caller_left`` to the floor."""
        self._forget(call_id)

    def offer_declined(self, call_id: str, agent_id: str, reason: DeclineReason, now: float) -> None:
        """The agent's phones refused, or could not be reached. The next in the plan is asked at once."""
        caller = self._callers.get(call_id)
        if caller is None or agent_id not in caller.offered:
            return
        if reason == "declined":
            caller.declined_by = (*caller.declined_by, agent_id)
        self._step(agent_id, Input.DECLINE, caller)
        self._seek(caller, now)

    def offer_answered(self, call_id: str, agent_id: str, now: float) -> None:
        """The agent answered: AgentConnected if the offer still stood, AnswerRefused if it came too late."""
        caller = self._callers.get(call_id)
        if caller is not None and agent_id in caller.offered:
            self._step(agent_id, Input.ANSWER, caller)
        elif caller is None or caller.agent_id != agent_id:
            # a winner's second answer is no answer too late: refusing it would hang up on the caller
            self.events.append(AnswerRefused(call_id, agent_id))

    def agent_reachable(self, agent_id: str, reachable: bool) -> None:
        """Whether any phone of the agent can be rung. An agent of whom nothing was said counts as reachable:
        a wrong guess costs one offer, which comes back as unreachable at once; the other way it costs a call.
        Takes effect with the next offer."""
        agent = self._agents.get(agent_id)
        if agent is None:
            if reachable:
                return
            agent = self._agents[agent_id] = _Agent(agent_id)
        agent.reachable = reachable
        self._tidy(agent)

    def handle_timers(self, now: float) -> None:
        """Take back what has rung long enough."""
        timers = self._timers
        while timers and timers[0][0] <= now:
            _, number, call_id = heapq.heappop(timers)
            caller = self._callers.get(call_id)
            if caller is None or caller.timer != number:
                continue
            caller.timer = 0
            self._timers_running -= 1
            self._withdraw_all(caller, "timed_out")
            self._seek(caller, now)

    # -- outputs -----------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When ``handle_timers`` is due, in the seconds of ``now``; None if nothing rings."""
        timers = self._timers
        while timers:
            when, number, call_id = timers[0]
            caller = self._callers.get(call_id)
            if caller is not None and caller.timer == number:
                return when
            heapq.heappop(timers)
        return None

    def agent_state(self, agent_id: str) -> AgentState:
        """What the agent is doing; nothing is known of strangers, they wait."""
        agent = self._agents.get(agent_id)
        return AgentState.WAITING if agent is None else agent.state

    def is_reachable(self, agent_id: str) -> bool:
        """What ``agent_reachable`` said last."""
        agent = self._agents.get(agent_id)
        return agent is None or agent.reachable

    def counts(self) -> FloorCounts:
        """For metrics; walks over all agents that are not simply waiting."""
        states = [agent.state for agent in self._agents.values()]
        connected = sum(1 for caller in self._callers.values() if caller.agent_id)
        return FloorCounts(
            callers_seeking=len(self._callers) - connected,
            callers_connected=connected,
            agents_offered=states.count(AgentState.OFFERED),
            agents_in_call=states.count(AgentState.IN_CALL),
        )

    # -- finding an agent --------------------------------------------------------------------------------

    def _seek(self, caller: _Caller, now: float) -> None:
        """Go on through the plan until somebody rings or the plan is used up."""
        while not caller.offered:
            self._stop_timer(caller)
            if caller.step >= len(caller.plan):
                del self._callers[caller.id]
                self.events.append(NobodyFound(caller.id, caller.if_nobody))
                return
            step = caller.plan[caller.step]
            self._offer_step(caller, step)
            if caller.offered:
                self._start_timer(caller, now + step.ring_seconds)
            else:
                caller.step += 1
                caller.member = 0

    def _offer_step(self, caller: _Caller, step: Step) -> None:
        agents = step.agents
        in_order = step.strategy == "in_order"
        while caller.member < len(agents):
            agent_id = agents[caller.member]
            caller.member += 1
            if self._is_free(agent_id) and agent_id not in caller.declined_by:
                self._step(agent_id, Input.OFFER, caller)
                if in_order:
                    return

    def _is_free(self, agent_id: str) -> bool:
        agent = self._agents.get(agent_id)
        return agent is None or (agent.state is AgentState.WAITING and agent.reachable)

    def _forget(self, call_id: str) -> None:
        caller = self._callers.pop(call_id, None)
        if caller is None:
            return
        self._stop_timer(caller)
        self._withdraw_all(caller, "caller_left")
        if caller.agent_id:
            self._step(caller.agent_id, Input.END, caller)

    def _withdraw_all(self, caller: _Caller, cause: WithdrawalCause) -> None:
        for agent_id in tuple(caller.offered):
            self._step(agent_id, Input.WITHDRAW, caller, cause)

    # -- the agent's state table -------------------------------------------------------------------------

    def _step(
        self, agent_id: str, happening: Input, caller: _Caller, cause: WithdrawalCause = "answered_elsewhere"
    ) -> None:
        agent = self._agents.get(agent_id)
        if agent is None:
            agent = self._agents[agent_id] = _Agent(agent_id)
        action, agent.state = TRANSITIONS[agent.state, happening]
        _ACTIONS[action](self, agent, caller, cause)
        self._tidy(agent)

    def _tidy(self, agent: _Agent) -> None:
        if agent.state is AgentState.WAITING and agent.reachable:
            del self._agents[agent.id]

    def _offer(self, agent: _Agent, caller: _Caller, cause: WithdrawalCause) -> None:
        agent.call_id = caller.id
        caller.offered[agent.id] = None
        self.events.append(OfferMade(caller.id, agent.id, caller.plan[caller.step].ring_seconds))

    def _connect(self, agent: _Agent, caller: _Caller, cause: WithdrawalCause) -> None:
        del caller.offered[agent.id]
        caller.agent_id = agent.id
        self._stop_timer(caller)
        self.events.append(AgentConnected(caller.id, agent.id))
        self._withdraw_all(caller, "answered_elsewhere")

    def _take_back(self, agent: _Agent, caller: _Caller, cause: WithdrawalCause) -> None:
        agent.call_id = ""
        del caller.offered[agent.id]

    def _withdraw(self, agent: _Agent, caller: _Caller, cause: WithdrawalCause) -> None:
        self._take_back(agent, caller, cause)
        self.events.append(OfferWithdrawn(caller.id, agent.id, cause))

    def _release(self, agent: _Agent, caller: _Caller, cause: WithdrawalCause) -> None:
        agent.call_id = ""
        caller.agent_id = ""

    # -- ring timers -------------------------------------------------------------------------------------

    def _start_timer(self, caller: _Caller, when: float) -> None:
        self._timer_number += 1
        self._timers_running += 1
        caller.timer = self._timer_number
        heapq.heappush(self._timers, (when, self._timer_number, caller.id))
        if len(self._timers) > 2 * self._timers_running + 64:
            # mostly entries of callers who were answered long before the ring time was over
            self._timers = [entry for entry in self._timers if self._runs(entry)]
            heapq.heapify(self._timers)

    def _runs(self, entry: tuple[float, int, str]) -> bool:
        caller = self._callers.get(entry[2])
        return caller is not None and caller.timer == entry[1]

    def _stop_timer(self, caller: _Caller) -> None:
        if caller.timer:
            caller.timer = 0
            self._timers_running -= 1


_ACTIONS: dict[str, Callable[[Floor, _Agent, _Caller, WithdrawalCause], None]] = {
    action: getattr(Floor, f"_{action}") for action, _ in TRANSITIONS.values()
}
