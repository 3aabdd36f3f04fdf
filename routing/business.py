"""The business data as one file: contracts, agents, groups and tariffs in TOML, read with every fault and its
line, and written so that reading it again gives the same.

Passwords do not survive the reading: only their HA1 hashes do (RFC 7616 section 3.4.2), which are what an
export holds.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from routing.business_checks import findings
from routing.business_conditions import conditions_of, conditions_value
from routing.business_endpoints import endpoint_of, endpoint_value
from routing.business_lines import line_of, line_value
from routing.business_schema import (
    DEFAULT_TIME_ZONE,
    AgentTable,
    BusinessFile,
    ContractTable,
    in_words,
    time_zone,
)
from routing.business_steps import StepReader, step_reader, step_value
from routing.business_tariffs import TariffData, tariff_data, tariff_text
from routing.business_waiting import (
    agent_arguments,
    agent_rules,
    contract_arguments,
    contract_rules,
    group_arguments,
    group_rules,
)
from routing.contract import (
    ALWAYS,
    Agent,
    Contract,
    ContractNumber,
    Group,
    Presentation,
    Validity,
)
from routing.directory import Directory
from routing.lines import Line
from routing.plan import Refusal
from routing.toml_lines import Path, TomlLines
from routing.toml_text import Value, pair, rows


@dataclass(frozen=True, slots=True)
class Business:
    """All business data, in the order of the file."""

    contracts: tuple[Contract, ...] = ()
    agents: tuple[Agent, ...] = ()
    groups: tuple[Group, ...] = ()
    tariffs: tuple[TariffData, ...] = ()
    lines: tuple[Line, ...] = ()

    def directory(self, revision: int = 0) -> Directory:
        """What calls are routed by."""
        return Directory(self.contracts, self.agents, self.groups, revision, self.lines)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a file: where (line 0: nowhere in particular) and what to do about it."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


class BusinessError(Exception):
    """The file cannot be used; ``faults`` says all that is wrong with it, in the order of its lines."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


# -- reading ---------------------------------------------------------------------------------------------


def read_business(text: str, file: str, realm: str) -> Business:
    """Read and check a business file; ``file`` is its name for the faults.

    ``realm`` is the digest realm of endpoints that name none. Raises BusinessError with every fault found;
    nothing of it holds a password.
    """
    text = text.removeprefix("\ufeff")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BusinessError([_toml_fault(file, str(error))]) from None
    except RecursionError:
        raise BusinessError([Fault(file, 0, "is nested too deeply")]) from None
    lines = TomlLines(text)
    zone = _zone(document)
    found = [
        Fault(file, lines.locate(place), f"{_spoken(place)}{message}")
        for place, message in findings(document, zone, lines.locate)
    ]
    try:
        tables = BusinessFile.model_validate(document, context={"zone": zone})
    except ValidationError as error:
        found += [
            Fault(file, lines.locate(item["loc"]), f"{_spoken(item['loc'])}{in_words(item)}")
            for item in error.errors(include_input=False, include_url=False, include_context=False)
        ]
    if found:
        # the cause is left away: it would hold the input, passwords and all
        raise BusinessError(sorted(found, key=lambda fault: fault.line)) from None
    groups = tuple(
        Group(table.id, table.name, tuple(table.members), **group_arguments(table)) for table in tables.groups
    )
    agents = tuple(_agent(table, realm) for table in tables.agents)
    read_step = step_reader({group.id: group for group in groups}, {agent.id: agent for agent in agents})
    return Business(
        contracts=tuple(_contract(table, read_step, zone.key) for table in tables.contracts),
        agents=agents,
        groups=groups,
        tariffs=tuple(map(tariff_data, tables.tariffs)),
        lines=tuple(line_of(table, realm) for table in tables.lines),
    )


def _toml_fault(file: str, text: str) -> Fault:
    # the parser says the place only in its text: "... (at line 3, column 7)"
    before, _, place = text.rpartition(" (at line ")
    number = place.partition(",")[0]
    return Fault(file, int(number), before) if number.isdecimal() else Fault(file, 0, text)


def _zone(document: Mapping[str, object]) -> ZoneInfo:
    name = document.get("time_zone", DEFAULT_TIME_ZONE)
    try:
        return time_zone(name if isinstance(name, str) else DEFAULT_TIME_ZONE)
    except ValueError:
        return time_zone(DEFAULT_TIME_ZONE)


def _spoken(place: Path) -> str:
    """``contracts[3].plan[1].agent: ``, counting from 1 as people do; the line says where anyway."""
    spoken = ""
    for part in place:
        if isinstance(part, int):
            spoken += f"[{part + 1}]"
        elif part != "[key]":
            # pydantic's word for a key that is wrong itself
            spoken += f".{part}" if spoken else part
    return f"{spoken}: " if spoken else ""


