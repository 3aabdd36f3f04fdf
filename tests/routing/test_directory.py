"""Whose number it is, at the first and the last moment and between."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from routing.contract import Agent, Contract, ContractNumber, Endpoint, Group, Validity, agents_of
from routing.directory import Directory, Expired, Found, Unknown
from routing.numbers import NumberReader, TargetNumber

NUMBER = TargetNumber("+49302000100")
MOMENT = timedelta(microseconds=1)


def day(year: int, month: int = 1, day_of_month: int = 1) -> datetime:
    return datetime(year, month, day_of_month, tzinfo=UTC)


def contract(name: str, number: Validity, whole: Validity | None = None) -> Contract:
    return Contract(name, name, target_numbers=(ContractNumber(NUMBER, number),), validity=whole or Validity())


def owner(directory: Directory, at: datetime) -> str | None:
    found = directory.lookup(NUMBER, at)
    return found.contract.id if isinstance(found, Found) else None


def test_the_first_moment_belongs_to_the_contract_and_the_last_no_longer() -> None:
    directory = Directory([contract("a", Validity(day(2025), day(2026)))])
    assert owner(directory, day(2025) - MOMENT) is None
    assert owner(directory, day(2025)) == "a"
    assert owner(directory, day(2026) - MOMENT) == "a"
    assert owner(directory, day(2026)) is None


def test_a_number_passes_from_one_contract_to_the_next_without_a_gap() -> None:
    directory = Directory([contract("a", Validity(until=day(2026))), contract("b", Validity(since=day(2026)))])
    assert owner(directory, day(2026) - MOMENT) == "a"
    assert owner(directory, day(2026)) == "b"


def test_the_number_is_valid_only_while_its_contract_is() -> None:
    directory = Directory([contract("a", Validity(day(2024), day(2027)), Validity(day(2025), day(2026)))])
    assert owner(directory, day(2024, 6)) is None
    assert owner(directory, day(2025, 6)) == "a"
    assert owner(directory, day(2026, 6)) is None


def test_an_instant_is_the_same_in_every_zone() -> None:
    directory = Directory([contract("a", Validity(since=day(2025)))])
    berlin = timezone(timedelta(hours=1))
    assert owner(directory, datetime(2025, 1, 1, 0, 59, tzinfo=berlin)) is None
    assert owner(directory, datetime(2025, 1, 1, 1, 0, tzinfo=berlin)) == "a"


def test_an_expired_number_tells_whose_it_was_last() -> None:
    directory = Directory(
        [
            contract("first", Validity(day(2020), day(2021))),
            contract("last", Validity(day(2022), day(2023))),
            contract("future", Validity(since=day(2030))),
        ]
    )
    found = directory.lookup(NUMBER, day(2025))
    assert isinstance(found, Expired)
    assert found.contract.id == "last"
    assert found.validity == Validity(day(2022), day(2023))


def test_a_number_that_was_nobodys_yet_tells_whose_it_will_be_first() -> None:
    directory = Directory(
        [contract("later", Validity(since=day(2031))), contract("sooner", Validity(day(2030), day(2031)))]
    )
    found = directory.lookup(NUMBER, day(2025))
    assert isinstance(found, Expired)
    assert found.contract.id == "sooner"


@pytest.mark.parametrize("dialled", ["+4930200010", "+493020001000", "+49302000101", "+49302000", "1001"])
def test_no_other_number_ever_matches(dialled: str) -> None:
    directory = Directory([contract("a", Validity())])
    assert isinstance(directory.resolve(NumberReader(), dialled, day(2025)), Unknown)


def test_what_is_no_number_is_unknown_without_one() -> None:
    assert Directory.empty().resolve(NumberReader(), "sip:anna@service.example", day(2025)) == Unknown(None)


def test_a_literal_of_the_directory_is_found() -> None:
    held = Contract("a", "A", target_numbers=(ContractNumber("1001"),))
    found = Directory([held]).resolve(NumberReader(), "sip:1001@service.example", day(2025))
    assert found == Found(TargetNumber("1001"), held)


def test_registering_endpoints_are_found_by_username_and_fixed_ones_are_not() -> None:
    phone = Endpoint("anna", username="anna1")
    directory = Directory(agents=[Agent("anna", "Anna", (phone, Endpoint("anna", contact="sip:a@192.0.2.1")))])
    assert directory.endpoint("anna1") is phone
    assert directory.endpoint("anna") is None
    assert directory.endpoint("") is None


def test_a_target_stands_for_an_agent_or_for_a_groups_members_in_order() -> None:
    groups = {"office": Group("office", "Office", ("ben", "anna"))}
    assert agents_of("agent", "office", groups) == ("office",)
    assert agents_of("group", "office", groups) == ("ben", "anna")
    assert agents_of("group", "gone", groups) == ()


def test_validity_says_itself_in_words() -> None:
    assert str(Validity()) == "always"
    assert str(Validity(since=day(2025))) == "from 2025-01-01 00:00+00:00"
    assert str(Validity(until=day(2025))) == "until 2025-01-01 00:00+00:00"
    assert Validity(day(2025), day(2025)).empty
    assert not Validity(day(2025), day(2025) + MOMENT).empty
