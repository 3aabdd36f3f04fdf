"""Skills, queues and ways out in the business file and the database: in, out and in again; every fault at its line."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from routing.business import Business, read_business, write_business
from routing.contract import Contract, Waiting
from routing.plan import Announce, Callback, Dial, NextStep, Refusal, Step, Voicemail, Widening
from routing.store import load_business, replace_business
from tests.routing.test_business import SMALL, faults

FULL = (
    SMALL.replace('name = "Anna"', 'name = "Anna"\nskills = { english = 8, law = 3 }\nwrap_up_seconds = 20')
    .replace('members = ["anna"]', 'members = ["anna"]\ntiers = { anna = 2 }')
    .replace(
        'plan = [{ group = "office" }]',
        "plan = [\n"
        '    { skill = "english", level = 9, patience_seconds = 60, widening = ['
        "{ after_seconds = 20, level = 5 }, { after_seconds = 40, level = 1 }] },\n"
        '    { group = "office", patience_seconds = 120, strategy = "ring_all" },\n'
        "]\n"
        'overflow = { voicemail = "kanzlei@example.com" }\n'
        "wrap_up_seconds = 30\n"
        'whisper = "customers/kanzlei"\n',
    )
    + """
[contracts.waiting]
priority = 3
most_callers = 10
if_full = { status = 486 }
longest_seconds = 600
if_too_long = { dial = "+49 171 3920012" }
answering = "answer_at_once"
greeting_sound = "customers/kanzlei-welcome"
music = "music"
position_seconds = 30
comfort_seconds = 45
comfort_sound = "de/please-wait"
exits = { 1 = { callback = true }, "*" = { announcement = "de/hours" }, 9 = { next_step = true } }
"""
)


def read(text: str) -> Business:
    return read_business(text, "contracts.toml", "service.example")


def test_a_file_with_a_queue_means_what_it_says() -> None:
    business = read(FULL)
    contract = business.contracts[0]
    assert contract.plan == (
        Step("skill", "english", "longest_idle", 20, ("anna",), 9, 60, (Widening(20, 5), Widening(40, 1))),
        Step("group", "office", "ring_all", 20, ("anna",), patience_seconds=120),
    )
    assert contract.waiting == Waiting(
        priority=3, most_callers=10, if_full=Refusal(486), longest_seconds=600, if_too_long=Dial("+491713920012"),
        exits={"1": Callback(), "*": Announce("de/hours"), "9": NextStep()}, answering="answer_at_once",
        greeting_sound="customers/kanzlei-welcome", music="music", position_seconds=30, comfort_seconds=45,
        comfort_sound="de/please-wait",
    )  # fmt: skip
    assert contract.overflow == Voicemail("kanzlei@example.com")
    assert (contract.wrap_up_seconds, contract.whisper) == (30, "customers/kanzlei")
    assert business.agents[0].skills == {"english": 8, "law": 3}
    assert business.agents[0].wrap_up_seconds == 20
    assert business.groups[0].tiers == {"anna": 2}


def test_who_writes_a_list_means_its_order_and_who_lets_callers_wait_means_the_longest_idle() -> None:
    plan = '{ group = "office" }, { group = "office", patience_seconds = 5 }, { skill = "law" }'
    steps = read(SMALL.replace('{ group = "office" }', plan).replace('name = "Anna"', 'name = "A"\nskills = {law = 1}'))
    assert [step.strategy for step in steps.contracts[0].plan] == ["in_order", "longest_idle", "longest_idle"]


def test_a_file_of_before_lets_nobody_wait() -> None:
    contract = read(SMALL).contracts[0]
    assert contract.waiting == Waiting()
    assert contract.overflow is None
    assert "waiting" not in write_business(read(SMALL))


def test_what_is_written_is_what_people_write() -> None:
    written = write_business(read(FULL))
    for line in (
        "[contracts.waiting]",
        'overflow = { voicemail = "kanzlei@example.com" }',
        'exits = { 1 = { callback = true }, "*" = { announcement = "de/hours" }, 9 = { next_step = true } }',
        "tiers = { anna = 2 }",
    ):
        assert line in written
    assert read(written) == read(FULL)
    assert write_business(read(written)) == written


def test_the_database_keeps_it(engine: Engine) -> None:
    business = read(FULL)
    with engine.begin() as connection:
        replace_business(connection, business)
    with engine.connect() as connection:
        assert load_business(connection, business.tariffs) == business


def test_the_example_of_the_operators_guide_is_a_plan_with_a_queue() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "operators-guide.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    plan = next(block for block in blocks if "patience_seconds" in block)
    staff = next(block for block in blocks if "skills = {" in block)
    waiting = next(block for block in blocks if block.startswith("[contracts.waiting]"))
    others = '[[tariffs]]\nname = "minute-2025"\nper_minute = "1"\n'
    for name in ("ben", "carla"):
        others += f'[[agents]]\nid = "{name}"\nname = "{name}"\n'
    contract = read("".join((others, staff, plan, waiting))).contracts[0]
    assert [step.kind for step in contract.plan] == ["agent", "group", "skill"]
    assert contract.waiting.exits["9"] == Dial("+491713920012")


# -- round trip ------------------------------------------------------------------------------------------

sounds = st.from_regex(r"[A-Za-z0-9_.-]{1,8}(/[A-Za-z0-9_.-]{1,8})?", fullmatch=True)
seconds = st.integers(0, 86_400)
ways: st.SearchStrategy[Any] = st.one_of(
    st.just(Callback()), st.builds(Announce, sounds), st.just(Voicemail("a b@example.com")),
    st.just(Dial("+491713920012")),
)  # fmt: skip
overflows: st.SearchStrategy[Any] = st.one_of(ways, st.just(NextStep()), st.sampled_from((Refusal(480), Refusal(600))))
silent = st.builds(
    Waiting, priority=st.integers(0, 10), most_callers=st.integers(1, 10_000), if_full=overflows,
    longest_seconds=st.integers(1, 86_400), if_too_long=overflows,
)  # fmt: skip
heard = st.tuples(silent, st.dictionaries(st.sampled_from("0123456789*#"), overflows), sounds, sounds, seconds).map(
    lambda drawn: replace(
        drawn[0], answering="answer_at_once", exits=drawn[1], greeting_sound=drawn[2], music=drawn[3],
        position_seconds=drawn[4], comfort_seconds=drawn[4], comfort_sound=drawn[3] if drawn[4] else "",
    )
)  # fmt: skip
levels = st.sets(st.integers(1, 10), min_size=1, max_size=4).map(lambda found: sorted(found, reverse=True))


def _step(drawn: list[int], patience: int) -> Step:
    widening = tuple(Widening(5 * number, level) for number, level in enumerate(drawn[1:], 1))
    agents = ("anna",) if drawn[-1] <= 8 else ()
    return Step("skill", "english", "random", 7, agents, drawn[0], patience, widening)


steps = st.builds(_step, levels, st.integers(1, 86_400))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    plan=st.lists(steps, min_size=1, max_size=3),
    waiting=silent | heard,
    overflow=ways | st.none(),
    wrap_up=st.integers(0, 3600),
    whisper=sounds | st.just(""),
)
def test_written_and_read_again_it_is_the_same(
    plan: list[Step], waiting: Waiting, overflow: Any, wrap_up: int, whisper: str
) -> None:
    business = read(FULL)
    contract: Contract = replace(
        business.contracts[0], plan=tuple(plan), waiting=waiting, overflow=overflow, wrap_up_seconds=wrap_up,
        whisper=whisper,
    )  # fmt: skip
    # nobody has level 9: a plan that asks for no less has no effect, and is a fault
    if all(step.level <= 8 or step.widening for step in plan):
        meant = replace(business, contracts=(contract,))
        assert read(write_business(meant)) == meant


# -- faults ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('skill = "english", ', 'skill = "dutch", ', "no agent has the skill 'dutch'; there are: english, law"),
        ('skill = "english", ', 'skill = "english", agent = "anna", ', "names an agent, a group or a skill: one"),
        ("after_seconds = 40", "after_seconds = 10", "widening must go on in time and down in level"),
        ("level = 5 }", "level = 9 }", "widening must go on in time and down in level"),
        ("level = 9, patience_seconds = 60,", "level = 9,", "widening needs patience_seconds"),
        ("level = 9,", "level = 11,", "less than or equal to 10"),
        ("tiers = { anna = 2 }", "tiers = { ben = 2 }", "'ben' is no member of this group"),
        ("tiers = { anna = 2 }", "tiers = { anna = 0 }", "greater than or equal to 1"),
        ('{ voicemail = "kanzlei@example.com" }', "{}", "must name exactly one of dial, announcement"),
        ('{ voicemail = "kanzlei@example.com" }', '{ dial = "1234" }', "no number to dial"),
        ("{ status = 486 }", "{ status = 401 }", "401 is none of 404 not found"),
        ("{ callback = true }", "{ callback = false }", "True"),
        ('answering = "answer_at_once"\n', "", 'write answering = "answer_at_once"'),
        ("comfort_seconds = 45\n", "", "comfort_seconds and comfort_sound belong together"),
        ("most_callers = 10\n", "", "never happens without most_callers"),
        ("longest_seconds = 600\n", "", "never happens without longest_seconds"),
        ('whisper = "customers/kanzlei"', 'whisper = "../secret/x y"', "should match pattern"),
        ("wrap_up_seconds = 30", "if_nobody = { status = 486 }", "stands for if_nobody"),
    ],
)  # fmt: skip
def test_a_fault_says_what_is_wrong_and_where(before: str, after: str, message: str) -> None:
    assert before in FULL
    found = faults(FULL.replace(before, after))
    assert len(found) == 1
    assert message in found[0]
    line = int(found[0].split(":")[1])
    assert line > 1


def test_a_level_that_nobody_has_is_a_fault() -> None:
    text = FULL.replace(", widening = [{ after_seconds = 20, level = 5 }, { after_seconds = 40, level = 1 }]", "")
    assert [fault.split(": ", 1)[1] for fault in faults(text)] == [
        "contracts[1].plan[1].level: nobody has 'english' at level 9: the highest is 8"
    ]


def test_a_queue_in_which_nobody_waits_is_a_fault() -> None:
    found = faults(
        SMALL + "[contracts.waiting]\nmost_callers = 3\nposition_seconds = 5\nanswering = 'answer_at_once'\n"
    )
    assert len(found) == 2
    assert all("give a step of the plan patience_seconds" in fault for fault in found)
