"""Dates, times and durations as carriers write them: detected, then read fast. Pure but for the time zones' files."""

import re
from calendar import timegm
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

_SECOND = 1_000_000_000
_HOUR = 3600
#: Carriers sort by the end of a call, or not quite: a time this much earlier than the one before is no second pass.
_DISORDER = 120 * _SECOND
Order = Literal["ymd", "dmy", "mdy"]

_MOMENT = re.compile(
    r"([0-9]{1,4})[./-]([0-9]{1,2})[./-]([0-9]{2,4})"
    r"(?:[ T,]+([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?(?: ?([AaPp])\.?[Mm]\.?)?)?"
    r" *(Z|UTC|[+-][0-9]{2}:?[0-9]{2})?",
    re.ASCII,
)
_COMPACT = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})[ T]?([0-9]{2}):?([0-9]{2}):?([0-9]{2})", re.ASCII)
_EPOCH = re.compile(r"([0-9]{9,10}|[0-9]{12,13})(?:\.([0-9]{1,9}))?", re.ASCII)
_ORDERS: tuple[Order, ...] = ("ymd", "dmy", "mdy")
_NAMES: dict[Order, str] = {"ymd": "year-month-day", "dmy": "day.month.year", "mdy": "month/day/year"}


class ClockError(ValueError):
    """Nobody can tell what the dates mean."""


class Clock:
    """Reads the moments of one file. ``samples`` are some of them, ``within`` where most should lie.

    The order of day and month is the one that can be read most often, and among those the one that puts most
    moments ``within``. Raises :class:`ClockError` if not one of the samples can be read.

    In the hour that comes twice in autumn a local time alone says too little: a time that seems to go back within
    that hour is taken for the second pass, so a file in order of time is read right.
    """

    def __init__(self, samples: Sequence[str], within: tuple[int, int], zone: ZoneInfo, date_format: str = "") -> None:
        self._zone = zone
        self._format = date_format
        self._hours: dict[tuple[int, int, int, int], tuple[int, int]] = {}
        self._twice_ns = 0
        self._order: Order = "ymd"
        if date_format:
            self.described = date_format
            self._judge(samples, within)
            return
        scores = []
        for order in _ORDERS:
            self._order = order
            scores.append(self._judge(samples, within, strict=False))
        best = max(scores)
        self._order = _ORDERS[scores.index(best)]
        if not best[0]:
            raise ClockError(f"{samples[0]!r} is no date and time that we know: give date_format in a profile")
        self.described = f"{_NAMES[self._order]}, {zone.key}"

    def _judge(self, samples: Sequence[str], within: tuple[int, int], strict: bool = True) -> tuple[int, int]:
        readable = inside = 0
        for text in samples:
            try:
                moment = self.read(text)
            except ValueError:
                continue
            readable += 1
            inside += within[0] <= moment < within[1]
        self._twice_ns = 0
        if strict and not readable:
            raise ClockError(f"{samples[0]!r} is not written as {self._format}")
        return readable, inside

    def read(self, text: str) -> int:
        """Wall clock nanoseconds since 1970. Raises ``ValueError``."""
        if self._format:
            return self._by_format(text)
        match = _MOMENT.fullmatch(text)
        if match is None:
            return self._unusual(text)
        first, second, third, hour, minute, second_, fraction, half, offset = match.groups()
        order = self._order
        if len(first) == 4 or order == "ymd":
            year, month, day = int(first), int(second), int(third)
        elif order == "dmy":
            day, month, year = int(first), int(second), int(third)
        else:
            month, day, year = int(first), int(second), int(third)
        if year < 100:
            year += 2000
        at_hour = int(hour) if hour else 0
        if half:
            if not 1 <= at_hour <= 12:
                raise ValueError(f"{text!r} is no date and time")
            at_hour = at_hour % 12 + (12 if half in "pP" else 0)
        return self._moment(
            text, year, month, day, at_hour, int(minute or 0), int(second_ or 0), _nanoseconds(fraction), offset
        )

    def _moment(
        self, text: str, year: int, month: int, day: int, hour: int, minute: int, second: int, rest: int,
        offset: str | None,
    ) -> int:  # fmt: skip
        if minute > 59 or second > 60 or hour > 23:
            raise ValueError(f"{text!r} is no date and time")
        if offset:
            try:
                base = timegm(datetime(year, month, day, hour).timetuple()) - _seconds_of(offset)
            except ValueError as error:
                raise ValueError(f"{text!r} is no date and time") from error
            return (base + minute * 60 + second) * _SECOND + rest
        known = self._hours.get((year, month, day, hour))
        if known is None:
            known = self._hours[year, month, day, hour] = self._hour(text, year, month, day, hour)
        base, again = known
        moment = (base + minute * 60 + second) * _SECOND + rest
        if again != base:
            shift = (again - base) * _SECOND
            if self._twice_ns - moment > _DISORDER:
                moment += shift
            self._twice_ns = max(self._twice_ns, moment)
        return moment

    def _hour(self, text: str, year: int, month: int, day: int, hour: int) -> tuple[int, int]:
        """When this hour of local time begins, seconds since 1970, the first time and the second."""
        try:
            local = datetime(year, month, day, hour, tzinfo=self._zone)
            if not 1971 <= year <= 9998:
                raise ValueError
        except ValueError as error:
            raise ValueError(f"{text!r} is no date and time") from error
        first, second = (timegm(local.replace(fold=fold).astimezone(UTC).timetuple()) for fold in (0, 1))
        # In spring an hour is missing: both readings stand beside the gap, and the later is no second pass.
        return (first, second) if second > first else (first, first)

    def _unusual(self, text: str) -> int:
        compact = _COMPACT.fullmatch(text)
        if compact is not None:
            year, month, day, hour, minute, second = (int(group) for group in compact.groups())
            return self._moment(text, year, month, day, hour, minute, second, 0, None)
        epoch = _EPOCH.fullmatch(text)
        if epoch is None:
            raise ValueError(f"{text!r} is no date and time" if len(text) <= 40 else "that is no date and time")
        if len(epoch[1]) > 10:
            return int(epoch[1]) * 1_000_000 + _nanoseconds(epoch[2]) // 1000
        return int(epoch[1]) * _SECOND + _nanoseconds(epoch[2])

    def _by_format(self, text: str) -> int:
        read = datetime.strptime(text, self._format)
        if read.tzinfo is None:
            return self._moment(
                text, read.year, read.month, read.day, read.hour, read.minute, read.second, read.microsecond * 1000,
                None,
            )  # fmt: skip
        return timegm(read.utctimetuple()) * _SECOND + read.microsecond * 1000


