"""All calls: where they are born, how events find theirs, how they end."""

from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from accounting.journal import Activity, Ledger
from b2bua.call import departure, waiting
from b2bua.call.call import Call
from b2bua.call.forwarding_probe import ForwardingProbe, ForwardingProbes
from b2bua.call.leg import AGENT, CALLER, Leg
from b2bua.call.line_call import CallFloor
from b2bua.call.messages import Messages
from b2bua.call.phones import Phone, Phones
from b2bua.call.presentation import Presentation
from b2bua.call.record import call_ended, known_facts
from b2bua.call.states import Input
from b2bua.call.summary import CallSummary
from b2bua.metrics import Metrics
from b2bua.sip.endpoint import Endpoint
from b2bua.sip.errors import LocalProtocolError
from b2bua.sip.events import SipEvent
from b2bua.sip.session import Session
from b2bua.sip.timers import Timer
from media.engine import (
    DigitPressed,
    LegStatistics,
    MediaClosed,
    MediaEngine,
    MediaEvent,
    MediaFailed,
    MediaTimedOut,
    RecordingEnded,
    SdpReady,
    SoundEnded,
)
from routing.contract import Contract
from routing.directory import Directory
from routing.floor import (
    AgentConnected,
    AgentEvent,
    AgentStatusChanged,
    AnswerRefused,
    CallerOverflowed,
    CallerQueued,
    Floor,
    FloorEvent,
    NobodyFound,
    OfferMade,
    OfferWithdrawn,
    PositionChanged,
)
from routing.line_codes import Confirmation
from routing.line_floor import CallSent, LineEvent, LineFloor
from routing.line_route import Ended, ToContract, ToNumber
from routing.plan import Dial

log = structlog.get_logger("b2bua.call")


