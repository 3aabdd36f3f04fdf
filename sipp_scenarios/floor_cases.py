"""The floor and those who wait, as SIPp plays them: up to three agents, callers one after the other.

``rules`` are lines of a contract in the business file, with ``$first``, ``$second``, ``$third`` for agents, ``$all``
for their group, ``$others`` for that of all but the first, ``$skill`` for a skill and ``$out`` for a number that is
reached over the trunk.
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
    that we have answered him ourselves, ``ringing`` that he has heard it ring: all do whom we have not answered, unless
    it is said. ``agent`` is the name of who took the call; "any" if it does not matter.
    """

    scenario: str = "uac-basic"
    record: tuple[str, str] = ANSWERED
    agent: str = ""
    after: float = 0.0
    waited: float = 0.0
    talked: float = 0.0
    units: int = 0
    accepted: bool = False
    ringing: bool | None = None
    heard: int = 0
    keys: tuple[tuple[float, str], ...] = ()
    contract: str = "own"
    headers: str = ""
    fill: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FloorCase:
    """One behaviour of the floor. ``phones`` are what the agents' phones play, each as often as it is rung, and
    ``rings`` how often that must be. ``more`` are further lines of agents, by name; ``group`` those of the group.
    ``second_rules`` are those of a second contract. ``whispered`` are packets that the agent's phone must hear before
    anybody talks. ``over_trunk`` says that another number is called, with these headers. ``message`` is a mailbox in
    which a message must lie. ``codes`` are dialled by agents before anybody calls."""

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
    codes: tuple[tuple[str, str], ...] = ()
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


def left(reason: str, seconds: float, **more: Any) -> Caller:
    """Who has left the queue for somewhere else, and hangs up so long after our answer."""
    return Caller(record=("no_agent", reason), accepted=True, fill=_pause(seconds), **more)


_RING_THROUGH = 'answering = "ring_through"\n'
_AT_ONCE = 'answering = "answer_at_once"\nmusic = "music"\n'
_FIRST = '{ agent = "$first", ring_seconds = 10, patience_seconds = 20 }'
_FIRST_FOR_A_SECOND = '{ agent = "$first", ring_seconds = 10, patience_seconds = 1 }'
_SECOND = '{ agent = "$second", ring_seconds = 10, patience_seconds = 20 }'
_IN_ORDER = '{ group = "$all", strategy = "in_order", ring_seconds = 10, patience_seconds = 20 }'
_IMPATIENT = '{ group = "$all", strategy = "in_order", ring_seconds = 1, patience_seconds = 20 }'
_RING_ALL = '{ group = "$all", strategy = "ring_all", ring_seconds = 10, patience_seconds = 20 }'
_LONGEST_IDLE = '{ group = "$all", patience_seconds = 20 }'
_SKILLED = {"first": "skills = { $skill = 3 }", "second": "skills = { $skill = 8 }"}
_TWO_PHONES = """endpoints = [
    { contact = "sip:desk@127.0.0.10:$first_port" }, { contact = "sip:mobile@127.0.0.10:$second_port" },
]"""
_ABSENT = {"first": 'endpoints = [{ username = "absent-$index", password = "secret" }]'}
_CLOSED = """
[[contracts.variants]]
name = "closed"
when = ["always"]
greeting = "Kanzlei Berger, wir haben geschlossen!"
"""
#: What the carrier is told of a call that goes to another number: our own number diverts it.
_DIVERTED = {
    "From": "<sip:+49401234560@service.example>",
    "Diversion": "<sip:$number@service.example>;reason=unconditional;counter=1",
    "History-Info": "<sip:$number@service.example>;index=1,<sip:$out@service.example;cause=302>;index=1.1;mp=1",
    "P-Asserted-Identity": "<sip:$number@service.example>",
    "Privacy": "",
}
#: The same of a caller who hides his number, and whom a busy line has forwarded to us.
_DIVERTED_AGAIN = {
    "From": "<sip:anonymous@anonymous.invalid>",
    "Diversion": "<sip:$number@service.example>;reason=unconditional;counter=1",
    "History-Info": "<sip:+4930555@service.example>;index=1,<sip:$number@service.example;cause=486>;index=1.1;mp=1,"
    "<sip:$out@service.example;cause=302>;index=1.1.1;mp=1.1",
    "P-Asserted-Identity": "<sip:$number@service.example>",
    "Privacy": "id",
}
_AT_TWO_PHONES = """endpoints = [
    { contact = "sip:first@127.0.0.10:$first_port" }, { username = "$first", password = "secret" },
]"""
_DIVERSION = "Diversion: <sip:+4930555@carrier.example>;reason=user-busy;counter=1"
#: Who talks into the second increment.
_LONG = stays("first", 3.0, talked=2.1, units=2)
_CANCELLED = ("abandoned", "caller_cancelled")


