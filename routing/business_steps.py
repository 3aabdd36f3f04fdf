"""The steps of a plan in the business file and in the database.

What is left at its default is written nowhere: so files and databases of before mean what they meant.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field, model_validator

from routing.business_fields import STRICT, Name
from routing.contract import Agent, Group, agents_of
from routing.plan import (
    HIGHEST_LEVEL,
    LONGEST_RING_SECONDS,
    LOWEST_LEVEL,
    SHORTEST_RING_SECONDS,
    Step,
    StepKind,
    Strategy,
    Widening,
)
from routing.toml_text import Value

Level = Annotated[int, Field(ge=LOWEST_LEVEL, le=HIGHEST_LEVEL)]
#: A time that callers spend waiting; none is longer than a day.
WaitingSeconds = Annotated[int, Field(ge=0, le=86_400)]
_LONGEST_WIDENING = 3600


class WideningTable(BaseModel):
    """``{ after_seconds = 20, level = 3 }``"""

    model_config = STRICT

    after_seconds: int = Field(ge=1, le=_LONGEST_WIDENING)
    level: Level


class StepTable(BaseModel):
    """One of ``agent``, ``group`` and ``skill``: see :class:`routing.plan.Step`."""

    model_config = STRICT

    agent: Name | None = None
    group: Name | None = None
    skill: Name | None = None
    strategy: Strategy | None = None
    ring_seconds: int = Field(default=20, ge=SHORTEST_RING_SECONDS, le=LONGEST_RING_SECONDS)
    level: Level = LOWEST_LEVEL
    patience_seconds: WaitingSeconds = 0
    widening: list[WideningTable] = Field(default=[], max_length=HIGHEST_LEVEL)

    @model_validator(mode="after")
    def _fits(self) -> "StepTable":
        if self.skill is None and (self.level != LOWEST_LEVEL or self.widening):
            raise ValueError("level and widening belong to a step with a skill")
        times = [item.after_seconds for item in self.widening]
        levels = [self.level, *(item.level for item in self.widening)]
        if sorted(set(times)) != times or sorted(set(levels), reverse=True) != levels:
            raise ValueError("widening must go on in time and down in level, one after the other")
        if self.widening and not self.patience_seconds:
            raise ValueError("widening needs patience_seconds: who does not wait sees none of it")
        return self

    @property
    def chosen_strategy(self) -> Strategy:
        """In order where nobody waits and no skill is sought: who wrote the list meant its order."""
        fair = self.patience_seconds or self.skill is not None
        return self.strategy or ("longest_idle" if fair else "in_order")


StepReader = Callable[[StepTable], Step]


def step_reader(groups: Mapping[str, Group], agents: Mapping[str, Agent]) -> StepReader:
    """Reads a step of a plan, with the agents that it stands for."""

    def read(table: StepTable) -> Step:
        kind: StepKind = "skill" if table.group is None else "group"
        if table.agent is not None:
            kind = "agent"
        # one of them is there, by the checks
        target = table.agent or table.group or table.skill or ""
        widening = tuple(Widening(item.after_seconds, item.level) for item in table.widening)
        lowest = widening[-1].level if widening else table.level
        return Step(
            kind, target, table.chosen_strategy, table.ring_seconds, agents_of(kind, target, groups, agents, lowest),
            table.level, table.patience_seconds, widening,
        )  # fmt: skip

    return read


def step_value(step: Step) -> Mapping[str, Value]:
    """A step as the file has it."""
    return {step.kind: step.target, "strategy": step.strategy, "ring_seconds": step.ring_seconds, **step_rules(step)}


def step_rules(step: Step) -> dict[str, Value]:
    """``level``, ``patience_seconds`` and ``widening``, for a column of their own."""
    rules: dict[str, Value] = {}
    if step.level != LOWEST_LEVEL:
        rules["level"] = step.level
    if step.patience_seconds:
        rules["patience_seconds"] = step.patience_seconds
    if step.widening:
        rules["widening"] = [{"after_seconds": item.after_seconds, "level": item.level} for item in step.widening]
    return rules


def stored_step(
    kind: str, target: str, strategy: str, ring_seconds: int, rules: Mapping[str, Any], read: StepReader
) -> Step:
    """The step that a row of the database is."""
    table = {kind: target, "strategy": strategy, "ring_seconds": ring_seconds, **rules}
    return read(StepTable.model_validate(table))
