"""The transaction layer: which transaction a message belongs to, and where responses go.

RFC 3261 sections 17.1.3, 17.2.3, 9.2, 18.2.1 and 18.2.2, RFC 3581, RFC 6026.
"""

from collections.abc import Callable
from typing import Protocol
from zlib import crc32

from b2bua.sip.client_transaction import (
    ClientKey,
    ClientOwner,
    ClientTransaction,
    InviteClientTransaction,
    NonInviteClientTransaction,
)
from b2bua.sip.errors import LocalProtocolError
from b2bua.sip.headers import Via
from b2bua.sip.hop import Hop
from b2bua.sip.message import Request, Response, response_to
from b2bua.sip.server_transaction import (
    InviteServerTransaction,
    MergeKey,
    NonInviteServerTransaction,
    ServerKey,
    ServerTransaction,
)
from b2bua.sip.timers import TimerHeap, TimerSettings

MAGIC_COOKIE = "z9hG4bK"
#: Seconds after which a request refused for lack of room may be tried again.
RETRY_AFTER = 5
#: RFC 3261 9.2: a CANCEL may name any method but ACK and CANCEL; all but INVITE are answered and left alone.
_CANCELLABLE = ("INVITE", "BYE", "OPTIONS", "REGISTER", "UPDATE", "INFO", "PRACK", "SUBSCRIBE", "NOTIFY",
                "REFER", "MESSAGE", "PUBLISH")  # fmt: skip


class TransactionUser(Protocol):
    """Who stands above the layer."""

    def request_received(self, transaction: ServerTransaction, now: float) -> None:
        """A new request other than ACK and CANCEL. Returning without an answer keeps the transaction."""

    def ack_received(self, request: Request, hop: Hop, now: float) -> None:
        """An ACK that ends no transaction: that of a 2xx."""

    def stray_response(self, response: Response, hop: Hop, now: float) -> None:
        """A 2xx to an INVITE that belongs to no transaction."""


