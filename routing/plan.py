"""A routing plan: the steps that a caller goes through until an agent answers, and what becomes of the others."""

from dataclasses import dataclass
from typing import Literal

StepKind = Literal["agent", "group", "skill"]
Strategy = Literal[
    "longest_idle", "round_robin", "fewest_calls", "least_talk_time", "ring_all", "in_order", "random"
]  # fmt: skip

#: Bounds of ``Step.ring_seconds``. RFC 3261 16.6 gives an INVITE three minutes by default; plans may want more.
SHORTEST_RING_SECONDS = 1
LONGEST_RING_SECONDS = 600

#: Bounds of a skill's level, and of a tier in a group.
LOWEST_LEVEL = 1
HIGHEST_LEVEL = 10
FIRST_TIER = 1
LAST_TIER = 10

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
class Widening:
    """``after_seconds`` in a step a lower ``level`` of the skill will do."""

    after_seconds: int
    level: int


@dataclass(frozen=True, slots=True)
class Step:
    """One step: who is offered the call, how, for how long, and whether the caller waits for them.

    ``agents`` are the agent ids that ``target`` stands for, in order, resolved when the directory was loaded.
    A floor that knows the directory asks it instead, so that who waits meets an agent who joined since.
    ``ring_seconds`` is how long an offer rings: all of the step's at once in ``ring_all``, else each agent's.
    ``level`` is the least that will do of a skill. Who waits takes every free agent of the step again and again
    for ``patience_seconds``; with 0 the caller does not wait: everybody free is asked once, then comes the next
    step. ``widening`` is in order of time, and its levels fall.
    """

    kind: StepKind
    target: str
    strategy: Strategy = "longest_idle"
    ring_seconds: int = 20
    agents: tuple[str, ...] = ()
    level: int = LOWEST_LEVEL
    patience_seconds: int = 0
    widening: tuple[Widening, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """What becomes of a caller for whom nobody was found: a final SIP status."""

    status: int = 480

    def __str__(self) -> str:
        return f"{self.status} {REFUSALS.get(self.status, '')}".rstrip()


@dataclass(frozen=True, slots=True)
class NextStep:
    """The caller goes on to the plan's next step: another group."""

    def __str__(self) -> str:
        return "the next step"


@dataclass(frozen=True, slots=True)
class Dial:
    """The caller is connected to another number over the trunk."""

    number: str

    def __str__(self) -> str:
        return f"dial {self.number}"


@dataclass(frozen=True, slots=True)
class Announce:
    """The caller hears an announcement; then the call is over."""

    announcement: str

    def __str__(self) -> str:
        return f"announcement {self.announcement}"


@dataclass(frozen=True, slots=True)
class Voicemail:
    """The caller leaves a message."""

    mailbox: str

    def __str__(self) -> str:
        return f"voicemail {self.mailbox}"


@dataclass(frozen=True, slots=True)
class Callback:
    """The caller is noted down to be called back."""

    def __str__(self) -> str:
        return "callback"


#: Where a caller goes for whom the floor finds nobody; the floor has done with them.
Destination = Refusal | Dial | Announce | Voicemail | Callback
#: What happens at a limit, which need not be the end of the plan.
Overflow = Destination | NextStep
