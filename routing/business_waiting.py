"""How callers wait, in the business file and in the database; and what agents and groups are besides their names.

What is left at its default is written nowhere: so files and databases of before mean what they meant.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, model_validator

from routing.business_fields import STRICT, Name, refusal_status
from routing.business_steps import Level, WaitingSeconds
from routing.business_ways import DestinationTable, Sound, destination_of, destination_value
from routing.conditions import HIGHEST_PRIORITY
from routing.contract import ENDPOINT_SECONDS, Agent, Answering, Contract, Group, Ringing, Waiting
from routing.plan import FIRST_TIER, LAST_TIER, LONGEST_RING_SECONDS, NextStep, Overflow, Refusal
from routing.toml_text import Value

_MOST_CALLERS = 10_000
_Digit = Annotated[str, StringConstraints(pattern=r"^[0-9*#]\z")]
_WrapUp = Annotated[int, Field(ge=0, le=3600)]
_Tier = Annotated[int, Field(ge=FIRST_TIER, le=LAST_TIER)]
#: Only who is answered hears these, or can press a digit.
_HEARD = ("exits", "greeting_sound", "music", "position_seconds", "comfort_seconds", "comfort_sound")


class OverflowTable(DestinationTable):
    """A way out, ``{ status = 486 }`` or ``{ next_step = true }``."""

    status: Annotated[int, AfterValidator(refusal_status)] | None = None
    next_step: Literal[True] | None = None


class WaitingTable(BaseModel):
    """``[contracts.waiting]``: see :class:`routing.contract.Waiting`."""

    model_config = STRICT

    priority: int = Field(default=0, ge=0, le=HIGHEST_PRIORITY)
    most_callers: int = Field(default=0, ge=0, le=_MOST_CALLERS)
    if_full: OverflowTable | None = None
    longest_seconds: WaitingSeconds = 0
    if_too_long: OverflowTable | None = None
    exits: dict[_Digit, OverflowTable] = {}
    answering: Answering = "ring_through"
    greeting_sound: Sound | None = None
    music: Sound | None = None
    position_seconds: WaitingSeconds = 0
    comfort_seconds: WaitingSeconds = 0
    comfort_sound: Sound | None = None

    @model_validator(mode="after")
    def _fits(self) -> "WaitingTable":
        said = [name for name in _HEARD if name in self.model_fields_set]
        if self.answering == "ring_through" and said:
            raise ValueError(
                f"{', '.join(said)}: who is not answered hears nothing and presses nothing; "
                'write answering = "answer_at_once"'
            )
        if bool(self.comfort_seconds) != bool(self.comfort_sound):
            raise ValueError("comfort_seconds and comfort_sound belong together")
        return self


class WaitingRules(BaseModel):
    """What a contract says of waiting: keys of ``[[contracts]]``."""

    model_config = STRICT

    overflow: DestinationTable | None = None
    wrap_up_seconds: _WrapUp = 0
    whisper: Sound | None = None
    waiting: WaitingTable | None = None


class AgentRules(BaseModel):
    """Keys of ``[[agents]]`` besides name and phones. Skills are levels from 1 to 10."""

    model_config = STRICT

    skills: dict[Name, Level] = {}
    wrap_up_seconds: _WrapUp | None = None
    ring: Ringing = "together"
    endpoint_seconds: int = Field(default=ENDPOINT_SECONDS, ge=1, le=LONGEST_RING_SECONDS)

    @model_validator(mode="after")
    def _takes_turns(self) -> "AgentRules":
        if "endpoint_seconds" in self.model_fields_set and self.ring != "in_order":
            raise ValueError('endpoint_seconds is for phones that ring one after the other: write ring = "in_order"')
        return self


class GroupRules(BaseModel):
    """Keys of ``[[groups]]`` besides name and members. Tiers are by agent, from 1 to 10; 1 for who is not named."""

    model_config = STRICT

    tiers: dict[Name, _Tier] = {}


# -- from tables -----------------------------------------------------------------------------------------


def contract_arguments(table: WaitingRules) -> dict[str, Any]:
    """Arguments of :class:`routing.contract.Contract`."""
    return {
        "overflow": None if table.overflow is None else destination_of(table.overflow),
        "wrap_up_seconds": table.wrap_up_seconds,
        "whisper": table.whisper or "",
        "waiting": _waiting(table.waiting) if table.waiting is not None else Waiting(),
    }


def _waiting(table: WaitingTable) -> Waiting:
    said: dict[str, Any] = {name: getattr(table, name) for name in table.model_fields_set}
    for name in ("if_full", "if_too_long"):
        if said.get(name) is not None:
            said[name] = _overflow(said[name])
    said["exits"] = {digit: _overflow(way) for digit, way in table.exits.items()}
    return Waiting(**{name: value for name, value in said.items() if value is not None})


def _overflow(table: OverflowTable) -> Overflow:
    if table.next_step:
        return NextStep()
    return destination_of(table) if table.status is None else Refusal(table.status)


def agent_arguments(table: AgentRules) -> dict[str, Any]:
    """Arguments of :class:`routing.contract.Agent`."""
    return {
        "skills": dict(table.skills),
        "wrap_up_seconds": table.wrap_up_seconds,
        "ring": table.ring,
        "endpoint_seconds": table.endpoint_seconds,
    }


def group_arguments(table: GroupRules) -> dict[str, Any]:
    """Arguments of :class:`routing.contract.Group`."""
    return {"tiers": dict(table.tiers)}


# -- to tables -------------------------------------------------------------------------------------------


def contract_rules(contract: Contract) -> dict[str, Value]:
    """What :class:`WaitingRules` reads; ``waiting`` is the last, being a table of its own in the file."""
    rules: dict[str, Value] = {}
    if contract.overflow is not None:
        rules["overflow"] = destination_value(contract.overflow)
    if contract.wrap_up_seconds:
        rules["wrap_up_seconds"] = contract.wrap_up_seconds
    if contract.whisper:
        rules["whisper"] = contract.whisper
    waiting = _waiting_value(contract.waiting)
    if waiting:
        rules["waiting"] = waiting
    return rules


def _waiting_value(waiting: Waiting) -> dict[str, Value]:
    plain = Waiting()
    value: dict[str, Value] = {}
    for field in fields(Waiting):
        said = getattr(waiting, field.name)
        if said == getattr(plain, field.name):
            continue
        if field.name == "exits":
            value["exits"] = {digit: _overflow_value(way) for digit, way in said.items()}
        elif field.name in ("if_full", "if_too_long"):
            value[field.name] = _overflow_value(said)
        else:
            value[field.name] = said
    return value


def _overflow_value(overflow: Overflow) -> Mapping[str, Value]:
    match overflow:
        case NextStep():
            return {"next_step": True}
        case Refusal(status):
            return {"status": status}
        case _:
            return destination_value(overflow)


def agent_rules(agent: Agent) -> dict[str, Value]:
    """What :class:`AgentRules` reads."""
    rules: dict[str, Value] = {}
    if agent.skills:
        rules["skills"] = dict(agent.skills)
    if agent.wrap_up_seconds is not None:
        rules["wrap_up_seconds"] = agent.wrap_up_seconds
    if agent.ring != "together":
        rules["ring"] = agent.ring
        if agent.endpoint_seconds != ENDPOINT_SECONDS:
            rules["endpoint_seconds"] = agent.endpoint_seconds
    return rules


def group_rules(group: Group) -> dict[str, Value]:
    """What :class:`GroupRules` reads."""
    return {"tiers": dict(group.tiers)} if group.tiers else {}
