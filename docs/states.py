"""Writes docs/states.md from the transition tables in the code.

``python docs/states.py`` writes the file; a test compares it with the tables. Another machine is one more
entry in ``MACHINES``: a module with a table ``{(State, Input): (action, State)}``.
"""

import sys
from collections.abc import Mapping
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "states.md"

INTRODUCTION = """\
# State machines

Written by `python docs/states.py` from the transition tables in the code; edit those, not this file.
An arrow says what happens and, after the slash, what is done about it.
What has no arrow in a state is ignored there, or is an error of the caller if it is the caller's doing.
"""


class Machine(NamedTuple):
    """One table to draw: where it is, where it starts (a state's name) and what to say about it."""

    title: str
    module: str
    table: str
    initial: str
    text: str


MACHINES = (
    Machine(
        "INVITE client transaction", "b2bua.sip.client_transaction", "INVITE_TRANSITIONS", "CALLING",
        "RFC 3261 section 17.1.1 with RFC 6026. Over reliable transports timer A never runs and timer D "
        "takes no time. The last arrow out of Proceeding is RFC 3261 section 9.1.",
    ),
    Machine(
        "Non-INVITE client transaction", "b2bua.sip.client_transaction", "NON_INVITE_TRANSITIONS", "TRYING",
        "RFC 3261 section 17.1.2. Over reliable transports timer E never runs and timer K takes no time.",
    ),
    Machine(
        "INVITE server transaction", "b2bua.sip.server_transaction", "INVITE_TRANSITIONS", "PROCEEDING",
        "RFC 3261 section 17.2.1 with RFC 6026. Over reliable transports timer G never runs and timer I "
        "takes no time.",
    ),
    Machine(
        "Non-INVITE server transaction", "b2bua.sip.server_transaction", "NON_INVITE_TRANSITIONS", "TRYING",
        "RFC 3261 section 17.2.2 with RFC 4320. Over reliable transports timer J takes no time.",
    ),
    Machine(
        "Session", "b2bua.sip.session_states", "TRANSITIONS", "INCOMING",
        "An INVITE session of one peer, RFC 3261 sections 12 to 15. A session that we begin starts in Outgoing.",
    ),
    Machine(
        "Renegotiation", "b2bua.sip.renegotiation", "TRANSITIONS", "IDLE",
        "re-INVITE and UPDATE inside a session: RFC 3261 section 14, RFC 3311, and the refreshes of RFC 4028.",
    ),
    Machine(
        "Call", "b2bua.call.states", "TRANSITIONS", "PREPARING",
        "One caller, the agents that ring, the one that talks. The connected interval is the time in Talking.",
    ),
    Machine(
        "Re-offer", "b2bua.call.reoffer", "TRANSITIONS", "PREPARING_OFFER",
        "A new session description on its way from one leg of a call to the other, by way of the relay.",
    ),
    Machine(
        "Agent", "routing.floor", "TRANSITIONS", "WAITING",
        "What the floor sees of an agent: at most one offer or one caller at a time.",
    ),
)  # fmt: skip

Table = Mapping[tuple[Enum, Enum], tuple[str, Enum]]


def diagram(machine: Machine) -> str:
    """One machine as a mermaid state diagram."""
    table: Table = getattr(import_module(machine.module), machine.table)
    states: dict[str, Enum] = {}
    arrows: dict[tuple[str, str, str], list[str]] = {}
    for (before, event), (action, after) in table.items():
        states[before.name] = before
        states[after.name] = after
        arrows.setdefault((before.name, after.name, action), []).append(str(event.value))
    leaving = {before for before, _, _ in arrows}
    lines = ["```mermaid", "stateDiagram-v2"]
    for name, state in states.items():
        label = str(state.value)
        lines.append(f'    state "{label}" as {name}')
    lines.append(f"    [*] --> {machine.initial}")
    for (source, target, action), events in arrows.items():
        lines.append(f"    {source} --> {target}: {_plain(', '.join(events))} / {_plain(action)}")
    lines.extend(f"    {name} --> [*]" for name in states if name not in leaving)
    lines.append("```")
    return "\n".join(lines)


def document() -> str:
    """The whole file."""
    parts = [INTRODUCTION]
    parts.extend(f"## {machine.title}\n\n{machine.text}\n\n{diagram(machine)}\n" for machine in MACHINES)
    return "\n".join(parts)


def _plain(text: str) -> str:
    # mermaid reads a colon or semicolon in a label as syntax
    return text.replace("_", " ").replace(":", " ").replace(";", ",")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    TARGET.write_text(document(), encoding="utf-8")
