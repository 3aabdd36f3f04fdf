"""What the floor remembers of a caller for whom it seeks an agent, and of one who has found one."""

from typing import TYPE_CHECKING

from routing.contract import Contract
from routing.floor.events import OverflowCause
from routing.plan import Step

if TYPE_CHECKING:
    from routing.floor.agents import AgentRecord
    from routing.floor.pools import Pool


class CallerRecord:
    """A caller's way through the plan of their contract."""

    __slots__ = (
        "asked", "cause", "contract", "entered_at", "id", "level", "longest_timer", "number", "offered",
        "patience_timer", "pool", "priority", "queued", "refused_by", "ring_timer", "score", "stamp", "step",
        "step_over", "step_since", "told_position", "too_long", "waiting", "widened", "widening_timer",
    )  # fmt: skip

    def __init__(self, call_id: str, contract: Contract, now: float, number: int) -> None:
        self.id = call_id
        self.contract = contract
        self.entered_at = now
        self.priority = 0
        #: when the caller would have come without any priority: the lowest goes first
        self.score = now
        #: settles who is first of callers with the same score
        self.number = number
        self.step = 0
        self.step_since = now
        #: who may take the call in this step; None between steps
        self.pool: Pool | None = None
        #: what level will do, and how many of the step's widenings have been
        self.level = 0
        self.widened = 0
        #: agents that ring now, in order of offering
        self.offered: dict[str, AgentRecord] = {}
        #: agents that were asked in this round; in a queue another round begins when nobody else is free
        self.asked: set[str] = set()
        #: agents that said no to this caller; they are not asked again
        self.refused_by: set[str] = set()
        #: stands among those whom a free agent takes; counts up when that ends: entries made before are dead
        self.waiting = False
        self.stamp = 0
        #: was told to wait in this step, and where
        self.queued = False
        self.told_position = 0
        #: patience of the step, or of the contract, is over; what rings may ring on
        self.step_over = False
        self.too_long = False
        #: why the caller left the last step
        self.cause: OverflowCause = "plan_used_up"
        self.ring_timer = 0
        self.patience_timer = 0
        self.widening_timer = 0
        self.longest_timer = 0

    @property
    def current(self) -> Step:
        """The step that the caller is in."""
        return self.contract.plan[self.step]

    @property
    def may_wait(self) -> bool:
        """In a step that lets callers wait, and not for too long yet."""
        return self.pool is not None and self.current.patience_seconds > 0 and not (self.step_over or self.too_long)


class Talk:
    """A call that has found its agent; two of them while one asks the other."""

    __slots__ = ("agents", "wrap_up_seconds")

    def __init__(self, wrap_up_seconds: int) -> None:
        self.agents: dict[str, AgentRecord] = {}
        self.wrap_up_seconds = wrap_up_seconds
