"""Where the business data last: SQLite or PostgreSQL through SQLAlchemy Core.

The data are replaced as a whole, and each time ``business_revision`` counts up, so that a server sees with one
cheap query whether its directory is still the present one.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    text,
)
from sqlalchemy.types import TypeDecorator

from routing.business import Business
from routing.business_conditions import conditions_of, conditions_value
from routing.business_schema import DEFAULT_TIME_ZONE, ConditionsTable
from routing.business_steps import StepReader, step_reader, step_rules, stored_step
from routing.business_tariffs import TariffData
from routing.business_waiting import (
    AgentRules,
    GroupRules,
    WaitingRules,
    agent_arguments,
    agent_rules,
    contract_arguments,
    contract_rules,
    group_arguments,
    group_rules,
)
from routing.conditions import UNCONDITIONAL, Conditions
from routing.contract import (
    Agent,
    Contract,
    ContractNumber,
    Endpoint,
    Group,
    Presentation,
    Validity,
)
from routing.directory import Directory
from routing.line_store import load_lines, replace_lines
from routing.plan import Refusal
from routing.tables import metadata as metadata


class _Text(TypeDecorator[str]):
    """Text that every database takes: PostgreSQL refuses NUL, and neither takes lone surrogates."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        return value.encode("utf-8", "replace").decode("utf-8").replace("\0", "?")

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else str(value)


class _Moment(TypeDecorator[datetime]):
    """An aware datetime, always as UTC: SQLite keeps no offset."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _rules() -> Column[str]:
    # JSON: what not every one has, as in the business file; it needs no columns, for nothing is sought by it
    return Column("rules", _Text, nullable=False, server_default="{}")


def _position() -> Column[int]:
    # the order of the file, which for plans and members is the order of ringing
    return Column("position", Integer, nullable=False)


contracts = Table(
    "contracts",
    metadata,
    Column("id", _Text, primary_key=True),
    _position(),
    Column("customer", _Text, nullable=False),
    Column("greeting", _Text, nullable=False),
    Column("instructions", _Text, nullable=False),
    Column("language", _Text, nullable=False),
    Column("valid_from", _Moment),
    Column("valid_until", _Moment),
    Column("refusal_status", Integer, nullable=False),
    Column("tariff", _Text, nullable=False),
    Column("display_name", _Text, nullable=False),
    Column("headers", _Text, nullable=False),
    Column("colour", String(7), nullable=False, server_default=""),
    # JSON: what of the contract depends on hours, callers and kinds of forwarding, as in the business file
    Column("conditions", _Text, nullable=False, server_default="{}"),
    _rules(),
)

target_numbers = Table(
    "target_numbers",
    metadata,
    Column("contract_id", _Text, ForeignKey("contracts.id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("number", _Text, nullable=False),
    Column("valid_from", _Moment),
    Column("valid_until", _Moment),
    Index("target_numbers_number", "number"),
)

plan_steps = Table(
    "plan_steps",
    metadata,
    Column("contract_id", _Text, ForeignKey("contracts.id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(8), nullable=False),
    Column("target", _Text, nullable=False),
    Column("strategy", String(16), nullable=False),
    Column("ring_seconds", Integer, nullable=False),
    _rules(),
)

agents = Table(
    "agents",
    metadata,
    Column("id", _Text, primary_key=True),
    _position(),
    Column("name", _Text, nullable=False),
    _rules(),
)

endpoints = Table(
    "endpoints",
    metadata,
    Column("agent_id", _Text, ForeignKey("agents.id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    # NULL for an endpoint with a contact; two NULLs are not the same name
    Column("username", _Text, unique=True),
    Column("contact", _Text, nullable=False),
    Column("realm", _Text, nullable=False),
    Column("ha1_md5", String(32), nullable=False),
    Column("ha1_sha256", String(64), nullable=False),
    Column("algorithms", String(64), nullable=False),
    Column("number", String(32), nullable=False, server_default=""),
)

groups = Table(
    "groups",
    metadata,
    Column("id", _Text, primary_key=True),
    _position(),
    Column("name", _Text, nullable=False),
    _rules(),
)

group_members = Table(
    "group_members",
    metadata,
    Column("group_id", _Text, ForeignKey("groups.id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("agent_id", _Text, ForeignKey("agents.id"), nullable=False),
)

business_revision = Table(
    "business_revision",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("revision", Integer, nullable=False),
)

# Understood by SQLite since 3.24 and by PostgreSQL, where it also holds off a second import until we commit.
_COUNT_UP = text(
    "INSERT INTO business_revision (id, revision) VALUES (1, 1) "
    "ON CONFLICT (id) DO UPDATE SET revision = business_revision.revision + 1"
)


# -- writing ---------------------------------------------------------------------------------------------


def replace_business(connection: Connection, business: Business) -> None:
    """Make this the business data, all or nothing; the caller commits. Tariffs are accounting's to write."""
    connection.execute(_COUNT_UP)
    for table in (group_members, groups, endpoints, agents, plan_steps, target_numbers, contracts):
        connection.execute(delete(table))
    replace_lines(connection, business.lines)
    _insert(connection, contracts, (_contract_row(*item) for item in enumerate(business.contracts)))
    _insert(
        connection,
        target_numbers,
        (
            {"contract_id": contract.id, "position": position, "number": held.number, **_validity_row(held.validity)}
            for contract in business.contracts
            for position, held in enumerate(contract.target_numbers)
        ),
    )
    _insert(
        connection,
        plan_steps,
        (
            {
                "contract_id": contract.id,
                "position": position,
                "kind": step.kind,
                "target": step.target,
                "strategy": step.strategy,
                "ring_seconds": step.ring_seconds,
                "rules": _json(step_rules(step)),
            }
            for contract in business.contracts
            for position, step in enumerate(contract.plan)
        ),
    )
    _insert(
        connection,
        agents,
        (
            {"id": agent.id, "position": position, "name": agent.name, "rules": _json(agent_rules(agent))}
            for position, agent in enumerate(business.agents)
        ),
    )
    _insert(
        connection,
        endpoints,
        (
            _endpoint_row(agent.id, position, endpoint)
            for agent in business.agents
            for position, endpoint in enumerate(agent.endpoints)
        ),
    )
    _insert(
        connection,
        groups,
        (
            {"id": group.id, "position": position, "name": group.name, "rules": _json(group_rules(group))}
            for position, group in enumerate(business.groups)
        ),
    )
    _insert(
        connection,
        group_members,
        (
            {"group_id": group.id, "position": position, "agent_id": member}
            for group in business.groups
            for position, member in enumerate(group.members)
        ),
    )


