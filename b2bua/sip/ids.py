"""Identifiers from a source of randomness that a test can seed."""

import os
import random
from typing import Protocol

#: Octets taken from the operating system at a time.
_BLOCK = 4096


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


class SystemIds:
    """Unguessable identifiers from the operating system, drawn a block at a time: a system call each costs more
    than the identifier."""

    __slots__ = ("_at", "_block")

    def __init__(self) -> None:
        self._block = ""
        self._at = 0

    def _digits(self, count: int) -> str:
        at = self._at
        end = at + count
        if end > len(self._block):
            self._block = os.urandom(_BLOCK).hex()
            at, end = 0, count
        self._at = end
        return self._block[at:end]

    def branch(self) -> str:
        return "z9hG4bK" + self._digits(20)

    def tag(self) -> str:
        return self._digits(16)

    def call_id(self) -> str:
        return self._digits(32)

    def number(self, bits: int) -> int:
        return int(self._digits((bits + 3) // 4), 16) >> (-bits % 4)
