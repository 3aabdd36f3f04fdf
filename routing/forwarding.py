"""Forwarding codes: what is dialled to switch the three kinds of forwarding on and off, written and read.

Two dialects: that of fixed lines, ``*21*number#``, as German carriers print it, and that of mobile phones,
``**21*number#`` (3GPP TS 22.030 section 6.5.2, whose annex B has the times of 61 as a third part, in steps of 5 s).
"""

import re
from dataclasses import dataclass
from typing import Literal

import phonenumbers

ForwardingKind = Literal["unconditional", "busy", "no_answer"]
Network = Literal["fixed", "mobile"]

#: The service codes, the same everywhere.
SERVICES: dict[ForwardingKind, str] = {"unconditional": "21", "busy": "67", "no_answer": "61"}
_KINDS = {code: kind for kind, code in SERVICES.items()}

#: Bounds of the time until a call that nobody answers is forwarded.
SHORTEST_SECONDS = 5
LONGEST_SECONDS = 60
USUAL_SECONDS = 20

_ACTIVATE = re.compile(r"\*(21|61|67)\*(\+?[0-9]{2,15})(?:\*([0-9]{1,2}))?#", re.ASCII)
_ACTIVATE_MOBILE = re.compile(r"\*\*(21|61|67)\*(\+?[0-9]{2,15})(?:\*[0-9]{0,2}(?:\*([0-9]{1,2}))?)?#", re.ASCII)
_DEACTIVATE = re.compile(r"##?(21|61|67)#", re.ASCII)
_INTERROGATE = re.compile(r"\*#(21|61|67)#", re.ASCII)
_REACTIVATE = re.compile(r"\*(21|61|67)#", re.ASCII)


@dataclass(frozen=True, slots=True)
class Activate:
    """Forward calls to ``number``, as dialled; ``seconds`` of ringing first, 0 for the line's usual time."""

    kind: ForwardingKind
    number: str
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class Deactivate:
    """Forward no longer."""

    kind: ForwardingKind


@dataclass(frozen=True, slots=True)
class Interrogate:
    """Ask whether, and to where, calls are forwarded."""

    kind: ForwardingKind


Code = Activate | Deactivate | Interrogate


@dataclass(frozen=True, slots=True)
class Reactivate:
    """Forward again, to the number that was switched on last."""

    kind: ForwardingKind


@dataclass(frozen=True, slots=True)
class DeactivateAll:
    """Forward nothing any longer; ``forget`` the numbers too."""

    forget: bool


#: All that one of our own lines understands; what customers are told to dial at their carrier is a ``Code``.
LineCode = Code | Reactivate | DeactivateAll
#: All kinds at once (3GPP TS 22.030 annex B): switched off, and forgotten.
_ALL = {"#002#": DeactivateAll(forget=False), "##002#": DeactivateAll(forget=True)}


def write_code(code: Code, network: Network = "fixed") -> str:
    """What is dialled. A time is written for ``no_answer`` alone."""
    service = SERVICES[code.kind]
    match code:
        case Activate(kind, number, seconds):
            timed = seconds if kind == "no_answer" else 0
            if network == "mobile":
                return f"**{service}*{number}**{timed}#" if timed else f"**{service}*{number}#"
            return f"*{service}*{number}*{timed}#" if timed else f"*{service}*{number}#"
        case Deactivate():
            return f"##{service}#" if network == "mobile" else f"#{service}#"
        case Interrogate():
            return f"*#{service}#"


def parse_code(text: str) -> Code | None:
    """What was dialled in either dialect; None if it is no forwarding code, or its time is out of bounds."""
    if len(text) > 32:
        return None
    if found := _DEACTIVATE.fullmatch(text):
        return Deactivate(_KINDS[found[1]])
    if found := _INTERROGATE.fullmatch(text):
        return Interrogate(_KINDS[found[1]])
    found = _ACTIVATE.fullmatch(text) or _ACTIVATE_MOBILE.fullmatch(text)
    if found is None:
        return None
    kind = _KINDS[found[1]]
    seconds = int(found[3] or 0)
    if found[3] and (kind != "no_answer" or not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS):
        return None
    return Activate(kind, found[2], seconds)


def parse_line_code(text: str) -> LineCode | None:
    """What was dialled on a line of ours; None if it is no forwarding code."""
    if found := _REACTIVATE.fullmatch(text[:32]):
        return Reactivate(_KINDS[found[1]])
    return _ALL.get(text) or parse_code(text)


@dataclass(frozen=True, slots=True)
class DialledForms:
    """A target number as it is dialled: within its country, from a fixed line abroad, from a mobile phone."""

    national: str
    international: str
    mobile: str


def dialled_forms(number: str) -> DialledForms | None:
    """The forms of a number in E.164; None for an internal number, which nobody outside can dial.

    ``international`` has 00, which holds in all of Europe.
    """
    if not number.startswith("+"):
        return None
    parsed = phonenumbers.parse(number, None)
    national = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
    digits = "".join(sign for sign in national if sign.isdigit())
    return DialledForms(digits, f"00{number[1:]}", number)
