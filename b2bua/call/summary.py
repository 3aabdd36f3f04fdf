"""What is remembered of a call for its record; times are nanoseconds of the monotonic clock, 0 = never."""

from collections.abc import Sequence

from b2bua.sip.diversion import Forwarding
from b2bua.sip.identity import CallerIdentity
from b2bua.trunk import Trunk
from routing.line_route import Diverted

#: What a call was that only said a code was taken.
CODE = "code"


class CallSummary:
    """Facts of one call, filled in as it goes on. ``end_reason`` is a stable slug.

    ``accepted_at`` is when we answered the caller ourselves, to wait or to be told something; ``answered_at`` when an
    agent did. ``left_for`` is where a caller went whom no agent took. ``without_contract`` is a call to or from a line
    of ours, ``relayed_at`` when somebody answered it who is no agent; ``diverted`` are forwardings by our own lines.
    """

    __slots__ = (
        "accepted_at", "agent", "answered_at", "call_id", "caller", "dialled", "diverted", "end_reason", "ended_at",
        "forwarding", "left_for", "line", "origin", "rang_at", "relayed_at", "started_at", "status", "target_number",
        "trunk", "without_contract",
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
        #: ours, not SIP's; empty until there is a call
        self.call_id = ""
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
        self.without_contract = False
        #: the number of the line that placed the call
        self.line = ""
        self.relayed_at = 0
        self.diverted: Sequence[Diverted] = ()

    @property
    def billable(self) -> bool:
        """Only calls of a carrier or of a line are paid for; an agent who dials a target number makes a test call."""
        return self.trunk is not None or self.origin.startswith("line:")

    @property
    def result(self) -> str:
        """``answered``, ``abandoned`` (caller gave up), ``no_agent`` or ``failed``; without a contract ``relayed``
        (somebody answered), ``code`` (one was dialled), ``abandoned`` or ``failed``."""
        if self.answered_at:
            return "answered"
        if self.without_contract:
            if self.relayed_at:
                return "relayed"
            if self.left_for == CODE:
                return CODE
            return "abandoned" if self.end_reason == "caller_cancelled" else "failed"
        if self.left_for or self.end_reason == "nobody_available":
            return "no_agent"
        if self.end_reason == "caller_cancelled" or (self.accepted_at and self.end_reason.startswith("caller_")):
            return "abandoned"
        return "failed"
