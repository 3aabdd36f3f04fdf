"""The business file: in, out and in again; and every fault at its line."""

import hashlib
import tomllib
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.business import Business, BusinessError, read_business, write_business
from routing.business_tariffs import TariffData, VersionTable
from routing.contract import (
    Agent,
    Contract,
    ContractNumber,
    Endpoint,
    Group,
    Presentation,
    Validity,
    agents_of,
)
from routing.plan import REFUSALS, Refusal, Step, StepKind, Strategy

EXAMPLE = Path(__file__).parents[2] / "examples" / "contracts.toml"

SMALL = """\
[[tariffs]]
name = "minute"
per_minute = "0.99"

[[agents]]
id = "anna"
name = "Anna"
endpoints = [{ username = "anna", password = "open sesame" }]

[[groups]]
id = "office"
name = "Office"
members = ["anna"]

[[contracts]]
id = "kanzlei"
customer = "Kanzlei"
target_numbers = ["+49302000100"]
tariff = "minute"
plan = [{ group = "office" }]
"""


def read(text: str) -> Business:
    return read_business(text, "contracts.toml", "service.example")


def faults(text: str) -> list[str]:
    with pytest.raises(BusinessError) as caught:
        read(text)
    assert str(caught.value) == "\n".join(str(fault) for fault in caught.value.faults)
    return [str(fault) for fault in caught.value.faults]


# -- what a file means -----------------------------------------------------------------------------------


def test_a_small_file_says_all_that_is_needed() -> None:
    business = read(SMALL)
    secret = b"anna:service.example:open sesame"
    assert business.tariffs == (
        TariffData("minute", "EUR", (VersionTable.model_construct(per_minute=Decimal("0.99")),)),
    )
    assert business.agents == (
        Agent(
            "anna",
            "Anna",
            (
                Endpoint(
                    "anna",
                    "anna",
                    realm="service.example",
                    ha1_md5=hashlib.md5(secret).hexdigest(),
                    ha1_sha256=hashlib.sha256(secret).hexdigest(),
                ),
            ),
        ),
    )
    assert business.groups == (Group("office", "Office", ("anna",)),)
    assert business.contracts == (
        Contract(
            "kanzlei",
            "Kanzlei",
            target_numbers=(ContractNumber("+49302000100"),),
            plan=(Step("group", "office", "in_order", 20, ("anna",)),),
            if_nobody=Refusal(480),
            tariff="minute",
        ),
    )


def test_the_endpoints_own_realm_counts_for_its_hash() -> None:
    business = read(SMALL.replace('username = "anna",', 'username = "anna", realm = "other.example",'))
    endpoint = business.agents[0].endpoints[0]
    assert endpoint.realm == "other.example"
    assert endpoint.ha1_md5 == hashlib.md5(b"anna:other.example:open sesame").hexdigest()


def test_no_password_stays() -> None:
    business = read(SMALL)
    assert "open sesame" not in repr(business)
    assert "open sesame" not in write_business(business)
    assert business.agents[0].endpoints[0].ha1_md5 not in repr(business)


def test_dates_mean_their_beginning_in_the_files_time_zone() -> None:
    dated = SMALL.replace('tariff = "minute"', 'tariff = "minute"\nvalid_from = 2025-01-01\nvalid_until = 2025-07-01')
    assert read(dated).contracts[0].validity == Validity(
        datetime(2024, 12, 31, 23, tzinfo=UTC), datetime(2025, 6, 30, 22, tzinfo=UTC)
    )
    lisbon = read('time_zone = "Europe/Lisbon"\n' + dated).contracts[0].validity
    assert lisbon.since == datetime(2025, 1, 1, tzinfo=UTC)


def test_a_time_with_an_offset_means_that_instant() -> None:
    dated = SMALL.replace('tariff = "minute"', 'tariff = "minute"\nvalid_from = 2025-01-01T08:00:00-05:00')
    assert read(dated).contracts[0].validity.since == datetime(2025, 1, 1, 13, tzinfo=UTC)


def test_a_file_from_windows_is_read_too() -> None:
    assert read("\ufeff" + SMALL.replace("\n", "\r\n")) == read(SMALL)


def test_an_empty_file_is_a_business_with_nothing() -> None:
    assert read("") == Business()


# -- round trip ------------------------------------------------------------------------------------------


