"""The floor and those who wait, as SIPp plays them: up to three agents, callers one after the other.

``rules`` are lines of a contract in the business file, with ``$first``, ``$second``, ``$third`` for agents, ``$all``
for their group, ``$skill`` for a skill and ``$out`` for a number that is reached over the trunk.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ANSWERED = ("answered", "caller_hung_up")
ABANDONED = ("abandoned", "caller_hung_up")
NOBODY = ("no_agent", "nobody_available")
_BYE = '<recv request="BYE" timeout="5000"/>'
_TALK = '<pause milliseconds="300"/>'
#: How much later than planned something may be seen, seconds: machines that are busy are slow.
SLACK = 3.0


@dataclass(frozen=True, slots=True)
class Caller:
    """One caller and what must be on record of him.

    ``after`` are seconds since the one before had heard anything but 100. ``waited`` and ``talked`` are the least
    seconds on record: until an agent took the call, or it ended, and from then on; there may be :data:`SLACK` more.
    ``units`` of the increment are billed. ``heard`` are packets of sound that reach him at least, for which his phone
    echoes them; ``keys`` are pressed these seconds after the answer by one who speaks all the time. ``accepted`` says
    that we have answered him ourselves. ``agent`` is the name of who took the call; "any" if it does not matter.
    """

    scenario: str = "uac-basic"
    record: tuple[str, str] = ANSWERED
    agent: str = ""
    after: float = 0.0
    waited: float = 0.0
    talked: float = 0.0
    units: int = 0
    accepted: bool = False
    heard: int = 0
    keys: tuple[tuple[float, str], ...] = ()
    contract: str = "own"
    fill: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FloorCase:
    """One behaviour of the floor. ``phones`` are what the agents' phones play, each as often as it is rung, and
    ``rings`` how often that must be. ``more`` are further lines of agents, by name; ``group`` those of the group.
    ``second_rules`` are those of a second contract. ``whispered`` are packets that the agent's phone must hear before
    anybody talks. ``over_trunk`` says that another number is called, with these headers. ``message`` is a mailbox in
    which a message must lie."""

    name: str
    callers: tuple[Caller, ...]
    rules: str
    phones: tuple[str, ...] = ("uas-basic",)
    rings: tuple[int, ...] = (1,)
    more: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    second_rules: str = ""
    whispered: int = 0
    over_trunk: Mapping[str, str] = field(default_factory=dict)
    message: str = ""
    fill: Mapping[str, str] = field(default_factory=dict)


def _pause(seconds: float) -> dict[str, str]:
    return {_TALK: f'<pause milliseconds="{round(seconds * 1000)}"/>'}


def talks(agent: str, seconds: float = 0.3, **more: Any) -> Caller:
    """Who hears it ring, talks to an agent for so long, and hangs up."""
    words: dict[str, Any] = {"units": 1, "fill": _pause(seconds), "talked": seconds - 0.1}
    return Caller(agent=agent, **words | more)


def stays(agent: str, seconds: float, **more: Any) -> Caller:
    """Who is answered by us, hangs up so long after that, and has talked to an agent by then."""
    words: dict[str, Any] = {"units": 1, "fill": _pause(seconds), "talked": 0.1}
    return Caller(agent=agent, accepted=True, **words | more)


def gives_up(seconds: float, **more: Any) -> Caller:
    """Who hangs up after waiting for so long, having been answered by us."""
    return Caller(record=ABANDONED, accepted=True, fill=_pause(seconds), waited=seconds - 0.1, **more)


def refused(status: int, **more: Any) -> Caller:
    """Who is told a status."""
    fill = {"@STATUS@": str(status), "@CHECK@": "", "@REFERENCE@": ""}
    return Caller("uac-refused", NOBODY, fill=fill, **more)


def hung_up_on(reason: str, **more: Any) -> Caller:
    """Who is answered, told something, and hung up on."""
    fill = {_BYE: '<recv request="BYE" timeout="15000"/>'}
    return Caller("uac-waits-for-bye", ("no_agent", reason), accepted=True, fill=fill, **more)


def queue(plan: str, more: str = "", waiting: str = 'answering = "answer_at_once"\nmusic = "music"') -> str:
    """A contract whose callers wait."""
    return f"plan = [{plan}]\n{more}\n[contracts.waiting]\n{waiting}\n"


RING_THROUGH = 'answering = "ring_through"\n'
_AT_ONCE = 'answering = "answer_at_once"\nmusic = "music"\n'
_FIRST = '{ agent = "$first", ring_seconds = 10, patience_seconds = 20 }'
_IN_ORDER = '{ group = "$all", strategy = "in_order", ring_seconds = 10, patience_seconds = 20 }'

FLOOR_CASES = (
    # -- offers ------------------------------------------------------------------------------------------
    FloorCase("decline goes to the next agent", (stays("second", 1.0),), queue(_IN_ORDER),
              ("uas-declines", "uas-basic"), (1, 1)),
    # -- waiting -----------------------------------------------------------------------------------------
    FloorCase("caller is answered at once, waits, and gets the agent who comes free",
              (stays("first", 1.8), stays("first", 2.5, after=0.5, waited=1.0, heard=20)), queue(_FIRST), rings=(2,)),
)  # fmt: skip
