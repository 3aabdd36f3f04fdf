"""Takes records from the event loop, makes them durable within 50 ms, and brings them to the database in order.

Two threads. The first writes what came in the last 40 ms to the spool, a file of this machine's own, and waits for
the disk. The second brings it from there to the database, once a second, and again and again while the database is
away, slow or full. So neither a call nor the durability of its records ever depends on the database.
"""

import contextlib
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

from sqlalchemy import Engine

from accounting.backlog import Backlog, Group
from accounting.delivery import MAX_BATCH, Delivery
from accounting.journal import Item
from accounting.spool import Spool, SpoolError

#: Seconds in which records are gathered before they are written to the spool. With what the disk takes they are
#: durable after 50 ms.
GATHERING = 0.04
#: Seconds between deliveries to the database: the fewer, the cheaper (docs/decisions/0004).
DELIVERY_INTERVAL = 1.0
#: For how long a thread that computes may keep the others from the interpreter, seconds, where a writer is at work:
#: Python's 5 ms would be felt by calls and by the 50 ms above.
SWITCH_INTERVAL = 0.001
#: So long may database and spool take before they count as away, seconds.
PATIENCE = 3.0

_SPOOL_RETRY_SECONDS = 0.5
#: An idle thread looks around so often, seconds.
_IDLE_SECONDS = 1.0
_CLOSING_RETRY_SECONDS = 0.1
#: Refusing ends when the spool has come down to this part of its bound.
_RELIEF = 0.8

Problem = Literal[
    "unavailable", "available", "spooling", "drained", "spool_unavailable", "spool_available", "spool_damaged",
    "refusing", "accepting", "full", "rejected", "left", "lost",
]  # fmt: skip


