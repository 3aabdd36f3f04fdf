"""Books on a floor: who rings, talks, rests and waits by what went in and came out, and what must always hold."""

import json
from collections.abc import Mapping

from routing.contract import Contract
from routing.directory import Directory
from routing.floor import (
    AgentConnected,
    AgentState,
    AgentStatusChanged,
    AnswerRefused,
    CallerOverflowed,
    CallerQueued,
    DeclineReason,
    Floor,
    FloorEvent,
    FloorRules,
    NobodyFound,
    OfferMade,
    OfferWithdrawn,
    PositionChanged,
    Shuffle,
    Status,
    WrapUpEnded,
    WrapUpStarted,
    read_back,
    write_down,
)
from routing.plan import Step


class Books:
    """Passes inputs on to a floor, reads its events, and holds both against what it has promised."""

    def __init__(
        self, directory: Directory, rules: FloorRules, contracts: Mapping[str, Contract], seed: int = 1
    ) -> None:
        self.rules = rules
        self.directory = directory
        self.contracts = contracts
        self.numbers = Shuffle(seed)
        self.floor = Floor(rules, self.numbers)
        self.now = 0.0
        #: agent -> call
        self.ringing: dict[str, str] = {}
        self.talking: dict[str, str] = {}
        self.since: dict[str, float] = {}
        #: agent -> until when they get no offer: after-call work, and pauses after offers that failed
        self.wrap_up: dict[str, float] = {}
        self.pause: dict[str, float] = {}
        self.missed: dict[str, int] = {}
        self.unreachable: set[str] = set()
        self.away: dict[str, Status] = {}
        self.gone: set[str] = set()
        #: seeking call -> contract, and who said no to it
        self.seeking: dict[str, Contract] = {}
        self.refused: dict[str, set[str]] = {}
        #: contract whose agent talks on the call
        self.contract_of: dict[str, Contract] = {}
        #: waiting call -> step and level, before the input
        self.waited_before: dict[str, tuple[int, int]] = {}
        self.events: list[FloorEvent] = []
        self.checked = 0
        self.connected = 0
        self.offers = 0
        self.floor.use(directory.agents, directory.groups, self.now)
        self.check()

    # -- inputs ------------------------------------------------------------------------------------------

    def enter(self, call: str, contract: Contract, priority: int = 0) -> None:
        if call not in self.seeking and call not in self.talking.values():
            self.seeking[call] = contract
            self.refused[call] = set()
        self.floor.caller_entered(call, contract, self.now, priority)
        self.check()

    def leave(self, call: str) -> None:
        for agent in [agent for agent, other in self.talking.items() if other == call]:
            self._free(agent)
        self.seeking.pop(call, None)
        self.floor.caller_left(call, self.now)
        self.check()
        assert call not in self.ringing.values(), "nobody is left ringing for a caller who is gone"

    def press(self, call: str, digit: str) -> None:
        self.floor.digit_pressed(call, digit, self.now)
        self.check()

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
        self.check()

    def decline(self, call: str, agent: str, reason: DeclineReason) -> None:
        if self.ringing.get(agent) == call:
            del self.ringing[agent]
            if reason == "declined":
                self.refused[call].add(agent)
            self._failed(agent, call, reason)
        self.floor.offer_declined(call, agent, reason, self.now)
        self.check()

    def reach(self, agent: str, reachable: bool) -> None:
        (self.unreachable.discard if reachable else self.unreachable.add)(agent)
        self.floor.agent_reachable(agent, reachable, self.now)
        self.check()

    def choose(self, agent: str, status: Status) -> None:
        self.floor.status_chosen(agent, status, "lunch" if status == "on_break" else "", self.now)
        self.check()

    def finish_wrap_up(self, agent: str) -> None:
        self.wrap_up.pop(agent, None)
        self.floor.wrap_up_finished(agent, self.now)
        self.check()

    def hand_on(self, call: str, agent: str, to: str) -> None:
        """The agent is out of the call, another one in, if there is another who may."""
        if self.talking.get(agent) == call:
            self._free(agent)
            self.floor.agent_left(call, agent, self.now)
            self.check()
            if to not in self.talking and call not in self.seeking:
                self.ringing_withdrawn_for(to, call)

    def ringing_withdrawn_for(self, agent: str, call: str) -> None:
        contract = self.contract_of[call]
        self.floor.agent_engaged(agent, call, self.now, contract.wrap_up_seconds)
        self.wrap_up.pop(agent, None)
        # what rang is withdrawn by an event, which the books read before they note the call
        self.read()
        self.talking[agent] = call
        self.check()

    def wait(self, seconds: float) -> None:
        """Let time pass, from one deadline to the next."""
        until = self.now + seconds
        while (deadline := self.floor.next_deadline()) is not None and deadline <= until:
            assert deadline >= self.now, "what is due has been done"
            self.now = deadline
            self.floor.handle_timers(self.now)
            self.check()
        self.now = until

    def use(self, directory: Directory) -> None:
        self.directory = directory
        self.gone = set(self.gone | {agent.id for agent in self.floor.agents()}) - directory.agents.keys()
        self.floor.use(directory.agents, directory.groups, self.now)
        self.read()
        self.remember({agent.id for agent in self.floor.agents()})
        self.check()

    def remember(self, known: set[str]) -> None:
        """Of whom the floor has forgotten, nothing is known if they come back."""
        self.unreachable &= known
        self.away = {agent: status for agent, status in self.away.items() if agent in known}
        self.pause = {agent: until for agent, until in self.pause.items() if agent in known}

    def restart(self, clock: float) -> None:
        """Another process goes on, whose clock shows something else."""
        data = json.loads(json.dumps(write_down(self.floor, self.now)))
        shift = clock - self.now
        self.now = clock
        self.wrap_up = {agent: until + shift for agent, until in self.wrap_up.items()}
        self.pause = {agent: until + shift for agent, until in self.pause.items()}
        self.floor = read_back(data, self.contracts, clock, self.directory, self.rules, self.numbers)
        again = json.loads(json.dumps(write_down(self.floor, self.now)))
        for key, value in data.items():
            assert again[key] == value, (key, again[key], value)
        assert not self.floor.events
        busy = self.ringing.keys() | self.talking.keys() | self.wrap_up.keys()
        self.remember(self.directory.agents.keys() | (self.gone & busy))
        self.check()

    # -- what came out -----------------------------------------------------------------------------------

    def read(self) -> None:
        while self.floor.events:
            event = self.floor.events.popleft()
            self.events.append(event)
            match event:
                case OfferMade(call, agent):
                    self.offers += 1
                    assert agent not in self.ringing, "an agent has one offer"
                    assert agent not in self.talking, "an agent has one caller"
                    assert agent not in self.unreachable, "who is out of reach is not offered"
                    assert agent not in self.away, "who is away is not offered"
                    assert agent not in self.gone, "who is gone from the directory is not offered"
                    assert agent not in self.refused[call], "who declined is not rung again for this caller"
                    assert self.wrap_up.get(agent, self.now) <= self.now, "wrap-up is honoured"
                    assert self.pause.get(agent, self.now) <= self.now, "who declined or missed has a pause"
                    assert call in self.seeking
                    self.ringing[agent] = call
                case OfferWithdrawn(call, agent, cause):
                    assert self.ringing.pop(agent) == call
                    if cause == "timed_out":
                        self._failed(agent, call, "no_answer")
                case AgentConnected(call, agent):
                    self.connected += 1
                    assert self.ringing.pop(agent) == call
                    assert call not in self.talking.values(), "a caller has one winner"
                    self.talking[agent] = call
                    self.missed[agent] = 0
                    self.contract_of[call] = self.seeking.pop(call)
                case NobodyFound(call) | CallerOverflowed(call):
                    assert call not in self.ringing.values()
                    del self.seeking[call]
                case CallerQueued(call, position) | PositionChanged(call, position):
                    assert call in self.seeking
                    assert 1 <= position <= len(self.seeking)
                case AgentStatusChanged(agent, status):
                    if status == "available":
                        self.away.pop(agent, None)
                        self.missed[agent] = 0
                    else:
                        self.away[agent] = status
                case WrapUpStarted(agent, _, seconds):
                    assert self.wrap_up[agent] == self.now + seconds
                case WrapUpEnded(agent):
                    assert self.wrap_up.pop(agent, self.now) <= self.now
                case AnswerRefused():
                    pass

    def _failed(self, agent: str, call: str, reason: DeclineReason) -> None:
        seconds: float = getattr(self.rules, f"{reason}_delay")
        if seconds:
            self.pause[agent] = self.now + seconds

    def _free(self, agent: str) -> None:
        contract = self.contract_of[self.talking.pop(agent)]
        record = self.directory.agents.get(agent)
        own = record.wrap_up_seconds if record is not None else self._own(agent)
        seconds = contract.wrap_up_seconds if own is None else own
        if seconds:
            self.wrap_up[agent] = self.now + seconds

    def _own(self, agent: str) -> int | None:
        return self.floor._agents[agent].wrap_up_seconds

    # -- what must hold ----------------------------------------------------------------------------------

    def check(self) -> None:
        """After every input."""
        self.read()
        self._states_agree()
        self._who_can_meet_meets()
        self._nobody_jumps_the_queue(self.events[self.checked :])
        self.checked = len(self.events)
        self._everybody_seeks_with_an_end()
        self._counts_agree()
        ringing = set(self.ringing.values())
        self.waited_before = {call: self._place(call) for call in self.seeking if call not in ringing}

    def _states_agree(self) -> None:
        for view in self.floor.agents():
            assert (view.state is AgentState.OFFERED) == (view.id in self.ringing)
            assert (view.state is AgentState.IN_CALL) == (view.id in self.talking)
            assert (view.state is AgentState.WRAP_UP) == (view.id in self.wrap_up), (view, self.wrap_up)
            assert view.reachable == (view.id not in self.unreachable)
            assert view.status == self.away.get(view.id, "available")
            if view.state in (AgentState.OFFERED, AgentState.IN_CALL):
                assert view.call_id == (self.ringing.get(view.id) or self.talking.get(view.id))

    def is_free(self, agent: str) -> bool:
        view = self.floor._agents[agent].view()
        return view.state is AgentState.WAITING and not (
            view.paused or agent in self.unreachable or agent in self.away or agent in self.gone
        )

    def _place(self, call: str) -> tuple[int, int]:
        caller = self.floor._callers[call]
        return caller.step, caller.level

    def _step(self, call: str) -> tuple[Step, int]:
        caller = self.floor._callers[call]
        return caller.current, caller.level

    def matches(self, call: str, agent: str) -> bool:
        """By the directory, not by the floor's own books."""
        step, level = self._step(call)
        if agent in self.refused[call]:
            return False
        if step.kind == "skill":
            record = self.directory.agents.get(agent)
            return record is not None and record.skills.get(step.target, 0) >= level
        group = self.directory.groups.get(step.target) if step.kind == "group" else None
        return agent in (step.agents if group is None else group.members)

    def _who_can_meet_meets(self) -> None:
        silent = set(self.seeking) - set(self.ringing.values())
        free = [agent for agent in self.directory.agents if self.is_free(agent)] if silent else []
        for call in silent:
            for agent in free:
                assert not self.matches(call, agent), f"{agent} is free and {call} waits"

    def _nobody_jumps_the_queue(self, events: list[FloorEvent]) -> None:
        for event in events:
            if isinstance(event, OfferMade) and event.call_id in self.seeking:
                score = self.floor._callers[event.call_id].score
                for call in self.waited_before.keys() & self.seeking.keys() - set(self.ringing.values()):
                    # who has moved on, or needs less since, may have done so after the offer
                    unmoved = self._place(call) == self.waited_before[call]
                    if unmoved and self.floor._callers[call].score < score:
                        assert not self.matches(call, event.agent_id), f"{event} before {call}"

    def _everybody_seeks_with_an_end(self) -> None:
        assert self.seeking.keys() == self.floor._callers.keys()
        ringing = set(self.ringing.values())
        for call in self.seeking:
            if call not in ringing:
                step, _ = self._step(call)
                assert step.patience_seconds > 0, "who is not rung for waits, and that by the plan"
                assert self.floor._callers[call].waiting
        if self.seeking:
            assert self.floor.next_deadline() is not None

    def _counts_agree(self) -> None:
        counts = self.floor.counts()
        assert counts.callers_seeking == len(self.seeking)
        assert counts.callers_connected == len(set(self.talking.values()))
        assert counts.agents_in_call == len(self.talking)
        assert counts.agents_offered == len(self.ringing)
        assert counts.agents_in_wrap_up == len(self.wrap_up)
        assert counts.callers_waiting == len(set(self.seeking) - set(self.ringing.values()))
        assert counts.callers_waiting <= len(self.floor._queued) <= len(self.seeking)

    def close(self) -> None:
        """Everybody hangs up, and time passes: nothing is left."""
        for call in [*self.seeking, *set(self.talking.values())]:
            self.leave(call)
        self.wait(10_000)
        assert [*self.ringing, *self.talking, *self.wrap_up] == []
        assert self.floor.next_deadline() is None
        assert not self.floor._talks
        assert not self.floor._queued
        assert not self.floor._queued_of
        assert all(not pool.line and not pool.users for pool in self.floor._pools._named.values())
        assert all(not pool.line and not pool.users for pool, _ in self.floor._pools._fixed.values())
