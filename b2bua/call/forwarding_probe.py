"""A call to a customer's line, to see whether it comes back to us: ``b2bua forwarding CONTRACT --test LINE``.

Nobody talks in it, and nothing of it is recorded or paid for. Whatever happens first ends it: the call comes back,
somebody answers, the line refuses, or nobody does anything for so long.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import structlog

from b2bua.call.phones import Phones
from b2bua.sip.diversion import Forwarding
from b2bua.sip.endpoint import Endpoint
from b2bua.sip.errors import LocalProtocolError
from b2bua.sip.events import InviteFailed, OfferReceived, ProgressReceived, SessionAnswered, SipEvent
from b2bua.sip.session import Session
from b2bua.sip.uri import user_part

log = structlog.get_logger("b2bua.forwarding")

Outcome = Literal["came_back", "answered", "refused", "rang", "silence"]
#: More at a time would be a way to ring half a town.
MOST = 5
_RINGING = 180

# An offer that no sound follows: discard port, inactive (RFC 8866 section 6.7). Every phone knows both codecs.
_OFFER = "v=0\r\no=- 1 1 IN {address}\r\ns=-\r\nc=IN {address}\r\nt=0 0\r\nm=audio 9 RTP/AVP 8 0\r\na=inactive\r\n"


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What became of it, ``seconds`` after the call began.

    ``kind`` is the forwarding that the carrier named, else what follows from the line having rung: "no_answer", or ""
    for at once or on busy. ``rang_seconds`` is how long it had rung by then. ``status`` is what the line refused with.
    """

    outcome: Outcome
    seconds: float
    kind: str = ""
    rang_seconds: float = 0.0
    status: int = 0


class ForwardingProbe:
    """One such call. ``contract``: its id; ``number`` is the target number that it shows as its caller."""

    __slots__ = ("began", "contract", "deadline", "done", "line", "number", "rang_at", "session")

    def __init__(
        self, contract: str, number: str, line: str, began: float, seconds: float, done: Callable[[ProbeResult], None]
    ) -> None:
        self.contract = contract
        self.number = number
        self.line = line
        self.began = began
        self.deadline = began + seconds
        self.done = done
        self.rang_at = 0.0
        self.session: Session | None = None


class ProbeError(Exception):
    """The line cannot be called; the text says why."""


class ForwardingProbes:
    """All that are under way; ``at`` is nanoseconds of the monotonic clock."""

    def __init__(self, endpoint: Endpoint, phones: Phones, domain: str) -> None:
        self._endpoint = endpoint
        self._phones = phones
        self._domain = domain
        self.running: list[ForwardingProbe] = []

    def begin(
        self, contract: str, number: str, line: str, seconds: float, at: int, done: Callable[[ProbeResult], None]
    ) -> None:
        """Call ``line`` over the trunk; ``done`` is called once. Numbers are E.164. Raises ProbeError."""
        if len(self.running) >= MOST:
            raise ProbeError(f"{MOST} lines are being tested already: wait for one of them")
        phone = self._phones.over_trunk(line)
        if phone is None:
            raise ProbeError("no trunk takes calls from us: set proxy of a trunk in b2bua.toml")
        now = at / 1e9
        probe = ForwardingProbe(contract, number, line, now, seconds, done)
        ours = f"<sip:{user_part(number)}@{self._domain}>"
        host = self._endpoint.addresses[phone.hop.listener].host_port.rpartition(":")[0].strip("[]")
        offer = _OFFER.format(address=f"IP{'6' if ':' in host else '4'} {host}").encode()
        try:
            probe.session = self._endpoint.invite(
                phone.uri, phone.hop, ours, f"<sip:{user_part(line)}@{self._domain}>", offer, now,
                [("P-Asserted-Identity", ours)], probe, routes=list(phone.routes),
            )  # fmt: skip
        except LocalProtocolError as error:
            raise ProbeError(str(error)) from error
        self.running.append(probe)
        log.info("forwarding_test", contract=contract, line=line)

    def came_back(self, contract: str, caller: str, line: str, forwarding: Forwarding | None, at: int) -> bool:
        """True if this call to ``contract`` is one of ours that came back; it is over then.

        ``caller`` and ``line`` (whose forwarding it was) are E.164, "" if unknown. A carrier that shows neither our
        number nor the line cannot be told from a customer's call.
        """
        for probe in self.running:
            if probe.contract == contract and (caller == probe.number or (line and line == probe.line)):
                kind = forwarding.kind if forwarding is not None and forwarding.kind != "unknown" else ""
                if not kind and probe.rang_at:
                    kind = "no_answer"
                self._end(probe, "came_back", at / 1e9, kind)
                return True
        return False

    def sip_event(self, probe: ForwardingProbe, event: SipEvent, at: int) -> None:
        """What the line says."""
        now = at / 1e9
        match event:
            case ProgressReceived(status=status) if status == _RINGING and not probe.rang_at:
                probe.rang_at = now
            case SessionAnswered():
                self._end(probe, "answered", now)
            case InviteFailed(status=status):
                self._end(probe, "refused", now, status=status)
            case OfferReceived(session=session):
                session.refuse_offer(488, now)
            case _:
                pass

    def tick(self, at: int) -> None:
        """About once a second: who has rung for long enough?"""
        now = at / 1e9
        for probe in list(self.running):
            if now >= probe.deadline:
                self._end(probe, "rang" if probe.rang_at else "silence", now)

    def _end(self, probe: ForwardingProbe, outcome: Outcome, now: float, kind: str = "", status: int = 0) -> None:
        if probe not in self.running:
            return
        self.running.remove(probe)
        session, probe.session = probe.session, None
        if session is not None:
            session.owner = None
            if outcome != "refused":
                session.hangup(now)
        rang = now - probe.rang_at if probe.rang_at else 0.0
        log.info("forwarding_test_ended", contract=probe.contract, outcome=outcome, kind=kind)
        probe.done(ProbeResult(outcome, now - probe.began, kind, rang, status))
