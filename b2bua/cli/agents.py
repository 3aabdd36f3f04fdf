"""For whoever leads the agents: who is there, who waits, and who goes on a break."""

import json
import time
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from b2bua.cli.server_api import ask
from b2bua.cli.start import DEFAULT_CONFIG, ConfigOption, configuration, give_up
from b2bua.config import Config

_ZONE = ZoneInfo("Europe/Berlin")
_COLOURS = {"available": "green", "on_break": "yellow", "logged_out": "dim"}
_WAITING = frozenset(("preparing", "seeking"))


def agents(
    agent: Annotated[str | None, typer.Argument(help="One agent's id; all if left out.")] = None,
    on_break: Annotated[str | None, typer.Option("--break", help="On a break, for this reason.")] = None,
    available: Annotated[bool, typer.Option("--available", help="Takes calls again.")] = False,
    logged_out: Annotated[bool, typer.Option("--logged-out", help="Goes home.")] = False,
    wrap_up_finished: Annotated[
        bool, typer.Option("--wrap-up-finished", help="Has done the after-call work before its time.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Show agents as the running server sees them, or change one's status.

    The status is what the agent chose (available, on_break, logged_out); the state is what the floor has for them
    (waiting, offered, in_call, wrap_up).
    """
    loaded = configuration(config)
    chosen = [on_break is not None, available, logged_out, wrap_up_finished]
    if sum(chosen) > 1:
        give_up("one at a time: --break REASON, --available, --logged-out or --wrap-up-finished")
    if any(chosen):
        if agent is None:
            give_up("name the agent: b2bua agents anna --break lunch")
        found = [_change(loaded, agent, on_break, available, logged_out)]
    else:
        found = [item for item in ask(loaded, "/agents") if agent in (None, item["id"])]
        if agent is not None and not found:
            give_up(f"there is no agent {agent!r}")
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        Console().print(_agents_table(found))


def _change(config: Config, agent: str, on_break: str | None, available: bool, logged_out: bool) -> dict[str, Any]:
    path = f"/agents/{quote(agent, safe='')}"
    if not (available or logged_out or on_break is not None):
        finished = ask(config, f"{path}/wrap-up-finished", {})
        assert isinstance(finished, dict)
        return finished
    status = "available" if available else "logged_out" if logged_out else "on_break"
    changed = ask(config, f"{path}/status", {"status": status, "reason": on_break or ""})
    assert isinstance(changed, dict)
    return changed


def _agents_table(found: Iterable[dict[str, Any]]) -> Table:
    table = Table(title="Agents", title_justify="left")
    for name in ("agent", "name", "status", "since", "state", "phone"):
        table.add_column(name, no_wrap=name in ("agent", "status"))
    for name in ("calls", "talked"):
        table.add_column(name, justify="right")
    for item in found:
        status = item["status"] + (f": {item['reason']}" if item["reason"] else "")
        state = item["state"] + (" (paused)" if item["paused"] else "")
        table.add_row(
            Text(item["id"]),
            Text(item["name"]),
            Text(status, _COLOURS.get(item["status"], "")),
            _clock(item["since_ns"]),
            Text(state),
            "there" if item["reachable"] else "away",
            str(item["calls"]),
            _length(item["talk_seconds"]),
        )
    return table


def queue(
    watch: Annotated[bool, typer.Option("--watch", help="Look again every second, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Show callers who wait and callers who talk, as the running server sees them."""
    loaded = configuration(config)
    calls = ask(loaded, "/calls")
    if as_json:
        typer.echo(json.dumps(calls, ensure_ascii=False, indent=2))
        return
    console = Console()
    if not watch:
        console.print(_calls_table(calls))
        return
    with Live(_calls_table(calls), console=console) as live:
        try:
            while True:
                time.sleep(1.0)
                live.update(_calls_table(ask(loaded, "/calls")))
        except KeyboardInterrupt:
            return


def _calls_table(calls: list[dict[str, Any]]) -> Table:
    waiting = sum(call["state"] in _WAITING for call in calls)
    table = Table(title=f"{waiting} waiting, {len(calls) - waiting} others", title_justify="left")
    for name in ("since", "contract", "caller", "state", "place", "agent", "rings at"):
        table.add_column(name)
    for call in calls:
        table.add_row(
            _clock(call["started_ns"]), Text(call["contract"]), Text(call["caller"]), call["state"],
            str(call["position"] or ""), Text(call["agent"]), Text(", ".join(filter(None, call["ringing"]))),
        )  # fmt: skip
    return table


def _clock(wall_ns: int) -> str:
    return f"{datetime.fromtimestamp(wall_ns // 10**9, _ZONE):%d.%m. %H:%M:%S}" if wall_ns else ""


def _length(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds % 3600 // 60:02}:{seconds % 60:02}"
