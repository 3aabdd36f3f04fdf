"""An endpoint, a clock by hand and the peers that talk to it: what tests of sessions are written with."""

import itertools
from typing import NamedTuple, TypeVar

from b2bua.sip.dialog import LocalAddress
from b2bua.sip.endpoint import Endpoint
from b2bua.sip.events import InviteReceived, SipEvent
from b2bua.sip.hop import Hop
from b2bua.sip.ids import SeededIds
from b2bua.sip.message import Message, Request, Response, response_to
from b2bua.sip.parser import parse
from b2bua.sip.session import Session
from b2bua.sip.session_timer import SessionTimerPolicy
from b2bua.sip.timers import TimerSettings

UDP = Hop("udp", "192.0.2.1", 5060, "trunk")
TCP = Hop("tcp", "192.0.2.1", 40123, "trunk-tcp", 7)
ADDRESSES = {
    "trunk": LocalAddress("udp", "198.51.100.1", 5060),
    "trunk-tcp": LocalAddress("tcp", "198.51.100.1", 5060),
}
OFFER = b"v=0\r\no=peer 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
ANSWER = b"v=0\r\no=us 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio 5000 RTP/AVP 8\r\n"
HOLD = OFFER + b"a=sendonly\r\n"
HELD = ANSWER + b"a=recvonly\r\n"
NO_TIMERS = SessionTimerPolicy(expires=0)

Event = TypeVar("Event")
Extra = dict[str, str]
_branches = itertools.count(1)


class Sent(NamedTuple):
    """One message that left us."""

    when: float
    message: Request | Response
    hop: Hop

    @property
    def name(self) -> str | int:
        """The method of a request, the status of a response: one rung of a ladder."""
        return self.message.method if isinstance(self.message, Request) else self.message.status

    @property
    def request(self) -> Request:
        """The message, which must be a request."""
        assert isinstance(self.message, Request)
        return self.message

    @property
    def response(self) -> Response:
        """The message, which must be a response."""
        assert isinstance(self.message, Response)
        return self.message


