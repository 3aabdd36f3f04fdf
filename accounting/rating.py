"""Rating: from connected nanoseconds to money. Pure; the only place where time and money are rounded."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from accounting.tariff import Tariff

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Rated:
    """What one connected call is billed: whole ``billed_seconds``, and ``amount`` in the tariff's currency."""

    billed_seconds: int
    amount: Decimal


def rate(duration_ns: int, tariff: Tariff) -> Rated:
    """Rate a call that was connected to an agent for ``duration_ns`` nanoseconds.

    Time is rounded once, up to the full increment, from the integer nanoseconds: 60.2 s are 120 s in 60/60, and
    one nanosecond beyond the minute is enough. A call connected for 0 ns costs the first increment all the same:
    it was connected. Calls that never reached an agent are not rated at all, so they never come here.

    The amount is an exact fraction until its one rounding, half up, to the tariff's digits.
    Raises ``ValueError`` if the duration is negative.
    """
    if duration_ns < 0:
        raise ValueError(f"duration {duration_ns} ns is negative")
    first, following = tariff.increment.first_seconds, tariff.increment.following_seconds
    beyond_first_ns = max(0, duration_ns - first * _SECOND)
    billed_seconds = first - -beyond_first_ns // (following * _SECOND) * following
    exact = Fraction(tariff.acceptance) + Fraction(tariff.per_minute) * billed_seconds / 60
    units = (2 * exact * 10**tariff.digits + 1) // 2  # ROUND_HALF_UP; amounts are never negative
    # Made from text: arithmetic would depend on the decimal context of whoever calls.
    return Rated(billed_seconds, Decimal(f"{units}E-{tariff.digits}"))
