"""The shape of the business file: which keys there are, and what each may hold by itself.

What the parts say about each other is in ``routing.business_checks``.
"""

import re
from collections.abc import Mapping
from string import Formatter
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    StringConstraints,
)

from routing.business_endpoints import EndpointTable
from routing.business_fields import STRICT, Moment, Name, printable, refusal_status
from routing.business_lines import LineTable
from routing.business_steps import StepTable
from routing.business_tariffs import TariffTable
from routing.business_waiting import AgentRules, GroupRules, WaitingRules
from routing.business_ways import DestinationTable, Sound
from routing.conditions import ANONYMOUS_CALLER, HIGHEST_PRIORITY
from routing.contract import PLACEHOLDERS
from routing.forwarding import ForwardingKind
from routing.hours import STATES, parse_rule
from routing.numbers import target_number

DEFAULT_TIME_ZONE = "Europe/Berlin"

#: Headers, besides those beginning with ``X-``, that a presentation may set; the others are the exchange's own.
KNOWN_HEADERS = ("Alert-Info", "Call-Info", "Organization", "Priority", "Subject")

_EXTENSION_HEADER = re.compile(r"[Xx](-[A-Za-z0-9]{1,32}){1,8}", re.ASCII)
_CALLER = re.compile(r"\+[1-9][0-9]{0,14}\*?", re.ASCII)
_SEPARATORS = str.maketrans("", "", "-.()/ ")


def _prose(value: str) -> str:
    if any(not (character.isprintable() or character in "\n\t") for character in value):
        raise ValueError("must have no control characters but line ends and tabs")
    return value


def _number(value: str) -> str:
    number = target_number(value)
    if number is None:
        raise ValueError(
            f"{value!r} is no target number: write it international, such as +49302000100, "
            "or an internal one, such as 1001"
        )
    return number


def _time_zone(value: str) -> str:
    time_zone(value)
    return value


def time_zone(name: str) -> ZoneInfo:
    """The zone of that name in the IANA database. Raises ``ValueError``."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone, such as Europe/Berlin") from None


def _template(value: str) -> str:
    try:
        fields = [(name, spec, conversion) for _, name, spec, conversion in Formatter().parse(value)]
    except ValueError as error:
        raise ValueError(f"{value!r}: {error}; a brace itself is written {{{{ or }}}}") from None
    for name, spec, conversion in fields:
        if name is not None and (name not in PLACEHOLDERS or spec or conversion):
            known = " ".join(f"{{{word}}}" for word in PLACEHOLDERS)
            raise ValueError(f"{{{name}}} in {value!r} is no placeholder; there are {known}")
    return printable(value)


def _headers(value: dict[str, str]) -> dict[str, str]:
    lowered = set()
    for name, template in value.items():
        if not _EXTENSION_HEADER.fullmatch(name) and name not in KNOWN_HEADERS:
            raise ValueError(f"{name!r} is no header to set here: X-... or one of {', '.join(KNOWN_HEADERS)}")
        if name.lower() in lowered:
            raise ValueError(f"{name!r} is there twice")
        lowered.add(name.lower())
        _template(template)
    return value


def _rule(value: str) -> str:
    return str(parse_rule(value))


def _state(value: str) -> str:
    if value not in STATES:
        raise ValueError(f"{value!r} is no German state; there are {', '.join(STATES)}")
    return value


def _caller(value: str) -> str:
    pattern = value.translate(_SEPARATORS)
    if not _CALLER.fullmatch(pattern):
        raise ValueError(
            f"{value!r} is no caller: write the number international, such as +491713920012, "
            "or its beginning, such as +4990*"
        )
    return pattern


def _caller_or_anonymous(value: str) -> str:
    return value if value == ANONYMOUS_CALLER else _caller(value)


def _as_table(value: object) -> object:
    return {"number": value} if isinstance(value, str) else value


Title = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(printable)]
Prose = Annotated[str, StringConstraints(max_length=20_000), AfterValidator(_prose)]
Template = Annotated[str, StringConstraints(max_length=500), AfterValidator(_template)]
HoursRule = Annotated[str, StringConstraints(max_length=200), AfterValidator(_rule)]
Zone = Annotated[str, AfterValidator(_time_zone)]


class _Table(BaseModel):
    model_config = STRICT


class NumberTable(_Table):
    """``"+49..."``, or the same with its validity."""

    number: Annotated[str, StringConstraints(max_length=64), AfterValidator(_number)]
    valid_from: Moment | None = None
    valid_until: Moment | None = None


class RefusalTable(_Table):
    """What the caller is told when nobody answers."""

    status: Annotated[int, AfterValidator(refusal_status)] = 480


class PresentationTable(_Table):
    """Texts for the agent's phone, with placeholders."""

    display_name: Template = ""
    headers: Annotated[dict[str, str], Field(max_length=16), AfterValidator(_headers)] = {}


