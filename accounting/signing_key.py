"""The key that signs checkpoints: a PEM file that nobody else may read."""

import os
from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from accounting.checkpoint import PublicKeys, Signer

_MOST_OCTETS = 65_536


class KeyFileError(Exception):
    """A key's file cannot be used; the text says what to do."""


def load_signer(path: Path) -> Signer:
    """The key of this file; made, readable by its owner only, if there is none. Raises KeyFileError."""
    try:
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            return _make(path)
        if os.name == "posix" and mode & 0o077:
            raise KeyFileError(
                f"signing key {path} can be read by others (mode {mode & 0o777:04o}), and whoever reads it can sign "
                f"false books: chmod 600 {path}"
            )
        key = load_pem_private_key(_read(path), None)
    except OSError as error:
        raise KeyFileError(f"signing key {path} cannot be read or made: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"signing key {path} is no Ed25519 key in PEM without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"signing key {path} is another kind of key than Ed25519")
    return Signer(key)


def _make(path: Path) -> Signer:
    """Two processes may come here at once: the one that is late takes the other's key."""
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    # Written whole under another name first: nobody may find half a key, and no key may ever be written over.
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(beside, path)
        except FileExistsError:
            return load_signer(path)
    finally:
        beside.unlink()
    return Signer(key)


def public_pem(key: Ed25519PublicKey) -> str:
    """The public key as PEM: what customers and auditors get."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def load_public_keys(paths: Iterable[Path]) -> PublicKeys:
    """The public keys of these files, one or several in each. Raises KeyFileError."""
    keys: list[Ed25519PublicKey] = []
    for path in paths:
        try:
            text = _read(path)
        except OSError as error:
            raise KeyFileError(f"public key {path} cannot be read: {error.strerror}") from error
        if b"PRIVATE KEY" in text:
            raise KeyFileError(
                f"{path} is a private key: give it to nobody; `b2bua accounting public-key` shows the other"
            )
        end = b"-----END PUBLIC KEY-----"
        parts = text.split(end)[:-1]
        if not parts:
            raise KeyFileError(f"public key {path} is not PEM")
        for part in parts:
            try:
                key = load_pem_public_key(part + end + b"\n")
            except (ValueError, UnsupportedAlgorithm) as error:
                raise KeyFileError(f"public key {path} cannot be understood") from error
            if not isinstance(key, Ed25519PublicKey):
                raise KeyFileError(f"public key {path} is another kind of key than Ed25519")
            keys.append(key)
    return PublicKeys(keys)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MOST_OCTETS)
