"""Identifiers from a source of randomness that a test can seed."""

import random
import secrets
from typing import Protocol


class IdSource(Protocol):
    """Gives the random identifiers that SIP needs (RFC 3261 section 19.3: at least 32 bits of randomness)."""

    def branch(self) -> str:
        """A Via branch with the RFC 3261 magic cookie."""

    def tag(self) -> str:
        """A From or To tag."""

    def call_id(self) -> str:
        """A Call-ID without a host part, which would tell strangers where we live."""

    def number(self, bits: int) -> int:
        """A uniform integer of ``bits`` bits."""


class _Ids:
    """Cuts identifiers from a random bit source."""

    __slots__ = ("_bits",)

    def __init__(self, source: random.Random) -> None:
        self._bits = source.getrandbits

    def branch(self) -> str:
        return f"z9hG4bK{self._bits(80):020x}"

    def tag(self) -> str:
        return f"{self._bits(64):016x}"

    def call_id(self) -> str:
        return f"{self._bits(128):032x}"

    def number(self, bits: int) -> int:
        return self._bits(bits)


class SeededIds(_Ids):
    """Repeatable identifiers for tests and the simulation."""

    def __init__(self, seed: int) -> None:
        super().__init__(random.Random(seed))


class SystemIds(_Ids):
    """Unguessable in production, at the price of a Mersenne Twister: the generator is reseeded from the
    operating system at start, and every ``reseed_every`` identifiers its state is replaced, so that
    observed identifiers never add up to the 624 words that would reveal it.
    """

    __slots__ = ("_left", "_random", "_reseed_every")

    def __init__(self, reseed_every: int = 64) -> None:
        self._random = random.Random(secrets.randbits(256))
        self._reseed_every = reseed_every
        self._left = reseed_every
        super().__init__(self._random)
        draw = self._random.getrandbits

        def bits(count: int) -> int:
            self._left -= 1
            if self._left <= 0:
                self._random.seed(secrets.randbits(256))
                self._left = self._reseed_every
            return draw(count)

        self._bits = bits