class VariantTable(_Table):
    """One of ``[[contracts.variants]]``: what is otherwise at some hours, or for some callers."""

    name: Name
    when: list[HoursRule] = Field(default=[], max_length=1000)
    greeting: Prose = ""
    greetings: dict[ForwardingKind, Prose] = {}
    plan: list[StepTable] | None = Field(default=None, max_length=100)
    if_nobody: RefusalTable | None = None
    overflow: DestinationTable | None = None


class VipTable(_Table):
    """A caller, or the beginning of a number, with what it is given."""

    number: Annotated[str, StringConstraints(max_length=64), AfterValidator(_caller)]
    priority: int = Field(default=0, ge=0, le=HIGHEST_PRIORITY)
    variant: Name | None = None


class BlockedTable(_Table):
    """``"+4990*"``, or the same with an announcement instead of 603."""

    number: Annotated[str, StringConstraints(max_length=64), AfterValidator(_caller_or_anonymous)]
    announcement: Sound | None = None


class ConditionsTable(_Table):
    """What of a contract depends on hours, callers and kinds of forwarding."""

    time_zone: Zone | None = None
    public_holidays: Annotated[str, AfterValidator(_state)] | None = None
    opening_hours: list[HoursRule] = Field(default=[], max_length=1000)
    greetings: dict[ForwardingKind, Prose] = {}
    variants: list[VariantTable] = Field(default=[], max_length=50)
    vip_callers: list[VipTable] = Field(default=[], max_length=10_000)
    blocked_callers: list[Annotated[BlockedTable, BeforeValidator(_as_table)]] = Field(default=[], max_length=10_000)


class ContractTable(ConditionsTable, WaitingRules):
    """One of ``[[contracts]]``."""

    id: Name
    customer: Title
    greeting: Prose = ""
    instructions: Prose = ""
    language: str = Field(default="de", pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}\z")
    target_numbers: list[Annotated[NumberTable, BeforeValidator(_as_table)]] = []
    valid_from: Moment | None = None
    valid_until: Moment | None = None
    plan: list[StepTable] = Field(min_length=1, max_length=100)
    if_nobody: RefusalTable = RefusalTable()
    tariff: Name
    presentation: PresentationTable = PresentationTable()
    colour: str | None = Field(default=None, pattern=r"^#[0-9A-Fa-f]{6}\z")


class AgentTable(AgentRules):
    """One of ``[[agents]]``."""

    id: Name
    name: Title
    endpoints: list[EndpointTable] = Field(default=[], max_length=10)


class GroupTable(GroupRules):
    """One of ``[[groups]]``."""

    id: Name
    name: Title
    members: list[Name] = Field(min_length=1)


class BusinessFile(_Table):
    """The whole file. ``time_zone`` is where its dates, and times without an offset, are meant."""

    time_zone: Zone = DEFAULT_TIME_ZONE
    contracts: list[ContractTable] = []
    agents: list[AgentTable] = []
    groups: list[GroupTable] = []
    tariffs: list[TariffTable] = []
    lines: list[LineTable] = []


#: Pydantic's words for what a back office need not know Python for.
_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is no key that belongs here",
    "string_type": "must be text in quotation marks",
    "int_type": "must be a whole number",
    "list_type": "must be an array: [ ... ]",
    "date_type": "must be a date without quotes, such as 2025-12-25",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
}


def in_words(error: Mapping[str, Any]) -> str:
    """One of pydantic's errors as a sentence about the value, without the value where it may be secret."""
    kind = error["type"]
    if kind == "string_pattern_mismatch" and str(error["loc"][-1]).startswith("ha1_"):
        return "must be lower-case hexadecimal: 32 digits for MD5, 64 for SHA-256"
    if kind == "string_pattern_mismatch" and error["loc"][-1] == "colour":
        return 'must be a colour such as "#1e6fba"'
    if kind == "too_short":
        return "must not be empty"
    message: str = error["msg"]
    return _WORDS.get(kind) or message.removeprefix("Value error, ")
