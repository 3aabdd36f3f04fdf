"""What the parts of a business file say about each other: references, names used twice, numbers given twice.

The checks read the file as TOML has it and step over whatever has the wrong type, which
``routing.business_schema`` reports: so one fault never hides another.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from routing.business_condition_checks import condition_findings
from routing.business_lines import line_findings
from routing.business_tariffs import tariff_findings
from routing.business_waiting_checks import highest_levels, tier_findings, waiting_findings
from routing.contract import Validity
from routing.numbers import target_number
from routing.toml_lines import Path

#: Where, and what is wrong there.
Finding = tuple[Path, str]
_Table = Mapping[str, Any]


def findings(document: _Table, zone: ZoneInfo, line_of: Callable[[Path], int]) -> Iterator[Finding]:
    """Every contradiction in a parsed business file. ``line_of`` gives the line of a place, for cross-references."""
    for kind, key in (("contracts", "id"), ("agents", "id"), ("groups", "id"), ("tariffs", "name")):
        yield from _twice(document, kind, key, line_of)
    agents = _names(document, "agents", "id")
    groups = _names(document, "groups", "id")
    tariffs = _names(document, "tariffs", "name")
    skills = highest_levels(document)
    for at, contract in _tables(document, "contracts"):
        yield from _contract(at, contract, agents, groups, tariffs)
        yield from waiting_findings(at, contract, skills)
        yield from condition_findings(at, contract)
    for at, tariff in _tables(document, "tariffs"):
        yield from tariff_findings(at, tariff, zone)
    for at, group in _tables(document, "groups"):
        yield from _members(at, group, agents)
        yield from tier_findings(at, group)
    yield from _endpoints(document, line_of)
    yield from _numbers(document, zone, line_of)
    yield from line_findings(document, line_of)


# -- reading what may be anything ------------------------------------------------------------------------


def _tables(parent: _Table, key: str, at: Path = ()) -> Iterator[tuple[Path, _Table]]:
    items = parent.get(key)
    if isinstance(items, list):
        for position, item in enumerate(items):
            if isinstance(item, Mapping):
                yield (*at, key, position), item


def _names(document: _Table, kind: str, key: str) -> set[str]:
    return {table[key] for _, table in _tables(document, kind) if isinstance(table.get(key), str)}


def _validity(table: _Table, zone: ZoneInfo) -> Validity:
    return Validity(_moment(table.get("valid_from"), zone), _moment(table.get("valid_until"), zone))


def _moment(value: object, zone: ZoneInfo) -> datetime | None:
    if not isinstance(value, date) or not 1900 <= value.year < 3000:
        return None
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _unknown(what: str, name: str, known: set[str]) -> str:
    shown = ", ".join(sorted(known)[:20]) or "none"
    return f"there is no {what} {name!r}; there are: {shown}{' ...' if len(known) > 20 else ''}"


# -- the checks ------------------------------------------------------------------------------------------


def _twice(document: _Table, kind: str, key: str, line_of: Callable[[Path], int]) -> Iterator[Finding]:
    seen: dict[str, Path] = {}
    for at, table in _tables(document, kind):
        name = table.get(key)
        if not isinstance(name, str):
            continue
        first = seen.setdefault(name, at)
        if first != at:
            yield (*at, key), f"{name!r} is the {key} of another one, in line {line_of((*first, key))}"


def _contract(at: Path, contract: _Table, agents: set[str], groups: set[str], tariffs: set[str]) -> Iterator[Finding]:
    tariff = contract.get("tariff")
    if isinstance(tariff, str) and tariff not in tariffs:
        yield (*at, "tariff"), _unknown("tariff", tariff, tariffs)
    for place, planned in ((at, contract), *_tables(contract, "variants", at)):
        yield from _plan(place, planned, agents, groups)


def _plan(at: Path, planned: _Table, agents: set[str], groups: set[str]) -> Iterator[Finding]:
    for place, step in _tables(planned, "plan", at):
        agent, group = step.get("agent"), step.get("group")
        if sum(kind in step for kind in ("agent", "group", "skill")) != 1:
            yield place, "a step names an agent, a group or a skill: one of them"
        if isinstance(agent, str) and agent not in agents:
            yield (*place, "agent"), _unknown("agent", agent, agents)
        if isinstance(group, str) and group not in groups:
            yield (*place, "group"), _unknown("group", group, groups)


def _members(at: Path, group: _Table, agents: set[str]) -> Iterator[Finding]:
    members = group.get("members")
    if not isinstance(members, list):
        return
    for position, member in enumerate(members):
        if not isinstance(member, str):
            continue
        if member not in agents:
            yield (*at, "members", position), _unknown("agent", member, agents)
        if member in members[:position]:
            yield (*at, "members", position), f"{member!r} is a member already"


def _endpoints(document: _Table, line_of: Callable[[Path], int]) -> Iterator[Finding]:
    registering: list[tuple[Path, _Table]] = []
    for at, agent in _tables(document, "agents"):
        for place, endpoint in _tables(agent, "endpoints", at):
            if sum(kind in endpoint for kind in ("username", "contact", "number")) != 1:
                yield place, "an endpoint has a username, a contact or a number: one of them"
            registering.append((place, endpoint))
    usernames: dict[str, Path] = {}
    for place, endpoint in (*registering, *_tables(document, "lines")):
        yield from _credentials(place, endpoint)
        username = endpoint.get("username")
        if isinstance(username, str):
            first = usernames.setdefault(username, place)
            if first != place:
                other = line_of((*first, "username"))
                yield (*place, "username"), f"the username {username!r} is taken, in line {other}"


def _credentials(place: Path, endpoint: _Table) -> Iterator[Finding]:
    hashes = {"MD5": "ha1_md5", "SHA-256": "ha1_sha256"}
    present = [key for key in hashes.values() if key in endpoint]
    if "username" not in endpoint:
        for key in ("password", "realm", "algorithms", *present):
            if key in endpoint:
                yield (*place, key), "belongs to a username; nothing else is asked who it is"
        return
    if "password" in endpoint:
        for key in present:
            yield (*place, key), "stands for a password; there is one already"
        return
    if not present:
        yield place, "a username needs a password, or ha1_md5 and ha1_sha256"
        return
    algorithms = endpoint.get("algorithms", ["MD5"])
    if isinstance(algorithms, list):
        for position, algorithm in enumerate(algorithms):
            needed = hashes.get(algorithm) if isinstance(algorithm, str) else None
            if needed is not None and needed not in endpoint:
                yield (*place, "algorithms", position), f"{algorithm} needs {needed}"


def _numbers(document: _Table, zone: ZoneInfo, line_of: Callable[[Path], int]) -> Iterator[Finding]:
    held: dict[str, list[tuple[Path, str, Validity]]] = {}
    for at, contract in _tables(document, "contracts"):
        validity = _validity(contract, zone)
        if validity.empty:
            yield (*at, "valid_until"), "is not after valid_from: the contract would never be valid"
        items = contract.get("target_numbers")
        for position, item in enumerate(items if isinstance(items, list) else ()):
            place = (*at, "target_numbers", position)
            table = item if isinstance(item, Mapping) else {"number": item}
            own = _validity(table, zone)
            if own.empty:
                yield (*place, "valid_until"), "is not after valid_from: the number would never be valid"
            written = table.get("number")
            number = target_number(written) if isinstance(written, str) and len(written) <= 64 else None
            if number is None:
                continue
            together = own.within(validity)
            if together.empty:
                if not own.empty and not validity.empty:
                    yield place, f"{number} would never be valid: its time is outside of the contract's"
                continue
            others = held.setdefault(number, [])
            for other_place, customer, other in others:
                if not together.within(other).empty:
                    yield place, f"{number} is {customer}'s at the same time, in line {line_of(other_place)}"
            others.append((place, str(contract.get("id", "another contract")), together))
