"""What a person is told about a call that has not come yet."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from routing.business import read_business
from routing.contract import Agent, Contract, ContractNumber, Validity
from routing.directory import Directory
from routing.explain import Explanation, Reason, explain, render
from routing.numbers import NumberReader
from routing.plan import Step, Voicemail, Widening

BERLIN = ZoneInfo("Europe/Berlin")
AT = datetime(2026, 10, 1, 12, tzinfo=BERLIN)
EXAMPLE = (Path(__file__).parents[2] / "examples" / "contracts.toml").read_text(encoding="utf-8")


@pytest.fixture
def directory() -> Directory:
    return read_business(EXAMPLE, "contracts.toml", "service.example").directory()


def things(explanation: Explanation) -> list[str]:
    return [item.thing for item in explanation.why_not]


def test_a_call_that_is_found_is_told_to_the_end(directory: Directory) -> None:
    explanation = explain(
        directory,
        NumberReader(),
        "sip:+49302000100@service.example",
        AT,
        "+493099999",
        "no_answer",
        {"minute-2025": "0.99 EUR a minute, 60/60"},
        {"anna": "waiting", "ben": "unregistered"},
    )
    assert (explanation.verdict, explanation.number) == ("found", "+49302000100")
    assert explanation.contract is directory.contracts["kanzlei-berger"]
    assert render(explanation) == (
        """\
dialled          sip:+49302000100@service.example
read as          +49302000100
at               2026-10-01 12:00:00+02:00
contract         kanzlei-berger (Kanzlei Berger), from 2025-01-01 00:00+01:00
plan
  1. agent anna, 15 s
       anna (Anna Adler): waiting; registers as anna
  2. group office, all at once, 30 s
       anna (Anna Adler): waiting; registers as anna
       ben (Ben Brandt): unregistered; registers as ben, +491713920013 over the trunk
  then 480 temporarily unavailable
tariff           0.99 EUR a minute, 60/60
the agent sees
  customer       Kanzlei Berger
  greeting       Kanzlei Berger, guten Tag, Sie sprechen mit ...
  instructions   Never give legal advice. Note name, number and file reference.
                 Court and police: put through to +49 171 3920012 at once.
  forwarded from +493099999 (no_answer)
  display name   Kanzlei Berger (no_answer)
  X-Contract     kanzlei-berger
  X-Greeting     Kanzlei Berger, guten Tag, Sie sprechen mit ...
  X-Forwarded-From +493099999
why not
  - agent ben: is passed over now: unregistered
