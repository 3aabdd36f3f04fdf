"""Who may call, and whom: the door between SIP and the calls.

Carriers are known by where they send from, agents by digest; everybody else gets the same challenge, whether
the number or name exists or not. A carrier's call for a number that is nobody's is refused with 404 and never
reaches somebody else's contract.
"""

from datetime import UTC, datetime

import structlog

from b2bua.call.controller import CallController
from b2bua.call.summary import CallSummary
from b2bua.challenge import ChallengeOffers
from b2bua.line_door import LineDoor
from b2bua.metrics import Metrics
from b2bua.registrar import Registrar
from b2bua.sip.digest import DigestServer, Verdict, Verified
from b2bua.sip.diversion import Forwarding, read_forwarding
from b2bua.sip.endpoint import Endpoint
from b2bua.sip.events import InviteReceived, RequestReceived
from b2bua.sip.identity import ANONYMOUS, CallerIdentity, caller_identity, wants_privacy
from b2bua.sip.message import Request
from b2bua.trunk import RateLimit, Trunk, Trunks, dialled_text
from routing.codes import dialled_code
from routing.conditions import ANONYMOUS_CALLER, UNCONDITIONAL
from routing.directory import Directory, Expired, Found, Unknown
from routing.lines import Line
from routing.numbers import NumberReader
from routing.plan import Refusal

log = structlog.get_logger("b2bua.admission")


