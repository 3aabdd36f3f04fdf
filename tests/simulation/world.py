"""A whole exchange on a virtual clock, and a network that loses, doubles, delays and reorders.

The carrier and the phones are endpoints of the same SIP core with a will of their own. Everything follows
from one seed: a failing run can be repeated.
"""

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from accounting.journal import CallEnded, Item, JournalEntry, Ledger
from b2bua.admission import Admission
from b2bua.call.controller import CallController
from b2bua.call.messages import Message, Messages
from b2bua.call.phones import Phones
from b2bua.call.presentation import Presentation
from b2bua.call.states import State
from b2bua.exchange import Exchange
from b2bua.metrics import Metrics
from b2bua.reachability import Reachability
from b2bua.registrar import Registrar
from b2bua.sip.dialog import LocalAddress
from b2bua.sip.digest import DigestServer
from b2bua.sip.endpoint import Endpoint
from b2bua.sip.events import (
    InfoReceived,
    InviteCancelled,
    InviteFailed,
    InviteReceived,
    OfferAnswered,
    OfferFailed,
    OfferReceived,
    SessionAnswered,
    SessionEnded,
    SipEvent,
)
from b2bua.sip.hop import Hop
from b2bua.sip.ids import SeededIds
from b2bua.sip.session import Session
from b2bua.trunk import Trunk, Trunks
from media.memory import MemoryMediaEngine
from routing.contract import Agent, Contract, ContractNumber
from routing.contract import Endpoint as PhoneEndpoint
from routing.directory import Directory
from routing.floor import Floor
from routing.plan import Refusal, Step

#: Seconds of each sound that queues may play.
SOUNDS = {
    "welcome": 3.0, "music": 30.0, "comfort": 2.0, "whisper": 1.5, "closed": 4.0, "tone/record": 0.4,
    "de/voicemail/record": 3.0, "de/voicemail/thanks": 2.0, "de/callback/thanks": 2.0, "de/busy": 2.0,
    "de/position/1": 2.0, "de/position/2": 2.0, "de/position/many": 2.0, "de/wait/1": 2.0, "de/wait/long": 2.0,
}  # fmt: skip
EXCHANGE = ("198.51.100.1", 5060)
CARRIER = ("192.0.2.1", 5060)
WALL_ANCHOR_NS = 1_750_000_000_000_000_000
SDP = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 8 0\r\na=sendrecv\r\n"
)


@dataclass
class Weather:
    """What the network does to a datagram: probabilities, and delays in seconds."""

    loss: float = 0.0
    duplicate: float = 0.0
    delay: tuple[float, float] = (0.001, 0.02)


@dataclass
class Placed:
    """One call as the carrier saw it; times in seconds, 0 = never."""

    number: str
    caller: str = ""
    session: Session | None = None
    answered_at: float = 0.0
    ended_at: float = 0.0
    status: int = 0
    gave_up: bool = False


Address = tuple[str, int]


class Party:
    """Somebody with an endpoint and an address."""

    def __init__(self, world: "World", address: Address) -> None:
        self.world = world
        self.address = address
        self.endpoint = Endpoint(
            {"main": LocalAddress("udp", *address)}, SeededIds(world.random.getrandbits(60)), product="party"
        )

    def receive(self, data: bytes, source: Address) -> None:
        self.endpoint.receive(data, Hop("udp", source[0], source[1], "main"), self.world.now)
        self.flush()

    def handle_timers(self) -> None:
        self.endpoint.handle_timers(self.world.now)
        self.flush()

    def next_deadline(self) -> float | None:
        return self.endpoint.next_deadline()

    def flush(self) -> None:
        endpoint = self.endpoint
        while endpoint.events:
            self.happened(endpoint.events.popleft())
        for data, hop in endpoint.datagrams_to_send():
            self.world.send(data, self.address, (hop.host, hop.port or 5060))

    def happened(self, event: SipEvent) -> None:
        """React to an event of the own endpoint."""
        if isinstance(event, OfferReceived):
            event.session.accept_offer(SDP, self.world.now)
        elif isinstance(event, InfoReceived):
            event.session.answer_request(event.transaction, 200, self.world.now)

    def hang_up(self, session: Session) -> None:
        session.hangup(self.world.now)
        self.flush()

    def misbehave(self, session: Session) -> None:
        """Do one of the things that happen inside a call: hold, resume, ask for an offer, send a digit."""
        if session.over or session.early:
            return
        choice = self.world.random.randrange(3)
        if choice == 0:
            held = SDP.replace(b"sendrecv", b"sendonly")
            session.offer(held, self.world.now)
        elif choice == 1:
            session.offer(SDP.replace(b"1 1 IN", b"1 2 IN"), self.world.now, "UPDATE")
        else:
            session.send_info("application/dtmf-relay", b"Signal=5\r\n", None, self.world.now)
        self.flush()