class JournalWriter:
    """Takes journal entries and ended calls from the event loop and writes them down, in order.

    ``append`` costs the event loop a comparison and a deque append. A crash of the process, or of the machine, loses
    what came within the last 50 ms. Without a ``spool`` (tools, tests), records go to the database alone, every
    ``gathering`` seconds, and wait in memory while it is away.

    From ``spool_max_records`` undelivered records on, :attr:`refusing` says that no new calls should be taken (never,
    if ``refuse`` is False). At twice that, and at ``max_pending`` records that are in memory alone, records are
    dropped and counted: the gap they leave in the journal's sequence keeps recovery from billing what they would
    have ended.

    ``on_problem(problem, error)`` is called once for each change of state, in any thread; it must not raise:

    - "unavailable": the database refuses, or does not answer for ``patience`` seconds; "available": it is back;
    - "spooling": records pile up because of it; "drained": they have been delivered;
    - "spool_unavailable": the spool cannot be written, records go straight to the database; "spool_available";
      "spool_damaged": it cannot be read back, and a start of the server must mend it;
    - "refusing": no new calls should be taken; "accepting": they may come again;
    - "full": dropping begins; "rejected": a single record that the database refuses for what it is, kept in the
      spool; when :meth:`close` ends: "left" for records in the spool, "lost" for those that are nowhere.

    ``on_durable(seconds)`` is told how long the first record of each group took. ``start=False`` starts no threads;
    then :meth:`spool_turn`, :meth:`turn` and :meth:`judge` are called by hand: that is for tests.
    """

    def __init__(
        self,
        engine: Engine,
        gathering: float = GATHERING,
        max_pending: int = 100_000,
        on_problem: Callable[[Problem, Exception | None], None] | None = None,
        *,
        spool: Spool | None = None,
        spool_max_records: int = 500_000,
        in_memory: int = 20_000,
        refuse: bool = True,
        on_durable: Callable[[float], None] | None = None,
        delivery_interval: float = DELIVERY_INTERVAL,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        start: bool = True,
    ) -> None:
        self._gathering = gathering
        self._delivery_interval = delivery_interval
        self._patience = patience
        self._max_pending = max_pending
        self._on_problem = _ignore if on_problem is None else on_problem
        self._on_durable = on_durable
        self._spool = spool
        self._max_records = spool_max_records
        self._refuse = refuse
        self._clock = clock
        self._delivery = Delivery(engine, self._rejected, clock)

        self.dropped = 0
        self.database_available = True
        self.spooling = False
        self.spool_failed = False
        self.spool_damaged = False
        self._spool_stuck = False
        #: no new calls should be taken
        self.refusing = False
        self._full = False
        self._judging = threading.Lock()

        # append and popleft of a deque are atomic: the event loop needs no lock.
        self._queue: deque[Item] = deque()
        self._queued_at = clock()
        # The spooling thread's: the group in hand, and when the spool is to be tried again.
        self._group: list[Item] = []
        self._group_at = 0.0
        self._spool_began: float | None = None
        self._spool_retry_at = 0.0
        self._spool_error: Exception | None = None
        # Between the two, and what is in the delivering thread's hands.
        self._backlog = None if spool is None else Backlog(spool, in_memory)
        self._batch: list[Item] = []
        self._groups: list[Group] = []

        self._closing = threading.Event()
        self._abandoned = threading.Event()
        self._all_spooled = threading.Event()
        self._wake_spooler = threading.Event()
        self._wake_deliverer = threading.Event()
        self._spooler_idle = False
        self.threads: list[threading.Thread] = []
        if start:
            loops = [self._run_deliverer] if spool is None else [self._run_spooler, self._run_deliverer]
            self.threads = [threading.Thread(target=loop, name="journal", daemon=True) for loop in loops]
            for thread in self.threads:
                thread.start()

    # -- what others see ---------------------------------------------------------------------------------

    @property
    def written(self) -> int:
        """Records that the database took."""
        return self._delivery.written

    @property
    def spooled(self) -> int:
        """Records in the spool that the database does not have."""
        return 0 if self._backlog is None else self._backlog.spooled

    @property
    def undurable(self) -> int:
        """Records that are in memory alone."""
        known = len(self._queue) + len(self._group)
        if self._backlog is None or self.spool_failed:
            known += len(self._batch) + (self._backlog.records if self._backlog is not None else 0)
        return known

    @property
    def pending(self) -> int:
        """Records that the database does not have yet, wherever they are."""
        if self._backlog is None:
            return self.undurable
        in_memory = self._backlog.records + len(self._batch)
        return len(self._queue) + len(self._group) + max(self.spooled, in_memory)

    @property
    def spool_bytes(self) -> int:
        """Bytes that the records in the spool take."""
        return 0 if self._spool is None else self._spool.size

    # -- the event loop's side ---------------------------------------------------------------------------

    def append(self, item: Item) -> None:
        """Take an item; called from one thread, the event loop's. Never blocks, never raises."""
        queue = self._queue
        waiting = len(queue) if self._backlog is not None else len(queue) + len(self._batch)
        if waiting >= self._max_pending:
            self._drop(1)
            return
        if not queue:
            self._queued_at = self._clock()
        queue.append(item)
        if self._spooler_idle:
            self._wake_spooler.set()

    def close(self, timeout: float = 10.0) -> bool:
        """Write all that is pending and stop; False if something is durable nowhere after ``timeout`` seconds.

        What the database does not take at once stays in the spool.
        """
        self._closing.set()
        self._wake_spooler.set()
        self._wake_deliverer.set()
        if self.threads:
            end = time.monotonic() + timeout
            for thread in self.threads:
                thread.join(max(0.0, end - time.monotonic()))
            self._abandoned.set()
        else:
            self.spool_turn()
            while self.pending and not self._delivery.retry_seconds and not self.spool_damaged:
                self.turn()
        if self.undurable:
            self._on_problem("lost", None)
        elif self.pending:
            self._on_problem("left", None)
        return not self.undurable

    # -- to the spool ------------------------------------------------------------------------------------

    def spool_turn(self) -> None:
        """Make durable what came: write it to the spool, or hand it straight on if the spool fails."""
        backlog = self._backlog
        if backlog is None:
            return
        self._fill_group()
        if self._group:
            self._empty_group(backlog, self._clock())
        self.judge()

    def _empty_group(self, backlog: Backlog, now: float) -> None:
        if self.spooled >= 2 * self._max_records:
            self._drop(len(self._group))
            self._group = []
        elif now >= self._spool_retry_at:
            self._spool_group(backlog, now)
        if self._group and self._may_pass(backlog) and backlog.pass_by(self._group, self._group_at):
            self._group = []
            self._wake_deliverer.set()

    def _fill_group(self) -> None:
        queue = self._queue
        count = min(len(queue), MAX_BATCH - len(self._group))
        if count <= 0:
            return
        if not self._group:
            self._group_at = self._queued_at
        now = self._clock()
        # before they are taken: the event loop writes it down again once the queue is empty
        self._queued_at = now
        self._group.extend([queue.popleft() for _ in range(count)])

    def _spool_group(self, backlog: Backlog, now: float) -> None:
        self._spool_began = now
        try:
            backlog.spool(self._group, self._group_at)
        except SpoolError as error:
            self._spool_error = error
            self._spool_retry_at = self._clock() + _SPOOL_RETRY_SECONDS
            return
        finally:
            self._spool_began = None
        self._spool_error = None
        self._group = []
        if self._on_durable is not None:
            self._on_durable(self._clock() - self._group_at)

    def _may_pass(self, backlog: Backlog) -> bool:
        """Past a spool that fails, while the database takes records: else they wait for whichever is back first."""
        return self._delivery.error is None and backlog.records < self._max_pending

    def _run_spooler(self) -> None:
        while True:
            if not self._queue and not self._group:
                self._spooler_idle = True
                if not self._queue and not self._closing.is_set():
                    self._wake_spooler.wait(_IDLE_SECONDS)
                self._spooler_idle = False
                self._wake_spooler.clear()
            if not self._closing.is_set() and (self._queue or self._group):
                self._closing.wait(self._gathering)
            self.spool_turn()
            if self._closing.is_set():
                if self._abandoned.is_set() or not (self._queue or self._group):
                    self._all_spooled.set()
                    return
                if self._group:
                    self._abandoned.wait(_CLOSING_RETRY_SECONDS)

    # -- to the database ---------------------------------------------------------------------------------

    def turn(self) -> float:
        """Bring the next records to the database, some ``MAX_BATCH``; returns the seconds until the next turn."""
        try:
            self._fill_batch()
        except sqlite3.DatabaseError as error:
            if not self.spool_damaged:
                self.spool_damaged = True
                self._on_problem("spool_damaged", error)
            self.judge()
            return self._delivery_interval
        batch = self._batch
        if not batch:
            self._tidy()
            self.judge()
            return self._gathering if self._backlog is None else self._delivery_interval
        full, late = len(batch) >= MAX_BATCH, self._delivery.error is not None
        backlog, groups = self._backlog, self._groups
        if not self._delivery.deliver(batch):
            if backlog is not None:
                backlog.give_back(groups)
                batch.clear()
            self.judge()
            return self._delivery.retry_seconds
        self._full = False
        if backlog is not None:
            backlog.delivered(groups)
            self._note_durable(groups)
        self.judge()
        if backlog is None:
            return 0.0 if len(self._queue) >= MAX_BATCH else self._gathering
        if full or late or backlog.reading_back:
            return 0.0
        return self._gathering if self.spool_failed else self._delivery_interval

    def _fill_batch(self) -> None:
        batch, queue = self._batch, self._queue
        if self._backlog is None:
            while queue and len(batch) < MAX_BATCH:
                batch.append(queue.popleft())
        else:
            self._groups = self._backlog.take(MAX_BATCH)
            batch.extend([item for group in self._groups for item in group.items])

    def _note_durable(self, groups: list[Group]) -> None:
        """The spool has not, so the database is what made these durable."""
        if self._on_durable is not None:
            for group in groups:
                if not group.number:
                    self._on_durable(self._clock() - group.at)

    def _tidy(self) -> None:
        """Nothing comes that the spool could forget the delivered ones with."""
        if self._backlog is not None and not self._queue:
            with contextlib.suppress(SpoolError):  # it is told when records come
                self._backlog.tidy()

    def _rejected(self, item: Item, error: Exception) -> None:
        self.dropped += 1
        if self._spool is not None:
            try:
                self._spool.reject(item, str(error))
            except SpoolError as failure:
                error = failure
        self._on_problem("rejected", error)

    def _run_deliverer(self) -> None:
        while True:
            delay = self.turn()
            if not self._closing.is_set():
                self._wake_deliverer.wait(delay)
                self._wake_deliverer.clear()
            elif self._spool is None:
                if not self.pending or self._abandoned.wait(min(delay, _CLOSING_RETRY_SECONDS)):
                    return
            elif self._delivery.error is not None or self.spool_damaged or self._abandoned.is_set():
                return  # the spool keeps it
            elif self._all_spooled.wait(_CLOSING_RETRY_SECONDS) and not self.pending:
                self._tidy()
                return

    # -- how things are ----------------------------------------------------------------------------------

    def judge(self) -> None:
        """Tell what has changed."""
        with self._judging:
            now = self._clock()
            self._judge_database(now)
            if self._backlog is not None:
                self._judge_spool(now, self._backlog)
                self._judge_bounds()

    def _judge_database(self, now: float) -> None:
        began, error = self._delivery.began, self._delivery.error
        if error is None and began is not None and now - began > self._patience:
            error = TimeoutError(f"the database has not answered for {self._patience:g} s")
        if (error is None) != self.database_available:
            self.database_available = error is None
            self._on_problem("available" if error is None else "unavailable", error)

    def _judge_spool(self, now: float, backlog: Backlog) -> None:
        began, error = self._spool_began, self._spool_error
        self._spool_stuck = began is not None and now - began > self._patience
        if self._spool_stuck and error is None:
            error = TimeoutError(f"the disk of the spool has not answered for {self._patience:g} s")
        if (error is not None) != self.spool_failed:
            self.spool_failed = error is not None
            self._on_problem("spool_unavailable" if self.spool_failed else "spool_available", error)
        oldest = backlog.oldest_at
        late = oldest is not None and now - oldest > self._delivery_interval + self._patience
        if not self.spooling and self.spooled and (late or not self.database_available):
            self.spooling = True
            self._on_problem("spooling", None)
        elif self.spooling and not late and self.database_available and not backlog.reading_back:
            self.spooling = False
            self._on_problem("drained", None)

    def _judge_bounds(self) -> None:
        spooled, undurable = self.spooled, self.undurable
        blocked = self.spool_damaged or self._spool_stuck or (self.spool_failed and not self.database_available)
        part = _RELIEF if self.refusing else 1.0
        refusing = self._refuse and (
            blocked or spooled >= part * self._max_records or undurable >= part * self._max_pending / 2
        )
        if refusing != self.refusing:
            self.refusing = refusing
            self._on_problem("refusing" if refusing else "accepting", None)

    def _drop(self, count: int) -> None:
        self.dropped += count
        if not self._full:
            self._full = True
            self._on_problem("full", None)


def _ignore(problem: Problem, error: Exception | None) -> None:
    """Nobody listens to problems."""
