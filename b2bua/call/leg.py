"""The parties of a call: one caller, and the phones that ring for it."""

from typing import TYPE_CHECKING

from b2bua.call.phones import Phone
from b2bua.sip.session import Session
from b2bua.sip.timers import Timer
from routing.floor import DeclineReason

if TYPE_CHECKING:
    from b2bua.call.call import Call

CALLER = "caller"
AGENT = "agent"


class Leg:
    """One party's SIP session; ``session.owner`` points here, so that an event finds its call.

    ``over_trunk``: what is heard before the answer is the agent's mobile network, and nothing for the caller.
    """

    __slots__ = ("agent_id", "call", "early_body", "over_trunk", "role", "session", "sip_call_id")

    def __init__(self, call: "Call", role: str, session: Session | None, agent_id: str = "") -> None:
        self.call = call
        self.role = role
        self.session = session
        self.agent_id = agent_id
        self.early_body = b""
        self.over_trunk = False
        self.sip_call_id = ""

    @property
    def talking_to(self) -> Session:
        """The session; only asked for while the leg has one."""
        assert self.session is not None
        return self.session

    def release(self) -> None:
        """Break the circle of call, leg and session."""
        if self.session is not None:
            self.session.owner = None
            self.session = None


class Offer:
    """One agent being rung for one caller, at one or more phones.

    ``turns`` are phones that ring after those that do now, ``turn_seconds`` how long each turn is.
    """

    __slots__ = ("agent_id", "failure", "legs", "timer", "turn_seconds", "turns")

    def __init__(self, agent_id: str) -> None:
        self.agent_id = agent_id
        self.legs: list[Leg] = []
        self.failure: DeclineReason = "unreachable"
        self.turns: list[list[Phone]] = []
        self.turn_seconds = 0.0
        self.timer: Timer | None = None

    def end_turns(self) -> None:
        """No other phones will ring after those that do."""
        self.turns = []
        self.end_turn()

    def end_turn(self) -> None:
        """Whoever rings now rings no longer by the clock."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def note_failure(self, leg: Leg, status: int) -> bool:
        """One phone refused; True if none is left ringing. The kindest of the reasons is kept."""
        if leg in self.legs:
            self.legs.remove(leg)
        if status in (486, 600):
            self.failure = "busy"
        elif status in (603, 403, 480, 487, 606) and self.failure != "busy":
            self.failure = "declined"
        return not self.legs
