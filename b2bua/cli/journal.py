"""``b2bua accounting``: the journal itself, for the back office and for those who doubt."""

import getpass
import time
from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import func, select

from accounting.recovery import rebuild
from accounting.store import declare, read_call
from accounting.tables import journal
from b2bua.cli.start import DEFAULT_CONFIG, ConfigOption, configuration, database, give_up

accounting = typer.Typer(help="The journal: sign, export, correct, forget, rebuild.", no_args_is_help=True)


@accounting.command("rebuild")
def rebuild_tables(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Make the list of calls anew from the journal, in one transaction: all of it or nothing.

    A running server goes on taking calls; it keeps its records until this is done.
    """
    engine = database(configuration(config))
    with engine.begin() as connection, _progress() as progress:
        total = connection.execute(select(func.max(journal.c.position))).scalar() or 0
        task = progress.add_task("records", total=total)
        records = rebuild(connection, lambda position: progress.update(task, completed=position))
    engine.dispose()
    typer.echo(f"{records} records read, everything derived from them made anew")


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), transient=True
    )  # fmt: skip


@accounting.command("correct")
def correct_call(
    call_id: Annotated[str, typer.Argument(help="The call's id, as `b2bua calls --json` shows it.")],
    reason: Annotated[str, typer.Option(help="Why; it stays in the journal for ever.")],
    talked: Annotated[str, typer.Option(help="The seconds that count from now on, such as 61.5.")] = "",
    billable: Annotated[bool | None, typer.Option("--billable/--not-billable", help="Whether it is paid for.")] = None,
    by: Annotated[str, typer.Option(help="Who says so. Default: your user name.")] = "",
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Correct a call. Nothing is overwritten: the correction is another record of the journal."""
    content: dict[str, object] = {"reason": reason, "by": by or getpass.getuser()}
    if talked:
        content["talked_ns"] = _nanoseconds(talked)
    if billable is not None:
        content["billable"] = billable
    if len(content) == 2:
        give_up("nothing to correct: give --talked SECONDS, --billable or --not-billable")
    if not reason.strip():
        give_up("a correction needs a reason")
    engine = database(configuration(config))
    with engine.begin() as connection:
        call = read_call(connection, call_id)
        if call is None:
            give_up(f"there is no call {call_id}; `b2bua calls --json` lists them")
        if call.result != "answered":
            give_up(f"call {call_id} reached no agent: there is nothing to bill, and nothing to correct")
        position = declare(connection, "correction", call_id, time.time_ns(), content)
    engine.dispose()
    typer.echo(f"call {call_id} corrected by record {position} of the journal")


def _nanoseconds(seconds: str) -> int:
    try:
        value = Decimal(seconds)
    except InvalidOperation:
        give_up(f"{seconds!r} is no number of seconds, such as 61.5")
    if not (value.is_finite() and 0 <= value < 10_000_000 and value * 10**9 == int(value * 10**9)):
        give_up(f"{seconds!r} is no number of seconds from 0 to ten million, to the nanosecond")
    return int(value * 10**9)
