"""What plans, queues and agents say about each other.

Like ``routing.business_checks`` these checks read the file as TOML has it, and step over whatever has the wrong type.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from routing.plan import LOWEST_LEVEL
from routing.toml_lines import Path

_Table = Mapping[str, Any]
#: What is only of use where callers wait for somebody to come free.
_OF_A_QUEUE = ("most_callers", "if_full", "position_seconds")


def highest_levels(document: _Table) -> dict[str, int]:
    """Every skill that an agent has, with the highest level."""
    found: dict[str, int] = {}
    for _, agent in _items(document, "agents", ()):
        skills = agent.get("skills")
        for skill, level in skills.items() if isinstance(skills, Mapping) else ():
            if isinstance(level, int):
                found[skill] = max(level, found.get(skill, 0))
    return found


def waiting_findings(at: Path, contract: _Table, highest: Mapping[str, int]) -> Iterator[tuple[Path, str]]:
    """Contradictions in one contract's plans and its queue: where, and what is wrong there."""
    if "if_nobody" in contract and "overflow" in contract:
        yield (*at, "overflow"), "stands for if_nobody: a caller can only go one way"
    plans = [contract, *(variant for _, variant in _items(contract, "variants", at))]
    places = [at, *(place for place, _ in _items(contract, "variants", at))]
    somebody_waits = False
    for place, planned in zip(places, plans, strict=True):
        for step_place, step in _items(planned, "plan", place):
            somebody_waits = somebody_waits or bool(step.get("patience_seconds"))
            yield from _skill(step_place, step, highest)
    waiting = contract.get("waiting")
    if isinstance(waiting, Mapping):
        yield from _limits((*at, "waiting"), waiting, somebody_waits)


def _skill(place: Path, step: _Table, highest: Mapping[str, int]) -> Iterator[tuple[Path, str]]:
    skill, level = step.get("skill"), step.get("level", LOWEST_LEVEL)
    if not isinstance(skill, str) or not isinstance(level, int):
        return
    if skill not in highest:
        known = ", ".join(sorted(highest)[:20]) or "none"
        yield (*place, "skill"), f"no agent has the skill {skill!r}; there are: {known}"
    elif level > highest[skill] and not step.get("widening"):
        yield (*place, "level"), f"nobody has {skill!r} at level {level}: the highest is {highest[skill]}"


def _limits(place: Path, waiting: _Table, somebody_waits: bool) -> Iterator[tuple[Path, str]]:
    for key in _OF_A_QUEUE:
        if key in waiting and not somebody_waits:
            yield (*place, key), "has no effect: give a step of the plan patience_seconds, so that callers wait"
    for action, limit in (("if_full", "most_callers"), ("if_too_long", "longest_seconds")):
        if action in waiting and not waiting.get(limit):
            yield (*place, action), f"never happens without {limit}"


def tier_findings(at: Path, group: _Table) -> Iterator[tuple[Path, str]]:
    """Tiers of agents who are no members."""
    members, tiers = group.get("members"), group.get("tiers")
    if isinstance(members, list) and isinstance(tiers, Mapping):
        for agent in tiers:
            if agent not in members:
                yield (*at, "tiers", agent), f"{agent!r} is no member of this group"


def _items(parent: _Table, key: str, at: Path) -> Iterator[tuple[Path, _Table]]:
    items = parent.get(key)
    for position, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, Mapping):
            yield (*at, key, position), item
