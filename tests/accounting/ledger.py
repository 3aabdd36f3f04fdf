"""A ledger with a clock by hand, and values to fill it with."""

from collections.abc import Callable, Mapping

from accounting.journal import NO_FACTS, Activity, CallEnded, Facts, Item, JournalEntry, Ledger

SECOND = 1_000_000_000
#: 2025-07-01 00:00:00 in Berlin: where the monotonic clock of these tests begins.
ANCHOR = 1_751_320_800 * SECOND


def call_ended(
    call_id: str = "call-1",
    *,
    contract: str = "c-1",
    tariff: str = "standard",
    agent: str = "anna",
    caller: str = "+4930123456",
    result: str = "answered",
    billable: bool = True,
    started: float = 1.0,
    answered: float = 5.0,
    ended: float = 65.2,
    media: Mapping[str, Mapping[str, object]] | None = None,
) -> CallEnded:
    """An ended call; times are seconds of the monotonic clock."""
    return CallEnded(
        call_id=call_id,
        origin="trunk:carrier",
        contract=contract,
        tariff=tariff,
        agent=agent,
        dialled="+493055500",
        target_number="+493055500",
        caller=caller,
        forwarded_from="+498912345",
        forwarding_kind="no_answer",
        result=result,
        end_reason="caller_hung_up",
        status=200 if result == "answered" else 480,
        billable=billable,
        started_ns=_ns(started),
        rang_ns=0,
        answered_ns=_ns(answered) if result == "answered" else 0,
        ended_ns=_ns(ended),
        media=media or {},
    )


class HandLedger:
    """A ledger that writes into ``items``, or to ``append``; times are seconds."""

    def __init__(
        self, run: str = "run-1", anchor: int = ANCHOR, *, append: Callable[[Item], None] | None = None
    ) -> None:
        self.items: list[Item] = []
        self.ledger = Ledger(self.items.append if append is None else append, anchor, run)

    @property
    def entries(self) -> list[JournalEntry]:
        return [item for item in self.items if isinstance(item, JournalEntry)]

    @property
    def calls(self) -> list[CallEnded]:
        return [item for item in self.items if isinstance(item, CallEnded)]

    def connected(
        self, at: float, call_id: str = "call-1", *, agent: str = "anna", billable: bool = True, facts: Facts = NO_FACTS
    ) -> None:
        self.ledger.connected(
            call_id=call_id, contract="c-1", tariff="standard", agent=agent, billable=billable, at_ns=_ns(at),
            facts=facts,
        )  # fmt: skip

    def turned(self, at: float, call_id: str = "call-1", *, agent: str = "anna", activity: Activity) -> None:
        self.ledger.turned(call_id=call_id, agent=agent, activity=activity, at_ns=_ns(at))

    def hung_up(self, at: float, call_id: str = "call-1") -> None:
        self.ledger.hung_up(call_id=call_id, at_ns=_ns(at), side="caller_hung_up")

    def heartbeat(self, at: float) -> None:
        self.ledger.heartbeat(_ns(at))

    def ended(self, call: CallEnded) -> None:
        self.ledger.ended(call)


def _ns(seconds: float) -> int:
    return round(seconds * SECOND)
