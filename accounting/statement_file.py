"""Statement files as customers have them: read, and checked against the signature that they carry.

JSON is the statement itself; HTML has the same JSON in ``<script type="application/json" id="statement">``, PDF has
it attached as ``statement.json``. It has ``content``, everything billed, and ``proof``: the checkpoint that was signed
when it was issued.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import orjson

from accounting.chain import Disagreement
from accounting.checkpoint import Checkpoint, PublicKeys, read_checkpoint
from accounting.checkpoint_store import STATED, content_digest

ATTACHMENT = "statement.json"
_MOST_OCTETS = 64 * 1024 * 1024


class StatementFileError(Exception):
    """This is no statement, or one that carries no proof; the text says what to do."""


@dataclass(frozen=True, slots=True)
class StatementFile:
    """What a statement says, the digest of that, and the checkpoint that it carries."""

    content: Mapping[str, Any]
    digest: str
    checkpoint: Checkpoint

    def check(self, keys: PublicKeys) -> None:
        """Raises :class:`Disagreement` unless one of these keys signed exactly this content."""
        number = self.content["number"]
        keys.check(self.checkpoint)
        if self.checkpoint.purpose != "statement":
            raise Disagreement(0, "wrong", f"statement {number} carries a checkpoint that signs no statement")
        if self.checkpoint.statement != self.digest:
            raise Disagreement(0, "changed", f"statement {number} is not what was signed: it was changed")


def read_statement(path: Path) -> StatementFile:
    """Read a statement: JSON, HTML or PDF, by what is in it. Raises StatementFileError and ``OSError``."""
    with path.open("rb") as file:
        text = file.read(_MOST_OCTETS + 1)
    if len(text) > _MOST_OCTETS:
        raise StatementFileError(f"{path} is larger than any statement")
    begin = text[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if begin.startswith(b"%PDF-"):
        text = _attached(path)
    elif begin.startswith(b"<"):
        text = _embedded(path, text)
    try:
        found = orjson.loads(text)
    except ValueError as error:
        raise StatementFileError(f"{path} is no statement: it is neither JSON, HTML nor PDF") from error
    return statement_of(found, str(path))


def statement_of(found: object, name: str) -> StatementFile:
    """The statement that a JSON value is. Raises StatementFileError."""
    content = found.get("content") if isinstance(found, dict) else None
    proof = found.get("proof") if isinstance(found, dict) else None
    if not isinstance(content, dict) or not set(STATED) <= set(content):
        raise StatementFileError(f"{name} is no statement: its content should have {', '.join(STATED)}")
    if not isinstance(proof, dict):
        raise StatementFileError(f"{name} carries no proof: it was made without being issued (it may be a draft)")
    try:
        checkpoint = read_checkpoint({**proof["checkpoint"], "signature": proof["signature"]})
        digest = content_digest(content)
    except (ValueError, KeyError, TypeError) as error:
        raise StatementFileError(f"{name} has a proof that cannot be understood: {error}") from error
    return StatementFile(content, digest, checkpoint)


class _Scripts(HTMLParser):
    """Collects ``<script type="application/json" id="statement">``."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See HTMLParser."""
        self._inside = tag == "script" and dict(attrs).get("id") == "statement"
        if self._inside:
            self.found.append("")

    def handle_endtag(self, tag: str) -> None:
        """See HTMLParser."""
        self._inside = False

    def handle_data(self, data: str) -> None:
        """See HTMLParser."""
        if self._inside:
            self.found[-1] += data


def _embedded(path: Path, text: bytes) -> bytes:
    scripts = _Scripts()
    scripts.feed(text.decode("utf-8", "replace"))
    scripts.close()
    if len(scripts.found) != 1:
        raise StatementFileError(f'{path} is no statement: it should have one <script id="statement">')
    return scripts.found[0].encode()


def _attached(path: Path) -> bytes:
    # slow to import, and seldom needed
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        found = [file for file in PdfReader(path).attachment_list if file.name == ATTACHMENT]
        if len(found) == 1:
            return bytes(found[0].content)
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StatementFileError(f"{path} is damaged: {error}") from error
    raise StatementFileError(f"{path} is no statement: it should have one file {ATTACHMENT} attached")
