"""Thousands of random floors, each replayable by its seed: the promises of the floor hold at every step of each."""

import random

import pytest

from routing.contract import Agent, Contract, Group, Waiting
from routing.directory import Directory
from routing.floor import DeclineReason, FloorRules, Status
from routing.plan import (
    Announce,
    Callback,
    Dial,
    NextStep,
    Overflow,
    Refusal,
    Step,
    StepKind,
    Strategy,
    Voicemail,
    Widening,
)
from tests.routing.floor_books import Books

SEEDS = range(40)
FLOORS_PER_SEED = 50
STEPS = 60

STRATEGIES: tuple[Strategy, ...] = (
    "longest_idle", "round_robin", "fewest_calls", "least_talk_time", "ring_all", "in_order", "random"
)  # fmt: skip
REASONS: tuple[DeclineReason, ...] = ("busy", "declined", "unreachable", "no_answer")
STATUSES: tuple[Status, ...] = (*("available",) * 6, "on_break", "logged_out")
ACTIONS: tuple[Overflow, ...] = (
    NextStep(), Refusal(486), Dial("+49301"), Announce("closed"), Voicemail("box"), Callback()
)  # fmt: skip
GROUPS = ("office", "night", "new")
SKILLS = ("english", "law")


def random_directory(dice: random.Random) -> Directory:
    names = [f"a{number}" for number in range(dice.randint(1, 7))]
    agents = [
        Agent(
            name, name,
            skills={skill: dice.randint(1, 3) for skill in SKILLS if dice.random() < 0.6},
            wrap_up_seconds=dice.choice((None, None, 0, 5)),
        )
        for name in names
    ]  # fmt: skip
    groups = []
    for group_id in GROUPS:
        if dice.random() < 0.2:
            continue
        members = tuple(name for name in names if dice.random() < 0.7)
        groups.append(Group(group_id, group_id, members, {name: dice.randint(1, 2) for name in members}))
    return Directory((), agents, groups)


def random_step(dice: random.Random, directory: Directory) -> Step:
    kind: StepKind = dice.choice(("agent", "group", "skill"))
    names = list(directory.agents)
    patience = dice.choice((0, 0, 7, 30, 100))
    strategy = dice.choice(STRATEGIES)
    ring = dice.randint(1, 9)
    if kind == "agent":
        name = dice.choice(names)
        return Step("agent", name, strategy, ring, (name,), 1, patience)
    if kind == "group":
        target = dice.choice(GROUPS)
        group = directory.groups.get(target)
        members = tuple(names[:3]) if group is None else group.members
        return Step("group", target, strategy, ring, members, 1, patience)
    level = dice.randint(1, 3)
    widening = (Widening(4, level - 1), Widening(9, 1)) if level == 3 else ()
    return Step("skill", dice.choice(SKILLS), strategy, ring, (), level, patience, widening)


def random_contract(dice: random.Random, directory: Directory, number: int) -> Contract:
    waiting = Waiting(
        priority=dice.randint(0, 3),
        most_callers=dice.choice((0, 0, 1, 2)),
        if_full=dice.choice(ACTIONS),
        longest_seconds=dice.choice((0, 0, 25)),
        if_too_long=dice.choice(ACTIONS),
        exits={"1": dice.choice(ACTIONS)},
    )
    plan = tuple(random_step(dice, directory) for _ in range(dice.randint(0, 3)))
    wrap_up = dice.choice((0, 0, 3, 10))
    overflow = dice.choice((None, Voicemail("end")))
    return Contract(f"k{number}", "K", plan=plan, waiting=waiting, wrap_up_seconds=wrap_up, overflow=overflow)


def random_rules(dice: random.Random) -> FloorRules:
    return FloorRules(
        declined_delay=dice.choice((0, 6)), busy_delay=dice.choice((0, 3)), no_answer_delay=dice.choice((0, 4)),
        unreachable_delay=dice.choice((0, 2)), missed_before_break=dice.choice((0, 0, 3)),
    )  # fmt: skip


class Player:
    """Makes moves; those that matter are likelier than those that come too late."""

    def __init__(self, seed: str) -> None:
        self.dice = dice = random.Random(seed)
        directory = random_directory(dice)
        contracts = [random_contract(dice, directory, number) for number in range(3)]
        self.contracts = {contract.id: contract for contract in contracts}
        self.books = Books(directory, random_rules(dice), self.contracts, seed=dice.randint(1, 99))
        self.calls = [f"c{number}" for number in range(8)]

    def any_call(self) -> str:
        return self.dice.choice(self.calls)

    def any_agent(self) -> str:
        return self.dice.choice(list(self.books.directory.agents))

    def pair(self, of: dict[str, str]) -> tuple[str, str]:
        """(call, agent) that belong together most of the time."""
        if of and self.dice.random() < 0.8:
            agent = self.dice.choice(list(of))
            return of[agent], agent
        return self.any_call(), self.any_agent()

    def move(self) -> None:
        dice, books = self.dice, self.books
        throw = dice.randint(0, 21)
        if throw <= 4:
            books.enter(self.any_call(), dice.choice(list(self.contracts.values())), dice.choice((0, 0, 5)))
        elif throw <= 8:
            books.answer(*self.pair(books.ringing))
        elif throw <= 10:
            books.decline(*self.pair(books.ringing), dice.choice(REASONS))
        elif throw <= 12:
            books.leave(self.any_call())
        elif throw <= 15:
            books.wait(dice.choice((0, 1, 2, 5, 20)))
        elif throw == 16:
            books.choose(self.any_agent(), dice.choice(STATUSES))
        elif throw == 17:
            books.reach(self.any_agent(), dice.random() < 0.85)
        elif throw == 18:
            books.finish_wrap_up(self.any_agent())
        elif throw == 19:
            books.hand_on(*self.pair(books.talking), self.any_agent())
        elif throw == 20:
            books.press(self.any_call(), dice.choice("12"))
        elif dice.random() < 0.5:
            books.use(random_directory(dice))
        else:
            # a whole number of seconds, or rounding would move what is due
            books.restart(float(dice.randint(0, 10**6)))


@pytest.mark.parametrize("seed", SEEDS)
def test_random_floors_keep_their_promises(seed: int) -> None:
    for number in range(FLOORS_PER_SEED):
        player = Player(f"{seed}/{number}")
        for _ in range(STEPS):
            player.move()
        player.books.close()


def test_random_floors_are_lively() -> None:
    """The simulation would prove nothing if hardly anybody rang, talked or waited."""
    connected = offers = queued = 0
    for number in range(60):
        player = Player(f"lively/{number}")
        for _ in range(STEPS):
            player.move()
        connected += player.books.connected
        offers += player.books.offers
        queued += sum(1 for event in player.books.events if type(event).__name__ == "CallerQueued")
    assert connected > 120, (connected, offers, queued)
    assert offers > 2 * connected
    assert queued > 120