class Ladder:
    """One endpoint and its clock. Timers run at their own moments, so that every time is exact."""

    def __init__(self, policy: SessionTimerPolicy = NO_TIMERS, settings: TimerSettings | None = None) -> None:
        self.now = 1000.0
        self.endpoint = Endpoint(ADDRESSES, SeededIds(1), settings, policy)
        self.sent: list[Sent] = []
        self.events = self.endpoint.events

    # -- the network -------------------------------------------------------------------------------------

    def receive(self, message: Request | Response | bytes, hop: Hop = UDP) -> None:
        """A message from a peer."""
        data = message if isinstance(message, bytes) else message.encode()
        self.endpoint.receive(data, hop, self.now)
        self._collect()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while (deadline := self.endpoint.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.endpoint.handle_timers(self.now)
            self._collect()
        self.now = end

    def _collect(self) -> None:
        for data, hop in self.endpoint.datagrams_to_send():
            self.sent.append(Sent(self.now, parse(data), hop))

    # -- what came out -----------------------------------------------------------------------------------

    def take(self) -> list[Sent]:
        """Everything sent since the last look."""
        self._collect()
        sent, self.sent = self.sent, []
        return sent

    def take_one(self, name: str | int) -> Sent:
        """The only message sent since the last look, which must be that method or status."""
        (only,) = self.take()
        assert only.name == name
        return only

    def assert_sent(self, expected: list[str | int]) -> list[Sent]:
        """Exactly these methods and statuses since the last look, in order."""
        sent = self.take()
        assert [item.name for item in sent] == expected
        return sent

    def event(self, kind: type[Event]) -> Event:
        """The next event, which must be of this kind."""
        event: SipEvent = self.events.popleft()
        assert isinstance(event, kind), event
        return event

    def assert_no_events(self) -> None:
        """Nothing more was told to the application."""
        assert not self.events

    def assert_nothing_left(self) -> None:
        """Let the last timers run out: no session, transaction or timer may remain, and nothing is said."""
        self.advance(64 * self.endpoint.settings.t1 + self.endpoint.settings.t4)
        layer = self.endpoint.layer
        assert self.endpoint.sessions == {}
        assert (layer.client_count, layer.server_count) == (0, 0)
        assert not layer.unanswered
        assert len(self.endpoint.timers) == 0

    # -- calls that stand --------------------------------------------------------------------------------

    def incoming(self, extra: Extra | None = None, hop: Hop = UDP, body: bytes = OFFER) -> tuple["Peer", Session]:
        """A peer calls us; nothing is answered yet."""
        peer = Peer(self, hop)
        peer.invite(body=body, extra=extra)
        return peer, self.event(InviteReceived).session

    def answered(self, extra: Extra | None = None, hop: Hop = UDP) -> tuple["Peer", Session]:
        """A peer has called us, we have answered, and its ACK came."""
        peer, session = self.incoming(extra, hop)
        session.answer(ANSWER, self.now)
        peer.learn(self.take_one(200).response)
        peer.ack()
        self.events.clear()
        return peer, session

    def outgoing(self, hop: Hop = UDP, body: bytes = ANSWER, routes: list[str] | None = None) -> tuple["Peer", Session]:
        """We call a peer, which has not answered yet."""
        session = self.endpoint.invite(
            "sip:agent@192.0.2.1", hop, "<sip:exchange@example.com>", "<sip:agent@192.0.2.1>", body, self.now,
            routes=routes,
        )  # fmt: skip
        peer = Peer(self, hop)
        peer.take_invite(self.take_one("INVITE").request)
        return peer, session

    def connected(self, hop: Hop = UDP, extra: Extra | None = None) -> tuple["Peer", Session]:
        """We have called a peer, it has answered, and our ACK went out."""
        peer, session = self.outgoing(hop)
        peer.respond(200, body=OFFER, extra=extra)
        self.take_one("ACK")
        self.events.clear()
        return peer, session


class Peer:
    """The other end of one dialog, caller or callee: it writes what RFC 3261 lets it write."""

    def __init__(self, ladder: Ladder, hop: Hop = UDP) -> None:
        self.ladder = ladder
        self.hop = hop
        self.tag = "peer"
        self.contact = "<sip:peer@192.0.2.1:5060>"
        self.call_id = f"call-{next(_branches)}@peer"
        self.local = f"<sip:caller@peer.example>;tag={self.tag}"
        self.remote = "<sip:+492214710@example.com>"
        self.target = "sip:+492214710@example.com"
        self.sequence = 0
        self.last: Request | None = None
        #: the INVITE of ours that this peer answers
        self.invited: Request | None = None

    # -- requests ----------------------------------------------------------------------------------------

    def write(
        self, method: str, sequence: int | None = None, body: bytes = b"", extra: Extra | None = None, branch: str = ""
    ) -> Request:
        """A request of this peer, in its dialog if there is one."""
        if sequence is None:
            self.sequence += 1
            sequence = self.sequence
        branch = branch or f"z9hG4bKpeer{next(_branches)}"
        request = Request(
            method,
            self.target,
            {
                "Via": [f"SIP/2.0/{self.hop.transport.upper()} 192.0.2.1:5060;branch={branch}"],
                "Max-Forwards": ["70"],
                "From": [self.local],
                "To": [self.remote],
                "Call-ID": [self.call_id],
                "CSeq": [f"{sequence} {method}"],
                "Contact": [self.contact],
            },
            body,
        )
        if body:
            request.set("Content-Type", "application/sdp")
        for name, value in (extra or {}).items():
            request.set(name, value)
        return request

    def send(self, method: str, sequence: int | None = None, body: bytes = b"", extra: Extra | None = None) -> Request:
        """Send a request."""
        request = self.write(method, sequence, body, extra)
        self.ladder.receive(request, self.hop)
        return request

    def invite(self, body: bytes = OFFER, extra: Extra | None = None, sequence: int | None = None) -> Request:
        """Send an INVITE or, in a dialog, a re-INVITE."""
        self.last = self.send("INVITE", sequence, body, extra)
        return self.last

    def repeat(self) -> None:
        """The last INVITE once more, as its retransmission."""
        assert self.last is not None
        self.ladder.receive(self.last, self.hop)

    def ack(self, body: bytes = b"") -> Request:
        """ACK the 2xx to the last INVITE."""
        assert self.last is not None
        return self.send("ACK", self.last.cseq.number, body)

    def ack_refusal(self, response: Response) -> None:
        """ACK a refusal of the last INVITE, as part of its transaction."""
        assert self.last is not None
        branch = self.last.via.branch or ""
        request = self.write("ACK", self.last.cseq.number, branch=branch)
        request.set("To", response.get("To") or "")
        self.ladder.receive(request, self.hop)

    def cancel(self, extra: Extra | None = None) -> None:
        """CANCEL the last INVITE."""
        assert self.last is not None
        request = self.write("CANCEL", self.last.cseq.number, extra=extra, branch=self.last.via.branch or "")
        request.remove("Contact")
        request.set("To", self.last.get("To") or "")
        self.ladder.receive(request, self.hop)

    def learn(self, response: Response) -> None:
        """Make the dialog that our response to the peer's INVITE establishes."""
        self.remote = response.get("To") or ""
        if response.contacts:
            self.target = response.contacts[0].uri

    # -- responses ---------------------------------------------------------------------------------------

    def take_invite(self, invite: Request) -> None:
        """Be the callee of our INVITE."""
        self.invited = invite
        self.call_id = invite.call_id
        self.local = f"{invite.get('To')};tag={self.tag}"
        self.remote = invite.get("From") or ""
        self.target = invite.contacts[0].uri

    def respond(
        self,
        status: int,
        request: Request | None = None,
        body: bytes = b"",
        extra: Extra | None = None,
        tag: str = "",
    ) -> Response:
        """Answer our INVITE, or another request of ours."""
        asked = request or self.invited
        assert asked is not None
        response = response_to(asked, status, to_tag=tag or self.tag)
        _complete(response, self.contact if status < 300 else "", body, extra)
        self.ladder.receive(response, self.hop)
        return response


def _complete(message: Message, contact: str, body: bytes, extra: Extra | None) -> None:
    if contact:
        message.set("Contact", contact)
    if body:
        message.set("Content-Type", "application/sdp")
        message.body = body
    for name, value in (extra or {}).items():
        message.set(name, value)
