"""After a crash, and whenever somebody doubts: what the journal says is made so.

Everything but the journal is derived. :func:`recover` closes the calls that a dead process left open;
:func:`rebuild` makes the derived tables anew.
"""

from collections.abc import Callable, Collection, Sequence

from sqlalchemy import Connection, delete, func, select

from accounting.content import is_forgotten, read_item
from accounting.derived import Derivation
from accounting.interval import ConnectedInterval, connected_intervals
from accounting.journal import CallEnded, Facts, total_ns
from accounting.store import last_sequence, lock_chain, read_journal, read_records, write_batch
from accounting.tables import calls, declarations, open_calls

_REBUILD_BATCH = 1000


def recover(connection: Connection, living: Collection[str] = ()) -> list[CallEnded]:
    """Close the calls that were connected when an earlier run died; the caller commits.

    Called at the start, before this process writes. Each such call is billed to the last instant its journal
    proves, and its record, which completes the dead run's journal, says ``recovered``. ``living`` names runs that
    go on, of other nodes on this database. Returns the calls written, none when called again.
    """
    by_run = select(open_calls.c.run, func.min(open_calls.c.sequence)).group_by(open_calls.c.run)
    recovered: list[CallEnded] = []
    for run, first in connection.execute(by_run).all():
        if run in living:
            continue
        wanted = select(open_calls.c.call_id).where(open_calls.c.run == run)
        call_ids = set(connection.execute(wanted).scalars())
        by_call: dict[str, list[ConnectedInterval]] = {}
        for interval in connected_intervals(read_journal(connection, run=run, from_sequence=first)):
            if interval.call_id in call_ids:
                by_call.setdefault(interval.call_id, []).append(interval)
        last = last_sequence(connection, run)
        recovered += [
            recovered_call(intervals, last + number) for number, intervals in enumerate(by_call.values(), start=1)
        ]
    write_batch(connection, recovered)
    return recovered


def recovered_call(intervals: Sequence[ConnectedInterval], sequence: int) -> CallEnded:
    """The record of a call whose process died, made from its connected intervals."""
    first, last = intervals[0], intervals[-1]
    facts = first.facts
    segments = tuple(segment for interval in intervals for segment in interval.segments)
    return CallEnded(
        call_id=first.call_id,
        origin=_text(facts, "origin"),
        contract=first.contract,
        tariff=first.tariff,
        agent=segments[-1].agent or last.agent,
        dialled=_text(facts, "dialled"),
        target_number=_text(facts, "target_number"),
        caller=_text(facts, "caller"),
        forwarded_from=_text(facts, "forwarded_from"),
        forwarding_kind=_text(facts, "forwarding_kind"),
        result="answered",
        end_reason=last.side or "recovered",
        status=200,
        billable=first.billable,
        started_ns=_instant(facts, "started_ns") or first.connected_ns,
        rang_ns=_instant(facts, "rang_ns"),
        answered_ns=first.connected_ns,
        ended_ns=last.hung_up_ns,
        accepted_ns=_instant(facts, "accepted_ns"),
        run=first.run,
        sequence=sequence,
        wall_anchor_ns=first.wall_anchor_ns,
        talked_ns=total_ns(segments),
        segments=segments,
        recovered=True,
    )


def _text(facts: Facts, name: str) -> str:
    value = facts.get(name, "")
    return value if isinstance(value, str) else str(value)


def _instant(facts: Facts, name: str) -> int:
    value = facts.get(name, 0)
    return value if isinstance(value, int) else 0


def rebuild(connection: Connection, progress: Callable[[int], None] = lambda position: None) -> int:
    """Make the derived tables anew from the journal; the caller commits. Returns how many records were read.

    The chain is held meanwhile: a server that runs beside it keeps its records and writes them afterwards.
    ``progress(position)`` is called every so often.
    """
    lock_chain(connection)
    for table in (calls, open_calls, declarations):
        connection.execute(delete(table))
    derived = Derivation()
    position = 0
    for record in read_records(connection):
        position = record.position
        item = read_item(record)
        derived.take(position, item, forgotten=is_forgotten(record))
        if position % _REBUILD_BATCH == 0:
            derived.write(connection)
            progress(position)
    derived.write(connection)
    progress(position)
    return position
