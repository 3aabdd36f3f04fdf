"""The parties of a call: one caller, and the phones that ring for it."""

from typing import TYPE_CHECKING

from b2bua.sip.session import Session
from routing.floor import DeclineReason

if TYPE_CHECKING:
    from b2bua.call.call import Call

CALLER = "caller"
AGENT = "agent"


class Leg:
    """One party's SIP session; ``session.owner`` points here, so that an event finds its call."""

    __slots__ = ("agent_id", "call", "early_body", "role", "session", "sip_call_id")

    def __init__(self, call: "Call", role: str, session: Session | None, agent_id: str = "") -> None:
        self.call = call
        self.role = role
        self.session = session
        self.agent_id = agent_id
        self.early_body = b""
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
    """One agent being rung for one caller, at one or more phones."""

    __slots__ = ("agent_id", "failure", "legs")

    def __init__(self, agent_id: str) -> None:
        self.agent_id = agent_id
        self.legs: list[Leg] = []
        self.failure: DeclineReason = "unreachable"

    def note_failure(self, leg: Leg, status: int) -> bool:
        """One phone refused; True if none is left ringing. The kindest of the reasons is kept."""
        if leg in self.legs:
            self.legs.remove(leg)
        if status in (486, 600):
            self.failure = "busy"
        elif status in (603, 403, 480, 487, 606) and self.failure != "busy":
            self.failure = "declined"
        return not self.legs
