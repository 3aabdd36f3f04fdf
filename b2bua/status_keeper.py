"""Keeps what agents choose, in a thread of its own: a database that is away holds up nobody, and is tried again."""

import threading
from collections import deque

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from routing.agent_store import ChosenStatus, write_statuses

log = structlog.get_logger("b2bua")

#: Changes that wait at most; more agents than that change nothing while a database is away.
_MOST = 100_000


class StatusKeeper:
    """``keep`` may be called in any thread, and never waits."""

    def __init__(self, engine: Engine, retry_seconds: float = 1.0) -> None:
        self._engine = engine
        self._retry_seconds = retry_seconds
        self._unwritten: deque[ChosenStatus] = deque(maxlen=_MOST)
        self._reachable = True
        self._stopped = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="agents", daemon=True)

    def start(self) -> None:
        """Write from now on."""
        self._thread.start()

    def keep(self, chosen: ChosenStatus) -> None:
        """Write this soon."""
        self._unwritten.append(chosen)
        self._wake.set()

    def stop(self, patience: float = 3.0) -> None:
        """Write what is left; blocks for ``patience`` seconds at most."""
        self._stopped = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(patience)

    def write(self) -> bool:
        """Write what waits; False if the database does not take it now."""
        batch = list(self._unwritten)
        if not batch:
            return True
        try:
            with self._engine.begin() as connection:
                write_statuses(connection, batch)
        except SQLAlchemyError as error:
            if self._reachable:
                self._reachable = False
                log.warning("agent_status_unwritten", error=type(error).__name__, waiting=len(batch))
            return False
        self._reachable = True
        for _ in batch:
            self._unwritten.popleft()
        return True

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while not self.write() and not self._stopped:
                self._wake.wait(self._retry_seconds)
                self._wake.clear()
            if self._stopped:
                return
