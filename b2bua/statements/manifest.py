"""What an invoice run has done: one JSON object a line, each durable before the next statement is begun.

The first line says what the run is; then come the statements as they are finished, contracts with nothing to bill, and
the files of bookings, each covering the statements before it. A run that was killed goes on behind the last whole line.
"""

import fcntl
import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

NAME = "manifest.jsonl"


class ManifestError(Exception):
    """A folder belongs to another run; the message says what to do."""


class Manifest:
    """The manifest of a folder, held by one run at a time."""

    def __init__(self, folder: Path, run: dict[str, Any]) -> None:
        """Begin or go on with ``run``: month, formats, language, whether it is a draft, and when it began.

        Raises ManifestError if the folder has another run, or this one is going on elsewhere; and ``OSError``.
        """
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / NAME
        self._file: FileIO = path.open("ab+", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise ManifestError(f"an invoice run is at work in {folder}: let it finish") from error
        try:
            lines = list(self._lines())
        except ValueError as error:
            self._file.close()
            raise ManifestError(f"{path} is damaged: choose another folder") from error
        if lines:
            self.run, self.entries = lines[0], lines[1:]
            differing = [name for name in run if name != "began" and self.run.get(name) != run[name]]
            if differing:
                self._file.close()
                said = ", ".join(f"{name} {self.run.get(name)}" for name in differing)
                raise ManifestError(f"{folder} has a run with {said}: choose another folder, or ask for the same")
        else:
            self.run, self.entries = run, []
            self._write(run)
            _sync_folder(folder)

    def _lines(self) -> Iterator[dict[str, Any]]:
        self._file.seek(0)
        whole = self._file.read()
        end = whole.rfind(b"\n") + 1
        if end < len(whole):
            # the process was killed while it wrote the last line
            self._file.truncate(end)
        for line in whole[:end].splitlines():
            found = orjson.loads(line)
            if not isinstance(found, dict):
                raise ValueError("a line is no object")
            yield found

    def add(self, entry: dict[str, Any]) -> None:
        """Write down what is finished; durable when this returns."""
        self._write(entry)
        self.entries.append(entry)

    def _write(self, entry: dict[str, Any]) -> None:
        self._file.write(orjson.dumps(entry) + b"\n")
        os.fsync(self._file.fileno())

    def done(self) -> dict[str, dict[str, Any]]:
        """The last entry of each contract."""
        return {entry["contract"]: entry for entry in self.entries if "contract" in entry}

    def __enter__(self) -> "Manifest":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, whatever happens meanwhile."""
    unfinished = path.with_name(f".{path.name}.part")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
