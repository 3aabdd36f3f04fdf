"""Server transactions: a request in, its responses out (RFC 3261 section 17.2, RFC 6026)."""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from b2bua.sip.errors import LocalProtocolError
from b2bua.sip.headers import NameAddr
from b2bua.sip.hop import Hop
from b2bua.sip.message import Request, Response, response_to
from b2bua.sip.timers import Timer

if TYPE_CHECKING:
    from b2bua.sip.transactions import TransactionLayer

ServerKey = tuple[object, ...]
MergeKey = tuple[str | None, str, str]


class State(Enum):
    """Where a server transaction stands (RFC 3261 figures 7 and 8, RFC 6026 section 8.6)."""

    TRYING = "Trying"
    PROCEEDING = "Proceeding"
    ACCEPTED = "Accepted"
    COMPLETED = "Completed"
    CONFIRMED = "Confirmed"
    TERMINATED = "Terminated"

    # Enum's own hash is a Python function, and every message asks the table
    __hash__ = object.__hash__


class Input(Enum):
    """What can happen to a server transaction."""

    REQUEST = "request again"
    ACK = "ACK"
    CANCEL = "CANCEL"
    SEND_PROVISIONAL = "1xx from TU"
    SEND_SUCCESS = "2xx from TU"
    SEND_FAILURE = "300-699 from TU"
    ABANDON = "abandoned by TU"
    TIMER_G = "Timer G"
    TIMER_H = "Timer H"
    TIMER_I = "Timer I"
    TIMER_J = "Timer J"
    TIMER_L = "Timer L"
    TIMER_TRYING = "timer E would reach T2"
    TIMER_UNANSWERED = "timer F would fire"

    __hash__ = object.__hash__


Transitions = Mapping[tuple[State, Input], tuple[str, State]]

#: RFC 3261 figure 7 as replaced by RFC 6026 section 8.6. A transport error changes nothing (section 8.8).
INVITE_TRANSITIONS: Transitions = {
    (State.PROCEEDING, Input.REQUEST): ("repeat_response", State.PROCEEDING),
    (State.PROCEEDING, Input.CANCEL): ("tell_cancelled", State.PROCEEDING),
    (State.PROCEEDING, Input.SEND_PROVISIONAL): ("send_provisional", State.PROCEEDING),
    (State.PROCEEDING, Input.SEND_SUCCESS): ("accept", State.ACCEPTED),
    (State.PROCEEDING, Input.SEND_FAILURE): ("complete", State.COMPLETED),
    (State.PROCEEDING, Input.ABANDON): ("end", State.TERMINATED),
    # RFC 6026 7.1: the TU repeats the 2xx, the transaction only absorbs the repeated INVITE
    (State.ACCEPTED, Input.SEND_SUCCESS): ("send", State.ACCEPTED),
    (State.ACCEPTED, Input.ACK): ("pass_ack", State.ACCEPTED),
    (State.ACCEPTED, Input.TIMER_L): ("end", State.TERMINATED),
    (State.COMPLETED, Input.REQUEST): ("repeat_response", State.COMPLETED),
    (State.COMPLETED, Input.TIMER_G): ("repeat_later", State.COMPLETED),
    (State.COMPLETED, Input.TIMER_H): ("miss_ack", State.TERMINATED),
    (State.COMPLETED, Input.ACK): ("confirm", State.CONFIRMED),
    (State.CONFIRMED, Input.TIMER_I): ("end", State.TERMINATED),
}