class Carrier(Party):
    """Places calls, talks, hangs up or gives up."""

    def __init__(self, world: "World", address: Address) -> None:
        super().__init__(world, address)
        self.placed: list[Placed] = []

    def call(self, number: str) -> None:
        chance = self.world.random
        placed = Placed(number, f"+49401{len(self.placed):06d}")
        self.placed.append(placed)
        body = SDP if chance.random() < 0.9 else b""
        placed.session = self.endpoint.invite(
            f"sip:{number}@198.51.100.1",
            Hop("udp", *EXCHANGE, "main"),
            f"<sip:{placed.caller}@carrier.example>",
            f"<sip:{number}@198.51.100.1>",
            body,
            self.world.now,
            [("Diversion", "<sip:+493055555@carrier.example>;reason=user-busy")],
            placed,
        )
        self.flush()
        if chance.random() < 0.25:
            session = placed.session
            self.world.later(chance.uniform(0.0, 30.0), lambda: self._give_up(session, placed))

    def _give_up(self, session: Session, placed: Placed) -> None:
        if not placed.answered_at and not placed.status:
            placed.gave_up = True
            self.hang_up(session)

    def happened(self, event: SipEvent) -> None:
        super().happened(event)
        if isinstance(event, InviteReceived):
            self._asked_to_connect(event)
            return
        placed = getattr(getattr(event, "session", None), "owner", None)
        if not isinstance(placed, Placed):
            return
        now = self.world.now
        if isinstance(event, SessionAnswered):
            placed.answered_at = now
            placed.status = 200
            if event.ack_due:
                event.session.acknowledge(SDP, now)
            session = event.session
            chance = self.world.random
            talk = chance.uniform(0.05, 40.0)
            if chance.random() < 0.7:
                self.world.later(talk, lambda: self.hang_up(session))
            if chance.random() < 0.2:
                self.world.later(chance.uniform(0.0, talk), lambda: self.misbehave(session))
        elif isinstance(event, InviteFailed):
            placed.status = event.status
            placed.ended_at = now
        elif isinstance(event, SessionEnded):
            placed.ended_at = now
        elif isinstance(event, (OfferAnswered, OfferFailed)) and getattr(event, "ack_due", False):
            event.session.acknowledge(SDP, now)

    def _asked_to_connect(self, event: InviteReceived) -> None:
        """A call that overflows to another number, which answers, is busy, or rings for ever."""
        world = self.world
        session = event.session
        mood = world.random.random()
        if mood < 0.3:
            session.refuse(486, world.now)
            return
        session.ring(world.now)
        if mood < 0.8:
            world.later(world.random.uniform(0.0, 10.0), lambda: self._other_answers(session))

    def _other_answers(self, session: Session) -> None:
        if session.early:
            session.answer(SDP, self.world.now)
            self.world.later(self.world.random.uniform(0.5, 20.0), lambda: self.hang_up(session))
            self.flush()


class Phone(Party):
    """An agent's phone: answers, refuses, lets it ring, hangs up."""

    def __init__(self, world: "World", address: Address) -> None:
        super().__init__(world, address)
        self.invited = 0

    def happened(self, event: SipEvent) -> None:
        super().happened(event)
        world = self.world
        chance = world.random
        if isinstance(event, InviteReceived):
            self.invited += 1
            session = event.session
            has_offer = bool(event.request.body)
            mood = chance.random()
            if mood < 0.1:
                session.refuse(486, world.now)
            elif mood < 0.15:
                world.later(chance.uniform(0.1, 3.0), lambda: self._refuse(session))
            elif mood < 0.25:
                session.ring(world.now)
            else:
                session.ring(world.now, *((183, SDP) if has_offer and chance.random() < 0.2 else (180,)))
                world.later(chance.uniform(0.0, 25.0), lambda: self._answer(session))
        elif isinstance(event, (OfferAnswered, OfferFailed)) and getattr(event, "ack_due", False):
            event.session.acknowledge(SDP, world.now)
        elif isinstance(event, (InviteCancelled, SessionEnded)):
            pass

    def _refuse(self, session: Session) -> None:
        session.refuse(603, self.world.now)
        self.flush()

    def _answer(self, session: Session) -> None:
        if not session.early:
            return
        session.answer(SDP, self.world.now)
        chance = self.world.random
        talk = chance.uniform(0.05, 40.0)
        self.world.later(talk, lambda: self.hang_up(session))
        if chance.random() < 0.2:
            self.world.later(chance.uniform(0.0, talk), lambda: self.misbehave(session))
        self.flush()


