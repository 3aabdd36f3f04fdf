"""What is remembered of a call that is over, as it is read back from the store."""

from collections.abc import Mapping
from dataclasses import dataclass

from accounting.journal import Segment


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One row of the calls table. ``*_at_ns`` are wall clock nanoseconds since 1970 (UTC), 0 = never.

    ``talked_ns`` is the connected time, exact and unrounded: rating rounds, once; ``segments`` are its parts, wall
    clock too. ``recovered`` says that the process died before it could write the row and the journal was used
    instead, ``corrected`` that the back office changed it afterwards, ``forgotten`` that the numbers of caller and
    forwarding line were deleted by age. The other fields are those of :class:`accounting.journal.CallEnded`.
    """

    call_id: str
    run: str
    origin: str
    contract: str
    tariff: str
    agent: str
    dialled: str
    target_number: str
    caller: str
    forwarded_from: str
    forwarding_kind: str
    result: str
    end_reason: str
    status: int
    billable: bool
    recovered: bool
    corrected: bool
    forgotten: bool
    started_at_ns: int
    rang_at_ns: int
    accepted_at_ns: int
    answered_at_ns: int
    ended_at_ns: int
    talked_ns: int
    segments: tuple[Segment, ...]
    media: Mapping[str, Mapping[str, object]]
