"""Tariffs: what a connected call costs. Pure values; money is :class:`decimal.Decimal`."""

import re
from dataclasses import dataclass
from decimal import Decimal

_INCREMENT = re.compile(r"([0-9]{1,5})/([0-9]{1,5})\Z")
_CURRENCY = re.compile(r"[A-Z]{3}\Z")

#: Prices are kept with at most this many places behind the point, below ten to this power.
PRICE_DIGITS = 6
_UNITS: int = 10**PRICE_DIGITS


@dataclass(frozen=True, slots=True)
class Increment:
    """The billing increment (Takt): seconds of the first unit and of each following one, both at least 1."""

    first_seconds: int
    following_seconds: int

    def __post_init__(self) -> None:
        if self.first_seconds < 1 or self.following_seconds < 1:
            raise ValueError(f"increment {self}: both units must be at least 1 second")

    @classmethod
    def parse(cls, text: str) -> "Increment":
        """Read "60/60", "60/1" or "1/1". Raises ``ValueError``."""
        match = _INCREMENT.match(text)
        if match is None:
            raise ValueError(f"increment {text!r} is not FIRST/FOLLOWING in seconds, such as 60/60")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.first_seconds}/{self.following_seconds}"


@dataclass(frozen=True, slots=True)
class Tariff:
    """What a connected call costs: ``acceptance`` once, and ``per_minute`` for the billed seconds.

    Prices are in ``currency`` (ISO 4217). The amount of a call is rounded once, at the very end, to ``digits``
    places, half a unit up (ROUND_HALF_UP, the merchants' rounding). A new price is a tariff with a new name:
    each call keeps the name it was made under, so old statements stay as they were.
    """

    name: str
    per_minute: Decimal
    increment: Increment
    acceptance: Decimal = Decimal(0)
    currency: str = "EUR"
    digits: int = 2

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a tariff needs a name")
        if not _CURRENCY.match(self.currency):
            raise ValueError(f"tariff {self.name}: currency {self.currency!r} is not an ISO 4217 code")
        if not 0 <= self.digits <= PRICE_DIGITS:
            raise ValueError(f"tariff {self.name}: digits must be from 0 to {PRICE_DIGITS}")
        for what, price in (("per_minute", self.per_minute), ("acceptance", self.acceptance)):
            if not _is_price(price):
                raise ValueError(
                    f"tariff {self.name}: {what} {price} must be from 0 to below 10^{PRICE_DIGITS} "
                    f"with at most {PRICE_DIGITS} places"
                )


def _is_price(price: Decimal) -> bool:
    """The store keeps Numeric(12, 6): what is rated must be what was written down."""
    if not price.is_finite() or not 0 <= price < _UNITS:
        return False
    return _UNITS % price.as_integer_ratio()[1] == 0
