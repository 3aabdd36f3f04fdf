"""A call: one caller, the agents that ring for it, and the one that talks.

Events of SIP, floor and media come in, commands to SIP, floor, media and ledger go out; the state is set
by ``states.TRANSITIONS`` alone. Floor and media answer by events, at once or later: the call cannot tell.
Times are integer nanoseconds of the monotonic clock (``at``).
"""

from collections.abc import Callable

import structlog

from b2bua.call import departure, line_call, ringing, waiting
from b2bua.call.departure import Departure
from b2bua.call.leg import AGENT, CALLER, Leg, Offer
from b2bua.call.line_call import CallFloor
from b2bua.call.ports import Ports
from b2bua.call.reoffer import Input as ReofferInput
from b2bua.call.reoffer import Reoffer
from b2bua.call.reoffer import State as ReofferState
from b2bua.call.states import TRANSITIONS, Input, State
from b2bua.call.summary import CallSummary
from b2bua.call.waiting import WaitingRoom
from b2bua.sip.events import (
    AckReceived,
    InfoAnswered,
    InfoReceived,
    InviteCancelled,
    InviteFailed,
    OfferAcknowledged,
    OfferAnswered,
    OfferFailed,
    OfferReceived,
    ProgressReceived,
    SessionAnswered,
    SessionEnded,
    SipEvent,
)
from b2bua.sip.session import Session
from media.engine import MediaEngine
from routing.contract import Contract

log = structlog.get_logger("b2bua.call")

_NOT_JOINED = (State.JOINING, State.WHISPERING)


