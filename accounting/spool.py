"""Where records lie safe until the database has them: a SQLite file of this machine's own, one row a group commit.

The server is the only one who opens it, and each start delivers what an earlier one left (:mod:`accounting.writer`).
Rows are numbered from 1 in the order of the journal. A file that cannot be read is never deleted: it is set aside
under another name, and what can be read of it goes on in a new one.
"""

import contextlib
import json
import shutil
import sqlite3
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import Any

import orjson

from accounting.journal import CallEnded, Declaration, Item, JournalEntry, Segment

#: Written into the file: SQLite's application id, and the version of the tables.
_APPLICATION = 0x42324253
_VERSION = 1
#: Room that is kept free inside the file, bytes: when the disk is full, this much can still be spooled.
_RESERVE = 16 * 1024 * 1024
#: Room is made in pieces of as much as SQLite lets its write-ahead log grow to, bytes.
_PIECE = 4 * 1024 * 1024

#: So many numbers without a readable group are the end of a damaged spool.
_FAR = 20_000

_KINDS: dict[str, type[Item]] = {"entry": JournalEntry, "ended": CallEnded, "declaration": Declaration}
#: The names of the fields, in the order in which their values are written down.
FIELDS: dict[str, tuple[str, ...]] = {
    kind: tuple(field.name for field in fields(made)) for kind, made in _KINDS.items()
}  # fmt: skip
_LETTERS = {made: (kind, attrgetter(*FIELDS[kind])) for kind, made in _KINDS.items()}


class SpoolError(Exception):
    """The spool cannot be written or read now; the text says why."""


class SpoolInUseError(SpoolError):
    """Another process has it."""


# -- how records are written down ------------------------------------------------------------------------


def _plain(value: object) -> object:
    if isinstance(value, Segment):
        return [value.agent, value.activity, value.start_ns, value.end_ns]
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no place in a record")


def _encode(value: object) -> bytes:
    try:
        return orjson.dumps(value, _plain, orjson.OPT_PASSTHROUGH_DATACLASS)
    except TypeError:
        # bytes from the wire that were no UTF-8, integers of more than 64 bits: rare, and three times as slow
        return json.dumps(value, separators=(",", ":"), default=_plain).encode("ascii")


def encode_items(items: Iterable[Item]) -> bytes:
    """JSON: a list of ``[kind, [values of the fields]]``; :data:`FIELDS` names them."""
    written = []
    for item in items:
        kind, values = _LETTERS[type(item)]
        written.append((kind, values(item)))
    return _encode(written)


def decode_items(text: bytes, names: Mapping[str, Sequence[str]] = FIELDS) -> list[Item]:
    """Read what :func:`encode_items` wrote, maybe of a version with other fields: ``names`` are that one's.

    Raises ``ValueError``, ``KeyError`` or ``TypeError`` for anything else.
    """
    return [_item(kind, dict(zip(names[kind], values, strict=True))) for kind, values in json.loads(text)]


def _item(kind: str, values: dict[str, Any]) -> Item:
    if kind == "ended":
        values["segments"] = tuple(Segment(*part) for part in values["segments"])
    return _KINDS[kind](**values)


# -- the file --------------------------------------------------------------------------------------------


