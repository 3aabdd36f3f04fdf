"""A network of one peer for tests that read like ladders: what came out, when, and a clock by hand."""

import itertools
from typing import NamedTuple

from b2bua.sip.client_transaction import ClientTransaction
from b2bua.sip.hop import Hop
from b2bua.sip.message import Request, Response
from b2bua.sip.parser import parse
from b2bua.sip.server_transaction import ServerTransaction
from b2bua.sip.timers import TimerHeap, TimerSettings
from b2bua.sip.transactions import TransactionLayer

UDP = Hop("udp", "192.0.2.1", 5060, "trunk")
TCP = Hop("tcp", "192.0.2.1", 40123, "trunk", 7)


class Sent(NamedTuple):
    """One message that left us."""

    when: float
    message: Request | Response
    hop: Hop

    @property
    def name(self) -> str | int:
        """The method of a request, the status of a response: one rung of a ladder."""
        return self.message.method if isinstance(self.message, Request) else self.message.status


class Owner:
    """Owner of client and of INVITE server transactions that writes everything down."""

    def __init__(self) -> None:
        self.responses: list[int] = []
        self.failures: list[str] = []
        self.cancels: list[Request] = []
        self.missed_acks = 0

    def response_received(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        self.responses.append(response.status)

    def request_failed(self, transaction: ClientTransaction, reason: str, now: float) -> None:
        self.failures.append(reason)

    def cancelled(self, request: Request, now: float) -> None:
        self.cancels.append(request)

    def ack_timed_out(self, now: float) -> None:
        self.missed_acks += 1


class Wire:
    """A transaction layer, its clock and what it sent; itself the transaction user.

    ``refuse`` makes the user answer new requests statelessly with that status.
    """

    def __init__(self, settings: TimerSettings | None = None, max_server_transactions: int = 1000) -> None:
        self.now = 0.0
        self.timers = TimerHeap()
        self.sent: list[Sent] = []
        self.transactions: list[ServerTransaction] = []
        self.acks: list[Request] = []
        self.strays: list[Response] = []
        self.refuse: Response | None = None
        self.layer = TransactionLayer(
            self.timers, settings or TimerSettings(), self._send, self, max_server_transactions
        )

    # -- the peer's side ---------------------------------------------------------------------------------

    def receive(self, data: bytes, hop: Hop = UDP) -> ServerTransaction | None:
        """A message from the peer; returns the new server transaction, if it made one."""
        message = parse(data)
        if isinstance(message, Request):
            return self.layer.receive_request(message, hop, self.now)
        self.layer.receive_response(message, hop, self.now)
        return None

    def receive_new(self, data: bytes, hop: Hop = UDP) -> ServerTransaction:
        """A request that must make a new server transaction."""
        transaction = self.receive(data, hop)
        assert transaction is not None
        return transaction

    def advance(self, seconds: float) -> None:
        """Let time pass, running every timer at its own moment."""
        end = self.now + seconds
        while (deadline := self.timers.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.timers.run(self.now)
        self.now = end

    # -- what came out -----------------------------------------------------------------------------------

    def take(self) -> list[Sent]:
        """Everything sent since the last look."""
        sent, self.sent = self.sent, []
        return sent

    def take_one(self) -> Sent:
        """The only message sent since the last look."""
        (only,) = self.take()
        return only

    def ladder(self) -> list[str | int]:
        """Methods and statuses sent since the last look."""
        return [sent.name for sent in self.take()]

    def times(self) -> list[float]:
        """When messages were sent since the last look."""
        return [sent.when for sent in self.take()]

    def assert_sent(self, expected: list[str | int]) -> None:
        """Exactly these, in order, since the last look."""
        assert self.ladder() == expected

    def assert_quiet(self) -> None:
        """No transaction and no timer is left."""
        assert (self.layer.client_count, self.layer.server_count, len(self.timers)) == (0, 0, 0)
        assert not self.layer.unanswered

    def _send(self, data: bytes, hop: Hop) -> None:
        self.sent.append(Sent(self.now, parse(data), hop))

    # -- the transaction user ----------------------------------------------------------------------------

    def request_received(self, transaction: ServerTransaction, now: float) -> None:
        self.transactions.append(transaction)
        if self.refuse is not None:
            transaction.respond_statelessly(self.refuse)

    def ack_received(self, request: Request, hop: Hop, now: float) -> None:
        self.acks.append(request)

    def stray_response(self, response: Response, hop: Hop, now: float) -> None:
        self.strays.append(response)


_numbers = itertools.count(1)


def request_bytes(
    method: str = "INVITE",
    branch: str = "z9hG4bKpeer",
    via: str = "192.0.2.1",
    to_tag: str = "",
    cseq: int = 1,
    extra: str = "",
    transport: str = "UDP",
    parameters: str = "",
    call_id: str = "call@peer",
) -> bytes:
    """A request as the peer would send it."""
    tag = f";tag={to_tag}" if to_tag else ""
    branch_parameter = f";branch={branch}" if branch else ""
    return (
        f"{method} sip:+492214710@example.com SIP/2.0\r\n"
        f"Via: SIP/2.0/{transport} {via}{branch_parameter}{parameters}\r\n"
        "Max-Forwards: 70\r\n"
        "From: <sip:caller@peer.example>;tag=peer\r\n"
        f"To: <sip:+492214710@example.com>{tag}\r\n"
        f"Call-ID: {call_id}\r\n"
        f"CSeq: {cseq} {method}\r\n"
        f"{extra}"
        "Content-Length: 0\r\n\r\n"
    ).encode()


def our_request(method: str = "INVITE", transport: str = "UDP", extra: dict[str, list[str]] | None = None) -> Request:
    """A request of ours with a fresh branch."""
    return Request(
        method,
        "sip:agent@192.0.2.1",
        {
            "Via": [f"SIP/2.0/{transport} 198.51.100.1:5060;branch=z9hG4bKours{next(_numbers)};rport"],
            "Max-Forwards": ["70"],
            "From": ["<sip:exchange@example.com>;tag=ours"],
            "To": ["<sip:agent@192.0.2.1>"],
            "Call-ID": ["call@ours"],
            "CSeq": [f"1 {method}"],
            **(extra or {}),
        },
    )


def answer_bytes(request: Request, status: int, to_tag: str = "theirs") -> bytes:
    """The peer's response to a request of ours."""
    tag = f";tag={to_tag}" if to_tag and ";tag=" not in (request.get("To") or "") else ""
    return (
        f"SIP/2.0 {status} Whatever\r\n"
        f"Via: {request.get('Via')}\r\n"
        f"From: {request.get('From')}\r\n"
        f"To: {request.get('To')}{tag}\r\n"
        f"Call-ID: {request.get('Call-ID')}\r\n"
        f"CSeq: {request.get('CSeq')}\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()
