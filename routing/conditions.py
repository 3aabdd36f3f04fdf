"""What depends on the moment, the caller and the kind of forwarding: variants of a contract, VIP and blocked callers.

None of it ever chooses the contract, which is the dialled number's alone: a caller's number is easily forged, so it
may only add service within the contract or refuse the call.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import TypeVar
from zoneinfo import ZoneInfo

from routing.hours import OWN, Rule, Schedule
from routing.plan import Announce, Destination, Refusal, Step

#: What a caller's pattern says for those who show no number.
ANONYMOUS_CALLER = "anonymous"

HIGHEST_PRIORITY = 10

_NO_GREETINGS: Mapping[str, str] = MappingProxyType({})
_DECLINED = Refusal(603)


@dataclass(frozen=True, slots=True)
class Variant:
    """A contract at certain hours, or for certain VIP callers: what is given replaces the contract's own.

    ``when`` empty: never by the hour, only for who is sent here. ``plan`` empty: nobody rings, the caller goes where
    ``overflow`` or ``if_nobody`` say. ``greetings`` are by kind of forwarding (``routing.forwarding.ForwardingKind``).
    """

    name: str
    when: tuple[Rule, ...] = ()
    greeting: str = ""
    greetings: Mapping[str, str] = field(default_factory=lambda: _NO_GREETINGS)
    plan: tuple[Step, ...] | None = None
    if_nobody: Refusal | None = None
    overflow: Destination | None = None


@dataclass(frozen=True, slots=True)
class VipCaller:
    """Callers who get more: a ``priority`` (0 to 10) on top of the contract's, and the plan of a ``variant``.

    ``pattern`` is a number in E.164, or the beginning of one with ``*`` after it.
    """

    pattern: str
    priority: int = 0
    variant: str = ""


@dataclass(frozen=True, slots=True)
class BlockedCaller:
    """Callers who are refused with 603, or hear an announcement. ``pattern`` may be ``anonymous`` too."""

    pattern: str
    announcement: str = ""


@dataclass(frozen=True, slots=True)
class Conditions:
    """All conditions of one contract. ``state`` is the German state whose public holidays count, "" for none."""

    time_zone: str = "Europe/Berlin"
    state: str = ""
    opening_hours: tuple[Rule, ...] = ()
    variants: tuple[Variant, ...] = ()
    greetings: Mapping[str, str] = field(default_factory=lambda: _NO_GREETINGS)
    vip_callers: tuple[VipCaller, ...] = ()
    blocked_callers: tuple[BlockedCaller, ...] = ()
    #: the hours of the contract's own plan and of the variants
    schedule: Schedule = field(init=False, repr=False, compare=False)
    _vips: Mapping[str, VipCaller] = field(init=False, repr=False, compare=False)
    _blocked: Mapping[str, BlockedCaller] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        hours = ((OWN, self.opening_hours), *((item.name, item.when) for item in self.variants))
        object.__setattr__(self, "schedule", Schedule(ZoneInfo(self.time_zone), self.state, hours))
        # by pattern: thousands may be blocked, and every call asks
        object.__setattr__(self, "_vips", {item.pattern: item for item in self.vip_callers})
        object.__setattr__(self, "_blocked", {item.pattern: item for item in self.blocked_callers})

    def vip(self, number: str) -> VipCaller | None:
        """What fits a caller's number best: the number itself, else the longest beginning."""
        return _most_specific(self._vips, number)

    def blocked(self, number: str) -> BlockedCaller | None:
        """The same of the blocked callers."""
        return _most_specific(self._blocked, number)

    def variant(self, name: str) -> Variant | None:
        """The variant of that name; None for the contract's own."""
        return next((item for item in self.variants if item.name == name), None)


UNCONDITIONAL = Conditions()


@dataclass(frozen=True, slots=True)
class Effective:
    """What holds for one call. ``refused`` is what a blocked caller gets; ``why`` tells each decision in a sentence."""

    greeting: str
    plan: tuple[Step, ...]
    if_nobody: Refusal
    overflow: Destination | None = None
    priority: int = 0
    refused: Refusal | Announce | None = None
    variant: str = OWN
    why: tuple[str, ...] = ()


def effective(conditions: Conditions, own: Effective, moment: datetime, caller: str, kind: str) -> Effective:
    """What becomes of a contract's ``own`` values at an aware datetime.

    ``caller`` is in E.164, ``anonymous``, or "" if unknown; ``kind`` is the kind of forwarding, "" for none.
    """
    why = []
    choice = conditions.schedule.at(moment)
    variant = conditions.variant(choice.variant)
    why.append(f"{_titled(variant)}: {choice}")
    vip, blocked = conditions.vip(caller), conditions.blocked(caller)
    refused: Refusal | Announce | None = None
    if blocked is not None and (vip is None or _specificity(vip.pattern) <= _specificity(blocked.pattern)):
        refused = Announce(blocked.announcement) if blocked.announcement else _DECLINED
        why.append(f"the caller is blocked by {blocked.pattern}: {refused}")
        vip = None
    priority = 0
    if vip is not None:
        priority = vip.priority
        why.append(f"the caller is a VIP by {vip.pattern}: priority {priority} more")
        if vip.variant:
            variant = conditions.variant(vip.variant)
            why.append(f"{_titled(variant)}: for this VIP, at any hour")
    plan, if_nobody, overflow = own.plan, own.if_nobody, own.overflow
    if variant is not None:
        plan = plan if variant.plan is None else variant.plan
        if variant.if_nobody is not None:
            # told a status by this variant, and not what the contract's own way out is
            if_nobody, overflow = variant.if_nobody, None
        overflow = variant.overflow or overflow
    greeting, source = _greeting(conditions, own, variant, kind)
    if source:
        why.append(source)
    name = OWN if variant is None else variant.name
    return Effective(greeting, plan, if_nobody, overflow, priority, refused, name, tuple(why))


def _greeting(conditions: Conditions, own: Effective, variant: Variant | None, kind: str) -> tuple[str, str]:
    """The most specific greeting, and why: the variant's for the kind, the variant's, the contract's for the kind."""
    if variant is not None:
        if kind in variant.greetings:
            return variant.greetings[kind], f"greeting of {_titled(variant)} for {kind}"
        if variant.greeting:
            return variant.greeting, f"greeting of {_titled(variant)}"
    if kind in conditions.greetings:
        return conditions.greetings[kind], f"the contract's greeting for {kind}"
    return own.greeting, ""


def _titled(variant: Variant | None) -> str:
    return "the contract's own plan" if variant is None else f"variant {variant.name}"


# -- callers ---------------------------------------------------------------------------------------------

_Caller = TypeVar("_Caller", VipCaller, BlockedCaller)


def _most_specific(callers: Mapping[str, _Caller], number: str) -> _Caller | None:
    if not number or not callers:
        return None
    if number in callers:
        return callers[number]
    for length in range(len(number), -1, -1):
        found = callers.get(f"{number[:length]}*")
        if found is not None:
            return found
    return None


def _specificity(pattern: str) -> tuple[bool, int]:
    return not pattern.endswith("*"), len(pattern)
