"""From what carriers, PBXs and people write to one number, or to none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.numbers import NumberReader, NumberRules, is_literal, target_number

OURS = "+49302000100"


@pytest.mark.parametrize(
    "dialled",
    [
        "+49302000100",
        "0049302000100",
        "0302000100",
        "49302000100",
        "+49-30-2000100",
        "(030)2000100",
        "+49(30)200.01-00",
        "sip:+49302000100@service.example",
        "sips:+49302000100@service.example:5061",
        "SIP:+49302000100@service.example;transport=tcp",
        "sip:+49302000100@service.example;user=phone",
        "sip:+49302000100:secret@service.example",
        "sip:0302000100@192.0.2.1",
        "sip:0049302000100@192.0.2.1;user=phone",
        "sip:%2B49302000100@service.example",
        "sip:%2b4930%32000100@service.example",
        "sip:+49302000100;npdi;rn=+4989@service.example;user=phone",
        "sip:+49%20302000100@service.example",
        "tel:+49302000100",
        "tel:+49-30-2000-100",
        "TEL:+49302000100;isub=1234",
        "tel:2000100;phone-context=+4930",
        "tel:0302000100;phone-context=+49",
        "sip:2000100;phone-context=+4930@service.example;user=phone",
    ],
)
def test_every_way_to_write_it_is_the_same_number(dialled: str) -> None:
    assert NumberReader(NumberRules("DE")).read(dialled) == OURS


@pytest.mark.parametrize(
    "dialled",
    [
        "",
        " ",
        "+",
        "sip:",
        "sip:@service.example",
        "sip:service.example",
        "sip:anna@service.example",
        "tel:",
        "http://+49302000100@service.example",
        "mailto:+49302000100",
        "2000100",  # no area code is configured
        "tel:2000100;phone-context=service.example",  # somebody's private plan
        "sip:%2@service.example",
        "sip:+4930200010%@service.example",
        "sip:+4930200010%zz@service.example",
        "sip:%252B49302000100@service.example",  # decoded once, never twice
        "sip:+49302000100%00@service.example",
        "sip:+49302000100%0d%0aVia:@service.example",
        "sip:+49302000100%3Bnpdi@service.example",  # an escaped ";" belongs to the number
        "sip:+49302000100%40evil.example@service.example",
        "+49302000100\r\n",
        "+49302000100\0",
        "+49 30 2000100",  # no space can stand in a Request-URI
        "+٤٩٣٠٢٠٠٠١٠٠",  # Arabic digits
        "sip:%D9%A0302000100@service.example",
        "+4930200010" + "0" * 30,
        "sip:+49302000100" + ";x=y" * 100 + "@service.example",
        "+49302000100,+49302000101",
        "+0302000100",
        "++49302000100",
        "112",
    ],
)
def test_whatever_is_no_number_is_none(dialled: str) -> None:
    assert NumberReader(NumberRules("DE")).read(dialled) is None


def test_the_area_code_completes_local_numbers() -> None:
    reader = NumberReader(NumberRules("DE", area_code="30"))
    assert reader.read("2000100") == OURS
    assert reader.read("0892000100") == "+49892000100"


def test_an_international_number_without_plus_beats_no_area_code_but_not_a_configured_one() -> None:
    assert NumberReader(NumberRules("DE")).read("49302000100") == OURS
    assert NumberReader(NumberRules("DE", area_code="40")).read("4930200") == "+49404930200"


def test_the_longest_fitting_prefix_is_replaced() -> None:
    rules = NumberRules("DE", prefixes=(("9", ""), ("990", "+49"), ("49", "+49")))
    reader = NumberReader(rules)
    assert reader.read("90302000100") == OURS
    assert reader.read("990302000100") == OURS
    assert reader.read("49302000100") == OURS


@pytest.mark.parametrize(
    ("region", "dialled", "number"),
    [
        ("AT", "01 5880".replace(" ", ""), "+4315880"),
        ("CH", "0442000100", "+41442000100"),
        ("US", "2125550100", "+12125550100"),
        ("US", "0114930200010", "+4930200010"),
        ("IT", "0612345678", "+390612345678"),  # Italy keeps the zero
        ("FR", "0142000100", "+33142000100"),
    ],
)
def test_each_country_dials_in_its_own_way(region: str, dialled: str, number: str) -> None:
    assert NumberReader(NumberRules(region)).read(dialled) == number


def test_an_unknown_region_reads_international_numbers_only() -> None:
    reader = NumberReader(NumberRules("XX"))
    assert reader.read("+49302000100") == OURS
    assert reader.read("0302000100") is None


def test_a_literal_matches_only_if_the_directory_has_it_and_exactly() -> None:
    reader = NumberReader()
    assert reader.read("sip:1001@service.example", {"1001"}) == "1001"
    assert reader.read("sip:1001@service.example") is None
    assert reader.read("sip:10010@service.example", {"1001"}) is None
    assert reader.read("sip:Office@service.example", {"office"}) is None
    assert reader.read("sip:off%69ce@service.example", {"office"}) == "office"


def test_a_remembered_number_stays_right_when_literals_change() -> None:
    reader = NumberReader(NumberRules("DE", area_code="30"))
    assert reader.read("2000100") == OURS
    assert reader.read("2000100", {"2000100"}) == "2000100"
    assert reader.read("2000100") == OURS


def test_a_flood_of_numbers_does_not_fill_the_memory() -> None:
    reader = NumberReader(remembered=10)
    for number in range(1000):
        reader.read(f"+49302{number:06d}")
        reader.read(OURS)
    assert len(reader._recent) <= 10
    assert len(reader._older) <= 10
    assert reader.read(OURS) == OURS


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("+49302000100", OURS),
        ("+49 (30) 2000-100", OURS),
        ("1001", "1001"),
        ("office", "office"),
        ("0302000100", None),
        ("0049302000100", None),
        ("+49", None),
        ("", None),
        ("of fice", None),
        ("+49302000100\n", None),
        ("1001\n", None),
        ("+49302000100;npdi", None),
    ],
)
def test_the_back_office_writes_international_numbers_or_literals(written: str, number: str | None) -> None:
    assert target_number(written) == number


def test_literals_are_what_is_not_international() -> None:
    assert is_literal("1001")
    assert not is_literal(OURS)


@given(st.text(max_size=80) | st.text(alphabet="sip:tel+0123456789%@;-()=phone\r\n\0 ", max_size=80))
def test_no_text_makes_it_fail_or_gives_anything_but_plus_and_digits(dialled: str) -> None:
    reader = NumberReader(NumberRules("DE", area_code="30"))
    number = reader.read(dialled)
    assert number is None or (number[0] == "+" and number[1:].isascii() and number[1:].isdecimal())
    assert reader.read(dialled) == number
