"""Keeps what lines of ours are forwarded to: writes what was dialled, reads what others wrote (``b2bua lines``).

In a thread of its own, like :mod:`b2bua.business_watch`: a database that is away holds up nobody, and what could not be
written is tried again until it is.
"""

import threading
import time
from collections.abc import Callable

import structlog
from sqlalchemy import Engine

from routing.line_store import load_forwardings, write_forwardings
from routing.lines import LineForwarding

log = structlog.get_logger("b2bua")

#: What another process wrote may be seen so much later than its clock says, nanoseconds; reading twice does no harm.
_OVERLAP_NS = 5_000_000_000


class LineWatch:
    """``on_change(forwardings)`` is called in the watch's thread, with what is in the database now."""

    def __init__(
        self,
        engine: Engine,
        known_ns: int,
        on_change: Callable[[list[LineForwarding]], None],
        interval: float = 1.0,
        wall_clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._engine = engine
        self._known_ns = known_ns
        self._on_change = on_change
        self._interval = interval
        self._wall_clock = wall_clock
        self._last: list[LineForwarding] = []
        self._unwritten: list[LineForwarding] = []
        self._lock = threading.Lock()
        self._reachable = True
        self._stopped = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lines", daemon=True)

    def start(self) -> None:
        """Watch from now on."""
        self._thread.start()

    def stop(self, patience: float = 3.0) -> None:
        """Write what is left, and watch no longer; blocks for ``patience`` seconds at most."""
        self._stopped = True
        self._wake.set()
        self._thread.join(patience)
        if self._unwritten:
            log.error("forwardings_lost", count=len(self._unwritten), hint="the database does not take them")

    def write(self, forwarding: LineForwarding) -> None:
        """Write this down soon; any thread."""
        with self._lock:
            self._unwritten.append(forwarding)
        self._wake.set()

    def is_newer(self, forwarding: LineForwarding) -> bool:
        """False if something was dialled since that is not written down yet."""
        key = (forwarding.line, forwarding.kind)
        with self._lock:
            return all((item.line, item.kind) != key for item in self._unwritten)

    def look(self) -> None:
        """Write and read once."""
        with self._lock:
            batch = self._unwritten[:]
        since = max(0, self._known_ns - _OVERLAP_NS)
        try:
            if batch:
                with self._engine.begin() as connection:
                    write_forwardings(connection, batch, self._wall_clock())
            with self._engine.connect() as connection:
                found, self._known_ns = load_forwardings(connection, since)
        except Exception as error:
            if self._reachable:
                self._reachable = False
                log.warning("forwardings_unreachable", error=type(error).__name__, unwritten=len(batch))
            return
        self._reachable = True
        with self._lock:
            del self._unwritten[: len(batch)]
        if found != self._last:
            self._last = found
            self._on_change(found)

    def _run(self) -> None:
        while not self._stopped:
            self._wake.wait(self._interval)
            self._wake.clear()
            self.look()
