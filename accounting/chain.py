"""The hash chain of the journal: each record's hash covers its content and the hash before it. Pure.

Whoever changes, removes or moves a record changes every hash after it, the signed ones among them
(:mod:`accounting.checkpoint`).
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import orjson

How = Literal["changed", "removed", "moved", "added", "wrong"]

#: What stands before the first record.
GENESIS = "0" * 64


def canonical(value: object) -> str:
    """JSON that is the same for the same value: sorted keys, no spaces, nothing escaped that need not be.

    Text, integers of 64 bits, booleans, null, lists and objects; floats as they are shortest. Raises ``TypeError``
    for anything else.
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


@dataclass(frozen=True, slots=True)
class ChainedRecord:
    """A record of the journal as it lies in the database or in an export.

    ``position`` counts from 1 without gaps; ``(run, sequence)`` is the idempotency key; ``content`` is canonical
    JSON, an object. ``personal`` is beside the chain: JSON with salt and numbers, empty when there are none or
    they were forgotten.
    """

    position: int
    run: str
    sequence: int
    kind: str
    call_id: str
    at_ns: int
    wall_ns: int
    content: str
    personal: str
    hash: str


def record_hash(
    previous: str,
    position: int,
    run: str,
    sequence: int,
    kind: str,
    call_id: str,
    at_ns: int,
    wall_ns: int,
    content: str,
) -> str:
    """SHA-256, 64 hexadecimal digits, of the hash before and the record as canonical JSON.

    ``content`` is canonical already: it is put in between as it is, for a record is hashed at every commit.
    """
    text = (
        f'{previous}{{"at_ns":{at_ns},"call_id":{canonical(call_id)},"content":{content},"kind":{canonical(kind)},'
        f'"position":{position},"run":{canonical(run)},"sequence":{sequence},"wall_ns":{wall_ns}}}'
    )
    return hashlib.sha256(text.encode()).hexdigest()


def digest(salt: str, field: str, value: str) -> str:
    """What stands in the chain for a telephone number: salted, so that it cannot be found by trying all numbers.

    Empty for an empty value. Once the salt is forgotten, so is the number.
    """
    return hashlib.sha256(f"{salt}:{field}:{value}".encode()).hexdigest() if value else ""


class Disagreement(Exception):  # noqa: N818 - an outcome of an audit, not a mistake of the program
    """The journal, or something that follows from it, is not what it says it is.

    ``position`` is that of the first record that disagrees (0: none in particular), ``call_id`` its call, ``how`` one
    of "changed", "removed", "moved", "added", and "wrong" for what was never right; ``reason`` is a sentence.
    """

    def __init__(self, position: int, how: How, reason: str, call_id: str = "") -> None:
        of_call = f", call {call_id}" if call_id else ""
        super().__init__(f"record {position}{of_call}: {reason}" if position else reason)
        self.position = position
        self.call_id = call_id
        self.how = how
        self.reason = reason


class Chain:
    """Follows the chain record by record. ``position`` and ``hash`` are those of the last record taken."""

    __slots__ = ("hash", "position")

    def __init__(self, position: int = 0, from_hash: str = GENESIS) -> None:
        self.position = position
        self.hash = from_hash

    def fits(self, record: ChainedRecord) -> bool:
        """True, and the record is taken, if it is the next one."""
        if record.position != self.position + 1 or self._hash(record, record.position) != record.hash:
            return False
        self.position += 1
        self.hash = record.hash
        return True

    def explain(self, record: ChainedRecord, rest: Iterable[ChainedRecord]) -> Disagreement:
        """Why this record, which does not fit, does not; ``rest`` are those after it, read only if need be."""
        expected = self.position + 1
        stated = record.position
        subject = record.call_id
        if stated == expected:
            return Disagreement(expected, "changed", "is not what its hash was made of: it was changed", subject)
        if self._hash(record, expected) == record.hash:
            return Disagreement(
                expected, "changed", f"calls itself {stated}: its position was changed", subject
            )  # fmt: skip
        if stated < expected:
            return Disagreement(stated, "added", f"stands a second time after record {self.position}", subject)
        here = again = False
        for other in rest:
            here = here or other.position == expected
            again = again or other.position == stated
        if again:
            return Disagreement(
                stated, "added", f"stands after record {self.position} as well as in its place", subject
            )  # fmt: skip
        if here:
            return Disagreement(expected, "moved", f"is not in its place: there is record {stated}")
        last = f" to {stated - 1}" if stated - 1 > expected else ""
        return Disagreement(expected, "removed", f"is missing{last and ', with all' + last}: it was removed")

    def _hash(self, record: ChainedRecord, position: int) -> str:
        return record_hash(
            self.hash, position, record.run, record.sequence, record.kind, record.call_id, record.at_ns,
            record.wall_ns, record.content,
        )  # fmt: skip


def verify(records: Iterable[ChainedRecord], from_hash: str = GENESIS, position: int = 0) -> Iterator[ChainedRecord]:
    """Pass the records on while the chain holds. Raises :class:`Disagreement` at the first that does not fit.

    ``position`` and ``from_hash`` are those of the record before the first.
    """
    chain = Chain(position, from_hash)
    rest = iter(records)
    for record in rest:
        if not chain.fits(record):
            raise chain.explain(record, rest)
        yield record
