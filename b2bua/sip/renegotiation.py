"""re-INVITE and UPDATE inside a session: one exchange at a time, glare, refreshes.

RFC 3261 section 14, RFC 3311, RFC 3264, RFC 6141. One machine a session, its table is ``TRANSITIONS``.
"""

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

from b2bua.sip.client_transaction import ClientTransaction, FailureReason
from b2bua.sip.events import OfferAcknowledged, OfferAnswered, OfferFailed, OfferReceived
from b2bua.sip.hop import Hop
from b2bua.sip.message import Request, Response, response_to
from b2bua.sip.server_transaction import ServerTransaction
from b2bua.sip.session_timer import minimum_expires, session_expires, supports_timer
from b2bua.sip.success import UnacknowledgedSuccess
from b2bua.sip.timers import Timer

if TYPE_CHECKING:
    from b2bua.sip.session import Session

SDP = "application/sdp"

#: How often a refresh of our own is tried again after 491 before the session is left to its timer.
MAX_GLARE_RETRIES = 4
#: How often a refresh is tried again with the longer interval of a 422 (RFC 4028 section 7.3).
MAX_INTERVAL_RETRIES = 3


class State(Enum):
    """Where the exchange stands."""

    IDLE = "idle"
    SENT = "offer sent"
    ACK_DUE = "ACK due"
    WAITING = "waiting after glare"
    RECEIVED = "offer received"
    ACCEPTED = "accepted, no ACK yet"


class Input(Enum):
    """What can happen to an exchange."""

    OFFER = "offer"
    ANSWERED = "2xx"
    ANSWERED_WITH_OFFER = "2xx with an offer"
    REFUSED = "refused"
    GLARE = "491"
    WAIT_OVER = "waited long enough"
    ACKNOWLEDGE = "acknowledge"
    REQUEST = "re-INVITE or UPDATE received"
    ACCEPT_INVITE = "accept re-INVITE"
    ACCEPT_UPDATE = "accept UPDATE"
    REFUSE = "refuse"
    ACK = "ACK received"
    ACK_LOST = "no ACK in 64*T1"

    __hash__ = object.__hash__


TRANSITIONS: dict[tuple[State, Input], tuple[str, State]] = {
    (State.IDLE, Input.OFFER): ("send_offer", State.SENT),
    (State.SENT, Input.OFFER): ("fail_own_offer", State.SENT),
    (State.ACK_DUE, Input.OFFER): ("fail_own_offer", State.ACK_DUE),
    (State.RECEIVED, Input.OFFER): ("fail_own_offer", State.RECEIVED),
    (State.ACCEPTED, Input.OFFER): ("fail_own_offer", State.ACCEPTED),
    # the offer that waits was a mere refresh: the new one refreshes as well
    (State.WAITING, Input.OFFER): ("send_offer", State.SENT),
    (State.SENT, Input.ANSWERED): ("note_answer", State.IDLE),
    (State.SENT, Input.ANSWERED_WITH_OFFER): ("note_offer_in_answer", State.ACK_DUE),
    (State.SENT, Input.REFUSED): ("note_refusal", State.IDLE),
    (State.SENT, Input.GLARE): ("wait_after_glare", State.WAITING),
    (State.WAITING, Input.WAIT_OVER): ("send_again", State.SENT),
    (State.ACK_DUE, Input.ACKNOWLEDGE): ("send_ack", State.IDLE),
    (State.IDLE, Input.REQUEST): ("take_request", State.RECEIVED),
    (State.WAITING, Input.REQUEST): ("take_request", State.RECEIVED),
    # RFC 3261 14.2: we have an offer of our own on the way
    (State.SENT, Input.REQUEST): ("refuse_with_491", State.SENT),
    (State.ACK_DUE, Input.REQUEST): ("refuse_with_491", State.ACK_DUE),
    (State.ACCEPTED, Input.REQUEST): ("refuse_with_491", State.ACCEPTED),
    # RFC 3261 14.2, RFC 3311 5.2: the peer sent a second one before the first was answered
    (State.RECEIVED, Input.REQUEST): ("refuse_with_500", State.RECEIVED),
    (State.RECEIVED, Input.ACCEPT_INVITE): ("send_success", State.ACCEPTED),
    (State.RECEIVED, Input.ACCEPT_UPDATE): ("answer_update", State.IDLE),
    (State.RECEIVED, Input.REFUSE): ("send_refusal", State.IDLE),
    (State.ACCEPTED, Input.ACK): ("note_ack", State.IDLE),
    (State.ACCEPTED, Input.ACK_LOST): ("end_session", State.IDLE),
}