class Spool:
    """The file, open. Methods may be called from any thread; each lasts as long as the disk takes.

    Everything raises :class:`SpoolError` when the disk is full or fails; nothing is half done then.
    """

    def __init__(self, path: Path, *, reserve: int = _RESERVE) -> None:
        """Open or make it. Raises SpoolError, with advice; a damaged file raises :class:`sqlite3.DatabaseError`."""
        self.path = path
        self._lock = threading.Lock()
        try:
            self._connection = sqlite3.connect(path, timeout=2.0, isolation_level=None, check_same_thread=False)
        except sqlite3.OperationalError as error:
            raise SpoolError(f"the spool {path} cannot be opened: {error}") from error
        try:
            self._names = self._prepare()
            self.reserve(reserve)
            rows = self._connection.execute("SELECT id, count, length(records) FROM batches ORDER BY id")
            # Known in memory: each question to the file is another wait for the interpreter, beside the other thread.
            self._groups: deque[tuple[int, int, int]] = deque(rows)
        except BaseException as error:
            self._connection.close()
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise SpoolInUseError(f"the spool {path} is another server's: each needs one of its own") from error
            if isinstance(error, sqlite3.OperationalError):
                raise SpoolError(f"the spool {path} cannot be used: {error}") from error
            raise
        self._last = self._groups[-1][0] if self._groups else 0
        self.records = sum(count for _, count, _ in self._groups)
        #: bytes that the records take
        self.size = sum(size for _, _, size in self._groups)

    def _prepare(self) -> Mapping[str, Sequence[str]]:
        run = self._connection.execute
        # One process, one connection: no shared memory, and the lock is held until the end.
        run("PRAGMA locking_mode=EXCLUSIVE")
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA synchronous=FULL")
        run("PRAGMA secure_delete=ON")  # delivered telephone numbers shall not lie about in here
        run("BEGIN EXCLUSIVE")
        try:
            (application,) = run("PRAGMA application_id").fetchone()
            (version,) = run("PRAGMA user_version").fetchone()
            tables = run("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if (application, version) != (_APPLICATION, _VERSION):
                if tables:
                    raise SpoolError(f"{self.path} is no spool of this version: name another file")
                run(f"PRAGMA application_id={_APPLICATION}")
                run(f"PRAGMA user_version={_VERSION}")
                run(
                    "CREATE TABLE batches (id INTEGER PRIMARY KEY, count INTEGER NOT NULL, checksum INTEGER NOT NULL, "
                    "records BLOB NOT NULL)"
                )
                run("CREATE TABLE rejected (id INTEGER PRIMARY KEY, error TEXT NOT NULL, record BLOB NOT NULL)")
                run("CREATE TABLE fields (names BLOB NOT NULL)")
                run("INSERT INTO fields VALUES (?)", (_encode(FIELDS),))
            names: Mapping[str, Sequence[str]] = json.loads(run("SELECT names FROM fields").fetchone()[0])
        except BaseException:
            run("ROLLBACK")
            raise
        run("COMMIT")
        (verdict,) = run("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        return names

    def reserve(self, wanted: int = _RESERVE) -> None:
        """Let the file own free pages, bytes, and its log its full length, while the disk has room: 0 is nothing."""
        run = self._connection.execute
        free = run("PRAGMA freelist_count").fetchone()[0] * run("PRAGMA page_size").fetchone()[0]
        pieces = -(-wanted // _PIECE)
        if free > wanted - _PIECE:
            pieces = min(pieces, 1)  # of pages that are free already: the log begins anew with each start
        # No room, then without. Rows with these numbers are reserve, too.
        with contextlib.suppress(sqlite3.OperationalError):
            for number in range(pieces):
                if shutil.disk_usage(self.path.parent).free < 3 * _PIECE:
                    break
                run("INSERT OR IGNORE INTO rejected VALUES (?, '', zeroblob(?))", (-1 - number, _PIECE))
                run("PRAGMA wal_checkpoint(RESTART)").fetchone()
            for number in range(pieces):
                run("DELETE FROM rejected WHERE id = ?", (-1 - number,))
                run("PRAGMA wal_checkpoint(RESTART)").fetchone()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        with self._lock:
            run = self._connection.execute
            try:
                run("BEGIN IMMEDIATE")
                yield run
                run("COMMIT")
            except sqlite3.Error as error:
                if self._connection.in_transaction:
                    self._connection.rollback()
                raise SpoolError(f"the spool {self.path}: {error}") from error

    def append(self, items: Sequence[Item], delivered: int = 0) -> int:
        """Write a group, on disk when this returns; returns its number. Forget all up to ``delivered`` with it."""
        text = encode_items(items)
        number: int = self._last + 1
        with self._transaction() as run:
            if delivered:
                run("DELETE FROM batches WHERE id <= ?", (delivered,))
            run("INSERT INTO batches VALUES (?, ?, ?, ?)", (number, len(items), zlib.crc32(text), text))
        self._last = number
        self._groups.append((number, len(items), len(text)))
        self.records += len(items)
        self.size += len(text)
        self._note_forgotten(delivered)
        return number

    def forget(self, delivered: int) -> None:
        """The database has all groups up to this one."""
        with self._transaction() as run:
            run("DELETE FROM batches WHERE id <= ?", (delivered,))
        self._note_forgotten(delivered)

    def _note_forgotten(self, delivered: int) -> None:
        groups = self._groups
        while groups and groups[0][0] <= delivered:
            _, count, size = groups.popleft()
            self.records -= count
            self.size -= size

    def read(self, after: int, records: int) -> list[tuple[int, list[Item]]]:
        """Groups after that number, in order, until there are so many records; at least one if there is one.

        Raises ``sqlite3.DatabaseError`` for one that is damaged.
        """
        with self._lock:
            rows = self._connection.execute(
                "SELECT id, count, checksum, records FROM batches WHERE id > ? ORDER BY id", (after,)
            )
            chosen = []
            for row in rows:
                chosen.append(row)
                records -= row[1]
                if records <= 0:
                    break
            rows.close()
        return [(row[0], _group(row, self._names)) for row in chosen]

    def reject(self, item: Item, reason: str) -> None:
        """Keep a record that the database refuses for what it is, for somebody to look at."""
        with self._transaction() as run:
            run("INSERT INTO rejected (error, record) VALUES (?, ?)", (reason, encode_items([item])))

    def use_present_fields(self) -> None:
        """Write records as this version does from now on. The spool must be empty."""
        if self._names != {kind: list(names) for kind, names in FIELDS.items()}:
            with self._transaction() as run:
                run("UPDATE fields SET names = ?", (_encode(FIELDS),))
            self._names = FIELDS

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()


# -- damage ----------------------------------------------------------------------------------------------


def open_spool(path: Path, on_damage: Callable[[Path, int], None]) -> Spool:
    """Open the spool; a damaged one is set aside, and ``on_damage(where, records)`` told how many were saved of it.

    Raises SpoolError.
    """
    new = path.with_name(path.name + ".new")
    for part in (_log_of(new), new):
        part.unlink(missing_ok=True)  # an earlier start died while it made this one: the old one is in its place
    if not _is_headless(path):
        spool: Spool | None = None
        try:
            spool = Spool(path, reserve=0)
            after = 0
            while groups := spool.read(after, 1000):
                after = groups[-1][0]
            spool.reserve()
            return spool
        except sqlite3.DatabaseError:
            if spool is not None:
                spool.close()
    return _replace(path, new, on_damage)


def _replace(path: Path, new: Path, on_damage: Callable[[Path, int], None]) -> Spool:
    made = Spool(new, reserve=0)
    for items in _readable(path):
        made.append(items)
    saved = made.records
    made.close()
    aside = next(
        name for number in range(1, 10_000) if not (name := path.with_name(f"{path.name}.damaged-{number}")).exists()
    )
    for part, name in ((_log_of(path), _log_of(aside)), (path, aside)):
        if part.exists():
            part.rename(name)
    new.rename(path)
    on_damage(aside, saved)
    return Spool(path)


def _readable(path: Path) -> Iterator[list[Item]]:
    """All groups that are whole."""
    if _is_headless(path):
        return
    connection = sqlite3.connect(path, timeout=2.0, isolation_level=None)
    try:
        connection.execute("PRAGMA writable_schema=ON")  # else a file that was cut off is not looked into at all
        names = json.loads(connection.execute("SELECT names FROM fields").fetchone()[0])
        missed = 0
        for number in _numbers(connection):
            try:
                row = connection.execute(
                    "SELECT id, count, checksum, records FROM batches WHERE id = ?", (number,)
                ).fetchone()
                found = None if row is None else _group(row, names)
            except sqlite3.DatabaseError:
                found = None
            if found is not None:
                yield found
            missed = 0 if found is not None else missed + 1
            if missed > _FAR:
                break
    except sqlite3.DatabaseError:
        return
    finally:
        connection.close()


def _numbers(connection: sqlite3.Connection) -> range:
    """Where groups may be. One end may be lost with the page that it stands on."""
    ends: list[int | None] = []
    for end in ("min", "max"):
        try:
            ends.append(connection.execute(f"SELECT {end}(id) FROM batches").fetchone()[0])
        except sqlite3.DatabaseError:
            ends.append(None)
    first, last = ends
    if first is None:
        return range(0) if last is None else range(max(1, last - _FAR), last + 1)
    return range(first, (first + _FAR if last is None else last) + 1)


def _group(row: tuple[int, int, int, bytes], names: Mapping[str, Sequence[str]]) -> list[Item]:
    number, count, checksum, text = row
    try:
        if zlib.crc32(text) != checksum:
            raise ValueError("its checksum is wrong")
        items = decode_items(text, names)
        if len(items) != count:
            raise ValueError("its length is wrong")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise sqlite3.DatabaseError(f"group {number} of the spool: {error}") from error
    return items


def _is_headless(path: Path) -> bool:
    """True if there is a write-ahead log without its database: SQLite would delete it unread."""
    log = _log_of(path)
    return log.exists() and log.stat().st_size > 0 and not (path.exists() and path.stat().st_size)


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")
