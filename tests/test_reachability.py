"""Who is asked when, and what becomes of an answer, or of none: on a clock by hand."""

import math
from collections import Counter

import pytest

from b2bua.call.phones import Phone, Phones
from b2bua.reachability import MOST_MISSED, PORTION, Reachability
from b2bua.registrar import Registrar
from b2bua.sip.dialog import LocalAddress
from b2bua.sip.endpoint import Endpoint as SipEndpoint
from b2bua.sip.hop import Hop
from b2bua.sip.ids import SeededIds
from b2bua.sip.message import Request, response_to
from b2bua.sip.parser import parse
from routing.contract import Agent, Endpoint

TIMER_F = 32.0


class Office:
    """Some agents, each with a phone at a fixed address, and an endpoint of ours."""

    def __init__(self, agents: int, seconds: float = 60.0) -> None:
        self.now = 1000.0
        self.endpoint = SipEndpoint({"main": LocalAddress("udp", "198.51.100.1", 5060)}, SeededIds(1))
        self.registrar = Registrar()
        self.phones = Phones(self.registrar, {"udp": "main"}, "sip:192.0.2.1")
        self.reachability = Reachability(self.endpoint, self.phones, seconds, "service.example")
        self.agents = {f"a{index}": agent_at(f"a{index}", address(index)) for index in range(agents)}
        self.reachability.use(self.agents, self.now)
        #: where nobody is
        self.gone: set[str] = set()
        self.asked: Counter[str] = Counter()
        self.sent = 0
        self.most_at_once = 0

    def run(self, seconds: float) -> None:
        """Let time pass as the exchange does; whoever is there answers."""
        end = self.now + seconds
        while True:
            deadlines = [self.endpoint.next_deadline(), self.reachability.next_deadline()]
            due = min((deadline for deadline in deadlines if deadline is not None), default=math.inf)
            if due > end:
                break
            self.now = max(self.now, due)
            self.endpoint.handle_timers(self.now)
            self.reachability.handle_timers(self.now)
            self.deliver()
        self.now = end

    def deliver(self) -> None:
        out = list(self.endpoint.datagrams_to_send())
        self.sent += len(out)
        self.most_at_once = max(self.most_at_once, len(out))
        for data, hop in out:
            request = parse(data)
            assert isinstance(request, Request)
            self.asked[hop.host] += 1
            if hop.host not in self.gone:
                self.endpoint.receive(response_to(request, 200, to_tag="t").encode(), hop, self.now)

    @property
    def dead(self) -> set[str]:
        return set(self.phones.dead)

    @property
    def told(self) -> list[str]:
        events = list(self.reachability.events)
        self.reachability.events.clear()
        return events


def address(index: int) -> str:
    return f"10.{index >> 16}.{index >> 8 & 255}.{index & 255}"


def agent_at(agent_id: str, *hosts: str) -> Agent:
    return Agent(agent_id, agent_id, tuple(Endpoint(agent_id, contact=f"sip:x@{host}:5060") for host in hosts))


def test_everybody_is_asked_once_in_an_interval_and_nobody_at_the_same_time() -> None:
    office = Office(20)
    office.run(60.01)
    assert set(office.asked.values()) == {1}
    assert len(office.asked) == 20
    assert office.most_at_once == 1
    office.run(60)
    assert set(office.asked.values()) == {2}


def test_five_thousand_are_asked_in_portions_of_a_tenth_of_a_second() -> None:
    office = Office(5000)
    office.run(60.2)
    assert len(office.asked) == 5000
    assert office.most_at_once <= 10
    assert office.sent <= 5000 * 1.01
    assert (office.reachability.asked, office.reachability.dead) == (0, 0)


def test_a_whole_floor_that_is_gone_costs_eleven_datagrams_a_phone_and_round() -> None:
    office = Office(500)
    office.gone = {address(index) for index in range(500)}
    office.run(60 + TIMER_F + 1)
    assert office.dead == set(office.agents)
    # those of the second round are not through yet
    assert office.sent <= 500 * 11 * 1.6
    assert office.reachability.asked <= 500


