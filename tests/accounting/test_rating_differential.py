"""The rating against the oracle: 100,000 random calls in 2,000 months with random tariffs, always the same ones."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from random import Random
from typing import Any

import pytest

from accounting.journal import Segment
from accounting.month import BERLIN, Month
from accounting.rating import MonthBill, rate_month
from accounting.records import CallRecord
from accounting.tariff import tariff_content, tariffs_of
from tests.accounting import oracle

SECOND = 1_000_000_000
MONTHS = 2_000
CALLS = 54  # some belong to the neighbouring months
#: Months with a change to summer time, and without.
SOME_MONTHS = (Month(2025, 3), Month(2025, 7), Month(2025, 10), Month(2024, 2))
RULES = (
    "always", "mon-fri", "sat,sun", "holiday", "sun,holiday", "fri-mon", "mon-fri 08:00-18:00", "always 22:00-06:00",
    "fri 22:00-06:00", "mon,wed,fri 12:00-13:00 14:30-24:00", "sun-sat 00:00-00:30",
)  # fmt: skip
INCREMENTS = ("60/60", "60/1", "30/6", "1/1", "6/6", "10/30", "45/7", "180/60")


def a_price(random: Random) -> str:
    return random.choice(("0", "0.005", "0.79", "0.99", "1.2", f"{random.randrange(3_000_000)}e-6"))


def plain(price: str) -> str:
    """Without the exponent, which stands for six places."""
    digits, exponent, _ = price.partition("e")
    return f"{int(digits) // 10**6}.{int(digits) % 10**6:06}" if exponent else price


def some_version(random: Random, valid_from: datetime | None, month: Month) -> dict[str, Any]:
    def rarely(value: Any, otherwise: Any) -> Any:
        return value if random.random() < 0.35 else otherwise

    kind = random.choice(("per_minute", "per_minute", "per_increment", ""))
    days = [f"{month}-{day:02}" for day in random.sample(range(1, 29), 2)]
    version: dict[str, Any] = {
        "increment": random.choice(INCREMENTS),
        "acceptance": rarely(plain(a_price(random)), "0"),
        "minimum_seconds": rarely(random.randrange(1, 200), 0),
        "minimum_amount": rarely(plain(a_price(random)), "0"),
        "free_seconds": rarely(random.randrange(1, 60), 0),
        "free_up_to_seconds": rarely(random.randrange(1, 60), 0),
        "free_calls": rarely(random.randrange(1, 20), 0),
        "included_minutes": rarely(random.randrange(1, 60), 0),
        "base_fee": rarely(plain(a_price(random)), "0"),
        "vat": random.choice(("0", "7", "16", "19", "7.75")),
        "digits": random.choice((2, 2, 2, 0, 1, 3, 4, 6)),
        "rounding": random.choice(("half_up", "half_up", "half_even", "up")),
        "hold": random.choice(("billed", "not_billed")),
        "consultation": random.choice(("billed", "not_billed")),
        "transfer": random.choice(("whole", "each_agent")),
        "external": random.choice(("billed", "not_billed", "own_price")),
        "holidays": sorted(days),
        "bands": [],
    }
    if kind:
        version[kind] = plain(a_price(random))
    if version["external"] == "own_price":
        version["external_per_minute"] = plain(a_price(random))
    if valid_from is not None:
        version["valid_from"] = valid_from.isoformat()
    for number in range(random.choice((0, 0, 1, 2))):
        band: dict[str, Any] = {"name": f"band {number}", "when": random.sample(RULES, random.choice((1, 2)))}
        if kind and random.random() < 0.8:
            band[kind] = plain(a_price(random))
        if random.random() < 0.5:
            band["acceptance"] = plain(a_price(random))
        version["bands"].append(band)
    return version


def some_tariff(random: Random, name: str, month: Month) -> dict[str, Any]:
    begin = datetime.fromtimestamp(month.bounds_ns()[0] // SECOND, UTC)
    moments = sorted({begin + timedelta(hours=random.randrange(-100, 800)) for _ in range(random.choice((0, 0, 1, 2)))})
    versions = [some_version(random, moment, month) for moment in (None, *moments)]
    return {"name": name, "currency": "EUR", "versions": versions}


def a_duration(random: Random) -> int:
    return random.choice(
        (
            0,
            random.randrange(1, 400) * SECOND,
            random.randrange(1, 8) * 60 * SECOND,
            random.randrange(1, 8) * 60 * SECOND + 1,
            random.randrange(400 * SECOND),
            random.randrange(20 * SECOND),
        )
    )


def some_call(random: Random, number: int, month: Month, tariff: str) -> oracle.Call:
    begin, end = month.bounds_ns()
    anywhere = random.randrange(begin, end)
    at = random.choice((anywhere,) * 20 + (begin + number * 3600 * SECOND,) * 10 + (begin, end - 1, begin - 1, end))
    stretches = []
    for _ in range(random.choice((1, 1, 1, 2, 3, 5))):
        activity = random.choice(("talk", "talk", "talk", "hold", "consultation", "external"))
        stretches.append((random.choice(("anna", "ben", "cleo")), activity, at, at + a_duration(random)))
        at = stretches[-1][3]
    return oracle.Call(f"call-{random.randrange(10**6):06}-{number}", tariff, stretches)


def as_record(call: oracle.Call) -> CallRecord:
    segments = tuple(Segment(agent, activity, start, end) for agent, activity, start, end in call.stretches)  # type: ignore[arg-type]
    return CallRecord(
        call_id=call.call_id, run="run", origin="trunk:carrier", contract="c", tariff=call.tariff, agent="anna",
        dialled="", target_number="", caller="", forwarded_from="", forwarding_kind="", result="answered",
        end_reason="caller_hung_up", status=200, billable=True, recovered=False, corrected=False, forgotten=False,
        started_at_ns=call.connected - 5 * SECOND, rang_at_ns=0, accepted_at_ns=0, answered_at_ns=call.connected,
        ended_at_ns=segments[-1].end_ns, talked_ns=sum(part.duration_ns for part in segments), segments=segments,
        media={},
    )  # fmt: skip


def compared(bill: MonthBill) -> tuple[list[tuple[Any, ...]], Fraction, dict[Fraction, tuple[Fraction, Fraction]]]:
    lines = [
        (
            line.call.call_id, line.rated.billed_seconds, line.rated.units, line.rated.external_seconds,
            line.rated.included_seconds, str(line.rated.amount), line.rated.band, line.rated.free,
        )
        for line in bill.lines
    ]  # fmt: skip
    return (
        lines,
        Fraction(bill.base_fee),
        {Fraction(tax.rate): (Fraction(tax.net), Fraction(tax.tax)) for tax in bill.taxes},
    )


def expected(bill: oracle.Bill) -> tuple[list[tuple[Any, ...]], Fraction, dict[Fraction, tuple[Fraction, Fraction]]]:
    lines = [
        (
            call_id, price.seconds, price.increments, price.external, price.included,
            written(price.amount, price.digits), price.band, price.free,
        )
        for call_id, price in bill.prices
    ]  # fmt: skip
    taxes = {rate: (Fraction(net, 100), Fraction(tax, 100)) for rate, (net, tax) in bill.taxes.items()}
    return lines, bill.base_fee, taxes


def written(units: int, digits: int) -> str:
    text = str(units).rjust(digits + 1, "0")
    return f"{text[:-digits]}.{text[-digits:]}" if digits else text


@pytest.mark.parametrize("part", range(4))
def test_the_rating_is_the_oracles(part: int) -> None:
    random = Random(f"rating {part}")
    billed = 0
    for _ in range(MONTHS // 4):
        month = random.choice(SOME_MONTHS)
        written_tariffs = {name: some_tariff(random, name, month) for name in ("one", "two")}
        tariffs = tariffs_of({"tariffs": list(written_tariffs.values())})
        # the oracle reads the journal's form of what the other one was given
        content: Any = tariff_content(tariffs.values())
        judged = {item["name"]: item for item in content["tariffs"]}
        calls = [
            some_call(random, number, month, random.choice(("one", "one", "one", "two"))) for number in range(CALLS)
        ]
        base = random.choice(("", "one", "two"))
        begin, end = month.bounds_ns()
        right = oracle.bill_month(calls, judged, begin, end, BERLIN, base)
        bill = rate_month(map(as_record, calls), tariffs, month, BERLIN, base)
        assert compared(bill) == expected(right)
        billed += len(bill.lines)
    assert billed >= 100_000 / 4
