"""Session timers: an answered session that nobody refreshes is over (RFC 4028)."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from b2bua.sip.headers import parse_params
from b2bua.sip.message import Message
from b2bua.sip.timers import Timer, TimerHeap

#: RFC 4028 section 4: the smallest Session-Expires that anybody must accept, in seconds.
ABSOLUTE_MINIMUM = 90


@dataclass(frozen=True, slots=True)
class SessionTimerPolicy:
    """What we ask for and what we accept, in seconds; ``expires`` 0 asks for no session timer."""

    expires: int = 1800
    minimum: int = ABSOLUTE_MINIMUM


class Refresher(Enum):
    """Who has to refresh, seen from here."""

    US = "us"
    PEER = "peer"


def session_expires(message: Message) -> tuple[int, str | None] | None:
    """The interval and the refresher parameter of Session-Expires, None if absent or unreadable."""
    value = message.get("Session-Expires")
    if value is None:
        return None
    seconds, _, params = value.partition(";")
    seconds = seconds.strip(" \t")
    if not (seconds.isascii() and seconds.isdigit()) or len(seconds) > 10:
        return None
    refresher = parse_params(params).get("refresher") if params else None
    return int(seconds), refresher.lower() if refresher else None


def minimum_expires(message: Message) -> int:
    """Min-SE, or the RFC's 90 s where it is absent or unreadable."""
    value = (message.get("Min-SE") or "").partition(";")[0].strip(" \t")
    if value.isascii() and value.isdigit() and len(value) <= 10:
        return max(int(value), ABSOLUTE_MINIMUM)
    return ABSOLUTE_MINIMUM


def supports_timer(message: Message) -> bool:
    """Does the sender implement RFC 4028?"""
    return any("timer" in value.lower().replace(" ", "").split(",") for value in message.all("Supported"))


#: A refresh that was refused is tried again, unless less than this many seconds would lie between.
_LEAST_BETWEEN_TRIES = 16.0


class SessionTimer:
    """Calls ``refresh`` at half the interval if refreshing is ours, else ``expired`` near its end.

    Until ``restart`` tells that a refresh succeeded, ``refresh`` is called again at half of what is left of
    the interval, and ``expired`` at its end.
    """

    __slots__ = ("_deadline", "_expired", "_refresh", "_timer", "_timers", "interval", "refresher")

    def __init__(self, timers: TimerHeap, refresh: Callable[[float], None], expired: Callable[[float], None]) -> None:
        self._timers = timers
        self._refresh = refresh
        self._expired = expired
        self._timer: Timer | None = None
        self._deadline = 0.0
        self.interval = 0
        self.refresher = Refresher.US

    def restart(self, interval: int, refresher: Refresher, now: float) -> None:
        """Begin the interval anew, after each refresh that was answered with 2xx (RFC 4028 section 10)."""
        self.stop()
        self.interval = interval
        self.refresher = refresher
        if refresher is Refresher.US:
            self._deadline = now + interval
            self._timer = self._timers.start(now + interval / 2, self._due)
        else:
            # RFC 4028 10: the side that does not refresh sends BYE slightly before the session expires
            self._timer = self._timers.start(now + interval - min(32, interval / 3), self._expired)

    def _due(self, now: float) -> None:
        left = self._deadline - now
        if left <= 0:
            self._timer = None
            self._expired(now)
            return
        again = left / 2 if left / 2 >= _LEAST_BETWEEN_TRIES else left
        self._timer = self._timers.start(now + again, self._due)
        self._refresh(now)

    def stop(self) -> None:
        """No more refreshing, no more expiry."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
