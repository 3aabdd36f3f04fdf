"""Hours, variants and callers in the business file: in, out and in again; every fault at its line."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.business import Business, BusinessError, read_business, write_business
from routing.conditions import UNCONDITIONAL, BlockedCaller, Conditions, Variant, VipCaller
from routing.hours import STATES, Days, Rule, Span, parse_rule
from routing.plan import Announce, Callback, Dial, Refusal, Step, Voicemail
from tests.routing.test_business import SMALL, faults

FULL = (
    SMALL
    + """\
colour = "#1e6fba"
public_holidays = "BE"
opening_hours = [
    "mon-fri 08:00-12:00 13:00-18:00",
    "holiday closed",
    "2026-12-24 08:00-12:00",
]
greetings = { busy = "Kanzlei, we are on the phone" }
vip_callers = [{ number = "+49 171 3920012", priority = 5, variant = "court" }]
blocked_callers = ["+4990*", "anonymous", { number = "+49301", announcement = "blocked" }]

[[contracts.variants]]
name = "closed"
when = ["always"]
greeting = "We are closed"
greetings = { busy = "Closed, and busy" }
plan = []
if_nobody = { status = 486 }

[[contracts.variants]]
name = "court"
plan = [{ agent = "anna", ring_seconds = 60 }]
"""
)


def read(text: str) -> Business:
    return read_business(text, "contracts.toml", "service.example")


def test_a_file_with_everything_means_what_it_says() -> None:
    contract = read(FULL).contracts[0]
    assert contract.colour == "#1e6fba"
    assert contract.conditions == Conditions(
        "Europe/Berlin",
        "BE",
        tuple(map(parse_rule, ("mon-fri 08:00-12:00 13:00-18:00", "holiday closed", "2026-12-24 08:00-12:00"))),
        (
            Variant(
                "closed",
                (Rule(Days.ALWAYS),),
                "We are closed",
                {"busy": "Closed, and busy"},
                (),
                Refusal(486),
            ),
            Variant("court", plan=(Step("agent", "anna", "in_order", 60, ("anna",)),)),
        ),
        {"busy": "Kanzlei, we are on the phone"},
        (VipCaller("+491713920012", 5, "court"),),
        (BlockedCaller("+4990*"), BlockedCaller("anonymous"), BlockedCaller("+49301", "blocked")),
    )


def test_a_file_of_before_has_no_conditions() -> None:
    assert read(SMALL).contracts[0].conditions is UNCONDITIONAL
    assert read('time_zone = "Europe/Lisbon"\n' + SMALL).contracts[0].conditions is UNCONDITIONAL


def test_hours_are_of_the_files_time_zone_or_of_the_contracts_own() -> None:
    noon = datetime(2026, 11, 23, 17, 30, tzinfo=UTC)
    assert read(FULL).contracts[0].effective(noon).variant == "closed"
    lisbon = read('time_zone = "Europe/Lisbon"\n' + FULL)
    assert lisbon.contracts[0].effective(noon).variant == ""
    azores = read(FULL.replace('colour = "', 'time_zone = "Atlantic/Azores"\ncolour = "'))
    assert azores.contracts[0].conditions.time_zone == "Atlantic/Azores"
    for business in (lisbon, azores):
        assert read(write_business(business)) == business


def test_what_is_written_looks_as_people_write_it() -> None:
    written = write_business(read(FULL))
    for line in (
        'opening_hours = [\n    "mon-fri 08:00-12:00 13:00-18:00",\n    "holiday closed",\n',
        'public_holidays = "BE"',
        '[[contracts.variants]]\nname = "closed"\nwhen = [\n    "always",\n]',
        "plan = []",
    ):
        assert line in written
    assert read(written) == read(FULL)
    assert write_business(read(written)) == written


# -- round trip ------------------------------------------------------------------------------------------

kinds = st.sampled_from(("unconditional", "busy", "no_answer"))
prose = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("C", "Z"), include_characters=" \n\t"))
texts = prose.filter(bool)
greetings = st.dictionaries(kinds, texts).map(lambda found: dict(sorted(found.items())))
spans = st.integers(0, 1439).flatmap(
    lambda start: st.integers(start + 1, start + 1439).map(lambda end: Span(start, end))
)
span_lists = st.lists(spans, max_size=3, unique=True).map(
    lambda found: tuple(sorted(found, key=lambda s: (s.start, s.end)))
)
days = st.dates(date(1990, 1, 1), date(2100, 1, 1))
rules = st.one_of(
    st.just(Rule(Days.ALWAYS)),
    span_lists.map(lambda found: Rule(Days.HOLIDAY, found)),
    st.builds(
        lambda chosen, found: Rule(Days.WEEKDAY, found, tuple(sorted(chosen))),
        st.sets(st.integers(0, 6), min_size=1),
        span_lists,
    ),
    st.builds(lambda day, found: Rule(Days.DATE, found, first=day, last=day), days, span_lists),
    st.builds(
        lambda one, two, found: Rule(Days.PERIOD, found, first=min(one, two), last=max(one, two)),
        days,
        days,
        span_lists,
    ),
    st.builds(
        lambda day, found: Rule(Days.YEARLY, found, first=day, last=day),
        st.dates(date(2000, 1, 1), date(2000, 12, 31)),
        span_lists,
    ),
)
rule_lists = st.lists(rules, max_size=4).map(tuple)
plans = st.none() | st.lists(st.just(Step("group", "office", "ring_all", 7, ("anna",))), max_size=2).map(tuple)
always = Variant("always", (Rule(Days.ALWAYS),))


@st.composite
def conditions(draw: st.DrawFn) -> Conditions:
    names = draw(st.lists(st.sampled_from(("night", "vip", "ä b", "x.y")), unique=True))
    numbers = [f"+49{number}" for number in draw(st.lists(st.integers(1, 10**9), max_size=5, unique=True))]
    patterns = [number + draw(st.sampled_from(("", "*"))) for number in numbers]
    vips = tuple(
        VipCaller(pattern, draw(st.integers(1, 10)), draw(st.sampled_from(("", *names)))) for pattern in patterns[::2]
    )
    blocked = tuple(BlockedCaller(pattern, draw(st.sampled_from(("", "de/blocked")))) for pattern in patterns[1::2])
    ways: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
        (
            {},
            {"if_nobody": Refusal(486)},
            {"overflow": Voicemail("a@b.example")},
            {"overflow": Announce("de/closed")},
            {"overflow": Dial("+491713920012")},
            {"overflow": Callback()},
        )
    )
    variants = tuple(
        Variant(
            name,
            (Rule(Days.DATE, first=date(2026, 1, 1), last=date(2026, 1, 1)), *draw(rule_lists)),
            draw(prose),
            draw(greetings),
            draw(plans),
            **draw(ways),
        )
        for name in names
    )
    return Conditions(
        draw(st.sampled_from(("Europe/Berlin", "America/New_York"))),
        draw(st.sampled_from(STATES)),
        draw(rule_lists),
        (always, *variants),
        draw(greetings),
        vips,
        blocked,
    )


@given(conditions())
def test_whatever_is_written_is_read_again_as_it_was(found: Conditions) -> None:
    business = read(SMALL)
    changed = replace(business, contracts=(replace(business.contracts[0], colour="#00ff00", conditions=found),))
    written = write_business(changed)
    assert read(written) == changed
    assert write_business(read(written)) == written


# -- faults ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            '"holiday closed"',
            '"holidays"',
            "25: contracts[1].opening_hours[2]: 'holidays' is no day: write mon to sun, mon-fri, holiday, 2026-12-24, "
            "*-12-24, 2026-12-21..2027-01-03 or always",
        ),
        (
            'public_holidays = "BE"\n',
            "",
            "24: contracts[1].opening_hours[2]: public_holidays names no state whose holidays count, such as "
            'public_holidays = "BE"',
        ),
        (
            'public_holidays = "BE"',
            'public_holidays = "Berlin"',
            f"22: contracts[1].public_holidays: 'Berlin' is no German state; there are {', '.join(STATES)}",
        ),
        ('"#1e6fba"', '"blue"', '21: contracts[1].colour: must be a colour such as "#1e6fba"'),
        (
            'when = ["always"]',
            'when = ["mon-sun 18:00-08:00"]',
            "23: contracts[1].opening_hours: nothing says what happens outside of these hours: give a variant "
            'when = ["always"]',
        ),
        (
            'variant = "court"',
            'variant = "curt"',
            "29: contracts[1].vip_callers[1].variant: there is no variant 'curt' of this contract; there are: "
            "closed, court",
        ),
        (
            'priority = 5, variant = "court"',
            "priority = 0",
            "29: contracts[1].vip_callers[1]: gives this caller nothing: name a priority or a variant",
        ),
        (
            "priority = 5",
            "priority = 11",
            "29: contracts[1].vip_callers[1].priority: Input should be less than or equal to 10",
        ),
        (
            '"+4990*"',
            '"090*"',
            "30: contracts[1].blocked_callers[1].number: '090*' is no caller: write the number international, such as "
            "+491713920012, or its beginning, such as +4990*",
        ),
        (
            '"+4990*"',
            '"+49 1713920012"',
            "30: contracts[1].blocked_callers[1]: +491713920012 is there already, in vip_callers",
        ),
        (
            'name = "court"',
            'name = "closed"',
            "41: contracts[1].variants[2].name: there is another variant 'closed' of this contract",
        ),
        (
            '{ agent = "anna", ring_seconds = 60 }',
            '{ agent = "ben" }',
            "42: contracts[1].variants[2].plan[1].agent: there is no agent 'ben'; there are: anna",
        ),
        (
            "{ busy = ",
            "{ engaged = ",
            "28: contracts[1].greetings.engaged: Input should be 'unconditional', 'busy' or 'no_answer'",
        ),
        (
            "if_nobody = { status = 486 }",
            'overflow = { dial = "0171" }',
            "38: contracts[1].variants[1].overflow.dial: '0171' is no number to dial: write it international, such as "
            "+491713920012",
        ),
        (
            "if_nobody = { status = 486 }",
            'overflow = { voicemail = "a", callback = true }',
            "38: contracts[1].variants[1].overflow: must name exactly one of dial, announcement, voicemail, callback",
        ),
        (
            "if_nobody = { status = 486 }",
            'if_nobody = {}\noverflow = { voicemail = "a" }',
            "39: contracts[1].variants[1].overflow: stands for if_nobody: a caller can only go one way",
        ),
        ("status = 486", "status = 200", "38: contracts[1].variants[1].if_nobody.status: 200 is none of 404"),
    ],
)
def test_each_fault_is_told_with_its_line(old: str, new: str, expected: str) -> None:
    text = FULL.replace(old, new, 1)
    assert text != FULL
    told = [fault for fault in faults(text) if "would never be used" not in fault]
    assert len(told) == 1 or "closed'" in expected or "curt" in expected, told
    assert any(fault.startswith(f"contracts.toml:{expected}") for fault in told), told


def test_a_variant_that_nobody_comes_to_is_a_mistake() -> None:
    text = FULL.replace(', variant = "court"', "")
    assert faults(text) == [
        "contracts.toml:40: contracts[1].variants[2]: 'court' would never be used: give it hours (when = [ ... ]) "
        "or VIP callers"
    ]


@given(st.sampled_from(FULL.splitlines()[20:]), st.text(max_size=20), st.integers(0, 40))
def test_no_file_does_more_than_be_refused(line: str, text: str, position: int) -> None:
    try:
        read(FULL.replace(line, line[:position] + text + line[position:], 1))
    except BusinessError as error:
        refused = error.faults
    else:
        return
    assert refused


def test_the_examples_of_the_operators_guide_make_one_contract() -> None:
    root = Path(__file__).parents[2]
    guide = (root / "docs" / "operators-guide.md").read_text(encoding="utf-8")
    example = (root / "examples" / "contracts.toml").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    contract, hours, callers = (
        next(block for block in blocks if block.startswith(start))
        for start in ('[[contracts]]\nid = "praxis-winter"', "public_holidays", "vip_callers")
    )
    opening, variants = hours.split("[[contracts.variants]]", 1)
    clinic = '[[contracts.variants]]\nname = "clinic"\nplan = [{ agent = "anna" }]\n'
    others = example[: example.index("# -- Contracts.")]
    business = read("".join((others, contract, opening, callers, "[[contracts.variants]]", variants, clinic)))
    assert [item.name for item in business.contracts[0].conditions.variants] == ["closed", "vacation", "clinic"]
