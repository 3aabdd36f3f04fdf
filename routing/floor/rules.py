"""The rules of a floor, and the source of its random order."""

from dataclasses import dataclass
from typing import Protocol

#: Who comes back to a queue after a missed or refused offer stays out at least that long (seconds), or a phone
#: that is always busy would be offered all waiting callers one after the other at the speed of the network.
SHORTEST_DELAY_IN_QUEUE = 2.0


@dataclass(frozen=True, slots=True)
class FloorRules:
    """What holds for all agents and callers. Seconds; 0 is never or not at all.

    After an offer that failed the agent gets none for ``declined_delay``, ``busy_delay``, ``no_answer_delay`` or
    ``unreachable_delay``. ``missed_before_break`` unanswered offers in a row, ring-all not counted, send an agent on
    a break. One priority is worth ``seconds_per_priority`` of waiting, so nobody starves: who is p priorities behind
    is served before everybody who came p * ``seconds_per_priority`` later. Positions are told at most every
    ``position_seconds``. ``handling_seconds`` is how long a call is expected to take before any has been seen.
    Callers whose last agent got out of reach are kept for ``unreachable_grace`` seconds: phones re-register.
    """

    declined_delay: float = 0.0
    busy_delay: float = 0.0
    no_answer_delay: float = 0.0
    unreachable_delay: float = 0.0
    missed_before_break: int = 0
    seconds_per_priority: float = 60.0
    position_seconds: float = 10.0
    handling_seconds: float = 180.0
    unreachable_grace: float = 10.0


class NumberSource(Protocol):
    """Where random order comes from."""

    def number(self, bits: int) -> int:
        """A uniform integer of ``bits`` bits."""


class Shuffle:
    """A repeatable source; who is rung first is no secret. Xorshift64* of Vigna, "An experimental exploration of
    Marsaglia's xorshift generators" (2016)."""

    __slots__ = ("_state",)

    def __init__(self, seed: int = 1) -> None:
        self._state = (seed * 0x9E3779B97F4A7C15 | 1) & 0xFFFF_FFFF_FFFF_FFFF

    def number(self, bits: int) -> int:
        """A uniform integer of up to 64 ``bits``."""
        state = self._state
        state ^= state >> 12
        state ^= state << 25 & 0xFFFF_FFFF_FFFF_FFFF
        state ^= state >> 27
        self._state = state
        return (state * 0x2545F4914F6CDD1D & 0xFFFF_FFFF_FFFF_FFFF) >> (64 - bits)