def _insert(connection: Connection, table: Table, values: Iterable[Mapping[str, object]]) -> None:
    rows = list(values)
    if rows:
        connection.execute(insert(table), rows)


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _contract_row(position: int, contract: Contract) -> dict[str, object]:
    return {
        "id": contract.id,
        "position": position,
        "customer": contract.customer,
        "greeting": contract.greeting,
        "instructions": contract.instructions,
        "language": contract.language,
        **_validity_row(contract.validity),
        "refusal_status": contract.if_nobody.status,
        "tariff": contract.tariff,
        "display_name": contract.presentation.display_name,
        "headers": json.dumps(dict(contract.presentation.headers)),
        "colour": contract.colour,
        "conditions": _json(conditions_value(contract.conditions)),
        "rules": _json(contract_rules(contract)),
    }


def _validity_row(validity: Validity) -> dict[str, object]:
    return {"valid_from": validity.since, "valid_until": validity.until}


def _endpoint_row(agent_id: str, position: int, endpoint: Endpoint) -> dict[str, object]:
    return {
        "agent_id": agent_id,
        "position": position,
        "username": endpoint.username or None,
        "contact": endpoint.contact,
        "realm": endpoint.realm,
        "ha1_md5": endpoint.ha1_md5,
        "ha1_sha256": endpoint.ha1_sha256,
        "algorithms": ",".join(endpoint.algorithms),
        "number": endpoint.number,
    }


# -- reading ---------------------------------------------------------------------------------------------