def test_the_example_is_right_and_comes_back_as_it_was() -> None:
    business = read(EXAMPLE.read_text(encoding="utf-8"))
    ids = ["kanzlei-berger", "elektro-sommer", "praxis-winter", "autohaus-herbst"]
    assert [contract.id for contract in business.contracts] == ids
    written = write_business(business)
    assert read_business(written, "export", "another realm") == business
    assert write_business(read(written)) == written


names = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12)
prose = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("C", "Z"), include_characters=" \n\t"))
moments = st.none() | st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))
prices = st.decimals(0, 999999, places=6)
kinds: st.SearchStrategy[StepKind] = st.sampled_from(("agent", "group"))
strategies: st.SearchStrategy[Strategy] = st.sampled_from(("in_order", "ring_all"))
templates = st.sampled_from(("", "{customer}", "{{}} {greeting}: {caller}", 'a "quoted" \\ text'))


@st.composite
def validities(draw: st.DrawFn) -> Validity:
    since, until = draw(moments), draw(moments)
    if since is not None and until is not None and until <= since:
        return Validity(since, None)
    return Validity(since, until)


@st.composite
def businesses(draw: st.DrawFn) -> Business:
    agent_ids = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    agents = tuple(Agent(name, draw(names), draw(phones(name, number))) for number, name in enumerate(agent_ids))
    members = st.lists(st.sampled_from(agent_ids), min_size=1, unique=True).map(tuple)
    groups = tuple(
        Group(name, draw(names), draw(members)) for name in draw(st.lists(names, min_size=1, max_size=3, unique=True))
    )
    by_id = {group.id: group for group in groups}
    tariffs = tuple(
        TariffData(name, "CHF", (VersionTable.model_construct(per_minute=draw(prices), acceptance=draw(prices)),))
        for name in draw(st.lists(names, min_size=1, max_size=3, unique=True))
    )

    def step() -> Step:
        kind: StepKind = draw(kinds)
        target = draw(st.sampled_from(agent_ids if kind == "agent" else list(by_id)))
        seconds = draw(st.integers(1, 600))
        return Step(kind, target, draw(strategies), seconds, agents_of(kind, target, by_id))

    contracts = []
    for number, name in enumerate(draw(st.lists(names, max_size=4, unique=True))):
        held = (
            ContractNumber(f"+49302000{number}00", draw(validities())),
            ContractNumber(f"{number + 1}001"),
        )
        contracts.append(
            Contract(
                name,
                draw(names),
                draw(prose),
                draw(prose),
                draw(st.sampled_from(("de", "en-GB"))),
                held[: draw(st.integers(0, 2))],
                Validity(),
                tuple(step() for _ in range(draw(st.integers(1, 3)))),
                Refusal(draw(st.sampled_from(list(REFUSALS)))),
                draw(st.sampled_from(tariffs)).name,
                Presentation(draw(templates), draw(st.dictionaries(st.sampled_from(("X-A", "Subject")), templates))),
            )
        )
    return Business(tuple(contracts), agents, groups, tariffs)


@st.composite
def phones(draw: st.DrawFn, agent_id: str, number: int) -> tuple[Endpoint, ...]:
    hashes = draw(st.binary(min_size=16, max_size=16)).hex(), draw(st.binary(min_size=32, max_size=32)).hex()
    registering = Endpoint(agent_id, f"user{number}", "", draw(names.filter(_is_realm)), *hashes, ("SHA-256", "MD5"))
    fixed = Endpoint(agent_id, contact="sips:a@[2001:db8::1]:5061;transport=tls")
    return (registering, fixed)[: draw(st.integers(0, 2))]


def _is_realm(text: str) -> bool:
    return '"' not in text and "\\" not in text


@given(businesses())
def test_whatever_is_written_is_read_again_as_it_was(business: Business) -> None:
    written = write_business(business)
    tomllib.loads(written)
    assert read_business(written, "export", "another realm") == business
    assert write_business(business) == written


