"""For the back office: what callers have left, and what became of it."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from b2bua.cli.start import DEFAULT_CONFIG, ConfigOption, configuration, give_up
from b2bua.message_note import SECOND_NS, Note
from b2bua.outbox import Outbox, Unreadable

_ZONE = ZoneInfo("Europe/Berlin")
_COLOURS = {"waiting": "yellow", "given_up": "red"}


def messages(
    mailbox: Annotated[str | None, typer.Argument(help="One mailbox; all if left out.")] = None,
    retry: Annotated[
        bool, typer.Option("--retry", help="Ask the server to send what was given up, waits or was kept.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """List callers' messages and wishes to be called back: by whom, when, and whether they were sent by e-mail."""
    folder = configuration(config).voicemail.folder
    if folder is None:
        give_up("there is no voicemail: set folder in [voicemail] of the configuration")
    found = [(path, note) for path, note in _notes(folder) if mailbox in (None, note.mailbox)]
    if retry:
        try:
            Outbox(folder).ask_again(mailbox or "")
        except OSError as error:
            give_up(f"{folder} cannot be written: {error.strerror}; run this as the server's user")
        typer.echo("The server tries again within seconds; if it does not run, when it starts.", err=True)
    if as_json:
        typer.echo(
            json.dumps([{**asdict(note), "path": str(path)} for path, note in found], ensure_ascii=False, indent=2)
        )
        return
    table = Table(title=f"{len(found)} messages", title_justify="left")
    for name in ("left", "mailbox", "customer", "caller", "length", "state", "file"):
        table.add_column(name, no_wrap=name == "left")
    for path, note in found:
        state = note.state + (f" ({note.attempts}: {note.fault})" if note.fault else "")
        table.add_row(
            f"{datetime.fromtimestamp(note.left_ns // SECOND_NS, _ZONE):%d.%m. %H:%M:%S}", Text(note.mailbox),
            Text(note.customer), Text(note.caller or "-"), f"{note.seconds:.0f} s" if note.wav else "call back",
            Text(state, _COLOURS.get(note.state, "")), Text(str(path.with_suffix(".wav")) if note.wav else ""),
        )  # fmt: skip
    Console().print(table)


def _notes(folder: Path) -> Iterator[tuple[Path, Note]]:
    readable = []
    for found in Outbox(folder).notes():
        if isinstance(found, Unreadable):
            typer.echo(f"{found.path}: {found.why}", err=True)
        else:
            readable.append(found)
    yield from sorted(readable, key=lambda item: item[1].left_ns)