def _contract(table: ContractTable, read_step: StepReader, zone: str) -> Contract:
    return Contract(
        id=table.id,
        customer=table.customer,
        greeting=table.greeting,
        instructions=table.instructions,
        language=table.language,
        target_numbers=tuple(
            ContractNumber(held.number, Validity(held.valid_from, held.valid_until)) for held in table.target_numbers
        ),
        validity=Validity(table.valid_from, table.valid_until),
        plan=tuple(map(read_step, table.plan)),
        if_nobody=Refusal(table.if_nobody.status),
        tariff=table.tariff,
        presentation=Presentation(table.presentation.display_name, dict(table.presentation.headers)),
        colour=table.colour or "",
        conditions=conditions_of(table, zone, read_step),
        **contract_arguments(table),
    )


def _agent(table: AgentTable, realm: str) -> Agent:
    endpoints = tuple(endpoint_of(table.id, endpoint, realm) for endpoint in table.endpoints)
    return Agent(table.id, table.name, endpoints, **agent_arguments(table))


# -- writing ---------------------------------------------------------------------------------------------


def write_business(business: Business) -> str:
    """The business as TOML, always the same for the same; ``read_business`` of it gives an equal Business."""
    zone = time_zone(DEFAULT_TIME_ZONE)
    parts = [pair("time_zone", DEFAULT_TIME_ZONE) + "\n"]
    parts += [tariff_text(tariff, lambda moment: _moment_value(moment, zone)) for tariff in business.tariffs]
    parts += [_block("agents", _agent_lines(agent)) for agent in business.agents]
    parts += [_block("groups", _group_lines(group)) for group in business.groups]
    parts += [_block("contracts", _contract_lines(contract, zone)) for contract in business.contracts]
    parts += [_block("lines", _line_lines(line)) for line in business.lines]
    return "\n".join(parts)


def _block(table: str, lines: Iterable[str]) -> str:
    return "\n".join((f"[[{table}]]", *lines)) + "\n"


def _agent_lines(agent: Agent) -> list[str]:
    endpoints = [endpoint_value(endpoint) for endpoint in agent.endpoints]
    rules = [pair(key, value) for key, value in agent_rules(agent).items()]
    return [pair("id", agent.id), pair("name", agent.name), *rules, rows("endpoints", endpoints)]


def _group_lines(group: Group) -> list[str]:
    rules = [pair(key, value) for key, value in group_rules(group).items()]
    return [pair("id", group.id), pair("name", group.name), pair("members", group.members), *rules]


def _line_lines(line: Line) -> list[str]:
    return [pair(key, value) for key, value in line_value(line).items()]


def _contract_lines(contract: Contract, zone: ZoneInfo) -> list[str]:
    lines = [pair("id", contract.id), pair("customer", contract.customer)]
    lines += [
        pair(key, text)
        for key, text in (("greeting", contract.greeting), ("instructions", contract.instructions))
        if text
    ]
    lines += [
        pair("language", contract.language),
        *(pair(key, value) for key, value in _validity_value(contract.validity, zone).items()),
        rows("target_numbers", [_number_value(held, zone) for held in contract.target_numbers]),
        rows("plan", [step_value(step) for step in contract.plan]),
        # another way out stands for it
        *([pair("if_nobody", {"status": contract.if_nobody.status})] if contract.overflow is None else ()),
        pair("tariff", contract.tariff),
    ]
    shown: dict[str, Value] = {}
    if contract.presentation.display_name:
        shown["display_name"] = contract.presentation.display_name
    if contract.presentation.headers:
        shown["headers"] = dict(contract.presentation.headers)
    if shown:
        lines.append(pair("presentation", shown))
    if contract.colour:
        lines.append(pair("colour", contract.colour))
    return [*lines, *_rule_lines(contract)]


def _rule_lines(contract: Contract) -> Iterator[str]:
    """What not every contract has: conditions and waiting."""
    value = contract_rules(contract) | conditions_value(contract.conditions)
    waiting = value.pop("waiting", {})
    variants = value.pop("variants", [])
    for key, item in value.items():
        yield rows(key, item) if isinstance(item, list) else pair(key, item)
    assert isinstance(variants, list)
    assert isinstance(waiting, Mapping)
    if waiting:
        yield "\n[contracts.waiting]"
        for key, item in waiting.items():
            yield pair(key, item)
    for variant in variants:
        # tables of their own, after all keys of the contract itself
        yield "\n[[contracts.variants]]"
        for key, item in variant.items():
            yield rows(key, item) if isinstance(item, list) else pair(key, item)


def _number_value(held: ContractNumber, zone: ZoneInfo) -> Value:
    if held.validity == ALWAYS:
        return held.number
    return {"number": held.number, **_validity_value(held.validity, zone)}


def _validity_value(validity: Validity, zone: ZoneInfo) -> dict[str, Value]:
    value: dict[str, Value] = {}
    if validity.since is not None:
        value["valid_from"] = _moment_value(validity.since, zone)
    if validity.until is not None:
        value["valid_until"] = _moment_value(validity.until, zone)
    return value


def _moment_value(moment: datetime, zone: ZoneInfo) -> datetime | date:
    """As people write it: a day if it is the beginning of one."""
    local = moment.astimezone(zone)
    at_midnight = not (local.hour or local.minute or local.second or local.microsecond)
    return local.date() if at_midnight else local