# -- faults ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            'group = "office"',
            'group = "night"',
            "20: contracts[1].plan[1].group: there is no group 'night'; there are: office",
        ),
        (
            'group = "office"',
            'agent = "ben"',
            "20: contracts[1].plan[1].agent: there is no agent 'ben'; there are: anna",
        ),
        (
            'tariff = "minute"',
            'tariff = "second"',
            "19: contracts[1].tariff: there is no tariff 'second'; there are: minute",
        ),
        ('tariff = "minute"\n', "", "15: contracts[1].tariff: is missing"),
        (
            'members = ["anna"]',
            'members = [\n"anna",\n"ben"]',
            "15: groups[1].members[2]: there is no agent 'ben'; there are: anna",
        ),
        ('members = ["anna"]', 'members = ["anna", "anna"]', "13: groups[1].members[2]: 'anna' is a member already"),
        ('members = ["anna"]', "members = []", "13: groups[1].members: must not be empty"),
        ('{ group = "office" }', "", "20: contracts[1].plan: must not be empty"),
        (
            '{ group = "office" }',
            "{}",
            "20: contracts[1].plan[1]: a step names an agent, a group or a skill: one of them",
        ),
        (
            'group = "office"',
            'group = "office", agent = "anna"',
            "20: contracts[1].plan[1]: a step names an agent, a group or a skill: one of them",
        ),
        (
            'group = "office"',
            'group = "office", ring_seconds = 0',
            "20: contracts[1].plan[1].ring_seconds: Input should be greater than or equal to 1",
        ),
        (
            'group = "office"',
            'group = "office", ring_seconds = "20"',
            "20: contracts[1].plan[1].ring_seconds: must be a whole number",
        ),
        (
            'group = "office"',
            'group = "office", strategy = "loudest"',
            "20: contracts[1].plan[1].strategy: Input should be 'longest_idle', 'round_robin', 'fewest_calls', "
            "'least_talk_time', 'ring_all', 'in_order' or 'random'",
        ),
        (
            '"+49302000100"',
            '"0302000100"',
            "18: contracts[1].target_numbers[1].number: '0302000100' is no target number: write it international, "
            "such as +49302000100, or an internal one, such as 1001",
        ),
        ('["+49302000100"]', "[1001]", "18: contracts[1].target_numbers[1]: must be a table"),
        (
            '["+49302000100"]',
            '["+49302000100", "+49 30 2000100"]',
            "18: contracts[1].target_numbers[2]: +49302000100 is kanzlei's at the same time, in line 18",
        ),
        (
            '"+49302000100"',
            '{ number = "+49302000100", valid_from = 2026-01-01, valid_until = 2026-01-01 }',
            "18: contracts[1].target_numbers[1].valid_until: is not after valid_from: the number would never be valid",
        ),
        (
            '"+49302000100"',
            '{ number = "+49302000100", valid_from = "tomorrow" }',
            "18: contracts[1].target_numbers[1].valid_from: must be a date or a date with time, without quotes, "
            "such as 2025-01-31",
        ),
        (
            'customer = "Kanzlei"',
            'customer = "Kanzlei"\nvalid_from = 0001-01-01',
            "18: contracts[1].valid_from: the year 1 is not of our time",
        ),
        (
            'customer = "Kanzlei"',
            'customer = "Kanzlei"\nvalid_from = 2026-01-01\nvalid_until = 2025-01-01',
            "19: contracts[1].valid_until: is not after valid_from: the contract would never be valid",
        ),
        (
            'customer = "Kanzlei"',
            'customer = "Kan\\u0000zlei"',
            "17: contracts[1].customer: must have no control characters, and no spaces at its ends",
        ),
        (
            'customer = "Kanzlei"',
            'customer = "K"\ngreeting = "\\u0000"',
            "18: contracts[1].greeting: must have no control characters but line ends and tabs",
        ),
        (
            'customer = "Kanzlei"',
            'customer = "K"\ngreting = "Hello"',
            "18: contracts[1].greting: is no key that belongs here",
        ),
        ('customer = "Kanzlei"', "customer = 7", "17: contracts[1].customer: must be text in quotation marks"),
        (
            'customer = "Kanzlei"',
            'customer = "K"\nif_nobody = { status = 302 }',
            "18: contracts[1].if_nobody.status: 302 is none of 404 not found, 480 temporarily unavailable, 486 busy, "
            "503 service unavailable, 600 busy everywhere, 603 declined",
        ),
        (
            'customer = "Kanzlei"',
            'customer = "K"\npresentation.display_name = "{cust}"',
            "18: contracts[1].presentation.display_name: {cust} in '{cust}' is no placeholder; there are {customer} "
            "{contract} {greeting} {caller} {target} {forwarded_from} {forwarding_kind} "
            "{colour} {call_id}",
        ),
        (
            'customer = "Kanzlei"',
            'customer = "K"\npresentation.headers = { Via = "x" }',
            "18: contracts[1].presentation.headers: 'Via' is no header to set here: X-... or one of Alert-Info, "
            "Call-Info, Organization, Priority, Subject",
        ),
        (
            'per_minute = "0.99"',
            "per_minute = 0.99",
            '3: tariffs[1].per_minute: must be a price in quotation marks, such as "0.99"',
        ),
        (
            'per_minute = "0.99"',
            'per_minute = "-1"',
            '3: tariffs[1].per_minute: must be a price in quotation marks, such as "0.99"',
        ),
        (
            'per_minute = "0.99"',
            'per_minute = "1"\nincrement = "60"',
            "4: tariffs[1].increment: '60' must be FIRST/FOLLOWING in seconds, both at least 1, such as 60/60",
        ),
        (
            "{ username",
            '{ contact = "sip:a@192.0.2.1", username',
            "8: agents[1].endpoints[1]: an endpoint has a username, a contact or a number: one of them",
        ),
        (
            'username = "anna", password = "open sesame"',
            "",
            "8: agents[1].endpoints[1]: an endpoint has a username, a contact or a number: one of them",
        ),
        (
            ', password = "open sesame"',
            "",
            "8: agents[1].endpoints[1]: a username needs a password, or ha1_md5 and ha1_sha256",
        ),
        (
            'username = "anna", password = "open sesame"',
            'contact = "anna@home"',
            "8: agents[1].endpoints[1].contact: is no SIP URI, such as sip:anna@192.0.2.10:5060",
        ),
        (
            'username = "anna"',
            'contact = "sip:anna@192.0.2.1"',
            "8: agents[1].endpoints[1].password: belongs to a username; nothing else is asked who it is",
        ),
        (
            'password = "open sesame"',
            'ha1_md5 = "0123456789abcdef0123456789abcdef", algorithms = ["MD5", "SHA-256"]',
            "8: agents[1].endpoints[1].algorithms[2]: SHA-256 needs ha1_sha256",
        ),
        (
            'password = "open sesame"',
            'ha1_md5 = "XYZ"',
            "8: agents[1].endpoints[1].ha1_md5: must be lower-case hexadecimal: 32 digits for MD5, 64 for SHA-256",
        ),
        (
            'password = "open sesame"',
            'password = "p", ha1_md5 = "0123456789abcdef0123456789abcdef"',
            "8: agents[1].endpoints[1].ha1_md5: stands for a password; there is one already",
        ),
        (
            'password = "open sesame"',
            'password = "p", algorithms = ["MD5", "MD5"]',
            "8: agents[1].endpoints[1].algorithms: names an algorithm twice",
        ),
        (
            'name = "minute"\n',
            'name = "minute"\nper_minute = "1"\n\n[[tariffs]]\nname = "minute"\n',
            "6: tariffs[2].name: 'minute' is the name of another one, in line 2",
        ),
    ],
)
def test_each_fault_is_told_with_its_line(old: str, new: str, expected: str) -> None:
    text = SMALL.replace(old, new, 1)
    assert text != SMALL
    assert faults(text) == [f"contracts.toml:{expected}"]


