"""Where lines of our own and their forwarding last; beside the other business data, see :mod:`routing.store`.

The lines come from an import. What they are forwarded to comes from their phones and from ``b2bua lines``, and outlives
imports, unless the line is gone.
"""

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Integer,
    Row,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
)
from sqlalchemy import update as update_rows

from routing.contract import Endpoint
from routing.lines import Line, LineForwarding
from routing.tables import metadata

lines = Table(
    "lines",
    metadata,
    Column("number", String(16), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("username", String(64), nullable=False, unique=True),
    Column("realm", Text, nullable=False),
    Column("ha1_md5", String(32), nullable=False),
    Column("ha1_sha256", String(64), nullable=False),
    Column("algorithms", String(32), nullable=False),
    Column("language", String(64), nullable=False),
    Column("no_answer_seconds", Integer, nullable=False),
    # JSON: lists of numbers and beginnings of numbers
    Column("may_forward_to", Text, nullable=False),
    Column("may_call", Text, nullable=False),
)

#: An empty number is a forwarding that was forgotten: rows stay, so that whoever looks for changes finds this one too.
line_forwardings = Table(
    "line_forwardings",
    metadata,
    Column("line", String(16), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("number", String(32), nullable=False),
    Column("seconds", Integer, nullable=False),
    Column("active", Boolean, nullable=False),
    # nanoseconds of the wall clock
    Column("changed_at_ns", BigInteger, nullable=False, index=True),
)


def replace_lines(connection: Connection, present: Iterable[Line]) -> None:
    """Make these the lines; the forwardings of others are forgotten."""
    rows = [_row(position, line) for position, line in enumerate(present)]
    connection.execute(delete(lines))
    if rows:
        connection.execute(insert(lines), rows)
    numbers = [row["number"] for row in rows]
    connection.execute(delete(line_forwardings).where(line_forwardings.c.line.not_in(numbers)))


def _row(position: int, line: Line) -> dict[str, object]:
    endpoint = line.endpoint
    return {
        "number": line.number,
        "position": position,
        "name": line.name,
        "username": endpoint.username,
        "realm": endpoint.realm,
        "ha1_md5": endpoint.ha1_md5,
        "ha1_sha256": endpoint.ha1_sha256,
        "algorithms": ",".join(endpoint.algorithms),
        "language": line.language,
        "no_answer_seconds": line.no_answer_seconds,
        "may_forward_to": json.dumps(line.may_forward_to),
        "may_call": json.dumps(line.may_call),
    }


def load_lines(connection: Connection) -> tuple[Line, ...]:
    """All lines, in the order of the file."""
    return tuple(_line(row) for row in connection.execute(select(lines).order_by(lines.c.position)))


def _line(row: Row[Any]) -> Line:
    algorithms = tuple(row.algorithms.split(","))
    endpoint = Endpoint("", row.username, "", row.realm, row.ha1_md5, row.ha1_sha256, algorithms)
    may_forward_to, may_call = tuple(json.loads(row.may_forward_to)), tuple(json.loads(row.may_call))
    return Line(row.number, row.name, endpoint, row.no_answer_seconds, row.language, may_forward_to, may_call)


def write_forwardings(connection: Connection, changed: Iterable[LineForwarding], wall_ns: int) -> None:
    """Write these down, the later of the same line and kind over the earlier."""
    for item in changed:
        values = {
            "number": item.number, "seconds": item.seconds, "active": item.active, "changed_at_ns": wall_ns,
        }  # fmt: skip
        mine = (line_forwardings.c.line == item.line) & (line_forwardings.c.kind == item.kind)
        if not connection.execute(update_rows(line_forwardings).where(mine).values(values)).rowcount:
            connection.execute(insert(line_forwardings).values(line=item.line, kind=item.kind, **values))


def load_forwardings(connection: Connection, since_ns: int = 0) -> tuple[list[LineForwarding], int]:
    """What was changed at ``since_ns`` (wall clock) or later, the oldest first, and when the last one was."""
    changed = line_forwardings.c.changed_at_ns
    rows = connection.execute(select(line_forwardings).where(changed >= since_ns).order_by(changed)).all()
    found = [LineForwarding(row.line, row.kind, row.number, row.seconds, row.active) for row in rows]
    return found, rows[-1].changed_at_ns if rows else since_ns
