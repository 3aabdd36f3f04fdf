"""Checkpoints: signed statements of where the journal's chain stood. Pure.

Whoever has the database could write the whole chain anew, hashes and all. He cannot sign it anew without the key, and
nobody can once a checkpoint has left the house, on a statement or in an export: Ed25519 (RFC 8032).
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from accounting.chain import GENESIS, Disagreement, canonical

Purpose = Literal["hourly", "statement"]

#: What is signed begins so: a signature for anything else cannot be taken for one.
_PREFIX = "b2bua checkpoint 1\n"
_HASH = re.compile(r"[0-9a-f]{64}\Z")
_SIGNATURE = re.compile(r"[0-9a-f]{128}\Z")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The journal's record ``position`` has this ``hash``.

    ``number`` counts from 1, ``previous`` is the digest of the checkpoint before (64 zeros for the first), so none
    of them can be left out. ``statement`` is the digest of the statement issued with it, empty in an hourly one;
    ``key`` is the fingerprint of the key, ``signature`` 128 hexadecimal digits.
    """

    number: int
    position: int
    hash: str
    wall_ns: int
    purpose: Purpose
    statement: str
    previous: str
    key: str
    signature: str

    @property
    def message(self) -> bytes:
        """What is signed: a prefix, and everything but the signature as canonical JSON."""
        return (_PREFIX + canonical(self.body)).encode()

    @property
    def body(self) -> dict[str, str | int]:
        """Everything but the signature."""
        body = asdict(self)
        del body["signature"]
        return body

    @property
    def digest(self) -> str:
        """SHA-256 of what is signed, 64 hexadecimal digits: the next checkpoint's ``previous``."""
        return hashlib.sha256(self.message).hexdigest()


def read_checkpoint(fields: Mapping[str, Any]) -> Checkpoint:
    """Make a checkpoint of what a file says. Raises ``ValueError`` for anything that cannot be one."""
    if set(fields) != set(Checkpoint.__slots__):
        raise ValueError(f"a checkpoint has the fields {', '.join(sorted(Checkpoint.__slots__))}")
    made = Checkpoint(**fields)
    if not all(type(value) is int and 0 <= value < 2**63 for value in (made.number, made.position, made.wall_ns)):
        raise ValueError("a checkpoint's number, position and wall_ns are whole numbers")
    hashes = (made.hash, made.previous, made.key, *([made.statement] if made.statement != "" else []))
    if not all(isinstance(value, str) and _HASH.match(value) for value in hashes):
        raise ValueError("a checkpoint's hash, previous, key and statement are 64 lower-case hexadecimal digits")
    if not (isinstance(made.signature, str) and _SIGNATURE.match(made.signature)):
        raise ValueError("a checkpoint's signature is 128 lower-case hexadecimal digits")
    if made.purpose not in get_args(Purpose):
        raise ValueError(f"a checkpoint's purpose is one of {', '.join(get_args(Purpose))}")
    return made


def fingerprint(key: Ed25519PublicKey) -> str:
    """SHA-256 of the 32 bytes of a public key, 64 hexadecimal digits."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()


class Signer:
    """Signs checkpoints with one key."""

    __slots__ = ("_key", "fingerprint")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.fingerprint = fingerprint(key.public_key())

    @property
    def public_key(self) -> Ed25519PublicKey:
        """The half that everybody may have."""
        return self._key.public_key()

    def sign(
        self, position: int, record_hash: str, wall_ns: int, purpose: Purpose, statement: str, before: Checkpoint | None
    ) -> Checkpoint:
        """The checkpoint after ``before``, at a record of the journal."""
        fields = (
            before.number + 1 if before is not None else 1, position, record_hash, wall_ns, purpose, statement,
            before.digest if before is not None else GENESIS, self.fingerprint,
        )  # fmt: skip
        message = Checkpoint(*fields, signature="").message
        return Checkpoint(*fields, signature=self._key.sign(message).hex())


class PublicKeys:
    """The keys that are trusted: of today, and those of earlier times."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Iterable[Ed25519PublicKey]) -> None:
        self._keys = {fingerprint(key): key for key in keys}

    def __len__(self) -> int:
        return len(self._keys)

    def check(self, checkpoint: Checkpoint) -> None:
        """Raises :class:`Disagreement` unless one of these keys signed the checkpoint as it stands."""
        key = self._keys.get(checkpoint.key)
        what = f"checkpoint {checkpoint.number}"
        if key is None:
            raise Disagreement(
                checkpoint.position, "wrong",
                f"{what} was signed with the key {checkpoint.key[:16]}..., which is none of those you trust",
            )  # fmt: skip
        try:
            key.verify(bytes.fromhex(checkpoint.signature), checkpoint.message)
        except InvalidSignature:
            raise Disagreement(
                checkpoint.position, "changed", f"{what} is not what was signed: it was changed, or forged"
            ) from None
