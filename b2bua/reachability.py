"""Which phones of agents answer at all: each is asked now and then (OPTIONS, RFC 3261 section 11).

Any answer will do: whoever speaks SIP can be rung. Who gives none until timer F, or cannot be sent to, is left out of
offers until they answer again. Only doubts are kept: phones that answer cost no memory between two questions. A number
over the trunk is not asked, for the carrier would answer and not the phone.

Cost: each agent has a turn within ``seconds``, so that 5,000 agents with one phone each make 83 questions a second, in
portions of a tenth of a second; there is one question to a phone at a time, so that a phone that is gone costs 11
datagrams in the 32 seconds of timer F, and nothing more until its next turn. Measured without sockets: 80 µs a question
with its answer, so 0.7 % of a core for 5,000 agents; 2.5 %, 917 datagrams a second, if all of them are gone.

Times are seconds of the caller's monotonic clock.
"""

from collections import deque
from collections.abc import Iterable, Mapping

import structlog

from b2bua.call.phones import Phone, Phones
from b2bua.sip.client_transaction import ClientTransaction, FailureReason
from b2bua.sip.endpoint import Endpoint
from b2bua.sip.errors import LocalProtocolError
from b2bua.sip.message import Request, Response
from routing.contract import Agent

log = structlog.get_logger("b2bua.reachability")

#: Turns that come sooner after each other are taken together, seconds: every waking of the process costs more.
PORTION = 0.1
#: What was missed in a longer pause than this, seconds, is not made up for: nobody is asked by the thousand at once.
MOST_MISSED = 1.0


