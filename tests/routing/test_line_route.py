"""Where a call to a line goes, and for how long it rings: decisions, without a phone in sight."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.conditions import BlockedCaller, Conditions
from routing.contract import Contract, ContractNumber, Endpoint, Validity
from routing.directory import Directory
from routing.floor import AgentConnected, OfferMade, OfferWithdrawn
from routing.forwarding import ForwardingKind
from routing.line_floor import LONGEST_RINGING, CallSent, LineFloor, LineSearch
from routing.line_route import Diverted, Ended, LineRoute, RingLine, ToContract, ToNumber, Way
from routing.lines import MOST_HOPS, Line, LineForwarding, LineForwardings
from routing.plan import Refusal

NOW = datetime(2026, 7, 1, tzinfo=UTC)
TARGET = "+49302000100"
LINES = [Line(f"+4930450{index}", f"Line {index}", Endpoint("", f"line{index}")) for index in range(8)]
CONTRACT = Contract("berger", "Berger", target_numbers=(ContractNumber(TARGET),))
GONE = Contract("gone", "Gone", target_numbers=(ContractNumber("+49302000109", Validity(until=NOW)),))
NOBODY = Contract("", "")


def directory(*contracts: Contract) -> Directory:
    return Directory(contracts or (CONTRACT, GONE), lines=LINES)


def forwarded(*items: tuple[int, ForwardingKind, str], seconds: int = 0) -> LineForwardings:
    return LineForwardings(LineForwarding(LINES[index].number, kind, to, seconds) for index, kind, to in items)


def route(forwardings: LineForwardings, caller: str = "", hops: int = 0) -> LineRoute:
    return LineRoute(directory(), forwardings, caller, hops)


def test_a_line_that_is_not_forwarded_rings_as_long_as_the_caller_likes() -> None:
    assert route(forwarded()).arrive(LINES[0], NOW) == RingLine(LINES[0], 0)
    assert route(forwarded((0, "busy", TARGET))).arrive(LINES[0], NOW) == RingLine(LINES[0], 0)


@pytest.mark.parametrize(("seconds", "rings"), [(0, 20), (45, 45)])
def test_the_time_until_no_answer_is_the_codes_or_the_lines(seconds: int, rings: int) -> None:
    way = route(forwarded((0, "no_answer", TARGET), seconds=seconds)).arrive(LINES[0], NOW)
    assert way == RingLine(LINES[0], rings)


def test_a_forwarding_that_is_off_does_nothing() -> None:
    forwardings = LineForwardings([LineForwarding(LINES[0].number, "unconditional", TARGET, active=False)])
    assert route(forwardings).arrive(LINES[0], NOW) == RingLine(LINES[0], 0)
    assert forwardings.find(LINES[0].number, "unconditional") is not None


def test_at_once_goes_before_the_others() -> None:
    forwardings = forwarded((0, "unconditional", TARGET), (0, "busy", LINES[1].number))
    assert isinstance(route(forwardings).arrive(LINES[0], NOW), ToContract)


@pytest.mark.parametrize(
    ("kind", "busy", "unanswered"), [("busy", True, False), ("no_answer", False, True)]
)  # fmt: skip
def test_each_kind_is_for_its_own_case(kind: ForwardingKind, busy: bool, unanswered: bool) -> None:
    for happened, goes in (("busy", busy), ("unanswered", unanswered)):
        tried = route(forwarded((0, kind, TARGET)))
        tried.arrive(LINES[0], NOW)
        way = tried.busy(NOW) if happened == "busy" else tried.unanswered(NOW, unreachable=True)
        assert isinstance(way, ToContract if goes else Ended)
        assert tried.diverted == ([Diverted(LINES[0].number, kind)] if goes else [])


def test_a_target_number_that_is_nobodys_any_more_ends_the_call() -> None:
    way = route(forwarded((0, "unconditional", "+49302000109"))).arrive(LINES[0], NOW)
    assert way == Ended(Refusal(480), "forwarding_not_allowed")


def test_outside_is_reached_only_where_the_line_may() -> None:
    line = Line("+49304509", "Free", Endpoint("", "free"), may_forward_to=("+4917*",))
    for number, way in (("+491711", ToNumber("+491711")), ("+4990", Ended(Refusal(480), "forwarding_not_allowed"))):
        forwardings = LineForwardings([LineForwarding(line.number, "unconditional", number)])
        assert LineRoute(Directory(lines=[line]), forwardings).arrive(line, NOW) == way


def test_a_contract_that_blocks_the_caller_blocks_the_forwarded_one() -> None:
    blocking = Contract(
        "berger", "Berger", target_numbers=(ContractNumber(TARGET),),
        conditions=Conditions(blocked_callers=(BlockedCaller("+4940*", ""),)),
    )  # fmt: skip
    forwardings = forwarded((0, "unconditional", TARGET))
    way = LineRoute(directory(blocking), forwardings, "+4940123").arrive(LINES[0], NOW)
    assert way == Ended(Refusal(603), "caller_blocked")
    assert isinstance(LineRoute(directory(blocking), forwardings, "+4989").arrive(LINES[0], NOW), ToContract)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 7), st.sampled_from(["unconditional", "busy", "no_answer"]),
            st.sampled_from([TARGET, "+4990", *(line.number for line in LINES)]),
        )
    ),
    st.integers(0, 7),
    st.integers(0, 7),
    st.lists(st.booleans(), min_size=12, max_size=12),
)  # fmt: skip
def test_every_call_comes_to_an_end(
    items: list[tuple[int, ForwardingKind, str]], start: int, hops: int, refusals: list[bool]
) -> None:
    tried = route(forwarded(*items), hops=hops)
    way: Way = tried.arrive(LINES[start], NOW)
    rung = 0
    for busy in refusals:
        if not isinstance(way, RingLine):
            break
        rung += 1
        way = tried.busy(NOW) if busy else tried.unanswered(NOW)
    assert not isinstance(way, RingLine)
    assert rung <= MOST_HOPS + 1
    assert len({item.line for item in tried.diverted}) == len(tried.diverted) or isinstance(way, Ended)
    if not isinstance(way, Ended):
        assert not tried.diverted or tried.hops <= MOST_HOPS


# -- the search: ringing in time -------------------------------------------------------------------------


def begun(forwardings: LineForwardings) -> tuple[LineFloor, LineSearch]:
    floor = LineFloor(lambda now: NOW)
    way = (tried := route(forwardings)).arrive(LINES[0], NOW)
    search = floor.search(tried, way)
    search.caller_entered("call", NOBODY, 100.0)
    return floor, search


def test_a_search_offers_the_line_and_takes_it_back_in_time() -> None:
    floor, _ = begun(forwarded((0, "no_answer", TARGET)))
    number = LINES[0].number
    assert list(floor.events) == [OfferMade("call", number, 20)]
    assert floor.next_deadline() == 120.0
    floor.handle_timers(119.9)
    assert len(floor.events) == 1
    floor.handle_timers(120.0)
    assert floor.events[1] == OfferWithdrawn("call", number, "timed_out")
    assert isinstance(floor.events[2], CallSent)
    assert floor.next_deadline() is None


def test_an_answered_line_is_connected_and_its_timer_gone() -> None:
    floor, search = begun(forwarded((0, "no_answer", TARGET)))
    search.offer_answered("call", LINES[0].number, 110.0)
    assert floor.events[-1] == AgentConnected("call", LINES[0].number)
    assert floor.next_deadline() is None
    floor.handle_timers(200.0)
    search.offer_declined("call", LINES[0].number, "busy", 201.0)
    assert len(floor.events) == 2


def test_a_caller_who_leaves_takes_the_offer_along() -> None:
    floor, search = begun(forwarded())
    assert floor.next_deadline() == 100.0 + LONGEST_RINGING
    search.caller_left("call", 105.0)
    assert floor.events[-1] == OfferWithdrawn("call", LINES[0].number, "caller_left")
    assert floor.next_deadline() is None