def test_who_gives_no_answer_is_told_once_and_once_again_when_there_is_one() -> None:
    office = Office(2, seconds=40)
    office.gone = {address(0)}
    office.run(20 + TIMER_F + 0.1)
    assert office.dead == {"a0"}
    assert office.told == ["a0"]
    office.run(100)
    assert office.told == []
    office.gone = set()
    office.run(50)
    assert office.dead == set()
    assert office.told == ["a0"]


def test_there_is_one_question_to_a_phone_at_a_time() -> None:
    office = Office(1, seconds=1)
    office.gone = {address(0)}
    office.run(1 + TIMER_F - 0.1)
    assert office.reachability.asked == 1
    assert office.asked[address(0)] == 11


@pytest.mark.parametrize("status", [100, 180, 200, 302, 404, 405, 486, 501, 503, 603])
def test_any_answer_is_life(status: int) -> None:
    office = Office(1)
    office.phones.dead["a0"] = set(office.phones.known(office.agents["a0"].endpoints[0], office.now))
    office.reachability.doubt(office.agents["a0"], office.now)
    ((data, hop),) = office.endpoint.datagrams_to_send()
    request = parse(data)
    assert isinstance(request, Request)
    office.endpoint.receive(response_to(request, status, to_tag="t").encode(), hop, office.now)
    assert office.dead == set()
    assert office.told == ["a0"]


def test_a_number_over_the_trunk_is_not_asked_and_never_dead() -> None:
    office = Office(0)
    agent = Agent("m", "M", (Endpoint("m", number="+491713920012"),))
    office.reachability.use({"m": agent}, office.now)
    assert office.reachability.next_deadline() is None
    office.run(200)
    assert office.sent == 0
    assert [phone.number for phone in office.phones.of(agent.endpoints, office.now)] == ["+491713920012"]


def test_two_agents_at_one_phone_are_both_told() -> None:
    office = Office(0)
    agents = {name: agent_at(name, "10.0.0.1") for name in ("a", "b")}
    office.reachability.use(agents, office.now)
    office.gone = {"10.0.0.1"}
    office.run(60 + TIMER_F)
    assert sorted(office.told) == ["a", "b"]


def test_a_contact_that_cannot_be_written_is_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(1)
    phone = Phone("sip:x@10.0.0.1\r\nEvil: 1", Hop("udp", "10.0.0.1", 5060, "main"), "x")
    monkeypatch.setattr(Phones, "known", lambda self, endpoint, now: [phone])
    office.reachability.doubt(office.agents["a0"], office.now)
    assert office.phones.dead == {"a0": {phone}}
    assert list(office.endpoint.datagrams_to_send()) == []


def test_who_leaves_the_directory_is_forgotten_and_whose_phone_changes_begins_anew() -> None:
    office = Office(3)
    office.gone = {address(index) for index in range(3)}
    office.run(60 + TIMER_F)
    assert office.dead == {"a0", "a1", "a2"}
    office.reachability.use({"a1": agent_at("a1", "10.9.9.9"), "a2": office.agents["a2"]}, office.now)
    assert office.dead == {"a2"}
    office.run(TIMER_F)
    assert office.dead == {"a2"}
    assert office.reachability.asked <= 2


def test_after_a_long_sleep_nobody_is_asked_by_the_thousand() -> None:
    office = Office(6000)
    office.now += 3600
    office.reachability.handle_timers(office.now)
    assert len(list(office.endpoint.datagrams_to_send())) <= 6000 / 60 * MOST_MISSED
    deadline = office.reachability.next_deadline()
    assert deadline is not None
    assert deadline > office.now
    assert deadline <= office.now + PORTION + 0.01


def test_an_empty_house_asks_nobody() -> None:
    office = Office(0)
    assert office.reachability.next_deadline() is None
    office.reachability.handle_timers(office.now)
    office.reachability.use({"a": agent_at("a", "10.0.0.1")}, office.now + 500)
    deadline = office.reachability.next_deadline()
    assert deadline == office.now + 560
