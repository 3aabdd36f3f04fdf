"""Short words for ladders on a floor."""

from collections.abc import Mapping

from routing.contract import Agent, Contract, Group, Waiting
from routing.floor import Floor, FloorEvent, OfferMade
from routing.plan import Destination, Refusal, Step, Strategy, Widening

_NO_WAITING = Waiting()
_NOBODY: Mapping[str, int] = {}


def queue(
    *agents: str, strategy: Strategy = "longest_idle", ring: int = 20, patience: int = 600, group: str = "g"
) -> Step:
    """A step in which callers wait."""
    return Step("group", group, strategy, ring, agents, 1, patience)


def once(*agents: str, strategy: Strategy = "in_order", ring: int = 20) -> Step:
    """A step in which nobody waits."""
    return Step("group", "g", strategy, ring, agents)


def skill(name: str, level: int, *widening: Widening, patience: int = 600, ring: int = 20) -> Step:
    """Whoever has the skill."""
    return Step("skill", name, "longest_idle", ring, (), level, patience, widening)


def contract(
    *steps: Step,
    waiting: Waiting = _NO_WAITING,
    wrap_up: int = 0,
    overflow: Destination | None = None,
    name: str = "kanzlei",
) -> Contract:
    return Contract(
        name, name, plan=steps, if_nobody=Refusal(486), waiting=waiting, wrap_up_seconds=wrap_up, overflow=overflow
    )


def agent(name: str, wrap_up: int | None = None, **skills: int) -> Agent:
    return Agent(name, name, skills=skills, wrap_up_seconds=wrap_up)


def staff(floor: Floor, *agents: Agent, now: float = 0.0, tiers: Mapping[str, int] = _NOBODY, group: str = "g") -> None:
    """The directory: these agents, all in one group."""
    members = tuple(member.id for member in agents)
    floor.use({member.id: member for member in agents}, {group: Group(group, group, members, tiers)}, now)


def happened(floor: Floor) -> list[FloorEvent]:
    events = list(floor.events)
    floor.events.clear()
    return events


def rung(floor: Floor) -> list[tuple[str, str]]:
    """(call, agent) of the offers made since."""
    return [(event.call_id, event.agent_id) for event in happened(floor) if isinstance(event, OfferMade)]


def state(floor: Floor, *agents: str) -> list[str]:
    return [floor.agent_state(name).value for name in agents]
