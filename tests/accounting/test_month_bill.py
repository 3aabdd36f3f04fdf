"""The month: what is free and included, base fee, VAT; and what holds for all tariffs."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.journal import Segment
from accounting.month import BERLIN, Month
from accounting.rating import MonthBill, Tax, rate, rate_month
from accounting.records import CallRecord
from accounting.tariff import Increment, Tariff, TariffError, TariffVersion
from tests.accounting.tariffs import JULY, JULY_NS, SECOND, segments
from tests.accounting.tariffs import tariffs as any_tariff

D = Decimal
MONTH = Month(2025, 7)
MINUTE_PRICE = D("0.60")


def connected(made: tuple[Segment, ...], call_id: str = "call", tariff: str = "t", **fields: Any) -> CallRecord:
    """A billable call of these segments."""
    start = made[0].start_ns
    call = CallRecord(
        call_id=call_id, run="run", origin="trunk:carrier", contract="c", tariff=tariff, agent=made[0].agent,
        dialled="", target_number="", caller="", forwarded_from="", forwarding_kind="", result="answered",
        end_reason="caller_hung_up", status=200, billable=True, recovered=False, corrected=False, forgotten=False,
        started_at_ns=start - 5 * SECOND, rang_at_ns=0, accepted_at_ns=0, answered_at_ns=start,
        ended_at_ns=made[-1].end_ns, talked_ns=sum(part.duration_ns for part in made), segments=made, media={},
    )  # fmt: skip
    return replace(call, **fields)


def talk(day: float, seconds: float, call_id: str = "", tariff: str = "t") -> CallRecord:
    """Connected so many days after the beginning of July."""
    at = JULY_NS + round(day * 86_400) * SECOND
    return connected((Segment("anna", "talk", at, at + round(seconds * SECOND)),), call_id or f"call-{day}", tariff)


def tariff(name: str = "t", *later: TariffVersion, **rules: Any) -> Tariff:
    return Tariff(name, "EUR", (TariffVersion(per_minute=MINUTE_PRICE, **rules), *later))


def bill(calls: list[CallRecord], *priced: Tariff, base: str = "") -> MonthBill:
    return rate_month(calls, {item.name: item for item in priced}, MONTH, BERLIN, base)


def amounts(made: MonthBill) -> list[str]:
    return [str(line.rated.amount) for line in made.lines]


# -- which calls -----------------------------------------------------------------------------------------


def test_only_billable_answered_calls_of_the_month_are_billed() -> None:
    made = bill(
        [
            talk(1, 60, "paid"),
            replace(talk(2, 60, "test"), billable=False),
            replace(talk(3, 0, "gave up"), result="abandoned", answered_at_ns=0),
            talk(-1 / 86_400, 60, "June's last second"),
            talk(31, 60, "August's first"),
            replace(talk(31, 0, "August's abandoned"), result="abandoned", answered_at_ns=0),
        ],
        tariff(),
    )
    assert [line.call.call_id for line in made.lines] == ["paid"]
    # started 5 s before midnight: the abandoned call of August is July's
    assert (made.not_billable, made.unanswered) == (1, 2)


def test_a_call_without_segments_was_connected_for_no_time() -> None:
    made = bill([replace(talk(1, 0), segments=())], tariff())
    assert (amounts(made), made.billed_seconds) == (["0.60"], 60)


def test_the_month_is_that_of_the_time_zone() -> None:
    late = talk(0, 60)  # midnight in Berlin is June in London
    assert len(bill([late], tariff()).lines) == 1
    assert rate_month([late], {"t": tariff()}, MONTH, ZoneInfo("Europe/London")).lines == ()


# -- versions --------------------------------------------------------------------------------------------


def test_a_call_has_the_version_of_its_beginning() -> None:
    new = TariffVersion(valid_from=JULY + timedelta(days=15), per_minute=D(1), vat=D(19))
    made = bill([talk(14.9999, 3600, "over"), talk(15, 60, "after")], tariff("t", new, vat=D(16)))
    assert amounts(made) == ["36.00", "1.00"]
    assert [line.vat for line in made.lines] == [16, 19]


def test_the_month_has_the_version_of_its_first_moment() -> None:
    new = TariffVersion(
        valid_from=JULY + timedelta(days=1), per_minute=MINUTE_PRICE, base_fee=D(99), free_calls=9, included_minutes=9
    )
    made = bill([talk(day, 60) for day in (2, 3, 4)], tariff("t", new, base_fee=D(10), free_calls=1))
    assert made.base_fee == D(10)
    assert amounts(made) == ["0.00", "0.60", "0.60"]
    assert rate_month([], {"t": tariff("t", new)}, Month(2025, 8), BERLIN, "t").base_fee == D(99)


def test_a_tariff_that_begins_in_the_month_has_its_first_version() -> None:
    begins = Tariff("t", "EUR", (TariffVersion(valid_from=JULY + timedelta(days=3), acceptance=D(1), base_fee=D(5)),))
    assert bill([talk(4, 60)], begins).base_fee == D(5)
    assert rate_month([], {"t": begins}, Month(2025, 6), BERLIN, "t").base_fee == 0
    with pytest.raises(TariffError, match="no version for 2025-07-02"):
        bill([talk(2, 60)], begins)


# -- free calls and included minutes ---------------------------------------------------------------------


def test_the_first_calls_are_free_whatever_the_order_of_arrival() -> None:
    priced = tariff(free_calls=2, free_up_to_seconds=5)
    made = bill([talk(5, 60), talk(1, 60), talk(3, 600), talk(2, 3)], priced)
    # the short call of the second day uses no free call
    assert [(line.call.call_id, line.rated.free) for line in made.lines] == [
        ("call-1", "free_call"), ("call-2", "short"), ("call-3", "free_call"), ("call-5", ""),
    ]  # fmt: skip
    assert amounts(made) == ["0.00", "0.00", "0.00", "0.60"]
    assert (made.free_calls, made.free_calls_granted) == (2, 2)


def test_included_minutes_are_used_up_in_order_after_the_free_calls() -> None:
    priced = tariff(free_calls=1, included_minutes=3, acceptance=D("0.10"))
    made = bill([talk(1, 600), talk(2, 120), talk(3, 120), talk(4, 60)], priced)
    assert [line.rated.included_seconds for line in made.lines] == [0, 120, 60, 0]
    assert amounts(made) == ["0.00", "0.10", "0.70", "0.70"]
    assert (made.included_seconds, made.included_seconds_granted) == (180, 180)


def test_each_tariff_has_its_own_free_calls() -> None:
    made = bill(
        [talk(1, 60, tariff="a"), talk(2, 60, tariff="b"), talk(3, 60, tariff="a")],
        tariff("a", free_calls=1),
        tariff("b", free_calls=1),
    )
    assert amounts(made) == ["0.00", "0.00", "0.60"]


# -- base fee, VAT, sums ---------------------------------------------------------------------------------


def test_the_base_fee_is_due_without_calls() -> None:
    made = bill([], tariff(base_fee=D(29), vat=D(19)), base="t")
    assert (made.net, made.tax, made.gross, made.currency) == (D("29.00"), D("5.51"), D("34.51"), "EUR")
    assert bill([], tariff(base_fee=D(29))).gross == 0


def test_there_is_one_base_fee_the_contracts_or_else_the_highest() -> None:
    one, two = tariff("one", base_fee=D(10), vat=D(19)), tariff("two", base_fee=D(20), vat=D(7))
    calls = [talk(1, 60, tariff="one"), talk(2, 60, tariff="two")]
    assert bill(calls, one, two).base_fee == D(20)
    assert bill(calls, one, two, base="one").base_fee == D(10)


def test_vat_is_rounded_once_for_each_rate() -> None:
    new = TariffVersion(valid_from=JULY + timedelta(days=15), per_minute=D("0.10"), vat=D(19))
    made = bill([talk(day, 60) for day in (1, 2, 16, 17, 18)], tariff("t", new, base_fee=D("1.03"), vat=D(16)))
    assert made.taxes == (
        Tax(D(16), D("2.23"), D("0.36"), D("2.59")),
        Tax(D(19), D("0.30"), D("0.06"), D("0.36")),
    )
    assert (made.net, made.tax, made.gross) == (D("2.53"), D("0.42"), D("2.95"))


def test_finer_amounts_are_added_up_before_they_become_cents() -> None:
    made = bill([talk(day, 1) for day in (1, 2, 3)], tariff(increment=Increment(1, 1), digits=4))
    assert (made.calls_net, made.net) == (D("0.0300"), D("0.03"))
    made = bill([talk(day, 1) for day in (1, 2)], tariff(digits=4, increment=Increment(1, 2)), base="t")
    assert made.calls_net == D("0.0200")


def test_the_callers_decimal_context_changes_no_sum() -> None:
    calls = [talk(day, 60 * 1234) for day in range(20)]
    with localcontext() as context:
        context.prec = 3
        context.rounding = "ROUND_DOWN"
        narrow = bill(calls, tariff(vat=D("7.75"), base_fee=D("12.345678")))
    assert narrow == bill(calls, tariff(vat=D("7.75"), base_fee=D("12.345678")))


def test_an_unknown_tariff_and_two_currencies_are_errors() -> None:
    with pytest.raises(TariffError, match="call call-1 has the unknown tariff 'gone': import a file in which it is"):
        bill([talk(1, 60, tariff="gone")], tariff())
    with pytest.raises(TariffError, match="the contract has the unknown tariff 'gone'"):
        bill([], tariff(), base="gone")
    swiss = Tariff("swiss", "CHF", (TariffVersion(per_minute=D(1)),))
    with pytest.raises(TariffError, match=r"several currencies in 2025-07: swiss \(CHF\), t \(EUR\)"):
        bill([talk(1, 60), talk(2, 60, tariff="swiss")], tariff(), swiss)


# -- whatever the tariff ---------------------------------------------------------------------------------


@st.composite
def months(draw: st.DrawFn) -> tuple[list[CallRecord], dict[str, Tariff], str]:
    priced = {name: draw(any_tariff(name)) for name in ("a", "b")}
    calls = [
        connected(draw(segments()), f"call-{number}", draw(st.sampled_from(("a", "a", "b"))))
        for number in range(draw(st.integers(0, 8)))
    ]
    return calls, priced, draw(st.sampled_from(("", "a", "b")))


@given(months())
def test_the_sum_of_the_calls_is_the_month(month: tuple[list[CallRecord], dict[str, Tariff], str]) -> None:
    calls, priced, base = month
    made = rate_month(calls, priced, MONTH, BERLIN, base)
    assert len(made.lines) == len(calls)
    assert made.calls_net == sum(line.rated.amount for line in made.lines)
    assert made.billed_seconds == sum(line.rated.billed_seconds for line in made.lines)
    cents = D("0.01")
    for tax in made.taxes:
        lines = sum(line.rated.amount for line in made.lines if line.vat == tax.rate)
        fee = tax.net - D(lines).quantize(cents, ROUND_HALF_UP)
        assert fee >= 0
        assert fee <= made.base_fee + cents
    assert (made.net, made.tax) == (sum(tax.net for tax in made.taxes), sum(tax.tax for tax in made.taxes))
    assert made.gross == made.net + made.tax
    assert made.included_seconds <= made.included_seconds_granted
    assert made.free_calls <= made.free_calls_granted


@given(months())
def test_a_call_of_the_month_costs_at_most_what_it_costs_by_itself(
    month: tuple[list[CallRecord], dict[str, Tariff], str],
) -> None:
    calls, priced, base = month
    for line in rate_month(calls, priced, MONTH, BERLIN, base).lines:
        alone = rate(line.call.segments, priced[line.call.tariff].at(line.call.answered_at_ns))
        assert 0 <= line.rated.amount <= alone.amount
        assert (line.rated.billed_seconds, line.rated.units) == (alone.billed_seconds, alone.units)


@given(months(), st.randoms())
def test_the_order_of_arrival_does_not_matter(
    month: tuple[list[CallRecord], dict[str, Tariff], str], random: Any
) -> None:
    calls, priced, base = month
    shuffled = calls.copy()
    random.shuffle(shuffled)
    assert rate_month(shuffled, priced, MONTH, BERLIN, base) == rate_month(calls, priced, MONTH, BERLIN, base)


@given(months(), st.sampled_from(("a", "b")))
def test_another_call_never_lowers_the_bill(month: tuple[list[CallRecord], dict[str, Tariff], str], base: str) -> None:
    calls, priced, _ = month
    fewer = rate_month(calls[:-1], priced, MONTH, BERLIN, base)
    more = rate_month(calls, priced, MONTH, BERLIN, base)
    assert more.net >= fewer.net
    assert more.tax >= fewer.tax
    assert more.gross >= fewer.gross


@given(months(), st.integers(0, 7), st.integers(0, 300 * SECOND))
def test_a_longer_call_never_lowers_the_bill(
    month: tuple[list[CallRecord], dict[str, Tariff], str], which: int, more_ns: int
) -> None:
    calls, priced, base = month
    if not calls:
        return
    which %= len(calls)
    last = calls[which].segments[-1]
    stretched = (*calls[which].segments[:-1], replace(last, end_ns=last.end_ns + more_ns))
    longer = [*calls[:which], connected(stretched, calls[which].call_id, calls[which].tariff), *calls[which + 1 :]]
    before, after = (rate_month(some, priced, MONTH, BERLIN, base) for some in (calls, longer))
    assert after.gross >= before.gross


def test_summer_time_neither_adds_nor_loses_a_second() -> None:
    """02:00 becomes 03:00 on 30 March 2025; the call lasts ten minutes."""
    at = round(datetime(2025, 3, 30, 1, 55, tzinfo=BERLIN).timestamp()) * SECOND
    call = connected((Segment("anna", "talk", at, at + 600 * SECOND),))
    made = rate_month([call], {"t": tariff(increment=Increment(1, 1))}, Month(2025, 3))
    assert (made.billed_seconds, amounts(made)) == (600, ["6.00"])
