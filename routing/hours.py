"""Opening hours: which variant of a contract holds at a moment, and why.

A rule says on which days and at what times of those days, as text: ``DAYS [TIMES]``::

    mon-fri 08:00-12:30 13:30-18:00     weekdays; "sat,sun" and "fri-mon" are weekdays too
    fri 22:00-06:00                     over midnight: the span belongs to the day on which it begins
    holiday                             public holidays, the whole day
    2026-12-21..2027-01-03              a period, both days included
    *-12-24 closed                      that day of every year: no hours at all
    2026-12-24 08:00-12:00              a date
    always                              what remains

**The most specific rule wins**, in this order: a date, a day of every year, a period, a public holiday, a weekday,
always. This is asked twice:

1. Within a variant the most specific rules that fit a day make its hours, and replace those of the less specific:
   with ``mon-fri 08:00-18:00`` and ``2026-12-24 08:00-12:00`` that Thursday afternoon is outside of the hours, and
   ``holiday closed`` closes on every holiday. Rules of the same kind add up.
2. Between variants whose hours cover the moment the more specific rule wins; of two equally specific ones that
   with the shorter span (a lunch break within the opening hours), then the one that stands first.

Times are what the clock on the wall shows in the schedule's time zone: in the night in which summer time begins
22:00-06:00 lasts seven hours, in that in which it ends nine.

Public holidays are those of the ``holidays`` package for a German state (ISO 3166-2:DE, such as BE). Those of single
towns are not among them, except Augsburg's; nor is Mariä Himmelfahrt in Bavaria: write ``*-08-15``.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import IntEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from holidays.countries.germany import Germany

#: The name of what a contract says itself, outside of its variants.
OWN = ""

#: German states, by the second part of ISO 3166-2.
STATES: tuple[str, ...] = tuple(Germany.subdivisions)

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MINUTES = 24 * 60
_DAY = timedelta(days=1)

_SPAN = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_YEARLY = re.compile(r"\*-([0-9]{2})-([0-9]{2})", re.ASCII)
#: Has every day of any year.
_LEAP_YEAR = 2000


class Days(IntEnum):
    """Kinds of days; the greater is the more specific."""

    ALWAYS = 0
    WEEKDAY = 1
    HOLIDAY = 2
    PERIOD = 3
    YEARLY = 4
    DATE = 5


@dataclass(frozen=True, slots=True)
class Span:
    """A time of day: minutes since midnight, ``end`` exclusive and up to a day later than ``start``."""

    start: int
    end: int

    def __str__(self) -> str:
        end = self.end if self.end <= _MINUTES else self.end - _MINUTES
        return f"{self.start // 60:02}:{self.start % 60:02}-{end // 60:02}:{end % 60:02}"


WHOLE_DAY = Span(0, _MINUTES)


@dataclass(frozen=True, slots=True)
class Rule:
    """Days and their spans; without spans there are no hours on these days.

    ``weekdays`` (0 is Monday) is for weekdays; ``first`` and ``last`` for dates, periods and days of every year, which
    are kept as days of the year 2000.
    """

    days: Days
    spans: tuple[Span, ...] = (WHOLE_DAY,)
    weekdays: tuple[int, ...] = ()
    first: date = date.min
    last: date = date.min

    def fits(self, day: date, is_holiday: bool) -> bool:
        """True if it says something of the day."""
        match self.days:
            case Days.ALWAYS:
                return True
            case Days.WEEKDAY:
                return day.weekday() in self.weekdays
            case Days.HOLIDAY:
                return is_holiday
            case Days.YEARLY:
                return (day.month, day.day) == (self.first.month, self.first.day)
            case _:
                return self.first <= day <= self.last

    def __str__(self) -> str:
        if not self.spans:
            return f"{self._days_text()} closed"
        if self.spans == (WHOLE_DAY,):
            return self._days_text()
        return " ".join((self._days_text(), *map(str, self.spans)))

    def _days_text(self) -> str:
        match self.days:
            case Days.WEEKDAY:
                return ",".join(_ranges(self.weekdays))
            case Days.YEARLY:
                return f"*-{self.first.month:02}-{self.first.day:02}"
            case Days.PERIOD:
                return f"{self.first}..{self.last}"
            case Days.DATE:
                return str(self.first)
            case _:
                return self.days.name.lower()


ALWAYS_RULE = Rule(Days.ALWAYS)


@dataclass(frozen=True, slots=True)
class Choice:
    """A variant whose hours cover a moment. ``day`` is the one that the span belongs to, ``holiday`` its name."""

    variant: str
    rule: Rule
    span: Span
    day: date
    holiday: str = ""

    def __str__(self) -> str:
        """Why it holds."""
        if self.rule.days is Days.ALWAYS:
            return str(self.rule)
        called = self.holiday if self.rule.days is Days.HOLIDAY else self.day.strftime("%A")
        return f"{self.rule} ({called}, {self.day})" if self.rule.days is not Days.DATE else f"{self.rule} ({called})"


@dataclass(frozen=True, slots=True)
class Schedule:
    """The hours of a contract's variants, by name in their order; the first is the contract's own.

    Without rules the contract's own hold always. ``state`` says whose public holidays count: one of ``STATES``, or
    "" for none. Where nothing covers a moment the contract's own plan holds nevertheless.
    """

    zone: ZoneInfo
    state: str
    hours: tuple[tuple[str, tuple[Rule, ...]], ...]

    def at(self, moment: datetime) -> Choice:
        """What holds at an aware datetime: always exactly one."""
        return self.covering(moment)[0]

    def covering(self, moment: datetime) -> list[Choice]:
        """Every variant's most specific hours that cover the moment, the winner first; never empty."""
        local = moment.astimezone(self.zone)
        today = local.date()
        minute = local.hour * 60 + local.minute
        found = []
        for order, (name, rules) in enumerate(self.hours):
            best = min(self._fitting(name, rules, today, minute), key=_rank, default=None)
            if best is not None:
                found.append((_rank(best), order, best))
        if not found:
            return [Choice(OWN, ALWAYS_RULE, WHOLE_DAY, today)]
        found.sort(key=lambda item: item[:2])
        return [choice for _, _, choice in found]

    def _fitting(self, name: str, rules: tuple[Rule, ...], today: date, minute: int) -> Iterator[Choice]:
        if not rules and name == OWN:
            rules = (ALWAYS_RULE,)
        # a span that began yesterday may reach into today
        for day, at in ((today, minute), (today - _DAY, minute + _MINUTES)):
            holiday = _holidays(self.state, day.year).get(day, "") if self.state else ""
            fitting = [rule for rule in rules if rule.fits(day, bool(holiday))]
            most = max((rule.days for rule in fitting), default=None)
            for rule in fitting:
                if rule.days is most:
                    for span in rule.spans:
                        if span.start <= at < span.end:
                            yield Choice(name, rule, span, day, holiday)


