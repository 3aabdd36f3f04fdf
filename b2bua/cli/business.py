"""For the back office: business data in and out, and why a call goes where it goes."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from accounting.store import declare_tariffs, read_tariffs
from accounting.tariff import Tariff, TariffError, money, tariff_content, tariffs_of
from b2bua.cli.start import DEFAULT_CONFIG, ConfigOption, configuration, database, give_up
from routing.business import Business, BusinessError, read_business, write_business
from routing.business_tariffs import tariffs_content, tariffs_from_content
from routing.explain import explain, explain_line, render
from routing.line_store import load_forwardings
from routing.lines import LineForwardings
from routing.numbers import NumberReader, NumberRules
from routing.store import load_business, load_directory, replace_business

_ZONE = ZoneInfo("Europe/Berlin")


def import_file(
    file: Annotated[Path, typer.Argument(help="Contracts, agents, groups and tariffs in TOML.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Replace the business data by a file's; a running server takes them within two seconds.

    All or nothing: a file with a fault changes nothing. Live calls go on as they are.
    """
    loaded = configuration(config)
    try:
        business = read_business(file.read_text(encoding="utf-8"), str(file), loaded.server.domain)
    except BusinessError as error:
        give_up(error)
    except (OSError, UnicodeDecodeError) as error:
        give_up(f"{file}: cannot be read: {error}")
    engine = database(loaded)
    with engine.begin() as connection:
        replace_business(connection, business)
        declare_tariffs(connection, _tariffs(business), time.time_ns())
    engine.dispose()
    typer.echo(
        f"imported {len(business.contracts)} contracts, {len(business.agents)} agents, {len(business.groups)} "
        f"groups, {len(business.tariffs)} tariffs"
    )


def _tariffs(business: Business) -> list[Tariff]:
    return list(tariffs_of(tariffs_content(business.tariffs)).values())


def export_file(
    file: Annotated[Path | None, typer.Argument(help="Where to write; standard output if left out.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Write the business data as a file that ``import`` takes; passwords come out as hashes."""
    engine = database(configuration(config))
    with engine.connect() as connection:
        tariffs = tariffs_from_content(tariff_content(read_tariffs(connection).values()))
        text = write_business(load_business(connection, tariffs))
    engine.dispose()
    if file is None:
        typer.echo(text, nl=False)
    else:
        file.write_text(text, encoding="utf-8")


def explain_call(
    number: Annotated[str, typer.Argument(help="The dialled number: +49..., 0049..., 030..., or a SIP or tel URI.")],
    at: Annotated[
        str, typer.Option(help="When: 2025-07-01T14:30, of Europe/Berlin unless it names an offset. Default: now.")
    ] = "",
    forwarded_from: Annotated[str, typer.Option(help="The line that forwarded the call.")] = "",
    kind: Annotated[str, typer.Option(help="How it forwarded: unconditional, busy, no_answer or unknown.")] = "",
    caller: Annotated[str, typer.Option(help="The caller's number, or anonymous: is it a VIP's, is it blocked?")] = "",
    trunk: Annotated[str, typer.Option(help="Read the number by this trunk's rules. Default: the first trunk's.")] = "",
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Say whose call it is, which agents ring in which order, by which tariff, and why not the others.

    Places no call. Exit code 1 if nobody would be rung.
    """
    loaded = configuration(config)
    try:
        moment = datetime.fromisoformat(at) if at else datetime.now(UTC)
    except ValueError:
        give_up(f"--at {at!r} is no time; write 2025-07-01T14:30")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=_ZONE)
    names = {item.name: item for item in loaded.trunks}
    if trunk and trunk not in names:
        give_up(f"there is no trunk {trunk!r}; there are: {', '.join(names) or 'none'}")
    chosen = names.get(trunk) or (loaded.trunks[0] if loaded.trunks else None)
    rules = NumberRules(chosen.region, chosen.area_code) if chosen is not None else NumberRules()
    engine = database(loaded)
    with engine.connect() as connection:
        directory = load_directory(connection)
        told = explain_line(
            directory, LineForwardings(load_forwardings(connection)[0]), NumberReader(rules), number, moment
        )
        at_ns = int(moment.timestamp()) * 1_000_000_000
        tariffs = {name: _spoken(tariff, at_ns) for name, tariff in read_tariffs(connection).items()}
    engine.dispose()
    if told:
        typer.echo(told, nl=False)
        return
    explanation = explain(directory, NumberReader(rules), number, moment, forwarded_from, kind, tariffs, caller=caller)
    typer.echo(render(explanation), nl=False)
    if not explanation.rings:
        raise typer.Exit(1)


def _spoken(tariff: Tariff, at_ns: int) -> str:
    """The prices at an instant, in one line."""
    try:
        version = tariff.at(at_ns)
    except TariffError as error:
        return str(error)
    currency = tariff.currency
    parts = []
    if version.per_minute is not None:
        parts.append(f"{money(version.per_minute)} {currency} a minute")
    if version.per_increment is not None:
        parts.append(f"{money(version.per_increment)} {currency} an increment")
    if parts:
        parts.append(f"increment {version.increment}")
    if version.acceptance or not parts:
        parts.append(f"{money(version.acceptance)} {currency} a call")
    if version.bands:
        parts.append(f"other prices: {', '.join(band.name for band in version.bands)}")
    if version.free_calls:
        parts.append(f"{version.free_calls} calls a month free")
    if version.included_minutes:
        parts.append(f"{version.included_minutes} minutes a month included")
    return ", ".join(parts)
