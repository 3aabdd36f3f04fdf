"""Any order of anything: sessions and transactions stay in their tables, raise nothing and leave nothing."""

from hypothesis import given, settings
from hypothesis import strategies as st

from b2bua.sip import client_transaction, renegotiation, server_transaction, session_states
from b2bua.sip.events import (
    AckReceived,
    InfoAnswered,
    InfoReceived,
    InviteCancelled,
    InviteFailed,
    InviteReceived,
    OfferFailed,
    OfferReceived,
    SessionAnswered,
    SessionEnded,
    SipEvent,
)
from b2bua.sip.message import Request
from b2bua.sip.server_transaction import ServerTransaction
from b2bua.sip.session import Session
from b2bua.sip.session_states import State
from b2bua.sip.session_timer import SessionTimerPolicy
from tests.sip.ladder import ANSWER, HELD, HOLD, OFFER, TCP, UDP, Ladder, Peer

OUR_STEPS = ["trying", "ring", "answer", "refuse", "turn away", "hangup", "offer", "offer update", "offer nothing",
             "accept", "refuse offer", "acknowledge", "acknowledge empty", "send info", "answer info"]  # fmt: skip
PEER_STEPS = ["repeat", "cancel", "bye", "ack", "ack answer", "reinvite", "reinvite hold", "reinvite nothing", "update",
              "update hold", "info", "options", "old bye", "unknown", "merged"]  # fmt: skip
STATUSES = [100, 180, 183, 200, 202, 302, 401, 408, 422, 481, 486, 487, 488, 491, 500, 503, 603]
STEPS = st.one_of(
    st.sampled_from(OUR_STEPS),
    st.sampled_from(PEER_STEPS),
    st.tuples(st.integers(0, 5), st.sampled_from(STATUSES), st.sampled_from(["peer", "fork"])),
    st.sampled_from([0.0, 0.5, 2.0, 5.0, 33.0, 100.0, 2000.0]),
)


def reachable(transitions: dict[tuple[State, session_states.Input], tuple[str, State]]) -> dict[State, set[State]]:
    """Where each state's inputs may lead in the end."""
    found = {state: {state} for state in State}
    for _ in State:
        for (before, _), (_, after) in transitions.items():
            found[before] |= found[after]
    return found


REACHABLE = reachable(session_states.TRANSITIONS)
EXTRA = {"Session-Expires": "90;refresher=uas", "Supported": "timer", "Allow": "INVITE, UPDATE"}


