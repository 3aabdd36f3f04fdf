"""The carrier's calls beside ours."""

import random
from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.carrier import CarrierCall, same_caller
from accounting.journal import Segment
from accounting.month import Month
from accounting.reconcile import (
    BLOCK,
    Difference,
    Match,
    Offset,
    OurCall,
    Sums,
    differences,
    estimate_offset,
    lengthened,
    pair,
)

SECOND = 1_000_000_000
MONTH = Month(2026, 7).bounds_ns()
BEGIN = MONTH[0] + 1000 * SECOND
WINDOW = 30 * SECOND


def theirs(
    at: float, duration: float, line: int = 2, *, called: str = "+4930", caller: str = "", price: str = ""
) -> CarrierCall:
    return CarrierCall(line, called, caller, _ns(at), round(duration * SECOND), Decimal(price) if price else None)


def ours(
    at: float, duration: float, name: str = "a", *, called: str = "+4930", caller: str = "", rang: float = 0.0,
    billable: bool = True,
) -> OurCall:  # fmt: skip
    """``at`` is when it was answered; never, if it took 0 s."""
    length = round(duration * SECOND)
    connected = _ns(at) if duration else 0
    segments = (Segment("anna", "talk", connected, connected + length),) if duration else ()
    return OurCall(
        name, "c-1", "t", called, caller, _ns(at - rang), connected, connected, length, segments, billable
    )  # fmt: skip


def _ns(at: float) -> int:
    return BEGIN + round(at * SECOND)


def names(matches: list[Match]) -> set[tuple[int, str]]:
    return {(match.theirs.line if match.theirs else 0, match.ours.call_id if match.ours else "") for match in matches}


def paired(left: list[CarrierCall], right: list[OurCall], offset: Offset | None = None) -> list[Match]:
    offset = offset or Offset()
    return list(
        pair(
            sorted(left, key=lambda call: (call.called, call.started_ns)),
            sorted(right, key=lambda call: (call.called, call.at(offset.instant))),
            WINDOW,
            offset,
        )
    )


# -- pairing -----------------------------------------------------------------------------------------------


def test_the_same_call_is_found_and_others_stay_alone() -> None:
    found = paired([theirs(0, 60, 1), theirs(100, 60, 2)], [ours(1.3, 60.4, "a"), ours(200, 60, "b")])
    assert names(found) == {(1, "a"), (2, ""), (0, "b")}


def test_another_number_is_another_call() -> None:
    found = paired([theirs(0, 60, 1, called="+4931")], [ours(0, 60, "a")])
    assert names(found) == {(1, ""), (0, "a")}


def test_in_the_same_second_the_duration_decides() -> None:
    found = paired([theirs(0, 300, 1), theirs(0, 30, 2)], [ours(0.2, 30.1, "a"), ours(0.4, 300.2, "b")])
    assert names(found) == {(2, "a"), (1, "b")}


def test_callers_decide_where_both_sides_know_them() -> None:
    found = paired(
        [theirs(0, 60, 1, caller="4940111"), theirs(0, 60, 2, caller="")],
        [ours(0, 60, "a", caller="4940222"), ours(0, 60, "b", caller="4940111")],
    )
    assert names(found) == {(1, "b"), (2, "a")}
    assert names(paired([theirs(0, 60, 1, caller="4940111")], [ours(0, 60, "a", caller="4940222")])) == {
        (1, ""), (0, "a"),
    }  # fmt: skip


def test_a_call_that_is_missing_does_not_shift_its_neighbours() -> None:
    # one a second on the same number, all alike in nothing but the number
    right = [ours(at, 60 + at, f"{at}") for at in range(40)]
    left = [theirs(at + 0.4, 60 + at, at + 1) for at in range(40) if at != 17]
    expected = {(at + 1, f"{at}") for at in range(40) if at != 17} | {(0, "17")}
    assert names(paired(left, right)) == expected


_MOMENTS = st.integers(0, 50)
_LENGTHS = st.sampled_from((0, 5, 60, 61, 300))
_CALLERS = st.sampled_from(("", "", "4940111", "4940222"))
_SIDE = st.lists(st.tuples(_MOMENTS, _LENGTHS, _CALLERS), max_size=4)


