"""For the back office: how the floor did, by hour, day, agent, group and contract."""

import csv
import json
import re
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from accounting.excerpts import read_counted_calls
from accounting.figures import Figures, figures
from accounting.month import BERLIN, Month
from b2bua.cli.start import DEFAULT_CONFIG, ConfigOption, ReportFormat, configuration, database, give_up
from routing.directory import Directory
from routing.store import load_directory

_SECOND = 1_000_000_000
_LEVEL = re.compile(r"(?:([0-9]{1,3}) ?/ ?)?([0-9]{1,4})", re.ASCII)


class By(StrEnum):
    """What a row stands for."""

    HOUR = "hour"
    HOUR_OF_DAY = "hour-of-day"
    DAY = "day"
    AGENT = "agent"
    GROUP = "group"
    CONTRACT = "contract"


def show_figures(
    by: Annotated[By, typer.Option(help="What a row stands for.")] = By.DAY,
    since: Annotated[str, typer.Option(help="A day, hour or month: 2026-07-01, 2026-07-01T08:00, 2026-07.")] = "",
    until: Annotated[str, typer.Option(help="The same; a day or month is meant with its end.")] = "",
    contract: Annotated[str, typer.Option(help="Only this contract's calls.")] = "",
    service_level: Annotated[str, typer.Option(help="Percent to be answered within seconds, or seconds.")] = "80/20",
    style: Annotated[ReportFormat, typer.Option("--format", help="How to print it.")] = ReportFormat.TABLE,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Show how many calls came, waited, gave up and were taken, and how long they talked. Default: this month."""
    now = datetime.now(BERLIN)
    try:
        begin = _moments(since or f"{now:%Y-%m}")[0]
        end = _moments(until)[1] if until else max(begin, int(now.timestamp()) * _SECOND)
        goal, limit = _level(service_level)
    except ValueError as error:
        give_up(error)
    if end < begin:
        give_up(f"--until {until} is before --since {since}")
    engine = database(configuration(config))
    with engine.connect() as connection:
        rows, total = figures(
            read_counted_calls(connection, begin, end, contract=contract),
            by.value,
            limit_ns=limit * _SECOND,
            zone=BERLIN,
            groups=_membership(load_directory(connection)),
        )
    engine.dispose()
    if style is ReportFormat.TABLE:
        Console().print(figures_table(rows, total, by, goal, limit))
        return
    cells = [{by.value: name, **_cells(row, goal)} for name, row in rows.items()]
    if style is ReportFormat.CSV:
        writer = csv.DictWriter(sys.stdout, [by.value, *_cells(total, goal)], lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(cells)
        writer.writerow({by.value: "total", **_cells(total, goal)})
        return
    text = json.dumps(
        {
            "by": by.value,
            "since": _written(begin),
            "until": _written(end),
            "contract": contract,
            "service_level": {"percent": goal, "seconds": limit},
            "rows": cells,
            "total": _cells(total, goal),
        },
        ensure_ascii=False,
        indent=2,
    )
    typer.echo(text)


def _moments(text: str, zone: ZoneInfo = BERLIN) -> tuple[int, int]:
    """The first nanosecond of a month, day or moment, and the first after it. Raises ``ValueError``."""
    if len(text) == 7:
        return Month.parse(text).bounds_ns(zone)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no day, hour or month such as 2026-07-01, 2026-07-01T08:00, 2026-07") from None
    after = moment + timedelta(days=1) if len(text) == 10 else moment
    first, second = (
        int((at if at.tzinfo is not None else at.replace(tzinfo=zone)).timestamp()) * _SECOND for at in (moment, after)
    )
    return first, second


def _written(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // _SECOND, BERLIN).isoformat()


def _level(text: str) -> tuple[int, int]:
    match = _LEVEL.fullmatch(text)
    if match is None or int(match[1] or 0) > 100:
        raise ValueError(f"--service-level {text!r}: write seconds (20), or percent and seconds (80/20)")
    return int(match[1] or 80), int(match[2])


def _membership(directory: Directory) -> Mapping[str, list[str]]:
    """The groups of each agent, as they are now: records do not say what they were."""
    found: dict[str, list[str]] = {}
    for group in directory.groups.values():
        for agent in group.members:
            found.setdefault(agent, []).append(group.id)
    return found


# -- printing ------------------------------------------------------------------------------------------------


def _cells(row: Figures, goal: int) -> dict[str, int | float | bool | None]:
    """Seconds to a tenth; nothing where there is nothing to measure."""
    level = row.service_level
    return {
        "offered": row.offered,
        "accepted": row.accepted,
        "taken_over": row.taken_over,
        "abandoned": row.abandoned,
        "refused": row.refused,
        "recovered": row.recovered,
        "waited_mean": _tenths(row.waited.mean_ns),
        "waited_p50": _tenths(row.waited.percentile_ns(50)),
        "waited_p95": _tenths(row.waited.percentile_ns(95)),
        "waited_longest": _tenths(row.waited.longest_ns if row.waited.count else None),
        "abandoned_after_mean": _tenths(row.abandoned_after.mean_ns),
        "abandoned_after_p95": _tenths(row.abandoned_after.percentile_ns(95)),
        "service_level": None if level is None else round(level, 1),
        "service_level_reached": None if level is None else level >= goal,
        "talk": _tenths(row.talk_ns),
        "hold": _tenths(row.hold_ns),
        "external": _tenths(row.external_ns),
        "talk_mean": _tenths(row.mean_talk_ns),
    }


def _tenths(duration_ns: int | None) -> float | None:
    return None if duration_ns is None else round(duration_ns / _SECOND, 1)


def figures_table(rows: Mapping[str, Figures], total: Figures, by: By, goal: int, limit: int) -> Table:
    """The figures as people read them."""
    table = Table(title=f"Calls by {by.value.replace('-', ' ')}", show_footer=True)
    nobody = {By.AGENT: "reached nobody", By.GROUP: "in no group"}.get(by, "unknown")
    footer = _shown("total", total, goal)
    heads = (
        by.value, "offered", "accepted", "taken over", "abandoned", "refused", "waited mean / p50 / p95 / longest s",
        "gave up after mean / p95 s", f"within {limit} s", "talk", "hold", "mean talk s",
    )  # fmt: skip
    for head, foot in zip(heads, footer, strict=True):
        table.add_column(head, footer=foot, justify="left" if head == by.value else "right")
    for name, row in rows.items():
        table.add_row(*_shown(name or nobody, row, goal))
    notes = [f"goal: {goal} % within {limit} s, without those who gave up before"]
    if total.recovered:
        notes.append(f"{total.recovered} calls end at their last proof before a failure")
    if total.external_ns:
        notes.append(f"{_clock(total.external_ns)} after transfers to customers")
    table.caption = "; ".join(notes)
    return table


def _shown(name: str, row: Figures, goal: int) -> list[str]:
    waited, gave_up, level = row.waited, row.abandoned_after, row.service_level
    times = (waited.mean_ns, waited.percentile_ns(50), waited.percentile_ns(95), waited.longest_ns)
    return [
        escape(name), str(row.offered), str(row.accepted), str(row.taken_over), str(row.abandoned), str(row.refused),
        " / ".join(str(_tenths(time)) for time in times) if waited.count else "",
        f"{_tenths(gave_up.mean_ns)} / {_tenths(gave_up.percentile_ns(95))}" if gave_up.count else "",
        "" if level is None else f"{'[green]' if level >= goal else '[red]'}{level:.1f} %",
        _clock(row.talk_ns), _clock(row.hold_ns), "" if row.mean_talk_ns is None else str(_tenths(row.mean_talk_ns)),
    ]  # fmt: skip


def _clock(duration_ns: int) -> str:
    minutes, seconds = divmod(duration_ns // _SECOND, 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
