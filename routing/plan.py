"""A routing plan: the steps that a caller goes through until an agent answers."""

from dataclasses import dataclass
from typing import Literal

StepKind = Literal["agent", "group"]
Strategy = Literal["in_order", "ring_all"]

#: Bounds of ``Step.ring_seconds``. RFC 3261 16.6 gives an INVITE three minutes by default; plans may want more.
SHORTEST_RING_SECONDS = 1
LONGEST_RING_SECONDS = 600

#: What a caller may be told when nobody answers; anything else would start an action of the caller's phone
#: (authentication, redirection) instead of ending its call.
REFUSALS: dict[int, str] = {
    404: "not found",
    480: "temporarily unavailable",
    486: "busy",
    503: "service unavailable",
    600: "busy everywhere",
    603: "declined",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step: who is offered the call, how, and for how long.

    ``agents`` are the agent ids that ``target`` stands for, in order, resolved when the directory was
    loaded: a live call goes on with the group as it was when the call came in.
    ``ring_seconds`` is how long an offer rings: each agent's in ``in_order``, the step's in ``ring_all``.
    """

    kind: StepKind
    target: str
    strategy: Strategy
    ring_seconds: int
    agents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """What becomes of a caller for whom nobody was found: a final SIP status."""

    status: int = 480

    def __str__(self) -> str:
        return f"{self.status} {REFUSALS.get(self.status, '')}".rstrip()
