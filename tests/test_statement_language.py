"""How figures, dates and texts are written in each language."""

from string import Formatter

import pytest

from b2bua.statements.language import ENGLISH, GERMAN, Language, language_of

NBSP = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("amount", "currency", "german", "english"),
    [
        ("1234.50", "EUR", f"1.234,50{NBSP}€", "€1,234.50"),
        ("0.00", "EUR", f"0,00{NBSP}€", "€0.00"),
        ("1234567.1250", "EUR", f"1.234.567,1250{NBSP}€", "€1,234,567.1250"),
        ("999.90", "CHF", f"999,90{NBSP}CHF", f"999.90{NBSP}CHF"),
        ("5.00", "GBP", f"5,00{NBSP}£", "£5.00"),
        ("0.00", "", "0,00", "0.00"),
    ],
)
def test_money(amount: str, currency: str, german: str, english: str) -> None:
    assert GERMAN.money(amount, currency) == german
    assert ENGLISH.money(amount, currency) == english


def test_dates_and_times() -> None:
    instant = "2026-03-05T08:09:59+01:00"
    assert (GERMAN.day(instant), ENGLISH.day(instant), GERMAN.time(instant)) == (
        "05.03.2026",
        "05 Mar 2026",
        "08:09:59",
    )
    assert (GERMAN.month("2026-03"), ENGLISH.month("2026-03")) == ("März 2026", "March 2026")


@pytest.mark.parametrize(
    ("exact", "shown"),
    [("60.000000000", "60,0"), ("60.000000001", "60,1"), ("60.100000000", "60,1"), ("0.000000000", "0,0"),
     ("3599.999999999", "3.600,0")],
)  # fmt: skip
def test_a_moment_more_is_seen(exact: str, shown: str) -> None:
    assert GERMAN.seconds(exact) == shown


def test_minutes_are_counted_on() -> None:
    assert [GERMAN.minutes(seconds) for seconds in (0, 61, 120, 60 * 1234 + 5)] == ["0:00", "1:01", "2:00", "1.234:05"]


def test_one_is_not_many() -> None:
    assert GERMAN.count("n_calls", 1) == "1 Gespräch"
    assert GERMAN.count("n_calls", 2000) == "2.000 Gespräche"
    assert ENGLISH.count("unanswered", 1) == "One call reached no agent and costs nothing."


@pytest.mark.parametrize("language", [GERMAN, ENGLISH])
def test_both_languages_say_the_same_things(language: Language) -> None:
    assert set(language.texts) == set(GERMAN.texts)
    assert set(language.kinds) == set(GERMAN.kinds)
    for name, text in language.texts.items():
        wanted = {field for _, field, _, _ in Formatter().parse(GERMAN.texts[name]) if field}
        assert {field for _, field, _, _ in Formatter().parse(text) if field} == wanted


def test_kinds_of_forwarding() -> None:
    assert (GERMAN.kind("no_answer"), ENGLISH.kind("busy"), GERMAN.kind("some_new_kind")) == (
        "keine Antwort", "busy", "some new kind",
    )  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), [("de", GERMAN), ("de-AT", GERMAN), ("en-GB", ENGLISH), ("fr", GERMAN)])
def test_a_contract_has_a_language(code: str, expected: Language) -> None:
    assert language_of(code) is expected
