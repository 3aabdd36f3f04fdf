"""Agents' phones in the business file and the database: several, in order, and over the trunk."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from routing.business import Business, read_business, write_business
from routing.contract import ENDPOINT_SECONDS, Agent, Endpoint
from routing.explain import explain
from routing.numbers import NumberReader
from routing.store import load_business, replace_business
from tests.routing.test_business import EXAMPLE, SMALL, faults

FULL = SMALL.replace(
    'endpoints = [{ username = "anna", password = "open sesame" }]',
    'ring = "in_order"\n'
    "endpoint_seconds = 8\n"
    "endpoints = [\n"
    '    { username = "anna", password = "open sesame" },\n'
    '    { contact = "sip:anna@192.0.2.20" },\n'
    '    { number = "+49 171 392 0012" },\n'
    "]",
) + (
    '\n[[lines]]\nnumber = "+49304505010"\nname = "Line"\nusername = "line-1"\npassword = "p"\n'
)  # fmt: skip


def read(text: str) -> Business:
    return read_business(text, "contracts.toml", "service.example")


def test_phones_ring_in_the_order_of_the_file() -> None:
    (anna,) = read(FULL).agents
    assert (anna.ring, anna.endpoint_seconds) == ("in_order", 8)
    assert [endpoint.username or endpoint.contact or endpoint.number for endpoint in anna.endpoints] == [
        "anna", "sip:anna@192.0.2.20", "+491713920012",
    ]  # fmt: skip


def test_a_file_of_before_rings_all_phones_together() -> None:
    (anna,) = read(SMALL).agents
    assert (anna.ring, anna.endpoint_seconds) == ("together", ENDPOINT_SECONDS)
    assert "ring =" not in write_business(read(SMALL))
    assert "endpoint_seconds" not in write_business(read(FULL.replace("= 8", f"= {ENDPOINT_SECONDS}")))


def test_what_is_written_is_what_people_write() -> None:
    written = write_business(read(FULL))
    for line in ('ring = "in_order"', "endpoint_seconds = 8", '{ number = "+491713920012" }'):
        assert line in written
    assert read(written) == read(FULL)
    assert write_business(read(written)) == written


def test_the_database_keeps_it(engine: Engine) -> None:
    business = read(FULL)
    with engine.begin() as connection:
        replace_business(connection, business)
    with engine.connect() as connection:
        assert load_business(connection, business.tariffs) == business


def test_the_explanation_names_every_phone() -> None:
    explanation = explain(read(FULL).directory(), NumberReader(), "+49302000100", datetime(2026, 1, 1, tzinfo=UTC))
    (step,) = explanation.steps
    assert step.agents[0].endpoints == ("registers as anna", "sip:anna@192.0.2.20", "+491713920012 over the trunk")


def test_the_example_has_an_agent_whose_phones_ring_in_order() -> None:
    agents = read(EXAMPLE.read_text(encoding="utf-8")).agents
    assert [agent.id for agent in agents if agent.ring == "in_order" and agent.endpoints[-1].number] == ["ben"]


def test_the_example_of_the_operators_guide_is_an_agent() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "operators-guide.md").read_text(encoding="utf-8")
    block = guide.split("## Agents' phones")[1].split("```toml\n")[1].split("```")[0]
    (agent,) = read(block).agents
    assert (agent.ring, len(agent.endpoints)) == ("in_order", 2)


# -- round trip ------------------------------------------------------------------------------------------

hashes = st.text("0123456789abcdef", min_size=32, max_size=32)
phones = st.one_of(
    st.builds(lambda ha1: Endpoint("anna", "anna", "", "service.example", ha1), hashes),
    st.integers(1, 254).map(lambda host: Endpoint("anna", contact=f"sip:anna@192.0.2.{host}")),
    st.integers(10**9, 10**10 - 1).map(lambda rest: Endpoint("anna", number=f"+49{rest}")),
)


@given(
    endpoints=st.lists(phones, max_size=4, unique_by=lambda phone: phone.username or phone.contact or phone.number),
    seconds=st.integers(1, 600) | st.none(),
)
def test_written_and_read_again_it_is_the_same(endpoints: list[Endpoint], seconds: int | None) -> None:
    agent = Agent("anna", "Anna", tuple(endpoints))
    if seconds is not None:
        agent = Agent("anna", "Anna", tuple(endpoints), ring="in_order", endpoint_seconds=seconds)
    business = Business(agents=(agent,))
    assert read(write_business(business)) == business


# -- faults ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "line", "message"),
    [
        ('ring = "in_order"', 'ring = "one by one"', 8, "agents[1].ring: Input should be 'together' or 'in_order'"),
        ('ring = "in_order"\n', "", 5, 'endpoint_seconds is for phones that ring one after the other: write ring = '),
        ("endpoint_seconds = 8", "endpoint_seconds = 0", 9, "endpoint_seconds: Input should be greater than or equal"),
        ("endpoint_seconds = 8", "endpoint_seconds = 601", 9, "endpoint_seconds: Input should be less than or equal"),
        ('"+49 171 392 0012"', '"0171 3920012"', 13, "is no number to dial: write it international"),
        ('"+49 171 392 0012"', '"110"', 13, "is no number to dial: write it international"),
        ('"+49 171 392 0012"', "491713920012", 13, "must be text in quotation marks"),
        ('{ number = "+49', '{ username = "a", number = "+49', 13, "a username, a contact or a number: one of them"),
        ("0012\" }", '0012", password = "p" }', 13, "password: belongs to a username; nothing else is asked who it is"),
        ('"+49 171 392 0012"', '"+49302000100"', 13, "is a target number of a contract, in line 24: an agent's phone"),
        ('"+49 171 392 0012"', '"+49304505010"', 13, "is the number of a line, in line 29: an agent's phone"),
    ],
)  # fmt: skip
def test_a_fault_says_what_is_wrong_and_where(before: str, after: str, line: int, message: str) -> None:
    assert FULL.count(before) == 1
    found = [fault for fault in faults(FULL.replace(before, after)) if message in fault]
    assert found, faults(FULL.replace(before, after))
    assert found[0].startswith(f"contracts.toml:{line}: ")
