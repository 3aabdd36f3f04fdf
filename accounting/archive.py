"""The journal as a file: canonical JSON, one object a line, for auditors and for keeping.

The first line is a header, then come records, each checkpoint right after the record that it signs, and a line that
says where it ends. ``docs/verifying-a-bill.md`` has the format to the byte.
"""

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from heapq import merge
from pathlib import Path
from typing import IO, Any, cast

import orjson
from sqlalchemy import Connection

from accounting.chain import GENESIS, ChainedRecord, canonical
from accounting.checkpoint import Checkpoint, read_checkpoint
from accounting.checkpoint_store import read_checkpoints
from accounting.store import read_records

Entry = ChainedRecord | Checkpoint

FORMAT = "b2bua journal"
VERSION = 1
#: Longest line that is read: a record is some hundred octets, a statement of tariffs some thousands.
MOST_OCTETS = 16 * 1024 * 1024

_TEXTS = ("run", "kind", "call_id", "content", "personal", "hash")
_NUMBERS = ("position", "sequence", "at_ns", "wall_ns")


class ArchiveError(Exception):
    """An exported journal cannot be read. ``position`` is that of the record that should stand there."""

    def __init__(self, line: int, position: int, reason: str) -> None:
        super().__init__(f"line {line}, where record {position} should be: {reason}")
        self.line = line
        self.position = position
        self.reason = reason


def at_one_instant(connection: Connection) -> Connection:
    """This connection, reading from now on what the database is at one instant, whatever is written meanwhile."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN")
        return connection
    return connection.execution_options(isolation_level="REPEATABLE READ")


def read_entries(connection: Connection) -> Iterator[Entry]:
    """Records and checkpoints of a database, in the order of an export."""
    # A checkpoint comes after the record it signs. One for a record that is not there comes last.
    signed = (((item.position, 1), item) for item in read_checkpoints(connection))
    records = (((item.position, 0), item) for item in read_records(connection))
    for _, entry in merge(records, signed, key=lambda pair: pair[0]):
        yield cast(Entry, entry)


def write_archive(path: Path, entries: Iterable[Entry], wall_ns: int, *, personal: bool = True) -> tuple[int, int]:
    """Write an export; compressed if the name ends in ``.gz``. Returns how many records and checkpoints.

    Without ``personal`` data no number of a caller or forwarding line leaves the house; the chain holds all the same.
    Raises ``OSError``. What is there under this name is replaced once everything is written.
    """
    beside = path.with_name(f".{path.name}.part")
    packed = path.suffix == ".gz"
    try:
        # It may hold the numbers of callers: for its owner only.
        with (
            os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as raw,
            gzip.GzipFile(path.stem, "wb", 6, raw) if packed else raw as file,
        ):
            counts = _write(cast(IO[bytes], file), entries, wall_ns, personal)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return counts


def _write(file: IO[bytes], entries: Iterable[Entry], wall_ns: int, personal: bool) -> tuple[int, int]:
    def line(name: str, fields: dict[str, Any]) -> None:
        file.write(canonical({name: fields}).encode() + b"\n")

    made = {"personal": personal, "wall_ns": wall_ns}
    line("header", {"format": FORMAT, "version": VERSION, **made})
    position = signed = 0
    end = GENESIS
    for entry in entries:
        if isinstance(entry, Checkpoint):
            signed += 1
            line("checkpoint", {**entry.body, "signature": entry.signature})
        else:
            position, end = entry.position, entry.hash
            line("record", asdict(entry if personal else replace(entry, personal="")))
    # the header once more: a bit of it that was changed is found too
    line("end", {"position": position, "hash": end, "checkpoints": signed, **made})
    return position, signed


def read_archive(path: Path) -> Iterator[Entry]:
    """Records and checkpoints of an export, read as they are consumed, in the order in which they stand there.

    Each line is exactly what :func:`write_archive` would write, octet by octet; whether the records are true is for
    :mod:`accounting.audit`. Raises ``OSError`` and :class:`ArchiveError`.
    """
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        reader = _Reader()
        file = cast(IO[bytes], gzip.GzipFile(fileobj=raw, mode="rb")) if packed else cast(IO[bytes], raw)
        try:
            while text := file.readline(MOST_OCTETS + 1):
                entry = reader.take(text)
                if entry is not None:
                    yield entry
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise reader.fault(f"the file is damaged: {error}") from error
        reader.finish()


class _Reader:
    """Where in the file we are."""

    def __init__(self) -> None:
        self._line = 0
        self._position = 0
        self._hash = GENESIS
        self._signed = 0
        self._made: dict[str, Any] = {}
        self._ended = False

    def fault(self, reason: str) -> ArchiveError:
        return ArchiveError(self._line, self._position + 1, reason)

    def take(self, text: bytes) -> Entry | None:
        self._line += 1
        if self._ended:
            raise self.fault("something stands after the last line")
        if len(text) > MOST_OCTETS:
            raise self.fault(f"the line is longer than {MOST_OCTETS} octets")
        if not text.endswith(b"\n"):
            raise self.fault("the line is cut off")
        name, fields = self._parse(text)
        if (name == "header") != (self._line == 1):
            raise self.fault("the file must begin with its header, and have no other: is it an exported journal?")
        if name == "header":
            if fields.pop("format", None) != FORMAT or fields.pop("version", None) != VERSION:
                raise self.fault(f"this is no {FORMAT} of version {VERSION}")
            self._made = fields
            return None
        if name == "checkpoint":
            self._signed += 1
            try:
                return read_checkpoint(fields)
            except ValueError as error:
                raise self.fault(f"{error}") from error
        if name == "record":
            return self._record(fields)
        if name == "end":
            self._end(fields)
            return None
        raise self.fault(f"{name!r} is none of header, record, checkpoint, end")

    def _parse(self, text: bytes) -> tuple[str, dict[str, Any]]:
        try:
            value = orjson.loads(text)
            exact = canonical(value).encode() + b"\n" == text
        except (ValueError, TypeError) as error:
            raise self.fault(f"this is no JSON: {error}") from error
        if not exact:
            raise self.fault("this is not canonical JSON: it was changed, or written by something else")
        if not (isinstance(value, dict) and len(value) == 1):
            raise self.fault("each line is an object with one name")
        ((name, fields),) = value.items()
        if not isinstance(fields, dict):
            raise self.fault(f"{name} must be an object")
        return name, fields

    def _record(self, fields: dict[str, Any]) -> ChainedRecord:
        if set(fields) != set(ChainedRecord.__slots__):
            raise self.fault(f"a record has the fields {', '.join(sorted(ChainedRecord.__slots__))}")
        if not all(type(fields[name]) is str for name in _TEXTS):
            raise self.fault(f"{', '.join(_TEXTS)} of a record are text")
        if not all(type(fields[name]) is int and abs(fields[name]) < 2**63 for name in _NUMBERS):
            raise self.fault(f"{', '.join(_NUMBERS)} of a record are whole numbers")
        record = ChainedRecord(**fields)
        self._position, self._hash = record.position, record.hash
        return record

    def _end(self, fields: dict[str, Any]) -> None:
        self._ended = True
        here = {"position": self._position, "hash": self._hash, "checkpoints": self._signed}
        if any(fields.get(name) != value for name, value in self._made.items()):
            raise self.fault("the header is not the one that the file was written with")
        if fields != {**here, **self._made}:
            raise self.fault(
                f"the file should end with record {fields.get('position')} and {fields.get('checkpoints')} checkpoints"
            )

    def finish(self) -> None:
        if not self._ended:
            self._line += 1
            raise self.fault("the file ends without its last line: something was cut off")
