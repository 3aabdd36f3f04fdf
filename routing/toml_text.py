"""TOML as text: the values that business files are made of."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime

Value = str | int | datetime | date | Sequence["Value"] | Mapping[str, "Value"]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_NAMED = {"\\": "\\\\", '"': '\\"', "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
# TOML 1.0 "String": quotation mark, backslash and the control characters but tab must be escaped
_ESCAPED = re.compile(r'[\\"\x00-\x1f\x7f]')


def pair(key: str, value: Value) -> str:
    """``key = value``; a text of several lines is written as one of several lines."""
    if isinstance(value, str) and "\n" in value:
        # a line end directly after the opening quotes is not part of the text
        body = "\n".join(_escaped(line) for line in value.split("\n"))
        return f'{name(key)} = """\n{body}"""'
    return f"{name(key)} = {inline(value)}"


def inline(value: Value) -> str:
    """A value on one line."""
    if isinstance(value, str):
        return f'"{_escaped(value)}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Mapping):
        inner = ", ".join(f"{name(key)} = {inline(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    return f"[{', '.join(inline(item) for item in value)}]"


def rows(key: str, values: Sequence[Value]) -> str:
    """``key = [ ... ]`` with one value a line."""
    if not values:
        return f"{name(key)} = []"
    return "\n".join((f"{name(key)} = [", *(f"    {inline(value)}," for value in values), "]"))


def name(key: str) -> str:
    """A key, in quotation marks if it needs them."""
    return key if _BARE_KEY.fullmatch(key) else f'"{_escaped(key)}"'


def _escaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: _NAMED.get(match[0]) or f"\\u{ord(match[0]):04x}", text)