@given(_SIDE, _SIDE)
def test_no_pairing_leaves_fewer_alone_or_is_nearer(
    left: list[tuple[int, int, str]], right: list[tuple[int, int, str]]
) -> None:
    carrier = [theirs(at, length, line, caller=caller) for line, (at, length, caller) in enumerate(left, 1)]
    own = [ours(at, length, str(name), caller=caller) for name, (at, length, caller) in enumerate(right)]
    found = paired(carrier, own)
    assert len([match for match in found if match.theirs]) == len(carrier)
    assert len({match.ours.call_id for match in found if match.ours}) == len(own)
    best = (0, 0)
    for order in permutations([*own, *[None] * len(carrier)], len(carrier)):
        costs = [_distance(call, other) for call, other in zip(carrier, order, strict=True) if other is not None]
        if all(cost is not None for cost in costs):
            best = max(best, (len(costs), -sum(cost for cost in costs if cost is not None)))
    mine = [_distance(match.theirs, match.ours) for match in found if match.theirs and match.ours]
    assert None not in mine
    assert (len(mine), -sum(cost for cost in mine if cost is not None)) == best


def _distance(call: CarrierCall, other: OurCall) -> int | None:
    apart = abs(call.started_ns - other.at("connected"))
    if apart > WINDOW or not same_caller(call.caller, other.caller):
        return None
    return apart + abs(call.duration_ns - other.duration_ns)


