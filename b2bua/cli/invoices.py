"""``b2bua invoice-run``: the month, for all contracts."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from accounting.chain import Disagreement
from accounting.datev import Accounts, DatevError
from b2bua.cli.money import (
    EvenIfRunning,
    LanguageOption,
    check_language,
    chosen_month,
    letterhead,
    refuse_if_running,
    signer_for,
)
from b2bua.cli.start import DEFAULT_CONFIG, ConfigOption, configuration, database, give_up
from b2bua.config import DatevSection
from b2bua.statements.invoice_run import Plan, Summary, invoice_run
from b2bua.statements.language import language_of
from b2bua.statements.manifest import ManifestError
from b2bua.statements.rendering import Format


def run_invoices(
    month: Annotated[str, typer.Option(help="The month, such as 2025-07.")],
    folder: Annotated[Path, typer.Option(help="Where statements, bookings and the manifest are written.")],
    styles: Annotated[
        list[Format] | None, typer.Option("--format", help="How statements are written; again for more. Default: pdf.")
    ] = None,
    language: LanguageOption = "",
    draft: Annotated[
        bool, typer.Option("--draft", help="Issue nothing: statements without number and proof, and no bookings.")
    ] = False,
    corrected: Annotated[
        bool, typer.Option("--corrected", help="In a finished folder: issue anew what was corrected since.")
    ] = False,
    jobs: Annotated[
        int, typer.Option(min=0, max=64, help="Processes that render. Default: one for each core, if it is worth it.")
    ] = 0,
    even_if_running: EvenIfRunning = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Issue the statements of a month for all contracts, and write what DATEV is to book.

    May be stopped at any time; started again with the same folder, it goes on where it was.
    """
    wanted = chosen_month(month)
    check_language(language)
    loaded = configuration(config)
    plan = Plan(
        month=wanted,
        folder=folder,
        formats=tuple(dict.fromkeys(styles or [Format.PDF])),
        language=language,
        signer=None if draft else signer_for(loaded),
        letterhead=letterhead(loaded),
        accounts=_accounts(loaded.datev),
        corrected=corrected,
        jobs=jobs,
    )
    engine = database(loaded)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        if not even_if_running and not draft:
            refuse_if_running(engine, wanted)
        with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
            task = shown.add_task("contracts", total=None)
            summary = invoice_run(engine, plan, lambda done, total: shown.update(task, completed=done, total=total))
    except (ManifestError, DatevError) as error:
        give_up(error)
    except Disagreement as wrong:
        give_up(f"WRONG, and therefore not issued: {wrong}")
    except OSError as error:
        give_up(f"{error.filename or folder} cannot be written: {error.strerror}; start again when it can")
    finally:
        engine.dispose()
    _show(summary, plan)


def _accounts(section: DatevSection) -> Accounts:
    return Accounts(**section.model_dump())


def _show(summary: Summary, plan: Plan) -> None:
    words = language_of(plan.language or "en")
    typer.echo(f"{plan.month}: {summary.statements} statements, {summary.calls} calls")
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for currency, net in summary.net.items():
        table.add_row("net", words.money(str(net), currency))
        for (of, rate), vat in sorted(summary.vat.items()):
            if of == currency:
                table.add_row(f"VAT {words.percent(rate)}", words.money(str(vat), currency))
        table.add_row("gross", words.money(str(summary.gross[currency]), currency))
    Console().print(table)
    done = [f"{summary.before} of them were done before"] if summary.before else []
    if summary.revisions:
        done.append(f"{summary.revisions} replace statements that were issued before")
    if summary.nothing:
        done.append(f"{summary.nothing} contracts have nothing to bill")
    done += [f"bookings for DATEV: {plan.folder / name}" for name in summary.datev]
    for text in [*done, *summary.notices]:
        typer.echo(text)
    if summary.failed:
        for text in summary.failed:
            typer.echo(text, err=True)
        give_up(f"{len(summary.failed)} statements could not be made; no bookings are written until all are")
