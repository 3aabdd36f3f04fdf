"""The results as tables with ratios, on the terminal and in docs/performance.md."""

import math
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import queueing

OURS = "b2bua"
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
Rows = list[list[str]]


def tables(results: dict[str, Any]) -> list[tuple[str, list[str], Rows]]:
    """(title, columns, rows) of everything that was measured."""
    found = []
    goals = _goals(results)
    if goals:
        found.append(("Goals", ["", "goal", "measured", ""], goals))
    if "signalling" in results:
        found += _signalling(results["signalling"])
    if "relay" in results:
        found += _relay(results["relay"])
    if "player" in results:
        found += _player(results["player"])
    if "queue" in results:
        found.append(_queue(results["queue"]))
    if "floor" in results:
        found.append(_floor(results["floor"]))
    if "money" in results:
        found += _money(results["money"])
    return found


def missing(results: dict[str, Any]) -> list[str]:
    """What could not be measured, and why."""
    parts = [*results.get("signalling", ()), *results.get("relay", ())]
    return [f"{item['name']}: {item['missing']}" for item in parts if item["missing"]]


def show(console: Console, results: dict[str, Any]) -> None:
    """All tables."""
    for title, columns, rows in tables(results):
        table = Table(title=title, title_justify="left")
        for index, column in enumerate(columns):
            table.add_column(column, justify="right" if index else "left")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for line in missing(results):
        console.print(f"[yellow]not measured: {line}")


def markdown(results: dict[str, Any]) -> str:
    """The measured part of docs/performance.md."""
    machine = results["machine"]
    yardstick = " / ".join(f"{value:.0f}" for value in results["yardstick_ms"])
    lines = [
        f"Measured {results['at']} with `{results['command'].strip()}` on: {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['system']}, kernel {machine['kernel']}, Python {machine['python']}. "
        f"Server on core {results['cores']['server']}, load on {results['cores']['load']}. "
        f"Yardstick (CPU time of two million additions in Python) before, between and after: {yardstick} ms.",
        "",
    ]
    for title, columns, rows in tables(results):
        lines += [f"### {title}", "", _line(columns), _line(["---"] + ["---:"] * (len(columns) - 1))]
        lines += [_line(row) for row in rows]
        lines.append("")
    if len(results.get("floor", ())) > 1:
        lines += _floor_plot(results["floor"])
    lines += [f"Not measured: {item}." for item in missing(results)]
    return "\n".join(lines).rstrip() + "\n"


def update(path: Path, results: dict[str, Any]) -> None:
    """Replace what stands between the two marks of the document; raises ValueError if they are not there."""
    text = path.read_text(encoding="utf-8")
    head, found_begin, rest = text.partition(BEGIN)
    _, found_end, tail = rest.partition(END)
    if not found_begin or not found_end:
        raise ValueError(f"{path} has no marks {BEGIN} and {END}")
    path.write_text(f"{head}{BEGIN}\n{markdown(results)}{END}{tail}", encoding="utf-8")


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _goals(results: dict[str, Any]) -> Rows:
    """What this server is to reach, and whether it does."""
    rows: Rows = []
    ours = next((item for item in results.get("signalling", ()) if item["name"] == OURS), None)
    if ours is not None and not ours["missing"]:
        for step in ours["steps"]:
            load = step["load"]
            if load["rate"] == 200:
                rows.append(
                    _goal("CPU a call at 200 calls/s, ms", "below 1.0", f"{step['cpu_ms']:.2f}", step["cpu_ms"] < 1)
                )
            if load["rate"] == 400:
                failed = load["calls"] - load["succeeded"]
                rows.append(_goal("failed calls at 400 calls/s", "0", str(failed), not failed))
        size = ours["held_bytes"] / 1024
        rows.append(_goal("memory of a held call, KiB", "below 40", f"{size:.1f}", size < 40))
    cpu = {
        item["name"]: {step["calls"]: step["cpu_us"] for step in item["steps"]}
        for item in results.get("relay", ())
        if not item["missing"]
    }
    for calls, mine in cpu.get(OURS, {}).items():
        theirs = cpu.get("rtpengine", {}).get(calls)
        if calls >= 500 and theirs:
            rows.append(
                _goal(
                    f"relay CPU at {calls} calls, ours : rtpengine", "at most 1", f"{mine / theirs:.2f}", mine <= theirs
                )
            )
    for item in results.get("queue", ()):
        load = item["step"]["load"]
        if load["rate"] == 200:
            what = f"CPU a call through a queue of {queueing.AGENTS}, {item['answering']}, 200 calls/s, ms"
            rows.append(_goal(what, "at most 1.5", f"{item['step']['cpu_ms']:.2f}", item["step"]["cpu_ms"] <= 1.5))
    for step in results.get("money", ()):
        if step["calls"] >= 1_000_000 and step["task"] != "figures":
            what = f"{step['task']}, {step['calls']:,} calls"
            rows.append(_goal(f"{what}, MiB", "below 300", f"{step['peak_mib']:.0f}", step["peak_mib"] < 300))
            if step["task"] == "rate":
                rows.append(_goal(f"{what}, s", "below 60", f"{step['seconds']:.1f}", step["seconds"] < 60))
    return rows


