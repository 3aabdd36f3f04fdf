"""For the back office: what was talked, and what it costs."""

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, Engine

from accounting.chain import Disagreement
from accounting.checkpoint import Signer
from accounting.issuing import Customer, draft, issue_statement, open_calls_before
from accounting.month import Month
from accounting.records import CallRecord
from accounting.signing_key import KeyFileError, load_signer
from accounting.statement import StatementContent, StatementError, file_name
from accounting.store import read_calls
from b2bua.cli.start import DEFAULT_CONFIG, ConfigOption, configuration, database, give_up
from b2bua.config import Config
from b2bua.statements.customers import Recipient, recipient, recipients
from b2bua.statements.language import language_of
from b2bua.statements.letterhead import Letterhead
from b2bua.statements.rendering import Format, render
from b2bua.statements.table import plain, statement_table

_ZONE = ZoneInfo("Europe/Berlin")


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
            f"{started:%d.%m. %H:%M:%S}", plain(call.contract), plain(call.caller) or "anonymous",
            plain(_forwarding(call)), plain(call.agent), call.end_reason + (" *" if call.recovered else ""), talked,
            _mos(call),
        )  # fmt: skip
    return table


def _forwarding(call: CallRecord) -> str:
    return f"{call.forwarded_from} ({call.forwarding_kind.replace('_', ' ')})" if call.forwarded_from else ""


def _mos(call: CallRecord) -> str:
    """The worse of the two directions counts."""
    values = [leg.get("mos") for leg in call.media.values()]
    known = [value for value in values if isinstance(value, float)]
    return f"{min(known):.1f}" if known else ""


# -- b2bua statement -------------------------------------------------------------------------------------

LanguageOption = Annotated[
    str, typer.Option("--language", help="de or en. Default: the contract's.", metavar="[de|en]")
]
EvenIfRunning = Annotated[
    bool,
    typer.Option("--even-if-running", help="Also if the month is not over, or calls of it have not ended."),
]


def make_statement(
    contract: Annotated[str, typer.Argument(help="The contract's id.")] = "",
    everyone: Annotated[bool, typer.Option("--all", help="All contracts.")] = False,
    month: Annotated[str, typer.Option(help="The month, such as 2025-07. Default: this month.")] = "",
    style: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.TABLE,
    language: LanguageOption = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to a file; with --all into a folder.")
    ] = None,
    issue: Annotated[
        bool,
        typer.Option("--issue", help="Issue it: with its number, in the journal, signed. Otherwise it is a draft."),
    ] = False,
    even_if_running: EvenIfRunning = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Make the itemised statement of a contract and month: only time talked with an agent is paid for.

    Issuing it again gives the same statement, unless the books were corrected: then a new revision that says so.
    """
    if bool(contract) == everyone:
        give_up("give the contract's id, or --all")
    if style is Format.PDF and output is None:
        give_up("a PDF is nothing for a terminal: say --output FILE")
    wanted = chosen_month(month)
    check_language(language)
    loaded = configuration(config)
    signer = signer_for(loaded) if issue else None
    faults: list[str] = []
    engine = database(loaded)
    try:
        if issue and not even_if_running:
            refuse_if_running(engine, wanted)
        with engine.connect() as connection:
            chosen = recipients(connection, wanted) if everyone else [_recipient(connection, contract)]
        for one in chosen:
            try:
                made = _made(engine, signer, one.customer, wanted)
            except StatementError as error:
                # the others get theirs
                faults.append(str(error))
                continue
            if made is None:
                typer.echo(f"contract {one.customer.contract} has nothing to bill in {wanted}", err=True)
                continue
            content, proof, told = made
            if told:
                typer.echo(told, err=True)
            _write(content, proof, style, language or one.language, letterhead(loaded), output, everyone)
    except Disagreement as wrong:
        give_up(f"WRONG, and therefore not issued: {wrong}")
    except OSError as error:
        give_up(f"{error.filename} cannot be written: {error.strerror}")
    finally:
        engine.dispose()
    if faults:
        give_up("\n".join(faults))


def chosen_month(text: str) -> Month:
    """The month that is meant, or the end of the command."""
    if not text:
        now = datetime.now(_ZONE)
        return Month(now.year, now.month)
    try:
        return Month.parse(text)
    except ValueError as error:
        give_up(error)


def check_language(code: str) -> None:
    """End the command for a language that nobody has translated."""
    if code not in ("", "de", "en"):
        give_up(f"there is no language {code!r}; there are: de, en")


def letterhead(config: Config) -> Letterhead:
    """What the configuration says of us."""
    section = config.statements
    return Letterhead(section.issuer, section.footer, section.payment_days)


def signer_for(config: Config) -> Signer:
    """The key that signs statements, or the end of the command."""
    try:
        return load_signer(config.signing_key_path)
    except KeyFileError as error:
        give_up(error)


def refuse_if_running(engine: Engine, month: Month) -> None:
    """End the command if more may come to be billed in this month."""
    _, until = month.bounds_ns()
    if time.time_ns() < until:
        give_up(f"{month} is not over: more calls may come. --even-if-running issues all the same")
    with engine.connect() as connection:
        still = open_calls_before(connection, until)
    if still:
        give_up(
            f"{still} calls that began in {month} or before have not ended: wait for their ends, or start the server "
            "so that it closes what a crash left open. --even-if-running issues all the same"
        )


def _recipient(connection: Connection, contract: str) -> Recipient:
    found = recipient(connection, contract)
    if found is None:
        give_up(f"there is no contract {contract!r}, and no call of it")
    return found


def _made(
    engine: Engine, signer: Signer | None, customer: Customer, month: Month
) -> tuple[StatementContent, Mapping[str, Any] | None, str] | None:
    """Content, proof, and what is to be said of it; None if there is nothing to issue."""
    if signer is None:
        with engine.connect() as connection:
            return draft(connection, customer, month), None, ""
    with engine.begin() as connection:
        made = issue_statement(connection, signer, customer, month, time.time_ns())
    if made is None:
        return None
    number, replaces = made.content["number"], made.content["replaces"]
    if not made.new:
        told = f"statement {number} was issued before: this is it again"
    elif replaces:
        told = f"the books were corrected: statement {number} is issued and replaces {replaces}"
    else:
        told = f"statement {number} is issued"
    return made.content, made.proof, told


def _write(
    content: StatementContent,
    proof: Mapping[str, Any] | None,
    style: Format,
    language: str,
    head: Letterhead,
    output: Path | None,
    everyone: bool,
) -> None:
    spoken = language_of(language)
    if output is None and style is Format.TABLE:
        Console().print(statement_table(content, spoken))
        return
    written = render(content, proof, style, spoken, head)
    if output is None:
        sys.stdout.write(written.decode())
    elif everyone:
        output.mkdir(parents=True, exist_ok=True)
        (output / f"{file_name(content)}.{style.ending}").write_bytes(written)
    else:
        output.write_bytes(written)
