"""What stands on every page of whoever sends statements; it is no part of what is billed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Letterhead:
    """``issuer`` is the name and the lines of the address, ``footer`` the lines beneath: tax number, bank.

    ``payment_days``: how long the customer has to pay; 0 says nothing of it.
    """

    issuer: tuple[str, ...] = ()
    footer: tuple[str, ...] = ()
    payment_days: int = 0
