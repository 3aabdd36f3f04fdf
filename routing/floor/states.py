"""The states of an agent and the one table that sets them."""

from enum import Enum


class AgentState(Enum):
    """What the floor sees of an agent."""

    WAITING = "waiting"
    OFFERED = "offered"
    IN_CALL = "in_call"
    WRAP_UP = "wrap_up"

    __hash__ = object.__hash__


class Input(Enum):
    """What can happen to an agent."""

    OFFER = "a caller is offered"
    ANSWER = "answered in time"
    DECLINE = "declined, busy or unreachable"
    WITHDRAW = "offer withdrawn"
    ENGAGE = "in a call that was not offered"
    END = "call over, or handed on"
    WRAP_UP_OVER = "wrap-up over, or ended by the agent"

    __hash__ = object.__hash__


#: (state, input) -> (action of Floor, next state); no other line sets an agent's state but reading one back.
#: Inputs for a call that is not the agent's own never get here.
TRANSITIONS: dict[tuple[AgentState, Input], tuple[str, AgentState]] = {
    (AgentState.WAITING, Input.OFFER): ("offer", AgentState.OFFERED),
    (AgentState.WAITING, Input.ENGAGE): ("engage", AgentState.IN_CALL),
    (AgentState.OFFERED, Input.ANSWER): ("connect", AgentState.IN_CALL),
    (AgentState.OFFERED, Input.DECLINE): ("take_back", AgentState.WAITING),
    (AgentState.OFFERED, Input.WITHDRAW): ("withdraw", AgentState.WAITING),
    (AgentState.IN_CALL, Input.END): ("wrap_up", AgentState.WRAP_UP),
    (AgentState.WRAP_UP, Input.WRAP_UP_OVER): ("release", AgentState.WAITING),
    (AgentState.WRAP_UP, Input.ENGAGE): ("engage", AgentState.IN_CALL),
}
