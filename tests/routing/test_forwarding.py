"""Forwarding codes: both dialects written, whatever is dialled read or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.forwarding import (
    SERVICES,
    Activate,
    Code,
    Deactivate,
    DialledForms,
    Interrogate,
    dialled_forms,
    parse_code,
    write_code,
)

kinds = st.sampled_from(sorted(SERVICES))
numbers = st.from_regex(r"\+?[0-9]{2,15}", fullmatch=True).filter(str.isascii)
networks = st.sampled_from(("fixed", "mobile"))
codes = st.one_of(
    st.builds(Activate, kinds, numbers),
    st.builds(Activate, st.just("no_answer"), numbers, st.integers(5, 60)),
    st.builds(Deactivate, kinds),
    st.builds(Interrogate, kinds),
)


@pytest.mark.parametrize(
    ("code", "fixed", "mobile"),
    [
        (Activate("unconditional", "0302000100"), "*21*0302000100#", "**21*0302000100#"),
        (Activate("busy", "00493020"), "*67*00493020#", "**67*00493020#"),
        (Activate("no_answer", "0302000100"), "*61*0302000100#", "**61*0302000100#"),
        (Activate("no_answer", "0302000100", 20), "*61*0302000100*20#", "**61*0302000100**20#"),
        (Deactivate("unconditional"), "#21#", "##21#"),
        (Interrogate("no_answer"), "*#61#", "*#61#"),
    ],
)
def test_codes_as_carriers_print_them(code: Code, fixed: str, mobile: str) -> None:
    assert (write_code(code), write_code(code, "mobile")) == (fixed, mobile)
    assert parse_code(fixed) == parse_code(mobile) == code


def test_a_mobile_code_may_name_its_service() -> None:
    assert parse_code("**61*+49302000100*11*25#") == Activate("no_answer", "+49302000100", 25)


@given(codes, networks)
def test_what_is_written_is_read_as_it_was(code: Code, network: str) -> None:
    assert parse_code(write_code(code, "mobile" if network == "mobile" else "fixed")) == code


@given(st.text(max_size=40) | st.text(alphabet="*#+0123456789", max_size=40))
def test_whatever_is_dialled_is_a_code_or_none(text: str) -> None:
    code = parse_code(text)
    if isinstance(code, Activate):
        assert code.number in text
        assert code.number.isascii()
        assert code.seconds == 0 or 5 <= code.seconds <= 60


@given(codes, networks, st.text(alphabet="*#0123456789x", min_size=1, max_size=3))
def test_a_code_with_anything_before_it_is_another_or_none(code: Code, network: str, before: str) -> None:
    written = write_code(code, "mobile" if network == "mobile" else "fixed")
    found = parse_code(before + written)
    # "*" before a code of a fixed line makes one of a mobile phone, "#" before #21# too
    assert found is None or before in ("*", "#")


@pytest.mark.parametrize(
    "dialled",
    ["", "21", "*21*", "*21#", "*21*0#", "*21*030x#", "*22*0302000100#", "#21", "*#21", "*21*0302000100*20#",
     "*61*0302000100*4#", "*61*0302000100*61#", "*61*03020001001234567890#", "*67*٠٣٠٢٠#", "*#62#"],
)  # fmt: skip
def test_what_is_no_code_is_refused(dialled: str) -> None:
    assert parse_code(dialled) is None


def test_a_number_as_it_is_dialled() -> None:
    assert dialled_forms("+49302000100") == DialledForms("0302000100", "0049302000100", "+49302000100")
    assert dialled_forms("1001") is None
