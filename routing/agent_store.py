"""What agents chose last, kept across restarts: available, on a break, logged out."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, Connection, String, Table, Text, delete, insert, select

from routing.floor import Status
from routing.tables import metadata

agent_status = Table(
    "agent_status",
    metadata,
    Column("agent_id", Text, primary_key=True),
    Column("status", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("since_ns", BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class ChosenStatus:
    """``since_ns`` is wall-clock nanoseconds since 1970."""

    agent_id: str
    status: Status
    reason: str
    since_ns: int


def load_statuses(connection: Connection) -> list[ChosenStatus]:
    """What every agent chose last; who never chose is not among them."""
    return [ChosenStatus(*row) for row in connection.execute(select(agent_status).order_by(agent_status.c.agent_id))]


def write_statuses(connection: Connection, chosen: Iterable[ChosenStatus]) -> None:
    """Keep these, each in the place of what the agent chose before; the caller commits."""
    newest = {item.agent_id: item for item in chosen}
    for item in newest.values():
        connection.execute(delete(agent_status).where(agent_status.c.agent_id == item.agent_id))
    if newest:
        rows = [
            {"agent_id": item.agent_id, "status": item.status, "reason": item.reason, "since_ns": item.since_ns}
            for item in newest.values()
        ]
        connection.execute(insert(agent_status), rows)
