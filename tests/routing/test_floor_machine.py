"""The floor under any order of inputs: hypothesis looks for the shortest that breaks a promise."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from routing.contract import Agent, Contract, Group, Waiting
from routing.directory import Directory
from routing.floor import DeclineReason, FloorRules, Status
from routing.plan import NextStep, Overflow, Refusal, Step, StepKind, Strategy, Voicemail, Widening
from tests.routing.floor_books import Books

AGENTS = ("anna", "ben", "cem", "dora")
CALLS = ("c1", "c2", "c3", "c4", "c5")

agents = st.sampled_from(AGENTS)
calls = st.sampled_from(CALLS)
reasons: st.SearchStrategy[DeclineReason] = st.sampled_from(("busy", "declined", "unreachable", "no_answer"))
statuses: st.SearchStrategy[Status] = st.sampled_from(("available", "on_break", "logged_out"))
strategies: st.SearchStrategy[Strategy] = st.sampled_from(
    ("longest_idle", "round_robin", "fewest_calls", "least_talk_time", "ring_all", "in_order", "random")
)
actions: st.SearchStrategy[Overflow] = st.sampled_from((NextStep(), Refusal(486), Voicemail("box")))
delays = st.sampled_from((0.0, 3.0))
rules = st.builds(
    FloorRules,
    declined_delay=delays,
    busy_delay=delays,
    no_answer_delay=delays,
    missed_before_break=st.sampled_from((0, 2)),
)


def step(kind: StepKind, strategy: Strategy, ring: int, patience: int, members: list[str], level: int) -> Step:
    """Groups are the plan's own or the directory's; there is one skill."""
    if kind == "agent":
        return Step("agent", AGENTS[0], strategy, ring, AGENTS[:1], 1, patience)
    if kind == "skill":
        return Step("skill", "law", strategy, ring, (), level, patience, (Widening(3, 1),) if level > 1 else ())
    return Step("group", "office" if level > 1 else "own", strategy, ring, tuple(members), 1, patience)


kinds: st.SearchStrategy[StepKind] = st.sampled_from(("agent", "group", "skill"))
steps = st.builds(
    step, kinds, strategies, st.integers(1, 9), st.sampled_from((0, 0, 5, 30)), st.lists(agents, max_size=4),
    st.integers(1, 3),
)  # fmt: skip
plans = st.lists(steps, max_size=3).map(tuple)
waitings = st.builds(
    Waiting,
    priority=st.integers(0, 2),
    most_callers=st.integers(0, 2),
    if_full=actions,
    longest_seconds=st.sampled_from((0, 15)),
    if_too_long=actions,
    exits=st.dictionaries(st.sampled_from("12"), actions, max_size=1),
)
contracts = st.builds(
    lambda plan, waiting, wrap_up: Contract("k", "K", plan=plan, waiting=waiting, wrap_up_seconds=wrap_up),
    plans,
    waitings,
    st.sampled_from((0, 4)),
)
directories = st.builds(
    lambda named, members, levels, tiers: Directory(
        (),
        [Agent(name, name, skills={"law": level} if level else {}) for name, level in zip(named, levels, strict=False)],
        [Group("office", "Office", tuple(members), dict(zip(members, tiers, strict=False)))],
    ),
    st.sampled_from((AGENTS, AGENTS[:3], AGENTS[1:])),
    st.lists(agents, unique=True, max_size=4),
    st.lists(st.integers(0, 3), min_size=4, max_size=4),
    st.lists(st.integers(1, 2), min_size=4, max_size=4),
)


class FloorMachine(RuleBasedStateMachine):
    """The books judge; this only makes the moves."""

    @initialize(directory=directories, rules=rules)
    def open(self, directory: Directory, rules: FloorRules) -> None:
        #: read back by id, so every call has a contract object of its own under its own id
        self.contracts: dict[str, Contract] = {}
        self.books = Books(directory, rules, self.contracts)

    @rule(call=calls, contract=contracts, priority=st.sampled_from((0, 0, 3)))
    def enter(self, call: str, contract: Contract, priority: int) -> None:
        known = Contract(
            f"k{len(self.contracts)}", "K", plan=contract.plan, waiting=contract.waiting,
            wrap_up_seconds=contract.wrap_up_seconds,
        )  # fmt: skip
        self.contracts[known.id] = known
        self.books.enter(call, known, priority)

    @rule(call=calls)
    def leave(self, call: str) -> None:
        self.books.leave(call)

    @rule(call=calls, digit=st.sampled_from("12"))
    def press(self, call: str, digit: str) -> None:
        self.books.press(call, digit)

    @rule(call=calls, agent=agents)
    def answer(self, call: str, agent: str) -> None:
        self.books.answer(call, agent)

    @rule(agent=agents)
    def answer_what_rings(self, agent: str) -> None:
        if agent in self.books.ringing:
            self.books.answer(self.books.ringing[agent], agent)

    @rule(call=calls, agent=agents, reason=reasons)
    def decline(self, call: str, agent: str, reason: DeclineReason) -> None:
        self.books.decline(call, agent, reason)

    @rule(agent=agents, reason=reasons)
    def decline_what_rings(self, agent: str, reason: DeclineReason) -> None:
        if agent in self.books.ringing:
            self.books.decline(self.books.ringing[agent], agent, reason)

    @rule(agent=agents, to=agents)
    def hand_on(self, agent: str, to: str) -> None:
        if agent in self.books.talking:
            self.books.hand_on(self.books.talking[agent], agent, to)

    @rule(agent=agents, reachable=st.booleans())
    def reach(self, agent: str, reachable: bool) -> None:
        self.books.reach(agent, reachable)

    @rule(agent=agents, status=statuses)
    def choose(self, agent: str, status: Status) -> None:
        self.books.choose(agent, status)

    @rule(agent=agents)
    def finish_wrap_up(self, agent: str) -> None:
        self.books.finish_wrap_up(agent)

    @rule(seconds=st.integers(0, 12))
    def wait(self, seconds: int) -> None:
        self.books.wait(seconds)

    @rule(directory=directories)
    def change_directory(self, directory: Directory) -> None:
        self.books.use(directory)

    @rule(clock=st.integers(0, 1000))
    def restart(self, clock: int) -> None:
        self.books.restart(float(clock))

    def teardown(self) -> None:
        """When every call is over and every timer has run, nothing is remembered of calls."""
        if hasattr(self, "books"):
            self.books.close()


FloorMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
test_floor_machine = FloorMachine.TestCase
