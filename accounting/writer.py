"""Writes the journal off the event loop: one thread, one transaction for all that came in the meantime."""

import threading
from collections import deque
from collections.abc import Callable

from sqlalchemy import Engine, exc

from accounting.journal import Item
from accounting.store import write_batch

#: Most items of one transaction: bounds how long other writers of the database wait.
MAX_BATCH = 1000

_FIRST_RETRY_SECONDS = 0.1
_LONGEST_RETRY_SECONDS = 5.0

# The database, its schema or the way there is at fault: the same items will do later. Anything else is taken
# for a fault of one item.
_UNAVAILABLE = (
    exc.OperationalError,
    exc.InterfaceError,
    exc.InternalError,
    exc.ProgrammingError,
    exc.DisconnectionError,
    exc.TimeoutError,
    OSError,
)


class JournalWriter:
    """Takes journal entries and ended calls from the event loop and commits them in groups, in order.

    ``append`` is a comparison and a deque append; a crash of the process loses what came within the last
    ``interval_seconds``. While the database is away, items wait, ``max_pending`` at most, and the writer tries
    again after 0.1 s, doubling up to 5 s. When that room is full, new items are dropped and counted: the gap
    they leave in the journal's sequence keeps recovery from billing what they would have ended.

    ``on_problem(reason, error)`` is called when the state of things changes: "unavailable" when the database
    goes away, "available" (with None) when it is back, "full" when dropping begins, "rejected" for a single
    item that the database refuses for what it is and that is dropped, and "lost" when :meth:`close` gives up.
    It runs in the writer's thread, "full" in the event loop's, "lost" in the closer's; it must not raise.

    ``start=False`` starts no thread, and :meth:`turn` is called by hand: that is for tests.
    """

    def __init__(
        self,
        engine: Engine,
        interval_seconds: float = 0.05,
        max_pending: int = 100_000,
        on_problem: Callable[[str, Exception | None], None] | None = None,
        *,
        start: bool = True,
    ) -> None:
        self._engine = engine
        self._interval = interval_seconds
        self._max_pending = max_pending
        self._on_problem = _ignore if on_problem is None else on_problem
        # append and popleft of a deque are atomic: the two threads need no lock. The batch is the writer's
        # alone, and keeps its items until they are committed.
        self._queue: deque[Item] = deque()
        self._batch: list[Item] = []
        self._retry_seconds = 0.0
        self._full = False
        self.written = 0
        self.dropped = 0
        self._closing = threading.Event()
        self._abandoned = threading.Event()
        self._thread: threading.Thread | None = None
        if start:
            self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
            self._thread.start()

    @property
    def pending(self) -> int:
        """Items taken but not yet committed."""
        return len(self._queue) + len(self._batch)

    def append(self, item: Item) -> None:
        """Take an item; called from one thread, the event loop's. Never blocks, never raises."""
        if len(self._queue) + len(self._batch) < self._max_pending:
            self._queue.append(item)
            return
        self.dropped += 1
        if not self._full:
            self._full = True
            self._on_problem("full", None)

    def close(self, timeout: float = 10.0) -> bool:
        """Write all that is pending and stop; False if the database did not take it all in ``timeout`` seconds."""
        self._closing.set()
        if self._thread is None:
            while self.pending and not self._retry_seconds:
                self.turn()
        else:
            self._thread.join(timeout)
            self._abandoned.set()
        if self.pending:
            self._on_problem("lost", None)
        return not self.pending

    def turn(self) -> float:
        """Commit what is pending, at most ``MAX_BATCH`` items; returns the seconds until the next turn."""
        batch, queue = self._batch, self._queue
        while queue and len(batch) < MAX_BATCH:
            batch.append(queue.popleft())
        if not batch:
            return self._interval
        try:
            try:
                self._commit(batch)
                batch.clear()
            except _UNAVAILABLE:
                raise
            except Exception:
                self._commit_one_by_one(batch)
        except _UNAVAILABLE as error:
            if not self._retry_seconds:
                self._on_problem("unavailable", error)
            self._retry_seconds = min(self._retry_seconds * 2 or _FIRST_RETRY_SECONDS, _LONGEST_RETRY_SECONDS)
            return self._retry_seconds
        self._full = False
        if self._retry_seconds:
            self._retry_seconds = 0.0
            self._on_problem("available", None)
        return 0.0 if len(queue) >= MAX_BATCH else self._interval

    def _commit(self, items: list[Item]) -> None:
        with self._engine.begin() as connection:
            write_batch(connection, items)
        self.written += len(items)

    def _commit_one_by_one(self, batch: list[Item]) -> None:
        """One item of the batch is at fault: write the others, and let go of that one, loudly."""
        while batch:
            try:
                self._commit(batch[:1])
            except _UNAVAILABLE:
                raise
            except Exception as error:
                self.dropped += 1
                self._on_problem("rejected", error)
            del batch[0]

    def _run(self) -> None:
        while True:
            delay = self.turn()
            if not self._closing.is_set():
                self._closing.wait(delay)
            elif not self.pending or self._abandoned.wait(min(delay, _FIRST_RETRY_SECONDS)):
                return


def _ignore(reason: str, error: Exception | None) -> None:
    """Nobody listens to problems."""
