"""What of a contract depends on hours, callers and kinds of forwarding, in the business file and in the database.

Both hold the same tables, see ``routing.business_schema.ConditionsTable``. What is left at its default is written
nowhere: so files and databases of before mean what they meant.
"""

from collections.abc import Mapping
from dataclasses import replace

from routing.business_schema import DEFAULT_TIME_ZONE, ConditionsTable, VariantTable
from routing.business_steps import StepReader, step_value
from routing.business_ways import destination_of, destination_value
from routing.conditions import UNCONDITIONAL, BlockedCaller, Conditions, Variant, VipCaller
from routing.forwarding import ForwardingKind
from routing.hours import parse_rule
from routing.plan import Refusal
from routing.toml_text import Value


def conditions_of(table: ConditionsTable, zone: str, read_step: StepReader) -> Conditions:
    """The conditions that the table names. ``zone`` is the time zone of hours that name none."""
    found = Conditions(
        state=table.public_holidays or "",
        opening_hours=tuple(map(parse_rule, table.opening_hours)),
        variants=tuple(_variant(item, read_step) for item in table.variants),
        greetings=_texts(table.greetings),
        vip_callers=tuple(VipCaller(item.number, item.priority, item.variant or "") for item in table.vip_callers),
        blocked_callers=tuple(BlockedCaller(item.number, item.announcement or "") for item in table.blocked_callers),
        time_zone=table.time_zone or zone,
    )
    # a time zone alone is no condition
    return UNCONDITIONAL if replace(found, time_zone=UNCONDITIONAL.time_zone) == UNCONDITIONAL else found


def _variant(table: VariantTable, read_step: StepReader) -> Variant:
    return Variant(
        name=table.name,
        when=tuple(map(parse_rule, table.when)),
        greeting=table.greeting,
        greetings=_texts(table.greetings),
        plan=None if table.plan is None else tuple(map(read_step, table.plan)),
        if_nobody=None if table.if_nobody is None else Refusal(table.if_nobody.status),
        overflow=None if table.overflow is None else destination_of(table.overflow),
    )


def _texts(greetings: Mapping[ForwardingKind, str]) -> dict[str, str]:
    return dict(sorted((str(kind), text) for kind, text in greetings.items()))


def conditions_value(conditions: Conditions) -> dict[str, Value]:
    """What ``ConditionsTable`` reads."""
    return _given(
        {
            "time_zone": conditions.time_zone if conditions.time_zone != DEFAULT_TIME_ZONE else "",
            "public_holidays": conditions.state,
            "opening_hours": [str(rule) for rule in conditions.opening_hours],
            "greetings": dict(conditions.greetings),
            "vip_callers": [
                _given({"number": item.pattern, "priority": item.priority, "variant": item.variant})
                for item in conditions.vip_callers
            ],
            "blocked_callers": [
                {"number": item.pattern, "announcement": item.announcement} if item.announcement else item.pattern
                for item in conditions.blocked_callers
            ],
            "variants": [_variant_value(item) for item in conditions.variants],
        }
    )


def _variant_value(variant: Variant) -> dict[str, Value]:
    value = _given(
        {
            "name": variant.name,
            "when": [str(rule) for rule in variant.when],
            "greeting": variant.greeting,
            "greetings": dict(variant.greetings),
        }
    )
    if variant.plan is not None:
        # no steps at all is another thing than the contract's own
        value["plan"] = [step_value(step) for step in variant.plan]
    if variant.if_nobody is not None:
        value["if_nobody"] = {"status": variant.if_nobody.status}
    if variant.overflow is not None:
        value["overflow"] = destination_value(variant.overflow)
    return value


def _given(value: Mapping[str, Value]) -> dict[str, Value]:
    return {key: item for key, item in value.items() if item}
