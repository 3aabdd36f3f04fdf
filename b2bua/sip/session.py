"""An INVITE session, caller's or callee's side: RFC 3261 sections 12 to 15 on top of the transactions.

The state is set by one table, that of ``session_states``; re-INVITE and UPDATE have their own machine in
``renegotiation``. What the peer does comes out as events of ``b2bua.sip.events``.
"""

from collections.abc import Callable
from typing import Protocol

from b2bua.sip.client_transaction import ClientTransaction, FailureReason
from b2bua.sip.dialog import Dialog, LocalAddress
from b2bua.sip.errors import LocalProtocolError
from b2bua.sip.events import (
    AckReceived,
    InfoAnswered,
    InfoReceived,
    InviteCancelled,
    InviteFailed,
    ProgressReceived,
    SessionAnswered,
    SessionEnded,
    SipEvent,
)
from b2bua.sip.forks import Forks
from b2bua.sip.hop import Hop
from b2bua.sip.ids import IdSource
from b2bua.sip.message import Request, Response, response_to
from b2bua.sip.renegotiation import Renegotiation
from b2bua.sip.server_transaction import ServerTransaction
from b2bua.sip.session_states import TRANSITIONS, Input, State
from b2bua.sip.session_timer import (
    ABSOLUTE_MINIMUM,
    Refresher,
    SessionTimer,
    SessionTimerPolicy,
    minimum_expires,
    session_expires,
    supports_timer,
)
from b2bua.sip.success import UnacknowledgedSuccess
from b2bua.sip.timers import Timer, TimerHeap, TimerSettings
from b2bua.sip.transactions import TransactionLayer

ALLOW = "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, INFO"
ALLOWED_IN_SESSION = frozenset(ALLOW.split(", "))
SDP = "application/sdp"

#: RFC 3261 13.3.1.1: a proxy may drop an INVITE that hears nothing for three minutes, so ringing is repeated.
REPEAT_RINGING_AFTER = 60.0


class SessionUser(Protocol):
    """What a session needs of the endpoint around it."""

    timers: TimerHeap
    settings: TimerSettings
    layer: TransactionLayer
    ids: IdSource
    session_timer_policy: SessionTimerPolicy
    product: str

    def emit(self, event: SipEvent) -> None:
        """Queue an event for the application."""

    def enter(self, session: "Session") -> None:
        """Find this session by its dialog from now on."""

    def leave(self, session: "Session") -> None:
        """Forget this session's dialog."""


