"""Client transactions: a request out, its responses in (RFC 3261 section 17.1, RFC 6026)."""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from b2bua.sip.errors import LocalProtocolError
from b2bua.sip.hop import Hop
from b2bua.sip.message import Request, Response
from b2bua.sip.timers import Timer

if TYPE_CHECKING:
    from b2bua.sip.transactions import TransactionLayer

FailureReason = Literal["timeout", "transport"]
ClientKey = tuple[str, str]


class State(Enum):
    """Where a client transaction stands (RFC 3261 figures 5 and 6, RFC 6026 section 8.4)."""

    CALLING = "Calling"
    TRYING = "Trying"
    PROCEEDING = "Proceeding"
    ACCEPTED = "Accepted"
    COMPLETED = "Completed"
    TERMINATED = "Terminated"

    # Enum's own hash is a Python function, and every message asks the table twice
    __hash__ = object.__hash__


class Input(Enum):
    """What can happen to a client transaction."""

    PROVISIONAL = "1xx"
    SUCCESS = "2xx"
    FAILURE = "300-699"
    CANCEL = "CANCEL from TU"
    CANCEL_UNANSWERED = "64*T1 after CANCEL"
    TIMER_A = "Timer A"
    TIMER_B = "Timer B"
    TIMER_D = "Timer D"
    TIMER_E = "Timer E"
    TIMER_F = "Timer F"
    TIMER_K = "Timer K"
    TIMER_M = "Timer M"
    TRANSPORT_ERROR = "transport error"

    __hash__ = object.__hash__


Transitions = Mapping[tuple[State, Input], tuple[str, State]]

#: RFC 3261 figure 5 as replaced by RFC 6026 section 8.4.
INVITE_TRANSITIONS: Transitions = {
    (State.CALLING, Input.TIMER_A): ("repeat_request", State.CALLING),
    (State.CALLING, Input.TIMER_B): ("time_out", State.TERMINATED),
    (State.CALLING, Input.TRANSPORT_ERROR): ("fail", State.TERMINATED),
    (State.CALLING, Input.CANCEL): ("remember_cancel", State.CALLING),
    # RFC 3261 17.1.1.2: timer B runs in Calling only, or long ringing would die
    (State.CALLING, Input.PROVISIONAL): ("proceed", State.PROCEEDING),
    (State.CALLING, Input.SUCCESS): ("accept", State.ACCEPTED),
    (State.CALLING, Input.FAILURE): ("complete", State.COMPLETED),
    (State.PROCEEDING, Input.PROVISIONAL): ("tell", State.PROCEEDING),
    (State.PROCEEDING, Input.SUCCESS): ("accept", State.ACCEPTED),
    (State.PROCEEDING, Input.FAILURE): ("complete", State.COMPLETED),
    (State.PROCEEDING, Input.CANCEL): ("send_cancel", State.PROCEEDING),
    # RFC 3261 9.1: an RFC 2543 peer may never answer a cancelled INVITE
    (State.PROCEEDING, Input.CANCEL_UNANSWERED): ("time_out", State.TERMINATED),
    (State.ACCEPTED, Input.SUCCESS): ("tell", State.ACCEPTED),
    (State.ACCEPTED, Input.TIMER_M): ("end", State.TERMINATED),
    (State.COMPLETED, Input.FAILURE): ("repeat_ack", State.COMPLETED),
    (State.COMPLETED, Input.TIMER_D): ("end", State.TERMINATED),
}

#: RFC 3261 figure 6; a repeated final response in Completed is absorbed.
NON_INVITE_TRANSITIONS: Transitions = {
    (State.TRYING, Input.TIMER_E): ("repeat_request", State.TRYING),
    (State.TRYING, Input.TIMER_F): ("time_out", State.TERMINATED),
    (State.TRYING, Input.TRANSPORT_ERROR): ("fail", State.TERMINATED),
    (State.TRYING, Input.PROVISIONAL): ("tell", State.PROCEEDING),
    (State.TRYING, Input.SUCCESS): ("complete", State.COMPLETED),
    (State.TRYING, Input.FAILURE): ("complete", State.COMPLETED),
    (State.PROCEEDING, Input.TIMER_E): ("repeat_request", State.PROCEEDING),
    (State.PROCEEDING, Input.TIMER_F): ("time_out", State.TERMINATED),
    (State.PROCEEDING, Input.TRANSPORT_ERROR): ("fail", State.TERMINATED),
    (State.PROCEEDING, Input.PROVISIONAL): ("tell", State.PROCEEDING),
    (State.PROCEEDING, Input.SUCCESS): ("complete", State.COMPLETED),
    (State.PROCEEDING, Input.FAILURE): ("complete", State.COMPLETED),
    (State.COMPLETED, Input.TIMER_K): ("end", State.TERMINATED),
}


class ClientOwner(Protocol):
    """Who sent the request."""

    def response_received(self, transaction: "ClientTransaction", response: Response, now: float) -> None:
        """A response that is no retransmission; for INVITE every 2xx is passed (RFC 6026 section 7.2)."""

    def request_failed(self, transaction: "ClientTransaction", reason: FailureReason, now: float) -> None:
        """No final response will come: treat as 408 or 503 (RFC 3261 section 8.1.3.1)."""


