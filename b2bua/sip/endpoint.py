"""The SIP endpoint: datagrams and messages in, events and datagrams out (RFC 3261 sections 8 and 11).

``receive``, ``handle_timers`` and the methods of sessions and transactions fill two queues: ``events``
for the application and ``datagrams_to_send`` for the network. Nothing here reads a clock or a socket.
"""

from collections import deque
from collections.abc import Iterator

from b2bua.sip.dialog import Dialog, LocalAddress
from b2bua.sip.errors import LocalProtocolError, RemoteProtocolError
from b2bua.sip.events import InviteReceived, RequestReceived, SipEvent
from b2bua.sip.hop import Hop
from b2bua.sip.ids import IdSource
from b2bua.sip.message import Request, Response, response_to
from b2bua.sip.parser import parse
from b2bua.sip.server_transaction import ServerTransaction
from b2bua.sip.session import ALLOW, ALLOWED_IN_SESSION, SDP, Session
from b2bua.sip.session_states import State
from b2bua.sip.session_timer import SessionTimerPolicy, session_expires, supports_timer
from b2bua.sip.timers import TimerHeap, TimerSettings
from b2bua.sip.transactions import TransactionLayer, stateless_tag
from b2bua.sip.validation import (
    acceptance_fault,
    is_known_method,
    request_fault,
    response_fault,
    unsupported_extensions,
)

#: Extensions that a request may Require of us.
SUPPORTED = frozenset({"timer"})
_ALLOW_WITH_REGISTER = f"{ALLOW}, REGISTER"


class EndpointCounters:
    """Counts since the start, for the metrics."""

    __slots__ = ("malformed", "received", "requests", "sent", "unmatched_responses")

    def __init__(self) -> None:
        self.received = 0
        self.sent = 0
        self.malformed = 0
        self.unmatched_responses = 0
        self.requests = 0


