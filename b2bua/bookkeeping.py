"""The journal's side of the process: spool, writer, and what watchers are told of them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import structlog
from sqlalchemy import Engine

from accounting.delivery import deliver_spool
from accounting.spool import open_spool
from accounting.writer import JournalWriter, Problem
from b2bua.config import AccountingSection
from b2bua.metrics import Metrics, Sample
from b2bua.web.server import Status

log = structlog.get_logger("b2bua")

#: Nothing is lost, but somebody should look.
_WARNINGS: frozenset[Problem] = frozenset(("spooling", "left"))
_GOOD_NEWS: frozenset[Problem] = frozenset(("available", "drained", "spool_available", "accepting"))
_ADVICE: dict[Problem, str] = {
    "unavailable": "look after the database; calls go on, and records wait in the spool",
    "spool_unavailable": "look after the spool's disk; records go straight to the database",
    "spool_damaged": "restart the server when it suits: it saves what can be read and sets the file aside",
    "refusing": "new calls get 503 until records can be kept again",
    "left": "the next start delivers what the spool holds",
    "rejected": "the record is kept in the spool's table 'rejected'",
}


class Bookkeeping:
    """Opens the spool and owns the writer. ``on_refusing(bool)`` is called in any thread.

    Raises :class:`accounting.spool.SpoolError` if the spool cannot be used.
    """

    def __init__(
        self,
        engine: Engine,
        spool_path: Path,
        section: AccountingSection,
        metrics: Metrics,
        on_refusing: Callable[[bool], None],
    ) -> None:
        self._engine = engine
        self._on_refusing = on_refusing
        self.spool = open_spool(spool_path, self._damaged)
        self.writer = JournalWriter(
            engine,
            spool=self.spool,
            spool_max_records=section.spool_max_records,
            refuse=section.when_full == "refuse",
            on_problem=self._problem,
            on_durable=metrics.journal_durable_seconds.observe,
        )
        metrics.sample(self._samples)

    def deliver_spool(self) -> None:
        """Bring what the last process left to the database: before anything is recovered or written."""
        waiting = self.spool.records
        if waiting:
            log.warning("journal_spool_found", records=waiting, spool=str(self.spool.path))
            deliver_spool(self._engine, self.spool)
            log.info("journal_drained", records=waiting)

    def _damaged(self, aside: Path, saved: int) -> None:
        log.critical(
            "journal_spool_damaged", set_aside=str(aside), records_saved=saved,
            advice="keep that file: calls may be missing from the books, or end at their last proven instant",
        )  # fmt: skip

    def _problem(self, problem: Problem, error: Exception | None) -> None:
        """Called in any thread."""
        if problem in ("refusing", "accepting"):
            self._on_refusing(problem == "refusing")
        details: dict[str, object] = {"pending": self.writer.pending}
        if error is not None:
            details["error"] = str(error)[:200]
        if problem in _ADVICE:
            details["advice"] = _ADVICE[problem]
        if problem in _GOOD_NEWS:
            log.info(f"journal_{problem}", **details)
        elif problem in _WARNINGS:
            log.warning(f"journal_{problem}", **details)
        else:
            log.error(f"journal_{problem}", **details)

    @property
    def status(self) -> Status:
        """How well records are kept."""
        writer = self.writer
        if writer.refusing:
            return "failing"
        degraded = writer.spooling or writer.spool_failed or writer.spool_damaged or not writer.database_available
        return "degraded" if degraded else "ok"

    def facts(self) -> dict[str, object]:
        """What health says."""
        writer = self.writer
        return {
            "database": "available" if writer.database_available else "unavailable",
            "journal_pending": writer.pending,
            "journal_spooled": writer.spooled,
            "journal_dropped": writer.dropped,
            "journal_refusing": writer.refusing,
        }

    def _samples(self) -> Iterator[Sample]:
        writer = self.writer
        yield "b2bua_journal_pending", "Records that the database does not have yet", float(writer.pending)
        yield "b2bua_journal_undurable", "Records in memory alone", float(writer.undurable)
        yield "b2bua_journal_spooled", "Records in the spool, undelivered", float(writer.spooled)
        yield "b2bua_journal_spool_bytes", "Bytes of the records in the spool", float(writer.spool_bytes)
        yield "b2bua_journal_written_total", "Records written to the database", float(writer.written)
        yield "b2bua_journal_dropped_total", "Records lost or rejected", float(writer.dropped)
        yield "b2bua_journal_database_available", "1 if the database takes records", float(writer.database_available)
        yield "b2bua_journal_spool_available", "1 if the spool takes records", float(not writer.spool_failed)
        yield "b2bua_journal_refusing", "1 if calls are refused for want of room", float(writer.refusing)

    def close(self) -> None:
        """Write the last records; what the database does not take stays in the spool."""
        self.writer.close()
        self.spool.close()
