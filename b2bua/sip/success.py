"""A 2xx to an INVITE, repeated until its ACK comes (RFC 3261 section 13.3.1.4)."""

from collections.abc import Callable

from b2bua.sip.message import Response
from b2bua.sip.server_transaction import ServerTransaction
from b2bua.sip.timers import Timer, TimerHeap, TimerSettings


class UnacknowledgedSuccess:
    """Repeats one 2xx after T1, doubling to T2, over every transport; gives up after 64*T1.

    The transaction layer cannot do this: end to end, only the ACK, a transaction of its own, says
    that the 2xx arrived.
    """

    __slots__ = ("_deadline", "_interval", "_lost", "_response", "_settings", "_timer", "_timers", "_transaction")

    def __init__(
        self,
        transaction: ServerTransaction,
        response: Response,
        timers: TimerHeap,
        settings: TimerSettings,
        lost: Callable[[float], None],
        now: float,
    ) -> None:
        self._transaction: ServerTransaction | None = transaction
        self._response: Response | None = response
        self._timers = timers
        self._settings = settings
        self._lost: Callable[[float], None] | None = lost
        self._interval = settings.t1
        self._deadline = now + 64 * settings.t1
        self._timer: Timer = timers.start(now + self._interval, self._repeat)
        transaction.respond(response, now)

    def acknowledged(self) -> None:
        """Stop: the ACK came, or nobody waits for it any more."""
        self._timer.cancel()
        self._transaction = self._response = self._lost = None

    def _repeat(self, now: float) -> None:
        if self._transaction is None or self._response is None or self._lost is None:
            return
        if now >= self._deadline:
            lost = self._lost
            self.acknowledged()
            lost(now)
            return
        self._transaction.respond(self._response, now)
        self._interval = min(2 * self._interval, self._settings.t2)
        self._timer = self._timers.start(min(now + self._interval, self._deadline), self._repeat)