class Endpoint:
    """A user agent core, both sides: it owns the transactions, the sessions and the timers.

    ``addresses`` names each local listener's own address. Time is the caller's monotonic clock in
    seconds, and never runs backwards.
    """

    def __init__(
        self,
        addresses: dict[str, LocalAddress],
        ids: IdSource,
        settings: TimerSettings | None = None,
        session_timer_policy: SessionTimerPolicy | None = None,
        product: str = "b2bua",
        max_transactions: int = 100_000,
    ) -> None:
        self.addresses = addresses
        self.ids = ids
        self.settings = settings or TimerSettings()
        self.session_timer_policy = session_timer_policy or SessionTimerPolicy()
        self.product = product
        self.timers = TimerHeap()
        self.events: deque[SipEvent] = deque()
        self.emit = self.events.append
        self.counters = EndpointCounters()
        self.sessions: dict[tuple[str, str], Session] = {}
        self._outbox: deque[tuple[bytes, Hop]] = deque()
        self.layer = TransactionLayer(
            self.timers, self.settings, self._send, self, max_server_transactions=max_transactions
        )

    # -- the network's side ------------------------------------------------------------------------------

    def receive(self, data: bytes, hop: Hop, now: float) -> None:
        """One datagram. Whatever it holds, nothing is raised."""
        try:
            message = parse(data)
        except RemoteProtocolError:
            self.counters.malformed += 1
            return
        self.receive_message(message, hop, now)

    def receive_message(self, message: Request | Response, hop: Hop, now: float) -> None:
        """One parsed message from a stream transport."""
        self.counters.received += 1
        try:
            if isinstance(message, Request):
                self.layer.receive_request(message, hop, now)
            elif response_fault(message) is None:
                self.layer.receive_response(message, hop, now)
            else:
                self.counters.malformed += 1
        except RemoteProtocolError:
            self.counters.malformed += 1

    def transport_failed(self, hop: Hop, now: float) -> None:
        """What was sent to this hop did not get there (RFC 3261 section 18.4)."""
        self.layer.transport_failed(hop, now)

    def handle_timers(self, now: float) -> None:
        """Run every timer that is due."""
        self.timers.run(now)

    def next_deadline(self) -> float | None:
        """When ``handle_timers`` wants to be called next."""
        return self.timers.next_deadline()

    def datagrams_to_send(self) -> Iterator[tuple[bytes, Hop]]:
        """Take everything that has to go out now, in order."""
        outbox = self._outbox
        while outbox:
            yield outbox.popleft()

    def _send(self, data: bytes, hop: Hop) -> None:
        self.counters.sent += 1
        self._outbox.append((data, hop))

    # -- the application's side --------------------------------------------------------------------------

    def invite(
        self,
        uri: str,
        hop: Hop,
        from_value: str,
        to_value: str,
        body: bytes,
        now: float,
        extra: list[tuple[str, str]] | None = None,
        owner: object = None,
        symmetric: bool = False,
        routes: list[str] | None = None,
    ) -> Session:
        """Call somebody: ``from_value`` is the From without a tag, ``to_value`` the whole To.

        ``hop.listener`` says from where; ``extra`` are further headers; ``symmetric`` sends requests of
        the dialog to the hop itself (phones) and not to their Contact. Raises LocalProtocolError for a
        header that cannot be sent.
        """
        address = self.addresses[hop.listener]
        tag = self.ids.tag()
        policy = self.session_timer_policy
        fields = {
            "Via": [address.via(self.ids.branch())],
            "Max-Forwards": ["70"],
            "From": [f"{from_value};tag={tag}"],
            "To": [to_value],
            "Call-ID": [self.ids.call_id()],
            "CSeq": ["1 INVITE"],
            "Contact": [address.contact(tag)],
            "Allow": [ALLOW],
            "Supported": ["timer"],
            "User-Agent": [self.product],
        }
        if routes:
            fields["Route"] = routes
        if policy.expires:
            fields["Session-Expires"] = [str(policy.expires)]
            fields["Min-SE"] = [str(policy.minimum)]
        if body:
            fields["Content-Type"] = [SDP]
        request = Request("INVITE", uri, fields, body)
        for name, value in extra or ():
            request.add(name, value)
        session = Session(self, State.OUTGOING, request, hop, address)
        session.owner = owner
        session.symmetric = symmetric
        session.start(now)
        return session

    def enter(self, session: Session) -> None:
        """A session got its dialog."""
        dialog = session.dialog
        if dialog is None:
            raise LocalProtocolError("a session without a dialog cannot be found")
        self.sessions[dialog.call_id, dialog.local_tag] = session

    def leave(self, session: Session) -> None:
        """A session's dialog is over."""
        dialog = session.dialog
        if dialog is not None:
            self.sessions.pop((dialog.call_id, dialog.local_tag), None)

    def refuse(
        self,
        transaction: ServerTransaction,
        status: int,
        now: float,
        extra: list[tuple[str, str]] | None = None,
    ) -> None:
        """Answer a request without keeping any state of it (RFC 3261 section 8.2.7)."""
        request = transaction.request
        response = response_to(request, status, to_tag=stateless_tag(request))
        for name, value in extra or ():
            response.add(name, value)
        transaction.respond_statelessly(response)

    def respond(
        self,
        transaction: ServerTransaction,
        status: int,
        now: float,
        extra: list[tuple[str, str]] | None = None,
    ) -> None:
        """Answer a request outside any session, and answer its retransmissions alike (REGISTER)."""
        response = response_to(transaction.request, status, to_tag=self.ids.tag())
        for name, value in extra or ():
            response.add(name, value)
        transaction.respond(response, now)

    # -- what the transaction layer tells ----------------------------------------------------------------

    def request_received(self, transaction: ServerTransaction, now: float) -> None:
        """A new request: find its session, or examine it as RFC 3261 section 8.2 says."""
        request = transaction.request
        self.counters.requests += 1
        fault = request_fault(request)
        if fault is not None:
            self.counters.malformed += 1
            self.refuse(transaction, fault.status, now, [("Warning", f'399 b2bua "{fault.reason}"')])
            return
        to_tag = request.to.tag
        if to_tag is not None:
            session = self.sessions.get((request.call_id, to_tag))
            if session is not None and _same_peer(session, request):
                self._request_in_session(session, transaction, now)
            else:
                # RFC 3261 12.2.2: a dialog that we do not know
                self.refuse(transaction, 481, now)
            return
        self._request_outside(transaction, request, now)

    def _request_in_session(self, session: Session, transaction: ServerTransaction, now: float) -> None:
        missing = unsupported_extensions(transaction.request, SUPPORTED)
        if missing:
            self.refuse(transaction, 420, now, [("Unsupported", ", ".join(missing))])
            return
        if transaction.method in ("INVITE", "UPDATE"):
            fault = acceptance_fault(transaction.request)
            if fault is not None:
                self.refuse(transaction, fault.status, now, list(fault.headers))
                return
        session.request_received(transaction, now)

    def _request_outside(self, transaction: ServerTransaction, request: Request, now: float) -> None:
        method = request.method
        if method not in ALLOWED_IN_SESSION and method != "REGISTER":
            # RFC 3261 8.2.1, 21.5.2
            status = 405 if is_known_method(method) else 501
            self.refuse(transaction, status, now, [("Allow", _ALLOW_WITH_REGISTER)])
            return
        if self.layer.merged(transaction):
            self.refuse(transaction, 482, now)
            return
        missing = unsupported_extensions(request, SUPPORTED)
        if missing:
            self.refuse(transaction, 420, now, [("Unsupported", ", ".join(missing))])
        elif method == "INVITE":
            self._invite_received(transaction, request, now)
        elif method == "OPTIONS":
            self._options_received(transaction, request, now)
        elif method == "REGISTER":
            self.emit(RequestReceived(transaction, request, transaction.hop))
        else:
            # BYE, UPDATE, INFO outside any dialog (RFC 3261 12.2.2)
            self.refuse(transaction, 481, now)

    def _options_received(self, transaction: ServerTransaction, request: Request, now: float) -> None:
        self.refuse(
            transaction, 200, now,
            [("Allow", _ALLOW_WITH_REGISTER), ("Accept", SDP), ("Supported", "timer"), ("Server", self.product)],
        )  # fmt: skip

    def _invite_received(self, transaction: ServerTransaction, request: Request, now: float) -> None:
        if request.max_forwards == 0:
            # RFC 7332 and RFC 3261 16.3: a B2BUA is a hop like any other
            self.refuse(transaction, 483, now)
            return
        fault = acceptance_fault(request)
        if fault is not None:
            self.refuse(transaction, fault.status, now, list(fault.headers))
            return
        asked = session_expires(request)
        least = self.session_timer_policy.minimum
        if asked is not None and asked[0] < least and supports_timer(request):
            # RFC 4028 section 9
            self.refuse(transaction, 422, now, [("Min-SE", str(least))])
            return
        hop = transaction.hop
        address = self.addresses[hop.listener]
        session = Session(self, State.INCOMING, request, hop, address)
        dialog = Dialog.from_invite(request, self.ids.tag(), address, hop)
        session.take_invite(transaction, dialog)
        self.emit(InviteReceived(session, request, hop))

    def ack_received(self, request: Request, hop: Hop, now: float) -> None:
        """An ACK that ends no transaction: it belongs to a 2xx, or to nothing."""
        if request_fault(request) is not None:
            return
        tag = request.to.tag
        session = self.sessions.get((request.call_id, tag)) if tag else None
        if session is not None and _same_peer(session, request):
            session.ack_received(request, now)

    def stray_response(self, response: Response, hop: Hop, now: float) -> None:
        """A 2xx to no INVITE of ours (RFC 3261 section 13.2.2.4 concerns dialogs that we know)."""
        self.counters.unmatched_responses += 1


def _same_peer(session: Session, request: Request) -> bool:
    dialog = session.dialog
    return dialog is not None and dialog.remote_tag == (request.from_.tag or "")
