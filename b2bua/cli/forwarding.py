"""For the back office: what a customer dials to forward a line to us, and which lines do."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from jinja2 import Environment, PackageLoader, StrictUndefined

from accounting.records import CallRecord
from accounting.store import stream_calls
from b2bua.cli.server_api import ask
from b2bua.cli.start import DEFAULT_CONFIG, ConfigOption, configuration, database, give_up
from b2bua.config import Config
from routing.contract import Contract
from routing.forwarding import (
    SERVICES,
    USUAL_SECONDS,
    Activate,
    Deactivate,
    ForwardingKind,
    Interrogate,
    Network,
    dialled_forms,
    parse_code,
    write_code,
)
from routing.numbers import NumberReader, NumberRules
from routing.store import load_directory

_ZONE = ZoneInfo("Europe/Berlin")

_GERMAN = {
    "title": "Rufumleitung zu uns", "number": "Zielnummer", "kind": "Art", "on": "einschalten", "off": "ausschalten",
    "ask": "abfragen", "fixed_national": "Vom Festnetz, im Land", "fixed_international": "Vom Festnetz, international",
    "mobile": "Vom Mobiltelefon", "unconditional": "immer", "busy": "wenn besetzt",
    "no_answer": "wenn niemand abhebt", "after": "nach {seconds} Sekunden", "from": "ab", "until": "bis",
    "seen": "Leitungen, die zu uns umgeleitet haben", "line": "Leitung", "calls": "Anrufe", "last": "zuletzt",
    "none_seen": "Noch keine umgeleiteten Anrufe.", "unknown": "unbekannt", "unnamed": "ohne Angabe",
    "how": "Am Telefon der umzuleitenden Leitung wählen und den Hinweis abwarten. Die Zeit in Sekunden nimmt nicht "
    "jeder Netzbetreiber an; dann die Zeile ohne Zeit verwenden.",
    "internal": "nur intern wählbar",
}  # fmt: skip
_ENGLISH = {
    "title": "Forwarding to us", "number": "Target number", "kind": "kind", "on": "switch on", "off": "switch off",
    "ask": "ask", "fixed_national": "From a fixed line, within the country",
    "fixed_international": "From a fixed line, international", "mobile": "From a mobile phone",
    "unconditional": "always", "busy": "when busy", "no_answer": "when nobody answers",
    "after": "after {seconds} seconds", "from": "from", "until": "until",
    "seen": "Lines that have forwarded to us", "line": "line", "calls": "calls", "last": "last",
    "none_seen": "No forwarded calls yet.", "unknown": "unknown", "unnamed": "not said",
    "how": "Dial on the phone of the line to be forwarded, and wait for the announcement. Not every carrier takes the "
    "time in seconds; use the row without it then.",
    "internal": "can be dialled internally only",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Row:
    """One kind of forwarding: what switches it on and off and asks for it."""

    kind: str
    on: str
    off: str
    ask: str


@dataclass(frozen=True, slots=True)
class _Sheet:
    """The codes for one form of a target number, such as the mobile one."""

    title: str
    rows: tuple[_Row, ...]


@dataclass(frozen=True, slots=True)
class _Target:
    """A target number: its validity if it has one, and its sheets; none if it is an internal number."""

    number: str
    validity: str
    sheets: tuple[_Sheet, ...]


@dataclass(slots=True)
class _Line:
    """A line that has forwarded to the contract. ``last_ns`` is wall-clock nanoseconds."""

    line: str
    kind: str
    calls: int = 0
    last_ns: int = 0


@dataclass(frozen=True, slots=True)
class _SeenLine:
    line: str
    kind: str
    calls: int
    last: str


def forwarding(
    contract: Annotated[str, typer.Argument(help="The contract's id.")],
    html: Annotated[Path | None, typer.Option(help="Write a page to print for the customer into this file.")] = None,
    dialled: Annotated[
        str, typer.Option(help="Say what this code does, as the customer has dialled it: '*21*0302000100#'.")
    ] = "",
    test: Annotated[
        str, typer.Option(help="Call this line of the customer's, and say whether the call comes back to us.")
    ] = "",
    seconds: Annotated[int, typer.Option(min=5, max=180, help="How long to wait for that.")] = 60,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Print what a customer dials to forward a line to the contract, and the lines seen forwarding.

    With --dialled: exit code 1 if the code does not forward to this contract. With --test the running server calls the
    line over its trunk: exit code 1 if the call does not come back. Nobody's phone rings here, and nothing is billed.
    """
    loaded = configuration(config)
    if test:
        typer.echo(f"calling {test} ...", err=True)
        wanted = {"contract": contract, "line": test, "seconds": seconds}
        result = ask(loaded, "/forwarding-tests", wanted, patience=seconds + 10.0)
        typer.echo(_probed(result, test))
        raise typer.Exit(0 if result["outcome"] == "came_back" else 1)
    engine = database(loaded)
    with engine.connect() as connection:
        directory = load_directory(connection)
        chosen = directory.contracts.get(contract)
        if chosen is None:
            known = sorted(directory.contracts)
            more = " ..." if len(known) > 20 else ""
            give_up(f"there is no contract {contract!r}; there are: {', '.join(known[:20]) or 'none'}{more}")
        if dialled:
            words, right = _judged(dialled, chosen, loaded)
            typer.echo(words)
            raise typer.Exit(0 if right else 1)
        seen = seen_lines(stream_calls(connection, contract=contract))
    engine.dispose()
    words_of = _ENGLISH if chosen.language.startswith("en") else _GERMAN
    targets = tuple(_targets(chosen, datetime.now(UTC), words_of))
    lines = [_seen_line(line, words_of) for line in seen]
    if html is None:
        typer.echo("\n".join(_text(chosen, targets, lines, words_of)))
        return
    template = Environment(
        loader=PackageLoader("b2bua.cli"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    ).get_template("forwarding.html.jinja")
    page = template.render(contract=chosen, targets=targets, lines=lines, words=words_of)
    html.write_text(page, encoding="utf-8")
    typer.echo(f"wrote {html}")


def _probed(result: Mapping[str, Any], line: str) -> str:
    after = f"after {result['seconds']:.1f} s"
    rang = f", having rung for {result['rang_seconds']:.0f} s" if result["rang_seconds"] else ""
    match result["outcome"]:
        case "came_back":
            kind = _ENGLISH.get(result["kind"], "at once or when busy: the carrier does not say which")
            return f"{line} is forwarded to us ({kind}): the call came back {after}{rang}"
        case "answered":
            return f"{line} is not forwarded: somebody answered {after}{rang}"
        case "refused":
            return f"{line} is not forwarded: refused with {result['status']} {after}{rang}"
        case "rang":
            return f"{line} is not forwarded, or later than that: it rang for {result['rang_seconds']:.0f} s"
        case _:
            return f"nothing was heard of {line} for {result['seconds']:.0f} s: does the trunk take calls from us?"


def _targets(contract: Contract, now: datetime, words: dict[str, str]) -> Iterator[_Target]:
    for held in contract.target_numbers:
        validity = held.validity.within(contract.validity)
        if validity.empty or (validity.until is not None and validity.until <= now):
            continue
        times = [(words["from"], validity.since), (words["until"], validity.until)]
        told = " ".join(
            f"{word} {moment.astimezone(_ZONE):%Y-%m-%d %H:%M}"
            for word, moment in times
            if moment is not None and moment > now
        )
        forms = dialled_forms(held.number)
        sheets: tuple[_Sheet, ...] = ()
        if forms is not None:
            sheets = (
                _Sheet(words["fixed_national"], tuple(_rows(forms.national, "fixed", words))),
                _Sheet(words["fixed_international"], tuple(_rows(forms.international, "fixed", words))),
                _Sheet(words["mobile"], tuple(_rows(forms.mobile, "mobile", words))),
            )
        yield _Target(held.number, told, sheets)


def _rows(number: str, network: Network, words: dict[str, str]) -> Iterator[_Row]:
    for kind in SERVICES:
        off, ask = write_code(Deactivate(kind), network), write_code(Interrogate(kind), network)
        yield _Row(words[kind], write_code(Activate(kind, number), network), off, ask)
        if kind == "no_answer":
            after = words["after"].format(seconds=USUAL_SECONDS)
            timed = write_code(Activate(kind, number, USUAL_SECONDS), network)
            yield _Row(f"{words[kind]}, {after}", timed, off, ask)


# -- who forwards ----------------------------------------------------------------------------------------


def seen_lines(calls: Iterable[CallRecord]) -> list[_Line]:
    """The lines that forwarded calls, each kind by itself, the last seen first.

    A call that nobody forwarded, or whose line has been forgotten, tells nothing.
    """
    found: dict[tuple[str, str], _Line] = {}
    for call in calls:
        if not call.forwarding_kind or call.forgotten:
            continue
        line = found.setdefault(
            (call.forwarded_from, call.forwarding_kind), _Line(call.forwarded_from, call.forwarding_kind)
        )
        line.calls += 1
        line.last_ns = max(line.last_ns, call.started_at_ns)
    return sorted(found.values(), key=lambda line: -line.last_ns)


def _seen_line(line: _Line, words: dict[str, str]) -> _SeenLine:
    last = datetime.fromtimestamp(line.last_ns / 1e9, _ZONE)
    return _SeenLine(
        line.line or words["unnamed"], words.get(line.kind, line.kind), line.calls, f"{last:%Y-%m-%d %H:%M}"
    )


def _text(
    contract: Contract, targets: Iterable[_Target], lines: list[_SeenLine], words: dict[str, str]
) -> Iterator[str]:
    yield f"{words['title']}: {contract.customer}"
    for target in targets:
        yield f"\n{words['number']} {target.number} {target.validity or ''}".rstrip()
        if not target.sheets:
            yield f"  {words['internal']}"
        for sheet in target.sheets:
            yield f"  {sheet.title}"
            header = _Row("", words["on"], words["off"], words["ask"])
            for row in (header, *sheet.rows):
                yield f"    {row.kind:<40} {row.on:<30} {row.off:<12} {row.ask}".rstrip()
    yield f"\n{words['seen']}"
    if not lines:
        yield f"  {words['none_seen']}"
    for line in lines:
        yield f"  {line.line:<24} {line.kind:<20} {words['calls']}: {line.calls:<8} {words['last']}: {line.last}"


# -- what a customer has dialled -------------------------------------------------------------------------


def _judged(dialled: str, contract: Contract, config: Config) -> tuple[str, bool]:
    """What a dialled code does, and whether it makes calls reach the contract."""
    code = parse_code(dialled.replace(" ", ""))
    if code is None:
        return f"{dialled}: no forwarding code, or its time is out of bounds", False
    kind: ForwardingKind = code.kind
    if isinstance(code, Deactivate):
        return f"{dialled}: switches forwarding off ({kind})", False
    if isinstance(code, Interrogate):
        return f"{dialled}: asks for forwarding, and changes nothing ({kind})", False
    trunk = config.trunks[0] if config.trunks else None
    reader = NumberReader(NumberRules(trunk.region, trunk.area_code) if trunk is not None else NumberRules())
    number = reader.read(code.number)
    after = f" after {code.seconds} s" if code.seconds else ""
    now = datetime.now(UTC)
    for held in contract.target_numbers:
        if held.number == number:
            if held.validity.within(contract.validity).covers(now):
                return f"{dialled}: forwards to {contract.id} ({kind}{after})", True
            return f"{dialled}: forwards to {number}, which is not {contract.id}'s now ({kind}{after})", False
    return f"{dialled}: forwards to {number or code.number}, which is no number of {contract.id} ({kind}{after})", False