class _Question:
    """One OPTIONS on its way."""

    __slots__ = ("_reachability", "agent_id", "phone")

    def __init__(self, reachability: "Reachability", agent_id: str, phone: Phone) -> None:
        self._reachability = reachability
        self.agent_id = agent_id
        self.phone = phone

    def response_received(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        """The phone is there, whatever it says."""
        self._reachability.answered(self)

    def request_failed(self, transaction: ClientTransaction, reason: FailureReason, now: float) -> None:
        """It is not."""
        self._reachability.unanswered(self, reason)


class Reachability:
    """Writes ``Phones.dead``; ``events`` are ids of agents whose phones were lost or found.

    ``seconds`` is how often each phone is asked. ``stored`` takes user names whose registrations have changed, or were
    renewed, until ``look_at`` is called with each.
    """

    def __init__(self, endpoint: Endpoint, phones: Phones, seconds: float, domain: str) -> None:
        self.events: deque[str] = deque()
        self.stored: deque[str] = deque()
        self._endpoint = endpoint
        self._phones = phones
        self._seconds = seconds
        self._domain = domain
        self._asked: dict[str, dict[Phone, _Question]] = {}
        self._agents: list[Agent] = []
        self._turn = 0
        #: turns up to here have been taken
        self._until = 0.0

    @property
    def dead(self) -> int:
        """Phones that gave no answer."""
        return sum(map(len, self._phones.dead.values()))

    @property
    def asked(self) -> int:
        """Questions on their way."""
        return sum(map(len, self._asked.values()))

    # -- whom to ask -------------------------------------------------------------------------------------

    def use(self, agents: Mapping[str, Agent], now: float) -> None:
        """Ask the phones of these agents from now on; what is known of theirs stays."""
        if not self._agents:
            self._until = now
        self._agents = [agent for agent in agents.values() if any(not phone.number for phone in agent.endpoints)]
        self._turn = self._turn % len(self._agents) if self._agents else 0
        for agent_id in {*self._asked, *self._phones.dead}:
            agent = agents.get(agent_id)
            self._forget(agent_id, () if agent is None else self._known(agent, now))

    def look_at(self, agent: Agent, now: float) -> None:
        """Phones of this agent have registered, or are gone: what is said of those that are gone is forgotten, and who
        gave no answer is asked at once."""
        doubtful = self._phones.dead.get(agent.id)
        if doubtful is None and agent.id not in self._asked:
            return
        self._forget(agent.id, self._known(agent, now))
        if doubtful is not None:
            # with other phones than before the agent may be in reach, or out of it
            self.events.append(agent.id)
            for phone in list(doubtful):
                self._ask(agent.id, phone, now)

    def doubt(self, agent: Agent, now: float) -> None:
        """Nothing was heard of a phone that was rung: ask them all."""
        for phone in self._known(agent, now):
            self._ask(agent.id, phone, now)

    def _known(self, agent: Agent, now: float) -> list[Phone]:
        known = self._phones.known
        return [phone for endpoint in agent.endpoints if not endpoint.number for phone in known(endpoint, now)]

    def _forget(self, agent_id: str, but: Iterable[Phone]) -> None:
        kept = set(but)
        asked = self._asked.get(agent_id, {})
        for phone in asked.keys() - kept:
            del asked[phone]
        dead = self._phones.dead.get(agent_id, set())
        dead &= kept
        if not asked:
            self._asked.pop(agent_id, None)
        if not dead:
            self._phones.dead.pop(agent_id, None)

    # -- when --------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When ``handle_timers`` is due; None if there is nobody to ask."""
        if not self._agents:
            return None
        return self._until + max(self._seconds / len(self._agents), PORTION)

    def handle_timers(self, now: float) -> None:
        """Ask whose turn it is."""
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return
        agents = self._agents
        each = self._seconds / len(agents)
        since = max(self._until, now - max(MOST_MISSED, each))
        turns = max(1, int((now - since) / each))
        self._until = since + turns * each
        for _ in range(min(turns, len(agents))):
            self.doubt(agents[self._turn], now)
            self._turn = (self._turn + 1) % len(agents)

    def _ask(self, agent_id: str, phone: Phone, now: float) -> None:
        asked = self._asked.setdefault(agent_id, {})
        if phone in asked:
            # one at a time; this one is repeated every few seconds
            return
        endpoint = self._endpoint
        ids = endpoint.ids
        address = endpoint.addresses[phone.hop.listener]
        tag = ids.tag()
        fields = {
            "Via": [address.via(ids.branch())],
            "Max-Forwards": ["70"],
            "From": [f"<sip:{self._domain}>;tag={tag}"],
            "To": [f"<{phone.uri}>"],
            "Call-ID": [ids.call_id()],
            "CSeq": ["1 OPTIONS"],
            "Contact": [address.contact(tag)],
            "Accept": ["application/sdp"],
            "User-Agent": [endpoint.product],
        }
        if phone.routes:
            fields["Route"] = list(phone.routes)
        question = asked[phone] = _Question(self, agent_id, phone)
        try:
            endpoint.layer.request(Request("OPTIONS", phone.uri, fields), phone.hop, question, now)
        except LocalProtocolError:
            # nor could an INVITE be sent there
            self.unanswered(question, "transport")

    # -- what came of it ---------------------------------------------------------------------------------

    def answered(self, question: _Question) -> None:
        """Something came back."""
        if not self._is_over(question):
            return
        dead = self._phones.dead.get(question.agent_id)
        if dead is not None and question.phone in dead:
            dead.remove(question.phone)
            if not dead:
                del self._phones.dead[question.agent_id]
            log.info("phone_reachable", agent=question.agent_id, host=question.phone.hop.host)
            self.events.append(question.agent_id)

    def unanswered(self, question: _Question, reason: FailureReason) -> None:
        """Nothing did, or there is no way there."""
        if not self._is_over(question):
            return
        dead = self._phones.dead.setdefault(question.agent_id, set())
        if question.phone not in dead:
            dead.add(question.phone)
            log.info("phone_unreachable", agent=question.agent_id, host=question.phone.hop.host, reason=reason)
            self.events.append(question.agent_id)

    def _is_over(self, question: _Question) -> bool:
        """True if anybody still wants to know."""
        asked = self._asked.get(question.agent_id)
        if asked is None or asked.get(question.phone) is not question:
            return False
        del asked[question.phone]
        if not asked:
            del self._asked[question.agent_id]
        return True
