"""What a contract's hours, variants and callers say about each other.

Like ``routing.business_checks`` they read the file as TOML has it, and step over whatever has the wrong type.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from routing.hours import Days, Rule, parse_rule
from routing.toml_lines import Path

_Table = Mapping[str, Any]
_LISTS = ("vip_callers", "blocked_callers")


def condition_findings(at: Path, contract: _Table) -> Iterator[tuple[Path, str]]:
    """Every contradiction in one contract, and what would never have an effect: where, and what is wrong there."""
    variants = [(place, item) for place, item in _items(contract, "variants", at) if isinstance(item, Mapping)]
    names = [item["name"] for _, item in variants if isinstance(item.get("name"), str)]
    callers = [
        (kind, place, {"number": item} if isinstance(item, str) else item)
        for kind in _LISTS
        for place, item in _items(contract, kind, at)
        if isinstance(item, str | Mapping)
    ]
    yield from _variants(variants, callers)
    yield from _callers(callers, names)
    yield from _hours(at, contract, variants)


def _items(parent: _Table, key: str, at: Path) -> Iterator[tuple[Path, Any]]:
    items = parent.get(key)
    if isinstance(items, list):
        for position, item in enumerate(items):
            yield (*at, key, position), item


def _variants(
    variants: list[tuple[Path, _Table]], callers: list[tuple[str, Path, _Table]]
) -> Iterator[tuple[Path, str]]:
    used = {caller.get("variant") for _, _, caller in callers if isinstance(caller.get("variant"), str)}
    seen: set[str] = set()
    for place, variant in variants:
        name = variant.get("name")
        if not isinstance(name, str):
            continue
        if name in seen:
            yield (*place, "name"), f"there is another variant {name!r} of this contract"
        seen.add(name)
        if "if_nobody" in variant and "overflow" in variant:
            yield (*place, "overflow"), "stands for if_nobody: a caller can only go one way"
        if not variant.get("when") and name not in used:
            yield place, f"{name!r} would never be used: give it hours (when = [ ... ]) or VIP callers"


def _callers(callers: list[tuple[str, Path, _Table]], names: list[str]) -> Iterator[tuple[Path, str]]:
    seen: dict[str, str] = {}
    for kind, place, caller in callers:
        number = caller.get("number")
        if isinstance(number, str):
            number = "".join(sign for sign in number if sign not in "-.()/ ")
            if number in seen:
                yield place, f"{number} is there already, in {seen[number]}"
            seen.setdefault(number, kind)
        if kind != "vip_callers":
            continue
        variant = caller.get("variant")
        if isinstance(variant, str) and variant not in names:
            known = ", ".join(sorted(names)) or "none"
            yield (*place, "variant"), f"there is no variant {variant!r} of this contract; there are: {known}"
        if not caller.get("priority") and "variant" not in caller:
            yield place, "gives this caller nothing: name a priority or a variant"


def _hours(at: Path, contract: _Table, variants: list[tuple[Path, _Table]]) -> Iterator[tuple[Path, str]]:
    own = list(_rules(at, contract, "opening_hours"))
    others = [found for place, variant in variants for found in _rules(place, variant, "when")]
    if "public_holidays" not in contract:
        for place, rule in (*own, *others):
            if rule.days is Days.HOLIDAY:
                yield place, 'public_holidays names no state whose holidays count, such as public_holidays = "BE"'
    if own and not any(rule.days is Days.ALWAYS for _, rule in others):
        yield (
            (*at, "opening_hours"),
            'nothing says what happens outside of these hours: give a variant when = ["always"]',
        )


def _rules(at: Path, table: _Table, key: str) -> Iterator[tuple[Path, Rule]]:
    for place, item in _items(table, key, at):
        if isinstance(item, str):
            try:
                rule = parse_rule(item)
            except ValueError:
                continue
            yield place, rule
