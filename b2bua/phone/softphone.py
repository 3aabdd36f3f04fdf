"""A small SIP phone on the same sans-IO core as the server: registers, calls, answers, refuses.

It plays the carrier and the agents of the demonstration, and it is there for anybody who wants to try a
server: ``b2bua call`` and ``b2bua answer``.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from b2bua.net.transports import ListenerSpec, Transports
from b2bua.phone.audio import PCMA, PCMU, Frame, Heard, Speaker
from b2bua.sip.client_transaction import ClientTransaction, FailureReason
from b2bua.sip.dialog import LocalAddress
from b2bua.sip.digest import answer_challenge
from b2bua.sip.endpoint import Endpoint
from b2bua.sip.errors import RemoteProtocolError
from b2bua.sip.events import (
    InfoReceived,
    InviteCancelled,
    InviteFailed,
    InviteReceived,
    OfferReceived,
    ProgressReceived,
    RequestReceived,
    SessionAnswered,
    SessionEnded,
    SipEvent,
)
from b2bua.sip.headers import NameAddr
from b2bua.sip.hop import Hop
from b2bua.sip.ids import SystemIds
from b2bua.sip.message import Message, Request, Response
from b2bua.sip.parser import parse
from b2bua.sip.session import Session
from b2bua.sip.session_states import State
from media.sdp import Connection, MediaDescription, Origin, SdpError, SessionDescription
from media.sdp import parse as parse_sdp

Frames = Callable[[], Iterator[Frame]]

_LISTENER = "phone"
_CODECS = ("0", "8", "101")
_SPOKEN = (str(PCMU), str(PCMA))
_CODEC_ATTRIBUTES = [
    "rtpmap:0 PCMU/8000",
    "rtpmap:8 PCMA/8000",
    "rtpmap:101 telephone-event/8000",
    "fmtp:101 0-15",
    "ptime:20",
]
_MOST_TRIES = 2


class PhoneError(Exception):
    """The phone could not do what was asked; the text says why."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One message that the phone sent or received: ``at`` in seconds of the monotonic clock."""

    at: float
    sent: bool
    summary: str
    call_id: str


class PhoneCall:
    """One call of the phone. ``status`` is the last final status; ``cause`` says how an answered call ended."""

    def __init__(self, phone: "SoftPhone", session: Session, speaker: Speaker) -> None:
        self._phone = phone
        self._speaker = speaker
        self.session = session
        self.ringing = asyncio.Event()
        self.answered = asyncio.Event()
        self.ended = asyncio.Event()
        self.status = 0
        self.reason = ""
        self.cause = ""
        self.tries = 0
        self.answered_at = 0.0
        self.ended_at = 0.0
        invite = session.invite
        assert invite is not None
        self.invite: Request = invite

    @property
    def caller(self) -> NameAddr:
        """From of the INVITE: what the phone's display shows."""
        return self.invite.from_

    def header(self, name: str) -> str:
        """A header of the INVITE, such as the greeting that the exchange shows; empty if absent."""
        return self.invite.get(name) or ""

    def ring(self) -> None:
        """Say 180."""
        self.session.ring(self._phone.now)
        self._phone.flush()

    def answer(self) -> None:
        """Take the call: 200, and sound both ways. Nothing happens if it is gone already."""
        if not self.session.early:
            return
        self.answered_at = self._phone.now
        self.session.answer(self.description(), self._phone.now)
        self.status = 200
        self.answered.set()
        self.hear_from(self.invite.body)
        self._phone.flush()

    def refuse(self, status: int) -> None:
        """Do not take the call."""
        if self.session.early:
            self.status = status
            self.session.refuse(status, self._phone.now)
            self._end("refused")
            self._phone.flush()

    def hangup(self) -> None:
        """BYE, CANCEL or 480, whatever it takes. ``ended`` follows when the peer has agreed."""
        if self.session.early:
            self.refuse(480)
            return
        if not self.answered.is_set():
            self._phone.give_up(self)
        self.session.hangup(self._phone.now)
        self._phone.flush()

    def heard(self) -> Heard:
        """What came in so far."""
        return self._speaker.heard()

    @property
    def packets_sent(self) -> int:
        """RTP packets sent so far."""
        return self._speaker.sent

    @property
    def samples(self) -> Frame:
        """The last minute of what was heard."""
        return self._speaker.samples

    def description(self) -> bytes:
        """Our session description."""
        return _describe(self._speaker)

    def hear_from(self, body: bytes) -> None:
        """Take the peer's description: start listening, and speaking if it may be spoken to."""
        self._speaker.start(*_audio_target(body))

    def fell_over(self, cause: str, status: int, reason: str) -> None:
        """The session is over."""
        self.status = status or self.status
        self.reason = reason
        self._end(cause)

    def _end(self, cause: str) -> None:
        if not self.ended.is_set():
            self.cause = cause
            self.ended_at = self._phone.now
            self._speaker.close()
            self.ended.set()
            self._phone.forget(self)


