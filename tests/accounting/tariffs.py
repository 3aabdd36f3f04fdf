"""Tariffs and calls for hypothesis: any that may be."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from hypothesis import strategies as st

from accounting.bands import Band
from accounting.journal import Activity, Segment
from accounting.tariff import ExternalCharge, Increment, Tariff, TariffVersion

SECOND = 1_000_000_000
JULY = datetime(2025, 6, 30, 22, tzinfo=UTC)  # midnight in Berlin
JULY_NS = round(JULY.timestamp()) * SECOND

increments = st.builds(Increment, st.integers(1, 120), st.integers(1, 120)) | st.just(Increment(60, 60))
prices = st.integers(0, 3_000_000).map(lambda millionths: Decimal(f"{millionths}E-6")) | st.sampled_from(
    [Decimal(text) for text in ("0", "0.005", "0.79", "0.99", "1.20")]
)
rules = st.sampled_from(
    ["mon-fri 08:00-18:00", "sat,sun", "always 22:00-06:00", "holiday", "fri-mon 00:00-12:00 13:00-24:00", "always"]
)
activities: st.SearchStrategy[Activity] = st.sampled_from(("talk", "talk", "hold", "consultation", "external"))
seconds = st.just(0) | st.integers(1, 200)


@st.composite
def bands(draw: st.DrawFn, kind: str | None) -> tuple[Band, ...]:
    return tuple(
        Band(
            f"band {number}",
            tuple(draw(st.lists(rules, min_size=1, max_size=2))),
            draw(st.none() | prices) if kind == "per_minute" else None,
            draw(st.none() | prices) if kind == "per_increment" else None,
            draw(st.none() | prices),
        )
        for number in range(draw(st.integers(0, 2)))
    )


@st.composite
def versions(draw: st.DrawFn, valid_from: datetime | None = None) -> TariffVersion:
    kind = draw(st.sampled_from(("per_minute", "per_minute", "per_increment", None)))
    external: ExternalCharge = draw(st.sampled_from(("billed", "not_billed", "own_price")))
    return TariffVersion(
        valid_from=valid_from,
        increment=draw(increments),
        per_minute=draw(prices) if kind == "per_minute" else None,
        per_increment=draw(prices) if kind == "per_increment" else None,
        acceptance=draw(prices),
        minimum_seconds=draw(seconds),
        minimum_amount=draw(prices),
        free_seconds=draw(seconds),
        free_up_to_seconds=draw(seconds),
        free_calls=draw(st.integers(0, 3)),
        included_minutes=draw(st.integers(0, 10)),
        bands=draw(bands(kind)),
        holidays=tuple(draw(st.lists(st.dates(date(2025, 7, 1), date(2025, 7, 31)), max_size=3, unique=True))),
        base_fee=draw(prices),
        vat=draw(st.sampled_from([Decimal(text) for text in ("0", "7", "16", "19", "7.75")])),
        digits=draw(st.integers(0, 6)),
        rounding=draw(st.sampled_from(("half_up", "half_even", "up"))),
        hold=draw(st.sampled_from(("billed", "not_billed"))),
        consultation=draw(st.sampled_from(("billed", "not_billed"))),
        transfer=draw(st.sampled_from(("whole", "each_agent"))),
        external=external,
        external_per_minute=draw(prices) if external == "own_price" else None,
    )


@st.composite
def tariffs(draw: st.DrawFn, name: str | None = None) -> Tariff:
    """Valid from the beginning; up to two more versions begin around July 2025."""
    days = sorted(draw(st.lists(st.integers(-20, 40), max_size=2, unique=True)))
    moments = [None, *(JULY + timedelta(days=day) for day in days)]
    return Tariff(
        draw(st.text("abc", min_size=1, max_size=3)) if name is None else name,
        draw(st.sampled_from(("EUR", "CHF"))) if name is None else "EUR",
        tuple(draw(versions(moment)) for moment in moments),
    )


@st.composite
def segments(draw: st.DrawFn, start_ns: int | None = None) -> tuple[Segment, ...]:
    """Whole seconds and odd nanoseconds, some stretches empty."""
    at = JULY_NS + draw(st.integers(0, 31 * 86_400 - 1)) * SECOND if start_ns is None else start_ns
    found = []
    for _ in range(draw(st.integers(1, 4))):
        end = at + draw(
            st.integers(0, 200).map(lambda count: count * SECOND) | st.integers(0, 400 * SECOND) | st.just(0)
        )
        found.append(Segment(draw(st.sampled_from(("anna", "ben"))), draw(activities), at, end))
        at = end
    return tuple(found)
