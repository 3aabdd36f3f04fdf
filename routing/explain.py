"""Why a call goes where it goes: the same decision as a live call's, told to a person.

Pure: the directory, the trunk's reader, the moment and whatever is known of the agents are arguments.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Literal

from routing.conditions import ANONYMOUS_CALLER, UNCONDITIONAL, Conditions, Effective
from routing.contract import ALWAYS, Agent, Contract, Endpoint, Validity
from routing.directory import Assignment, Directory, Found, Unknown
from routing.forwarding import SERVICES
from routing.hours import OWN
from routing.lines import LineForwardings
from routing.numbers import NumberReader, TargetNumber
from routing.plan import Step, Strategy

Verdict = Literal["found", "expired", "unknown"]

_NOTHING: Mapping[str, str] = MappingProxyType({})
#: Near numbers beyond these would bury the one that was meant.
_MOST_NEAR = 5
_MANNERS: dict[Strategy, str] = {
    "longest_idle": "longest idle first",
    "round_robin": "in turn",
    "fewest_calls": "fewest calls first",
    "least_talk_time": "least talk time first",
    "ring_all": "all at once",
    "in_order": "one after the other",
    "random": "in random order",
}
#: States of an agent in which a call passes it over.
_OUT_OF_REACH = ("unregistered", "unreachable", "offline")


@dataclass(frozen=True, slots=True)
class Reason:
    """Something that one might have expected to matter, and why it does not."""

    thing: str
    reason: str


@dataclass(frozen=True, slots=True)
class ExplainedAgent:
    """An agent of a step. ``name`` is empty if the directory has no such agent, ``state`` if nobody said."""

    id: str
    name: str
    state: str
    endpoints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExplainedStep:
    """A step of the plan with its agents in the order of ringing."""

    step: Step
    agents: tuple[ExplainedAgent, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would become of a call at the moment ``at``.

    ``number`` is what was read from ``dialled``, empty if that is no number. ``contract`` is also given for an
    expired number: whose it was or will be. ``if_nobody``, ``tariff`` and ``agent_sees`` (label, text) are
    for a found contract only. ``conditions`` tell in sentences what the hour, the caller and the kind of forwarding
    decided; ``refused`` is what a blocked caller gets instead of the plan.
    """

    dialled: str
    at: datetime
    number: str
    verdict: Verdict
    contract: Contract | None = None
    validity: Validity = ALWAYS
    steps: tuple[ExplainedStep, ...] = ()
    if_nobody: str = ""
    tariff: str = ""
    agent_sees: tuple[tuple[str, str], ...] = ()
    why_not: tuple[Reason, ...] = ()
    conditions: tuple[str, ...] = ()
    refused: str = ""

    @property
    def rings(self) -> bool:
        """True if the call is somebody's and is not refused."""
        return self.verdict == "found" and not self.refused


def explain_line(
    directory: Directory, forwardings: LineForwardings, reader: NumberReader, dialled: str, at: datetime
) -> str:
    """What becomes of a call to a line of ours, sentence by sentence; "" if ``dialled`` is no line's number."""
    line = directory.lines.get(reader.read(dialled if ":" in dialled else dialled.replace(" ", "")) or "")
    if line is None:
        return ""
    told = [f"{line.number} is a line of ours: {line.name}, whose phones register as {line.endpoint.username}"]
    ways = {"unconditional": "at once", "busy": "when busy", "no_answer": "when nobody answers"}
    for kind, item in ((kind, forwardings.active(line.number, kind)) for kind in SERVICES):
        if item is None:
            continue
        after = f", after {item.seconds or line.no_answer_seconds} s" if kind == "no_answer" else ""
        found = directory.lookup(TargetNumber(item.number), at)
        if isinstance(found, Found):
            whose = f"contract {found.contract.id}"
        elif item.number in directory.lines:
            whose = f"the line {directory.lines[item.number].name}"
        else:
            whose = (
                "over the trunk" if line.forwards_to(item.number) else "not allowed any more: the caller is told 480"
            )
        told.append(f"forwarded {ways[kind]}{after} to {item.number} ({whose})")
    if len(told) == 1:
        told.append("not forwarded")
    return "\n".join(told) + "\n"