class World:
    """One session, its peer, and everything that ever went out."""

    def __init__(self, outgoing: bool, over_tcp: bool, body: bool) -> None:
        self.ladder = Ladder(SessionTimerPolicy(expires=90))
        hop = TCP if over_tcp else UDP
        self.peer: Peer
        self.session: Session
        self.requests: list[Request] = []
        self.infos: list[ServerTransaction] = []
        self.told: list[SipEvent] = []
        if outgoing:
            self.peer, self.session = self.ladder.outgoing(hop, ANSWER if body else b"")
            assert self.peer.invited is not None
            self.requests.append(self.peer.invited)
            self.peer.last = self.peer.invited
        else:
            self.peer, self.session = self.ladder.incoming(EXTRA, hop, OFFER if body else b"")

    def ours(self, step: str) -> None:
        now = self.ladder.now
        talk = self.session
        match step:
            case "trying" if not talk.is_caller:
                talk.trying(now)
            case "ring" if not talk.is_caller:
                talk.ring(now)
            case "answer" if not talk.is_caller:
                talk.answer(ANSWER, now)
            case "refuse":
                talk.refuse(486, now)
            case "turn away":
                talk.turn_away(403, now)
            case "hangup":
                talk.hangup(now)
            case "offer":
                talk.offer(HELD, now)
            case "offer update":
                talk.offer(HELD, now, "UPDATE")
            case "offer nothing":
                talk.offer(b"", now)
            case "accept":
                talk.accept_offer(HELD, now)
            case "refuse offer":
                talk.refuse_offer(488, now)
            case "acknowledge":
                talk.acknowledge(HELD, now)
            case "acknowledge empty":
                talk.acknowledge(b"", now)
            case "send info":
                talk.send_info("text/plain", b"x", 1, now)
            case "answer info" if self.infos:
                talk.answer_request(self.infos.pop(), 200, now)

    def theirs(self, step: str) -> None:
        peer = self.peer
        match step:
            case "repeat" if not self.session.is_caller:
                peer.repeat()
            case "cancel" if not self.session.is_caller:
                peer.cancel()
            case "bye":
                peer.send("BYE")
            case "old bye":
                peer.send("BYE", 0)
            case "ack":
                peer.ack()
            case "ack answer":
                peer.ack(HOLD)
            case "reinvite":
                peer.invite(OFFER, EXTRA)
            case "reinvite hold":
                peer.invite(HOLD)
            case "reinvite nothing":
                peer.invite(b"")
            case "update":
                peer.send("UPDATE", extra=EXTRA)
            case "update hold":
                peer.send("UPDATE", body=HOLD)
            case "info" | "options":
                peer.send(step.upper())
            case "unknown":
                peer.send("FROBNICATE")
            case "merged" if peer.last is not None:
                self.ladder.receive(peer.write("INVITE", peer.last.cseq.number))

    def respond(self, which: int, status: int, tag: str) -> None:
        if self.requests:
            asked = self.requests[-1 - which % len(self.requests)]
            extra = {"Session-Expires": "90;refresher=uac"} if status == 200 else {"Min-SE": "100"}
            self.peer.respond(status, asked, OFFER if status in (183, 200) else b"", extra, tag)

    def look(self) -> None:
        """Take what came out: the peer learns its dialog, and the application's events are checked."""
        for sent in self.ladder.take():
            if isinstance(sent.message, Request):
                if sent.message.method != "ACK":
                    self.requests.append(sent.message)
            elif not self.session.is_caller and sent.message.status < 300 and sent.message.to.tag:
                self.peer.remote = sent.message.get("To") or ""
        ladder = self.ladder
        while ladder.events:
            event = ladder.events.popleft()
            if isinstance(event, InfoReceived):
                self.infos.append(event.transaction)
            if isinstance(event, InviteReceived):
                event.session.refuse(480, ladder.now)
                continue
            self.told.append(event)

    def check(self, before: State) -> None:
        assert self.session.state in REACHABLE[before]
        ends = [event for event in self.told if isinstance(event, SessionEnded | InviteFailed | InviteCancelled)]
        assert len(ends) <= 1
        if ends:
            after = self.told[self.told.index(ends[0]) + 1 :]
            # what the application asked for after the end is refused, and an INFO may still be answered
            assert all(isinstance(event, InfoAnswered | OfferFailed) for event in after), after
        assert sum(isinstance(event, SessionAnswered | AckReceived) for event in self.told) <= 1


@given(st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.lists(STEPS, max_size=14))
@settings(deadline=None)
def test_any_order_of_anything(
    outgoing: bool, over_tcp: bool, body: bool, standing: bool, steps: list[str | float | tuple[int, int, str]]
) -> None:
    world = World(outgoing, over_tcp, body)
    if standing:
        first: list[str | float | tuple[int, int, str]] = [(0, 200, "peer")] if outgoing else ["answer", "ack"]
        steps = first + steps
    for step in steps:
        before = world.session.state
        if isinstance(step, tuple):
            world.respond(*step)
        elif isinstance(step, float):
            world.ladder.advance(step)
        elif step in OUR_STEPS:
            world.ours(step)
        else:
            world.theirs(step)
        world.look()
        world.check(before)
    for _ in range(3):
        world.session.hangup(world.ladder.now)
        world.look()
        # whatever still waits for a final response gets one
        for request in world.requests[-20:]:
            world.peer.respond(481, request)
        world.ladder.advance(40)
        world.look()
    world.ladder.advance(3 * 64)
    world.look()
    world.ladder.assert_nothing_left()
    world.check(State.INCOMING if not outgoing else State.OUTGOING)
    assert world.session.state is State.TERMINATED


def test_an_offer_is_told_before_it_is_answered() -> None:
    """The application's part in ``test_any_order_of_anything`` is not vacuous."""
    world = World(outgoing=False, over_tcp=False, body=True)
    for step in ("answer", "ack", "reinvite hold"):
        (world.ours if step in OUR_STEPS else world.theirs)(step)
        world.look()
    assert isinstance(world.told[-1], OfferReceived)


def test_every_state_of_every_table_can_be_left_but_the_last() -> None:
    for table, last in (
        (session_states.TRANSITIONS, {State.TERMINATED}),
        (renegotiation.TRANSITIONS, set()),
        (client_transaction.INVITE_TRANSITIONS, {client_transaction.State.TERMINATED}),
        (client_transaction.NON_INVITE_TRANSITIONS, {client_transaction.State.TERMINATED}),
        (server_transaction.INVITE_TRANSITIONS, {server_transaction.State.TERMINATED}),
        (server_transaction.NON_INVITE_TRANSITIONS, {server_transaction.State.TERMINATED}),
    ):
        left: set[object] = {state for state, _ in table}
        reached: set[object] = {state for _, state in table.values()}
        assert reached - left == last
