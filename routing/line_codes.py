"""What a forwarding code does that was dialled on a line of ours, and what the line is told."""

from dataclasses import dataclass, replace
from datetime import datetime

from routing.directory import Directory, Expired, Found
from routing.forwarding import (
    LONGEST_SECONDS,
    SERVICES,
    SHORTEST_SECONDS,
    Activate,
    Deactivate,
    DeactivateAll,
    ForwardingKind,
    Interrogate,
    LineCode,
    Reactivate,
    parse_line_code,
)
from routing.lines import Line, LineForwarding, LineForwardings
from routing.numbers import NumberReader, TargetNumber

_SPOKEN: dict[ForwardingKind, str] = {"unconditional": "at once", "busy": "on busy", "no_answer": "on no answer"}


@dataclass(frozen=True, slots=True)
class Confirmation:
    """It is done. ``sounds`` are what is said, without the language; ``text`` is the same for the log and displays."""

    sounds: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class CodeFault:
    """It cannot be done, and ``text`` says what to do about it; ``status`` is the answer to the INVITE."""

    status: int
    text: str


def dial_code(
    text: str,
    line: Line,
    directory: Directory,
    forwardings: LineForwardings,
    reader: NumberReader,
    moment: datetime,
    way_out: bool = True,
) -> Confirmation | CodeFault:
    """Do what was dialled; ``forwardings`` are changed. ``moment`` is an aware datetime, ``way_out`` says whether any
    trunk takes calls from us."""
    code = parse_line_code(text)
    if code is None:
        return CodeFault(484, _hint(text))
    return _run(code, line, directory, forwardings, reader, moment, way_out)


def _hint(text: str) -> str:
    if any(text.lstrip("*").startswith(f"{service}*") for service in SERVICES.values()):
        if text.endswith("#"):
            return (
                f"Not understood: dial *21*number# with digits only; *61*number*seconds# takes {SHORTEST_SECONDS} "
                f"to {LONGEST_SECONDS} seconds"
            )
        return "Incomplete: end the code with #"
    return "No such code: dial *21*number# (always), *67*number# (busy), *61*number# (no answer), #21# to switch off"


def _run(
    code: LineCode, line: Line, directory: Directory, forwardings: LineForwardings, reader: NumberReader,
    moment: datetime, way_out: bool,
) -> Confirmation | CodeFault:  # fmt: skip
    match code:
        case Activate(kind, dialled, seconds):
            number = reader.read(dialled, directory.literals)
            if number is None:
                return CodeFault(484, f"{dialled} is no complete number: dial it with area code, or with 00 or +")
            fault = forwarding_fault(line, number, directory, moment, way_out)
            if fault:
                return CodeFault(403, fault)
            forwarding = LineForwarding(line.number, kind, number, seconds)
            forwardings.change(forwarding)
            return _on(forwarding)
        case Reactivate(kind):
            known = forwardings.find(line.number, kind)
            if known is None:
                return CodeFault(404, f"No number is known: dial *{SERVICES[kind]}*number#")
            fault = forwarding_fault(line, TargetNumber(known.number), directory, moment, way_out)
            if fault:
                return CodeFault(403, fault)
            forwarding = replace(known, active=True)
            forwardings.change(forwarding)
            return _on(forwarding)
        case Deactivate(kind):
            known = forwardings.active(line.number, kind)
            if known is not None:
                forwardings.change(replace(known, active=False))
            return Confirmation(("forwarding/off",), f"Forwarding {_SPOKEN[kind]} is off")
        case DeactivateAll(forget):
            for known in forwardings.of(line.number):
                forwardings.change(replace(known, active=False, number="" if forget else known.number))
            return Confirmation(("forwarding/off",), "All forwarding is off")
        case Interrogate(kind):
            known = forwardings.active(line.number, kind)
            if known is None:
                return Confirmation(("forwarding/off",), f"Forwarding {_SPOKEN[kind]} is off")
            digits = tuple(f"number/{digit}" for digit in known.number if digit.isdigit())
            said = _on(known)
            return Confirmation((*said.sounds, *digits), said.text)


def _on(forwarding: LineForwarding) -> Confirmation:
    after = f" after {forwarding.seconds} s" if forwarding.seconds else ""
    return Confirmation(
        ("forwarding/on",), f"Forwarding {_SPOKEN[forwarding.kind]} to {forwarding.number} is on{after}"
    )


def forwarding_fault(
    line: Line, number: TargetNumber, directory: Directory, moment: datetime, way_out: bool = True
) -> str:
    """Why the line may not be forwarded to this number, and what to do; "" if it may.

    Toll fraud begins with a stolen password and a forwarding to a number that costs: without a word of the back
    office a line reaches our own numbers alone.
    """
    if number == line.number:
        return "A line cannot be forwarded to itself"
    found = directory.lookup(number, moment)
    if isinstance(found, Found) or number in directory.lines:
        return ""
    if line.forwards_to(number):
        return "" if way_out else f"{number} is out of reach: no trunk has a proxy, see b2bua.toml"
    if isinstance(found, Expired):
        return f"{number} is no target number any more: ask for the present one"
    return f"{number} is not allowed: the back office can add it to may_forward_to of this line"
