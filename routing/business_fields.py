"""What the tables of the business file have in common: names, moments, and how strictly they are read."""

from datetime import UTC, date, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, ConfigDict, StringConstraints, ValidationInfo

from routing.plan import REFUSALS

#: How each table of the file is read. Input is never shown: there are passwords in it.
STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


def printable(value: str) -> str:
    """Text of one line. Raises ``ValueError``."""
    if not value.isprintable() or value != value.strip():
        raise ValueError("must have no control characters, and no spaces at its ends")
    return value


def refusal_status(value: int) -> int:
    """One of the statuses that a caller may be told. Raises ``ValueError``."""
    if value not in REFUSALS:
        known = ", ".join(f"{status} {meaning}" for status, meaning in REFUSALS.items())
        raise ValueError(f"{value} is none of {known}")
    return value


def _moment(value: object, info: ValidationInfo) -> datetime:
    """TOML's dates and times, all as UTC; a date means its beginning in the file's time zone."""
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day)
    else:
        raise ValueError("must be a date or a date with time, without quotes, such as 2025-01-31")
    if not 1900 <= moment.year < 3000:
        raise ValueError(f"the year {moment.year} is not of our time")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone_of(info.context))
    return moment.astimezone(UTC)


def zone_of(context: Any) -> ZoneInfo:
    """The zone in a validation's context."""
    zone = context["zone"]
    assert isinstance(zone, ZoneInfo)
    return zone


Name = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(printable)]
Moment = Annotated[datetime, BeforeValidator(_moment)]
