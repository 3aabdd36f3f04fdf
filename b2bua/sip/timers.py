"""Timers on a clock that the caller holds: one heap for every timer of an endpoint."""

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

#: A heap this small is not worth compacting.
_COMPACT_FROM = 64


@dataclass(frozen=True, slots=True)
class TimerSettings:
    """The base values of RFC 3261 section 17, in seconds; every other duration follows from them.

    ``t1`` estimates the round trip, ``t2`` bounds the interval of retransmissions of non-INVITE requests
    and INVITE responses, ``t4`` is how long a message may stay in the network.
    """

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.t1 <= self.t2 or self.t4 <= 0:
            raise ValueError("timers need 0 < t1 <= t2 and 0 < t4")

    @property
    def timeout(self) -> float:
        """64*T1: timers B, F, H, J, L and M."""
        return 64 * self.t1

    @property
    def timer_d(self) -> float:
        """How long a client absorbs repeated INVITE refusals over an unreliable transport.

        RFC 3261 17.1.1.2: the server's T1 is unknown, so never less than 32 s.
        """
        return max(32.0, 64 * self.t1)

    @property
    def trying_after(self) -> float:
        """When a slow non-INVITE request gets its 100: once timer E is reset to T2 (RFC 4320 section 4.1)."""
        elapsed = 0.0
        interval = self.t1
        while interval < self.t2:
            elapsed += interval
            interval = min(2 * interval, self.t2)
        return elapsed


class Timer:
    """One pending action. Reusing it is not possible: start another."""

    __slots__ = ("_action", "_heap")

    def __init__(self, heap: "TimerHeap", action: Callable[[float], None]) -> None:
        self._heap = heap
        self._action: Callable[[float], None] | None = action

    @property
    def active(self) -> bool:
        """True until it fires or is cancelled."""
        return self._action is not None

    def cancel(self) -> None:
        """Drop the action at once; harmless when the timer has fired or was cancelled."""
        if self._action is not None:
            self._action = None
            self._heap.entry_died()


class TimerHeap:
    """Timers ordered by time, and by age where times are equal.

    A cancelled timer stays in the heap as an empty entry until its time comes, or until empty entries
    are the majority and are swept: cancelling costs nothing but a store.
    """

    __slots__ = ("_dead", "_entries", "_sequence")

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Timer]] = []
        self._sequence = 0
        self._dead = 0

    def __len__(self) -> int:
        """Timers that will still fire."""
        return len(self._entries) - self._dead

    def start(self, when: float, action: Callable[[float], None]) -> Timer:
        """Call ``action(now)`` once ``run`` sees the monotonic second ``when``."""
        timer = Timer(self, action)
        self._sequence = sequence = self._sequence + 1
        heappush(self._entries, (when, sequence, timer))
        return timer

    def next_deadline(self) -> float | None:
        """The monotonic second at which ``run`` has something to do, None when nothing is pending."""
        entries = self._entries
        while entries:
            when, _, timer = entries[0]
            if timer._action is not None:
                return when
            heappop(entries)
            self._dead -= 1
        return None

    def run(self, now: float) -> None:
        """Fire what is due, in order.

        A timer started meanwhile waits for the next ``run`` even if it is due already: a timer that
        restarts itself without a delay cannot hold up the process.
        """
        entries = self._entries
        newest = self._sequence
        while entries:
            when, sequence, timer = entries[0]
            if when > now:
                return
            action = timer._action
            if action is not None and sequence > newest:
                return
            heappop(entries)
            if action is None:
                self._dead -= 1
            else:
                timer._action = None
                action(now)

    def entry_died(self) -> None:
        """A timer was cancelled: sweep when empty entries are the majority."""
        self._dead = dead = self._dead + 1
        if dead > _COMPACT_FROM and 2 * dead > len(self._entries):
            # in place: ``run`` may be iterating
            self._entries[:] = [entry for entry in self._entries if entry[2]._action is not None]
            heapify(self._entries)
            self._dead = 0
