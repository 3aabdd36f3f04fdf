"""The floor under any order of inputs: the promises of its docstring hold, judged by its events alone."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from routing.contract import Contract
from routing.floor import (
    AgentConnected,
    AgentState,
    AnswerRefused,
    DeclineReason,
    Floor,
    NobodyFound,
    OfferMade,
    OfferWithdrawn,
)
from routing.plan import Step, Strategy

AGENTS = ("anna", "ben", "cem", "dora")
CALLS = ("c1", "c2", "c3", "c4", "c5")

agents = st.sampled_from(AGENTS)
calls = st.sampled_from(CALLS)
strategies: st.SearchStrategy[Strategy] = st.sampled_from(("in_order", "ring_all"))
reasons: st.SearchStrategy[DeclineReason] = st.sampled_from(("busy", "declined", "unreachable", "no_answer"))
steps = st.builds(
    lambda strategy, ring, members: Step("group", "g", strategy, ring, tuple(members)),
    strategies,
    st.integers(1, 9),
    st.lists(agents, max_size=4),
)
plans = st.lists(steps, max_size=3).map(tuple)


class FloorMachine(RuleBasedStateMachine):
    """Keeps its own books of who rings for whom and who talks to whom, from events and inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.floor = Floor()
        self.now = 0.0
        #: agent -> call that rings there; agent -> call they talk on; call -> winner
        self.ringing: dict[str, str] = {}
        self.talking: dict[str, str] = {}
        self.seeking: set[str] = set()
        self.unreachable: set[str] = set()
        self.declined: set[tuple[str, str]] = set()

    @rule(call=calls, plan=plans)
    def enter(self, call: str, plan: tuple[Step, ...]) -> None:
        if call not in self.seeking and call not in self.talking.values():
            self.seeking.add(call)
            self.declined = {pair for pair in self.declined if pair[0] != call}
        self.floor.caller_entered(call, Contract("k", "K", plan=plan), self.now)
        self.read_events()

    @rule(call=calls)
    def leave(self, call: str) -> None:
        self.floor.caller_left(call, self.now)
        self.over(call)

    @rule(call=calls)
    def end(self, call: str) -> None:
        self.floor.call_ended(call, self.now)
        self.over(call)

    @rule(call=calls, agent=agents, reason=reasons)
    def decline(self, call: str, agent: str, reason: DeclineReason) -> None:
        if self.ringing.get(agent) == call:
            del self.ringing[agent]
            if reason == "declined":
                self.declined.add((call, agent))
        self.floor.offer_declined(call, agent, reason, self.now)
        self.read_events()

    @rule(call=calls, agent=agents)
    def answer(self, call: str, agent: str) -> None:
        rang = self.ringing.get(agent) == call
        won_before = self.talking.get(agent) == call
        self.floor.offer_answered(call, agent, self.now)
        first = self.floor.events[0] if self.floor.events else None
        if rang:
            assert first == AgentConnected(call, agent)
        elif won_before:
            assert first is None
        else:
            assert first == AnswerRefused(call, agent)
        self.read_events()

    @rule(agent=agents, reachable=st.booleans())
    def reach(self, agent: str, reachable: bool) -> None:
        (self.unreachable.discard if reachable else self.unreachable.add)(agent)
        self.floor.agent_reachable(agent, reachable, self.now)
        self.read_events()

    @rule(seconds=st.integers(0, 12))
    def wait(self, seconds: int) -> None:
        self.now += seconds
        self.floor.handle_timers(self.now)
        self.read_events()

    def over(self, call: str) -> None:
        self.seeking.discard(call)
        self.talking = {agent: other for agent, other in self.talking.items() if other != call}
        self.read_events()
        assert call not in self.ringing.values()

    def read_events(self) -> None:
        while self.floor.events:
            event = self.floor.events.popleft()
            match event:
                case OfferMade(call, agent):
                    assert agent not in self.ringing, "an agent has one offer"
                    assert agent not in self.talking, "an agent has one caller"
                    assert agent not in self.unreachable
                    assert (call, agent) not in self.declined
                    assert call in self.seeking
                    self.ringing[agent] = call
                case OfferWithdrawn(call, agent):
                    assert self.ringing.pop(agent) == call
                case AgentConnected(call, agent):
                    assert self.ringing.pop(agent) == call
                    assert call not in self.talking.values(), "a caller has one winner"
                    self.talking[agent] = call
                    self.seeking.remove(call)
                case NobodyFound(call):
                    assert call not in self.ringing.values()
                    self.seeking.remove(call)
                case AnswerRefused():
                    pass

    @invariant()
    def books_agree(self) -> None:
        for agent in AGENTS:
            state = self.floor.agent_state(agent)
            assert (state is AgentState.OFFERED) == (agent in self.ringing)
            assert (state is AgentState.IN_CALL) == (agent in self.talking)
            assert self.floor.is_reachable(agent) == (agent not in self.unreachable)

    @invariant()
    def every_seeking_caller_rings_somewhere_and_will_time_out(self) -> None:
        assert self.seeking == set(self.ringing.values())
        deadline = self.floor.next_deadline()
        if self.seeking:
            assert deadline is not None
            assert self.now < deadline <= self.now + 9
        else:
            assert deadline is None

    @invariant()
    def counts_agree(self) -> None:
        counts = self.floor.counts()
        assert counts.callers_seeking == len(self.seeking)
        assert counts.callers_connected == counts.agents_in_call == len(self.talking)
        assert counts.agents_offered == len(self.ringing)

    def teardown(self) -> None:
        """When every call is over and every ring time past, everybody is free and nothing is remembered."""
        for call in CALLS:
            self.floor.call_ended(call, self.now)
        for agent in AGENTS:
            self.floor.agent_reachable(agent, True, self.now)
        assert all(self.floor.agent_state(agent) is AgentState.WAITING for agent in AGENTS)
        assert self.floor.next_deadline() is None
        assert not self.floor._callers
        assert not self.floor._talks


FloorMachine.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
test_floor_machine = FloorMachine.TestCase
