"""For the back office: what was talked, and what it costs."""

import json
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from accounting.month import Month
from accounting.records import CallRecord
from accounting.statement import Statement, StatementError, statement, to_csv, to_json
from accounting.store import read_calls, read_tariffs
from b2bua.cli.start import DEFAULT_CONFIG, ConfigOption, configuration, database, give_up

_ZONE = ZoneInfo("Europe/Berlin")


class Format(StrEnum):
    """How a list is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def list_calls(
    contract: Annotated[str, typer.Option(help="Only this contract's calls.")] = "",
    result: Annotated[str, typer.Option(help="Only answered, abandoned, no_agent or failed calls.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with everything recorded.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """List the calls that are over, newest first."""
    engine = database(configuration(config))
    with engine.connect() as connection:
        calls = read_calls(connection, contract=contract or None, result=result or None, limit=limit)
    engine.dispose()
    if as_json:
        for call in calls:
            typer.echo(json.dumps(asdict(call), ensure_ascii=False))
    else:
        Console().print(calls_table(calls))


def calls_table(calls: list[CallRecord]) -> Table:
    """The calls as people read them."""
    table = Table(title=f"{len(calls)} calls")
    table.add_column("started", no_wrap=True)
    for name in ("contract", "caller", "forwarded from", "agent", "end"):
        table.add_column(name, overflow="fold")
    table.add_column("talked", justify="right", no_wrap=True)
    table.add_column("MOS", justify="right", no_wrap=True)
    for call in calls:
        started = datetime.fromtimestamp(call.started_at_ns / 1e9, _ZONE)
        talked = f"{call.talked_ns / 1e9:.1f} s" if call.result == "answered" else ""
        table.add_row(
            f"{started:%d.%m. %H:%M:%S}", call.contract, call.caller or "anonymous", _forwarding(call),
            call.agent, call.end_reason + (" *" if call.recovered else ""), talked, _mos(call),
        )  # fmt: skip
    return table


def _forwarding(call: CallRecord) -> str:
    return f"{call.forwarded_from} ({call.forwarding_kind.replace('_', ' ')})" if call.forwarded_from else ""


def _mos(call: CallRecord) -> str:
    """The worse of the two directions counts."""
    values = [leg.get("mos") for leg in call.media.values()]
    known = [value for value in values if isinstance(value, float)]
    return f"{min(known):.1f}" if known else ""


def make_statement(
    contract: Annotated[str, typer.Argument(help="The contract's id.")],
    month: Annotated[str, typer.Option(help="The month, such as 2025-07. Default: this month.")] = "",
    style: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TABLE,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to a file.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Make the itemised statement of one contract and month: only time talked with an agent is paid for."""
    try:
        wanted = Month.parse(month) if month else _this_month()
    except ValueError as error:
        give_up(error)
    since, until = wanted.window_ns()
    engine = database(configuration(config))
    with engine.connect() as connection:
        calls = read_calls(connection, contract=contract, since_ns=since, until_ns=until)
        tariffs = read_tariffs(connection)
    engine.dispose()
    try:
        made = statement(calls, tariffs, contract, wanted)
    except StatementError as error:
        give_up(error)
    if style is Format.TABLE and output is None:
        Console().print(statement_table(made))
        return
    text = {Format.CSV: to_csv, Format.JSON: to_json, Format.TABLE: _as_text}[style](made)
    if output is None:
        typer.echo(text, nl=not text.endswith("\n"))
    else:
        output.write_text(text, encoding="utf-8", newline="")


def _this_month() -> Month:
    now = datetime.now(_ZONE)
    return Month(now.year, now.month)


def _as_text(made: Statement) -> str:
    console = Console(width=160, record=True, quiet=True)
    console.print(statement_table(made))
    return console.export_text()


def statement_table(made: Statement) -> Table:
    """The statement as people read it."""
    table = Table(title=f"Statement {made.contract} {made.month}", show_footer=True)
    talked = Decimal(f"{made.talked_ns}E-9")
    table.add_column("answered", footer=f"{len(made.lines)} calls")
    table.add_column("caller")
    table.add_column("forwarded from")
    table.add_column("kind")
    table.add_column("agent")
    table.add_column("talked", justify="right", footer=f"{talked:.1f} s")
    table.add_column("billed", justify="right", footer=f"{made.billed_seconds} s")
    table.add_column("amount", justify="right", footer=f"{made.amount} {made.currency}")
    for line in made.lines:
        table.add_row(
            f"{line.answered_at:%d.%m. %H:%M:%S}", line.caller or "anonymous", line.forwarded_from,
            line.forwarding_kind, line.agent, f"{line.talked_seconds:.1f} s" + (" *" if line.recovered else ""),
            f"{line.billed_seconds} s", f"{line.amount}",
        )  # fmt: skip
    notes = [f"{made.unanswered} calls reached no agent and cost nothing"]
    if made.not_billable:
        notes.append(f"{made.not_billable} test calls cost nothing")
    if any(line.recovered for line in made.lines):
        notes.append("* billed to the last proven instant before a failure")
    table.caption = "; ".join(notes)
    return table