class SoftPhone:
    """One SIP user agent with one local address. Start it inside a running loop, ``close`` it at the end."""

    def __init__(
        self,
        host: str,
        port: int = 0,
        transport: str = "udp",
        *,
        username: str = "phone",
        password: str = "",
        domain: str = "",
        frames: Frames,
        on_call: Callable[[PhoneCall], None] | None = None,
    ) -> None:
        self.host = host
        self.username = username
        self.frames = frames
        self.trace: list[Trace] = []
        self.ids = SystemIds()
        self._password = password
        # RFC 3261 19.1.1: an IPv6 address stands in brackets in a URI
        self._domain = domain or (f"[{host}]" if ":" in host else host)
        self._transport = transport
        self._on_call = on_call
        self._endpoint = Endpoint({}, self.ids, product="b2bua phone")
        self._calls: dict[int, PhoneCall] = {}
        self._given_up: list[PhoneCall] = []
        self._wake: asyncio.TimerHandle | None = None
        self._transports = Transports(
            [ListenerSpec(_LISTENER, "tcp" if transport == "tcp" else "udp", host, port)],
            on_datagram=self._received,
            on_message=self._message_received,
            on_failure=self._failed,
            on_closed=self._failed,
        )

    @property
    def now(self) -> float:
        """The monotonic clock, seconds."""
        return time.monotonic()

    @property
    def address(self) -> tuple[str, int]:
        """Where the phone listens."""
        return self._transports.bound(_LISTENER)

    async def start(self) -> None:
        """Open the sockets."""
        await self._transports.start()
        host, port = self.address
        self._endpoint.addresses[_LISTENER] = LocalAddress(self._transport, host, port)

    async def close(self) -> None:
        """Hang up whatever still talks, and let go of the sockets."""
        for call in list(self._calls.values()):
            call.hangup()
            call.fell_over("closed", 0, "")
        if self._wake is not None:
            self._wake.cancel()
        await self._transports.close()

    # -- calls -------------------------------------------------------------------------------------------

    def call(
        self, uri: str, server: tuple[str, int], headers: list[tuple[str, str]] | None = None, caller: str = ""
    ) -> PhoneCall:
        """Send an INVITE for ``uri`` to ``server``; ``caller`` is the From, a name-addr."""
        hop = Hop(self._transport, server[0], server[1], _LISTENER)
        from_value = caller or f"<sip:{self.username}@{self._domain}>"
        speaker = self._speaker()
        session = self._endpoint.invite(uri, hop, from_value, f"<{uri}>", _describe(speaker), self.now, headers)
        call = PhoneCall(self, session, speaker)
        self._calls[id(session)] = call
        session.owner = call
        self.flush()
        return call

    async def register(self, server: tuple[str, int], expires: int = 300) -> None:
        """Register at a server. Raises PhoneError if it does not want us."""
        domain = self._domain
        hop = Hop(self._transport, server[0], server[1], _LISTENER)
        address = self._endpoint.addresses[_LISTENER]
        fields = {
            "Max-Forwards": ["70"],
            "From": [f"<sip:{self.username}@{domain}>;tag={self.ids.tag()}"],
            "To": [f"<sip:{self.username}@{domain}>"],
            "Call-ID": [self.ids.call_id()],
            "Contact": [address.contact(self.username)],
            "Expires": [str(expires)],
        }
        request = Request("REGISTER", f"sip:{domain}", fields)
        response: Response | None = None
        for number in range(1, _MOST_TRIES + 1):
            request.set("Via", address.via(self.ids.branch()))
            request.set("CSeq", f"{number} REGISTER")
            answer = _Answer()
            self._endpoint.layer.request(request, hop, answer, self.now)
            self.flush()
            response = await answer.future
            if response is None or response.status != 401:
                break
            credentials = answer_challenge(response, request, self.username, self._password, self.ids)
            if credentials is None:
                break
            request.set(*credentials)
        if response is None:
            raise PhoneError(f"{server[0]}:{server[1]} does not answer REGISTER")
        if response.status >= 300:
            raise PhoneError(f"REGISTER was refused: {response.status} {response.reason}")

    def _speaker(self) -> Speaker:
        return Speaker(self.host, self.frames(), self.ids.number(32))

    def give_up(self, call: PhoneCall) -> None:
        """A call is to be cancelled: its session tells nothing more to whoever gave it up, so look for its end."""
        self._given_up.append(call)

    def forget(self, call: PhoneCall) -> None:
        """A call is over."""
        self._calls.pop(id(call.session), None)

    # -- events ------------------------------------------------------------------------------------------

    def _happened(self, event: SipEvent) -> None:
        if isinstance(event, InviteReceived):
            self._invited(event)
        elif isinstance(event, RequestReceived):
            self._endpoint.refuse(event.transaction, 405, self.now)
        else:
            call = event.session.owner
            if isinstance(call, PhoneCall):
                self._happened_to(call, event)

    def _invited(self, event: InviteReceived) -> None:
        session = event.session
        if self._on_call is None:
            session.refuse(480, self.now)
            return
        session.trying(self.now)
        call = PhoneCall(self, session, self._speaker())
        self._calls[id(session)] = call
        session.owner = call
        self._on_call(call)

    def _happened_to(self, call: PhoneCall, event: SipEvent) -> None:
        if isinstance(event, ProgressReceived):
            call.ringing.set()
        elif isinstance(event, SessionAnswered):
            call.status = 200
            call.answered_at = self.now
            call.hear_from(event.body)
            call.answered.set()
        elif isinstance(event, InviteFailed):
            if not self._answered_challenge(call, event):
                call.fell_over("refused", event.status, event.reason)
        elif isinstance(event, InviteCancelled):
            call.fell_over("cancelled", 487, event.reason)
        elif isinstance(event, SessionEnded):
            call.fell_over(event.cause, 0, event.reason)
        elif isinstance(event, OfferReceived):
            # hold, resume, another address: the same description of ours fits all of them
            call.session.accept_offer(call.description(), self.now)
            if event.body:
                call.hear_from(event.body)
        elif isinstance(event, InfoReceived):
            call.session.answer_request(event.transaction, 200, self.now)

    def _answered_challenge(self, call: PhoneCall, event: InviteFailed) -> bool:
        """A 407 or 401: call again with the password."""
        response = event.response
        if response is None or event.status not in (401, 407) or not self._password or call.tries >= _MOST_TRIES:
            return False
        credentials = answer_challenge(response, call.invite, self.username, self._password, self.ids)
        if credentials is None:
            return False
        call.tries += 1
        invite = call.invite
        caller = (invite.get("From") or "").partition(";tag=")[0]
        session = self._endpoint.invite(
            invite.uri, call.session.hop, caller, invite.get("To") or "", call.description(), self.now, [credentials]
        )
        self._calls.pop(id(call.session), None)
        self._calls[id(session)] = call
        call.session = session
        session.owner = call
        return True

    # -- the network -------------------------------------------------------------------------------------

    def _received(self, data: bytes, hop: Hop) -> None:
        try:
            self._message_received(parse(data), hop)
        except RemoteProtocolError:
            return  # a phone ignores what is no SIP

    def _message_received(self, message: Request | Response, hop: Hop) -> None:
        self._note(message, sent=False)
        self._endpoint.receive_message(message, hop, self.now)
        self.flush()

    def _failed(self, hop: Hop) -> None:
        self._endpoint.transport_failed(hop, self.now)
        self.flush()

    def flush(self) -> None:
        """Work off events, send what is due, be woken for the next timer."""
        events = self._endpoint.events
        while events:
            self._happened(events.popleft())
        if self._given_up:
            self._look_for_ends()
        for data, hop in self._endpoint.datagrams_to_send():
            self._note(parse(data), sent=True)
            self._transports.send(data, hop)
        deadline = self._endpoint.next_deadline()
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        if deadline is not None:
            loop = asyncio.get_running_loop()
            self._wake = loop.call_later(max(0.0, deadline - self.now), self._timer_due)

    def _look_for_ends(self) -> None:
        for call in self._given_up:
            if call.session.state is State.TERMINATED:
                call.fell_over("cancelled", 487, "Request Terminated")
        self._given_up = [call for call in self._given_up if not call.ended.is_set()]

    def _timer_due(self) -> None:
        self._endpoint.handle_timers(self.now)
        self.flush()

    def _note(self, message: Message, sent: bool) -> None:
        if isinstance(message, Request):
            summary = message.method
        elif isinstance(message, Response):
            summary = f"{message.status} {message.reason}"
        if message.body:
            summary += " (SDP)"
        self.trace.append(Trace(self.now, sent, summary, message.get("Call-ID") or ""))