#: RFC 3261 figure 8 without provisional responses of the TU, which RFC 4320 section 4.1 forbids but for a
#: late 100; with an end for requests that are never answered.
NON_INVITE_TRANSITIONS: Transitions = {
    (State.TRYING, Input.TIMER_TRYING): ("send_trying", State.PROCEEDING),
    (State.TRYING, Input.SEND_SUCCESS): ("complete", State.COMPLETED),
    (State.TRYING, Input.SEND_FAILURE): ("complete", State.COMPLETED),
    (State.TRYING, Input.ABANDON): ("end", State.TERMINATED),
    (State.PROCEEDING, Input.REQUEST): ("repeat_response", State.PROCEEDING),
    (State.PROCEEDING, Input.SEND_SUCCESS): ("complete", State.COMPLETED),
    (State.PROCEEDING, Input.SEND_FAILURE): ("complete", State.COMPLETED),
    (State.PROCEEDING, Input.ABANDON): ("end", State.TERMINATED),
    # RFC 4320 4.2: whoever cannot answer in time does not answer at all
    (State.PROCEEDING, Input.TIMER_UNANSWERED): ("end", State.TERMINATED),
    (State.COMPLETED, Input.REQUEST): ("repeat_response", State.COMPLETED),
    # RFC 3261 17.2.2: a second final response is discarded
    (State.COMPLETED, Input.SEND_SUCCESS): ("discard", State.COMPLETED),
    (State.COMPLETED, Input.SEND_FAILURE): ("discard", State.COMPLETED),
    (State.COMPLETED, Input.TIMER_J): ("end", State.TERMINATED),
}


class ServerOwner(Protocol):
    """Who answers an INVITE."""

    def cancelled(self, request: Request, now: float) -> None:
        """The caller gave up before a final response; ``request`` is the CANCEL. Answer the INVITE with 487."""

    def ack_timed_out(self, now: float) -> None:
        """The refusal of the INVITE was never acknowledged (timer H)."""


