"""A few columns of many calls, read as they are consumed: for those who go through a month of them."""

from collections.abc import Iterator

import orjson
from sqlalchemy import Connection, case, select

from accounting.carrier import caller_digits
from accounting.figures import CountedCall
from accounting.journal import Segment
from accounting.reconcile import Instant, OurCall
from accounting.tables import calls

_BATCH = 2000


def read_our_calls(
    connection: Connection, since_ns: int, until_ns: int, *, origin: str = "", order: Instant | None = None
) -> Iterator[OurCall]:
    """Calls of one trunk (``origin`` "trunk:NAME"; of all trunks if empty) that started in this time.

    ``order`` sorts them as :func:`accounting.reconcile.pair` wants them: by number, then by that instant.
    """
    taken = case((calls.c.accepted_at_ns > 0, calls.c.accepted_at_ns), else_=calls.c.answered_at_ns)
    query = select(
        calls.c.call_id, calls.c.contract, calls.c.tariff, calls.c.target_number, calls.c.caller,
        calls.c.started_at_ns, taken, calls.c.answered_at_ns, calls.c.ended_at_ns, calls.c.segments, calls.c.billable,
    ).where(calls.c.started_at_ns >= since_ns, calls.c.started_at_ns < until_ns)  # fmt: skip
    query = query.where(calls.c.origin == origin) if origin else query.where(calls.c.origin.like("trunk:%"))
    if order is not None:
        # by code points, as Python compares: a database in German would not
        number = calls.c.target_number.collate("BINARY" if connection.dialect.name == "sqlite" else "C")
        began = calls.c.started_at_ns if order == "started" else case((taken > 0, taken), else_=calls.c.started_at_ns)
        query = query.order_by(number, began)
    for row in connection.execute(query, execution_options={"yield_per": _BATCH}):
        call_id, contract, tariff, called, caller, started, connected, answered, ended, segments, billable = row
        yield OurCall(
            call_id, contract, tariff, called, caller_digits(caller), started, connected, answered,
            ended - connected if connected else 0, tuple(Segment(*part) for part in orjson.loads(segments)), billable,
        )  # fmt: skip


def read_counted_calls(
    connection: Connection, since_ns: int, until_ns: int, *, contract: str = ""
) -> Iterator[CountedCall]:
    """Calls from outside (of all contracts, or one) that started in this time, in no order."""
    query = select(
        calls.c.contract, calls.c.result, calls.c.recovered, calls.c.started_at_ns, calls.c.answered_at_ns,
        calls.c.ended_at_ns, calls.c.segments,
    ).where(
        calls.c.started_at_ns >= since_ns, calls.c.started_at_ns < until_ns, calls.c.origin.like("trunk:%")
    )  # fmt: skip
    if contract:
        query = query.where(calls.c.contract == contract)
    for row in connection.execute(query, execution_options={"yield_per": _BATCH}):
        of, result, recovered, started, answered, ended, segments = row
        parts = () if segments == "[]" else tuple(Segment(*part) for part in orjson.loads(segments))
        yield CountedCall(of, result, recovered, started, answered, ended, parts)