def test_every_fault_is_told_at_once_and_none_hides_another() -> None:
    text = """\
[[contracts]]
id = "a"
customer = 7
target_numbers = ["030 1"]
tariff = "none"
plan = [
    { agent = "ben", ring_seconds = 1000 },
    { group = "night" },
]

[[contracts]]
id = "a"
customer = "A"
tariff = "none"
plan = []
"""
    assert [fault.split(":")[1] for fault in faults(text)] == ["3", "4", "5", "7", "7", "8", "12", "14", "15"]


def test_one_number_belongs_to_one_contract_at_a_time() -> None:
    second = (
        SMALL
        + """
[[contracts]]
id = "elektro"
customer = "Elektro"
target_numbers = [
    "+49302000101",
    { number = "+49302000100", valid_from = 2026-01-01 },
]
tariff = "minute"
plan = [{ agent = "anna" }]
"""
    )
    message = (
        "contracts.toml:27: contracts[2].target_numbers[2]: +49302000100 is kanzlei's at the same time, in line 18"
    )
    assert faults(second) == [message]
    handed_over = second.replace('"+49302000100"]', '{ number = "+49302000100", valid_until = 2026-01-01 }]')
    assert len(read(handed_over).contracts) == 2
    a_moment_too_long = handed_over.replace("valid_until = 2026-01-01", "valid_until = 2026-01-01T00:00:01")
    assert faults(a_moment_too_long) == [message]
    ended_contract = second.replace('customer = "Kanzlei"', 'customer = "Kanzlei"\nvalid_until = 2026-01-01')
    assert len(read(ended_contract).contracts) == 2


