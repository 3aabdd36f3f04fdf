"""Where in a TOML file a value stands, so that a fault can be reported with its line.

``tomllib`` gives values without places. This scanner gives places without values: it reads text that
``tomllib`` has accepted already, so it may be lenient, and it must never fail: where it loses the thread it
stops, and a path then gets the line of its nearest known ancestor.
"""

import re
from collections.abc import Iterator, Sequence

#: Keys are strings, positions in arrays are integers: ``("contracts", 2, "target_numbers", 0)``.
Path = tuple[str | int, ...]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^\s,\]}#]+(?: [0-9][^\s,\]}#]*)?")
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}


class TomlLines:
    """The line of every key, table and array element of one TOML text; lines count from 1."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        _Scanner(text, self._lines).scan()

    def locate(self, path: Sequence[str | int]) -> int:
        """The line of ``path``, else of its nearest ancestor that is in the file, else 0."""
        place = tuple(path)
        while place:
            line = self._lines.get(place)
            if line is not None:
                return line
            place = place[:-1]
        return 0


def locate(text: str, path: Sequence[str | int]) -> int:
    """The line of one path in a TOML text, see ``TomlLines``; for many paths make one of those."""
    return TomlLines(text).locate(path)


class _LostError(Exception):
    """The text is not the TOML that was promised."""


class _Scanner:
    """One pass over the text; ``_at`` is the position, ``_line`` the line it is on."""

    def __init__(self, text: str, lines: dict[Path, int]) -> None:
        self._text = text.replace("\r\n", "\n")
        self._at = 0
        self._line = 1
        self._lines = lines
        #: how many elements each array of tables has so far
        self._elements: dict[Path, int] = {}

    def scan(self) -> None:
        table: Path = ()
        try:
            while self._skip_blank():
                table = self._header() if self._peek() == "[" else self._pair(table)
        except (_LostError, RecursionError):
            return

    # -- structure ---------------------------------------------------------------------------------------

    def _header(self) -> Path:
        line = self._line
        is_array = self._text.startswith("[[", self._at)
        self._advance(2 if is_array else 1)
        keys = list(self._keys())
        self._expect("]]" if is_array else "]")
        path: Path = ()
        for key in keys[:-1]:
            path = self._last_element((*path, key))
            self._note(path, line)
        path = (*path, keys[-1])
        self._note(path, line)
        if is_array:
            position = self._elements.get(path, 0)
            self._elements[path] = position + 1
            path = (*path, position)
            self._note(path, line)
        return path

    def _last_element(self, path: Path) -> Path:
        # a header below an array of tables means the array's latest element (TOML 1.0, "Array of Tables")
        count = self._elements.get(path)
        return path if count is None else (*path, count - 1)

    def _pair(self, table: Path) -> Path:
        path = table
        line = self._line
        for key in self._keys():
            path = (*path, key)
            self._note(path, line)
        self._expect("=")
        self._skip_spaces()
        self._value(path)
        return table

    def _value(self, path: Path) -> None:
        character = self._peek()
        if character in ('"', "'"):
            self._string()
        elif character == "[":
            self._array(path)
        elif character == "{":
            self._inline_table(path)
        else:
            match = _SCALAR.match(self._text, self._at)
            if match is None:
                raise _LostError
            self._advance(len(match[0]))

    def _array(self, path: Path) -> None:
        self._expect("[")
        position = 0
        while True:
            if not self._skip_blank():
                raise _LostError
            if self._peek() == "]":
                break
            if self._peek() == ",":
                self._advance(1)
                continue
            place = (*path, position)
            self._note(place, self._line)
            self._value(place)
            position += 1
        self._expect("]")

    def _inline_table(self, path: Path) -> None:
        self._expect("{")
        while True:
            if not self._skip_blank():
                raise _LostError
            if self._peek() == "}":
                break
            if self._peek() == ",":
                self._advance(1)
                continue
            self._pair(path)
        self._expect("}")

    def _keys(self) -> Iterator[str]:
        while True:
            self._skip_spaces()
            if self._peek() in ('"', "'"):
                yield self._string()
            else:
                match = _BARE_KEY.match(self._text, self._at)
                if match is None:
                    raise _LostError
                self._advance(len(match[0]))
                yield match[0]
            self._skip_spaces()
            if self._peek() != ".":
                return
            self._advance(1)

    # -- characters --------------------------------------------------------------------------------------

    def _string(self) -> str:
        quote = self._text[self._at]
        if self._text.startswith(quote * 3, self._at):
            return self._long_string(quote)
        end = self._at + 1
        while True:
            character = self._text[end : end + 1]
            if character in ("", "\n"):
                raise _LostError
            if character == quote:
                break
            end += 2 if character == "\\" and quote == '"' else 1
        raw = self._text[self._at + 1 : end]
        self._advance(end + 1 - self._at)
        return _unescape(raw) if quote == '"' else raw

    def _long_string(self, quote: str) -> str:
        end = self._at + 3
        while not self._text.startswith(quote * 3, end):
            if end >= len(self._text):
                raise _LostError
            end += 2 if self._text[end] == "\\" and quote == '"' else 1
        end += 3
        # up to two quotes may stand directly before the closing three
        while self._text.startswith(quote, end):
            end += 1
        self._advance(end - self._at)
        return ""

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _advance(self, count: int) -> None:
        self._line += self._text.count("\n", self._at, self._at + count)
        self._at += count

    def _expect(self, token: str) -> None:
        self._skip_spaces()
        if not self._text.startswith(token, self._at):
            raise _LostError
        self._advance(len(token))

    def _skip_spaces(self) -> None:
        while self._peek() in (" ", "\t"):
            self._at += 1

    def _skip_blank(self) -> bool:
        """Over spaces, line ends and comments; False at the end of the text."""
        while character := self._peek():
            if character == "#":
                end = self._text.find("\n", self._at)
                self._advance((end if end >= 0 else len(self._text)) - self._at)
            elif character in (" ", "\t", "\n"):
                self._advance(1)
            else:
                return True
        return False

    def _note(self, path: Path, line: int) -> None:
        self._lines.setdefault(path, line)


def _unescape(raw: str) -> str:
    if "\\" not in raw:
        return raw
    return re.sub(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", _escaped, raw)


def _escaped(match: re.Match[str]) -> str:
    code = match[1]
    if len(code) == 1:
        return _ESCAPES.get(code, code)
    number = int(code[1:], 16)
    return chr(number) if number < 0x110000 else ""