class ClientTransaction:
    """What both client machines share. ``TransactionLayer.request`` makes them.

    ``hop`` is where the request went; ``method`` its method. Nothing is kept longer than the protocol
    needs it: the bytes until retransmissions cease, the request until its final response was passed on,
    the owner until the end.
    """

    __slots__ = (
        "__weakref__", "_data", "_deadline", "_interval", "_key", "_layer", "_owner", "_request", "_timer",
        "hop", "method", "state",
    )  # fmt: skip

    transitions: ClassVar[Transitions]
    _steps: ClassVar[dict[tuple[State, Input], tuple[Callable[[Any, Any, float], None], State]]]

    def __init_subclass__(cls) -> None:
        # one lookup per input: the table with its actions' names resolved
        cls._steps = {pair: (getattr(cls, f"_{action}"), state) for pair, (action, state) in cls.transitions.items()}

    def __init__(
        self,
        layer: "TransactionLayer",
        key: ClientKey,
        request: Request,
        hop: Hop,
        owner: ClientOwner,
        initial: State,
    ) -> None:
        self.state = initial
        self.hop = hop
        self.method = request.method
        self._layer = layer
        self._key = key
        self._request: Request | None = request
        self._owner: ClientOwner | None = owner
        self._data: bytes | None = None
        self._timer: Timer | None = None
        self._interval = 0.0
        self._deadline = 0.0

    @property
    def request(self) -> Request:
        """The request, until its final response has been passed on. Raises LocalProtocolError later."""
        if self._request is None:
            raise LocalProtocolError("the transaction has its answer and has dropped its request")
        return self._request

    def start(self, data: bytes, now: float) -> None:
        """Send the request, encoded as ``data``; the layer calls this once."""
        layer = self._layer
        self._deadline = now + layer.timeout
        when = self._deadline
        if self.hop.transport == "udp":
            # RFC 3261 17.1.1.2, 17.1.2.2: timers A and E only over unreliable transports
            self._data = data
            self._interval = layer.settings.t1
            when = now + self._interval
        self._timer = layer.timers.start(when, self._due)
        layer.send(data, self.hop)

    def receive(self, response: Response, now: float) -> None:
        """A response that matches this transaction."""
        status = response.status
        if status >= 300:
            self._step(Input.FAILURE, response, now)
        elif status >= 200:
            self._step(Input.SUCCESS, response, now)
        else:
            self._step(Input.PROVISIONAL, response, now)

    def transport_failed(self, now: float) -> None:
        """The request did not get there (RFC 3261 section 17.1.4)."""
        self._step(Input.TRANSPORT_ERROR, None, now)

    def _step(self, event: Input, response: object, now: float) -> None:
        """Let ``event`` happen; a state that has no use for it ignores it."""
        step = self._steps.get((self.state, event))
        if step is not None:
            action, self.state = step
            action(self, response, now)

    # -- timers: one at a time is enough -----------------------------------------------------------------

    def _due(self, now: float) -> None:
        """Timer A or E, or B or F once the deadline is reached."""
        raise NotImplementedError

    def _restart(self, when: float, action: Callable[[float], None]) -> None:
        timer = self._timer
        if timer is not None:
            timer.cancel()
        self._timer = self._layer.timers.start(when, action)

    # -- actions of the tables ---------------------------------------------------------------------------

    def _repeat_request(self, _: None, now: float) -> None:
        layer = self._layer
        if self._data is not None:
            layer.send(self._data, self.hop)
        self._timer = layer.timers.start(min(now + self._interval, self._deadline), self._due)

    def _tell(self, response: Response, now: float) -> None:
        if self._owner is not None:
            self._owner.response_received(self, response, now)

    def _time_out(self, _: None, now: float) -> None:
        self._lose("timeout", now)

    def _fail(self, _: None, now: float) -> None:
        self._lose("transport", now)

    def _lose(self, reason: FailureReason, now: float) -> None:
        owner = self._owner
        self._leave()
        if owner is not None:
            owner.request_failed(self, reason, now)
        self._request = None

    def _end(self, _: None, now: float) -> None:
        self._leave()

    def _leave(self) -> None:
        """Out of the layer and out of every reference cycle: owners hold their transactions."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._data = None
        self._owner = None
        self._layer.client_ended(self, self._key)


class InviteClientTransaction(ClientTransaction):
    """RFC 3261 section 17.1.1 with the Accepted state of RFC 6026."""

    __slots__ = ("_cancel_reason", "_cancelled")

    transitions = INVITE_TRANSITIONS

    def __init__(
        self, layer: "TransactionLayer", key: ClientKey, request: Request, hop: Hop, owner: ClientOwner
    ) -> None:
        super().__init__(layer, key, request, hop, owner, State.CALLING)
        self._cancelled = False
        self._cancel_reason: str | None = None

    def cancel(self, reason: str | None, now: float) -> None:
        """Send a CANCEL as soon as RFC 3261 section 9.1 allows; ``reason`` is a Reason header (RFC 3326).

        Nothing happens once there is a final response, or a second time.
        """
        if not self._cancelled:
            self._cancel_reason = reason
            self._step(Input.CANCEL, None, now)

    def _due(self, now: float) -> None:
        self._timer = None
        if now >= self._deadline:
            self._step(Input.TIMER_B, None, now)
        else:
            self._interval *= 2
            self._step(Input.TIMER_A, None, now)

    def _cancel_unanswered(self, now: float) -> None:
        self._timer = None
        self._step(Input.CANCEL_UNANSWERED, None, now)

    def _timer_d(self, now: float) -> None:
        self._timer = None
        self._step(Input.TIMER_D, None, now)

    def _timer_m(self, now: float) -> None:
        self._timer = None
        self._step(Input.TIMER_M, None, now)

    # -- actions of the table ----------------------------------------------------------------------------

    def _proceed(self, response: Response, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._data = None
        self._layer.unanswered.pop(self, None)
        if self._cancelled:
            self._send_cancel(None, now)
        self._tell(response, now)

    def _accept(self, response: Response, now: float) -> None:
        layer = self._layer
        layer.unanswered.pop(self, None)
        self._data = None
        self._restart(now + layer.timeout, self._timer_m)
        self._tell(response, now)
        self._request = None

    def _complete(self, response: Response, now: float) -> None:
        layer = self._layer
        layer.unanswered.pop(self, None)
        request = self._request
        owner = self._owner
        # RFC 3261 17.1.1.2: nothing that comes in Completed is passed up
        self._owner = None
        if request is not None:
            self._data = acknowledge(request, response).encode()
            layer.send(self._data, self.hop)
        if self.hop.transport == "udp":
            self._restart(now + layer.settings.timer_d, self._timer_d)
        else:
            self._step(Input.TIMER_D, None, now)
        if owner is not None:
            owner.response_received(self, response, now)
        self._request = None

    def _repeat_ack(self, _: Response, now: float) -> None:
        if self._data is not None:
            self._layer.send(self._data, self.hop)

    def _remember_cancel(self, _: None, now: float) -> None:
        self._cancelled = True

    def _send_cancel(self, _: None, now: float) -> None:
        self._cancelled = True
        layer = self._layer
        request = self._request
        if request is not None:
            cancel = cancel_for(request)
            if self._cancel_reason:
                cancel.set("Reason", self._cancel_reason)
            layer.request(cancel, self.hop, NOBODY, now)
        self._restart(now + layer.timeout, self._cancel_unanswered)


class NonInviteClientTransaction(ClientTransaction):
    """RFC 3261 section 17.1.2."""

    __slots__ = ()

    transitions = NON_INVITE_TRANSITIONS

    def __init__(
        self, layer: "TransactionLayer", key: ClientKey, request: Request, hop: Hop, owner: ClientOwner
    ) -> None:
        super().__init__(layer, key, request, hop, owner, State.TRYING)

    def _due(self, now: float) -> None:
        self._timer = None
        if now >= self._deadline:
            self._step(Input.TIMER_F, None, now)
            return
        t2 = self._layer.settings.t2
        # RFC 3261 17.1.2.2: doubling up to T2, and T2 at once when the peer is known to be there
        self._interval = t2 if self.state is State.PROCEEDING else min(2 * self._interval, t2)
        self._step(Input.TIMER_E, None, now)

    def _timer_k(self, now: float) -> None:
        self._timer = None
        self._step(Input.TIMER_K, None, now)

    def _complete(self, response: Response, now: float) -> None:
        layer = self._layer
        layer.unanswered.pop(self, None)
        owner = self._owner
        self._owner = None
        self._data = None
        if self.hop.transport == "udp":
            self._restart(now + layer.settings.t4, self._timer_k)
        else:
            self._step(Input.TIMER_K, None, now)
        if owner is not None:
            owner.response_received(self, response, now)
        self._request = None


class _Nobody:
    """Owner of a CANCEL: whatever the answer, the INVITE's own transaction tells what became of it."""

    __slots__ = ()

    def response_received(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        """Nothing follows from it."""

    def request_failed(self, transaction: ClientTransaction, reason: FailureReason, now: float) -> None:
        """Nothing follows from it."""


NOBODY = _Nobody()


def acknowledge(invite: Request, response: Response) -> Request:
    """The ACK to a refused INVITE, part of its transaction (RFC 3261 section 17.1.1.3)."""
    return _companion(invite, "ACK", response.get("To") or invite.get("To") or "")


def cancel_for(invite: Request) -> Request:
    """The CANCEL of an INVITE (RFC 3261 section 9.1)."""
    return _companion(invite, "CANCEL", invite.get("To") or "")


def _companion(invite: Request, method: str, to: str) -> Request:
    fields = {
        "Via": [invite.values("Via")[0]],
        "Max-Forwards": ["70"],
        "From": invite.all("From"),
        "To": [to],
        "Call-ID": invite.all("Call-ID"),
        "CSeq": [f"{invite.cseq.number} {method}"],
    }
    route = invite.all("Route")
    if route:
        # so that stateless proxies send it the way of the INVITE
        fields["Route"] = route
    return Request(method, invite.uri, fields)
