"""What most commands begin with: the configuration, the database, and how to give up."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from sqlalchemy import Engine

from b2bua.config import Config, ConfigError, load_config
from b2bua.database import DatabaseError, open_database, upgrade

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The server's configuration.", show_default=True)]
DEFAULT_CONFIG = Path("b2bua.toml")


class ReportFormat(StrEnum):
    """How a report is printed: for people, for spreadsheets, for programs."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def give_up(text: object, code: int = 1) -> NoReturn:
    """Say what is wrong on standard error and end."""
    typer.echo(str(text), err=True)
    raise typer.Exit(code)


def configuration(path: Path) -> Config:
    """Read the configuration, or end with every fault of it."""
    try:
        return load_config(path)
    except ConfigError as error:
        give_up(error)


def database(config: Config) -> Engine:
    """Open the database with its schema up to date, or end."""
    try:
        engine = open_database(config.database.url)
        upgrade(engine)
    except DatabaseError as error:
        give_up(error)
    return engine