def test_a_number_outside_of_its_contracts_time_is_a_mistake() -> None:
    text = SMALL.replace(
        '["+49302000100"]', '[{ number = "+49302000100", valid_from = 2027-01-01 }]\nvalid_until = 2026-01-01'
    )
    assert faults(text) == [
        "contracts.toml:18: contracts[1].target_numbers[1]: +49302000100 would never be valid: "
        "its time is outside of the contract's"
    ]


def test_names_and_usernames_are_taken_once() -> None:
    text = (
        SMALL
        + """
[[agents]]
id = "anna"
name = "Anna the second"
endpoints = [
    { contact = "sip:anna@192.0.2.1" },
    { username = "anna", password = "p" },
]

[[groups]]
id = "office"
name = "Office"
members = ["anna"]

[[contracts]]
id = "kanzlei"
customer = "Kanzlei"
tariff = "minute"
plan = [{ agent = "anna" }]
"""
    )
    assert faults(text) == [
        "contracts.toml:23: agents[2].id: 'anna' is the id of another one, in line 6",
        "contracts.toml:27: agents[2].endpoints[2].username: the username 'anna' is taken, in line 8",
        "contracts.toml:31: groups[2].id: 'office' is the id of another one, in line 11",
        "contracts.toml:36: contracts[2].id: 'kanzlei' is the id of another one, in line 16",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a = 1\nb = \n", "contracts.toml:2: Invalid value"),
        (
            "time_zone = 'Mars/Olympus'",
            "contracts.toml:1: time_zone: 'Mars/Olympus' is no time zone, such as Europe/Berlin",
        ),
        (
            "time_zone = '../../etc/passwd'",
            "contracts.toml:1: time_zone: '../../etc/passwd' is no time zone, such as Europe/Berlin",
        ),
        ("time_zone = 'Europe'", "contracts.toml:1: time_zone: 'Europe' is no time zone, such as Europe/Berlin"),
        ("contracts = 1", "contracts.toml:1: contracts: must be an array: [ ... ]"),
        ("agents = ['anna']", "contracts.toml:1: agents[1]: must be a table"),
        ("customers = []", "contracts.toml:1: customers: is no key that belongs here"),
        ("a = " + "[" * 100_000, "contracts.toml: is nested too deeply"),
    ],
)
def test_a_file_of_another_shape_is_refused(text: str, fault: str) -> None:
    assert faults(text) == [fault]


@pytest.mark.parametrize(
    "template",
    ["{customer.__class__}", "{customer!r}", "{caller:>99999999}", "{0}", "{}", "{", "}", "{a[0]}", "a\\nb"],
)
def test_a_template_is_placeholders_and_text_and_nothing_that_runs(template: str) -> None:
    text = SMALL.replace('tariff = "minute"', f'tariff = "minute"\npresentation.display_name = "{template}"')
    assert [fault.split(":")[1] for fault in faults(text)] == ["20"]


@pytest.mark.parametrize("broken", ['password = 7, pin = "open sesame"', 'ha1_md5 = "open sesame"', 'realm = "\\n"'])
def test_no_fault_tells_a_secret(broken: str) -> None:
    text = SMALL.replace('password = "open sesame"', f'{broken}, algorithms = ["open"]')
    with pytest.raises(BusinessError) as caught:
        read(text)
    assert "sesame" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@given(st.text(max_size=40), st.integers(0, len(SMALL)))
def test_no_file_does_more_than_be_refused(text: str, position: int) -> None:
    try:
        read(SMALL[:position] + text + SMALL[position:])
    except BusinessError as error:
        refused = error.faults
    else:
        return
    assert refused
