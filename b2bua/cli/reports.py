"""For the back office: whether the carrier counts as we do."""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, TextIO
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy import Connection

from accounting.carrier import CarrierCall, CarrierError, CarrierFile, LeftOut, Unreadable
from accounting.excerpts import read_our_calls
from accounting.journal import Segment
from accounting.month import Month
from accounting.rating import rate
from accounting.reconcile import (
    WIDEST_OFFSET_NS,
    Difference,
    Offset,
    OurCall,
    Sums,
    differences,
    estimate_offset,
    lengthened,
    pair,
)
from accounting.store import read_tariffs
from accounting.tariff import Tariff, TariffError
from b2bua.cli.carrier_profile import Profile, Sorter, load_profile, read_lines
from b2bua.cli.start import DEFAULT_CONFIG, ConfigOption, ReportFormat, configuration, database, give_up
from b2bua.config import Config
from routing.directory import Directory, Found
from routing.numbers import NumberReader, NumberRules, TargetNumber
from routing.store import load_directory

_SECOND = 1_000_000_000
_DAY = 86_400 * _SECOND
#: Enough to tell the clocks apart, little enough to be quick.
_SAMPLE = 3000
#: More rows that cannot be read mean that the columns are wrong.
_MOST_UNREADABLE = 10_000
#: So many are shown on a terminal.
_SHOWN = 100
_UNUSABLE = 2


