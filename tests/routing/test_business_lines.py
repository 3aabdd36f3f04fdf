"""[[lines]] of the business file: read, checked, written."""

import pytest

from routing.business import BusinessError, read_business, write_business

CONTRACT = """
[[tariffs]]
name = "minute"
per_minute = "1.00"
increment = "60/60"

[[agents]]
id = "anna"
name = "Anna"
endpoints = [{ username = "anna", password = "x" }]

[[contracts]]
id = "berger"
customer = "Berger"
target_numbers = ["+49302000100"]
plan = [{ agent = "anna" }]
tariff = "minute"
"""
LINE = '[[lines]]\nnumber = "+49 30 45050-100"\nname = "Berger"\nusername = "berger"\npassword = "secret"\n'


def faults(text: str) -> list[str]:
    with pytest.raises(BusinessError) as caught:
        read_business(CONTRACT + text, "file", "realm")
    assert "secret" not in str(caught.value)
    return [f"{fault.line - CONTRACT.count(chr(10))}: {fault.message}" for fault in caught.value.faults]


def test_a_line_is_read_and_written_again() -> None:
    more = 'language = "en"\nno_answer_seconds = 30\nmay_forward_to = ["+49 171*"]\nmay_call = ["+493045*"]\n'
    business = read_business(CONTRACT + LINE + more, "file", "realm")
    (line,) = business.lines
    assert (line.number, line.name, line.language, line.no_answer_seconds) == ("+493045050100", "Berger", "en", 30)
    assert (line.may_forward_to, line.may_call) == (("+49171*",), ("+493045*",))
    assert (line.endpoint.username, line.endpoint.agent_id, len(line.endpoint.ha1_md5)) == ("berger", "", 32)
    written = write_business(business)
    assert read_business(written, "file", "other") == business
    directory = business.directory()
    assert directory.lines == {"+493045050100": line}
    assert directory.line_of("berger") == line
    assert directory.line_of("anna") is None
    assert directory.endpoint("berger") == line.endpoint


def test_what_a_line_may_reach() -> None:
    more = 'may_forward_to = ["+49171*", "+4989123"]\n'
    (line,) = read_business(CONTRACT + LINE + more, "file", "realm").lines
    assert [line.forwards_to(number) for number in ("+491711", "+4989123", "+49891234", "+4917")] == [
        True, True, False, False,
    ]  # fmt: skip
    assert not line.calls("+491711")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (LINE.replace("+49 30 45050-100", "030 45050100"), "2: lines[1].number: '030 45050100' is no number of a line"),
        (LINE.replace("+49 30 45050-100", "1001"), "2: lines[1].number: '1001' is no number of a line"),
        (LINE.replace("+49 30 45050-100", "+49302000100"), "2: lines[1].number: +49302000100 is a target number"),
        (LINE + LINE.replace('"berger"', '"other"'), "7: lines[2].number: +493045050100 is the number of a line"),
        (LINE.replace('"berger"', '"anna"'), "4: lines[1].username: the username 'anna' is taken, in line"),
        (LINE.replace('username = "berger"', ""), "1: lines[1]: a line needs a username"),
        (LINE.replace('password = "secret"', ""), "1: lines[1]: a username needs a password"),
        (LINE + 'contact = "sip:x@192.0.2.1"\n', "6: lines[1].contact: is no key that belongs here"),
        (LINE + "no_answer_seconds = 90\n", "6: lines[1].no_answer_seconds:"),
        (LINE + 'may_call = ["*"]\n', "6: lines[1].may_call[1]: '*' is no number to reach"),
        (LINE + 'may_call = ["0301234"]\n', "6: lines[1].may_call[1]: '0301234' is no number to reach"),
        (LINE.replace('name = "Berger"\n', ""), "1: lines[1].name: is missing"),
    ],
)
def test_a_fault_has_its_line(text: str, fault: str) -> None:
    found = faults(text)
    assert any(item.startswith(fault) for item in found), found
