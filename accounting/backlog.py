"""Groups of records on their way from the spool to the database, in order: the last ones in memory, too."""

import threading
from collections import deque
from typing import NamedTuple

from accounting.journal import Item
from accounting.spool import Spool


class Group(NamedTuple):
    """What one write to the spool took: its number there (0: it is not there) and when its first record came."""

    number: int
    at: float
    items: list[Item]


class Backlog:
    """Between two threads. Up to ``in_memory`` records are kept; those beyond are read back from the spool."""

    def __init__(self, spool: Spool, in_memory: int = 20_000) -> None:
        self._spool = spool
        self._limit = in_memory
        self._lock = threading.Lock()
        self._groups: deque[Group] = deque()
        self._taken = 0
        self.records = 0
        #: True while there are groups in the spool that are not in memory; then only spooled ones may be added
        self.reading_back = False

    def spool(self, items: list[Item], at: float, delivered: int) -> None:
        """Write a group to the spool and add it. Raises SpoolError, and adds nothing then."""
        # Without the lock: a disk that hangs must keep nobody from asking how things are.
        number = self._spool.append(items, delivered)
        with self._lock:
            if number <= self._taken:
                return  # it was read back in this very moment
            if self.reading_back or self.records >= self._limit:
                self.reading_back = True
            else:
                self._add(Group(number, at, items))

    def pass_by(self, items: list[Item], at: float) -> None:
        """Add a group that the spool did not take."""
        with self._lock:
            assert not self.reading_back, "it would overtake those in the spool"
            self._add(Group(0, at, items))

    def _add(self, group: Group) -> None:
        self._groups.append(group)
        self.records += len(group.items)

    def oldest_at(self) -> float | None:
        """When the oldest record that nobody took came: minus infinity if that was long ago, None if there is none."""
        with self._lock:
            if self._groups:
                return self._groups[0].at
            return float("-inf") if self.reading_back else None

    def take(self, records: int) -> list[Group]:
        """The next groups, some ``records`` in all. Raises ``sqlite3.DatabaseError`` if the spool is damaged."""
        taken: list[Group] = []
        with self._lock:
            while self._groups and records > 0:
                group = self._groups.popleft()
                taken.append(group)
                records -= len(group.items)
                self.records -= len(group.items)
            if not taken and self.reading_back:
                found = self._spool.read(self._taken, records)
                taken = [Group(number, float("-inf"), items) for number, items in found]
                self.reading_back = bool(taken)
            if taken:
                self._taken = max(self._taken, taken[-1].number)
        return taken
