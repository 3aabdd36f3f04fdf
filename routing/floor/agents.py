"""What the floor remembers of an agent."""

from typing import TYPE_CHECKING

from routing.floor.events import AgentView, Status
from routing.floor.states import AgentState

if TYPE_CHECKING:
    from routing.floor.pools import Pool


class Membership:
    """An agent in a pool: where in its order, in which bucket (a group's tier, or the level of a skill)."""

    __slots__ = ("agent", "bucket", "pool", "position")

    def __init__(self, agent: "AgentRecord", pool: "Pool", position: int, bucket: int) -> None:
        self.agent = agent
        self.pool = pool
        self.position = position
        self.bucket = bucket


class AgentRecord:
    """One agent. ``state`` is set by the floor's table alone; what follows from the rest is in ``Agents``."""

    __slots__ = (
        "call_id", "calls", "free", "free_number", "id", "idle_since", "known", "memberships", "missed", "pause_timer",
        "ranked", "reachable", "reason", "state", "status", "talk_seconds", "talking_since", "turn",
        "wrap_up_seconds", "wrap_up_timer",
    )  # fmt: skip

    def __init__(self, agent_id: str, now: float) -> None:
        self.id = agent_id
        self.state = AgentState.WAITING
        self.status: Status = "available"
        self.reason = ""
        self.reachable = True
        #: False for an agent that the directory has no longer
        self.known = True
        #: the call that rings here, or that is talked on
        self.call_id = ""
        self.idle_since = now
        #: number of the last offer, for taking turns
        self.turn = 0
        #: answered calls and the time talked in them, since the agent logged in
        self.calls = 0
        self.talk_seconds = 0.0
        self.talking_since = 0.0
        #: offers in a row that nobody answered
        self.missed = 0
        self.pause_timer = 0
        self.wrap_up_timer = 0
        self.wrap_up_seconds: int | None = None
        #: could be offered a call now; counts up when that ends, so that entries made before are known as dead
        self.free = False
        self.free_number = 0
        #: stands in the rankings of the pools
        self.ranked = False
        self.memberships: list[Membership] = []

    @property
    def present(self) -> bool:
        """Works now, if perhaps on a break; callers may wait for them."""
        return self.known and self.reachable and self.status != "logged_out"

    @property
    def serving(self) -> bool:
        """Takes calls, one after the other."""
        return self.known and self.reachable and self.status == "available"

    @property
    def can_be_offered(self) -> bool:
        """Takes a call now."""
        return self.serving and self.state is AgentState.WAITING and not self.pause_timer

    def view(self) -> AgentView:
        """For people."""
        return AgentView(
            self.id, self.status, self.reason, self.state, self.call_id, self.reachable, bool(self.pause_timer),
            self.calls, self.talk_seconds,
        )  # fmt: skip