def test_a_number_that_never_rests_is_cut_where_it_does_not_hurt() -> None:
    chance = random.Random(4)
    right = [ours(at * 7 + chance.random(), chance.randrange(5, 600), f"{at}") for at in range(2 * BLOCK)]
    lost = set(chance.sample(range(2 * BLOCK), 60))
    left = [
        CarrierCall(index + 1, "+4930", "", call.connected_ns + SECOND // 3, call.duration_ns // SECOND * SECOND)
        for index, call in enumerate(right)
        if index not in lost
    ]
    found = names(paired(left, right))
    assert len(found) == len(right)
    wrong = [pair for pair in found if pair[1] and pair[0] not in (0, int(pair[1]) + 1)]
    # where a call is missing, its neighbours may be nearer to another: never many of them
    assert len(wrong) <= len(lost)


def test_a_block_grows_as_long_as_everything_is_within_one_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounting.reconcile.BLOCK", 20)
    right = [ours(at / 10, 60, f"{at}") for at in range(90)]
    left = [theirs(11 + at / 10, 60, at + 1) for at in range(90)]
    assert len(paired(left, right)) == 90


# -- clocks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0.0, -3.4, 7200.25])
@pytest.mark.parametrize("instant", ["connected", "started"])
def test_the_offset_of_the_clocks_and_what_they_count_are_found(offset: float, instant: str) -> None:
    chance = random.Random(7)
    right = [
        ours(at * 40, chance.uniform(10, 400), str(at), called=f"+493{at % 9}", rang=chance.uniform(2, 18))
        for at in range(200)
    ]
    left = [
        CarrierCall(
            line, call.called, "",
            (call.connected_ns if instant == "connected" else call.started_ns) + round(offset * SECOND),
            round(call.duration_ns / SECOND) * SECOND,
        )
        for line, call in enumerate(right)
        if line % 7
    ]  # fmt: skip
    found = estimate_offset(left, right)
    assert abs(found.ns - offset * SECOND) < SECOND // 10
    assert found.instant == instant
    assert found.votes > 150
    matches = paired(left, right, found)
    assert names(matches) == {(index if index % 7 else 0, str(index)) for index in range(200)}


def test_strangers_tell_no_offset() -> None:
    chance = random.Random(1)
    right = [ours(chance.uniform(0, 90_000), chance.uniform(10, 400), str(at)) for at in range(300)]
    left = [theirs(chance.uniform(0, 90_000), chance.uniform(10, 400), at) for at in range(300)]
    assert estimate_offset(left, right) == Offset()
    assert estimate_offset([], []) == Offset()


# -- judging -----------------------------------------------------------------------------------------------


def judged(
    left: list[CarrierCall], right: list[OurCall], tolerance: float = 2.0, offset: Offset | None = None
) -> tuple[list[Difference], Sums]:
    """A cent a second."""
    sums = Sums()
    offset = offset or Offset()

    def price(call: OurCall, longer_ns: int) -> Decimal:
        segments = lengthened(call.segments, longer_ns)
        return Decimal(segments[-1].end_ns - segments[0].start_ns) / SECOND / 100

    found = differences(
        paired(left, right, offset),
        sums,
        month_ns=MONTH,
        offset=offset,
        tolerance_ns=round(tolerance * SECOND),
        price=price,
        missed=lambda call: Decimal(call.duration_ns) / SECOND / 100,
    )
    return list(found), sums


def test_what_agrees_within_the_tolerance_is_no_difference() -> None:
    found, sums = judged([theirs(0, 62, price="0.10")], [ours(0.5, 60)])
    assert found == []
    assert sums.agrees
    assert (sums.agreed, sums.their_calls, sums.our_calls) == (1, 1, 1)
    assert (sums.their_price, sums.our_price) == (Decimal("0.10"), Decimal("0.6"))


def test_durations_that_differ_and_the_money_they_make() -> None:
    found, sums = judged([theirs(0, 90, price="0.10")], [ours(0.5, 60)])
    (difference,) = found
    assert (difference.kind, difference.seconds) == ("duration", Decimal(30))
    assert (difference.our_price, difference.right_price, difference.money) == (
        Decimal("0.6"), Decimal("0.9"), Decimal("0.3"),
    )  # fmt: skip
    assert sums.money == Decimal("0.3")
    (shorter,), _ = judged([theirs(0, 20)], [ours(0.5, 60)])
    assert shorter.money == Decimal("-0.4")


def test_calls_that_one_side_has_alone() -> None:
    found, sums = judged([theirs(0, 60, 1), theirs(500, 60, 2)], [ours(0, 60, "a"), ours(900, 30, "b")])
    money = {str(item.kind): item.money for item in found}
    assert money == {"missing_here": Decimal("0.6"), "missing_there": Decimal("-0.3")}
    assert not sums.agrees


def test_calls_that_nobody_answered_are_missed_by_nobody() -> None:
    found, sums = judged([theirs(0, 0)], [ours(900, 0)])
    assert found == []
    assert (sums.unanswered, sums.unanswered_only_there) == (1, 1)


def test_what_the_carrier_charges_for_and_nobody_answered_differs() -> None:
    found, _ = judged([theirs(0, 60)], [ours(0, 0)])
    (difference,) = found
    assert (difference.kind, difference.seconds) == ("duration", Decimal(60))
    assert difference.our_price is None


def test_test_calls_make_no_money() -> None:
    found, _ = judged([theirs(0, 90)], [ours(0, 60, billable=False)])
    (difference,) = found
    assert difference.our_price is None
    assert not difference.money


def test_the_carriers_clock_decides_about_the_month() -> None:
    late = (MONTH[1] - BEGIN) / SECOND
    # it was August already for us, July still for the carrier
    found, sums = judged([theirs(late - 2, 60)], [ours(late + 1, 60)])
    assert found == []
    assert sums.agreed == 1
    found, sums = judged([theirs(late + 2, 60)], [ours(late + 100, 60), ours(-2000, 60, "before")])
    assert found == []
    assert (sums.outside, sums.our_calls) == (1, 0)
    found, _ = judged([], [ours(late - 1, 60)], offset=Offset(3 * SECOND, "connected", 9))
    assert found == []


def test_a_call_made_longer_or_shorter_keeps_its_parts() -> None:
    parts = (Segment("anna", "talk", 0, 10), Segment("anna", "hold", 10, 20), Segment("ben", "talk", 20, 30))
    assert lengthened(parts, 5)[-1] == Segment("ben", "talk", 20, 35)
    assert lengthened(parts, -15) == (Segment("anna", "talk", 0, 10), Segment("anna", "hold", 10, 15))
    assert lengthened(parts, -99) == (Segment("anna", "talk", 0, 0),)
