"""For the operator: run the server, check its files."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from accounting.signing_key import KeyFileError
from accounting.spool import SpoolError
from b2bua import announcements
from b2bua.app import App
from b2bua.call.prompts import ways_out
from b2bua.cli.start import DEFAULT_CONFIG, ConfigOption, configuration, database, give_up
from b2bua.config import Config, ConfigError, load_config
from b2bua.database import unreachable
from b2bua.logs import configure_logging
from b2bua.web.token import TokenError
from media.sounds import SoundLibrary
from routing.business import Business, BusinessError, Fault, read_business
from routing.plan import Callback, Voicemail
from routing.toml_lines import TomlLines


def run(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Run the server in the foreground.

    SIGTERM (or Ctrl-C) stops taking calls and waits until the last one has ended; a second one says BYE to
    everybody and ends at once.
    """
    loaded = configuration(config)
    logging = loaded.logging
    configure_logging(logging.level, logging.format, logging.full_numbers)
    engine = database(loaded)
    try:
        with asyncio.Runner(loop_factory=_event_loop) as runner:
            runner.run(_serve(loaded, engine))
    except SpoolError as error:
        give_up(f"{error} (accounting.spool in {config})")
    except KeyFileError as error:
        give_up(f"{error} (accounting.signing_key in {config})")
    except OperationalError as error:
        give_up(f"{unreachable(engine, error)}")
    except TokenError as error:
        give_up(error)
    except OSError as error:
        give_up(f"cannot listen: {error}. Is the address this machine's, and the port free?")


def _event_loop() -> asyncio.AbstractEventLoop:
    """uvloop where there is one: a third less CPU a call."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _serve(config: Config, engine: Engine) -> None:
    app = App(config, engine)
    app.catch_signals()
    try:
        await app.start()
        await app.finished.wait()
    finally:
        await app.close()
        engine.dispose()


def _missing_sounds(
    library: SoundLibrary, folder: Path | None, business: Business, file: str, text: str
) -> Iterator[str]:
    lines = TomlLines(text)
    places = {contract.id: lines.locate(("contracts", index)) for index, contract in enumerate(business.contracts)}
    for contract, sound in announcements.missing(library, business.contracts):
        hint = announcements.what_to_do(folder)
        yield str(Fault(file, places[contract.id], f"contract {contract.id}: there is no sound {sound!r}: {hint}"))


def _missing_voicemail(business: Business, file: str, text: str) -> Iterator[str]:
    lines = TomlLines(text)
    for index, contract in enumerate(business.contracts):
        if any(isinstance(way, Voicemail | Callback) for way in ways_out(contract)):
            hint = "callers would hear the announcement and leave nothing: set folder in [voicemail]"
            yield str(
                Fault(file, lines.locate(("contracts", index)), f"contract {contract.id} has voicemail, but {hint}")
            )


def _numbers_without_a_way(business: Business, file: str, text: str) -> Iterator[str]:
    lines = TomlLines(text)
    for index, agent in enumerate(business.agents):
        for position, endpoint in enumerate(agent.endpoints):
            if endpoint.number:
                place = ("agents", index, "endpoints", position)
                hint = "no trunk takes calls from us: set proxy of a trunk in b2bua.toml"
                yield str(
                    Fault(file, lines.locate(place), f"agent {agent.id} is called at {endpoint.number}, but {hint}")
                )


def check(
    config: ConfigOption = DEFAULT_CONFIG,
    contracts: Annotated[
        list[Path] | None, typer.Argument(help="Business data files to check too, before importing them.")
    ] = None,
) -> None:
    """Find every fault of the configuration and of business data files, with file and line. Exit code 1 if any.

    Sounds are read too, and compared with what the business data name. Changes nothing and opens no database.
    """
    faults: list[str] = []
    domain = "b2bua.invalid"
    folder: Path | None = None
    loaded: Config | None = None
    try:
        loaded = load_config(config)
        domain, folder = loaded.server.domain, loaded.sounds.folder
    except ConfigError as error:
        faults.extend(str(fault) for fault in error.faults)
    voicemail = loaded is None or loaded.voicemail.folder is not None
    if loaded is not None and loaded.mail.host:
        try:
            loaded.mail.password  # noqa: B018 - whether it can be read
        except OSError as error:
            faults.append(f"{config}: mail.password_file {loaded.mail.password_file} cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            faults.append(f"{config}: mail.password_file {loaded.mail.password_file} is not UTF-8")
    library = SoundLibrary()
    faults.extend(fault.text for fault in announcements.fill(library, folder))
    for path in contracts or ():
        try:
            text = path.read_text(encoding="utf-8")
            business = read_business(text, str(path), domain)
            faults.extend(_missing_sounds(library, folder, business, str(path), text))
            if not voicemail:
                faults.extend(_missing_voicemail(business, str(path), text))
            if loaded is not None and not any(trunk.proxy for trunk in loaded.trunks):
                faults.extend(_numbers_without_a_way(business, str(path), text))
        except BusinessError as error:
            faults.extend(str(fault) for fault in error.faults)
        except (OSError, UnicodeDecodeError) as error:
            faults.append(f"{path}: cannot be read: {error}")
    for fault in faults:
        typer.echo(fault)
    if faults:
        raise typer.Exit(1)
    names = ", ".join(str(path) for path in (config, *(contracts or ())))
    typer.echo(f"{names}: no faults", err=True)
