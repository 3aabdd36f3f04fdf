"""Lines of our own in the business file: ``[[lines]]``."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from routing.business_endpoints import CredentialsTable, endpoint_value, registering
from routing.business_fields import printable
from routing.forwarding import LONGEST_SECONDS, SHORTEST_SECONDS, USUAL_SECONDS
from routing.lines import Line
from routing.numbers import is_literal, target_number
from routing.toml_lines import Path
from routing.toml_text import Value

_Table = Mapping[str, Any]
_REACHED = re.compile(r"\+[1-9][0-9]{0,14}\*?", re.ASCII)
_SEPARATORS = str.maketrans("", "", "-.()/ ")


def _number(value: str) -> str:
    number = target_number(value)
    if number is None or is_literal(number):
        raise ValueError(f"{value!r} is no number of a line: write it international, such as +493045050100")
    return number


def _reached(value: str) -> str:
    pattern = value.translate(_SEPARATORS)
    if not _REACHED.fullmatch(pattern):
        raise ValueError(
            f"{value!r} is no number to reach: write it international, such as +491713920012, or its beginning, "
            "such as +4930*"
        )
    return pattern


_Reached = Annotated[str, StringConstraints(max_length=64), AfterValidator(_reached)]


class LineTable(CredentialsTable):
    """One of ``[[lines]]``: see :class:`routing.lines.Line`."""

    number: Annotated[str, StringConstraints(max_length=64), AfterValidator(_number)]
    name: Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(printable)]
    language: str = Field(default="de", pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}\z")
    no_answer_seconds: int = Field(default=USUAL_SECONDS, ge=SHORTEST_SECONDS, le=LONGEST_SECONDS)
    may_forward_to: list[_Reached] = Field(default=[], max_length=1000)
    may_call: list[_Reached] = Field(default=[], max_length=1000)


def line_of(table: LineTable, realm: str) -> Line:
    """The line; ``realm`` is the digest realm if the table names none."""
    return Line(
        table.number, table.name, registering("", table, realm), table.no_answer_seconds, table.language,
        tuple(table.may_forward_to), tuple(table.may_call),
    )  # fmt: skip


def line_value(line: Line) -> dict[str, Value]:
    """A line as the file has it; what is as usual is left away."""
    value: dict[str, Value] = {"number": line.number, "name": line.name, **endpoint_value(line.endpoint)}
    if line.language != "de":
        value["language"] = line.language
    if line.no_answer_seconds != USUAL_SECONDS:
        value["no_answer_seconds"] = line.no_answer_seconds
    if line.may_forward_to:
        value["may_forward_to"] = line.may_forward_to
    if line.may_call:
        value["may_call"] = line.may_call
    return value


def line_findings(document: _Table, line_of_place: Callable[[Path], int]) -> Iterator[tuple[Path, str]]:
    """Numbers given twice, to lines or to a contract as well: where, and what is wrong there."""
    taken: dict[str, tuple[str, Path]] = {}
    for place, written in _target_numbers(document):
        number = _read(written)
        if number:
            taken.setdefault(number, ("a target number of a contract", place))
    for position, table in enumerate(_items(document, "lines")):
        if not isinstance(table, Mapping):
            continue
        place = ("lines", position, "number")
        number = _read(table.get("number"))
        if number in taken:
            what, other = taken[number]
            yield place, f"{number} is {what} already, in line {line_of_place(other)}"
        elif number:
            taken[number] = ("the number of a line", place)
        if "username" not in table:
            yield ("lines", position), "a line needs a username, by which its phone registers"
    for place, written in _agents_numbers(document):
        number = _read(written)
        if number in taken:
            what, other = taken[number]
            where = line_of_place(other)
            yield (
                place,
                f"{number} is {what}, in line {where}: an agent's phone that is called over the trunk is not ours",
            )


def _target_numbers(document: _Table) -> Iterator[tuple[Path, object]]:
    for position, contract in enumerate(_items(document, "contracts")):
        held = _items(contract, "target_numbers") if isinstance(contract, Mapping) else []
        for at, item in enumerate(held):
            place = ("contracts", position, "target_numbers", at)
            yield place, item.get("number") if isinstance(item, Mapping) else item


def _agents_numbers(document: _Table) -> Iterator[tuple[Path, object]]:
    for position, agent in enumerate(_items(document, "agents")):
        endpoints = _items(agent, "endpoints") if isinstance(agent, Mapping) else []
        for at, endpoint in enumerate(endpoints):
            if isinstance(endpoint, Mapping):
                yield ("agents", position, "endpoints", at, "number"), endpoint.get("number")


def _items(table: _Table, key: str) -> list[Any]:
    items = table.get(key)
    return items if isinstance(items, list) else []


def _read(written: object) -> str:
    return (target_number(written) or "") if isinstance(written, str) and len(written) <= 64 else ""