class _Answer:
    """Waits for the final response of a request."""

    def __init__(self) -> None:
        self.future: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()

    def response_received(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        if response.status >= 200 and not self.future.done():
            self.future.set_result(response)

    def request_failed(self, transaction: ClientTransaction, reason: FailureReason, now: float) -> None:
        if not self.future.done():
            self.future.set_result(None)


def _describe(speaker: Speaker) -> bytes:
    """What the phone can do: both G.711s and telephone-event."""
    origin = Origin("-", str(speaker.port), "1", *Connection.to(speaker.host))
    description = SessionDescription(origin, Connection.to(speaker.host))
    audio = MediaDescription("audio", speaker.port, "RTP/AVP", _CODECS)
    audio.attributes = list(_CODEC_ATTRIBUTES)
    description.media.append(audio)
    return description.encode()


def _audio_target(body: bytes) -> tuple[tuple[str, int] | None, int]:
    """Where the peer wants to hear, and the payload type it prefers; nowhere if there is no audio, or it is held."""
    try:
        description = parse_sdp(body)
    except SdpError:
        return None, PCMU
    for audio in description.media:
        connection = audio.connection or description.connection
        if audio.kind == "audio" and audio.port and connection is not None:
            payload_type = next((int(item) for item in audio.formats if item in _SPOKEN), PCMU)
            direction = {"sendonly", "inactive"}
            if direction & set(audio.attributes) or direction & set(description.attributes):
                return None, payload_type
            return (connection.address, audio.port), payload_type
    return None, PCMU