class Renegotiation:
    """The exchange that is under way in one session, if any."""

    __slots__ = (
        "_ack", "_ack_sequence", "_body", "_glare_retries", "_interval_retries", "_invite", "_least", "_method",
        "_offered_nothing", "_refreshing", "_request", "_sequence", "_status", "_success", "_timer", "_transaction",
        "session", "state",
    )  # fmt: skip

    def __init__(self, session: "Session") -> None:
        self.session = session
        self.state = State.IDLE
        self._body = b""
        self._method = "INVITE"
        self._refreshing = False
        self._offered_nothing = False
        self._glare_retries = 0
        self._interval_retries = 0
        self._least = 0
        self._status = 0
        self._sequence = 0
        #: the ACK to the last 2xx to a re-INVITE of ours, for its repetitions, and whose it is
        self._ack: tuple[bytes, Hop] | None = None
        self._ack_sequence = 0
        self._timer: Timer | None = None
        self._transaction: ServerTransaction | None = None
        self._invite: ClientTransaction | None = None
        self._request: Request | None = None
        self._success: UnacknowledgedSuccess | None = None

    def _step(self, happening: Input, now: float) -> bool:
        entry = TRANSITIONS.get((self.state, happening))
        if entry is None:
            return False
        action, self.state = entry
        _ACTIONS[action](self, now)
        return True

    # -- our own offers ----------------------------------------------------------------------------------

    def offer(self, body: bytes, now: float, method: str) -> None:
        """Send the body, or ask for an offer with an empty re-INVITE. ``OfferFailed`` 491 if we are busy."""
        if self.session.dialog is None or self.session.over:
            self.session.user.emit(OfferFailed(self.session, 481))
            return
        if not self.session.confirmed:
            # RFC 3261 14.1: not while the first INVITE is in progress
            self.session.user.emit(OfferFailed(self.session, 491))
            return
        if self.state in (State.IDLE, State.WAITING):
            self._stop_waiting()
            self._body = body
            self._method = method
            self._refreshing = False
        self._step(Input.OFFER, now)

    def refresh(self, now: float) -> None:
        """Keep the session timer alive, by UPDATE where the peer knows it (RFC 4028 section 7.4)."""
        if self.state is not State.IDLE:
            return  # whatever is under way refreshes too
        self._glare_retries = self._interval_retries = 0
        self._send_refresh(now)

    def _send_refresh(self, now: float) -> None:
        self._refreshing = True
        self._method = "UPDATE" if self.session.peer_allows_update else "INVITE"
        self._body = b"" if self._method == "UPDATE" else self.session.local_body
        self._step(Input.OFFER, now)

    def acknowledge(self, body: bytes, now: float) -> bool:
        """Our answer to the offer that came in the 2xx to our re-INVITE; False if none is due."""
        self._body = body
        return self._step(Input.ACKNOWLEDGE, now)

    def _send_offer(self, now: float) -> None:
        session = self.session
        dialog = session.dialog
        assert dialog is not None
        request = dialog.request(self._method, session.user.ids.branch())
        request.set("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, INFO")
        request.set("Supported", "timer")
        if session.timer is not None and session.timer.interval:
            # RFC 4028 7.4: who refreshes stays as it was agreed
            ours = session.timer.refresher.value == "us"
            refresher = "uac" if ours else "uas"
            request.set("Session-Expires", f"{session.timer.interval};refresher={refresher}")
            if self._least:
                request.set("Min-SE", str(self._least))
        if self._body:
            request.set("Content-Type", SDP)
            request.body = self._body
        self._offered_nothing = self._method == "INVITE" and not self._body
        self._sequence = dialog.local_seq
        transaction = session.user.layer.request(request, dialog.next_hop(), self, now)
        self._invite = transaction if self._method == "INVITE" else None

    def _send_again(self, now: float) -> None:
        self._send_offer(now)

    def _fail_own_offer(self, now: float) -> None:
        self.session.user.emit(OfferFailed(self.session, 491))

    def response_received(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        """A response to our re-INVITE or UPDATE."""
        status = response.status
        if status < 200:
            return
        self._invite = None
        if status < 300:
            self._success_received(transaction, response, now)
        elif self._may_wait_after_glare(status):
            self._step(Input.GLARE, now)
        elif status == 422 and self._may_ask_for_longer(response):
            self._step(Input.REFUSED, now)
            self._send_refresh(now)
        else:
            self._status = status
            self._step(Input.REFUSED, now)
            if status in (408, 481):
                # RFC 3261 12.2.1.2: the peer does not know this dialog any more
                self.session.peer_lost("peer_lost", now)

    def _may_wait_after_glare(self, status: int) -> bool:
        return status == 491 and self._refreshing and not self.session.over and self._glare_retries < MAX_GLARE_RETRIES

    def _may_ask_for_longer(self, refusal: Response) -> bool:
        """Take the interval that a 422 to our refresh asks for (RFC 4028 section 7.3), a few times only."""
        timer = self.session.timer
        if not self._refreshing or timer is None or self.session.over or self._interval_retries >= MAX_INTERVAL_RETRIES:
            return False
        self._interval_retries += 1
        self._least = max(minimum_expires(refusal), self._least)
        timer.interval = max(self._least, timer.interval)
        return True

    def request_failed(self, transaction: ClientTransaction, reason: FailureReason, now: float) -> None:
        """No answer at all: the peer is gone (RFC 3261 section 14.1 and 12.2.1.2)."""
        self._invite = None
        self._status = 408
        self._step(Input.REFUSED, now)
        self.session.peer_lost("peer_lost", now)

    def _success_received(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        session = self.session
        dialog = session.dialog
        if dialog is None:
            return
        number = response.cseq.number
        if transaction.method == "INVITE" and self._ack is not None and number == self._ack_sequence:
            # RFC 3261 13.2.2.4: repeated, because our ACK was lost
            session.user.layer.send(*self._ack)
            return
        if number != self._sequence or self.state is not State.SENT:
            # repeated while the answer to a late offer is not there yet
            return
        if session.over:
            if transaction.method == "INVITE":
                self._send_ack_with(b"", number)
            self._step(Input.ANSWERED, now)
            return
        dialog.refresh_target(response)
        session.refreshed_as_caller(response, now)
        if response.body:
            session.remote_body = response.body
        if self._offered_nothing:
            self._step(Input.ANSWERED_WITH_OFFER, now)
        else:
            if transaction.method == "INVITE":
                self._send_ack_with(b"", self._sequence)
            if self._body:
                session.local_body = self._body
            self._step(Input.ANSWERED, now)

    def _send_ack_with(self, body: bytes, sequence: int) -> None:
        session = self.session
        dialog = session.dialog
        if dialog is None:
            return
        ack = dialog.request("ACK", session.user.ids.branch(), sequence)
        if body:
            ack.set("Content-Type", SDP)
            ack.body = body
        self._ack = (ack.encode(), dialog.next_hop())
        self._ack_sequence = sequence
        session.user.layer.send(*self._ack)

    def _note_answer(self, now: float) -> None:
        if not self._refreshing and not self.session.over:
            self.session.user.emit(OfferAnswered(self.session, self.session.remote_body, ack_due=False))

    def _note_offer_in_answer(self, now: float) -> None:
        self.session.user.emit(OfferAnswered(self.session, self.session.remote_body, ack_due=True))

    def _send_ack(self, now: float) -> None:
        if self._body:
            self.session.local_body = self._body
        self._send_ack_with(self._body, self._sequence)

    def _note_refusal(self, now: float) -> None:
        if not self._refreshing and not self.session.over:
            self.session.user.emit(OfferFailed(self.session, self._status))

    def _wait_after_glare(self, now: float) -> None:
        # RFC 3261 14.1: 2.1 to 4 s for the owner of the Call-ID, 0 to 2 s for the other, in units of 10 ms
        self._glare_retries += 1
        session = self.session
        draw = session.user.ids.number(16)
        ours = session.is_caller
        wait = 2.1 + draw % 191 / 100 if ours else draw % 201 / 100
        self._timer = session.user.timers.start(now + wait, self._wait_over)

    def _wait_over(self, now: float) -> None:
        self._timer = None
        self._step(Input.WAIT_OVER, now)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- the peer's offers -------------------------------------------------------------------------------

    def request_received(self, transaction: ServerTransaction, now: float) -> None:
        """A re-INVITE or UPDATE in this session, in order."""
        session = self.session
        request = transaction.request
        if session.early:
            # RFC 3261 14.2, RFC 3311 5.2: our answer to the first INVITE is still owed
            self._retry_later(transaction, now)
            return
        asked = session_expires(request)
        least = session.user.session_timer_policy.minimum
        if asked is not None and asked[0] < least and supports_timer(request):
            response = response_to(request, 422)
            response.set("Min-SE", str(least))
            transaction.respond(response, now)
            return
        kept = self._transaction
        self._transaction = transaction
        before = self.state
        self._step(Input.REQUEST, now)
        if before in (State.SENT, State.ACK_DUE, State.ACCEPTED, State.RECEIVED):
            self._transaction = kept

    def _take_request(self, now: float) -> None:
        self._stop_waiting()
        transaction = self._transaction
        assert transaction is not None
        session = self.session
        request = transaction.request
        dialog = session.dialog
        assert dialog is not None
        self._request = request
        dialog.refresh_target(request)
        if request.method == "INVITE":
            transaction.trying(now)
        nothing_new = request.body == session.remote_body and bool(session.local_body)
        if request.method == "UPDATE" and not request.body:
            self._step_accept(b"", now)
        elif request.body and nothing_new:
            # a session refresh (RFC 4028 section 7.4): the other leg need not hear of it
            self._step_accept(session.local_body, now)
        else:
            session.user.emit(OfferReceived(session, request.method, request.body))

    def accept(self, body: bytes, now: float) -> None:
        """The application's 200."""
        if self.state is State.RECEIVED and self._request is not None:
            self._step_accept(body, now)

    def _step_accept(self, body: bytes, now: float) -> None:
        # _take_request may call this before the table's new state is in force: it is set already
        request = self._request
        assert request is not None
        self._body = body
        if body:
            self.session.local_body = body
        if request.body:
            self.session.remote_body = request.body
        self._step(Input.ACCEPT_INVITE if request.method == "INVITE" else Input.ACCEPT_UPDATE, now)

    def refuse(self, status: int, now: float) -> None:
        """The application's refusal."""
        if self._request is not None:
            self._status = status
            self._step(Input.REFUSE, now)

    def _success_response(self, now: float) -> Response:
        session = self.session
        request = self._request
        dialog = session.dialog
        assert request is not None
        assert dialog is not None
        response = response_to(request, 200)
        response.set("Contact", dialog.contact)
        response.set("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, INFO")
        response.set("Supported", "timer")
        session.agree_timer_as_callee(request, response, now)
        if self._body:
            response.set("Content-Type", SDP)
            response.body = self._body
        return response

    def _send_success(self, now: float) -> None:
        transaction = self._transaction
        assert transaction is not None
        session = self.session
        response = self._success_response(now)
        self._success = UnacknowledgedSuccess(
            transaction, response, session.user.timers, session.user.settings, self._ack_lost, now
        )

    def _answer_update(self, now: float) -> None:
        transaction = self._transaction
        assert transaction is not None
        transaction.respond(self._success_response(now), now)
        self._forget_request()

    def _send_refusal(self, now: float) -> None:
        transaction = self._transaction
        request = self._request
        assert transaction is not None
        assert request is not None
        transaction.respond(response_to(request, self._status), now)
        self._forget_request()

    def _refuse_with_491(self, now: float) -> None:
        transaction = self._transaction
        assert transaction is not None
        transaction.respond(response_to(transaction.request, 491), now)

    def _refuse_with_500(self, now: float) -> None:
        transaction = self._transaction
        assert transaction is not None
        self._retry_later(transaction, now)

    def _retry_later(self, transaction: ServerTransaction, now: float) -> None:
        response = response_to(transaction.request, 500)
        response.set("Retry-After", str(self.session.user.ids.number(16) % 11))
        transaction.respond(response, now)

    def ack_received(self, request: Request, now: float) -> None:
        """The ACK to our 2xx to a re-INVITE."""
        invite = self._request
        if self._success is None or invite is None or request.cseq.number != invite.cseq.number:
            return
        self._success.acknowledged()
        self._success = None
        we_offered = not invite.body
        if request.body:
            self.session.remote_body = request.body
        self._step(Input.ACK, now)
        if we_offered:
            self.session.user.emit(OfferAcknowledged(self.session, request.body))

    def cancelled(self, now: float) -> None:
        """A CANCEL for a re-INVITE: the final answer follows anyway, within the other leg's time."""

    def _note_ack(self, now: float) -> None:
        self._forget_request()

    def _ack_lost(self, now: float) -> None:
        self._success = None
        self._step(Input.ACK_LOST, now)

    def _end_session(self, now: float) -> None:
        # RFC 3261 14.2: without the ACK the session's description is in doubt: end it with BYE
        self._forget_request()
        self.session.peer_lost("ack_timeout", now)

    def _forget_request(self) -> None:
        self._transaction = self._request = None

    def stop(self, now: float) -> None:
        """The session is over: a request that still waits is answered (RFC 3261 section 15.1.2)."""
        self._stop_waiting()
        # RFC 3261 13.2.2.4: a 2xx is acknowledged even if its offer is never answered
        self.acknowledge(b"", now)
        if self._invite is not None:
            # a peer that is gone may never answer it, and nothing but a CANCEL ends the waiting (section 9.1)
            self.session.user.layer.cancel(self._invite, None, now)
            self._invite = None
        if self._success is not None:
            self._success.acknowledged()
            self._success = None
        elif self._transaction is not None and self._request is not None:
            self._transaction.respond(response_to(self._request, 487), now)
        self._forget_request()


_ACTIONS: dict[str, Callable[[Renegotiation, float], None]] = {
    action: getattr(Renegotiation, f"_{action}") for action, _ in TRANSITIONS.values()
}