class ServerTransaction:
    """What both server machines share.

    The layer makes one for each new request and hands it to ``TransactionUser.request_received``. It costs
    no memory beyond that call if it is answered there by ``respond_statelessly`` or is abandoned.

    ``request`` may be read until a final response was sent; ``hop`` is where it came from; ``owner`` is the
    user's to set, and so is ``to_tag``: the tag that the responses will have, for the answer to a CANCEL
    that comes before any of them (RFC 3261 section 9.2).
    """

    __slots__ = (
        "__weakref__", "_data", "_deadline", "_interval", "_kept", "_layer", "_request", "_timer", "_to",
        "hop", "key", "merge_key", "method", "owner", "reply_hop", "state", "to_tag",
    )  # fmt: skip

    transitions: ClassVar[Transitions]
    _steps: ClassVar[dict[tuple[State, Input], tuple[Callable[[Any, Any, float], None], State]]]

    def __init_subclass__(cls) -> None:
        # one lookup per input: the table with its actions' names resolved
        cls._steps = {pair: (getattr(cls, f"_{action}"), state) for pair, (action, state) in cls.transitions.items()}

    def __init__(
        self, layer: "TransactionLayer", key: ServerKey, request: Request, hop: Hop, reply_hop: Hop, initial: State
    ) -> None:
        self.state = initial
        self.key = key
        self.merge_key: MergeKey | None = None
        self.hop = hop
        self.reply_hop = reply_hop
        self.method = request.method
        self.owner: ServerOwner | None = None
        self.to_tag = ""
        self._request: Request | None = request
        self._layer = layer
        self._kept = False
        self._data: bytes | None = None
        self._to: str | None = None
        self._timer: Timer | None = None
        self._interval = 0.0
        self._deadline = 0.0

    @property
    def request(self) -> Request:
        """The request, until a final response was sent. Raises LocalProtocolError later."""
        if self._request is None:
            raise LocalProtocolError("the transaction is answered and has dropped its request")
        return self._request

    @property
    def ended(self) -> bool:
        """True once nothing can be answered any more."""
        return self.state is State.TERMINATED

    # -- the user's side ---------------------------------------------------------------------------------

    def trying(self, now: float) -> None:
        """Tell an INVITE's sender with a 100 that the answer takes longer (RFC 3261 section 17.2.1).

        Other requests get their 100 from the transaction itself, when RFC 4320 wants it.
        """
        raise NotImplementedError

    def respond(self, response: Response, now: float) -> None:
        """Send a response as reliably as its transaction is responsible for.

        A 2xx to an INVITE is sent once for each call: its repetition is the user's (RFC 3261 section
        13.3.1.4). Nothing is sent once the transaction has ended. Raises LocalProtocolError for a response
        that the state or the method forbids.
        """
        status = response.status
        if status >= 300:
            event = Input.SEND_FAILURE
        elif status >= 200:
            event = Input.SEND_SUCCESS
        else:
            event = Input.SEND_PROVISIONAL
        state = self.state
        if state is State.TERMINATED:
            return
        if (state, event) not in self._steps or (status == 408 and self.method != "INVITE"):
            # RFC 4320 4.2: a 408 to anything but INVITE always comes too late
            raise LocalProtocolError(f"{status} to {self.method} in state {state.value}")
        data = response.encode()
        if status > 100:
            self._to = response.get("To")
        if not self._kept:
            self._keep()
        self._step(event, data, now)

    def respond_statelessly(self, response: Response) -> None:
        """Send a final response and forget the request (RFC 3261 section 8.2.7); it is not repeated."""
        data = response.encode()
        if self._step(Input.ABANDON, None, 0.0):
            self._layer.send(data, self.reply_hop)
        elif self.state is not State.TERMINATED:
            raise LocalProtocolError(f"the {self.method} has its final response")

    def abandon(self) -> None:
        """Forget a request that deserves no answer."""
        self._step(Input.ABANDON, None, 0.0)

    # -- the layer's side --------------------------------------------------------------------------------

    def wait(self, now: float) -> None:
        """The user has taken the request but not answered yet."""
        if not self._kept and self.state is not State.TERMINATED:
            self._keep()

    def repeated(self, now: float) -> None:
        """The request came again."""
        self._step(Input.REQUEST, None, now)

    def response_tag(self) -> str:
        """The To tag of the responses as far as it is known, else ""."""
        if self.to_tag or self._to is None:
            return self.to_tag
        return NameAddr.parse(self._to).tag or ""

    def _keep(self) -> None:
        self._kept = True
        self._layer.server_started(self)

    def _step(self, event: Input, message: object, now: float) -> bool:
        """Let ``event`` happen; False if the state has no use for it."""
        step = self._steps.get((self.state, event))
        if step is None:
            return False
        action, self.state = step
        action(self, message, now)
        return True

    def _restart(self, when: float, action: Callable[[float], None]) -> None:
        timer = self._timer
        if timer is not None:
            timer.cancel()
        self._timer = self._layer.timers.start(when, action)

    # -- actions of the tables ---------------------------------------------------------------------------

    def _repeat_response(self, _: None, now: float) -> None:
        if self._data is not None:
            self._layer.send(self._data, self.reply_hop)

    def _end(self, _: None, now: float) -> None:
        """Out of the layer and out of every reference cycle: owners hold their transactions."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._data = None
        self._request = None
        self.owner = None
        if self._kept:
            self._layer.server_ended(self)


class InviteServerTransaction(ServerTransaction):
    """RFC 3261 section 17.2.1 with the Accepted state of RFC 6026."""

    __slots__ = ("_cancelled",)

    transitions = INVITE_TRANSITIONS

    def __init__(self, layer: "TransactionLayer", key: ServerKey, request: Request, hop: Hop, reply_hop: Hop) -> None:
        super().__init__(layer, key, request, hop, reply_hop, State.PROCEEDING)
        self._cancelled = False

    def trying(self, now: float) -> None:
        """Send 100, unless another provisional response went out already."""
        if self._data is None:
            # RFC 3261 17.2.1: a 100 gets no To tag
            self.respond(response_to(self.request, 100), now)

    def acknowledged(self, request: Request, hop: Hop, now: float) -> None:
        """An ACK that matches this transaction."""
        self._step(Input.ACK, (request, hop), now)

    def cancelled(self, request: Request, now: float) -> None:
        """A CANCEL that matches this transaction, which the layer has answered."""
        self._step(Input.CANCEL, request, now)

    # -- timers ------------------------------------------------------------------------------------------

    def _due(self, now: float) -> None:
        self._timer = None
        self._step(Input.TIMER_H if now >= self._deadline else Input.TIMER_G, None, now)

    def _timer_i(self, now: float) -> None:
        self._timer = None
        self._step(Input.TIMER_I, None, now)

    def _timer_l(self, now: float) -> None:
        self._timer = None
        self._step(Input.TIMER_L, None, now)

    # -- actions of the table ----------------------------------------------------------------------------

    def _send_provisional(self, data: bytes, now: float) -> None:
        self._data = data
        self._layer.send(data, self.reply_hop)

    def _accept(self, data: bytes, now: float) -> None:
        layer = self._layer
        self._data = None
        self._request = None
        self._timer = layer.timers.start(now + layer.timeout, self._timer_l)
        layer.send(data, self.reply_hop)

    def _send(self, data: bytes, now: float) -> None:
        self._layer.send(data, self.reply_hop)

    def _complete(self, data: bytes, now: float) -> None:
        layer = self._layer
        self._data = data
        self._request = None
        # RFC 3261 17.2.1: timer H over all transports, timer G over unreliable ones
        self._deadline = when = now + layer.timeout
        if self.hop.transport == "udp":
            self._interval = layer.settings.t1
            when = now + self._interval
        self._timer = layer.timers.start(when, self._due)
        layer.send(data, self.reply_hop)

    def _repeat_later(self, _: None, now: float) -> None:
        layer = self._layer
        self._interval = min(2 * self._interval, layer.settings.t2)
        self._timer = layer.timers.start(min(now + self._interval, self._deadline), self._due)
        self._repeat_response(None, now)

    def _confirm(self, _: tuple[Request, Hop], now: float) -> None:
        self._data = None
        if self.hop.transport == "udp":
            self._restart(now + self._layer.settings.t4, self._timer_i)
        else:
            self._step(Input.TIMER_I, None, now)

    def _pass_ack(self, arrival: tuple[Request, Hop], now: float) -> None:
        # RFC 6026 6: the ACK of an RFC 2543 peer to a 2xx has the INVITE's branch, and belongs to the TU
        self._layer.user.ack_received(*arrival, now)

    def _tell_cancelled(self, request: Request, now: float) -> None:
        if not self._cancelled and self.owner is not None:
            self._cancelled = True
            self.owner.cancelled(request, now)

    def _miss_ack(self, _: None, now: float) -> None:
        owner = self.owner
        self._end(None, now)
        if owner is not None:
            owner.ack_timed_out(now)


class NonInviteServerTransaction(ServerTransaction):
    """RFC 3261 section 17.2.2, with the restraint of RFC 4320."""

    __slots__ = ()

    transitions = NON_INVITE_TRANSITIONS

    def __init__(self, layer: "TransactionLayer", key: ServerKey, request: Request, hop: Hop, reply_hop: Hop) -> None:
        super().__init__(layer, key, request, hop, reply_hop, State.TRYING)

    def trying(self, now: float) -> None:
        """Nothing: a 100 before its time hinders recovery from losses (RFC 4320 section 2.1)."""

    def wait(self, now: float) -> None:
        """The user answers later: a 100 then when timer E of the client would reach T2."""
        if self._kept or self.state is State.TERMINATED:
            return
        self._keep()
        layer = self._layer
        self._deadline = now + layer.timeout
        self._timer = layer.timers.start(now + layer.trying_after, self._timer_trying)

    # -- timers ------------------------------------------------------------------------------------------

    def _timer_trying(self, now: float) -> None:
        self._timer = None
        self._step(Input.TIMER_TRYING, None, now)

    def _timer_unanswered(self, now: float) -> None:
        self._timer = None
        self._step(Input.TIMER_UNANSWERED, None, now)

    def _timer_j(self, now: float) -> None:
        self._timer = None
        self._step(Input.TIMER_J, None, now)

    # -- actions of the table ----------------------------------------------------------------------------

    def _send_trying(self, _: None, now: float) -> None:
        layer = self._layer
        self._data = response_to(self.request, 100).encode()
        self._timer = layer.timers.start(self._deadline, self._timer_unanswered)
        layer.send(self._data, self.reply_hop)

    def _complete(self, data: bytes, now: float) -> None:
        layer = self._layer
        self._request = None
        if self.hop.transport == "udp":
            self._data = data
            self._restart(now + layer.timeout, self._timer_j)
            layer.send(data, self.reply_hop)
        else:
            layer.send(data, self.reply_hop)
            self._step(Input.TIMER_J, None, now)

    def _discard(self, data: bytes, now: float) -> None:
        """Nothing goes out."""