class CallController:
    """Owns the calls; carries commands and events between them, SIP, the floor, media and the ledger."""

    def __init__(
        self,
        endpoint: Endpoint,
        media: MediaEngine,
        floor: Floor,
        ledger: Ledger,
        phones: Phones,
        presentation: Presentation,
        metrics: Metrics,
        messages: Messages | None = None,
        lines: LineFloor | None = None,
    ) -> None:
        #: who rings lines of ours
        self.lines = lines or LineFloor(lambda now: datetime.fromtimestamp(now + ledger.wall_anchor_ns / 1e9, UTC))
        self.endpoint = endpoint
        self.media = media
        self.floor = floor
        self.ledger = ledger
        self.phones = phones
        self.presentation = presentation
        self.messages = messages
        self.metrics = metrics
        #: who else wants to know, at once and without waiting
        self.on_floor_event: Callable[[FloorEvent, int], None] | None = None
        self.on_ended: Callable[[Call, int], None] | None = None
        self.probes = ForwardingProbes(endpoint, phones, presentation.domain)
        self.directory: Directory = Directory()
        self.calls: dict[str, Call] = {}

    # -- birth and events --------------------------------------------------------------------------------

    def begin(
        self, session: Session, contract: Contract, summary: CallSummary, at: int, floor: CallFloor | None = None
    ) -> Call:
        """A caller is let in: make the call and let the floor look for an agent, or ``floor`` for whoever it finds."""
        invite = session.invite
        assert invite is not None
        call = Call(self.endpoint.ids.call_id()[:16], session, contract, summary, self, self.media, floor or self.floor)
        self.calls[call.id] = call
        summary.call_id = call.id
        session.trying(at / 1e9)
        log.debug("call_received", call_id=call.id, contract=contract.id, origin=summary.origin)
        call.begin(invite.body, at)
        return call

    def sip_event(self, event: SipEvent, at: int) -> None:
        """Hand an event to the call whose session it concerns; ended calls have let theirs go."""
        owner = getattr(event, "session").owner  # noqa: B009 - RequestReceived never comes here
        if isinstance(owner, Leg):
            owner.call.sip_event(owner, event, at)
        elif isinstance(owner, ForwardingProbe):
            self.probes.sip_event(owner, event, at)

    def floor_event(self, event: FloorEvent, at: int) -> None:
        """What the floor has decided."""
        if self.on_floor_event is not None:
            self.on_floor_event(event, at)
        if isinstance(event, AgentEvent):
            self._agent_event(event)
            return
        call = self.calls.get(event.call_id)
        if call is None:
            return
        match event:
            case OfferMade():
                call.step(Input.OFFER_MADE, at, event.agent_id)
            case OfferWithdrawn():
                call.step(Input.OFFER_WITHDRAWN, at, (event.agent_id, event.cause))
            case AgentConnected():
                call.step(Input.AGENT_CONNECTED, at, event.agent_id)
            case AnswerRefused():
                call.step(Input.ANSWER_REFUSED, at, (event.agent_id, "answered_elsewhere"))
            case CallerQueued() | PositionChanged():
                waiting.queued(call, event.position, event.expected_wait_seconds, at)
            case NobodyFound():
                if call.summary.accepted_at:
                    # who has been answered cannot be told a status any more
                    call.step(Input.OVERFLOWED, at, event.action)
                else:
                    call.step(Input.NOBODY_FOUND, at, event.action.status)
            case CallerOverflowed():
                call.step(Input.OVERFLOWED, at, event.action)

    def line_event(self, event: LineEvent, at: int) -> None:
        """What has come of the search for a line."""
        call = self.calls.get(event.call_id)
        if call is None:
            return
        if not isinstance(event, CallSent):
            self.floor_event(event, at)
            return
        match event.way:
            case ToContract():
                call.step(Input.FORWARDED, at, event.way)
            case ToNumber(number):
                call.step(Input.OVERFLOWED, at, Dial(number))
            case Confirmation():
                call.step(Input.OVERFLOWED, at, event.way)
            case Ended(refusal, reason):
                call.summary.end_reason = reason
                call.step(Input.NOBODY_FOUND, at, refusal.status)

    def _agent_event(self, event: AgentEvent) -> None:
        if isinstance(event, AgentStatusChanged):
            log.info("agent_status", agent=event.agent_id, status=event.status, reason=event.reason)

    def tick(self, at: int) -> None:
        """About once a second: who waits is told something now and then."""
        self.probes.tick(at)
        for call in self.calls.values():
            if call.departure is not None:
                departure.tick(call, at)
            elif call.room is not None:
                waiting.tick(call, at)

    def media_event(self, event: MediaEvent, at: int) -> None:
        """What the media engine has done."""
        call = self.calls.get(event.session)
        if isinstance(event, RecordingEnded):
            self._recorded(event, call, at)
            return
        if call is None:
            return
        if isinstance(event, SdpReady):
            call.description_ready(event.leg, event.sdp, at)
        elif isinstance(event, MediaFailed):
            log.info("media_failed", call_id=call.id, reason=event.reason, leg=event.leg, detail=event.detail)
            call.media_failed(event.reason, at)
        elif isinstance(event, MediaClosed):
            call.step(Input.MEDIA_CLOSED, at, dict(event.statistics))
        elif isinstance(event, SoundEnded):
            call.step(Input.SOUND_ENDED, at, event.tag)
        elif isinstance(event, DigitPressed):
            if event.leg == CALLER and call.departure is not None:
                departure.digit_pressed(call, event.digit)
            elif event.leg == CALLER:
                self.floor.digit_pressed(call.id, event.digit, at / 1e9)
        elif isinstance(event, MediaTimedOut):
            log.info("media_timeout", call_id=call.id, leg=event.leg)
            call.media_timed_out(at)

    def _recorded(self, event: RecordingEnded, call: Call | None, at: int) -> None:
        """A message is written; its caller may be gone by now."""
        if event.fault:
            log.error("message_lost", call_id=event.session, fault=event.fault)
        message = None if self.messages is None else self.messages.ended(event.path, event.seconds)
        if message is not None:
            log.info("message_left", call_id=event.session, mailbox=message.mailbox, seconds=round(event.seconds))
        if call is not None:
            call.step(Input.GONE_THROUGH if message is None else Input.RECORDED, at)

    def shut_down(self, at: int) -> None:
        """End every call now: BYE to everybody, intervals closed."""
        for call in list(self.calls.values()):
            call.summary.end_reason = call.summary.end_reason or "shutdown"
            call.step(Input.SHUTDOWN, at)

    # -- what calls ask of us ----------------------------------------------------------------------------

    def turns(self, call: Call, agent_id: str, at: int) -> tuple[list[list[Phone]], float]:
        """Every reachable phone of the agent, or of the line with this number, as they ring after each other."""
        if call.summary.without_contract:
            line = self.directory.lines.get(agent_id)
            return ([] if line is None else [self.phones.of((line.endpoint,), at / 1e9)]), 0.0
        agent = self.directory.agents.get(agent_id)
        if agent is None:
            return [], 0.0
        if agent.ring == "in_order":
            return self.phones.in_turn(agent.endpoints, at / 1e9), float(agent.endpoint_seconds)
        return [self.phones.of(agent.endpoints, at / 1e9)], 0.0

    def ring(self, call: Call, agent_id: str, phones: list[Phone], at: int) -> list[Leg]:
        """INVITE these phones of the agent, or of the line with this number."""
        if call.summary.without_contract:
            return self._invite(call, phones, agent_id, *self.presentation.for_line(call.summary, agent_id), at)
        ours = [phone for phone in phones if not phone.number]
        legs = []
        if ours:
            from_value = self.presentation.from_value(call.contract, call.summary)
            headers = self.presentation.headers(call.contract, call.summary)
            legs = self._invite(call, ours, agent_id, from_value, headers, at)
        for phone in phones:
            if phone.number:
                # a carrier takes a call of somebody else's number only as a forwarded one
                shown = self.presentation.forwarded(call.summary, phone.number)
                legs += self._invite(call, [phone], agent_id, *shown, at)
        return legs

    def start_timer(self, when: float, action: Callable[[float], None]) -> Timer:
        """A timer of the endpoint's heap."""
        return self.endpoint.timers.start(when, action)

    def dial(self, call: Call, number: str, at: int) -> list[Leg]:
        """INVITE a number over the trunk: a forwarding, or what a line has dialled."""
        phone = self.phones.over_trunk(number)
        if phone is None:
            log.error("no_way_out", call_id=call.id, number=number, hint="no trunk has a proxy: see b2bua.toml")
            return []
        from_value, headers = self.presentation.forwarded(call.summary, number)
        return self._invite(call, [phone], "", from_value, headers, at)

    def _invite(
        self, call: Call, phones: list[Phone], agent_id: str, from_value: str, headers: list[tuple[str, str]], at: int
    ) -> list[Leg]:
        legs = []
        for phone in phones:
            leg = Leg(call, AGENT, None, agent_id)
            leg.over_trunk = bool(agent_id and phone.number)
            to_value = f"<sip:{phone.to_user}@{self.presentation.domain}>"
            try:
                leg.session = self.endpoint.invite(
                    phone.uri, phone.hop, from_value, to_value, call.description, at / 1e9,
                    headers, leg, phone.symmetric, list(phone.routes),
                )  # fmt: skip
            except LocalProtocolError as error:
                log.warning("phone_unusable", call_id=call.id, agent=agent_id, error=str(error))
                continue
            legs.append(leg)
        return legs

    def record_message(self, call: Call, mailbox: str, at: int) -> None:
        """Record what the caller says; without a place for messages there is nothing more to hear."""
        if self.messages is None:
            log.error("no_voicemail", call_id=call.id, hint="set voicemail.folder in b2bua.toml")
            call.step(Input.GONE_THROUGH, at)
            return
        path = self.messages.begin(call, mailbox, self.ledger.wall_anchor_ns + at)
        self.media.record(call.id, CALLER, path, self.messages.most_seconds)

    def callback_wanted(self, call: Call) -> None:
        """The caller wants to be called back: the call's record says so, and a note for whoever does it."""
        log.info("callback_wanted", call_id=call.id, contract=call.contract.id, caller=call.summary.caller.user)
        if self.messages is not None and call.departure is not None:
            self.messages.callback_wanted(call, self.ledger.wall_anchor_ns + call.departure.began)

    def connected(self, call: Call, at: int) -> None:
        """The connected interval opens: from here on the call is paid for."""
        summary = call.summary
        self.ledger.connected(
            call_id=call.id, contract=call.contract.id, tariff=call.contract.tariff, agent=summary.agent,
            billable=summary.billable, at_ns=at, facts=known_facts(call),
        )  # fmt: skip

    def turned(self, call: Call, activity: Activity, at: int) -> None:
        """The connected interval goes on otherwise; what that costs is the tariff's affair."""
        self.ledger.turned(call_id=call.id, agent=call.summary.agent, activity=activity, at_ns=at)

    def disconnected(self, call: Call, at: int) -> None:
        """The connected interval closes."""
        self.ledger.hung_up(call_id=call.id, at_ns=at, side=call.summary.end_reason)

    def ended(self, call: Call, statistics: dict[str, LegStatistics]) -> None:
        """The call is over: record it and forget it."""
        del self.calls[call.id]
        summary = call.summary
        if self.on_ended is not None:
            self.on_ended(call, summary.ended_at)
        if summary.trunk is not None:
            summary.trunk.calls -= 1
        self.ledger.ended(call_ended(call, statistics))
        talk = (summary.ended_at - summary.answered_at) / 1e9 if summary.answered_at else 0.0
        answer = (summary.answered_at - summary.started_at) / 1e9 if summary.answered_at else -1.0
        self.metrics.call_ended(summary.result, summary.end_reason, talk, answer)
        log.debug(
            "call_ended", call_id=call.id, contract=call.contract.id, agent=summary.agent,
            result=summary.result, reason=summary.end_reason, talk_ms=int(talk * 1000),
        )  # fmt: skip
