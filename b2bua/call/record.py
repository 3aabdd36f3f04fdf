"""What the ledger is told of a call that is over."""

from typing import TYPE_CHECKING

from accounting.journal import CallEnded
from media.engine import LegStatistics

if TYPE_CHECKING:
    from b2bua.call.call import Call


def call_ended(call: "Call", statistics: dict[str, LegStatistics]) -> CallEnded:
    """A call in plain values; times stay nanoseconds of the monotonic clock."""
    summary = call.summary
    forwarding = summary.forwarding
    return CallEnded(
        call_id=call.id,
        origin=summary.origin,
        contract=call.contract.id,
        tariff=call.contract.tariff,
        agent=summary.agent,
        dialled=summary.dialled,
        target_number=summary.target_number,
        caller="" if summary.caller.anonymous else summary.caller.user,
        forwarded_from=forwarding.line if forwarding is not None else "",
        forwarding_kind=forwarding.kind if forwarding is not None else "",
        result=summary.result,
        end_reason=summary.end_reason,
        status=summary.status,
        billable=summary.billable,
        started_ns=summary.started_at,
        rang_ns=summary.rang_at,
        answered_ns=summary.answered_at,
        ended_ns=summary.ended_at,
        media={leg: plain(figures) for leg, figures in statistics.items()},
        accepted_ns=summary.accepted_at,
    )


def known_facts(call: "Call") -> dict[str, str | int]:
    """What is known when the interval opens: all that a statement has if this process dies during the call."""
    summary = call.summary
    forwarding = summary.forwarding
    return {
        "origin": summary.origin,
        "dialled": summary.dialled,
        "target_number": summary.target_number,
        "caller": "" if summary.caller.anonymous else summary.caller.user,
        "forwarded_from": forwarding.line if forwarding is not None else "",
        "forwarding_kind": forwarding.kind if forwarding is not None else "",
        "started_ns": summary.started_at,
        "rang_ns": summary.rang_at,
        "accepted_ns": summary.accepted_at,
    }


def plain(figures: LegStatistics) -> dict[str, object]:
    """One leg's statistics for the record: no addresses, which belong to nobody's bill."""
    return {
        "codec": figures.codec,
        "packets_received": figures.packets_received,
        "packets_sent": figures.packets_sent,
        "octets_received": figures.octets_received,
        "octets_sent": figures.octets_sent,
        "lost": figures.lost,
        "jitter_ms": round(figures.jitter_ms, 2),
        "mos": None if figures.mos is None else round(figures.mos, 2),
    }