def _rank(choice: Choice) -> tuple[int, int]:
    return -choice.rule.days, choice.span.end - choice.span.start


@lru_cache(256)
def _holidays(state: str, year: int) -> Mapping[date, str]:
    return dict(Germany(subdiv=state, years=year, expand=False, language="de").items())


# -- as text ---------------------------------------------------------------------------------------------


def parse_rule(text: str) -> Rule:
    """A rule as the back office writes it. Raises ``ValueError`` that says what is wrong."""
    words = text.lower().split()
    if not words:
        raise ValueError('is empty; write days and times, such as "mon-fri 08:00-18:00"')
    rule = _days(words[0])
    times = [word.rstrip(",") for word in words[1:]]
    if times == ["closed"]:
        spans: tuple[Span, ...] = ()
    elif times:
        spans = tuple(sorted(map(_span, times), key=lambda span: (span.start, span.end)))
    else:
        spans = (WHOLE_DAY,)
    if rule.days is Days.ALWAYS and spans != (WHOLE_DAY,):
        raise ValueError(f'{text!r}: always has no times; for every day write "mon-sun ..."')
    return Rule(rule.days, spans, rule.weekdays, rule.first, rule.last)


def _days(word: str) -> Rule:
    if word in ("always", "holiday"):
        return Rule(Days[word.upper()])
    if yearly := _YEARLY.fullmatch(word):
        day = _date(f"{_LEAP_YEAR}-{yearly[1]}-{yearly[2]}")
        return Rule(Days.YEARLY, first=day, last=day)
    if ".." in word:
        first, _, last = word.partition("..")
        since, until = _date(first), _date(last)
        if until < since:
            raise ValueError(f"{word!r} ends before it begins")
        return Rule(Days.PERIOD, first=since, last=until)
    if word[:1].isdigit():
        day = _date(word)
        return Rule(Days.DATE, first=day, last=day)
    return Rule(Days.WEEKDAY, weekdays=tuple(sorted({day for part in word.split(",") for day in _weekdays(part)})))


def _weekdays(part: str) -> Iterator[int]:
    first, dash, last = part.partition("-")
    try:
        start = WEEKDAYS.index(first)
        end = WEEKDAYS.index(last) if dash else start
    except ValueError:
        raise ValueError(
            f"{part!r} is no day: write mon to sun, mon-fri, holiday, 2026-12-24, *-12-24, "
            "2026-12-21..2027-01-03 or always"
        ) from None
    for step in range((end - start) % 7 + 1):
        yield (start + step) % 7


def _date(text: str) -> date:
    try:
        day = date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None or not 1900 <= day.year < 3000:
        raise ValueError(f"{text!r} is no date, such as 2026-12-24")
    return day


def _span(text: str) -> Span:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time: write 08:00-18:00, or closed")
    start, end = int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])
    if start >= _MINUTES or end > _MINUTES:
        raise ValueError(f"{text!r}: the day ends at 24:00")
    if start == end:
        raise ValueError(f"{text!r} lasts no time; for the whole day write no times")
    return Span(start, end if end > start else end + _MINUTES)


def _ranges(weekdays: tuple[int, ...]) -> Iterator[str]:
    """Three and more in a row as a range."""
    rest = list(weekdays)
    while rest:
        length = 1
        while length < len(rest) and rest[length] == rest[0] + length:
            length += 1
        row, rest = rest[:length], rest[length:]
        if length >= 3:
            yield f"{WEEKDAYS[row[0]]}-{WEEKDAYS[row[-1]]}"
        else:
            yield from (WEEKDAYS[day] for day in row)
