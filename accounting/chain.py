"""The hash chain of the journal: each record's hash covers its content and the hash before it. Pure.

Whoever changes, removes or moves a record changes every hash after it, the signed ones among them
(:mod:`accounting.checkpoint`).
"""

import hashlib
from dataclasses import dataclass

import orjson

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
