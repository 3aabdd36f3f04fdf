"""Places in TOML text."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.toml_lines import TomlLines, locate

TEXT = '''\
# a comment with [brackets] and = signs
title = "exchange"   # 2

[[contracts]]
id = "praxis"
greeting = """
Praxis \\"Dr. Weiss\\",
guten Tag"""
target_numbers = [
    "+493023125001",  # 10
    { number = "+493023125002", valid_to = 2030-12-31 },
]

[contracts.presentation]
headers."X-Praxis" = 'a # b'

[[contracts.plan]]
agent = "anna"

[[contracts.plan]]
group = "all"

[[contracts]]
"i\\u0064" = "handwerker"
valid_from = 2024-01-01 08:00:00+01:00
plan = [{ agent = "ben", ring_seconds = 10 }, { group = "all" }]
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 2),
        (("contracts",), 4),
        (("contracts", 0), 4),
        (("contracts", 0, "id"), 5),
        (("contracts", 0, "greeting"), 6),
        (("contracts", 0, "target_numbers"), 9),
        (("contracts", 0, "target_numbers", 0), 10),
        (("contracts", 0, "target_numbers", 1, "valid_to"), 11),
        (("contracts", 0, "presentation", "headers", "X-Praxis"), 15),
        (("contracts", 0, "plan", 0, "agent"), 18),
        (("contracts", 0, "plan", 1), 20),
        (("contracts", 1), 23),
        (("contracts", 1, "id"), 24),
        (("contracts", 1, "valid_from"), 25),
        (("contracts", 1, "plan", 1, "group"), 26),
    ],
)
def test_each_place_has_its_line(path: tuple[str | int, ...], line: int) -> None:
    tomllib.loads(TEXT)
    assert locate(TEXT, path) == line


def test_a_missing_key_is_reported_at_its_table() -> None:
    assert locate(TEXT, ("contracts", 1, "tariff")) == 23
    assert locate(TEXT, ("contracts", 0, "plan", 1, "ring_seconds")) == 20


def test_what_is_nowhere_has_line_zero() -> None:
    assert locate(TEXT, ("agents", 0)) == 0
    assert locate(TEXT, ()) == 0


def test_windows_line_ends_count_once() -> None:
    assert locate("a = 1\r\n\r\nb = 2\r\n", ("b",)) == 3


@given(st.text(alphabet=st.sampled_from("ab=[]{}\"'\\.,# \n\t1"), max_size=60))
def test_no_text_makes_it_fail(text: str) -> None:
    assert TomlLines(text).locate(("a", 0)) >= 0


def test_deep_nesting_does_not_stop_it() -> None:
    assert TomlLines("a = " + "[" * 100_000).locate(("a",)) == 1