"""
    )


def test_in_order_says_so_and_that_each_rings_so_long(directory: Directory) -> None:
    text = render(explain(directory, NumberReader(), "030 2000101", AT))
    assert "1. group office, one after the other, 20 s each" in text
    assert "then 486 busy" in text
    assert "agent ben: may or may not be reachable: only the running server knows" in text


def test_a_number_that_is_not_valid_yet_tells_whose_it_will_be(directory: Directory) -> None:
    explanation = explain(directory, NumberReader(), "+49302000102", AT.replace(year=2024))
    assert explanation.verdict == "expired"
    assert explanation.why_not[0] == Reason(
        "kanzlei-berger (Kanzlei Berger)",
        "does not have this number yet: from 2025-07-01 00:00+02:00 until 2027-01-01 00:00+01:00",
    )
    assert "none now; kanzlei-berger (Kanzlei Berger) has the number from 2025-07-01" in render(explanation)
    assert not explanation.steps


def test_a_number_that_is_no_longer_valid_tells_whose_it_was(directory: Directory) -> None:
    explanation = explain(directory, NumberReader(), "+49302000102", AT.replace(year=2028))
    assert explanation.why_not[0].reason.startswith("no longer has this number: from 2025-07-01")


def test_a_number_that_was_handed_over_tells_of_its_former_owner() -> None:
    number, change = "+49302000100", AT.replace(month=1)
    old = Contract("old", "Old", target_numbers=(ContractNumber(number, Validity(until=change)),))
    never = Contract("never", "Never", target_numbers=(ContractNumber(number, Validity(AT, AT)),))
    new = Contract("new", "New", target_numbers=(ContractNumber(number, Validity(since=change)),))
    explanation = explain(Directory([old, never, new]), NumberReader(), number, AT)
    assert explanation.contract is new
    assert explanation.why_not == (
        Reason("old (Old)", "no longer has this number: until 2026-01-01 12:00+01:00"),
        Reason("never (Never)", "never has this number: the number's time and the contract's do not meet"),
    )


@pytest.mark.parametrize(
    ("dialled", "near", "likeness"),
    [
        ("+4930200010", "+49302000100, kanzlei-berger (Kanzlei Berger)", "begins with what was dialled"),
        ("+493020001011", "+49302000101, elektro-sommer (Elektro Sommer)", "is the beginning of what was dialled"),
        ("2000101", "+49302000101, elektro-sommer (Elektro Sommer)", "ends with what was dialled"),
        ("+49402000101", "+49302000101, elektro-sommer (Elektro Sommer)", "differs in one digit"),
        ("+49302001001", "+49302000101, elektro-sommer (Elektro Sommer)", "has two digits the other way round"),
        ("+493020000101", "+49302000101, elektro-sommer (Elektro Sommer)", "differs by one digit more or less"),
    ],
)
def test_near_numbers_do_not_match_and_are_told(directory: Directory, dialled: str, near: str, likeness: str) -> None:
    explanation = explain(directory, NumberReader(), dialled, AT)
    assert explanation.verdict == "unknown"
    assert Reason(near, f"{likeness}; numbers match exactly or not at all") in explanation.why_not


def test_no_more_near_numbers_are_told_than_a_person_reads() -> None:
    block = [
        Contract(f"c{last:02}", "C", target_numbers=(ContractNumber(f"+493020001{last:02}"),)) for last in range(100)
    ]
    explanation = explain(Directory(block), NumberReader(), "+493020001", AT)
    assert len(explanation.why_not) == 1 + 5
    assert not explain(Directory(block), NumberReader(), "+49302000150", AT).why_not


@pytest.mark.parametrize("dialled", ["hello", "", "sip:anna@service.example", "\x1b[2J"])
def test_what_is_no_number_is_told_with_the_rules_it_was_read_by(directory: Directory, dialled: str) -> None:
    explanation = explain(directory, NumberReader(), dialled, AT)
    assert (explanation.verdict, explanation.number, explanation.contract) == ("unknown", "", None)
    assert explanation.why_not[0].reason == ("is no telephone number by this trunk's rules: region DE, no area code")
    assert "\x1b" not in render(explanation)


def test_agents_who_cannot_ring_are_told() -> None:
    steps = (
        Step("group", "office", "ring_all", 20, ("gone", "bare")),
        Step("group", "empty", "in_order", 20, ()),
        Step("agent", "gone", "in_order", 20, ("gone",)),
    )
    held = Contract("a", "A", target_numbers=(ContractNumber("1001"),), plan=steps)
    explanation = explain(Directory([held], [Agent("bare", "Bare")]), NumberReader(), "1001", AT)
    assert explanation.why_not == (
        Reason("agent gone", "is in the plan but not in the directory"),
        Reason("agent bare", "has no phone: no endpoints"),
        Reason("step 2", "rings nobody: group empty has no agents"),
    )
    text = render(explanation)
    assert "gone (not in the directory): state unknown; no phone" in text
    assert "none: connected calls cannot be billed" in text


def test_the_explanation_decides_as_a_call_would(directory: Directory) -> None:
    reader = NumberReader()
    for dialled in ("+49302000100", "0302000101", "+49302000102", "+49302000109", "x"):
        for year in (2024, 2026, 2028):
            at = AT.replace(year=year)
            verdict = type(directory.resolve(reader, dialled, at)).__name__.lower()
            assert explain(directory, reader, dialled, at).verdict == verdict


def test_customer_data_cannot_write_to_the_terminal(directory: Directory) -> None:
    evil = replace(directory.contracts["elektro-sommer"], customer="E\x1b[31m", greeting="a\r\x07b\nc")
    text = render(explain(Directory([evil]), NumberReader(), "+49302000101", AT))
    assert text.replace("\n", "").isprintable()


def test_a_plan_in_which_callers_wait_is_told_with_levels_patience_and_overflow() -> None:
    steps = (
        Step("skill", "law", "longest_idle", 15, ("anna", "ben"), 4, 60, (Widening(20, 2),)),
        Step("group", "office", "round_robin", 20, ("anna",)),
    )
    agents = [Agent("anna", "Anna", skills={"law": 5}), Agent("ben", "Ben", skills={"law": 2})]
    contract = Contract(
        "k", "Kanzlei", target_numbers=(ContractNumber("+4930111"),), plan=steps, overflow=Voicemail("kanzlei")
    )
    text = render(explain(Directory([contract], agents), NumberReader(), "+4930111", AT))
    assert "1. skill law from level 4, after 20 s from 2, longest idle first, 15 s each, waits up to 60 s\n" in text
    assert "2. group office, in turn, 20 s\n" in text
    assert "  then voicemail kanzlei\n" in text
