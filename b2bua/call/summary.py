"""What is remembered of a call for its record; times are nanoseconds of the monotonic clock, 0 = never."""

from b2bua.sip.diversion import Forwarding
from b2bua.sip.identity import CallerIdentity
from b2bua.trunk import Trunk


class CallSummary:
    """Facts of one call, filled in as it goes on. ``end_reason`` is a stable slug.

    ``accepted_at`` is when we answered the caller ourselves, to wait or to be told something; ``answered_at`` when an
    agent did. ``left_for`` is where a caller went whom no agent took.
    """

    __slots__ = (
        "accepted_at", "agent", "answered_at", "caller", "dialled", "end_reason", "ended_at", "forwarding", "left_for",
        "origin", "rang_at", "started_at", "status", "target_number", "trunk",
    )  # fmt: skip

    def __init__(
        self,
        origin: str,
        trunk: Trunk | None,
        dialled: str,
        target_number: str,
        caller: CallerIdentity,
        forwarding: Forwarding | None,
        started_at: int,
    ) -> None:
        self.origin = origin
        self.trunk = trunk
        self.dialled = dialled
        self.target_number = target_number
        self.caller = caller
        self.forwarding = forwarding
        self.started_at = started_at
        self.rang_at = 0
        self.accepted_at = 0
        self.answered_at = 0
        self.ended_at = 0
        self.agent = ""
        self.status = 0
        self.end_reason = ""
        self.left_for = ""

    @property
    def billable(self) -> bool:
        """Only calls of a carrier are paid for; an agent who dials a target number makes a test call."""
        return self.trunk is not None

    @property
    def result(self) -> str:
        """``answered``, ``abandoned`` (caller gave up), ``no_agent`` or ``failed``."""
        if self.answered_at:
            return "answered"
        if self.left_for or self.end_reason == "nobody_available":
            return "no_agent"
        if self.end_reason == "caller_cancelled" or (self.accepted_at and self.end_reason.startswith("caller_")):
            return "abandoned"
        return "failed"