class TransactionLayer:
    """Matches messages with transactions and owns both.

    ``send(data, hop)`` hands bytes to the network. A hop of a reliable transport names the connection to
    use and, for the case that it is closed, the address to open another to (RFC 3261 section 18.2.2).
    At most ``max_server_transactions`` requests from outside any dialog are in progress at a time, and a
    quarter more inside of dialogs: a full house must still be able to hang up.
    """

    __slots__ = (
        "_clients", "_limit", "_limit_in_dialog", "_merges", "_servers", "send", "settings", "timeout", "timers",
        "trying_after", "unanswered", "user",
    )  # fmt: skip

    def __init__(
        self,
        timers: TimerHeap,
        settings: TimerSettings,
        send: Callable[[bytes, Hop], None],
        user: TransactionUser,
        max_server_transactions: int = 100_000,
    ) -> None:
        self.timers = timers
        self.settings = settings
        self.send = send
        self.user = user
        self.timeout = settings.timeout
        self.trying_after = settings.trying_after
        #: Requests on their way, for ``transport_failed``: few, so that it need not search all.
        self.unanswered: dict[ClientTransaction, None] = {}
        self._clients: dict[ClientKey, ClientTransaction] = {}
        self._servers: dict[ServerKey, ServerTransaction] = {}
        self._merges: dict[MergeKey, ServerTransaction] = {}
        self._limit = max_server_transactions
        self._limit_in_dialog = max_server_transactions + max_server_transactions // 4

    @property
    def client_count(self) -> int:
        """Client transactions that have not terminated."""
        return len(self._clients)

    @property
    def server_count(self) -> int:
        """Server transactions that have not terminated."""
        return len(self._servers)

    # -- requests out ------------------------------------------------------------------------------------

    def request(self, request: Request, hop: Hop, owner: ClientOwner, now: float) -> ClientTransaction:
        """Send a request, which has its Via with a fresh branch. An ACK goes through ``send``.

        Raises LocalProtocolError for an ACK, for a branch in use and for headers that cannot be sent.
        """
        method = request.method
        branch = request.via.branch
        if branch is None or method == "ACK":
            raise LocalProtocolError(f"no transaction for {method} with branch {branch}")
        key = (branch, method)
        clients = self._clients
        if key in clients:
            raise LocalProtocolError("a branch names one transaction only")
        data = request.encode()
        transaction: ClientTransaction
        if method == "INVITE":
            transaction = InviteClientTransaction(self, key, request, hop, owner)
        else:
            transaction = NonInviteClientTransaction(self, key, request, hop, owner)
        clients[key] = transaction
        self.unanswered[transaction] = None
        transaction.start(data, now)
        return transaction

    def cancel(self, transaction: ClientTransaction, reason_header: str | None, now: float) -> None:
        """Cancel an INVITE, at once or after its first provisional response (RFC 3261 section 9.1).

        An INVITE without a final response 64*T1 after the CANCEL fails with "timeout". Raises
        LocalProtocolError for other methods.
        """
        if not isinstance(transaction, InviteClientTransaction):
            raise LocalProtocolError(f"a {transaction.method} cannot be cancelled")
        transaction.cancel(reason_header, now)

    def receive_response(self, response: Response, hop: Hop, now: float) -> None:
        """Give a response to its transaction (RFC 3261 section 17.1.3).

        Our branches cannot be guessed, so that the sent-by need not be compared. Strays are dropped
        (RFC 6026 section 8.9) but for a 2xx to an INVITE, whose sender waits for an ACK.
        """
        branch = response.via.branch
        method = response.cseq.method
        transaction = self._clients.get((branch, method)) if branch is not None else None
        if transaction is not None:
            transaction.receive(response, now)
        elif method == "INVITE" and 200 <= response.status < 300:
            self.user.stray_response(response, hop, now)

    def transport_failed(self, hop: Hop, now: float) -> None:
        """What was sent to ``hop`` did not arrive (RFC 3261 section 18.4).

        Ends the client transactions there that have no answer yet. Server transactions stay as they are
        (RFC 6026 section 8.8): their retransmissions may get through.
        """
        _, host, port, _, connection = hop
        for transaction in list(self.unanswered):
            there = transaction.hop
            if (
                there.host == host
                and there.port == port
                and there.transport == hop.transport
                and (not connection or there.connection in (0, connection))
            ):
                transaction.transport_failed(now)

    # -- requests in -------------------------------------------------------------------------------------

    def receive_request(self, request: Request, hop: Hop, now: float) -> ServerTransaction | None:
        """Give a request to its transaction, or make one for the user (RFC 3261 section 17.2.3).

        Returns the new transaction, None for what was absorbed here. Raises RemoteProtocolError for a
        request without a Via, which nobody could answer.
        """
        via = request.via
        method = request.method
        branch = via.branch
        servers = self._servers
        if branch is not None and branch.startswith(MAGIC_COOKIE) and branch != MAGIC_COOKIE:
            key: ServerKey = (branch, via.host, via.port, "INVITE" if method == "ACK" else method)
            transaction = servers.get(key)
        else:
            key = _rfc2543_key(request, hop)
            transaction = servers.get(key) if method != "ACK" else self._rfc2543_acknowledged(request, hop)
        if transaction is not None:
            if method != "ACK":
                transaction.repeated(now)
            elif isinstance(transaction, InviteServerTransaction):
                transaction.acknowledged(request, hop, now)
            return None
        if method == "ACK":
            self.user.ack_received(request, hop, now)
            return None
        cancelled = self._cancelled(request, key) if method == "CANCEL" else None
        stamp_via(request, hop)
        reply_hop = response_hop(request, hop)
        if method == "CANCEL":
            self._answer_cancel(request, reply_hop, cancelled, now)
            return None
        if len(servers) >= self._limit and self._has_no_room(request):
            response = response_to(request, 503, to_tag=stateless_tag(request))
            response.set("Retry-After", str(RETRY_AFTER))
            self.send(response.encode(), reply_hop)
            return None
        if method == "INVITE":
            transaction = InviteServerTransaction(self, key, request, hop, reply_hop)
        else:
            transaction = NonInviteServerTransaction(self, key, request, hop, reply_hop)
        self.user.request_received(transaction, now)
        transaction.wait(now)
        return transaction

    def merged(self, transaction: ServerTransaction) -> bool:
        """True if the same request came another way and is in progress (RFC 3261 section 8.2.2.2: 482)."""
        other = self._merges.get(_merge_key(transaction.request))
        return other is not None and other is not transaction

    def _has_no_room(self, request: Request) -> bool:
        return request.to.tag is None or len(self._servers) >= self._limit_in_dialog

    def _cancelled(self, request: Request, key: ServerKey) -> ServerTransaction | None:
        """The transaction that a CANCEL means: the same key but for the method."""
        for method in _CANCELLABLE:
            transaction = self._servers.get((*key[:-1], method))
            if transaction is not None:
                return transaction
        return None

    def _answer_cancel(self, request: Request, reply_hop: Hop, cancelled: ServerTransaction | None, now: float) -> None:
        """Answer a CANCEL without keeping it: the answer to its repetition is the same."""
        if cancelled is None:
            response = response_to(request, 481, to_tag=stateless_tag(request))
            self.send(response.encode(), reply_hop)
            return
        response = response_to(request, 200, to_tag=cancelled.response_tag() or stateless_tag(request))
        self.send(response.encode(), reply_hop)
        if isinstance(cancelled, InviteServerTransaction):
            cancelled.cancelled(request, now)

    def _rfc2543_acknowledged(self, request: Request, hop: Hop) -> ServerTransaction | None:
        """The INVITE that an ACK without a transaction identifier means, if its To tag is our response's."""
        tag = request.to.tag
        transaction = self._servers.get(_rfc2543_key(request, hop)) or self._servers.get(
            _rfc2543_key(request, hop, initial=True)
        )
        return transaction if transaction is not None and transaction.response_tag() == (tag or "") else None

    # -- what transactions tell --------------------------------------------------------------------------

    def client_ended(self, transaction: ClientTransaction, key: ClientKey) -> None:
        """A client transaction has terminated."""
        self.unanswered.pop(transaction, None)
        self._clients.pop(key, None)

    def server_started(self, transaction: ServerTransaction) -> None:
        """A server transaction will not be answered statelessly: retransmissions must find it."""
        self._servers[transaction.key] = transaction
        request = transaction.request
        if request.to.tag is None:
            # RFC 3261 8.2.2.2: only requests from outside any dialog merge
            transaction.merge_key = key = _merge_key(request)
            self._merges.setdefault(key, transaction)

    def server_ended(self, transaction: ServerTransaction) -> None:
        """A server transaction has terminated."""
        self._servers.pop(transaction.key, None)
        key = transaction.merge_key
        if key is not None and self._merges.get(key) is transaction:
            del self._merges[key]