def _goal(what: str, goal: str, measured: str, reached: bool) -> list[str]:
    return [what, goal, measured, "reached" if reached else "missed"]


def _signalling(measured: list[dict[str, Any]]) -> list[tuple[str, list[str], Rows]]:
    there = [item for item in measured if not item["missing"]]
    ours = next((item for item in there if item["name"] == OURS), None)
    steps = {item["name"]: {step["load"]["rate"]: step for step in item["steps"]} for item in there}
    rates = sorted({rate for by_rate in steps.values() for rate in by_rate})
    cpu: Rows = []
    answered: Rows = []
    wrong: Rows = []
    others: Rows = []
    for item in there:
        mine = steps[item["name"]]
        cpu.append([item["name"], *(_cpu(mine.get(rate), steps.get(OURS, {}).get(rate)) for rate in rates)])
        answered.append([item["name"], *(_times(mine.get(rate)) for rate in rates)])
        wrong.append([item["name"], *(_wrong(mine.get(rate)) for rate in rates)])
        others.append([item["name"], *(_others(mine.get(rate)) for rate in rates)])
    columns = ["calls/s", *(f"{rate:g}" for rate in rates)]
    most: Rows = []
    for item in there:
        bound = "at least " if item["search_reached_bound"] else ""
        most.append(
            [
                item["name"],
                f"{bound}{item['highest_clean']:g}",
                _ratio(ours, item, "highest_clean"),
                f"{item['held_bytes'] / 1024:.1f}",
                _ratio(ours, item, "held_bytes"),
                f"{item['held']} ({item['held_failed']} failed)",
            ]
        )
    return [
        ("CPU time of the server's processes, ms a call (in brackets: ours as a multiple of this)", columns, cpu),
        ("INVITE to 200, p50 / p99 ms", columns, answered),
        ("Failed calls / retransmissions", columns, wrong),
        ("What others took of the machine meanwhile, share of one core", columns, others),
        (
            "Highest clean rate and memory",
            ["", "clean up to calls/s", "ours : this", "KiB a held call", "ours : this", "calls held"],
            most,
        ),
    ]


def _cpu(step: dict[str, Any] | None, ours: dict[str, Any] | None) -> str:
    if step is None:
        return "not tried"
    if ours is None or ours is step or not step["cpu_ms"]:
        return f"{step['cpu_ms']:.2f}"
    return f"{step['cpu_ms']:.2f} ({ours['cpu_ms'] / step['cpu_ms']:.2f})"


def _times(step: dict[str, Any] | None) -> str:
    return f"{step['load']['p50_ms']:.1f} / {step['load']['p99_ms']:.1f}" if step else "not tried"


def _wrong(step: dict[str, Any] | None) -> str:
    if step is None:
        return "not tried"
    load = step["load"]
    return f"{load['calls'] - load['succeeded']} / {load['retransmissions']}"


def _others(step: dict[str, Any] | None) -> str:
    return f"{step['disturbed']:.0%}" if step else "not tried"


def _ratio(ours: dict[str, Any] | None, item: dict[str, Any], key: str) -> str:
    if ours is None or ours is item or not item[key]:
        return ""
    return f"{ours[key] / item[key]:.2f}"


def _relay(measured: list[dict[str, Any]]) -> list[tuple[str, list[str], Rows]]:
    there = [item for item in measured if not item["missing"]]
    by_name = {item["name"]: {step["calls"]: step for step in item["steps"]} for item in there}
    rows: Rows = []
    for item in there:
        for step in item["steps"]:
            ours = by_name.get(OURS, {}).get(step["calls"])
            ratio = f"{ours['cpu_us'] / step['cpu_us']:.2f}" if ours and item["name"] != OURS else ""
            rows.append(
                [
                    f"{item['name']}, {step['calls']} calls", f"{step['packets_per_second']:,.0f}",
                    f"{step['cpu_us']:.2f}", ratio, f"{step['share']:.0%}", f"{step['loss']:.3%}",
                    f"{step['p50_us'] / 1000:.2f} / {step['p99_us'] / 1000:.2f}", str(step["late"]),
                ]
            )  # fmt: skip
    columns = [
        "",
        "packets/s",
        "CPU us a packet",
        "ours : this",
        "of a core",
        "lost",
        "delay p50 / p99 ms",
        "load late",
    ]
    return [("RTP relay", columns, rows)]


