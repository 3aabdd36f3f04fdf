"""The business data in a database: whole, in order, and under a revision."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event, select, text
from sqlalchemy.exc import IntegrityError

from routing.business import Business, read_business, write_business
from routing.contract import Agent, Contract, ContractNumber, Endpoint, Presentation, Validity
from routing.directory import Found
from routing.numbers import TargetNumber
from routing.store import (
    business_revision,
    contracts,
    load_business,
    load_directory,
    metadata,
    replace_business,
    revision,
)

EXAMPLE = (Path(__file__).parents[2] / "examples" / "contracts.toml").read_text(encoding="utf-8")
NOON = datetime(2025, 10, 1, 12, tzinfo=UTC)


@pytest.fixture
def business() -> Business:
    return read_business(EXAMPLE, "contracts.toml", "service.example")


def test_what_was_stored_comes_back_equal_and_in_order(engine: Engine, business: Business) -> None:
    turned = replace(
        business,
        contracts=business.contracts[::-1],
        agents=business.agents[::-1],
        groups=tuple(replace(group, members=group.members[::-1]) for group in business.groups),
    )
    for given in (business, read_business(write_business(turned), "export", "")):
        with engine.begin() as connection:
            replace_business(connection, given)
        with engine.connect() as connection:
            loaded = load_business(connection, iter(business.tariffs))
        assert loaded == given
        assert write_business(loaded) == write_business(given)


def test_calls_are_routed_by_what_was_stored(engine: Engine, business: Business) -> None:
    with engine.begin() as connection:
        replace_business(connection, business)
        directory = load_directory(connection)
    found = directory.lookup(TargetNumber("+49302000102"), NOON)
    assert isinstance(found, Found)
    assert found.contract == business.contracts[0]
    assert found.contract.plan[1].agents == ("anna", "ben")
    assert directory.endpoint("ben") == business.agents[1].endpoints[0]


def test_a_database_without_business_data_has_revision_0_and_nobodys_numbers(engine: Engine) -> None:
    with engine.connect() as connection:
        assert revision(connection) == 0
        directory = load_directory(connection)
    assert directory.revision == 0
    assert not directory.contracts


def test_each_replacement_counts_and_takes_the_place_of_everything(engine: Engine, business: Business) -> None:
    for count in (1, 2):
        with engine.begin() as connection:
            replace_business(connection, business)
            assert revision(connection) == count
    with engine.begin() as connection:
        replace_business(connection, Business())
    with engine.connect() as connection:
        assert load_directory(connection).revision == 3
        assert load_business(connection, ()) == Business()
        for table in metadata.sorted_tables:
            assert len(connection.execute(select(table)).all()) == (1 if table is business_revision else 0)


def test_a_replacement_that_fails_changes_nothing(engine: Engine, business: Business) -> None:
    with engine.begin() as connection:
        replace_business(connection, business)
    doubled = replace(business, contracts=business.contracts * 2)
    with pytest.raises(IntegrityError), engine.begin() as connection:
        replace_business(connection, doubled)
    with engine.connect() as connection:
        assert revision(connection) == 1
        assert load_business(connection, business.tariffs) == business


def test_two_phones_cannot_have_one_username_but_any_number_can_have_none(engine: Engine) -> None:
    fixed = tuple(Endpoint("anna", contact=f"sip:anna@192.0.2.{number}") for number in (1, 2))
    named = Endpoint("anna", "anna", realm="r", ha1_md5="0" * 32)
    with engine.begin() as connection:
        replace_business(connection, Business(agents=(Agent("anna", "Anna", (*fixed, named)),)))
        assert load_directory(connection).agents["anna"].endpoints == (*fixed, named)
    with pytest.raises(IntegrityError), engine.begin() as connection:
        replace_business(connection, Business(agents=(Agent("anna", "Anna", (named, named)),)))


def test_what_no_database_takes_becomes_a_question_mark(engine: Engine) -> None:
    odd = Contract(
        "a\0b",
        "Kanz\0lei \udcff",
        greeting="Grüß Gott 😀\n",
        target_numbers=(ContractNumber("+49302000100"),),
        presentation=Presentation("\0", {"X-A": "\0"}),
    )
    with engine.begin() as connection:
        replace_business(connection, Business(contracts=(odd,)))
    with engine.connect() as connection:
        loaded = load_directory(connection).contracts["a?b"]
    assert loaded.customer == "Kanz?lei ?"
    assert loaded.greeting == "Grüß Gott 😀\n"
    assert loaded.target_numbers == odd.target_numbers
    assert loaded.presentation.display_name == "?"


def test_a_moment_stays_that_instant_to_the_microsecond(engine: Engine) -> None:
    moment = datetime.fromisoformat("2025-03-30T02:59:59.999999+02:00")
    held = Contract("a", "A", validity=Validity(moment, None))
    with engine.begin() as connection:
        replace_business(connection, Business(contracts=(held,)))
    with engine.connect() as connection:
        validity = load_directory(connection).contracts["a"].validity
    assert validity.since == moment
    assert validity.since is not None
    assert validity.since.tzinfo is UTC


def test_a_directory_is_never_half_of_one_import_and_half_of_the_next(engine: Engine, business: Business) -> None:
    if str(engine.url) == "sqlite://":
        pytest.skip("one connection only")
    with engine.begin() as connection:
        replace_business(connection, business)
    moved = replace(business.contracts[0], target_numbers=(ContractNumber("+49302000199"),))
    interruptions = [replace(business, contracts=(moved,))]

    def import_meanwhile(
        connection: Connection, cursor: object, statement: str, parameters: object, context: object, many: bool
    ) -> None:
        if interruptions and "FROM contracts" in statement:
            with engine.begin() as other:
                replace_business(other, interruptions.pop())

    with engine.connect() as connection:
        event.listen(connection, "before_cursor_execute", import_meanwhile)
        directory = load_directory(connection)
    assert directory.revision == 2
    assert list(directory.contracts) == ["kanzlei-berger"]
    assert list(directory.numbers) == ["+49302000199"]


def test_the_group_is_resolved_when_the_directory_is_loaded(engine: Engine, business: Business) -> None:
    with engine.begin() as connection:
        replace_business(connection, business)
        connection.execute(text("DELETE FROM group_members WHERE agent_id = 'anna'"))
        assert load_directory(connection).contracts["elektro-sommer"].plan[0].agents == ("ben",)
        assert connection.scalar(select(contracts.c.customer).where(contracts.c.id == "elektro-sommer"))