def stateless_tag(request: Request) -> str:
    """A To tag that is the same for every copy of a request (RFC 3261 section 8.2.7)."""
    told = f"{request.via.branch} {request.get('Call-ID')} {request.get('From')}"
    return f"{crc32(told.encode(errors='replace')):08x}"


def stamp_via(request: Request, hop: Hop) -> None:
    """Note in the top Via where a request came from (RFC 3261 section 18.2.1, RFC 3581 section 4).

    The raw header is rewritten only if there is something to note: an ``rport`` that asks for the port,
    a sent-by that is not the source, or a ``received`` that the sender had no business to write.
    """
    via = request.via
    params = via.params
    wants_port = "rport" in params
    if not wants_port and via.host == hop.host and "received" not in params:
        return
    stamped = dict(params)
    if wants_port:
        stamped["rport"] = str(hop.port)
    stamped["received"] = hop.host
    values = request.values("Via")
    values[0] = str(Via(via.transport, via.host, via.port, stamped))
    request.remove("Via")
    for value in values:
        request.add("Via", value)


def response_hop(request: Request, hop: Hop) -> Hop:
    """Where the responses to a request go, once its Via is stamped (RFC 3261 section 18.2.2, RFC 3581).

    ``maddr`` is not honoured: it is for multicast, and lets strangers aim our responses at others.
    """
    via = request.via
    if hop.transport == "udp" and "rport" in via.params:
        return hop
    port = via.port
    if port is None:
        port = 5061 if hop.transport == "tls" else 5060
    # over a connection the address is what is left when the connection is closed
    return hop if port == hop.port else hop._replace(port=port)


def _rfc2543_key(request: Request, hop: Hop, initial: bool = False) -> ServerKey:
    """Matching for branches without the magic cookie (RFC 3261 section 17.2.3).

    The source belongs to it: such a request has nothing that others could not write as well.
    ``initial`` is for the ACK to an INVITE that had no To tag.
    """
    method = request.method
    return (
        hop.transport, hop.host, hop.port if hop.transport == "udp" else 0, request.values("Via")[0], request.uri,
        request.from_.tag, "" if initial else request.to.tag or "", request.call_id, request.cseq.number,
        "INVITE" if method == "ACK" else method,
    )  # fmt: skip


def _merge_key(request: Request) -> MergeKey:
    return (request.from_.tag, request.call_id, request.get("CSeq") or "")
