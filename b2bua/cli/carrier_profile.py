"""How one carrier writes its list of calls: a profile in TOML, and the rows sorted outside of the memory."""

import sqlite3
import tomllib
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from accounting.carrier import CarrierCall, CarrierError, Layout
from accounting.carrier import Field as Column

_BLOCK = 1 << 20
_BATCH = 5000


class Profile(BaseModel):
    """Everything that can be said about a carrier's file; what is left out is found out."""

    model_config = ConfigDict(extra="forbid", strict=True)

    columns: dict[Column, str | int] = Field(default_factory=dict)
    only: dict[str, str] = Field(default_factory=dict)
    delimiter: str = Field(default="", max_length=1)
    encoding: str = ""
    decimal: Literal["", ",", "."] = ""
    date_format: str = ""
    duration_unit: Literal["", "seconds", "minutes", "milliseconds"] = ""
    time_zone: str = "Europe/Berlin"
    trunk: str = ""
    tolerance: float = Field(default=2.0, ge=0, le=3600)
    window: float = Field(default=30.0, gt=0, le=3600)

    @field_validator("time_zone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"there is no time zone {value!r}") from error
        return value

    @field_validator("encoding")
    @classmethod
    def _is_encoding(cls, value: str) -> str:
        try:
            "".encode(value or "utf-8")
        except LookupError as error:
            raise ValueError(f"there is no encoding {value!r}") from error
        return value

    def layout(self) -> Layout:
        """For :class:`accounting.carrier.CarrierFile`."""
        return Layout(
            columns={name: str(text) for name, text in self.columns.items()},
            delimiter=self.delimiter,
            decimal=self.decimal,
            date_format=self.date_format,
            duration_unit=self.duration_unit,
            only=self.only,
            zone=ZoneInfo(self.time_zone),
        )


def load_profile(path: Path | None, columns: str, **options: object) -> Profile:
    """The file, then the options on top. Raises CarrierError."""
    content: dict[str, object] = {}
    if path is not None:
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise CarrierError(f"{path}: cannot be read: {error}") from error
    if columns:
        given = content.get("columns")
        content["columns"] = {**(given if isinstance(given, dict) else {}), **_columns(columns)}
    content |= {name: value for name, value in options.items() if value is not None}
    try:
        return Profile.model_validate(content)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise CarrierError(f"{path or 'options'}: {faults}") from error


def _columns(text: str) -> dict[str, str]:
    found = {}
    for part in text.split(","):
        name, equals, column = part.partition("=")
        if not equals or name.strip() not in get_args(Column):
            raise CarrierError(f"--columns {part!r}: write {', '.join(get_args(Column))}, each =NAME or =NUMBER")
        found[name.strip()] = column.strip()
    return found


def read_lines(path: Path, encoding: str) -> tuple[str, Iterator[str]]:
    """The encoding that the file has, and its lines. Raises CarrierError if it cannot be read."""
    try:
        known = encoding or _encoding(path)
        return known, _lines(path, known)
    except OSError as error:
        raise CarrierError(f"{path}: cannot be read: {error.strerror}") from error


def _lines(path: Path, encoding: str) -> Iterator[str]:
    # a byte that means nothing in this encoding spoils its cell, not the file
    with path.open(encoding=encoding, errors="replace", newline="") as file:
        yield from file


def _encoding(path: Path) -> str:
    """UTF-8 if all of it is, else what Windows writes in Western Europe."""
    with path.open("rb") as file:
        start = file.read(4)
        if start.startswith((b"\xff\xfe", b"\xfe\xff")):
            return "utf-16"
        name = "utf-8-sig" if start.startswith(b"\xef\xbb\xbf") else "utf-8"
        file.seek(0)
        rest = b""
        while block := file.read(_BLOCK):
            block = rest + block
            # a block ends where it likes: what may be the beginning of a letter waits for the next
            end = len(block)
            while end > 0 and len(block) - end < 4 and block[end - 1] >= 0x80:
                end -= 1
            try:
                block[:end].decode("utf-8")
            except UnicodeDecodeError:
                return "cp1252"
            rest = block[end:]
        try:
            rest.decode("utf-8")
        except UnicodeDecodeError:
            return "cp1252"
        return name


class Sorter:
    """The carrier's calls in a temporary database of SQLite's own, so that a million of them need no memory."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("")  # on disk, nameless, gone when closed
        self._database.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-16000;"
            "CREATE TABLE theirs (line INTEGER, called TEXT, caller TEXT, started INTEGER, duration INTEGER,"
            " price TEXT)"
        )

    def fill(self, calls: Iterable[CarrierCall]) -> None:
        """Take them all."""
        rows = (
            (call.line, call.called, call.caller, call.started_ns, call.duration_ns,
             None if call.price is None else str(call.price))
            for call in calls
        )  # fmt: skip
        while batch := list(islice(rows, _BATCH)):
            self._database.executemany("INSERT INTO theirs VALUES (?, ?, ?, ?, ?, ?)", batch)

    def count(self, since_ns: int, until_ns: int) -> int:
        """How many began in this time."""
        query = "SELECT count(*) FROM theirs WHERE started >= ? AND started < ?"
        return int(self._database.execute(query, (since_ns, until_ns)).fetchone()[0])

    def earliest(self, since_ns: int, until_ns: int, count: int) -> list[CarrierCall]:
        """The first of those that began in this time."""
        query = "SELECT * FROM theirs WHERE started >= ? AND started < ? ORDER BY started LIMIT ?"
        return [_call(row) for row in self._database.execute(query, (since_ns, until_ns, count))]

    def sorted(self) -> Iterator[CarrierCall]:
        """All, by number and beginning."""
        return map(_call, self._database.execute("SELECT * FROM theirs ORDER BY called, started, line"))

    def close(self) -> None:
        """Give the disk back."""
        self._database.close()


def _call(row: tuple[int, str, str, int, int, str | None]) -> CarrierCall:
    line, called, caller, started_ns, duration_ns, price = row
    return CarrierCall(line, called, caller, started_ns, duration_ns, None if price is None else Decimal(price))
