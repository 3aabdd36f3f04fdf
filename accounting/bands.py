"""Time bands of a tariff: in which hours of which days a call has another price. Pure values.

A band holds by rules as text, ``DAYS [TIMES]``, as opening hours have them::

    mon-fri 18:00-24:00                 weekdays; "sat,sun" and "fri-mon" are weekdays too
    fri 22:00-06:00                     over midnight: the span belongs to the day on which it begins
    sun,holiday                         the whole day
    always 00:00-06:00                  every day

Holidays are the dates that the tariff lists itself: a bill must come out the same in ten years, whatever calendar is
installed then. On such a date only "holiday" and "always" hold, the weekday does not count.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
#: Stands for a holiday in sets of days, besides 0 (Monday) to 6.
HOLIDAY = 7

_MINUTES = 24 * 60
_DAY = timedelta(days=1)
_SPAN = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rule:
    """Days (0 is Monday, :data:`HOLIDAY`) and spans of them: minutes since midnight, the end exclusive.

    The end is up to a day later than the start, and so may be beyond midnight.
    """

    days: frozenset[int]
    spans: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, text: str) -> "Rule":
        """Read "mon-fri 18:00-24:00". Raises ``ValueError``, which says how to write it."""
        words = text.split()
        if not words:
            raise ValueError("a rule must not be empty: write DAYS or DAYS TIMES, such as mon-fri 18:00-24:00")
        return cls(frozenset(_days(words[0])), tuple(map(_span, words[1:])) or ((0, _MINUTES),))

    def holds(self, day: int, minute: int) -> bool:
        """Whether a day of this kind has a span over a minute, counted from that day's midnight."""
        return day in self.days and any(start <= minute < end for start, end in self.spans)


def _days(text: str) -> Iterator[int]:
    if text == "always":
        yield from range(HOLIDAY + 1)
        return
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if part == "holiday":
            yield HOLIDAY
        elif first in WEEKDAYS and (last in WEEKDAYS or not dash):
            start = WEEKDAYS.index(first)
            count = (WEEKDAYS.index(last) - start) % 7 if dash else 0
            yield from ((start + days) % 7 for days in range(count + 1))
        else:
            raise ValueError(f"{part!r} is no day: write mon, tue, wed, thu, fri, sat, sun, mon-fri, holiday or always")


def _span(text: str) -> tuple[int, int]:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no time of day: write 18:00-24:00")
    start, end = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
    if start >= _MINUTES or end > _MINUTES:
        raise ValueError(f"{text!r}: a span begins before 24:00 and ends at 24:00 at the latest")
    if start == end:
        raise ValueError(f"{text!r} is empty: leave the times out for the whole day")
    return start, end if end > start else end + _MINUTES


@dataclass(frozen=True, slots=True)
class Band:
    """A time band: while one of the rules ``when`` holds, its prices stand in the place of the version's.

    ``per_minute`` or ``per_increment`` is the price of the time, ``acceptance`` that of the call; None is as in the
    version. Raises ``ValueError`` for a rule that cannot be read.
    """

    name: str
    when: tuple[str, ...]
    per_minute: Decimal | None = None
    per_increment: Decimal | None = None
    acceptance: Decimal | None = None
    rules: tuple[Rule, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a band needs a name")
        if not self.when:
            raise ValueError(f'band {self.name}: say when it holds, such as when = ["mon-fri 18:00-24:00"]')
        try:
            rules = tuple(map(Rule.parse, self.when))
        except ValueError as error:
            raise ValueError(f"band {self.name}: {error}") from None
        object.__setattr__(self, "rules", rules)

    def holds(self, local: datetime, holidays: frozenset[date]) -> bool:
        """Whether it holds at a time of the clock on the wall."""
        minute = local.hour * 60 + local.minute
        day = local.date()
        yesterday = day - _DAY
        kind = HOLIDAY if day in holidays else day.weekday()
        before = HOLIDAY if yesterday in holidays else yesterday.weekday()
        return any(rule.holds(kind, minute) or rule.holds(before, minute + _MINUTES) for rule in self.rules)
