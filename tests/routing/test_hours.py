"""Opening hours: one variant at any instant, the most specific, by the clock on the wall."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.hours import OWN, STATES, WEEKDAYS, Days, Rule, Schedule, parse_rule

BERLIN = ZoneInfo("Europe/Berlin")


def layered(named: dict[str, list[str]], state: str = "BE", zone: ZoneInfo = BERLIN) -> Schedule:
    return Schedule(zone, state, tuple((name, tuple(map(parse_rule, rules))) for name, rules in named.items()))


def schedule(*own: str, state: str = "BE", zone: ZoneInfo = BERLIN, **variants: list[str]) -> Schedule:
    return layered({OWN: list(own), **variants}, state, zone)


def at(text: str, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


# -- what rules mean -------------------------------------------------------------------------------------


def test_without_rules_the_contracts_own_plan_holds_always() -> None:
    assert schedule().at(at("2026-11-23T03:00")).variant == OWN


@pytest.mark.parametrize(
    ("moment", "variant"),
    [
        ("2026-11-23T07:59", "closed"),
        ("2026-11-23T08:00", OWN),
        ("2026-11-23T12:29", OWN),
        ("2026-11-23T12:30", "closed"),
        ("2026-11-23T13:30", OWN),
        ("2026-11-23T18:00", "closed"),
        ("2026-11-28T10:00", "closed"),  # a Saturday
    ],
)
def test_office_hours_begin_with_their_first_minute_and_end_before_their_last(moment: str, variant: str) -> None:
    office = schedule("mon-fri 08:00-12:30 13:30-18:00", closed=["always"])
    assert office.at(at(moment)).variant == variant


def test_each_kind_of_day_beats_the_less_specific_ones() -> None:
    layers = ["always", "mon-sun", "holiday", "2026-12-20..2026-12-31", "*-12-25", "2026-12-25"]
    for count in range(1, len(layers) + 1):
        named = {f"v{number}": [rule] for number, rule in enumerate(layers[:count])}
        # the contract's own is closed, so that a variant must win
        chosen = layered({OWN: ["mon-sun closed"], **named}).at(at("2026-12-25T12:00"))
        assert chosen.variant == f"v{count - 1}"
        assert chosen.rule.days is Days(count - 1)


def test_a_date_replaces_the_weekdays_hours_instead_of_adding_to_them() -> None:
    office = schedule("mon-fri 08:00-18:00", "2026-12-24 08:00-12:00", closed=["always"])
    assert office.at(at("2026-12-24T11:00")).variant == OWN
    assert office.at(at("2026-12-24T14:00")).variant == "closed"
    assert office.at(at("2026-12-23T14:00")).variant == OWN


def test_closed_on_holidays_of_the_state_only() -> None:
    # 8 March is a holiday in Berlin, 6 January in Bavaria
    for state, women, kings in (("BE", "closed", OWN), ("BY", OWN, "closed"), ("NW", OWN, OWN)):
        office = schedule("mon-sun 08:00-18:00", "holiday closed", state=state, closed=["always"])
        assert office.at(at("2027-03-08T10:00")).variant == women
        assert office.at(at("2027-01-06T10:00")).variant == kings
        assert office.at(at("2026-10-03T10:00")).variant == "closed"


def test_movable_holidays_are_known_in_years_to_come() -> None:
    office = schedule("mon-fri", "holiday closed", closed=["always"])
    # Good Friday and Whit Monday
    assert office.at(at("2035-03-23T10:00")).variant == "closed"
    assert office.at(at("2035-05-14T10:00")).variant == "closed"


def test_a_shorter_span_of_the_same_kind_goes_first() -> None:
    office = schedule("mon-fri 08:00-18:00", lunch=["mon-fri 12:00-13:00"], closed=["always"])
    assert office.at(at("2026-11-23T12:30")).variant == "lunch"
    assert office.at(at("2026-11-23T13:00")).variant == OWN


def test_of_two_alike_the_first_in_the_file_wins() -> None:
    twins = schedule("mon closed", one=["tue 08:00-10:00"], two=["tue 09:00-11:00"])
    assert [choice.variant for choice in twins.covering(at("2026-11-24T09:30"))] == ["one", "two"]


def test_a_span_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    nights = schedule("always", night=["fri 22:00-06:00", "2026-12-26 closed"])
    assert nights.at(at("2026-12-25T23:00")).variant == "night"
    # the exception of Saturday does not cut off what Friday began
    assert nights.at(at("2026-12-26T05:59")).variant == "night"
    assert nights.at(at("2026-12-26T06:00")).variant == OWN
    assert nights.at(at("2026-12-26T23:00")).variant == OWN
    assert nights.at(at("2026-12-27T03:00")).variant == OWN


def test_the_same_instant_is_another_time_elsewhere() -> None:
    moment = datetime(2026, 11, 23, 7, 30, tzinfo=UTC)
    assert schedule("mon-fri 08:00-18:00", closed=["always"]).at(moment).variant == OWN
    lisbon = schedule("mon-fri 08:00-18:00", zone=ZoneInfo("Europe/Lisbon"), closed=["always"])
    assert lisbon.at(moment).variant == "closed"


def test_it_says_why() -> None:
    office = schedule("mon-fri 08:00-18:00", feast=["holiday"], eve=["2026-12-24"], closed=["always"])
    assert str(office.at(at("2026-11-23T09:00"))) == "mon-fri 08:00-18:00 (Monday, 2026-11-23)"
    assert str(office.at(at("2026-12-25T09:00"))) == "holiday (Erster Weihnachtstag, 2026-12-25)"
    assert str(office.at(at("2026-12-24T09:00"))) == "2026-12-24 (Thursday)"
    assert str(office.at(at("2026-11-22T09:00"))) == "always"


# -- summer time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("evening", "hours"), [("2026-03-28", 7), ("2026-10-24", 9), ("2026-11-23", 8)])
def test_a_night_lasts_as_long_as_the_clocks_say(evening: str, hours: int) -> None:
    nights = schedule("mon-sun 06:00-22:00", night=["mon-sun 22:00-06:00"])
    begin = at(f"{evening}T22:00").astimezone(UTC)
    minutes = [begin + timedelta(minutes=minute) for minute in range(-60, 12 * 60)]
    night = [minute for minute in minutes if nights.at(minute).variant == "night"]
    assert len(night) == hours * 60
    assert night[0] == begin
    assert night[-1] - night[0] == timedelta(minutes=hours * 60 - 1)


def test_the_hour_that_comes_twice_is_covered_twice_and_the_one_that_is_left_out_never() -> None:
    late = schedule("always", late=["sun 02:00-03:00"])

    def minutes(begin: datetime) -> int:
        return sum(late.at(begin + timedelta(minutes=step)).variant == "late" for step in range(24 * 60))

    assert minutes(datetime(2026, 10, 24, 22, tzinfo=UTC)) == 120
    assert minutes(datetime(2026, 3, 28, 23, tzinfo=UTC)) == 0
    assert minutes(datetime(2026, 11, 21, 23, tzinfo=UTC)) == 60


# -- properties ------------------------------------------------------------------------------------------

clock = st.tuples(st.integers(0, 1439), st.integers(1, 1440)).filter(lambda span: span[0] != span[1])
dates = st.dates(date(2026, 1, 1), date(2027, 12, 31))


def clock_text(span: tuple[int, int]) -> str:
    return "-".join(f"{minute // 60:02}:{minute % 60:02}" for minute in span)


@st.composite
def rule_texts(draw: st.DrawFn) -> str:
    days = draw(
        st.one_of(
            st.sampled_from(("holiday", "mon-fri", "sat,sun", "fri-mon", "*-12-24", "*-02-29", "wed")),
            dates.map(str),
            st.tuples(dates, dates).map(lambda pair: f"{min(pair)}..{max(pair)}"),
        )
    )
    times = draw(st.one_of(st.just(""), st.just(" closed"), st.lists(clock, min_size=1, max_size=3)))
    return days + (times if isinstance(times, str) else "".join(f" {clock_text(span)}" for span in times))


rules = st.lists(st.one_of(rule_texts(), st.just("always")), max_size=6)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))
zones = st.sampled_from(("Europe/Berlin", "Europe/Lisbon", "America/St_Johns", "Australia/Lord_Howe")).map(ZoneInfo)


@given(rules, rules, rules, st.sampled_from(("", *STATES)), zones, moments)
def test_exactly_one_variant_wins_at_any_instant(
    own: list[str], one: list[str], two: list[str], state: str, zone: ZoneInfo, moment: datetime
) -> None:
    hours = schedule(*own, state=state, zone=zone, one=one, two=two)
    covering = hours.covering(moment)
    assert hours.at(moment) == covering[0]
    names = [choice.variant for choice in covering]
    assert len(set(names)) == len(names) >= 1
    assert set(names) <= {OWN, "one", "two"}
    ranks = [(-choice.rule.days, choice.span.end - choice.span.start) for choice in covering]
    assert ranks == sorted(ranks)
    # the zone of the question is nothing to the answer
    assert hours.at(moment.astimezone(ZoneInfo("Asia/Kathmandu"))) == covering[0]


@given(rules, rules, moments)
def test_what_wins_really_covers_the_moment(own: list[str], one: list[str], moment: datetime) -> None:
    choice = schedule(*own, one=one).at(moment)
    local = moment.astimezone(BERLIN).replace(tzinfo=None)
    since_midnight = (local - datetime.combine(choice.day, datetime.min.time())) // timedelta(minutes=1)
    assert choice.span.start <= since_midnight < choice.span.end
    assert timedelta() <= local.date() - choice.day <= timedelta(days=1)


@given(rule_texts())
def test_a_rule_written_and_read_again_is_the_same(text: str) -> None:
    rule = parse_rule(text)
    assert parse_rule(str(rule)) == rule
    assert str(parse_rule(str(rule))) == str(rule)


@given(st.text(max_size=30) | st.from_regex(r"(mon|holiday|2026-1[0-9]-[0-9]{2}) ?[0-9:-]{0,12}", fullmatch=True))
def test_any_text_is_a_rule_or_refused(text: str) -> None:
    try:
        rule = parse_rule(text)
    except ValueError:
        return
    assert isinstance(rule, Rule)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("monday 08:00-18:00", "'monday' is no day"),
        ("mon 8-18", "'8-18' is no time"),
        ("mon 08:00-24:01", "the day ends at 24:00"),
        ("mon 24:00-06:00", "the day ends at 24:00"),
        ("mon 08:00-08:00", "lasts no time"),
        ("2026-02-30", "is no date"),
        ("*-13-01", "is no date"),
        ("2026-12-24..2026-12-20", "ends before it begins"),
        ("always 08:00-18:00", "always has no times"),
        ("always closed", "always has no times"),
    ],
)
def test_what_is_wrong_with_a_rule_is_told(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        parse_rule(text)


def test_days_in_any_order_come_out_in_order() -> None:
    assert str(parse_rule("Sun,mon-WED 18:00-19:00, 08:00-09:00")) == "mon-wed,sun 08:00-09:00 18:00-19:00"
    assert str(parse_rule("sat-mon")) == "mon,sat,sun"
    assert str(parse_rule("mon-sun 00:00-24:00")) == f"{WEEKDAYS[0]}-{WEEKDAYS[6]}"
