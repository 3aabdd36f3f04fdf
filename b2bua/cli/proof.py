"""For customers, auditors and those who keep the books: is it all true, and can it be shown?"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import select

from accounting.archive import ArchiveError, at_one_instant, read_archive, read_entries, write_archive
from accounting.audit import Findings, audit, audit_database
from accounting.chain import Disagreement
from accounting.checkpoint import PublicKeys, Signer
from accounting.checkpoint_store import checkpoint
from accounting.forget import DAY_NS, forget
from accounting.month import BERLIN
from accounting.signing_key import KeyFileError, load_public_keys, load_signer, public_pem
from accounting.statement_file import StatementFile, StatementFileError, read_statement
from accounting.tables import journal_head
from b2bua.cli.start import DEFAULT_CONFIG, ConfigOption, configuration, database, give_up

PublicKeyOption = Annotated[
    list[Path] | None,
    typer.Option("--public-key", help="The key to trust, PEM; again for older ones. Default: the configured key's."),
]
StatementOption = Annotated[
    list[Path] | None, typer.Option("--statement", help="A statement to check: JSON, HTML or PDF.")
]


def audit_books(
    file: Annotated[Path | None, typer.Argument(help="An exported journal. Default: the database.")] = None,
    public_key: PublicKeyOption = None,
    statement: StatementOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Recompute everything from the journal alone: chain, signatures, calls, ratings, statements.

    Names the first record that disagrees, and ends with 1. With --statement and no FILE only the statement is checked:
    that it is, to the last digit, what was signed when it was issued. With a FILE, that it follows from that journal.
    """
    keys = _keys(public_key, config)
    try:
        statements = [read_statement(path) for path in statement or ()]
        for item in statements:
            item.check(keys)
            _show_statement(item)
        if file is not None:
            with _progress(None) as progress:
                found = audit(read_archive(file), keys, progress, statements)
        elif statements:
            return
        else:
            found = _audit_database(config, keys)
    except Disagreement as wrong:
        give_up(f"WRONG: {wrong}")
    except (ArchiveError, StatementFileError) as wrong:
        give_up(f"{file}: {wrong}" if isinstance(wrong, ArchiveError) else wrong)
    except OSError as error:
        give_up(f"{error.filename} cannot be read: {error.strerror}")
    _show(found)


def _audit_database(config: Path, keys: PublicKeys) -> Findings:
    engine = database(configuration(config))
    try:
        with engine.connect() as connection:
            total = connection.execute(select(journal_head.c.position)).scalar()
            connection.rollback()
            with _progress(total) as progress:
                return audit_database(connection, keys, progress)
    finally:
        engine.dispose()


def _keys(paths: list[Path] | None, config: Path) -> PublicKeys:
    keys = None
    try:
        if paths:
            keys = load_public_keys(paths)
        elif config.exists() and (path := configuration(config).signing_key_path).exists():
            keys = PublicKeys([load_signer(path).public_key])
    except KeyFileError as error:
        give_up(error)
    if keys is None:
        give_up("which key is to be trusted? Give it with --public-key; `b2bua accounting public-key` shows it")
    return keys


def _signer(config: Path) -> Signer:
    try:
        return load_signer(configuration(config).signing_key_path)
    except KeyFileError as error:
        give_up(error)


@contextmanager
def _progress(total: int | None) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("records", total=total)
        yield lambda position: progress.update(task, completed=position)


def _show_statement(statement: StatementFile) -> None:
    content, signed = statement.content, statement.checkpoint
    when = datetime.fromtimestamp(signed.wall_ns // 10**9, BERLIN)
    typer.echo(
        f"statement {content['number']}: contract {content['contract']}, {content['month']}, "
        f"{len(content['lines'])} calls, net {content['net']}, VAT {content['vat']}, gross {content['gross']} "
        f"{content['currency']}"
    )
    typer.echo(
        f"  as it was issued on {when:%Y-%m-%d %H:%M:%S %Z}: checkpoint {signed.number} at record {signed.position}, "
        f"signed with {signed.key[:16]}...\n  compare these sums with what is printed"
    )


def _show(found: Findings) -> None:
    lines = [
        f"{found.records} records in one chain, which ends in {found.head}",
        f"{found.checkpoints} checkpoints signed, the last {found.unsigned} records before the end",
        f"{found.calls} calls follow from their records: {found.talked_ns // 10**9} s talked, "
        f"{found.recovered} recovered, {found.open_calls} not over yet",
        f"{found.statements} statements follow from calls and tariffs: {found.lines} calls on them, "
        f"{found.tariffs} tables of tariffs, {found.corrections} corrections",
    ]
    if found.rows:
        lines.append(f"{found.rows} rows of the list of calls are what the journal says")
    if found.forgotten:
        lines.append(f"{found.forgotten} records without their numbers, deleted by age or left out of the export")
    typer.echo("\n".join(lines))
    for notice in found.notices:
        typer.echo(f"note: {notice}")
    typer.echo("nothing disagrees")


# -- b2bua accounting ------------------------------------------------------------------------------------


def export_journal(
    file: Annotated[Path, typer.Argument(help="The file to write; compressed if it ends in .gz.")],
    without_personal_data: Annotated[
        bool, typer.Option("--without-personal-data", help="Leave the numbers of callers and forwarding lines out.")
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Write the journal into a file that anybody with the public key can audit."""
    engine = database(configuration(config))
    try:
        with engine.connect() as connection:
            records, signed = write_archive(
                file, read_entries(at_one_instant(connection)), time.time_ns(), personal=not without_personal_data
            )
    except OSError as error:
        give_up(f"{file} cannot be written: {error.strerror}")
    finally:
        engine.dispose()
    typer.echo(f"{records} records and {signed} checkpoints written to {file}")


def sign_checkpoint(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Sign where the journal stands now, as the server does every hour."""
    signer = _signer(config)
    engine = database(configuration(config))
    try:
        with engine.begin() as connection:
            made = checkpoint(connection, signer, time.time_ns(), "hourly")
    except Disagreement as wrong:
        give_up(f"WRONG, and therefore not signed: {wrong}")
    finally:
        engine.dispose()
    typer.echo(f"checkpoint {made.number} at record {made.position}, signed with {made.key}\n{made.hash}")


def show_public_key(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Show the public key: customers and auditors need it, and should get it long before the first bill."""
    signer = _signer(config)
    typer.echo(f"fingerprint {signer.fingerprint}", err=True)
    typer.echo(public_pem(signer.public_key), nl=False)


def forget_numbers(
    older_than: Annotated[
        int | None, typer.Option(min=1, max=36_500, help="Days. Default: accounting.forget_after_days.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Delete the numbers of callers and forwarding lines of old calls; sums and chain stay verifiable."""
    read = configuration(config)
    days = older_than or read.accounting.forget_after_days
    if not days:
        give_up("accounting.forget_after_days is 0, never: say --older-than DAYS")
    engine = database(read)
    total = 0
    before_ns = time.time_ns() - days * DAY_NS
    while True:
        with engine.begin() as connection:
            count = forget(connection, before_ns)
        if not count:
            break
        total += count
    engine.dispose()
    typer.echo(f"the numbers beside {total} records older than {days} days are deleted")