class Admission:
    """Judges INVITEs and REGISTERs from outside any dialog. ``at`` is nanoseconds of the monotonic clock."""

    def __init__(
        self,
        endpoint: Endpoint,
        controller: CallController,
        registrar: Registrar,
        trunks: Trunks,
        digest: DigestServer,
        metrics: Metrics,
        wall_anchor_ns: int,
        max_calls: int = 0,
        calls_per_second: float = 0.0,
        retry_after: int = 5,
    ) -> None:
        self._endpoint = endpoint
        self._controller = controller
        self._registrar = registrar
        self._trunks = trunks
        self._digest = digest
        self._metrics = metrics
        self._wall_anchor_ns = wall_anchor_ns
        self._max_calls = max_calls
        self._rate = RateLimit(calls_per_second)
        self._retry_after = [("Retry-After", str(retry_after))]
        self._internal_reader = NumberReader()
        self.directory = Directory()
        self._offers = ChallengeOffers(self.directory)
        self.lines = LineDoor(controller, metrics)
        self.draining = False
        #: records cannot be kept: a call would be given away. Set from another thread.
        self.journal_full = False

    def use(self, directory: Directory) -> None:
        """Another snapshot of the business data; calls that are in keep theirs."""
        self.directory = directory
        self._offers = ChallengeOffers(directory)
        self.lines.forwardings.keep_only(directory.lines)

    # -- INVITE ------------------------------------------------------------------------------------------

    def invite_received(self, event: InviteReceived, at: int) -> None:
        """Let a caller in or turn it away."""
        trunk = self._trunks.find(event.hop)
        if trunk is not None:
            self._from_trunk(event, trunk, at)
        else:
            self._from_agent(event, at)

    def _from_trunk(self, event: InviteReceived, trunk: Trunk, at: int) -> None:
        now = at / 1e9
        overload = self._overload(trunk, now)
        if overload:
            self._metrics.call_refused(overload)
            event.session.turn_away(503, now, self._retry_after)
            return
        request = event.request
        identity = caller_identity(request, trunk.trust_asserted_identity)
        self._let_in(event, f"trunk:{trunk.name}", trunk, trunk.reader, trunk.dialled(request), identity, at)

    def _overload(self, trunk: Trunk, now: float) -> str:
        if self.draining:
            return "draining"
        if self.journal_full:
            return "journal_full"
        if self._max_calls and len(self._controller.calls) >= self._max_calls:
            return "too_many_calls"
        if trunk.max_calls and trunk.calls >= trunk.max_calls:
            return "trunk_full"
        if not trunk.rate.allows(now):
            return "trunk_rate"
        return "" if self._rate.allows(now) else "rate"

    def _from_agent(self, event: InviteReceived, at: int) -> None:
        """Not from a carrier's address: an agent or a line with a password, or a stranger."""
        now = at / 1e9
        request = event.request
        verified = self._verify(request, "Proxy-Authorization", now)
        endpoint = self.directory.endpoint(verified.username)
        if verified.verdict is not Verdict.RIGHT or endpoint is None:
            self._note_failure(verified, "INVITE", event.hop.host)
            stale = verified.verdict is Verdict.STALE
            offered = self._offers.to(dialled_text(request.from_.uri))
            challenges = self._digest.challenges(now, offered, stale)
            event.session.turn_away(407, now, [("Proxy-Authenticate", value) for value in challenges])
            return
        full = self._max_calls and len(self._controller.calls) >= self._max_calls
        if full or self.draining or self.journal_full:
            self._metrics.call_refused("journal_full" if self.journal_full else "too_many_calls")
            event.session.refuse(503, now, self._retry_after)
            return
        line = self.directory.line_of(verified.username)
        if line is None:
            identity = CallerIdentity(verified.username, asserted=True)
            origin = f"agent:{endpoint.agent_id}"
        else:
            anonymous = wants_privacy(request)
            identity = ANONYMOUS if anonymous else CallerIdentity(line.number, line.name, asserted=True)
            origin = f"line:{verified.username}"
        code = dialled_code(request.uri)
        if code:
            self.lines.dial_code(event, origin, line or endpoint.agent_id, code, identity, self.directory, at)
        else:
            self._let_in(event, origin, None, self._internal_reader, request.uri, identity, at, line)

    def _let_in(
        self,
        event: InviteReceived,
        origin: str,
        trunk: Trunk | None,
        reader: NumberReader,
        dialled: str,
        identity: CallerIdentity,
        at: int,
        calling: Line | None = None,
    ) -> None:
        wall = datetime.fromtimestamp((self._wall_anchor_ns + at) / 1e9, UTC)
        found = self.directory.resolve(reader, dialled, wall)
        # what a line's phone says of forwardings is the customer's word, and no carrier's
        forwarding = read_forwarding(event.request) if calling is None else None
        if not isinstance(found, Found):
            if isinstance(found, Unknown) and found.number:
                summary = CallSummary(
                    origin, trunk, dialled_text(dialled)[:64], found.number, identity, forwarding, at
                )  # fmt: skip
                caller = caller_number(identity, reader)
                if self.lines.let_in(event, summary, self.directory, caller, wall, at, calling):
                    return
            reason = "number_expired" if isinstance(found, Expired) else "number_unknown"
            self._metrics.call_refused(reason)
            log.warning(
                reason, origin=origin, number=dialled_text(dialled)[:64], caller=identity.user[:64],
                contract=found.contract.id if isinstance(found, Expired) else "",
            )  # fmt: skip
            event.session.refuse(404, at / 1e9)
            return
        contract = found.contract
        if self._controller.probes.running and self._is_our_probe(contract.id, identity, forwarding, reader, at):
            # we ourselves sent this call, to see whether it comes back: nobody is to ring for it
            event.session.refuse(486, at / 1e9)
            return
        if contract.conditions is not UNCONDITIONAL:
            kind = forwarding.kind if forwarding is not None else ""
            effective = contract.effective(wall, caller_number(identity, reader), kind)
            if isinstance(effective.refused, Refusal):
                self._metrics.call_refused("caller_blocked")
                log.info("caller_blocked", origin=origin, contract=contract.id, caller=identity.user[:64])
                event.session.refuse(effective.refused.status, at / 1e9)
                return
            contract = contract.under(effective)
        summary = CallSummary(origin, trunk, dialled_text(dialled)[:64], found.number, identity, forwarding, at)
        if trunk is not None:
            trunk.calls += 1
        self._controller.begin(event.session, contract, summary, at)

    def _is_our_probe(
        self, contract: str, identity: CallerIdentity, forwarding: Forwarding | None, reader: NumberReader, at: int
    ) -> bool:
        line = reader.read(forwarding.line) if forwarding is not None else None
        caller = caller_number(identity, reader)
        return self._controller.probes.came_back(contract, caller, line or "", forwarding, at)

    # -- REGISTER ----------------------------------------------------------------------------------------

    def request_received(self, event: RequestReceived, at: int) -> None:
        """Answer a REGISTER (RFC 3261 section 10.3)."""
        now = at / 1e9
        transaction = event.transaction
        request = event.request
        verified = self._verify(request, "Authorization", now)
        if verified.verdict is not Verdict.RIGHT:
            self._note_failure(verified, "REGISTER", event.hop.host)
            offered = self._offers.to(dialled_text(request.to.uri))
            challenges = self._digest.challenges(now, offered, verified.verdict is Verdict.STALE)
            extra = [("WWW-Authenticate", value) for value in challenges]
            self._endpoint.refuse(transaction, 401, now, extra)
            return
        if dialled_text(request.to.uri) != verified.username:
            # RFC 3261 10.3 step 5: nobody moves somebody else's phone
            self._endpoint.refuse(transaction, 403, now)
            return
        outcome = self._registrar.register(request, verified.username, event.hop, now)
        self._endpoint.respond(transaction, outcome.status, now, outcome.headers)

    def _verify(self, request: Request, header: str, now: float) -> Verified:
        return self._digest.verify(request.all(header), request, self._secret_of, now)

    def _secret_of(self, username: str, algorithm: str) -> str | None:
        endpoint = self.directory.endpoint(username)
        if endpoint is None:
            return None
        if algorithm == "SHA-256":
            # stronger than asked for is always welcome: the challenge is the same for everybody
            return endpoint.ha1_sha256 or None
        return endpoint.ha1_md5 or None if algorithm in endpoint.algorithms else None

    def _note_failure(self, verified: Verified, method: str, host: str) -> None:
        if verified.verdict is Verdict.WRONG:
            self._metrics.call_refused("wrong_credentials")
            log.warning("wrong_credentials", method=method, source=host)
        elif verified.verdict is Verdict.MISSING:
            self._metrics.call_refused("challenged")


def caller_number(identity: CallerIdentity, reader: NumberReader) -> str:
    """The caller as a contract's conditions name callers; "" for what is no number."""
    if identity.anonymous or not identity.user:
        return ANONYMOUS_CALLER
    # a name of one of our agents is no number, and a number of a carrier's caller is written by the trunk's rules
    return reader.read(identity.user) or ""
