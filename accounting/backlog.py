"""Groups of records on their way from the spool to the database, in order: the last ones in memory, too."""

import threading
from collections import deque
from typing import NamedTuple

from accounting.journal import Item
from accounting.spool import Spool, SpoolError


class Group(NamedTuple):
    """What one write to the spool took: its number there (0: it is not there) and when its first record came."""

    number: int
    at: float
    items: list[Item]


class Backlog:
    """Between two threads: one puts groups in, the other takes them out, and says what became of them.

    Up to ``in_memory`` records are kept; those beyond are read back from the spool. The order is kept whatever
    fails, in the spool too: a run's journal goes by it.
    """

    def __init__(self, spool: Spool, in_memory: int = 20_000) -> None:
        self._spool = spool
        self._limit = in_memory
        self._lock = threading.Lock()
        self._groups: deque[Group] = deque()
        self._taken = 0
        #: True if there are groups that are not in the spool, and if some of them are in the taker's hands
        self._bare = False
        self._bare_taken = False
        self._delivered = 0
        self._forgotten = 0
        self._records_in = 0
        self._records_out = 0
        #: records in memory
        self.records = 0
        #: True while there are groups in the spool that are not in memory
        self.reading_back = False

    @property
    def spooled(self) -> int:
        """Records in the spool that the database does not have."""
        return self._records_in - self._records_out

    @property
    def oldest_at(self) -> float | None:
        """When the oldest record that nobody took came: minus infinity if that was long ago, None if there is none."""
        try:
            return self._groups[0].at
        except IndexError:
            return float("-inf") if self.reading_back else None

    # -- in ----------------------------------------------------------------------------------------------

    def spool(self, items: list[Item], at: float) -> None:
        """Write a group to the spool and add it. Raises SpoolError, and adds nothing then."""
        if self._bare:
            self._dress()
        # Without the lock: a disk that hangs must keep nobody from taking what is in memory.
        delivered = self._delivered
        number = self._spool.append(items, delivered if delivered > self._forgotten else 0)
        self._forgotten = delivered
        with self._lock:
            self._records_in += len(items)
            if number <= self._taken:
                return  # it was read back in this very moment
            if self.reading_back or self.records >= self._limit:
                self.reading_back = True
            else:
                self._add(Group(number, at, items))

    def _dress(self) -> None:
        """The spool works again: first of all it gets what went past it and was not delivered."""
        with self._lock:
            if self._bare_taken:
                raise SpoolError("records that went past the spool are being delivered")
            for index, group in enumerate(self._groups):
                if not group.number:
                    self._groups[index] = group._replace(number=self._spool.append(group.items))
                    self._records_in += len(group.items)
            self._bare = False

    def pass_by(self, items: list[Item], at: float) -> bool:
        """Add a group that the spool did not take. False if it would overtake groups that are in the spool alone."""
        with self._lock:
            if self.reading_back:
                return False
            self._bare = True
            self._add(Group(0, at, items))
            return True

    def _add(self, group: Group) -> None:
        self._groups.append(group)
        self.records += len(group.items)

    # -- out ---------------------------------------------------------------------------------------------

    def take(self, records: int) -> list[Group]:
        """The next groups, some ``records`` in all. Raises ``sqlite3.DatabaseError`` if the spool is damaged."""
        taken: list[Group] = []
        with self._lock:
            while self._groups and records > 0:
                group = self._groups.popleft()
                taken.append(group)
                records -= len(group.items)
                self.records -= len(group.items)
                self._bare_taken = self._bare_taken or not group.number
            if not taken and self.reading_back:
                found = self._spool.read(self._taken, records)
                taken = [Group(number, float("-inf"), items) for number, items in found]
                self.reading_back = bool(taken)
            self._taken = max([self._taken, *(group.number for group in taken)])
        return taken

    def delivered(self, groups: list[Group]) -> None:
        """The database has them."""
        with self._lock:
            self._bare_taken = False
            for group in groups:
                if group.number:
                    self._delivered = group.number
                    self._records_out += len(group.items)

    def give_back(self, groups: list[Group]) -> None:
        """The database does not take them: they are the next again."""
        with self._lock:
            self._bare_taken = False
            self._groups.extendleft(reversed(groups))
            self.records += sum(len(group.items) for group in groups)

    def tidy(self) -> None:
        """Let the spool forget what is delivered; :meth:`spool` does it by the way. Raises SpoolError."""
        delivered = self._delivered
        if delivered > self._forgotten:
            self._spool.forget(delivered)
            self._forgotten = delivered
