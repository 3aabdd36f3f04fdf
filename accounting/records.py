"""What is remembered of a call that is over, as it is read back from the store."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One row of the calls table. ``*_at_ns`` are wall clock nanoseconds since 1970 (UTC), 0 = never.

    ``talked_ns`` is the connected time, exact and unrounded: rating rounds, once. ``recovered`` says that the
    process died before it could write the row and the journal was used instead. The other fields are those of
    :class:`accounting.journal.CallEnded`.
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
    started_at_ns: int
    rang_at_ns: int
    answered_at_ns: int
    ended_at_ns: int
    talked_ns: int
    media: Mapping[str, Mapping[str, object]]
