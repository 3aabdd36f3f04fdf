"""Follows changes of the business data, in a thread of its own: a database that hangs must hold up nothing else."""

import threading
from collections.abc import Callable

import structlog
from sqlalchemy import Engine

from routing.directory import Directory
from routing.store import load_directory, revision

log = structlog.get_logger("b2bua")


class BusinessWatch:
    """Asks for the revision every so often; ``on_change(directory)`` is called in the watch's thread."""

    def __init__(
        self, engine: Engine, known: int, on_change: Callable[[Directory], None], interval: float = 1.0
    ) -> None:  # fmt: skip
        self._engine = engine
        self._known = known
        self._on_change = on_change
        self._interval = interval
        self._reachable = True
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="business", daemon=True)

    def start(self) -> None:
        """Watch from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer; a question under way is not waited for."""
        self._stopped.set()

    def look(self) -> None:
        """Ask once."""
        try:
            with self._engine.connect() as connection:
                directory = None if revision(connection) == self._known else load_directory(connection)
        except Exception as error:
            if self._reachable:
                self._reachable = False
                log.warning("business_data_unreachable", error=type(error).__name__)
            return
        self._reachable = True
        if directory is not None:
            self._known = directory.revision
            self._on_change(directory)

    def _run(self) -> None:
        while not self._stopped.wait(self._interval):
            self.look()