def _seconds_of(offset: str) -> int:
    if offset in ("Z", "UTC"):
        return 0
    hours, minutes = int(offset[1:3]), int(offset[-2:])
    delta = timedelta(hours=hours, minutes=minutes) // timedelta(seconds=1)
    return -delta if offset[0] == "-" else delta


def _nanoseconds(fraction: str | None) -> int:
    return int(fraction.ljust(9, "0")) if fraction else 0


# -- durations -------------------------------------------------------------------------------------------

_CLOCK = re.compile(r"(?:([0-9]{1,4}):)?([0-9]{1,4}):([0-9]{2})(?:[.,]([0-9]{1,9}))?", re.ASCII)
_BARE = re.compile(
    r"([0-9]{1,10})(?:[.,]([0-9]{1,9}))?(?: ?(s|sec|sek|seconds|sekunden))?\.?", re.ASCII | re.IGNORECASE
)
_WORDS = re.compile(
    r"(?:([0-9]{1,4}) ?(?:h|hours?|std)\.? ?)?(?:([0-9]{1,4}) ?(?:min|m)\.? ?)?(?:([0-9]{1,4}) ?(?:s|sec|sek)\.?)?",
    re.ASCII | re.IGNORECASE,
)
_UNITS: dict[str, Callable[[Decimal], Decimal]] = {
    "seconds": lambda value: value,
    "minutes": lambda value: value * 60,
    "milliseconds": lambda value: value / 1000,
}


def read_duration(text: str, unit: str = "seconds") -> int:
    """Nanoseconds of "65", "65,2", "65 s", "1:05", "0:01:05" or "1 min 5 s". Raises ``ValueError``.

    ``unit`` is that of a bare number.
    """
    match = _BARE.fullmatch(text)
    if match is not None:
        if unit == "seconds" or match[3]:
            return int(match[1]) * _SECOND + _nanoseconds(match[2])
        return int(_UNITS[unit](Decimal(f"{match[1]}.{match[2] or 0}")) * _SECOND)
    match = _CLOCK.fullmatch(text)
    if match is not None and int(match[3]) < 60 and not (match[1] and int(match[2]) > 59):
        whole = int(match[1] or 0) * _HOUR + int(match[2]) * 60 + int(match[3])
        return whole * _SECOND + _nanoseconds(match[4])
    match = _WORDS.fullmatch(text)
    if match is not None and text.strip():
        return (int(match[1] or 0) * _HOUR + int(match[2] or 0) * 60 + int(match[3] or 0)) * _SECOND
    raise ValueError(f"duration {text[:20]!r} is none")