def explain(
    directory: Directory,
    reader: NumberReader,
    dialled: str,
    at: datetime,
    forwarded_from: str = "",
    kind: str = "",
    tariff_text: Mapping[str, str] = _NOTHING,
    agent_states: Mapping[str, str] = _NOTHING,
    caller: str = "",
) -> Explanation:
    """Explain a call to ``dialled`` (a number or a URI), read by a trunk's rules, at an aware datetime.

    ``forwarded_from`` is what the agent is told of the forwarding; it decides nothing. ``kind`` and ``caller`` (a
    number as the trunk writes it, or ``anonymous``) decide within the contract only.
    ``tariff_text`` describes tariffs by name, ``agent_states`` agents by id ("waiting", "unregistered", ...).
    """
    # on the wire there are no spaces; people at a terminal write them
    wanted = dialled if ":" in dialled else dialled.replace(" ", "")
    result = directory.resolve(reader, wanted, at)
    if isinstance(result, Unknown):
        why_not = (*_unread(reader, dialled, result), *_near(directory, result.number or "", dialled))
        return Explanation(dialled, at, result.number or "", "unknown", why_not=why_not)
    assignments = directory.numbers[result.number]
    if not isinstance(result, Found):
        validity = _shown(result.validity, at)
        why_not = (*_not_now(assignments, at), *_near(directory, result.number, dialled))
        return Explanation(dialled, at, result.number, "expired", result.contract, validity, why_not=why_not)
    contract = result.contract
    known = caller if caller == ANONYMOUS_CALLER else reader.read(caller.replace(" ", "")) or ""
    effective = contract.effective(at, known, kind)
    held_now = contract.under(effective)
    steps = tuple(
        ExplainedStep(step, tuple(_agent(directory, agent_id, agent_states) for agent_id in step.agents))
        for step in (held_now.plan if effective.refused is None else ())
    )
    held = next(item.validity for item in assignments if item.contract is contract and item.validity.covers(at))
    return Explanation(
        dialled,
        at,
        result.number,
        "found",
        contract,
        _shown(held, at),
        steps,
        str(held_now.overflow or held_now.if_nobody),
        tariff_text.get(contract.tariff, contract.tariff),
        tuple(_agent_sees(held_now, result.number, forwarded_from, kind, caller)) if effective.refused is None else (),
        (
            *_not_now(assignments, at),
            *_not_chosen(contract.conditions, effective, at),
            *_not_rung(steps),
            *_near(directory, result.number, dialled, misdialled=False),
        ),
        effective.why,
        "" if effective.refused is None else str(effective.refused),
    )


# -- what the agent sees ---------------------------------------------------------------------------------


def _agent_sees(
    contract: Contract, number: str, forwarded_from: str, kind: str, caller: str
) -> Iterator[tuple[str, str]]:
    # a caller who is not known here keeps the placeholder
    facts = {
        "customer": contract.customer,
        "contract": contract.id,
        "greeting": contract.greeting,
        "caller": caller or "{caller}",
        "target": number,
        "forwarded_from": forwarded_from,
        "forwarding_kind": kind,
        "colour": contract.colour,
    }
    shown = contract.presentation
    yield "customer", contract.customer
    if contract.greeting:
        yield "greeting", contract.greeting
    if contract.instructions:
        yield "instructions", contract.instructions
    if contract.colour:
        yield "colour", contract.colour
    if forwarded_from:
        yield "forwarded from", f"{forwarded_from} ({kind})" if kind else forwarded_from
    if shown.display_name:
        yield "display name", shown.display_name.format_map(facts)
    for name, template in shown.headers.items():
        filled = template.format_map(facts)
        if filled:
            yield name, filled


def _agent(directory: Directory, agent_id: str, states: Mapping[str, str]) -> ExplainedAgent:
    agent = directory.agents.get(agent_id)
    if agent is None:
        return ExplainedAgent(agent_id, "", "", ())
    return ExplainedAgent(agent_id, agent.name, states.get(agent_id, ""), _phones(agent))


