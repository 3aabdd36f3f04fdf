"""For the back office: lines of our own, whether their phones are there, and what they are forwarded to."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, get_args

import typer
from rich.console import Console
from rich.table import Table

from b2bua.cli.start import DEFAULT_CONFIG, ConfigOption, configuration, database, give_up
from b2bua.config import WebSection
from routing.directory import Directory
from routing.forwarding import LONGEST_SECONDS, SHORTEST_SECONDS, ForwardingKind
from routing.line_codes import forwarding_fault
from routing.line_store import load_forwardings, write_forwardings
from routing.lines import Line, LineForwarding, LineForwardings
from routing.numbers import NumberReader
from routing.store import load_directory

_KINDS: tuple[ForwardingKind, ...] = get_args(ForwardingKind)
_PATIENCE = 2.0


def show_lines(
    number: Annotated[str | None, typer.Argument(help="One line's number; all if left out.")] = None,
    switch_on: Annotated[
        list[str] | None,
        typer.Option("--set", help="Forward: 'busy=+49302000100', or 'no_answer=+49302000100,15' after 15 seconds."),
    ] = None,
    clear: Annotated[
        list[str] | None,
        typer.Option("--clear", help="Forward no longer: unconditional, busy, no_answer or all."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Show our own lines: their phones, as the running server sees them, and their forwarding.

    --set and --clear do what the line's codes do; a running server follows within two seconds.
    """
    loaded = configuration(config)
    engine = database(loaded)
    try:
        with engine.begin() as connection:
            directory = load_directory(connection)
            forwardings = LineForwardings(load_forwardings(connection)[0])
            chosen = _chosen(directory, number)
            if switch_on or clear:
                if number is None:
                    give_up("name the line: b2bua lines NUMBER --set ...")
                way_out = any(trunk.proxy for trunk in loaded.trunks)
                changes = _changes(chosen[0], switch_on or [], clear or [], directory, forwardings, way_out)
                write_forwardings(connection, changes, time.time_ns())
                for change in changes:
                    forwardings.take(change)
    finally:
        engine.dispose()
    phones = _phones(loaded.web)
    if as_json:
        typer.echo(json.dumps([_plain(line, forwardings, phones) for line in chosen], ensure_ascii=False, indent=2))
    else:
        _show(chosen, forwardings, phones)


def _chosen(directory: Directory, number: str | None) -> list[Line]:
    if number is None:
        return list(directory.lines.values())
    read = NumberReader().read(number)
    line = directory.lines.get(read or "")
    if line is None:
        known = ", ".join(list(directory.lines)[:20]) or "none"
        give_up(f"there is no line {number}; there are: {known}")
    return [line]


def _changes(
    line: Line,
    switch_on: Iterable[str],
    clear: Iterable[str],
    directory: Directory,
    forwardings: LineForwardings,
    way_out: bool,
) -> list[LineForwarding]:
    changes = []
    for word in clear:
        if word != "all" and word not in _KINDS:
            give_up(f"--clear {word}: there are {', '.join(_KINDS)}, all")
        # the number is forgotten, too: whoever clears from here does not switch on again by *21#
        changes += [replace(item, active=False, number="") for item in forwardings.of(line.number)
                    if word in ("all", item.kind)]  # fmt: skip
    return changes + [_wanted(line, word, directory, way_out) for word in switch_on]


def _wanted(line: Line, word: str, directory: Directory, way_out: bool) -> LineForwarding:
    kind, equals, rest = word.partition("=")
    written, comma, seconds = rest.partition(",")
    if not equals or kind not in _KINDS:
        give_up(f"--set {word}: write it as KIND=NUMBER; there are {', '.join(_KINDS)}")
    number = NumberReader().read(written, directory.literals)
    if number is None:
        give_up(f"--set {word}: {written!r} is no number, such as +49302000100")
    if comma and kind != "no_answer":
        give_up(f"--set {word}: only no_answer has a time")
    bounds = range(SHORTEST_SECONDS, LONGEST_SECONDS + 1)
    if comma and not (seconds.isascii() and seconds.isdigit() and len(seconds) < 4 and int(seconds) in bounds):
        give_up(f"--set {word}: the time is {SHORTEST_SECONDS} to {LONGEST_SECONDS} seconds")
    fault = forwarding_fault(line, number, directory, datetime.now(UTC), way_out)
    if fault:
        give_up(f"--set {word}: {fault}")
    return LineForwarding(line.number, kind, number, int(seconds or 0))


def _phones(web: WebSection) -> dict[str, int] | None:
    """Phones by user name; None if no server answers."""
    if not web.host or not web.port:
        return None
    host = f"[{web.host}]" if ":" in web.host else web.host
    try:
        with urllib.request.urlopen(f"http://{host}:{web.port}/lines", timeout=_PATIENCE) as answer:
            found: dict[str, int] = json.load(answer)
    except (OSError, ValueError):
        return None
    return found


def _plain(line: Line, forwardings: LineForwardings, phones: dict[str, int] | None) -> dict[str, object]:
    return {
        "number": line.number,
        "name": line.name,
        "username": line.endpoint.username,
        "phones": None if phones is None else phones.get(line.endpoint.username, 0),
        "forwarding": {
            item.kind: {"number": item.number, "seconds": _seconds(line, item), "active": item.active}
            for item in forwardings.of(line.number)
        },
    }


def _seconds(line: Line, item: LineForwarding) -> int:
    return (item.seconds or line.no_answer_seconds) if item.kind == "no_answer" else 0


def _show(chosen: list[Line], forwardings: LineForwardings, phones: dict[str, int] | None) -> None:
    if not chosen:
        typer.echo("no lines of our own: see [[lines]] in the operator's guide")
        return
    table = Table()
    for name in ("line", "name", "phones", *_KINDS):
        table.add_column(name)
    for line in chosen:
        here = "?" if phones is None else str(phones.get(line.endpoint.username, 0) or "none")
        cells = [_cell(line, forwardings.find(line.number, kind)) for kind in _KINDS]
        table.add_row(line.number, line.name, here, *cells)
    Console().print(table)
    if phones is None:
        typer.echo("phones: not known, the server does not answer (or web.host is empty)")


def _cell(line: Line, item: LineForwarding | None) -> str:
    if item is None:
        return "-"
    after = f" after {_seconds(line, item)} s" if item.kind == "no_answer" else ""
    return f"{item.number}{after}" if item.active else f"off ({item.number})"
