"""What the SIP endpoint tells its user: everything here has happened."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from b2bua.sip.hop import Hop
from b2bua.sip.message import Request, Response

if TYPE_CHECKING:
    from b2bua.sip.server_transaction import ServerTransaction
    from b2bua.sip.session import Session


@dataclass(frozen=True, slots=True)
class InviteReceived:
    """A new call came in; nothing was answered yet, not even 100."""

    session: "Session"
    request: Request
    hop: Hop


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """A request outside any session that the endpoint does not answer itself (REGISTER)."""

    transaction: "ServerTransaction"
    request: Request
    hop: Hop


@dataclass(frozen=True, slots=True)
class ProgressReceived:
    """A provisional response above 100 to our INVITE; ``body`` is early media's SDP or empty."""

    session: "Session"
    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class SessionAnswered:
    """The first 2xx to our INVITE. ``ack_due``: the body is an offer, and ``acknowledge`` must answer it."""

    session: "Session"
    body: bytes
    ack_due: bool


@dataclass(frozen=True, slots=True)
class InviteFailed:
    """Our INVITE got a final refusal, nothing (408) or could not be sent (503)."""

    session: "Session"
    status: int
    reason: str
    response: Response | None


@dataclass(frozen=True, slots=True)
class InviteCancelled:
    """The caller gave up before the answer; 487 was sent."""

    session: "Session"
    reason: str


@dataclass(frozen=True, slots=True)
class AckReceived:
    """The caller's ACK to our 2xx; ``body`` is an SDP answer when our 2xx carried the offer."""

    session: "Session"
    body: bytes


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """An answered session is over: ``bye``, ``hangup`` (ours), ``ack_timeout``, ``session_expired`` or
    ``peer_lost``; ``reason`` is the peer's Reason header (RFC 3326)."""

    session: "Session"
    cause: str
    reason: str


@dataclass(frozen=True, slots=True)
class OfferReceived:
    """A re-INVITE or UPDATE wants another session description; an empty body asks us for an offer."""

    session: "Session"
    method: str
    body: bytes


@dataclass(frozen=True, slots=True)
class OfferAnswered:
    """Our re-INVITE or UPDATE was accepted. ``ack_due``: the body is an offer that wants an answer."""

    session: "Session"
    body: bytes
    ack_due: bool


@dataclass(frozen=True, slots=True)
class OfferFailed:
    """Our re-INVITE or UPDATE was refused; the session goes on as it was (RFC 3261 section 14.1)."""

    session: "Session"
    status: int


@dataclass(frozen=True, slots=True)
class OfferAcknowledged:
    """The ACK to our 2xx to a re-INVITE; ``body`` is the answer when our 2xx carried the offer."""

    session: "Session"
    body: bytes


@dataclass(frozen=True, slots=True)
class InfoReceived:
    """An INFO inside the session; answer it through ``transaction`` with ``Session.answer_request``."""

    session: "Session"
    transaction: "ServerTransaction"
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class InfoAnswered:
    """The final status of an INFO that we sent; ``token`` is what ``send_info`` was given."""

    session: "Session"
    token: object
    status: int


SipEvent = (
    InviteReceived
    | RequestReceived
    | ProgressReceived
    | SessionAnswered
    | InviteFailed
    | InviteCancelled
    | AckReceived
    | SessionEnded
    | OfferReceived
    | OfferAnswered
    | OfferFailed
    | OfferAcknowledged
    | InfoReceived
    | InfoAnswered
)
