"""The values of the business: contracts, agents and their endpoints, groups. Immutable; calls keep them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Literal

from routing.conditions import HIGHEST_PRIORITY, UNCONDITIONAL, Conditions, Effective, effective
from routing.plan import LOWEST_LEVEL, Announce, Destination, NextStep, Overflow, Refusal, Step, StepKind

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_NO_EXITS: Mapping[str, Overflow] = MappingProxyType({})
_NO_LEVELS: Mapping[str, int] = MappingProxyType({})
_NEXT_STEP = NextStep()

Answering = Literal["ring_through", "answer_at_once"]
Ringing = Literal["together", "in_order"]

#: What may stand in braces in a presentation's texts.
PLACEHOLDERS = (
    "customer", "contract", "greeting", "caller", "target", "forwarded_from", "forwarding_kind", "colour", "call_id",
)  # fmt: skip


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
class Waiting:
    """How a contract's callers wait, where its plan lets them.

    ``priority`` (0 to 10) goes before lower ones in the queues of agents whom contracts share; waiting makes up for
    it, see ``FloorRules.seconds_per_priority``. ``most_callers`` wait at a time, each for ``longest_seconds`` in all;
    0 is no limit. ``exits`` are what digits do while a caller waits. Intervals in seconds, 0 is never:
    ``position_seconds`` of position and expected wait, ``comfort_seconds`` of comfort announcements. Sounds are
    named as in the sound library; who is answered at once hears ``greeting_sound``, then ``music``.
    """

    priority: int = 0
    most_callers: int = 0
    if_full: Overflow = _NEXT_STEP
    longest_seconds: int = 0
    if_too_long: Overflow = _NEXT_STEP
    exits: Mapping[str, Overflow] = field(default_factory=lambda: _NO_EXITS)
    answering: Answering = "ring_through"
    greeting_sound: str = ""
    music: str = ""
    position_seconds: int = 0
    comfort_seconds: int = 0
    comfort_sound: str = ""


_NO_WAITING_RULES = Waiting()


@dataclass(frozen=True, slots=True)
class Contract:
    """One customer's agreement: whose call it is, what the agent says, and who takes it.

    ``tariff`` is the name of a tariff; accounting knows what it means. ``overflow`` is where a caller goes when
    the plan is used up, None if the caller is told ``if_nobody``. ``wrap_up_seconds`` is an agent's time for
    after-call work, unless the agent has an own one. ``whisper`` is a sound that the agent hears before the
    caller is joined. ``colour`` (``#rrggbb``) is for the agent's screen. ``conditions`` say what is otherwise at some
    hours or for some callers.
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
    waiting: Waiting = _NO_WAITING_RULES
    overflow: Destination | None = None
    wrap_up_seconds: int = 0
    whisper: str = ""
    colour: str = ""
    conditions: Conditions = UNCONDITIONAL

    def effective(self, moment: datetime, caller: str = "", forwarding_kind: str = "") -> Effective:
        """What holds for one call at an aware datetime.

        ``caller`` is a number in E.164, ``anonymous``, or "" if unknown; ``forwarding_kind`` is "" for none.
        """
        own = Effective(self.greeting, self.plan, self.if_nobody, self.overflow)
        if self.conditions is UNCONDITIONAL:
            return own
        return effective(self.conditions, own, moment, caller, forwarding_kind)

    def under(self, effective: Effective) -> "Contract":
        """This contract as it is for one call: the same but for greeting, plan, ways out and priority."""
        if self.conditions is UNCONDITIONAL:
            return self
        if isinstance(effective.refused, Announce):
            # nobody rings and nobody is greeted
            return replace(self, plan=(), overflow=effective.refused, waiting=_NO_WAITING_RULES)
        priority = min(self.waiting.priority + effective.priority, HIGHEST_PRIORITY)
        return replace(
            self,
            greeting=effective.greeting,
            plan=effective.plan,
            if_nobody=effective.if_nobody,
            overflow=effective.overflow,
            waiting=self.waiting if priority == self.waiting.priority else replace(self.waiting, priority=priority),
        )


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One phone of an agent: a registering ``username``, a fixed ``contact`` (a SIP URI), or a ``number`` (E.164) of
    the public network, which is called over the trunk; one of them.

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
    number: str = ""


#: How long each of an agent's endpoints rings that ring in order.
ENDPOINT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Agent:
    """A person who takes calls at one or more endpoints.

    ``skills`` are levels by skill, 1 to 10. ``wrap_up_seconds`` is for after-call work, None if the contract says.
    The endpoints ring together, or one after the other: each for ``endpoint_seconds``, the last one as long as
    the offer stands.
    """

    id: str
    name: str
    endpoints: tuple[Endpoint, ...] = ()
    skills: Mapping[str, int] = field(default_factory=lambda: _NO_LEVELS)
    wrap_up_seconds: int | None = None
    ring: Ringing = "together"
    endpoint_seconds: int = ENDPOINT_SECONDS


@dataclass(frozen=True, slots=True)
class Group:
    """A named set of agents; the order of ``members`` (agent ids) is the order of ringing.

    ``tiers`` are by agent id, 1 to 10, 1 for who is not named: a later tier is asked when nobody of an earlier
    one is free.
    """

    id: str
    name: str
    members: tuple[str, ...] = ()
    tiers: Mapping[str, int] = field(default_factory=lambda: _NO_LEVELS)


_NO_AGENTS: Mapping[str, Agent] = MappingProxyType({})


def agents_of(
    kind: StepKind,
    target: str,
    groups: Mapping[str, Group],
    agents: Mapping[str, Agent] = _NO_AGENTS,
    level: int = LOWEST_LEVEL,
) -> tuple[str, ...]:
    """The agents that a step's target stands for: the agent itself, the group's members, who has the skill."""
    if kind == "agent":
        return (target,)
    if kind == "skill":
        return tuple(agent.id for agent in agents.values() if agent.skills.get(target, 0) >= level)
    group = groups.get(target)
    return () if group is None else group.members
