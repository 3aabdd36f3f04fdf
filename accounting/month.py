"""Calendar months, by the midnights of a time zone. Pure but for the time zones' files."""

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

BERLIN = ZoneInfo("Europe/Berlin")

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A calendar month."""

    year: int
    month: int

    def __post_init__(self) -> None:
        if not (1970 <= self.year <= 9998 and 1 <= self.month <= 12):
            raise ValueError(f"there is no month {self.year}-{self.month}")

    @classmethod
    def parse(cls, text: str) -> "Month":
        """Read "2025-07". Raises ``ValueError``."""
        year, dash, month = text.partition("-")
        if not (dash and len(year) == 4 and len(month) == 2 and (year + month).isascii() and (year + month).isdigit()):
            raise ValueError(f"{text!r} is not a month such as 2025-07")
        return cls(int(year), int(month))

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"

    def bounds_ns(self, timezone: ZoneInfo = BERLIN) -> tuple[int, int]:
        """The month's first nanosecond and the next month's, wall clock since 1970, by that zone's midnight."""
        following = Month(self.year + self.month // 12, self.month % 12 + 1)
        return _midnight_ns(self, timezone), _midnight_ns(following, timezone)

    def window_ns(self, timezone: ZoneInfo = BERLIN) -> tuple[int, int]:
        """Between when calls of this month's statement have started: nobody waits longer than a day for an answer."""
        since, until = self.bounds_ns(timezone)
        return since - 86_400 * _SECOND, until


def _midnight_ns(month: Month, timezone: ZoneInfo) -> int:
    local = datetime(month.year, month.month, 1, tzinfo=timezone)
    return calendar.timegm(local.astimezone(UTC).timetuple()) * _SECOND
