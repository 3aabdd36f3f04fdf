"""Brings records to the database, and knows how the database is."""

import time
from collections.abc import Callable

from sqlalchemy import Engine, exc

from accounting.journal import Item
from accounting.spool import Spool, SpoolError
from accounting.store import write_batch

#: Most records of one transaction: bounds how long other writers of the database wait.
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


class Delivery:
    """Writes batches in one transaction each; one thread at a time.

    ``error`` is that of the last try, None if it went well; ``began`` is when a try began that has not ended yet;
    ``retry_seconds`` is how long to wait before the next, doubling from 0.1 s up to 5 s. An item that the database
    refuses for what it is goes to ``on_rejected``.
    """

    def __init__(
        self,
        engine: Engine,
        on_rejected: Callable[[Item, Exception], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._on_rejected = on_rejected
        self._clock = clock
        self.error: Exception | None = None
        self.began: float | None = None
        self.retry_seconds = 0.0
        self.written = 0

    def deliver(self, batch: list[Item]) -> bool:
        """Commit the batch, and empty it. False if the database is away: the batch holds what is still to be written.

        Whether a commit that was cut off took place is not known, and need not be: what is there is passed over.
        """
        self.began = self._clock()
        try:
            try:
                self._commit(batch)
                batch.clear()
            except _UNAVAILABLE:
                raise
            except Exception:
                self._commit_one_by_one(batch)
        except _UNAVAILABLE as error:
            self.error = error
            self.retry_seconds = min(self.retry_seconds * 2 or _FIRST_RETRY_SECONDS, _LONGEST_RETRY_SECONDS)
            return False
        finally:
            self.began = None
        self.error = None
        self.retry_seconds = 0.0
        return True

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
                self._on_rejected(batch[0], error)
            del batch[0]


def deliver_spool(engine: Engine, spool: Spool) -> int:
    """Bring what an earlier process left in the spool to the database; returns how many records that were.

    Called at the start, before anything is recovered or written. Raises the database's error if it is away, and
    SpoolError; what has been delivered by then is not delivered again.
    """
    delivery = Delivery(engine, lambda item, error: spool.reject(item, str(error)))
    count = after = 0
    while groups := spool.read(after, MAX_BATCH):
        after = groups[-1][0]
        batch = [item for _, items in groups for item in items]
        count += len(batch)
        if not delivery.deliver(batch):
            raise delivery.error or SpoolError("the database did not take the spool")
        spool.forget(after)
    spool.use_present_fields()
    return count