class Session:
    """One INVITE session with one peer; ``owner`` is the application's, to find its call again.

    Made by ``Endpoint`` (incoming: ``InviteReceived``; outgoing: ``Endpoint.invite``).
    """

    __slots__ = (
        "_ack", "_bye_reason", "_cause", "_forks", "_invite", "_offer_sent",
        "_progress_timer", "_refusal", "_renegotiation", "_success", "_tries", "address",
        "dialog", "hop", "invite", "is_caller", "local_body", "owner", "peer_allows_update", "remote_body", "state",
        "symmetric", "timer", "user",
    )  # fmt: skip

    def __init__(self, user: SessionUser, state: State, invite: Request, hop: Hop, address: LocalAddress) -> None:
        self.user = user
        self.state = state
        self.invite: Request | None = invite
        self.hop = hop
        self.address = address
        self.is_caller = state is State.OUTGOING
        self.owner: object = None
        self.dialog: Dialog | None = None
        self.local_body = b""
        self.remote_body = b""
        self.peer_allows_update = False
        self.symmetric = False
        self.timer: SessionTimer | None = None
        self._invite: ServerTransaction | ClientTransaction | None = None
        self._success: UnacknowledgedSuccess | None = None
        self._renegotiation: Renegotiation | None = None
        self._ack: tuple[bytes, Hop] | None = None
        self._forks: Forks | None = None
        self._progress_timer: Timer | None = None
        self._refusal: Response | None = None
        self._bye_reason = ""
        self._cause = "hangup"
        self._offer_sent = False
        self._tries = 0

    # -- the state table ---------------------------------------------------------------------------------

    def _step(self, happening: Input, now: float) -> bool:
        entry = TRANSITIONS.get((self.state, happening))
        if entry is None:
            return False
        action, self.state = entry
        _ACTIONS[action](self, now)
        return True

    # -- the callee's side: what the application asks for ------------------------------------------------

    def trying(self, now: float) -> None:
        """Send 100: the caller stops repeating its INVITE while an agent is sought."""
        if self.state is State.INCOMING:
            self._server_invite().trying(now)

    def ring(self, now: float, status: int = 180, body: bytes = b"") -> None:
        """Send a provisional response (101 to 199), with early media's SDP if there is a body."""
        if self.state is not State.INCOMING:
            return
        response = self._response_to_invite(status)
        if body:
            response.set("Content-Type", SDP)
            response.body = body
        self._server_invite().respond(response, now)
        self._repeat_ringing_later(response, now)

    def answer(self, body: bytes, now: float) -> None:
        """Send 200 with our session description and repeat it until the ACK."""
        self.local_body = body
        self._step(Input.ANSWER, now)

    def refuse(self, status: int, now: float, extra: list[tuple[str, str]] | None = None, phrase: str = "") -> None:
        """Send a final refusal, 300 to 699; ``phrase`` is for the peer's display (RFC 3261 section 7.2)."""
        self._refuse(Input.REFUSE, status, now, extra, phrase)

    def turn_away(self, status: int, now: float, extra: list[tuple[str, str]] | None = None) -> None:
        """Refuse a stranger and keep nothing of the call (RFC 3261 section 8.2.7)."""
        self._refuse(Input.TURN_AWAY, status, now, extra)

    def _refuse(
        self, how: Input, status: int, now: float, extra: list[tuple[str, str]] | None, phrase: str = ""
    ) -> None:
        if self.state is State.INCOMING:
            self._refusal = self._response_to_invite(status)
            self._refusal.reason = phrase or self._refusal.reason
            for name, value in extra or ():
                self._refusal.add(name, value)
            self._step(how, now)

    def hangup(self, now: float, reason: str = "") -> None:
        """End the session whatever its state: refuse, CANCEL or BYE; ``reason`` is a Reason value (RFC 3326)."""
        self._bye_reason = reason
        if self.state is State.INCOMING:
            self._refusal = self._response_to_invite(480)
        self._step(Input.HANGUP, now)

    @property
    def over(self) -> bool:
        """True once nothing more is said but what the closing takes."""
        return self.state in (State.CANCELLING, State.ENDING, State.CLOSING, State.TERMINATED)

    @property
    def confirmed(self) -> bool:
        """True while the session stands: answered, acknowledged and not over."""
        return self.state is State.CONFIRMED

    @property
    def early(self) -> bool:
        """True while our final answer to the peer's INVITE is owed."""
        return self.state is State.INCOMING

    # -- the caller's side -------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Send the INVITE; ``Endpoint.invite`` calls this."""
        invite = self.invite
        assert invite is not None
        self._offer_sent = bool(invite.body)
        self.local_body = invite.body
        self._invite = self.user.layer.request(invite, self.hop, self, now)

    def acknowledge(self, body: bytes, now: float) -> None:
        """ACK the 2xx that carried an offer (``ack_due``); ``body`` is our answer."""
        if self._renegotiation is not None and self._renegotiation.acknowledge(body, now):
            return
        if self._ack is None and self.dialog is not None:
            self.local_body = body or self.local_body
            self._send_ack(self.dialog, body)

    # -- inside the session ------------------------------------------------------------------------------

    def offer(self, body: bytes, now: float, method: str = "INVITE") -> None:
        """Offer another description by re-INVITE (empty: ask the peer for an offer) or UPDATE."""
        self.renegotiation.offer(body, now, method)

    def accept_offer(self, body: bytes, now: float) -> None:
        """Answer the peer's re-INVITE or UPDATE with 200; the body is our answer, or our offer if it asked."""
        self.renegotiation.accept(body, now)

    def refuse_offer(self, status: int, now: float) -> None:
        """Refuse the peer's re-INVITE or UPDATE; the session goes on as it was."""
        self.renegotiation.refuse(status, now)

    def send_info(self, content_type: str, body: bytes, token: object, now: float) -> None:
        """Send an INFO (RFC 6086 legacy usage); ``InfoAnswered`` brings the token back."""
        if self.dialog is None or self.state is not State.CONFIRMED:
            self.user.emit(InfoAnswered(self, token, 481))
            return
        request = self.dialog.request("INFO", self.user.ids.branch())
        if body:
            request.set("Content-Type", content_type)
            request.body = body
        self.user.layer.request(request, self.dialog.next_hop(), _InfoOwner(self, token), now)

    def answer_request(self, transaction: ServerTransaction, status: int, now: float) -> None:
        """Answer an INFO that came as ``InfoReceived``; what comes too late is not sent (RFC 4320 section 4.2)."""
        if status == 408:
            transaction.abandon()
        elif not transaction.ended:
            transaction.respond(self._in_dialog_response(transaction.request, status), now)

    @property
    def renegotiation(self) -> Renegotiation:
        """The re-INVITE and UPDATE machine of this session, made when it is first needed."""
        if self._renegotiation is None:
            self._renegotiation = Renegotiation(self)
        return self._renegotiation

    # -- what the transaction layer tells ----------------------------------------------------------------

    def request_received(self, transaction: ServerTransaction, now: float) -> None:
        """A request inside this dialog; merged and malformed ones never come here."""
        request = transaction.request
        dialog = self.dialog
        method = request.method
        if dialog is None or self.state is State.TERMINATED:
            transaction.respond(response_to(request, 481, to_tag=self.user.ids.tag()), now)
            return
        if not dialog.in_order(request):
            # RFC 3261 12.2.2: out of order
            transaction.respond(self._in_dialog_response(request, 500), now)
            return
        dialog.peer = transaction.hop
        if method == "BYE":
            transaction.respond(self._in_dialog_response(request, 200), now)
            self._bye_reason = request.get("Reason") or ""
            self._step(Input.BYE_RECEIVED, now)
        elif self.state in (State.CLOSING, State.ENDING):
            transaction.respond(self._in_dialog_response(request, 481), now)
        elif method in ("INVITE", "UPDATE"):
            if method == "INVITE":
                transaction.owner = self
            self.renegotiation.request_received(transaction, now)
        elif method == "INFO":
            if self.state is State.CONFIRMED:
                body_type = request.get("Content-Type") or ""
                self.user.emit(InfoReceived(self, transaction, body_type, request.body))
            else:
                transaction.respond(self._in_dialog_response(request, 500), now)
        elif method == "OPTIONS":
            response = self._in_dialog_response(request, 200)
            response.set("Allow", ALLOW)
            response.set("Accept", SDP)
            response.set("Supported", "timer")
            transaction.respond(response, now)
        else:
            response = self._in_dialog_response(request, 405)
            response.set("Allow", ALLOW)
            transaction.respond(response, now)

    def ack_received(self, request: Request, now: float) -> None:
        """An ACK to one of our 2xx: the first INVITE's or a re-INVITE's."""
        invite = self.invite
        if self._success is not None and invite is not None and request.cseq.number == invite.cseq.number:
            self._success.acknowledged()
            self._success = None
            if request.body:
                self.remote_body = request.body
            body = request.body
            answered = self.state is State.ANSWERED
            self._step(Input.ACK_RECEIVED, now)
            if answered:
                self.user.emit(AckReceived(self, body))
        elif self._renegotiation is not None:
            self._renegotiation.ack_received(request, now)

    def cancelled(self, request: Request, now: float) -> None:
        """The layer matched a CANCEL with an INVITE of ours that has no final answer yet."""
        if self.state is State.INCOMING:
            self._bye_reason = request.get("Reason") or ""
            self._step(Input.CANCEL_RECEIVED, now)
        elif self._renegotiation is not None:
            self._renegotiation.cancelled(now)

    def ack_timed_out(self, now: float) -> None:
        """No ACK to our refusal (timer H): nothing to do, the caller is gone either way."""

    def response_received(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        """A response to our first INVITE."""
        status = response.status
        if status < 200:
            if status > 100 and self.state is State.OUTGOING:
                self.user.emit(ProgressReceived(self, status, _session_body(response)))
        elif status < 300:
            self._success_received(response, now)
        elif status == 422 and self.state is State.OUTGOING and self._tries < 3:
            self._invite_with_longer_timer(response, now)
        else:
            self._fail(status, response.reason, response, now)

    def request_failed(self, transaction: ClientTransaction, reason: FailureReason, now: float) -> None:
        """Our first INVITE was not answered at all, or could not be sent (RFC 3261 section 8.1.3.1)."""
        if reason == "timeout":
            self._fail(408, "Request Timeout", None, now)
        else:
            self._fail(503, "Service Unavailable", None, now)

    # -- actions of the table: the callee's side ---------------------------------------------------------

    def _send_success(self, now: float) -> None:
        self._stop_ringing()
        invite = self.invite
        assert invite is not None
        response = self._response_to_invite(200)
        response.set("Allow", ALLOW)
        response.set("Supported", "timer")
        if self.local_body:
            response.set("Content-Type", SDP)
            response.body = self.local_body
        self.agree_timer_as_callee(invite, response, now)
        self.peer_allows_update = _allows_update(invite)
        self.remote_body = invite.body
        self._success = UnacknowledgedSuccess(
            self._server_invite(), response, self.user.timers, self.user.settings, self._ack_lost, now
        )
        self._invite = None

    def _ack_lost(self, now: float) -> None:
        self._success = None
        self._step(Input.ACK_LOST, now)

    def _send_refusal(self, now: float) -> None:
        refusal = self._refusal
        self._refusal = None
        transaction = self._server_invite()
        self._let_go(now)
        if refusal is not None:
            transaction.respond(refusal, now)

    def _refuse_statelessly(self, now: float) -> None:
        refusal = self._refusal
        self._refusal = None
        transaction = self._server_invite()
        self._let_go(now)
        if refusal is not None:
            transaction.respond_statelessly(refusal)

    def _note_cancel(self, now: float) -> None:
        self._refusal = self._response_to_invite(487)
        self._send_refusal(now)
        self.user.emit(InviteCancelled(self, self._bye_reason))

    def _take_early_bye(self, now: float) -> None:
        self._note_cancel(now)

    def _note_ack(self, now: float) -> None:
        self._drop_invite()

    def _end_without_ack(self, now: float) -> None:
        self._cause = "ack_timeout"
        self._send_bye(now)

    def _wait_for_ack(self, now: float) -> None:
        self._stop_timers(now)

    # -- actions of the table: the caller's side ---------------------------------------------------------

    def _confirm(self, now: float) -> None:
        """State and dialog are there: see ``_success_received``, which has the response."""

    def _note_failure(self, now: float) -> None:
        self._let_go(now)

    def _send_cancel(self, now: float) -> None:
        transaction = self._invite
        if isinstance(transaction, ClientTransaction):
            self.user.layer.cancel(transaction, self._bye_reason or None, now)

    def _note_cancelled(self, now: float) -> None:
        self._let_go(now)

    def _refuse_success(self, now: float) -> None:
        """ACK was sent with the dialog: see ``_success_received``."""
        self._send_bye(now)

    # -- actions of the table: the end -------------------------------------------------------------------

    def _take_bye(self, now: float) -> None:
        self._let_go(now)
        self.user.emit(SessionEnded(self, "bye", self._bye_reason))

    def _take_crossing_bye(self, now: float) -> None:
        """Both sides hung up at once: the peer's BYE was answered, ours still waits for its answer."""

    def _send_bye(self, now: float) -> None:
        dialog = self.dialog
        assert dialog is not None
        self._stop_timers(now)
        if self.is_caller and self._ack is None:
            # RFC 3261 13.2.2.4: a 2xx is acknowledged even if its offer is never answered
            self._send_ack(dialog, b"")
        request = dialog.request("BYE", self.user.ids.branch())
        if self._bye_reason:
            request.set("Reason", self._bye_reason)
        self.user.emit(SessionEnded(self, self._cause, ""))
        self.user.layer.request(request, dialog.next_hop(), _ByeOwner(self), now)

    def _end_lost_session(self, now: float) -> None:
        self._send_bye(now)

    def _forget(self, now: float) -> None:
        self._let_go(now)

    def bye_answered(self, now: float) -> None:
        """Our BYE got a final response or none at all."""
        self._step(Input.BYE_ANSWERED, now)

    def peer_lost(self, cause: str, now: float) -> None:
        """The peer does not know the session any more (481, 408 to a request in it) or let it expire."""
        self._cause = cause
        if not self._step(Input.PEER_LOST, now):
            self._cause = "hangup"

    # -- answering a 2xx ---------------------------------------------------------------------------------

    def _success_received(self, response: Response, now: float) -> None:
        tag = response.to.tag or ""
        dialog = self.dialog
        if dialog is not None and dialog.remote_tag == tag:
            if self._ack is not None:
                # RFC 3261 13.2.2.4: the ACK is sent again for every retransmitted 2xx
                self.user.layer.send(*self._ack)
            return
        if dialog is not None:
            self._forks = self._forks or Forks(self.user, self.symmetric)
            self._forks.refuse(dialog, tag, response, self.hop, now)
            return
        if self.state not in (State.OUTGOING, State.CANCELLING):
            return
        invite = self.invite
        assert invite is not None
        dialog = Dialog.from_success(invite, response, self.address, self.hop, self.symmetric)
        self.dialog = dialog
        self.user.enter(self)
        late_offer = not self._offer_sent
        cancelling = self.state is State.CANCELLING
        if cancelling or not late_offer:
            self._send_ack(dialog, b"")
        self.remote_body = _session_body(response)
        self.peer_allows_update = _allows_update(response)
        self._step(Input.SUCCESS_RECEIVED, now)
        if not cancelling:
            self._agree_timer_as_caller(response, now)
            self._drop_invite()
            self.user.emit(SessionAnswered(self, self.remote_body, late_offer))

    def _send_ack(self, dialog: Dialog, body: bytes) -> None:
        ack = dialog.request("ACK", self.user.ids.branch(), dialog.local_seq)
        if body:
            ack.set("Content-Type", SDP)
            ack.body = body
        self._ack = (ack.encode(), dialog.next_hop())
        self.user.layer.send(*self._ack)

    def _fail(self, status: int, reason: str, response: Response | None, now: float) -> None:
        wanted = self.state is State.OUTGOING
        if self._step(Input.FAILURE_RECEIVED, now) and wanted:
            self.user.emit(InviteFailed(self, status, reason, response))

    # -- session timers (RFC 4028) -----------------------------------------------------------------------

    def _invite_with_longer_timer(self, response: Response, now: float) -> None:
        """422: ask again with the interval that the peer's side wants (RFC 4028 section 7.3)."""
        invite = self.invite
        assert invite is not None
        self._tries += 1
        asked = session_expires(invite)
        least = minimum_expires(response)
        number = invite.cseq.number + 1
        invite = Request(invite.method, invite.uri, dict(invite.fields), invite.body)
        invite.set("Via", self.address.via(self.user.ids.branch()))
        invite.set("CSeq", f"{number} INVITE")
        invite.set("Session-Expires", str(max(least, asked[0] if asked else 0)))
        invite.set("Min-SE", str(least))
        self.invite = invite
        self._invite = self.user.layer.request(invite, self.hop, self, now)

    def agree_timer_as_callee(self, request: Request, response: Response, now: float) -> None:
        """Put Session-Expires into our 2xx to an INVITE or UPDATE and start the timer (RFC 4028 section 9)."""
        asked = session_expires(request)
        supported = supports_timer(request)
        policy = self.user.session_timer_policy
        if asked is None and not (supported and policy.expires):
            if self.timer is not None:
                self.timer.stop()
            return
        least = max(policy.minimum, minimum_expires(request))
        interval = asked[0] if asked is not None else policy.expires
        if policy.expires and policy.expires < interval:
            interval = max(policy.expires, least)
        wish = asked[1] if asked is not None else None
        us = wish == "uas" or not supported
        response.set("Session-Expires", f"{interval};refresher={'uas' if us else 'uac'}")
        if supported:
            response.set("Require", "timer")
        self._start_timer(interval, Refresher.US if us else Refresher.PEER, now)

    def _agree_timer_as_caller(self, response: Response, now: float) -> None:
        agreed = session_expires(response)
        if agreed is None:
            # RFC 4028 7.2: nobody on the way wants a session timer
            if self.timer is not None:
                self.timer.stop()
            return
        self._start_timer(agreed[0], Refresher.PEER if agreed[1] == "uas" else Refresher.US, now)

    def refreshed_as_caller(self, response: Response, now: float) -> None:
        """A 2xx to our re-INVITE or UPDATE renews the session timer (RFC 4028 section 7.2)."""
        self._agree_timer_as_caller(response, now)

    def _start_timer(self, interval: int, refresher: Refresher, now: float) -> None:
        if self.timer is None:
            self.timer = SessionTimer(self.user.timers, self._refresh, self._expire)
        # less is no interval: a peer's "1" would have us refresh twice a second
        self.timer.restart(max(interval, ABSOLUTE_MINIMUM), refresher, now)

    def _refresh(self, now: float) -> None:
        if self.state is State.CONFIRMED:
            self.renegotiation.refresh(now)

    def _expire(self, now: float) -> None:
        self._bye_reason = 'SIP;cause=408;text="Session expired"'
        self.peer_lost("session_expired", now)

    # -- small pieces ------------------------------------------------------------------------------------

    def _server_invite(self) -> ServerTransaction:
        transaction = self._invite
        if not isinstance(transaction, ServerTransaction):
            raise LocalProtocolError("this session has no INVITE to answer")
        return transaction

    def take_invite(self, transaction: ServerTransaction, dialog: Dialog) -> None:
        """The endpoint hands the incoming INVITE over."""
        self._invite = transaction
        self.dialog = dialog
        transaction.owner = self
        transaction.to_tag = dialog.local_tag
        self.user.enter(self)

    def _response_to_invite(self, status: int) -> Response:
        invite = self.invite
        dialog = self.dialog
        assert invite is not None
        assert dialog is not None
        response = response_to(invite, status, to_tag=dialog.local_tag)
        if status < 300:
            response.set("Contact", dialog.contact)
            # RFC 3261 12.1.1: the route set is copied into every response that makes a dialog
            for value in invite.all("Record-Route"):
                response.add("Record-Route", value)
        response.set("Server", self.user.product)
        return response

    def _in_dialog_response(self, request: Request, status: int) -> Response:
        return response_to(request, status)

    def _repeat_ringing_later(self, response: Response, now: float) -> None:
        self._stop_ringing()

        def again(then: float) -> None:
            if self.state is State.INCOMING:
                self._server_invite().respond(response, then)
                self._repeat_ringing_later(response, then)

        self._progress_timer = self.user.timers.start(now + REPEAT_RINGING_AFTER, again)

    def _stop_ringing(self) -> None:
        if self._progress_timer is not None:
            self._progress_timer.cancel()
            self._progress_timer = None

    def _stop_timers(self, now: float) -> None:
        self._stop_ringing()
        if self.timer is not None:
            self.timer.stop()
        if self._renegotiation is not None:
            self._renegotiation.stop(now)

    def _drop_invite(self) -> None:
        """An answered call keeps neither the INVITE nor its transaction: most of a held call's memory."""
        self.invite = None
        self._invite = None

    def _let_go(self, now: float) -> None:
        self._stop_timers(now)
        if self._success is not None:
            self._success.acknowledged()
            self._success = None
        if self.dialog is not None:
            self.user.leave(self)
        self._renegotiation = None
        self.timer = None


class _ByeOwner:
    """Takes the answer to our BYE; a challenge is not answered: it may come from anybody on the way."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def response_received(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        if response.status >= 200:
            self._session.bye_answered(now)

    def request_failed(self, transaction: ClientTransaction, reason: FailureReason, now: float) -> None:
        self._session.bye_answered(now)


class _InfoOwner:
    """Takes the answer to an INFO."""

    __slots__ = ("_session", "_token")

    def __init__(self, session: Session, token: object) -> None:
        self._session = session
        self._token = token

    def response_received(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        if response.status >= 200:
            self._session.user.emit(InfoAnswered(self._session, self._token, response.status))
            if response.status in (408, 481):
                # RFC 3261 12.2.1.2: the peer has lost the dialog
                self._session.peer_lost("peer_lost", now)

    def request_failed(self, transaction: ClientTransaction, reason: FailureReason, now: float) -> None:
        self._session.user.emit(InfoAnswered(self._session, self._token, 408))
        # RFC 3261 12.2.1.2: no answer is as good as a 408
        self._session.peer_lost("peer_lost", now)


_ACTIONS: dict[str, Callable[[Session, float], None]] = {
    action: getattr(Session, f"_{action}") for action, _ in TRANSITIONS.values()
}


def _session_body(response: Response) -> bytes:
    return response.body


def _allows_update(message: Request | Response) -> bool:
    return any("UPDATE" in value for value in message.all("Allow"))
