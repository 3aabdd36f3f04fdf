"""DATEV's Buchungsstapel: what its description asks for, field by field."""

from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.datev import Accounts, Booking, DatevError, document_number, to_datev, windows_text
from accounting.month import Month

JULY = Month(2026, 7)
CREATED = datetime(2026, 8, 3, 9, 5, 7, 123_000)
ACCOUNTS = Accounts(
    consultant=29098, client=55003, debtors={"c-1": "10001"}, revenue={"19": "8400", "7": "8300"}, tax_keys={"7": "2"}
)


def booking(gross: str = "119.00", **other: object) -> Booking:
    values: dict[str, object] = {
        "contract": "c-1", "customer": "Müller", "number": "2026-07-c-1-1", "rate": "19", **other,
    }  # fmt: skip
    return Booking(gross=Decimal(gross), **values)  # type: ignore[arg-type]


def lines(*bookings: Booking, accounts: Accounts = ACCOUNTS, month: Month = JULY) -> list[str]:
    return to_datev(bookings, accounts, month, CREATED).decode("cp1252").split("\r\n")


def test_the_header_is_as_datev_describes_it() -> None:
    assert lines()[0] == (
        '"EXTF";700;21;"Buchungsstapel";13;20260803090507123;;"RE";"b2bua";"";29098;55003;20260101;4;20260701;20260731;'
        '"Telefonservice 07/2026";"";1;0;0;"EUR";;"";;;"";;;"";""'
    )


@pytest.mark.parametrize(
    ("begins", "month", "expected"),
    [("01-01", "2026-12", "20260101"), ("07-01", "2026-06", "20250701"), ("07-01", "2026-07", "20260701")],
)
def test_the_financial_year_is_the_one_of_the_month(begins: str, month: str, expected: str) -> None:
    header = lines(accounts=Accounts(year_begins=begins), month=Month.parse(month))[0]
    assert header.split(";")[12] == expected


def test_a_booking_is_a_line() -> None:
    *_, line, last = lines(booking("1234.50"))
    assert last == ""
    assert line.rstrip(";") == '1234,50;"S";"EUR";;;;10001;8400;;3107;"2026-07-c-1-1";;;"07/2026 Müller"'
    assert line.count(";") == 124


def test_tax_keys_other_debtors_and_what_is_taken_back() -> None:
    *_, line, _ = lines(booking(contract="c-2", rate="7", cancels=True), month=Month(2024, 2))
    assert line.rstrip(";") == ('119,00;"H";"EUR";;;;10000;8300;"2";2902;"2026-07-c-1-1";;;"02/2024 Storno Müller"')


def test_nothing_is_not_booked() -> None:
    assert len(lines(booking("0.00"), booking("0.01"))) == 4


def test_a_rate_without_account_is_an_error() -> None:
    with pytest.raises(DatevError, match="2026-07-c-1-1 has VAT of 16 %"):
        lines(booking(rate="16"))


@given(st.text(max_size=80), st.text(min_size=1, max_size=40))
def test_any_name_fits(customer: str, number: str) -> None:
    *_, line, _ = lines(booking(customer=customer, number=number))
    assert line.startswith('119,00;"S";')
    assert line.endswith('"' + ";" * 111)


def test_letters_lose_their_marks() -> None:
    assert windows_text("Łukasz Şahin\nŐrsi “x” – 漢 €\x00") == "Lukasz Sahin Orsi “x” – ? €"


def test_two_numbers_stay_two() -> None:
    assert document_number("2026-07-c-1-1") == "2026-07-c-1-1"
    found = {document_number(f"2026-07-{name}-1") for name in ("a_b", "a.b", "a-b", "x" * 40, "x" * 41)}
    assert len(found) == 5
    assert all(len(number) <= 36 for number in found)
