"""The rows that follow from the journal: calls, open calls, and where declarations are."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import orjson
from sqlalchemy import Connection, Table, delete, select, update

from accounting.chain import canonical
from accounting.content import storable
from accounting.journal import CallEnded, Declaration, Item, Segment
from accounting.records import CallRecord
from accounting.tables import calls, declarations, open_calls


class Derivation:
    """Collects what records mean for the derived tables, and writes it in few statements."""

    def __init__(self) -> None:
        self._opened: dict[str, tuple[object, ...]] = {}
        self._ended: list[tuple[object, ...]] = []
        self._closed: list[str] = []
        self._declared: list[tuple[object, ...]] = []
        self._corrections: list[Declaration] = []

    def take(self, position: int, item: Item, *, forgotten: bool = False) -> None:
        """One record, in the order of the chain. ``forgotten``: its numbers were deleted by age."""
        if isinstance(item, CallEnded):
            self._ended.append(_call_row(item, forgotten))
            if self._opened.pop(item.call_id, None) is None and item.answered_ns:
                self._closed.append(item.call_id)
        elif isinstance(item, Declaration):
            self._declared.append((position, item.kind, item.subject))
            if item.kind == "correction":
                self._corrections.append(item)
        elif item.kind == "connected":
            self._opened.setdefault(item.call_id, (item.call_id, item.run, item.sequence))

    def write(self, connection: Connection) -> None:
        """Write what was collected, and forget it; the caller commits."""
        execute = connection.exec_driver_sql
        # A call that recovery has closed already stays as it is.
        if self._ended:
            execute(insertion(calls, connection) + " ON CONFLICT DO NOTHING", self._ended)
        if self._closed:
            connection.execute(delete(open_calls).where(open_calls.c.call_id.in_(self._closed)))
        if self._opened:
            execute(insertion(open_calls, connection) + " ON CONFLICT DO NOTHING", list(self._opened.values()))
        if self._declared:
            execute(insertion(declarations, connection), self._declared)
        for correction in self._corrections:
            _correct(connection, correction)
        for collected in (self._opened, self._ended, self._closed, self._declared, self._corrections):
            collected.clear()


def insertion(table: Table, connection: Connection) -> str:
    """Literal SQL: compiling and binding an ``insert()`` would cost more than the database does."""
    return _insertion(table, connection.dialect.paramstyle)


@cache
def _insertion(table: Table, paramstyle: str) -> str:
    names = ", ".join(column.name for column in table.columns)
    values = ", ".join("?" if paramstyle == "qmark" else "%s" for _ in table.columns)
    return f"INSERT INTO {table.name} ({names}) VALUES ({values})"


def _call_row(call: CallEnded, forgotten: bool) -> tuple[object, ...]:
    """In the order of the table's columns."""
    anchor = call.wall_anchor_ns
    return (
        call.call_id,
        call.run,
        storable(call.origin),
        call.contract,
        call.tariff,
        call.agent,
        storable(call.dialled),
        storable(call.target_number),
        storable(call.caller),
        storable(call.forwarded_from),
        call.forwarding_kind,
        call.result,
        call.end_reason,
        call.status,
        call.billable,
        call.recovered,
        False,
        forgotten,
        anchor + call.started_ns if call.started_ns else 0,
        anchor + call.rang_ns if call.rang_ns else 0,
        anchor + call.accepted_ns if call.accepted_ns else 0,
        anchor + call.answered_ns if call.answered_ns else 0,
        anchor + call.ended_ns if call.ended_ns else 0,
        call.talked_ns,
        canonical(
            [[part.agent, part.activity, anchor + part.start_ns, anchor + part.end_ns] for part in call.segments]
        ),
        canonical({leg: dict(figures) for leg, figures in call.media.items()}),
    )


def call_record(row: Sequence[Any]) -> CallRecord:
    """A row of the calls table: all its columns, in their order, which is that of the record's fields."""
    *plain, segments, media = row
    # most calls reached nobody or have nothing measured: two characters need no parser
    parts = () if segments == "[]" else tuple([Segment(*part) for part in orjson.loads(segments)])
    return _RECORD(*plain, parts, {} if media == "{}" else orjson.loads(media))


_RECORD: Callable[..., CallRecord] = CallRecord


def _correct(connection: Connection, correction: Declaration) -> None:
    """Apply a correction to the call's row: ``talked_ns`` with its segments, or ``billable``."""
    mine = calls.c.call_id == correction.subject
    found = connection.execute(select(calls).where(mine)).first()
    if found is None:
        return
    changes: dict[str, object] = {"corrected": True}
    content = correction.content
    if "billable" in content:
        changes["billable"] = content["billable"]
    talked_ns = content.get("talked_ns")
    if isinstance(talked_ns, int):
        begin = found.answered_at_ns
        changes["talked_ns"] = talked_ns
        changes["segments"] = canonical([[found.agent, "talk", begin, begin + talked_ns]])
    connection.execute(update(calls).where(mine).values(changes))
