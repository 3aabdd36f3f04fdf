"""A new session description on its way from one leg of an answered call to the other.

One exchange at a time (RFC 3264 section 4): re-INVITE or UPDATE with an offer, without one, and the
tail of a call whose INVITE came without an offer. The media engine rewrites every description on its way.
"""

from enum import Enum
from typing import TYPE_CHECKING

from b2bua.call.leg import AGENT, Leg
from media.terms import directions

if TYPE_CHECKING:
    from b2bua.call.call import Call


class State(Enum):
    """How far the exchange has come."""

    PREPARING_OFFER = "media prepares the offer"
    OFFERED = "offered to the other leg"
    PREPARING_ANSWER = "media prepares the answer"
    ASKED = "other leg asked for an offer"
    PREPARING_REQUESTED_OFFER = "media prepares the offer asked for"
    AWAITING_ACK = "waiting for the ACK with the answer"
    PREPARING_ACK = "media prepares the answer for the ACK"
    DONE = "done"

    __hash__ = object.__hash__


class Input(Enum):
    """What can happen to the exchange."""

    DESCRIPTION_READY = "description ready"
    MEDIA_FAILED = "media failed"
    ANSWERED = "other leg answered"
    ANSWERED_WITH_OFFER = "other leg offered"
    REFUSED = "other leg refused"
    ACKNOWLEDGED = "ACK with the answer"
    ACKNOWLEDGED_EMPTY = "ACK without an answer"

    __hash__ = object.__hash__


TRANSITIONS: dict[tuple[State, Input], tuple[str, State]] = {
    (State.PREPARING_OFFER, Input.DESCRIPTION_READY): ("pass_offer", State.OFFERED),
    (State.PREPARING_OFFER, Input.MEDIA_FAILED): ("refuse_488", State.DONE),
    (State.OFFERED, Input.ANSWERED): ("prepare_answer", State.PREPARING_ANSWER),
    (State.OFFERED, Input.REFUSED): ("refuse", State.DONE),
    (State.PREPARING_ANSWER, Input.DESCRIPTION_READY): ("accept", State.DONE),
    (State.PREPARING_ANSWER, Input.MEDIA_FAILED): ("refuse_488", State.DONE),
    (State.ASKED, Input.ANSWERED_WITH_OFFER): ("prepare_requested_offer", State.PREPARING_REQUESTED_OFFER),
    (State.ASKED, Input.REFUSED): ("refuse", State.DONE),
    (State.PREPARING_REQUESTED_OFFER, Input.DESCRIPTION_READY): ("accept", State.AWAITING_ACK),
    (State.PREPARING_REQUESTED_OFFER, Input.MEDIA_FAILED): ("refuse_488", State.DONE),
    (State.AWAITING_ACK, Input.ACKNOWLEDGED): ("prepare_ack", State.PREPARING_ACK),
    (State.AWAITING_ACK, Input.ACKNOWLEDGED_EMPTY): ("fail_ack", State.DONE),
    (State.PREPARING_ACK, Input.DESCRIPTION_READY): ("acknowledge", State.DONE),
    (State.PREPARING_ACK, Input.MEDIA_FAILED): ("fail_ack", State.DONE),
}


class Reoffer:
    """``asker`` wants another description; ``other`` is the leg that has to agree."""

    __slots__ = ("agent_says", "asker", "body", "method", "other", "state", "status")

    def __init__(self, asker: Leg, other: Leg, method: str, state: State) -> None:
        self.asker = asker
        self.other = other
        self.method = method
        self.state = state
        self.body = b""
        self.status = 0
        #: the agent's own description of this exchange
        self.agent_says = b""

    def step(self, call: "Call", happening: Input, at: int, body: bytes = b"", status: int = 0) -> None:
        """Advance by the table; a description or a status comes with the input."""
        entry = TRANSITIONS.get((self.state, happening))
        if entry is None:
            return
        self.body = body
        self.status = status
        action, self.state = entry
        if happening is Input.ANSWERED or happening is Input.ANSWERED_WITH_OFFER:
            self.heard(self.other, body)
        elif happening is Input.ACKNOWLEDGED:
            self.heard(self.asker, body)
        getattr(self, f"_{action}")(call, at)
        if self.state is State.DONE:
            call.reoffer_done(self)

    def heard(self, leg: Leg, description: bytes) -> None:
        """A leg's own description, as it came."""
        if leg.role == AGENT:
            self.agent_says = description

    def _pass_offer(self, call: "Call", at: int) -> None:
        session = self.other.talking_to
        # an UPDATE goes on as one only where the peer knows it (RFC 3311 section 5.1)
        method = "UPDATE" if self.method == "UPDATE" and session.peer_allows_update else "INVITE"
        session.offer(self.body, at / 1e9, method)

    def _prepare_answer(self, call: "Call", at: int) -> None:
        call.media.answer(call.id, self.other.role, self.asker.role, self.body)

    def _prepare_requested_offer(self, call: "Call", at: int) -> None:
        call.media.offer(call.id, self.other.role, self.asker.role, self.body)

    def _accept(self, call: "Call", at: int) -> None:
        self.asker.talking_to.accept_offer(self.body, at / 1e9)
        self._agreed(call, at)

    def _prepare_ack(self, call: "Call", at: int) -> None:
        call.media.answer(call.id, self.asker.role, self.other.role, self.body)

    def _acknowledge(self, call: "Call", at: int) -> None:
        self.other.talking_to.acknowledge(self.body, at / 1e9)
        self._agreed(call, at)

    def _agreed(self, call: "Call", at: int) -> None:
        """Who sends but does not listen has put the other on hold (RFC 3264 section 8.4)."""
        if self.state is State.DONE and self.agent_says:
            sends, receives = directions(self.agent_says)
            if receives or sends:
                call.agent_turned(not receives, at)

    def _fail_ack(self, call: "Call", at: int) -> None:
        # RFC 3261 13.2.1: an offer in a 2xx must be answered in the ACK; without, nobody knows where to send
        call.media.rollback(call.id)
        self.other.talking_to.acknowledge(b"", at / 1e9)
        call.descriptions_failed(at)

    def _refuse_488(self, call: "Call", at: int) -> None:
        self.status = 488
        self._refuse(call, at)

    def _refuse(self, call: "Call", at: int) -> None:
        call.media.rollback(call.id)
        self.asker.talking_to.refuse_offer(self.status, at / 1e9)
