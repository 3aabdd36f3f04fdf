"""Reading what carriers write."""

import contextlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.carrier import (
    CarrierCall,
    CarrierError,
    CarrierFile,
    Layout,
    LeftOut,
    Row,
    Unreadable,
    caller_digits,
    read_price,
    same_caller,
)
from accounting.carrier_time import Clock, read_duration
from accounting.month import Month

SECOND = 1_000_000_000
JULY = Month(2026, 7).bounds_ns()
BERLIN = ZoneInfo("Europe/Berlin")


def number(text: str) -> str | None:
    """Enough of a reader of numbers for these tests."""
    digits = text.replace(" ", "").replace("/", "")
    if digits.startswith("+"):
        return digits
    if digits.startswith("00"):
        return "+" + digits[2:]
    return "+49" + digits[1:] if digits.startswith("0") else None


def rows(text: str, layout: Layout | None = None) -> list[Row]:
    return list(CarrierFile(text.splitlines(keepends=True), layout or Layout(), number, JULY).rows())


def calls(found: Iterable[Row]) -> list[CarrierCall]:
    return [row for row in found if isinstance(row, CarrierCall)]


def at(text: str) -> int:
    """Local time of Berlin as wall clock nanoseconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()) * SECOND


def test_a_german_file_is_understood_as_it_is() -> None:
    found = rows(
        "Musterfon GmbH;;;;;\n"
        "Einzelverbindungsnachweis Juli 2026;;;;;\n"
        "Datum;Uhrzeit;Anrufer;Zielrufnummer;Dauer (Sek.);Preis EUR\n"
        "01.07.2026;12:00:05;040 123456;030 55500;65;0,0129\n"
        ";;;;;\n"
        "02.07.2026;23:59:59;anonym;0049 30 55500;00:01:05;1.234,50\n"
    )
    assert found == [
        CarrierCall(4, "+493055500", "40123456", at("2026-07-01 12:00:05"), 65 * SECOND, Decimal("0.0129")),
        CarrierCall(6, "+493055500", "", at("2026-07-02 23:59:59"), 65 * SECOND, Decimal("1234.50")),
    ]


def test_an_english_file_is_understood_as_it_is() -> None:
    found = calls(rows("calldate,src,dst,billsec\n2026-07-01T10:00:05Z,+4940123456,+493055500,65.25\n"))
    assert found == [CarrierCall(2, "+493055500", "4940123456", at("2026-07-01 12:00:05"), 65_250_000_000)]


def test_columns_may_be_numbers_with_and_without_a_header() -> None:
    layout = Layout(columns={"started": "2+3", "duration": "4", "called": "1"})
    body = "+493055500\t01.07.2026\t12:00\t65\n"
    for head in ("", "an\tam\tum\tDauer\n"):
        (call,) = calls(rows(head + body, layout))
        assert (call.called, call.started_ns, call.price) == ("+493055500", at("2026-07-01 12:00"), None)


def test_columns_may_be_named_and_one_that_is_there_may_be_left_out() -> None:
    text = "A;B;C;Anrufer\n1.7.2026 12:00:00;65;03055500;040123456\n"
    layout = Layout(columns={"started": "a", "duration": "B", "called": "C", "caller": ""})
    (call,) = calls(rows(text, layout))
    assert call.caller == ""


def test_what_is_missing_is_said() -> None:
    with pytest.raises(CarrierError, match="no column found for called: name it, --columns called="):
        rows("Start;Dauer\n01.07.2026 12:00;65\n")
    with pytest.raises(CarrierError, match="no column 'Nummer'"):
        rows("Start;Dauer\n01.07.2026 12:00;65\n", Layout(columns={"called": "Nummer"}))
    with pytest.raises(CarrierError, match="empty"):
        rows("\n\n")
    with pytest.raises(CarrierError, match="no table"):
        rows("hello\nthere\n")
    with pytest.raises(CarrierError, match="no rows"):
        rows("Start;Dauer;Ziel\n")
    with pytest.raises(CarrierError, match="is no date and time that we know"):
        rows("Start;Dauer;Ziel\nthe day before;65;03055500\n")


def test_a_row_that_cannot_be_read_is_told_with_its_line_and_reason() -> None:
    found = rows(
        "Start;Dauer;Ziel;Preis\n"
        "01.07.2026 12:00:00;65;03055500;0,10\n"
        "31.06.2026 12:00:00;65;03055500;0,10\n"
        "01.07.2026 12:00:00;long;03055500;0,10\n"
        "01.07.2026 12:00:00;65;somebody;0,10\n"
        "01.07.2026 12:00:00;65;03055500;cheap\n"
        "Summe;1\n"
    )
    unreadable = {row.line: row.reason for row in found if isinstance(row, Unreadable)}
    assert len(found) == 6
    assert list(unreadable) == [3, 4, 5, 6, 7]
    assert "31.06.2026" in unreadable[3]
    assert "duration 'long'" in unreadable[4]
    assert "called number" in unreadable[5]
    assert "price 'cheap'" in unreadable[6]
    assert "2 columns" in unreadable[7]


def test_only_some_rows_are_wanted() -> None:
    text = "Richtung;Start;Dauer;Ziel\nein;01.07.2026 12:00;65;03055500\naus;01.07.2026 12:01;65;0301\n"
    assert [type(row) for row in rows(text, Layout(only={"Richtung": "ein"}))] == [CarrierCall, LeftOut]


def test_the_month_decides_between_days_and_months() -> None:
    for text in ("07/05/2026 12:00:00", "05/07/2026 12:00:00"):
        (call,) = calls(rows(f"Start,Dauer,Ziel\n{text},65,03055500\n"))
        assert call.started_ns == at("2026-07-05 12:00")
    (call,) = calls(rows("Start,Dauer,Ziel\n7/5/26 3:30:00 PM,65,03055500\n"))
    assert call.started_ns == at("2026-07-05 15:30")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("65", 65.0), ("65.25", 65.25), ("65,25", 65.25), ("65 s", 65.0), ("65 Sek.", 65.0), ("1:05", 65.0),
        ("00:01:05", 65.0), ("1:00:05", 3605.0), ("75:05", 4505.0), ("1 min 5 s", 65.0), ("2 h", 7200.0), ("0", 0.0),
        ("0:01:05,5", 65.5),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert read_duration(text) == round(seconds * SECOND)


@pytest.mark.parametrize("text", ["", "-5", "1:65", "1:75:00", "5 apples", "１２", "12:", "99999999999"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        read_duration(text)


def test_bare_numbers_have_a_unit() -> None:
    for unit, seconds in (("min", 90), ("Sek.", 1.5), ("ms", 0.0015), ("mm:ss", 1.5)):
        (call,) = calls(rows(f"Start;Dauer ({unit});Ziel\n01.07.2026 12:00;1,5;03055500\n"))
        assert call.duration_ns == seconds * SECOND
    assert read_duration("1,5", "minutes") == 90 * SECOND
    assert read_duration("1500", "milliseconds") == 1_500_000_000
    assert read_duration("0:01:30", "minutes") == 90 * SECOND


def test_amounts() -> None:
    assert read_price("1.234,50 €", ",") == Decimal("1234.50")
    assert read_price("1,234.50", ".") == Decimal("1234.50")
    assert read_price("-0,05", ",") == Decimal("-0.05")
    for wrong in ("0.05", "1.23.456,00", "abc", "1,2,3", "NaN"):
        assert read_price(wrong, ",") is None


def test_callers_are_the_same_however_they_are_written() -> None:
    for text in ("+49 40 123456", "0049 40 123456", "040/123456", "4940123456"):
        assert same_caller(caller_digits(text), "4940123456")
    assert not same_caller(caller_digits("040 123457"), "4940123456")
    for nobody in ("", "anonymous", "+494012xxxx", "110"):
        assert caller_digits(nobody) == ""
        assert same_caller(caller_digits(nobody), "4940123456")


# -- clocks ------------------------------------------------------------------------------------------------

_FORMATS = ("%Y-%m-%d %H:%M:%S", "%d.%m.%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%Y%m%d%H%M%S", "%d.%m.%y, %H:%M:%S")
_IN_JULY = st.datetimes(datetime(2026, 7, 1), datetime(2026, 7, 31, 23, 59, 59)).map(
    lambda moment: moment.replace(microsecond=0)
)


@given(st.lists(_IN_JULY, min_size=1, max_size=20), st.sampled_from(_FORMATS))
def test_every_way_to_write_a_moment_is_read_back(moments: list[datetime], written: str) -> None:
    samples = [f"{moment:{written}}" for moment in moments]
    clock = Clock(samples, JULY, BERLIN)
    if f"{written}".startswith("%m") and all(moment.day == moment.month == 7 for moment in moments):
        return
    for moment, text in zip(moments, samples, strict=True):
        # day and month look alike in a date such as 07/07
        assert clock.read(text) == int(moment.replace(tzinfo=BERLIN).timestamp()) * SECOND


def test_the_hour_that_comes_twice_is_read_by_the_order_of_rows() -> None:
    autumn = datetime(2026, 10, 24, 23, 30, tzinfo=UTC)
    instants = [autumn + timedelta(minutes=7 * step) for step in range(30)]
    texts = [f"{instant.astimezone(BERLIN):%d.%m.%Y %H:%M:%S}" for instant in instants]
    clock = Clock(texts, Month(2026, 10).bounds_ns(), BERLIN)
    assert [clock.read(text) for text in texts] == [int(instant.timestamp()) * SECOND for instant in instants]


def test_seconds_since_1970_and_a_format_of_ones_own() -> None:
    assert Clock(["1782900000"], JULY, BERLIN).read("1782900000.5") == 1_782_900_000_500_000_000
    assert Clock(["1782900000123"], JULY, BERLIN).read("1782900000123") == 1_782_900_000_123_000_000
    clock = Clock(["Mi 1.7. 2026, 12h05"], JULY, BERLIN, "Mi %d.%m. %Y, %Hh%M")
    assert clock.read("Mi 1.7. 2026, 12h05") == at("2026-07-01 12:05")


@given(st.text(max_size=30))
def test_no_text_makes_a_clock_fail_otherwise_than_by_saying_so(text: str) -> None:
    clock = Clock(["01.07.2026 12:00"], JULY, BERLIN)
    for read in (clock.read, read_duration):
        with contextlib.suppress(ValueError):
            assert read(text) >= 0