def _phones(agent: Agent) -> tuple[str, ...]:
    return tuple(_phone(endpoint) for endpoint in agent.endpoints)


def _phone(endpoint: Endpoint) -> str:
    if endpoint.number:
        return f"{endpoint.number} over the trunk"
    return endpoint.contact or f"registers as {endpoint.username}"


# -- why not ---------------------------------------------------------------------------------------------


def _unread(reader: NumberReader, dialled: str, result: Unknown) -> Iterator[Reason]:
    if result.number is not None:
        yield Reason(str(result.number), "is no contract's target number, now or at any other time")
        return
    rules = reader.rules
    area = f"area code {rules.area_code}" if rules.area_code else "no area code"
    yield Reason(dialled or "(nothing)", f"is no telephone number by this trunk's rules: region {rules.region}, {area}")


def _not_now(assignments: tuple[Assignment, ...], at: datetime) -> Iterator[Reason]:
    for held in assignments:
        if held.validity.covers(at):
            continue
        validity = held.validity
        if validity.empty:
            reason = "never has this number: the number's time and the contract's do not meet"
        elif validity.until is not None and validity.until <= at:
            reason = f"no longer has this number: {_shown(validity, at)}"
        else:
            reason = f"does not have this number yet: {_shown(validity, at)}"
        yield Reason(_titled(held.contract), reason)


def _not_chosen(conditions: Conditions, effective: Effective, at: datetime) -> Iterator[Reason]:
    """The variants that one might have expected, and what was more specific."""
    if conditions is UNCONDITIONAL:
        return
    covering = {choice.variant: choice for choice in conditions.schedule.covering(at)}
    first = next(iter(covering))
    for name, hours in ((OWN, conditions.opening_hours), *((item.name, item.when) for item in conditions.variants)):
        if name == effective.variant:
            continue
        thing = f"variant {name}" if name else "the contract's own plan"
        if name == first:
            yield Reason(thing, f"would hold at this hour ({covering[name]}), but this VIP has a plan of their own")
        elif name in covering:
            yield Reason(thing, f"would hold too ({covering[name]}), but what was chosen is more specific")
        elif hours or name == OWN:
            yield Reason(thing, f"does not hold at this hour: {'; '.join(map(str, hours))}")
        else:
            yield Reason(thing, "is for certain VIP callers only")


def _not_rung(steps: tuple[ExplainedStep, ...]) -> Iterator[Reason]:
    seen = set()
    for position, item in enumerate(steps, 1):
        if not item.agents:
            yield Reason(f"step {position}", f"rings nobody: {item.step.kind} {item.step.target} has no agents")
        for agent in item.agents:
            if agent.id in seen:
                continue
            seen.add(agent.id)
            if not agent.name:
                yield Reason(f"agent {agent.id}", "is in the plan but not in the directory")
            elif not agent.endpoints:
                yield Reason(f"agent {agent.id}", "has no phone: no endpoints")
            elif agent.state in _OUT_OF_REACH:
                yield Reason(f"agent {agent.id}", f"is passed over now: {agent.state}")
            elif not agent.state:
                yield Reason(f"agent {agent.id}", "may or may not be reachable: only the running server knows")


def _near(directory: Directory, number: str, dialled: str, misdialled: bool = True) -> Iterator[Reason]:
    """Other numbers that somebody may have meant, and that do not match because matching is exact.

    Those that may have been ``misdialled`` are noise for a number that was found: its neighbours.
    """
    digits = number.lstrip("+") or "".join(sign for sign in dialled[:64] if sign in "0123456789").lstrip("0")
    found = []
    for other, assignments in directory.numbers.items():
        if other == number:
            continue
        plain = other.lstrip("+")
        likeness = _prefix(digits, plain) or (_misdialled(digits, plain) if misdialled else "")
        if likeness:
            found.append((other, assignments[0].contract, likeness))
    for other, contract, likeness in sorted(found, key=lambda item: item[0])[:_MOST_NEAR]:
        yield Reason(f"{other}, {_titled(contract)}", f"{likeness}; numbers match exactly or not at all")