def make_directory(agents: int) -> Directory:
    """Agents at fixed contacts, four contracts with every kind of plan."""
    names = [f"agent{index}" for index in range(agents)]
    people = [
        Agent(name, name, (PhoneEndpoint(name, contact=f"sip:{name}@10.0.0.{index + 1}:5060"),))
        for index, name in enumerate(names)
    ]
    # one agent has two phones
    people[0] = Agent(
        names[0],
        names[0],
        (*people[0].endpoints, PhoneEndpoint(names[0], contact=f"sip:{names[0]}b@10.0.1.1:5060")),
    )
    half = len(names) // 2
    plans = {
        "one": (Step("agent", names[0], "in_order", 10, (names[0],)),),
        "order": (Step("group", "all", "in_order", 8, tuple(names)),),
        "all": (Step("group", "all", "ring_all", 15, tuple(names)),),
        "both": (
            Step("group", "first", "ring_all", 6, tuple(names[:half])),
            Step("group", "second", "in_order", 6, tuple(names[half:])),
        ),
    }
    contracts = [
        Contract(
            name, f"Customer {name}", target_numbers=(ContractNumber(f"+4930200010{index}"),), plan=plan,
            if_nobody=Refusal(480 + 6 * (index % 2)), tariff="minute",
        )
        for index, (name, plan) in enumerate(plans.items())
    ]  # fmt: skip
    return Directory(contracts, people, (), 1)


NUMBERS = ("+49302000100", "+49302000101", "+49302000102", "+49302000103", "+49309999999")


