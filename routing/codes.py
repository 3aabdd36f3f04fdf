"""Codes that are dialled on a phone and are no numbers: the one table of them, for lines and for agents.

The forwarding codes of lines are in :mod:`routing.forwarding`; here are the agents' own, and how a code is taken out
of what a phone sends.
"""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from routing.forwarding import LineCode, parse_line_code

AgentAction = Literal["available", "on_break", "logged_out", "wrap_up_over"]


@dataclass(frozen=True, slots=True)
class AgentCode:
    """What an agent tells the floor by dialling; ``reason`` (a number, as text) is of a break."""

    action: AgentAction
    reason: str = ""


#: What agents dial. A break may have a reason after another star: ``*51*2``.
AGENT_CODES: dict[str, AgentAction] = {
    "50": "available",
    "51": "on_break",
    "52": "logged_out",
    "53": "wrap_up_over",
}

_AGENT = re.compile(r"\*([0-9]{2})(?:\*([0-9]{1,4}))?#?", re.ASCII)
_LONGEST = 64


def dialled_code(uri: str) -> str:
    """The code in a dialled URI, "" if it is none: whatever begins with ``*`` or ``#``.

    Phones write ``#`` as ``%23``, as RFC 3261 section 25.1 wants it (it is no user-unreserved character), or as it is.
    """
    scheme, colon, rest = uri[:256].partition(":")
    if not colon:
        return ""
    user, at, _ = rest.rpartition("@")
    if scheme.lower() == "tel":
        user = rest
    elif scheme.lower() not in ("sip", "sips") or not at:
        return ""
    text = unquote(user.partition(";")[0])
    return text[:_LONGEST] if text[:1] in ("*", "#") else ""


def parse_agent_code(text: str) -> AgentCode | None:
    """What an agent dialled; None if there is no such code."""
    found = _AGENT.fullmatch(text)
    action = AGENT_CODES.get(found[1]) if found is not None else None
    if found is None or action is None or (found[2] and action != "on_break"):
        return None
    return AgentCode(action, found[2] or "")


def parse_any_code(text: str) -> LineCode | AgentCode | None:
    """What was dialled, whoever may dial it."""
    return parse_agent_code(text) or parse_line_code(text)
