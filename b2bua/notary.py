"""Signs the journal every hour and at the end, and deletes old numbers once a day; in a thread of its own.

A database that is away, or books that somebody changed, hold up no call: the first is tried again, the second is never
signed, and both are told by log, metric and health.
"""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from accounting.chain import Disagreement
from accounting.checkpoint import Signer
from accounting.checkpoint_store import checkpoint, last_checkpoint
from accounting.forget import DAY_NS, forget
from b2bua.metrics import Metrics, Sample
from b2bua.web.server import Status

log = structlog.get_logger("b2bua.notary")

HOUR_NS = 3_600_000_000_000
#: After a failure, until it is tried again.
RETRY_NS = 60_000_000_000
#: How often the thread looks whether something is due, seconds.
_LOOK = 5.0


class Notary:
    """``forget_after_days`` of 0 keeps all numbers. ``wall_clock`` gives nanoseconds since 1970."""

    def __init__(
        self,
        engine: Engine,
        signer: Signer,
        forget_after_days: int,
        metrics: Metrics,
        wall_clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._engine = engine
        self._signer = signer
        self._forget_after_days = forget_after_days
        self._wall_clock = wall_clock
        self._looked_ns = 0
        self._signed_ns = 0
        self._sign_at = 0
        self._forget_at = 0
        self._reachable = True
        #: what disagrees with what was signed before; empty as long as the books are whole
        self.wrong = ""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notary", daemon=True)
        metrics.sample(self._samples)

    def start(self) -> None:
        """Look after the books from now on."""
        self._thread.start()

    def look(self) -> None:
        """Do what is due."""
        now = self._wall_clock()
        if now < self._looked_ns:
            # somebody has put the wall clock back: what is due by the old one may be days away
            self._sign_at = self._forget_at = 0
        self._looked_ns = now
        try:
            if now >= self._sign_at:
                self._sign_at = now + RETRY_NS
                self._sign(now)
                self._sign_at = self._signed_ns + HOUR_NS
                self._reachable = True
            if self._forget_after_days and now >= self._forget_at:
                self._forget_at = now + RETRY_NS
                self._forget(now - self._forget_after_days * DAY_NS)
                self._forget_at = now + DAY_NS
        except Disagreement as error:
            self._tell_wrong(error)
        except SQLAlchemyError as error:
            if self._reachable:
                self._reachable = False
                log.warning("journal_unsigned", error=type(error).__name__, hint="tried again every minute")

    def _sign(self, now: int) -> None:
        with self._engine.begin() as connection:
            before = last_checkpoint(connection)
            if before is not None and not self._signed_ns and 0 <= now - before.wall_ns < HOUR_NS:
                # a restart is no reason for another one
                self._signed_ns = before.wall_ns
                return
            made = checkpoint(connection, self._signer, now, "hourly")
        self.wrong = ""
        # where nothing was written since, the last one stands, and is good for another hour
        self._signed_ns = now
        if before is None or made.number != before.number:
            log.info("journal_signed", checkpoint=made.number, position=made.position)

    def _forget(self, before_ns: int) -> None:
        total = 0
        while not self._stopped.is_set():
            with self._engine.begin() as connection:
                count = forget(connection, before_ns)
            if not count:
                break
            total += count
        if total:
            log.info("numbers_forgotten", records=total, older_than_days=self._forget_after_days)

    def _tell_wrong(self, error: Disagreement) -> None:
        if self.wrong != str(error):
            self.wrong = str(error)
            log.critical("journal_wrong", wrong=self.wrong, hint="not signed; run `b2bua audit`, and keep a copy")

    def close(self) -> None:
        """Sign what was written last; call it when the last record is in the database."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        try:
            with self._engine.begin() as connection:
                made = checkpoint(connection, self._signer, self._wall_clock(), "hourly")
            log.info("journal_signed", checkpoint=made.number, position=made.position)
        except Disagreement as error:
            self._tell_wrong(error)
        except SQLAlchemyError as error:
            log.warning("journal_unsigned", error=type(error).__name__, hint="signed after the next start")

    # -- what watchers are told --------------------------------------------------------------------------

    @property
    def status(self) -> Status:
        """Books that disagree with what was signed are for people to look at; calls go on."""
        return "degraded" if self.wrong else "ok"

    def facts(self) -> dict[str, object]:
        """What health says."""
        signed = datetime.fromtimestamp(self._signed_ns // 10**9, UTC).isoformat() if self._signed_ns else ""
        return {"journal_signed": signed, "journal_wrong": self.wrong}

    def _samples(self) -> Iterator[Sample]:
        age = (self._wall_clock() - self._signed_ns) / 1e9 if self._signed_ns else -1.0
        yield "b2bua_journal_checkpoint_age_seconds", "Since the journal was signed; -1 if it never was", age
        yield "b2bua_journal_wrong", "1 if the journal disagrees with what was signed", float(bool(self.wrong))

    def _run(self) -> None:
        while True:
            self.look()
            if self._stopped.wait(_LOOK):
                return