def reconcile(
    file: Annotated[Path, typer.Argument(metavar="CARRIER.csv", help="The carrier's list of calls.")],
    month: Annotated[str, typer.Option(help="The month, such as 2025-07.")],
    columns: Annotated[
        str, typer.Option(help="started=...,duration=...,called=...,caller=...,price=...: names or numbers from 1.")
    ] = "",
    tolerance: Annotated[float | None, typer.Option(help="Seconds that durations may differ. Default: 2.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="Of the times in the file. Default: Europe/Berlin.")] = None,
    trunk: Annotated[str | None, typer.Option(help="Only calls of this trunk.")] = None,
    style: Annotated[ReportFormat, typer.Option("--format", help="How to print it.")] = ReportFormat.TABLE,
    profile: Annotated[Path | None, typer.Option(help="How this carrier writes its file, in TOML.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Compare the carrier's list of calls with ours: what is missing on either side, what differs, what it costs.

    Ends with 0 if all agrees, 1 if something differs or a row cannot be read, 2 if the file cannot be used.
    """
    try:
        wanted = Month.parse(month)
        known = load_profile(profile, columns, tolerance=tolerance, time_zone=time_zone, trunk=trunk)
    except (ValueError, CarrierError) as error:
        give_up(error, _UNUSABLE)
    loaded = configuration(config)
    rules = _rules(loaded, known.trunk)
    engine = database(loaded)
    sorter = Sorter()
    try:
        with engine.connect() as connection:
            comparison = _Comparison(connection, wanted, known, rules)
            comparison.read(file, sorter)
            agrees = _WRITERS[style](comparison, comparison.differences(sorter))
    except CarrierError as error:
        give_up(error, _UNUSABLE)
    finally:
        sorter.close()
        engine.dispose()
    if not agrees:
        raise typer.Exit(1)


def _rules(config: Config, trunk: str) -> NumberRules:
    """How this trunk writes numbers; without its name, as the only trunk does."""
    named = [section for section in config.trunks if section.name == trunk or not trunk]
    if trunk and not named:
        give_up(f"there is no trunk {trunk!r} in the configuration", _UNUSABLE)
    return NumberRules(named[0].region, named[0].area_code) if len(named) == 1 else NumberRules()


@dataclass(slots=True)
class _Comparison:
    """One file beside one month of ours."""

    connection: Connection
    month: Month
    profile: Profile
    rules: NumberRules
    sums: Sums = field(default_factory=Sums)
    unreadable: list[Unreadable] = field(default_factory=list)
    left_out: int = 0
    rows: int = 0
    offset: Offset = field(default_factory=Offset)
    described: dict[str, str] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        return self.sums.agrees and not self.unreadable

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.profile.time_zone)

    def read(self, path: Path, sorter: Sorter) -> None:
        """The carrier's side, and how far its clock is off."""
        encoding, lines = read_lines(path, self.profile.encoding)
        directory = load_directory(self.connection)
        reader = NumberReader(self.rules)
        since, until = self.month.bounds_ns()

        def number(text: str) -> str | None:
            # people and spreadsheets put spaces between the digits, and an apostrophe before them
            return reader.read("".join(text.lstrip("'").split()), directory.literals)

        file = CarrierFile(lines, self.profile.layout(), number, (since, until))
        self.described = {"encoding": encoding, **file.described()}
        sorter.fill(self._usable(file))
        if not self.rows:
            first = f"; line {self.unreadable[0].line}: {self.unreadable[0].reason}" if self.unreadable else ""
            raise CarrierError(f"{path}: no row can be read{first}")
        if not sorter.count(since - _DAY, until + _DAY):
            raise CarrierError(f"{path}: none of its calls is of {self.month}")
        sample = sorter.earliest(since, until, _SAMPLE)
        if sample:
            begin, end = sample[0].started_ns - WIDEST_OFFSET_NS, sample[-1].started_ns + WIDEST_OFFSET_NS
            self.offset = estimate_offset(sample, read_our_calls(self.connection, begin, end, origin=self._origin))

    def differences(self, sorter: Sorter) -> Iterator[Difference]:
        """What does not agree; ``sums`` is complete when they are."""
        since, until = self.month.bounds_ns()
        ours = read_our_calls(
            self.connection, since - _DAY, until + WIDEST_OFFSET_NS, origin=self._origin, order=self.offset.instant
        )
        tariffs = read_tariffs(self.connection)
        return differences(
            pair(sorter.sorted(), ours, round(self.profile.window * _SECOND), self.offset),
            self.sums,
            month_ns=(since, until),
            offset=self.offset,
            tolerance_ns=round(self.profile.tolerance * _SECOND),
            price=_pricing(tariffs),
            missed=_missing(load_directory(self.connection), tariffs),
        )

    @property
    def _origin(self) -> str:
        return f"trunk:{self.profile.trunk}" if self.profile.trunk else ""

    def _usable(self, file: CarrierFile) -> Iterator[CarrierCall]:
        for row in file.rows():
            if isinstance(row, CarrierCall):
                self.rows += 1
                yield row
            elif isinstance(row, LeftOut):
                self.left_out += 1
            else:
                self.unreadable.append(row)
                if len(self.unreadable) > _MOST_UNREADABLE:
                    raise CarrierError(
                        f"more than {_MOST_UNREADABLE} rows cannot be read, the first in line "
                        f"{self.unreadable[0].line}: {self.unreadable[0].reason}; name the columns with --columns"
                    )


def _pricing(tariffs: Mapping[str, Tariff]) -> Callable[[OurCall, int], Decimal | None]:
    def price(call: OurCall, longer_ns: int) -> Decimal | None:
        if not call.segments:
            return None
        segments = lengthened(call.segments, longer_ns) if longer_ns else call.segments
        return _rated(tariffs.get(call.tariff), segments, call.answered_ns)

    return price


def _missing(directory: Directory, tariffs: Mapping[str, Tariff]) -> Callable[[CarrierCall], Decimal | None]:
    """What a call that we do not have would cost the owner of its number: at most, for it may have waited."""

    def price(call: CarrierCall) -> Decimal | None:
        at = datetime.fromtimestamp(call.started_ns // _SECOND, UTC)
        found = directory.lookup(TargetNumber(call.called), at)
        tariff = tariffs.get(found.contract.tariff) if isinstance(found, Found) else None
        talk = Segment("", "talk", call.started_ns, call.started_ns + call.duration_ns)
        return _rated(tariff, (talk,), call.started_ns)

    return price


def _rated(tariff: Tariff | None, segments: Sequence[Segment], at_ns: int) -> Decimal | None:
    """One call by itself; None if there is no tariff for it."""
    try:
        return None if tariff is None else rate(segments, tariff.at(at_ns)).amount
    except TariffError:
        return None


# -- printing ------------------------------------------------------------------------------------------------

_COLUMNS = (
    "kind", "line", "call_id", "contract", "called", "caller", "their_start", "our_start", "their_seconds",
    "our_seconds", "seconds", "their_price", "our_price", "right_price", "money", "reason",
)  # fmt: skip


def _cells(comparison: _Comparison, found: Difference) -> dict[str, str | int]:
    theirs, ours = found.theirs, found.ours
    cells: dict[str, str | int] = {"kind": found.kind, "seconds": f"{found.seconds:f}", "money": str(found.money)}
    if theirs is not None:
        cells |= {
            "line": theirs.line,
            "called": theirs.called,
            "caller": theirs.caller,
            "their_start": _moment(theirs.started_ns, comparison.zone),
            "their_seconds": _seconds(theirs.duration_ns),
            "their_price": "" if theirs.price is None else str(theirs.price),
        }
    if ours is not None:
        cells |= {
            "call_id": ours.call_id,
            "contract": ours.contract,
            "called": ours.called,
            "caller": ours.caller,
            "our_start": _moment(ours.at(comparison.offset.instant), comparison.zone),
            "our_seconds": _seconds(ours.duration_ns),
        }
    for name, price in (("our_price", found.our_price), ("right_price", found.right_price)):
        cells[name] = "" if price is None else str(price)
    return cells


def _moment(at_ns: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at_ns // _SECOND, zone).isoformat()


def _seconds(duration_ns: int) -> str:
    return f"{Decimal(f'{duration_ns}E-9').normalize():f}"


def _summary(comparison: _Comparison) -> dict[str, str | int]:
    sums, offset = comparison.sums, comparison.offset
    beginnings = "connections" if offset.instant == "connected" else "arrivals"
    return {
        "rows read": comparison.rows,
        "rows that cannot be read": len(comparison.unreadable),
        "rows left out by the profile": comparison.left_out,
        "rows of another month": sums.outside,
        "the carrier's clock is ahead by": f"{_seconds(offset.ns)} s, told by {offset.votes} calls; "
        f"its times are those of {beginnings}" if offset.votes else "unknown, taken as 0 s",
        "calls that agree": sums.agreed,
        "missing here": sums.differences["missing_here"],
        "missing there": sums.differences["missing_there"],
        "durations that differ": sums.differences["duration"],
        "unanswered, not in the file": sums.unanswered,
        "unanswered, only in the file": sums.unanswered_only_there,
        "the carrier's calls": sums.their_calls,
        "our calls": sums.our_calls,
        "the carrier's seconds": _seconds(sums.their_ns),
        "our seconds": _seconds(sums.our_ns),
        "the carrier's prices": str(sums.their_price),
        "our prices, each call by itself": str(sums.our_price),
        "money if the carrier is right": str(sums.money),
    }  # fmt: skip


def _as_table(comparison: _Comparison, found: Iterable[Difference]) -> bool:
    table = Table(title=f"Differences {comparison.month}")
    for name in ("", "line", "call", "number"):
        table.add_column(name, overflow="fold")
    for name in ("carrier", "ours", "carrier s", "ours s", "carrier's price", "our price", "money"):
        table.add_column(name, justify="right")
    count = 0
    for difference in found:
        count += 1
        if count > _SHOWN:
            continue
        cells = {name: str(value) for name, value in _cells(comparison, difference).items()}
        names = (
            "line", "call_id", "called", "their_start", "our_start", "their_seconds", "our_seconds", "their_price",
            "our_price", "money",
        )  # fmt: skip
        shown = (cells.get(name, "") for name in names)
        table.add_row(
            difference.kind.replace("_", " "),
            *(escape(text.partition("+")[0].replace("T", " ") if "T" in text else text) for text in shown),
        )
    console = Console()
    if count:
        console.print(table)
    if count > _SHOWN:
        console.print(f"... and {count - _SHOWN} more: --format csv has all of them")
    for row in comparison.unreadable[:_SHOWN]:
        console.print(f"line {row.line} cannot be read: {row.reason}", highlight=False, markup=False)
    if len(comparison.unreadable) > _SHOWN:
        console.print(f"... and {len(comparison.unreadable) - _SHOWN} more lines")
    written = "; ".join(f"{name}: {value!r}" for name, value in comparison.described.items())
    console.print(f"The file: {written}", highlight=False, markup=False)
    _print_summary(comparison, sys.stdout)
    return comparison.agrees


def _print_summary(comparison: _Comparison, file: TextIO) -> None:
    summary = _summary(comparison)
    width = max(map(len, summary))
    for name, value in summary.items():
        print(f"{name:{width}}  {value}", file=file)
    print("Everything agrees." if comparison.agrees else "There are differences.", file=file)


def _as_csv(comparison: _Comparison, found: Iterable[Difference]) -> bool:
    """Differences, then the rows that cannot be read; the summary goes to standard error."""
    writer = csv.DictWriter(sys.stdout, _COLUMNS, restval="", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(_cells(comparison, difference) for difference in found)
    writer.writerows(
        {"kind": "unreadable", "line": row.line, "reason": row.reason.lstrip("=+-@")} for row in comparison.unreadable
    )
    _print_summary(comparison, sys.stderr)
    return comparison.agrees


def _as_json(comparison: _Comparison, found: Iterable[Difference]) -> bool:
    """One object, written as it is found: the sums come last."""
    write = sys.stdout.write
    write(f'{{"month": "{comparison.month}", "file": {json.dumps(comparison.described)},\n"differences": [')
    for index, difference in enumerate(found):
        write(("," if index else "") + "\n " + json.dumps(_cells(comparison, difference), ensure_ascii=False))
    unreadable = [{"line": row.line, "reason": row.reason} for row in comparison.unreadable]
    summary = {name.replace(" ", "_").replace(",", "").replace("'", ""): value
               for name, value in _summary(comparison).items()}  # fmt: skip
    write(f'],\n"unreadable": {json.dumps(unreadable, ensure_ascii=False)},\n"summary": {json.dumps(summary)},\n')
    write(f'"agrees": {json.dumps(comparison.agrees)}}}\n')
    return comparison.agrees


_WRITERS: Mapping[ReportFormat, Callable[[_Comparison, Iterable[Difference]], bool]] = {
    ReportFormat.TABLE: _as_table,
    ReportFormat.CSV: _as_csv,
    ReportFormat.JSON: _as_json,
}