def revision(connection: Connection) -> int:
    """How often the business data were replaced; 0 if never."""
    found: int | None = connection.scalar(select(business_revision.c.revision))
    return found or 0


def load_directory(connection: Connection) -> Directory:
    """What calls are routed by, with its revision."""
    business, at = _load(connection, ())
    return business.directory(at)


def load_business(connection: Connection, tariffs: Iterable[TariffData]) -> Business:
    """Everything, for an export; the tariffs are accounting's."""
    business, _ = _load(connection, tuple(tariffs))
    return business


def _load(connection: Connection, tariffs: tuple[TariffData, ...]) -> tuple[Business, int]:
    before = revision(connection)
    while True:
        loaded = _load_tables(connection, tariffs)
        after = revision(connection)
        if after == before:
            return loaded, after
        # each query saw its own moment, and an import was committed between two of them
        before = after


def _load_tables(connection: Connection, tariffs: tuple[TariffData, ...]) -> Business:
    members = _grouped(connection, group_members, "group_id")
    found_groups = tuple(
        Group(
            row.id,
            row.name,
            tuple(member.agent_id for member in members.get(row.id, ())),
            **group_arguments(GroupRules.model_validate_json(row.rules)),
        )
        for row in connection.execute(select(groups).order_by(groups.c.position))
    )
    phones = _grouped(connection, endpoints, "agent_id")
    found_agents = tuple(
        Agent(
            row.id,
            row.name,
            tuple(_endpoint(phone) for phone in phones.get(row.id, ())),
            **agent_arguments(AgentRules.model_validate_json(row.rules)),
        )
        for row in connection.execute(select(agents).order_by(agents.c.position))
    )
    read_step = step_reader({group.id: group for group in found_groups}, {agent.id: agent for agent in found_agents})
    numbers = _grouped(connection, target_numbers, "contract_id")
    steps = _grouped(connection, plan_steps, "contract_id")
    found_contracts = tuple(
        _contract(row, numbers.get(row.id, []), steps.get(row.id, []), read_step)
        for row in connection.execute(select(contracts).order_by(contracts.c.position))
    )
    return Business(found_contracts, found_agents, found_groups, tariffs, load_lines(connection))


def _grouped(connection: Connection, table: Table, owner: str) -> dict[str, list[Row[Any]]]:
    """A table's rows by whose they are, each list in order: one query instead of one for every owner."""
    found: dict[str, list[Row[Any]]] = {}
    for row in connection.execute(select(table).order_by(table.c.position)):
        found.setdefault(row._mapping[owner], []).append(row)
    return found


def _endpoint(row: Row[Any]) -> Endpoint:
    return Endpoint(
        row.agent_id,
        row.username or "",
        row.contact,
        row.realm,
        row.ha1_md5,
        row.ha1_sha256,
        tuple(row.algorithms.split(",")),
        row.number,
    )


def _contract(row: Row[Any], numbers: list[Row[Any]], steps: list[Row[Any]], read_step: StepReader) -> Contract:
    return Contract(
        id=row.id,
        customer=row.customer,
        greeting=row.greeting,
        instructions=row.instructions,
        language=row.language,
        target_numbers=tuple(
            ContractNumber(held.number, Validity(held.valid_from, held.valid_until)) for held in numbers
        ),
        validity=Validity(row.valid_from, row.valid_until),
        plan=tuple(
            stored_step(step.kind, step.target, step.strategy, step.ring_seconds, json.loads(step.rules), read_step)
            for step in steps
        ),
        if_nobody=Refusal(row.refusal_status),
        tariff=row.tariff,
        presentation=Presentation(row.display_name, json.loads(row.headers)),
        colour=row.colour,
        conditions=_conditions(row.conditions, read_step),
        **contract_arguments(WaitingRules.model_validate_json(row.rules)),
    )


def _conditions(written: str, read_step: StepReader) -> Conditions:
    if written == "{}":
        return UNCONDITIONAL
    table = ConditionsTable.model_validate_json(written)
    return conditions_of(table, DEFAULT_TIME_ZONE, read_step)
