"""What the floor says: past tense, in the order in which it happened."""

from dataclasses import dataclass
from typing import Literal

from routing.floor.states import AgentState
from routing.plan import Destination, Refusal

DeclineReason = Literal["busy", "declined", "unreachable", "no_answer"]
WithdrawalCause = Literal["answered_elsewhere", "timed_out", "caller_left", "agent_unavailable"]
Status = Literal["available", "on_break", "logged_out"]
OverflowCause = Literal["plan_used_up", "nobody_logged_in", "queue_full", "waited_too_long", "digit"]


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
class CallerQueued:
    """The caller waits: nobody of the step is free. ``position`` counts from 1, who rings already included."""

    call_id: str
    position: int
    expected_wait_seconds: int


@dataclass(frozen=True, slots=True)
class PositionChanged:
    """Where a waiting caller stands now; told at most every ``FloorRules.position_seconds``."""

    call_id: str
    position: int
    expected_wait_seconds: int


@dataclass(frozen=True, slots=True)
class NobodyFound:
    """Nobody takes the call, and the caller is told so; the floor has forgotten the caller."""

    call_id: str
    action: Refusal
    cause: OverflowCause = "plan_used_up"


@dataclass(frozen=True, slots=True)
class CallerOverflowed:
    """Nobody takes the call, and the caller goes elsewhere; the floor has forgotten the caller."""

    call_id: str
    action: Destination
    cause: OverflowCause


@dataclass(frozen=True, slots=True)
class AgentStatusChanged:
    """The agent chose this, or the floor did for one who missed too many offers (``reason`` "missed_offers")."""

    agent_id: str
    status: Status
    reason: str


@dataclass(frozen=True, slots=True)
class WrapUpStarted:
    """The agent has this long for after-call work."""

    agent_id: str
    call_id: str
    seconds: int


@dataclass(frozen=True, slots=True)
class WrapUpEnded:
    """The after-call work is over; ``by_agent`` if before its time."""

    agent_id: str
    by_agent: bool


CallEvent = (
    OfferMade
    | OfferWithdrawn
    | AgentConnected
    | AnswerRefused
    | CallerQueued
    | PositionChanged
    | NobodyFound
    | CallerOverflowed
)
AgentEvent = AgentStatusChanged | WrapUpStarted | WrapUpEnded
FloorEvent = CallEvent | AgentEvent


@dataclass(frozen=True, slots=True)
class FloorCounts:
    """How full the floor is, for metrics. ``callers_waiting`` are those of the seeking for whom nobody rings."""

    callers_seeking: int
    callers_connected: int
    agents_offered: int
    agents_in_call: int
    agents_in_wrap_up: int = 0
    callers_waiting: int = 0


@dataclass(frozen=True, slots=True)
class AgentView:
    """An agent as the floor sees it, for people. ``reason`` is of a break; ``paused`` is not offered for a while."""

    id: str
    status: Status
    reason: str
    state: AgentState
    call_id: str
    reachable: bool
    paused: bool
    calls: int
    talk_seconds: float
