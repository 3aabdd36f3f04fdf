"""The voicemail folder: sounds, the notes beside them, and what the back office asks of the server. For threads.

One process at a time writes notes: the server. ``b2bua messages`` reads them, and leaves a request.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

from b2bua.message_note import SECOND_NS, Note, read_note, write_note

#: Names the mailboxes to be tried again, one a line; an empty line is all of them.
_REQUEST = ".retry"
_MOST_OCTETS = 256 * 1024
_STAMP = "%Y%m%d-%H%M%S"
_STAMP_SIGNS = 15
#: Whatever else lies in the folder is not ours: nobody sends it, nobody deletes it.
_OURS = re.compile(r"[0-9]{8}-[0-9]{6}-.+\.(wav|json)(\.part)?")
#: 8000 samples a second of two octets, behind a header.
_OCTETS_PER_SECOND = 16_000
_HEADER_OCTETS = 44


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that should be a note and is none."""

    path: Path
    why: str


class Outbox:
    """Every method may raise ``OSError``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Make the folder, for our eyes only: voices and numbers are in it. One that is there keeps its rights."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def notes(self) -> Iterator[tuple[Path, Note] | Unreadable]:
        """All there are, the oldest of each mailbox first."""
        for path in self._ours(".json"):
            try:
                with path.open("rb") as file:
                    yield path, read_note(file.read(_MOST_OCTETS).decode())
            except (OSError, ValueError) as error:
                yield Unreadable(path, str(error)[:200])

    def orphans(self, before_ns: int) -> Iterator[tuple[Path, Note]]:
        """Notes, not yet written, for sounds that have none and were there before ``before_ns``: a server died between
        the two. Who called is not known any more; the mailbox is."""
        for path in self._ours(".wav"):
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                if status.st_mtime_ns < before_ns and not path.with_suffix(".json").exists():
                    mailbox = unquote(path.parent.name)
                    seconds = max(0, status.st_size - _HEADER_OCTETS) / _OCTETS_PER_SECOND
                    yield (
                        path.with_suffix(".json"),
                        Note(mailbox, path.stem, "", mailbox, "de", "", "", status.st_mtime_ns, seconds, path.name),
                    )

    def write(self, path: Path, note: Note) -> None:
        """Whole or not at all, and on the disk, as is the sound."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if note.wav and not note.attempts:
            with contextlib.suppress(FileNotFoundError):
                _sync(path.with_suffix(".wav"))
        unfinished = path.with_name(path.name + ".part")
        with unfinished.open("w", encoding="utf-8", errors="replace") as file:
            file.write(write_note(note))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        _sync(path.parent)

    def delete(self, before_ns: int) -> list[Path]:
        """Delete what was left before then, and say what. The age stands in the name; a backup that was played back has
        changed that of the file."""
        deleted = []
        for path in self._ours(".wav", ".json", ".part"):
            with contextlib.suppress(FileNotFoundError):
                if _left_ns(path) < before_ns:
                    path.unlink()
                    deleted.append(path)
        return deleted

    def _ours(self, *endings: str) -> list[Path]:
        return sorted(
            path
            for path in self.folder.glob("*/*")
            if path.suffix in endings and _OURS.fullmatch(path.name) and path.is_file()
        )

    def ask_again(self, mailbox: str) -> None:
        """Ask the server to try again for a mailbox; "" is all of them."""
        with (self.folder / _REQUEST).open("a", encoding="utf-8") as file:
            file.write(f"{mailbox}\n")

    def asked_again(self) -> frozenset[str]:
        """What was asked since the last time."""
        taken = self.folder / f"{_REQUEST}.taken"
        try:
            (self.folder / _REQUEST).replace(taken)
        except FileNotFoundError:
            return frozenset()
        asked = frozenset(taken.read_text(encoding="utf-8", errors="replace").split("\n")[:-1])
        taken.unlink()
        return asked


def _left_ns(path: Path) -> int:
    try:
        left = datetime.strptime(path.name[:_STAMP_SIGNS], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return path.stat().st_mtime_ns
    return round(left.timestamp()) * SECOND_NS


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