def _prefix(digits: str, other: str) -> str:
    if digits and other.startswith(digits):
        return "begins with what was dialled"
    if digits.startswith(other):
        return "is the beginning of what was dialled"
    return ""


def _misdialled(digits: str, other: str) -> str:
    if len(digits) >= 4 and other.endswith(digits):
        return "ends with what was dialled"
    if len(digits) == len(other) >= 4:
        different = [position for position in range(len(digits)) if digits[position] != other[position]]
        if len(different) == 1:
            return "differs in one digit"
        if len(different) == 2:
            first, second = different
            if second == first + 1 and digits[first] == other[second] and digits[second] == other[first]:
                return "has two digits the other way round"
    elif len(digits) >= 6 and _one_more(digits, other):
        return "differs by one digit more or less"
    return ""


def _one_more(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return len(long) == len(short) + 1 and any(
        short == long[:position] + long[position + 1 :] for position in range(len(long))
    )


def _titled(contract: Contract) -> str:
    return f"{contract.id} ({contract.customer})"


def _shown(validity: Validity, at: datetime) -> Validity:
    """The same time, told in the zone of the question."""
    zone = at.tzinfo
    return Validity(
        None if validity.since is None else validity.since.astimezone(zone),
        None if validity.until is None else validity.until.astimezone(zone),
    )


# -- for a terminal --------------------------------------------------------------------------------------


def render(explanation: Explanation) -> str:
    """The explanation as plain text. Control characters of the data are shown as spaces."""
    lines = [
        _row("dialled", explanation.dialled),
        _row("read as", explanation.number or "no number"),
        _row("at", explanation.at.isoformat(" ", "seconds")),
    ]
    contract = explanation.contract
    if explanation.verdict == "found" and contract is not None:
        lines.append(_row("contract", f"{_titled(contract)}, {explanation.validity}"))
        if explanation.conditions:
            lines.append("because")
            lines += [f"  - {_line(sentence)}" for sentence in explanation.conditions]
        if explanation.refused:
            lines.append(_row("refused", explanation.refused))
        else:
            lines += _rendered_plan(explanation)
        lines.append(_row("tariff", explanation.tariff or "none: connected calls cannot be billed"))
        if explanation.agent_sees:
            lines.append("the agent sees")
        lines += [_row(label, text, indent=2) for label, text in explanation.agent_sees]
    elif contract is not None:
        lines.append(_row("contract", f"none now; {_titled(contract)} has the number {explanation.validity}"))
    else:
        lines.append(_row("contract", "none"))
    if explanation.why_not:
        lines.append("why not")
        lines += [f"  - {_line(item.thing)}: {_line(item.reason)}" for item in explanation.why_not]
    return "\n".join(lines) + "\n"


def _rendered_plan(explanation: Explanation) -> Iterator[str]:
    yield "plan"
    for position, item in enumerate(explanation.steps, 1):
        step = item.step
        each = " each" if step.strategy != "ring_all" and len(item.agents) > 1 else ""
        least = f" from level {step.level}" if step.kind == "skill" else ""
        least += "".join(f", after {wider.after_seconds} s from {wider.level}" for wider in step.widening)
        manner = f", {_MANNERS[step.strategy]}" if step.kind != "agent" else ""
        waits = f", waits up to {step.patience_seconds} s" if step.patience_seconds else ""
        yield f"  {position}. {step.kind} {_line(step.target)}{least}{manner}, {step.ring_seconds} s{each}{waits}"
        for agent in item.agents:
            phones = ", ".join(agent.endpoints) or "no phone"
            state = agent.state or "state unknown"
            yield f"       {_line(agent.id)} ({_line(agent.name or 'not in the directory')}): {state}; {_line(phones)}"
    yield f"  then {explanation.if_nobody}"


def _row(label: str, text: str, indent: int = 0) -> str:
    first, *others = text.split("\n")
    head = f"{' ' * indent}{label:<{16 - indent}} {_line(first)}".rstrip(" ")
    return "\n".join((head, *(f"{'':16} {_line(line)}" for line in others)))


def _line(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text)
