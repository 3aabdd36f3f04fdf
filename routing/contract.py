"""The values of the business: contracts, agents and their endpoints, groups. Immutable; calls keep them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from routing.plan import Refusal, Step, StepKind

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})

#: What may stand in braces in a presentation's texts.
PLACEHOLDERS = ("customer", "contract", "greeting", "caller", "target", "forwarded_from", "forwarding_kind")


@dataclass(frozen=True, slots=True)
class Validity:
    """From when to when something holds: ``since`` inclusive, ``until`` exclusive; None is unbounded.

    Both are aware datetimes.
    """

    since: datetime | None = None
    until: datetime | None = None

    def covers(self, at: datetime) -> bool:
        """True if it holds at this moment."""
        return (self.since is None or self.since <= at) and (self.until is None or at < self.until)

    def within(self, other: "Validity") -> "Validity":
        """The time in which both hold; may be empty."""
        since = max((time for time in (self.since, other.since) if time is not None), default=None)
        until = min((time for time in (self.until, other.until) if time is not None), default=None)
        return Validity(since, until)

    @property
    def empty(self) -> bool:
        """True if it never holds."""
        return self.since is not None and self.until is not None and self.until <= self.since

    def __str__(self) -> str:
        if self.since is None and self.until is None:
            return "always"
        parts = []
        if self.since is not None:
            parts.append(f"from {self.since.isoformat(' ', 'minutes')}")
        if self.until is not None:
            parts.append(f"until {self.until.isoformat(' ', 'minutes')}")
        return " ".join(parts)


ALWAYS = Validity()
_TRY_LATER = Refusal(480)


@dataclass(frozen=True, slots=True)
class ContractNumber:
    """One target number of a contract and when it is the contract's."""

    number: str
    validity: Validity = ALWAYS


@dataclass(frozen=True, slots=True)
class Presentation:
    """What the agent's phone shows for this contract, instead of the server's own choice where not empty.

    Texts may hold the ``PLACEHOLDERS`` in braces.
    """

    display_name: str = ""
    headers: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS)


@dataclass(frozen=True, slots=True)
class Contract:
    """One customer's agreement: whose call it is, what the agent says, and who takes it.

    ``tariff`` is the name of a tariff; accounting knows what it means.
    """

    id: str
    customer: str
    greeting: str = ""
    instructions: str = ""
    language: str = "de"
    target_numbers: tuple[ContractNumber, ...] = ()
    validity: Validity = ALWAYS
    plan: tuple[Step, ...] = ()
    if_nobody: Refusal = _TRY_LATER
    tariff: str = ""
    presentation: Presentation = Presentation()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One phone of an agent: a registering ``username``, or a fixed ``contact`` (a SIP URI); never both.

    HA1 values are lower-case hexadecimal of ``username:realm:password`` (RFC 7616 section 3.4.2).
    ``algorithms`` are what a challenge offers, in this order (RFC 8760 section 2.4).
    """

    agent_id: str
    username: str = ""
    contact: str = ""
    realm: str = ""
    ha1_md5: str = field(default="", repr=False)
    ha1_sha256: str = field(default="", repr=False)
    algorithms: tuple[str, ...] = ("MD5",)


@dataclass(frozen=True, slots=True)
class Agent:
    """A person who takes calls at one or more endpoints."""

    id: str
    name: str
    endpoints: tuple[Endpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """A named set of agents; the order of ``members`` (agent ids) is the order of ringing."""

    id: str
    name: str
    members: tuple[str, ...] = ()


def agents_of(kind: StepKind, target: str, groups: Mapping[str, Group]) -> tuple[str, ...]:
    """The agents that a step's target stands for: the agent itself, or the group's members."""
    if kind == "agent":
        return (target,)
    group = groups.get(target)
    return () if group is None else group.members
