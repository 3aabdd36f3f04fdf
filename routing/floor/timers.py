"""The floor's timers: one heap; a stopped timer's entry dies where it lies."""

import heapq
from enum import Enum
from typing import Generic, TypeVar

Subject = TypeVar("Subject")


class Timer(Enum):
    """What is due."""

    RING = "an offer has rung long enough"
    PATIENCE = "the caller has waited long enough in the step"
    WIDENING = "a lower level will do"
    LONGEST_WAIT = "the caller has waited long enough in all"
    PAUSE = "the agent may be offered again"
    WRAP_UP = "the after-call work is over"
    GRACE = "nobody of the agents came back within reach"
    POSITIONS = "waiting callers are told where they stand"

    __hash__ = object.__hash__


class Timers(Generic[Subject]):
    """Timers by number; numbers are never 0 and never used twice. Times in the floor's seconds."""

    __slots__ = ("_heap", "_number", "_running")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int]] = []
        self._running: dict[int, tuple[float, Timer, Subject]] = {}
        self._number = 0

    def __len__(self) -> int:
        return len(self._running)

    def start(self, when: float, what: Timer, subject: Subject) -> int:
        """Begin one; the number stops it."""
        self._number = number = self._number + 1
        self._running[number] = (when, what, subject)
        heapq.heappush(self._heap, (when, number))
        if len(self._heap) > 2 * len(self._running) + 64:
            # mostly those of callers who were answered long before
            self._heap = [(when, number) for number, (when, _, _) in self._running.items()]
            heapq.heapify(self._heap)
        return number

    def reserve(self, numbers: int) -> None:
        """Keep the first so many numbers for those that are resumed."""
        self._number = numbers

    def resume(self, number: int, when: float, what: Timer, subject: Subject) -> None:
        """Go on with one that ran elsewhere."""
        self._running[number] = (when, what, subject)
        heapq.heappush(self._heap, (when, number))

    def stop(self, number: int) -> None:
        """End one before its time; 0 and those that ended already are none."""
        self._running.pop(number, None)

    def running(self) -> list[tuple[float, Timer, Subject]]:
        """All, in the order in which they are due."""
        return [entry for _, entry in sorted(self._running.items(), key=lambda item: (item[1][0], item[0]))]

    def next(self) -> float | None:
        """When the first is due."""
        heap = self._heap
        while heap:
            if heap[0][1] in self._running:
                return heap[0][0]
            heapq.heappop(heap)
        return None

    def pop_due(self, now: float) -> tuple[Timer, Subject] | None:
        """The first that is due, which is over by that; None if none is."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            found = self._running.pop(heapq.heappop(heap)[1], None)
            if found is not None:
                return found[1], found[2]
        return None