class World:
    """Clock, network, one exchange, one carrier and some phones."""

    def __init__(
        self,
        seed: int,
        weather: Weather | None = None,
        agents: int = 6,
        directory: Directory | None = None,
        options_seconds: float = 0.0,
    ) -> None:
        """``directory`` may be another one than ``make_directory`` makes, for as many agents. Their phones are asked
        every ``options_seconds`` whether they are there; 0: never."""
        self.options_seconds = options_seconds
        self.random = random.Random(seed)
        self.weather = weather or Weather()
        self.now = 1000.0
        self.journal: list[Item] = []
        #: when each record was taken, seconds
        self.taken_at: list[float] = []
        self.datagrams = 0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        self.directory = directory or make_directory(agents)
        self.media = MemoryMediaEngine(sounds=SOUNDS)
        self.messages: list[Message] = []
        self.exchange = self._make_exchange()
        self.carrier = Carrier(self, CARRIER)
        self.parties: dict[Address, Party] = {CARRIER: self.carrier}
        for index in range(agents):
            self._add_phone((f"10.0.0.{index + 1}", 5060))
        self._add_phone(("10.0.1.1", 5060))
        self._armed: dict[Address, float] = {}
        self.alive = True

    @property
    def at(self) -> int:
        """The exchange's clock, nanoseconds."""
        # rounded up: a timer that is due must not be missed by a nanosecond
        return math.ceil(self.now * 1e9)

    def _add_phone(self, address: Address) -> None:
        self.parties[address] = Phone(self, address)

    def _make_exchange(self) -> Exchange:
        endpoint = Endpoint({"main": LocalAddress("udp", *EXCHANGE)}, SeededIds(self.random.getrandbits(60)))
        registrar = Registrar()
        floor = Floor()
        metrics = Metrics()
        phones = Phones(registrar, {"udp": "main"}, f"sip:{CARRIER[0]}")
        reachability = None
        if self.options_seconds:
            reachability = Reachability(endpoint, phones, self.options_seconds, "service.example")
        controller = CallController(
            endpoint, self.media, floor, Ledger(self.take, WALL_ANCHOR_NS, "run"),
            phones, Presentation("{customer}", {}, "service.example"),
            metrics, Messages(Path("/messages"), 20.0, self.messages.append),
        )  # fmt: skip
        trunks = Trunks([Trunk("carrier", ("192.0.2.0/24",))])
        digest = DigestServer("service.example", b"secret")
        admission = Admission(endpoint, controller, registrar, trunks, digest, metrics, WALL_ANCHOR_NS)
        exchange = Exchange(endpoint, admission, controller, floor, self.media, registrar, reachability)
        exchange.use(self.directory, self.at)
        return exchange

    def take(self, item: Item) -> None:
        """The exchange writes a record."""
        self.journal.append(item)
        self.taken_at.append(self.now)

    # -- the clock and the network -----------------------------------------------------------------------

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something when that much time has passed."""
        self._order += 1
        heapq.heappush(self._queue, (self.now + seconds, self._order, action))

    def send(self, data: bytes, source: Address, target: Address) -> None:
        """Hand a datagram to the network, which may do anything with it but change it."""
        weather = self.weather
        if self.random.random() < weather.loss:
            return
        copies = 2 if self.random.random() < weather.duplicate else 1
        for _ in range(copies):
            self.later(self.random.uniform(*weather.delay), lambda: self._deliver(data, source, target))

    def _deliver(self, data: bytes, source: Address, target: Address) -> None:
        self.datagrams += 1
        if target == EXCHANGE:
            if self.alive:
                self.exchange.receive(data, Hop("udp", source[0], source[1], "main"), self.at)
                self._flush_exchange()
        else:
            party = self.parties.get(target)
            if party is not None:
                party.receive(data, source)

    def _flush_exchange(self) -> None:
        for data, hop in self.exchange.datagrams_to_send():
            self.send(data, EXCHANGE, (hop.host, hop.port or 5060))

    def tick_every_second(self) -> None:
        """The exchange's housekeeping, for ever."""

        def tick() -> None:
            if self.alive:
                self.media.tick(self.now)
                self.exchange.tick(self.at)
                self._flush_exchange()
            self.later(1.0, tick)

        self.later(1.0, tick)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while True:
            deadline, who = self._next_deadline()
            when = self._queue[0][0] if self._queue else end + 1
            if min(deadline, when) > end:
                break
            if when <= deadline:
                self.now = max(self.now, when)
                heapq.heappop(self._queue)[2]()
            elif who is None:
                self.now = max(self.now, deadline)
                self.exchange.handle_timers(self.at)
                self._flush_exchange()
            else:
                self.now = max(self.now, deadline)
                who.handle_timers()
        self.now = end

    def _next_deadline(self) -> tuple[float, Party | None]:
        best = self.exchange.next_deadline() if self.alive else None
        earliest, who = (float("inf") if best is None else best), None
        for party in self.parties.values():
            deadline = party.next_deadline()
            if deadline is not None and deadline < earliest:
                earliest, who = deadline, party
        return earliest, who

    # -- what must be true -------------------------------------------------------------------------------

    def press(self, call_id: str, digit: str) -> None:
        """A caller presses a key."""
        self.media.press(call_id, "caller", digit)
        self.exchange.settle(self.at)
        self._flush_exchange()

    def assert_nobody_waits_in_silence(self) -> None:
        """Who was answered and talks to nobody hears something."""
        for call in self.exchange.controller.calls.values():
            if call.summary.accepted_at and call.state in (State.SEEKING, State.WHISPERING):
                playing = self.media.playing(call.id, "caller")
                assert playing is not None, f"{call.id} hears nothing while {call.state.value}"

    def assert_nobody_is_offered_twice(self) -> None:
        """No agent rings for, or talks in, two calls."""
        busy: dict[str, str] = {}
        for call in self.exchange.controller.calls.values():
            engaged = set(call.offers)
            if call.agent is not None and call.agent.session is not None:
                engaged.add(call.agent.agent_id)
            # another number over the trunk is nobody of ours, and a line may have more than one call
            for agent_id in {name for name in engaged if name and not name.startswith("+")}:
                assert agent_id not in busy, f"{agent_id} is in {busy[agent_id]} and in {call.id}"
                busy[agent_id] = call.id

    def assert_nothing_leaks(self) -> None:
        """When all is over nothing is left: no call, session, transaction, timer, port or agent."""
        exchange = self.exchange
        layer = exchange.endpoint.layer
        counts = exchange.floor.counts()
        assert exchange.controller.calls == {}
        assert exchange.endpoint.sessions == {}
        assert (layer.client_count, layer.server_count) == (0, 0)
        assert len(exchange.endpoint.timers) == 0
        assert exchange.next_deadline() is None
        assert (self.media.ports_in_use, self.media.sessions) == (0, 0)
        assert (counts.callers_seeking, counts.callers_connected) == (0, 0)
        assert (counts.agents_offered, counts.agents_in_call) == (0, 0)
        assert exchange.controller.ledger.open_calls == 0
        assert not exchange.controller.media.events

    def assert_books_are_right(self) -> "Books":
        """Each answered call has exactly one connected interval; nothing else has any."""
        books = Books()
        for item in self.journal:
            if isinstance(item, CallEnded):
                assert item.call_id not in books.ended
                books.ended[item.call_id] = item
            elif isinstance(item, JournalEntry) and item.kind == "connected":
                assert item.call_id not in books.connected
                books.connected[item.call_id] = item
            elif isinstance(item, JournalEntry) and item.kind == "hung_up":
                assert item.call_id in books.connected
                assert item.call_id not in books.hung_up
                books.hung_up[item.call_id] = item
        assert books.connected.keys() == books.hung_up.keys()
        for call_id, call in books.ended.items():
            assert (call.result == "answered") == (call_id in books.connected)
            if call.result == "answered":
                assert call.talked_ns == books.hung_up[call_id].at_ns - books.connected[call_id].at_ns
                assert call.talked_ns == call.ended_ns - call.answered_ns
        return books


@dataclass
class Books:
    """The journal, sorted."""

    connected: dict[str, JournalEntry] = field(default_factory=dict)
    hung_up: dict[str, JournalEntry] = field(default_factory=dict)
    ended: dict[str, CallEnded] = field(default_factory=dict)
