"""The floor: all agents and all seeking callers; who is free, who waits, and who gets whom.

Sans-IO: inputs are method calls with the time as an argument (``now``: seconds of one monotonic clock),
answers are events in ``events``, never return values, so that a floor shared by many nodes can take this
one's place. Decisions depend on the order of inputs, and on an injected source of numbers, alone.

What holds at every moment, whatever the order of inputs:

- an agent has at most one offer or one caller;
- a caller has at most one winner, and while it has none, somebody rings, or it waits with a limit of time;
- an agent comes free on every path: declined, timed out, answered elsewhere, caller gone, call over, wrapped up;
- no agent is free while a caller waits whom the agent could take;
- who waits goes before who comes later, but for priorities, which waiting makes up for.

A decision costs the logarithm of how many agents are free and callers wait, for each group and skill of the agent.
"""

from routing.floor.events import (
    AgentConnected,
    AgentEvent,
    AgentStatusChanged,
    AgentView,
    AnswerRefused,
    CallerOverflowed,
    CallerQueued,
    CallEvent,
    DeclineReason,
    FloorCounts,
    FloorEvent,
    NobodyFound,
    OfferMade,
    OfferWithdrawn,
    OverflowCause,
    PositionChanged,
    Status,
    WithdrawalCause,
    WrapUpEnded,
    WrapUpStarted,
)
from routing.floor.floor import Floor
from routing.floor.rules import FloorRules, NumberSource, Shuffle
from routing.floor.states import TRANSITIONS, AgentState, Input
from routing.floor.written import read_back, write_down

__all__ = [
    "TRANSITIONS",
    "AgentConnected",
    "AgentEvent",
    "AgentState",
    "AgentStatusChanged",
    "AgentView",
    "AnswerRefused",
    "CallEvent",
    "CallerOverflowed",
    "CallerQueued",
    "DeclineReason",
    "Floor",
    "FloorCounts",
    "FloorEvent",
    "FloorRules",
    "Input",
    "NobodyFound",
    "NumberSource",
    "OfferMade",
    "OfferWithdrawn",
    "OverflowCause",
    "PositionChanged",
    "Shuffle",
    "Status",
    "WithdrawalCause",
    "WrapUpEnded",
    "WrapUpStarted",
    "read_back",
    "write_down",
]