def _player(steps: list[dict[str, Any]]) -> list[tuple[str, list[str], Rows]]:
    rows: Rows = [
        [
            f"{step['legs']} legs", f"{step['packets_per_second']:,.0f}", f"{step['cpu_us']:.2f}",
            f"{step['share']:.0%}", f"{step['per_core']:,}", f"{max(0.0, 1 - step['heard'] / step['due']):.3%}",
            f"{step['late_ms']:.1f}", f"{step['drift_ms']:+.1f}",
        ]
        for step in steps
    ]  # fmt: skip
    columns = ["", "packets/s", "CPU us a packet", "of a core", "legs a core", "missing", "p99 late ms", "drift ms"]
    return [("Music for those who wait", columns, rows)]


def _queue(measured: list[dict[str, Any]]) -> tuple[str, list[str], Rows]:
    rows = []
    for item in measured:
        step, load = item["step"], item["step"]["load"]
        rows.append(
            [
                f"{item['answering']}, {load['rate']:g} calls/s", f"{step['cpu_ms']:.2f}",
                f"{queueing.ASTERISK_MS / step['cpu_ms']:.1f}", f"{item['answered']} of {load['calls']}",
                f"{load['p50_ms']:.1f}", f"{load['p99_ms']:.1f}",
            ]
        )  # fmt: skip
    columns = [
        "",
        "CPU ms a call",
        f"Asterisk's {queueing.ASTERISK_MS} ms : ours",
        "took an agent",
        "200 after ms",
        "99 %",
    ]
    return f"A queue before {queueing.AGENTS} agents", columns, rows


def _floor(measured: list[dict[str, Any]]) -> tuple[str, list[str], Rows]:
    """Every size beside the smallest: agents and waiting callers times how much, and the whole call times how much."""
    kinds = ("offered_us", "queued_us", "taken_us", "declined_us", "call_us")
    first = measured[0]
    rows = [
        [
            f"{item['agents']} / {item['waiting']}",
            *(f"{item[kind]:.1f}" for kind in kinds),
            f"{item['agents'] / first['agents']:g} x {item['waiting'] / first['waiting']:g}",
            f"{item['call_us'] / first['call_us']:.2f}",
        ]
        for item in measured
    ]
    columns = ["agents / waiting", "offered", "queued", "taken", "declined", "whole call", "larger by", "dearer by"]
    return "The floor, CPU us a decision", columns, rows


def _floor_plot(measured: list[dict[str, Any]]) -> list[str]:
    """What a whole call costs the floor, by its size, as a picture."""
    sizes = ", ".join(f'"{item["agents"]:,} / {item["waiting"]:,}"' for item in measured)
    calls = [item["call_us"] for item in measured]
    return [
        "```mermaid",
        "xychart-beta",
        '    title "A whole call through the floor, CPU us, by agents / waiting callers"',
        f"    x-axis [{sizes}]",
        f'    y-axis "us" 0 --> {math.ceil(max(calls) / 10 + 1) * 10}',
        f"    line [{', '.join(f'{call:.1f}' for call in calls)}]",
        "```",
        "",
    ]


def _money(steps: list[dict[str, Any]]) -> list[tuple[str, list[str], Rows]]:
    """A row a task and size, and how the time grows: 1.0 is as the calls do."""
    rows: Rows = []
    before: dict[str, dict[str, Any]] = {}
    for step in sorted(steps, key=lambda step: step["calls"]):
        smaller = before.get(step["task"])
        growth = ""
        if smaller is not None:
            growth = f"{step['seconds'] / smaller['seconds'] / (step['calls'] / smaller['calls']):.2f}"
        before[step["task"]] = step
        rows.append(
            [
                f"{step['task']}, {step['calls']:,} calls", f"{step['seconds']:.1f}",
                f"{step['calls'] / step['seconds']:,.0f}", growth, f"{step['peak_mib']:.0f}", step["result"],
            ]
        )  # fmt: skip
    columns = ["", "seconds", "calls a second", "growth", "MiB at most", "result"]
    return [("The month's run", columns, rows)]
