import pytest

from routing.codes import AgentCode, dialled_code, parse_agent_code, parse_any_code
from routing.forwarding import Activate, Deactivate, DeactivateAll, Interrogate, LineCode, Reactivate


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("sip:*21*0302000100%23@service.example", "*21*0302000100#"),
        ("sip:*21*0302000100#@service.example", "*21*0302000100#"),
        ("sip:%2A21%2A%2B49302000100%23@service.example", "*21*+49302000100#"),
        ("sip:%23%23002%23@service.example;user=phone", "##002#"),
        ("sips:*%2321%23;phone-context=x@service.example:5061", "*#21#"),
        ("tel:*21*110%23;phone-context=service.example", "*21*110#"),
        ("sip:+49302000100@service.example", ""),
        ("sip:service.example", ""),
        ("isbn:*21%23@x", ""),
        ("", ""),
        ("sip:*" + "9" * 1000 + "@x", ""),
    ],
)
def test_a_code_is_found_in_what_phones_send(uri: str, code: str) -> None:
    assert dialled_code(uri) == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("*21*0302000100#", Activate("unconditional", "0302000100")),
        ("*67*+49302000100#", Activate("busy", "+49302000100")),
        ("*61*0302000100*15#", Activate("no_answer", "0302000100", 15)),
        ("**61*0302000100**15#", Activate("no_answer", "0302000100", 15)),
        ("*21#", Reactivate("unconditional")),
        ("*61#", Reactivate("no_answer")),
        ("#67#", Deactivate("busy")),
        ("##21#", Deactivate("unconditional")),
        ("*#61#", Interrogate("no_answer")),
        ("#002#", DeactivateAll(forget=False)),
        ("##002#", DeactivateAll(forget=True)),
    ],
)
def test_the_codes_of_a_line(text: str, code: LineCode) -> None:
    assert parse_any_code(text) == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("*50", AgentCode("available")),
        ("*50#", AgentCode("available")),
        ("*51", AgentCode("on_break")),
        ("*51*2", AgentCode("on_break", "2")),
        ("*52", AgentCode("logged_out")),
        ("*53", AgentCode("wrap_up_over")),
    ],
)
def test_the_codes_of_an_agent(text: str, code: AgentCode) -> None:
    assert parse_any_code(text) == code


@pytest.mark.parametrize("text", ["", "*", "#", "*5", "*54", "*50*1", "*51*", "*51*12345", "*50*50", "*٥٠"])
def test_what_is_no_code_of_an_agent(text: str) -> None:
    assert parse_agent_code(text) is None


@pytest.mark.parametrize(
    "text",
    ["*21*#", "*21", "*21*123*5#", "*61*123*4#", "*61*123*61#", "#21", "*21**#", "*22*123#", "##003#", "*21*1;2#"],
)
def test_what_is_no_code_at_all(text: str) -> None:
    assert parse_any_code(text) is None