class Call:
    """One caller's call to one contract."""

    __slots__ = (
        "_answer", "_reoffer", "agent", "caller", "contract", "departure", "description", "floor", "id", "invite_body",
        "lost", "media", "offers", "ports", "room", "rung", "state", "summary",
    )  # fmt: skip

    def __init__(
        self,
        call_id: str,
        session: Session,
        contract: Contract,
        summary: CallSummary,
        ports: Ports,
        media: MediaEngine,
        floor: CallFloor,
    ) -> None:
        self.id = call_id
        self.contract = contract
        self.summary = summary
        self.ports = ports
        self.media = media
        self.floor = floor
        self.state = State.PREPARING
        self.caller = Leg(self, CALLER, session)
        session.owner = self.caller
        self.agent: Leg | None = None
        self.offers: dict[str, Offer] = {}
        self.description = b""
        self.rung = False
        self.invite_body = b""
        self.room: WaitingRoom | None = None
        self.departure: Departure | None = None
        self._reoffer: Reoffer | None = None
        #: agents who answered, and were lost before the caller was joined
        self.lost: tuple[str, ...] = ()
        #: the caller's answer, kept until the agent has heard the whisper
        self._answer = b""

    def begin(self, invite_body: bytes, at: int) -> None:
        """Accept the caller's INVITE: 100 was sent; prepare the description that agents will be offered."""
        self.invite_body = invite_body
        if invite_body and self.contract.waiting.answering == "answer_at_once":
            self.media.answer_alone(self.id, CALLER, invite_body)
        elif invite_body:
            self.media.offer(self.id, CALLER, AGENT, invite_body)
        else:
            # an INVITE without an offer: the agent's 200 will bring one (RFC 3264 section 4)
            self.step(Input.DESCRIPTION_FOR_AGENT, at)

    # -- the state table ---------------------------------------------------------------------------------

    def step(self, happening: Input, at: int, subject: object = None) -> None:
        """Take one input; what the table does not know in this state came late and changes nothing."""
        entry = TRANSITIONS.get((self.state, happening))
        if entry is None:
            return
        action, self.state = entry
        _ACTIONS[action](self, at, subject)

    # -- events of SIP -----------------------------------------------------------------------------------

    def sip_event(self, leg: Leg, event: SipEvent, at: int) -> None:
        """An event of one of this call's sessions."""
        _SIP_EVENTS[type(event)](self, leg, event, at)

    def _on_progress(self, leg: Leg, event: ProgressReceived, at: int) -> None:
        leg.early_body = event.body
        self.step(Input.PROGRESS, at, leg)

    def _on_answer(self, leg: Leg, event: SessionAnswered, at: int) -> None:
        if event.body:
            leg.early_body = event.body
        self.step(Input.LEG_ANSWERED, at, leg)

    def _on_failure(self, leg: Leg, event: InviteFailed, at: int) -> None:
        offer = self.offers.get(leg.agent_id)
        leg.release()
        if offer is not None:
            ringing.phone_failed(self, offer, leg, event.status, at)

    def _on_cancelled(self, leg: Leg, event: InviteCancelled, at: int) -> None:
        leg.release()
        self.summary.end_reason = "caller_cancelled"
        self.step(Input.CALLER_GONE, at, event.reason)

    def _on_ended(self, leg: Leg, event: SessionEnded, at: int) -> None:
        if leg is self.caller or leg is self.agent:
            side = leg.role
            leg.release()
            if self.state is not State.CLOSING:
                cause = event.cause
                # where a caller went says more than that he hung up there
                named = "line" if side == AGENT and self.summary.without_contract else side
                reason = f"{named}_hung_up" if cause == "bye" else f"{named}_{cause}"
                self.summary.end_reason = self.summary.left_for or reason
                if side == CALLER:
                    self.step(Input.CALLER_GONE, at, event.reason)
                else:
                    self.step(Input.AGENT_LOST if self._can_seek_another else Input.AGENT_GONE, at, event.reason)
        else:
            leg.release()

    def _on_ack(self, leg: Leg, event: AckReceived, at: int) -> None:
        self._acknowledged(event.body, at)

    def _on_offer_acknowledged(self, leg: Leg, event: OfferAcknowledged, at: int) -> None:
        self._acknowledged(event.body, at)

    def _acknowledged(self, body: bytes, at: int) -> None:
        if self._reoffer is not None:
            happening = ReofferInput.ACKNOWLEDGED if body else ReofferInput.ACKNOWLEDGED_EMPTY
            self._reoffer.step(self, happening, at, body)

    def _on_offer(self, leg: Leg, event: OfferReceived, at: int) -> None:
        other = self._other(leg)
        if leg is self.caller and self.state is State.SEEKING:
            waiting.offered_again(self, event.body, at)
            return
        if self.state is not State.TALKING or other is None or self._reoffer is not None:
            # RFC 3261 14.2: one exchange at a time, across both legs
            leg.talking_to.refuse_offer(491, at / 1e9)
            return
        if event.body:
            self._reoffer = Reoffer(leg, other, event.method, ReofferState.PREPARING_OFFER)
            self._reoffer.heard(leg, event.body)
            self.media.offer(self.id, leg.role, other.role, event.body)
        else:
            self._reoffer = Reoffer(leg, other, event.method, ReofferState.ASKED)
            other.talking_to.offer(b"", at / 1e9)

    def _on_offer_answered(self, leg: Leg, event: OfferAnswered, at: int) -> None:
        if self._reoffer is not None:
            happening = ReofferInput.ANSWERED_WITH_OFFER if event.ack_due else ReofferInput.ANSWERED
            self._reoffer.step(self, happening, at, event.body)

    def _on_offer_failed(self, leg: Leg, event: OfferFailed, at: int) -> None:
        if self._reoffer is not None:
            self._reoffer.step(self, ReofferInput.REFUSED, at, status=event.status)

    def _on_info(self, leg: Leg, event: InfoReceived, at: int) -> None:
        other = self._other(leg)
        if self.state is not State.TALKING or other is None:
            leg.talking_to.answer_request(event.transaction, 481, at / 1e9)
            return
        other.talking_to.send_info(event.content_type, event.body, event.transaction, at / 1e9)

    def _on_info_answered(self, leg: Leg, event: InfoAnswered, at: int) -> None:
        other = self._other(leg)
        if other is not None:
            other.talking_to.answer_request(event.token, event.status, at / 1e9)  # type: ignore[arg-type]

    def _other(self, leg: Leg) -> Leg | None:
        other = self.agent if leg is self.caller else self.caller
        return other if other is not None and other.session is not None else None

    # -- events of the media engine ----------------------------------------------------------------------

    def description_ready(self, leg: str, sdp: bytes, at: int) -> None:
        """The media engine has rewritten a description for ``leg``."""
        if self._reoffer is not None:
            self._reoffer.step(self, ReofferInput.DESCRIPTION_READY, at, sdp)
        elif leg == AGENT:
            self.description = sdp
            self.step(Input.DESCRIPTION_FOR_AGENT, at)
        elif self.state is State.JOINING and self._whispers:
            self.step(Input.WHISPER_DUE, at, sdp)
        elif not waiting.answered_again(self, sdp, at) and not (self.lost and self.state is State.PREPARING):
            # an answer of who was lost meanwhile is nobody's any more
            self.step(Input.DESCRIPTION_FOR_CALLER, at, sdp)

    def media_failed(self, reason: str, at: int) -> None:
        """The media engine cannot do what was asked."""
        if self._reoffer is not None:
            self._reoffer.step(self, ReofferInput.MEDIA_FAILED, at)
        elif self._can_seek_another and reason != "no_ports":
            log.info("agent_lost", call_id=self.id, agent=self.summary.agent, reason=reason)
            self.step(Input.AGENT_LOST, at, reason)
        else:
            self.step(Input.MEDIA_FAILED, at, reason)

    def media_timed_out(self, at: int) -> None:
        """Nothing was heard for too long from a party that may talk."""
        self.summary.end_reason = "media_timeout"
        self.step(Input.MEDIA_TIMED_OUT, at)

    def reoffer_done(self, reoffer: Reoffer) -> None:
        """The exchange of descriptions is over, well or not."""
        if self._reoffer is reoffer:
            self._reoffer = None

    def agent_turned(self, holds: bool, at: int) -> None:
        """The agent has put the caller on hold, or talks again."""
        if self.state is State.TALKING:
            self.ports.turned(self, "hold" if holds else "talk", at)

    def descriptions_failed(self, at: int) -> None:
        """No common description: there is nothing to talk over."""
        self.summary.end_reason = "not_acceptable"
        self.step(Input.SHUTDOWN, at)

    # -- actions: finding an agent -----------------------------------------------------------------------

    def _seek_agent(self, at: int, subject: object) -> None:
        if self.lost:
            since = (self.summary.accepted_at or self.summary.started_at) / 1e9
            self.ports.floor.caller_entered(self.id, self.contract, at / 1e9, since=since, refused_by=self.lost)
        else:
            self.floor.caller_entered(self.id, self.contract, at / 1e9)

    @property
    def _can_seek_another(self) -> bool:
        """An agent has answered, the caller is not joined yet, and can be offered to somebody else."""
        return self.state in _NOT_JOINED and bool(self.summary.agent and self.description)

    def _seek_another(self, at: int, reason: object) -> None:
        agent = self.agent
        assert agent is not None
        self.agent = None
        self.lost = (*self.lost, agent.agent_id)
        self.summary.agent = self.summary.end_reason = ""
        self.cancel(agent, "", at)
        self.ports.floor.agent_lost(self.id, agent.agent_id, at / 1e9)
        self.media.stop(self.id, AGENT)
        if self.room is not None:
            self.media.offer_for(self.id, CALLER, AGENT)
        else:
            self.media.offer(self.id, CALLER, AGENT, self.invite_body)

    def _pass_progress(self, at: int, leg: object) -> None:
        assert isinstance(leg, Leg)
        if self.summary.accepted_at:
            return  # has been answered, and hears music
        if leg.early_body and len(self.offers) == 1 and self.description and not leg.over_trunk:
            # early media (183): one agent rings, so nobody else's sound can get between
            self.media.answer(self.id, AGENT, CALLER, leg.early_body)
        else:
            self.let_ring(at)

    def let_ring(self, at: int) -> None:
        """The caller hears it ring (180), from now on."""
        if not self.rung:
            self.rung = True
            self.summary.rang_at = at
            self.caller.talking_to.ring(at / 1e9)

    def _pass_early_media(self, at: int, sdp: object) -> None:
        assert isinstance(sdp, bytes)
        self.caller.talking_to.ring(at / 1e9, 183, sdp)

    def cancel(self, leg: Leg, reason: str, at: int) -> None:
        """Let a leg go: CANCEL or BYE, whatever it takes, with this Reason (RFC 3326)."""
        session = leg.session
        leg.release()
        if session is not None:
            session.hangup(at / 1e9, reason)

    # -- actions: joining and talking --------------------------------------------------------------------

    def _join(self, at: int, agent_id: object) -> None:
        assert isinstance(agent_id, str)
        leg = self.offers.pop(agent_id).legs[0]
        self.agent = leg
        if not self.summary.without_contract:
            self.summary.agent = agent_id
        if self.description:
            self.media.answer(self.id, AGENT, CALLER, leg.early_body, join=not self._whispers)
        else:
            self.media.offer(self.id, AGENT, CALLER, leg.early_body)

    @property
    def _whispers(self) -> bool:
        """The agent hears something before the caller does; who is called without an offer has no ears yet."""
        return bool(self.contract.whisper and self.summary.agent and self.description)

    def _whisper(self, at: int, sdp: object) -> None:
        assert isinstance(sdp, bytes)
        self._answer = sdp
        self.media.play(self.id, AGENT, [self.contract.whisper], tag="whisper")

    def _connect_after_whisper(self, at: int, tag: object) -> None:
        self.media.join(self.id)
        self._connect(at, self._answer)

    def _connect(self, at: int, sdp: object) -> None:
        assert isinstance(sdp, bytes)
        agent = self.agent
        assert agent is not None
        if not self.description:
            self._reoffer = Reoffer(self.caller, agent, "INVITE", ReofferState.AWAITING_ACK)
        self.description = b""
        if not self.summary.accepted_at:
            self.caller.talking_to.answer(sdp, at / 1e9)
        if self.summary.agent:
            # only an agent's call is a connected one: another number's is nobody's to bill
            self.summary.answered_at = at
            self.ports.connected(self, at)
        else:
            self.summary.relayed_at = at

    def _fail_to_join(self, at: int, reason: object) -> None:
        self.summary.end_reason = str(reason)
        self.refuse_caller(488 if reason != "no_ports" else 503, at)
        self.close(at)

    def _lose_agent(self, at: int, reason: object) -> None:
        self.refuse_caller(480, at)
        self.close(at)

    def _disconnect(self, at: int, reason: object) -> None:
        self.summary.ended_at = at
        self.ports.disconnected(self, at)
        self.close(at, str(reason or ""))

    def _hang_up_late_answer(self, at: int, leg: object) -> None:
        assert isinstance(leg, Leg)
        self.cancel(leg, ringing.ELSEWHERE, at)

    # -- actions: the end --------------------------------------------------------------------------------

    def _abandon(self, at: int, reason: object) -> None:
        self.close(at, str(reason or ""))

    def _refuse_for_nobody(self, at: int, status: object) -> None:
        assert isinstance(status, int)
        if not self.summary.without_contract:
            self.summary.end_reason = "nobody_available"
        self.refuse_caller(status, at)
        self.close(at)

    def _refuse_for_media(self, at: int, reason: object) -> None:
        self.summary.end_reason = str(reason)
        self.refuse_caller({"no_ports": 503, "malformed": 400}.get(str(reason), 488), at)
        self.close(at)

    def _refuse_for_shutdown(self, at: int, reason: object) -> None:
        self.summary.end_reason = self.summary.end_reason or "shutdown"
        self.refuse_caller(503, at)
        self.close(at)

    def refuse_caller(self, status: int, at: int) -> None:
        """The final status of a caller who was not answered; others are hung up on when the call closes."""
        session = self.caller.session
        self.summary.status = status
        if session is not None and not self.summary.accepted_at:
            extra = [("Retry-After", "5")] if status == 503 else None
            session.refuse(status, at / 1e9, extra=extra)

    def close(self, at: int, reason: str = "") -> None:
        """Nobody talks or rings any more; the record is written when the media engine has its figures."""
        if not self.summary.ended_at:
            self.summary.ended_at = at
        self._reoffer = None
        # the floor withdraws what still rings, by events
        if self.agent is None:
            self.floor.caller_left(self.id, at / 1e9)
        else:
            self.floor.call_ended(self.id, at / 1e9)
            self.cancel(self.agent, reason, at)
        self.cancel(self.caller, reason, at)
        self.media.close(self.id)

    def _write_record(self, at: int, statistics: object) -> None:
        for offer in self.offers.values():
            offer.end_turns()
            for leg in offer.legs:
                self.cancel(leg, "", at)
        self.offers.clear()
        self.ports.ended(self, statistics)  # type: ignore[arg-type]
        self.agent = None


def _action(name: str) -> Callable[[Call, int, object], None]:
    """An action of the table: the call's own, or of the rooms for ringing, waiting and leaving."""
    for room in (ringing, waiting, departure, line_call):
        found: Callable[[Call, int, object], None] | None = getattr(room, name, None)
        if found is not None:
            return found
    own: Callable[[Call, int, object], None] = getattr(Call, f"_{name}")
    return own


_ACTIONS = {action: _action(action) for action, _ in TRANSITIONS.values()}

_SIP_EVENTS: dict[type, Callable[..., None]] = {
    ProgressReceived: Call._on_progress,
    SessionAnswered: Call._on_answer,
    InviteFailed: Call._on_failure,
    InviteCancelled: Call._on_cancelled,
    SessionEnded: Call._on_ended,
    AckReceived: Call._on_ack,
    OfferReceived: Call._on_offer,
    OfferAnswered: Call._on_offer_answered,
    OfferFailed: Call._on_offer_failed,
    OfferAcknowledged: Call._on_offer_acknowledged,
    InfoReceived: Call._on_info,
    InfoAnswered: Call._on_info_answered,
}
