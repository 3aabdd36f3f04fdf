"""Pairing, against trying everything."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from accounting.matching import assign

_COSTS = st.integers(0, 12)


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[list[tuple[int, int]]], int]:
    """At most six rows and six columns, any pairs allowed."""
    columns = draw(st.integers(0, 6))
    rows = draw(st.lists(st.dictionaries(st.integers(0, columns - 1), _COSTS) if columns else st.just({}), max_size=6))
    return [sorted(row.items()) for row in rows], columns


def _worth(edges: list[list[tuple[int, int]]], chosen: list[int]) -> tuple[int, int]:
    """Pairs, and less their costs: the more the better. Raises KeyError for a pair that is not allowed."""
    costs = [dict(row)[column] for row, column in zip(edges, chosen, strict=True) if column >= 0]
    return len(costs), -sum(costs)


def _best(edges: list[list[tuple[int, int]]], columns: int) -> tuple[int, int]:
    """Try everything: each row gets any column or none."""
    best = (0, 0)
    for order in set(permutations([*range(columns), *[-1] * len(edges)], len(edges))):
        allowed = [column if column in dict(row) else -1 for row, column in zip(edges, order, strict=True)]
        best = max(best, _worth(edges, allowed))
    return best


@given(problems())
def test_no_assignment_has_more_pairs_or_as_many_cheaper(problem: tuple[list[list[tuple[int, int]]], int]) -> None:
    edges, columns = problem
    if len(edges) * columns > 16:  # keep trying everything bearable
        edges = edges[: 16 // columns]
    chosen = assign(edges, columns)
    taken = [column for column in chosen if column >= 0]
    assert len(taken) == len(set(taken))
    assert _worth(edges, chosen) == _best(edges, columns)


def test_more_pairs_count_more_than_near_ones() -> None:
    # the second row can only have what the first would like best
    assert assign([[(0, 0), (1, 1_000_000)], [(0, 5)]], 2) == [1, 0]


def test_a_row_that_has_nobody_stays_alone() -> None:
    assert assign([[], [(0, 3)]], 1) == [-1, 0]
    assert assign([[(0, 9)], [(0, 3)]], 1) == [-1, 0]
    assert assign([], 0) == []