FLOOR_CASES = (
    # -- offers ------------------------------------------------------------------------------------------
    FloorCase("decline goes to the next agent", (stays("second", 1.0),), queue(_IN_ORDER),
              ("uas-declines", "uas-basic"), (1, 1)),
    FloorCase("who declined is not asked again when the next misses the call", (stays("second", 4.2, waited=3.0),),
              queue(_IMPATIENT), ("uas-declines", "uas-misses-then-answers"), (1, 2)),
    FloorCase("busy agent is left alone for a while and the caller served", (stays("first", 3.2, waited=2.0),),
              queue(_FIRST), ("uas-refuses-then-answers",), (2,), fill={"@REFUSAL@": "486 Busy Here"}),
    FloorCase("who misses two calls in a row is sent on a break", (refused(480, waited=7.0),),
              # without a break a third offer would be made after six seconds
              queue(_IMPATIENT.replace("20", "7"), "", _RING_THROUGH), ("uas-rings-until-cancelled",), (2,)),
    FloorCase("everybody has declined", (refused(480),), queue(_FIRST, "", _RING_THROUGH), ("uas-declines",), (1,)),
    FloorCase("no answer goes to the next agent", (talks("second", waited=1.0),), queue(_IMPATIENT, "", _RING_THROUGH),
              ("uas-rings-until-cancelled", "uas-basic"), (1, 1)),
    FloorCase("agent without a common codec, next answers", (stays("second", 1.0),), queue(_IN_ORDER),
              ("uas-no-common-codec", "uas-basic"), (1, 1)),
    FloorCase("three ring, one wins, the others are told", (stays("second", 1.0),), queue(_RING_ALL),
              ("uas-loses", "uas-basic", "uas-loses"), (1, 1, 1)),
    FloorCase("an agent's 200 crosses the CANCEL of who lost", (stays("second", 1.0),), queue(_RING_ALL),
              ("uas-answers-into-cancel", "uas-basic"), (1, 1)),
    FloorCase("two agents answer at once", (stays("any", 1.0),), queue(_RING_ALL),
              ("uas-answers-at-once", "uas-answers-at-once"), (1, 1)),
    FloorCase("an agent's two phones ring, one answers", (stays("first", 1.0),), queue(_FIRST),
              ("uas-loses", "uas-basic"), (1, 1), {"first": _TWO_PHONES}),
    FloorCase("one phone is busy, the agent's other one answers", (stays("first", 1.0),), queue(_FIRST),
              ("uas-busy", "uas-basic"), (1, 1), {"first": _TWO_PHONES}),
    FloorCase("one phone declines, the agent's other one stops ringing, neither rings again", (refused(480),),
              queue(_FIRST, "", _RING_THROUGH), ("uas-declines", "uas-rings-until-cancelled"), (1, 1),
              {"first": _TWO_PHONES}),
    FloorCase("two ring for a while and nobody answers", (refused(480, waited=1.0),),
              'plan = [{ group = "$all", strategy = "ring_all", ring_seconds = 1 }]',
              ("uas-rings-until-cancelled", "uas-rings-until-cancelled"), (1, 1)),
    # -- agents ------------------------------------------------------------------------------------------
    FloorCase("agent in wrap-up is offered the next caller after it",
              (talks("first"), talks("first", after=1.0, waited=1.2)),
              queue(_FIRST, "wrap_up_seconds = 2", _RING_THROUGH), rings=(2,)),
    FloorCase("an agent's own wrap-up is what counts", (talks("first"), talks("first", after=0.8, waited=0.3)),
              queue(_FIRST, "wrap_up_seconds = 60", _RING_THROUGH), rings=(2,), more={"first": "wrap_up_seconds = 1"}),
    FloorCase("agent in wrap-up is passed over", (talks("first"), talks("second", after=1.0)),
              queue(_IN_ORDER, "wrap_up_seconds = 60", _RING_THROUGH), ("uas-basic", "uas-basic"), (1, 1)),
    FloorCase("abandoned offer is followed by no wrap-up",
              (Caller("uac-cancel", _CANCELLED), talks("first", after=0.6)),
              queue(_FIRST, "wrap_up_seconds = 60", _RING_THROUGH), ("uas-misses-then-answers",), (2,)),
    FloorCase("level of a skill", (stays("second", 1.0),),
              queue('{ skill = "$skill", level = 5, patience_seconds = 20 }'), ("uas-basic", "uas-basic"), (0, 1),
              _SKILLED),
    FloorCase("widening brings in who knows less",
              (stays("second", 3.5, talked=2.1, units=2), stays("first", 2.2, after=0.5, waited=1.0)),
              queue('{ skill = "$skill", level = 5, patience_seconds = 20, '
                    "widening = [{ after_seconds = 1, level = 1 }] }"),
              ("uas-basic", "uas-basic"), (1, 1), _SKILLED),
    FloorCase("tiers", (talks("second", 1.5), talks("first", after=0.5)), queue(_LONGEST_IDLE, "", _RING_THROUGH),
              ("uas-basic", "uas-basic"), (1, 1), group="tiers = { $first = 2, $second = 1 }"),
    FloorCase("longest idle first",
              (talks("first"), *(talks(name, after=0.8) for name in ("second", "third", "first"))),
              queue(_LONGEST_IDLE, "", _RING_THROUGH), ("uas-basic",) * 3, (2, 1, 1)),
    FloorCase("fewest calls first",
              (talks("first"), talks("second", 1.6, after=0.8), talks("first", after=0.3), talks("second", after=1.8)),
              queue('{ group = "$all", strategy = "fewest_calls", patience_seconds = 20 }', "", _RING_THROUGH),
              ("uas-basic", "uas-basic"), (2, 2)),
    FloorCase("least talk time first",
              (talks("first", 1.6), talks("second", after=1.6), talks("second", after=0.8)),
              queue('{ group = "$all", strategy = "least_talk_time", patience_seconds = 20 }', "", _RING_THROUGH),
              ("uas-basic", "uas-basic"), (1, 2)),
    FloorCase("in order, the first again", (talks("first"), talks("first", after=0.8)),
              queue(_IN_ORDER, "", _RING_THROUGH), ("uas-basic", "uas-basic"), (2, 0)),
    FloorCase("agent on break by code is passed over", (stays("second", 1.0),), queue(_IN_ORDER),
              ("uas-basic", "uas-basic"), (0, 1), {"first": _AT_TWO_PHONES}, codes=(("first", "*51"),)),
    FloorCase("agent back from break by code", (stays("first", 1.0),), queue(_IN_ORDER),
              ("uas-basic", "uas-basic"), (1, 0), {"first": _AT_TWO_PHONES},
              codes=(("first", "*51"), ("first", "*50"))),
    FloorCase("everybody has logged out by code, overflow at once", (hung_up_on("announcement"),),
              queue(_FIRST, 'overflow = { announcement = "closed" }'), rings=(0,), more={"first": _AT_TWO_PHONES},
              codes=(("first", "*52"),)),
    # -- waiting -----------------------------------------------------------------------------------------
    FloorCase("caller is answered at once, waits, and gets the agent who comes free",
              (stays("first", 1.8), stays("first", 2.5, after=0.5, waited=1.0, heard=20)), queue(_FIRST), rings=(2,)),
    FloorCase("caller who is not answered hears it ring, and gets the agent who comes free",
              (talks("first", 1.5), talks("first", after=0.5, waited=0.8)), queue(_FIRST, "", _RING_THROUGH),
              rings=(2,)),
    FloorCase("early media of an agent's phone is not for who has been answered", (stays("first", 1.0),), queue(_FIRST),
              ("uas-early-media",)),
    FloorCase("INVITE without an offer rings through, whatever the contract says",
              (Caller("uac-late-offer", agent="first", talked=0.1, units=1),), queue(_FIRST), ("uas-late-offer",)),
    FloorCase("caller gives up waiting", (stays("first", 2.0), gives_up(0.6, after=0.5)), queue(_FIRST)),
    FloorCase("caller gives up waiting before any agent was asked",
              (talks("first", 1.5), Caller("uac-cancel", _CANCELLED, after=0.5)), queue(_FIRST, "", _RING_THROUGH)),
    FloorCase("caller gives up while the agent's phone rings, the agent gets the next",
              (gives_up(0.6), stays("first", 1.0, after=1.0)), queue(_FIRST), ("uas-misses-then-answers",), (2,)),
    FloorCase("contract with priority goes first",
              (_LONG, stays("first", 5.0, after=0.4, waited=3.0),
               stays("first", 3.0, after=0.3, contract="second", waited=0.8)),
              queue(_FIRST), rings=(3,), second_rules=queue(_FIRST, "", _AT_ONCE + "priority = 5")),
    FloorCase("VIP goes first",
              (_LONG, stays("first", 5.0, after=0.4, waited=3.0), stays("first", 3.0, after=0.3, waited=0.8)),
              queue(_FIRST, 'vip_callers = [{ number = "+49401234562", priority = 5 }]'), rings=(3,)),
    FloorCase("VIP has a plan of his own", (talks("first"), talks("second", after=0.8)),
              queue(_FIRST, 'vip_callers = [{ number = "+49401234561", variant = "vip" }]', _RING_THROUGH)
              + f'[[contracts.variants]]\nname = "vip"\nplan = [{_SECOND}]\n', ("uas-basic", "uas-basic"), (1, 1)),
    FloorCase("greeting of the hour for an agent whose caller waited",
              (stays("first", 1.0, headers=_DIVERSION),),
              queue(_FIRST, 'opening_hours = ["2000-01-01 08:00-08:01"]') + _CLOSED, ("uas-checks-presentation",),
              fill={"@LINE@": "4930555", "@KIND@": "busy", '"kanzlei-berger"': '"own-"',
                    "guten Tag!": "wir haben geschlossen!"}),
    FloorCase("caller's phone holds and resumes while it waits",
              (Caller("uac-hold", ABANDONED, accepted=True),), queue(_FIRST),
              ("uas-rings-until-cancelled",)),
    # -- whisper -----------------------------------------------------------------------------------------
    FloorCase("agent hears the whisper before the caller is there", (talks("first", waited=1.1),),
              queue(_FIRST, 'whisper = "whisper"', _RING_THROUGH), whispered=40),
    FloorCase("agent hangs up on the whisper, next answers", (stays("second", 3.0, waited=1.4),),
              queue(_IN_ORDER, 'whisper = "whisper"'), ("uas-hangs-up", "uas-basic"), (1, 1)),
    FloorCase("caller hangs up during the whisper", (gives_up(0.8, agent="first"),),
              queue(_FIRST, 'whisper = "whisper"')),
    # -- overflow ----------------------------------------------------------------------------------------
    FloorCase("patience at an end, another agent", (_LONG, stays("second", 2.0, after=0.5, waited=1.0)),
              queue(f"{_FIRST_FOR_A_SECOND}, {_SECOND}"), ("uas-basic", "uas-basic"), (1, 1)),
    FloorCase("patience at an end, another group", (stays("second", 2.0, waited=1.0),),
              queue(_FIRST_FOR_A_SECOND + ', { group = "$others", patience_seconds = 20 }'),
              ("uas-busy", "uas-basic"), (1, 1)),
    FloorCase("patience at an end, another number", (left("other_number", 2.2, waited=2.0),),
              queue(_FIRST_FOR_A_SECOND, 'overflow = { dial = "$out" }'), ("uas-busy",), over_trunk=_DIVERTED),
    FloorCase("another number is busy", (hung_up_on("other_number_failed", waited=1.0),),
              queue(_FIRST_FOR_A_SECOND, 'overflow = { dial = "$busy" }'), ("uas-busy",),
              over_trunk=_DIVERTED | {"History-Info": _DIVERTED["History-Info"].replace("$out", "$busy")}),
    FloorCase("forwarded caller without a number goes to another one",
              (left("other_number", 0.8, headers=f"{_DIVERSION}\nPrivacy: id"),),
              queue(_FIRST, 'overflow = { dial = "$out" }'), (), (), _ABSENT, over_trunk=_DIVERTED_AGAIN),
    FloorCase("patience at an end, announcement", (hung_up_on("announcement", waited=1.0, heard=10, ringing=True),),
              queue(_FIRST_FOR_A_SECOND, 'overflow = { announcement = "closed" }', _RING_THROUGH), ("uas-busy",)),
    FloorCase("patience at an end, status", (refused(486, waited=1.0),),
              queue(_FIRST_FOR_A_SECOND, "if_nobody = { status = 486 }", _RING_THROUGH), ("uas-busy",)),
    FloorCase("queue is full, status",
              (talks("first", 2.8, units=2), talks("first", after=0.5, waited=1.0),
               refused(486, after=0.5, ringing=False)),
              queue(_FIRST, "", _RING_THROUGH + "most_callers = 1\nif_full = { status = 486 }"), rings=(2,)),
    FloorCase("queue is full, next step",
              (_LONG, gives_up(1.2, after=0.3), stays("second", 0.9, after=0.3)),
              queue(f"{_FIRST}, {_SECOND}", "", _AT_ONCE + "most_callers = 1"), ("uas-basic", "uas-basic"), (1, 1)),
    FloorCase("waited too long, announcement",
              (_LONG, hung_up_on("announcement", after=0.5, waited=1.0, heard=30)),
              queue(_FIRST, "", _AT_ONCE + 'longest_seconds = 1\nif_too_long = { announcement = "closed" }')),
    FloorCase("nobody is registered, announcement at once", (hung_up_on("announcement"),),
              queue(_FIRST, 'overflow = { announcement = "closed" }'), (), (), _ABSENT),
    FloorCase("blocked caller hears an announcement", (hung_up_on("announcement", heard=10),),
              queue(_FIRST, 'blocked_callers = [{ number = "+49401234560", announcement = "closed" }]'), rings=(0,)),
    # -- keys --------------------------------------------------------------------------------------------
    FloorCase("key for voicemail", (left("voicemail", 3.0, waited=2.9, keys=((0.5, "1"),)),),
              queue(_FIRST, "", _AT_ONCE + 'exits = { 1 = { voicemail = "box-$index" } }'),
              ("uas-rings-until-cancelled",), message="box"),
    FloorCase("after hours, voicemail", (hung_up_on("voicemail", keys=((2.5, "#"),), waited=2.4),),
              queue(_FIRST, 'opening_hours = ["2000-01-01 08:00-08:01"]') + _CLOSED
              + 'plan = []\noverflow = { voicemail = "box-$index" }\n', rings=(0,), message="box"),
    FloorCase("key ends the message", (hung_up_on("voicemail", keys=((0.5, "1"), (2.5, "#")), waited=2.4),),
              queue(_FIRST, "", _AT_ONCE + 'exits = { 1 = { voicemail = "box-$index" } }'),
              ("uas-rings-until-cancelled",), message="box"),
    FloorCase("key for being called back", (hung_up_on("callback", keys=((0.5, "2"),)),),
              queue(_FIRST, "", _AT_ONCE + "exits = { 2 = { callback = true } }"), ("uas-rings-until-cancelled",)),
    FloorCase("key for another number", (left("other_number", 2.0, keys=((0.5, "0"),)),),
              queue(_FIRST, "", _AT_ONCE + 'exits = { 0 = { dial = "$out" } }'), ("uas-rings-until-cancelled",),
              over_trunk=_DIVERTED),
    FloorCase("key for the next step, other keys do nothing",
              (stays("second", 2.0, keys=((0.4, "7"), (0.8, "9")), waited=0.8),),
              queue(f"{_FIRST}, {_SECOND}", "", _AT_ONCE + "exits = { 9 = { next_step = true } }"),
              ("uas-rings-until-cancelled", "uas-basic"), (1, 1)),
)  # fmt: skip
