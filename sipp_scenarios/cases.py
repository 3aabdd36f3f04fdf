"""What is played: which scenario the carrier runs, which the agents' phones run, and what must be on record.

``status``, ``check`` and ``headers`` are filled into a scenario where it says @STATUS@, @CHECK@, @HEADERS@.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

ANSWERED = ("answered", "caller_hung_up")
NO_RECORD = ("", "")
#: First unit and following units, seconds: most cases talk for a third of a second.
INCREMENT = (2, 3)


@dataclass(frozen=True, slots=True)
class Case:
    """One behaviour. ``agents`` are the scenarios of the first and second agent; ``plan`` is how they are rung:
    ``first`` alone, both in ``order``, or ``all`` at once. ``record`` is (result, end reason) of the call, and
    ``answers`` who has it. ``over_connection`` is what a phone plays that has registered over TCP, when called.
    ``conditions`` are more lines of the contract in the business file, with {index} in the names of agents.
    ``codes`` are dialled on a line of ours first, with {number} for the contract's; then the caller calls that line,
    whose phone plays ``line_phone`` if it is registered at all.
    ``increments`` are what the call is billed, of :data:`INCREMENT`; None is one for a call that an agent answered,
    unless another agent made it, and nothing for all others."""

    name: str
    caller: str
    agents: tuple[str, ...] = ()
    record: tuple[str, str] = NO_RECORD
    plan: str = "first"
    status: int = 0
    check: str = ""
    headers: str = ""
    listener: str = "udp"
    host: str = "127.0.0.2"
    number: str = ""
    password: str = ""
    fill: Mapping[str, str] = field(default_factory=dict)
    answers: str = "first"
    over_connection: str = ""
    conditions: str = ""
    increments: int | None = None
    codes: tuple[str, ...] = ()
    line_phone: str = ""

    @property
    def units(self) -> int:
        """How many increments are billed: 0 for a call that costs nothing."""
        if self.increments is not None:
            return self.increments
        return int(self.record[0] == "answered" and not self.password)

    @property
    def billed_seconds(self) -> int:
        """The same in seconds."""
        first, following = INCREMENT
        return first + (self.units - 1) * following if self.units else 0


def _header(pattern: str, header: str) -> str:
    return f'<ereg regexp="{pattern}" search_in="hdr" header="{header}:" check_it="true" assign_to="ignored"/>'


_DIVERSION = "Diversion: <sip:+4930555@carrier.example>;reason={reason};counter=1"
_HISTORY = (
    "History-Info: <sip:+4930555@carrier.example>;index=1,"
    "<sip:[service]@[remote_ip];cause=408>;index=1.1;mp=1"
)  # fmt: skip

#: The opening hours were in a minute of the year 2000, so it is always after hours.
_AFTER_HOURS = """opening_hours = ["2000-01-01 08:00-08:01"]
[[contracts.variants]]
name = "closed"
when = ["always"]
"""
#: Where the contract's own plan has a phone that is not there.
_FIRST = 'plan = [{ agent = "first{index}", ring_seconds = 10 }]'
_VIP = 'vip_callers = [{ number = "+4940123456", variant = "vip" }]\n[[contracts.variants]]\nname = "vip"\n'


def _seen_as(kind: str) -> dict[str, str]:
    """What the agent is shown of a forwarding by a line of ours."""
    return {"@LINE@": "4930450", "@KIND@": kind}


_LATE = {'<pause milliseconds="2500"/>': '<pause milliseconds="8000"/>'}
_FORWARDED = ("uas-checks-presentation",)

CASES = (
    Case("basic call", "uac-basic", ("uas-basic",), ANSWERED),
    Case("talk into the third increment", "uac-basic", ("uas-basic",), ANSWERED, increments=3,
         fill={'<pause milliseconds="300"/>': '<pause milliseconds="6000"/>'}),
    Case("basic call over TCP", "uac-basic", ("uas-basic",), ANSWERED, listener="tcp"),
    Case("agent hangs up", "uac-waits-for-bye", ("uas-hangs-up",), ("answered", "agent_hung_up")),
    Case("busy agent, next answers", "uac-basic", ("uas-busy", "uas-basic"), ANSWERED, "order",
         answers="second"),
    Case("no answer, next answers", "uac-basic", ("uas-rings-until-cancelled", "uas-basic"), ANSWERED, "order",
         answers="second"),
    Case("phone without a sign of life, next answers", "uac-basic", ("uas-silent", "uas-basic"), ANSWERED, "order",
         answers="second"),
    Case("agent redirects, next answers", "uac-basic", ("uas-redirects", "uas-basic"), ANSWERED, "order",
         answers="second"),
    Case("registered phone over TCP", "uac-basic", (), ANSWERED, "phone", answers="phone", over_connection="uas-basic"),
    Case("basic call over IPv6", "uac-basic", ("uas-basic",), ANSWERED, listener="udp6", host="::1",
         fill={"o=- 1 1 IN IP[local_ip_type] [local_ip]": "o=- 1 1 IN IP4 127.0.0.2"}),
    Case("agent declines, nobody left", "uac-refused", ("uas-declines",), ("no_agent", "nobody_available"), status=480),
    Case("everybody busy", "uac-refused", ("uas-busy", "uas-busy"), ("no_agent", "nobody_available"), "order", 480),
    Case("all ring, one wins", "uac-basic", ("uas-loses", "uas-basic"), ANSWERED, "all", answers="second"),
    Case("caller gives up", "uac-cancel", ("uas-rings-until-cancelled",), ("abandoned", "caller_cancelled")),
    Case("BYE while ringing", "uac-bye-while-ringing", ("uas-rings-until-cancelled",),
         ("abandoned", "caller_cancelled")),
    Case("agent's 200 crosses the CANCEL", "uac-cancel", ("uas-answers-into-cancel",),
         ("abandoned", "caller_cancelled")),
    Case("caller's CANCEL crosses the 200", "uac-cancel-too-late", ("uas-basic",), ANSWERED),
    # given up after 64*T1: 6.4 seconds
    Case("lost ACK", "uac-lost-ack", ("uas-basic",), ("answered", "caller_ack_timeout"), increments=3),
    Case("lost 200", "uac-late-ack", ("uas-basic",), ANSWERED),
    Case("forked answer", "uac-basic", ("uas-forked",), ANSWERED),
    Case("early media", "uac-early-media", ("uas-early-media",), ANSWERED),
    Case("INVITE without an offer", "uac-late-offer", ("uas-late-offer",), ANSWERED),
    Case("hold and resume", "uac-hold", ("uas-held",), ANSWERED),
    Case("agent holds and resumes", "uac-held", ("uas-holds",), ANSWERED),
    Case("re-INVITE refused", "uac-reinvite-refused", ("uas-refuses-reinvite",), ANSWERED),
    Case("re-INVITE without an offer", "uac-reinvite-without-offer", ("uas-asked-for-offer",), ANSWERED),
    Case("UPDATE", "uac-update", ("uas-reinvited",), ANSWERED),
    Case("glare", "uac-glare", ("uas-glare",), ANSWERED),
    Case("INFO", "uac-info", ("uas-info",), ANSWERED),
    Case("OPTIONS", "uac-options"),
    Case("OPTIONS in a call", "uac-options-in-dialog", ("uas-basic",), ANSWERED),
    Case("session timer", "uac-session-timer", ("uas-basic",), ANSWERED),
    Case("session interval too small", "uac-refused", status=422, headers="Supported: timer\nSession-Expires: 60",
         check=_header("90", "Min-SE")),
    Case("no common codec", "uac-refused", ("uas-no-common-codec",), ("no_agent", "nobody_available"), status=480),
    Case("unknown number", "uac-refused", status=404, number="+49302009999"),
    Case("expired number", "uac-refused", status=404, number="+49302009998"),
    Case("stranger", "uac-refused", status=407, host="127.0.0.3", check=_header("Digest", "Proxy-Authenticate")),
    Case("agent calls with a password", "uac-auth", ("uas-basic",), ANSWERED, host="127.0.0.3", password="secret"),
    Case("wrong password", "uac-wrong-password", host="127.0.0.3", password="guess"),
    Case("registration", "uac-register", host="127.0.0.4", password="secret"),
    Case("registration with a wrong password", "uac-register-wrong-password", host="127.0.0.5", password="guess"),
    Case("registration too brief", "uac-register-too-brief", host="127.0.0.5", password="secret"),
    Case("malformed INVITE", "uac-malformed"),
    Case("Require of the unknown", "uac-refused", status=420, headers="Require: teleportation",
         check=_header("teleportation", "Unsupported")),
    Case("too many hops", "uac-refused", status=483, fill={"Max-Forwards: 70": "Max-Forwards: 0"}),
    Case("body of another kind", "uac-refused", status=415, fill={"application/sdp": "text/plain"},
         check=_header("application/sdp", "Accept")),
    Case("unknown scheme", "uac-refused", status=416, fill={"INVITE sip:": "INVITE isbn:"}),
    Case("method that we do not have", "uac-method-not-allowed"),
    Case("BYE for no call", "uac-bye-to-nobody"),
    Case("greeting and Diversion", "uac-basic", ("uas-checks-presentation",), ANSWERED,
         headers=_DIVERSION.format(reason="user-busy"), fill={"@LINE@": "4930555", "@KIND@": "busy"}),
    Case("greeting and History-Info", "uac-basic", ("uas-checks-presentation",), ANSWERED, headers=_HISTORY,
         fill={"@LINE@": "4930555", "@KIND@": "no_answer"}),
    Case("anonymous caller", "uac-basic", ("uas-checks-topology",), ANSWERED,
         headers="Privacy: id\nP-Asserted-Identity: <sip:+4940123456@carrier.example>",
         fill={'<sip:+4940123456@carrier.example>;tag': '"Anonymous" <sip:anonymous@anonymous.invalid>;tag',
               "proxy-secret|": "4940123456|"}),
    Case("blocked caller", "uac-refused", status=603, conditions='blocked_callers = ["+4940123456"]'),
    Case("blocked by the beginning of the number", "uac-refused", status=603,
         conditions='blocked_callers = ["+4940*"]', fill={"<sip:+4940123456@": "<sip:040123456@"}),
    Case("blocked for hiding the number", "uac-refused", status=603, headers="Privacy: id",
         conditions='blocked_callers = ["anonymous"]'),
    Case("somebody else is blocked", "uac-basic", ("uas-basic",), ANSWERED,
         conditions='blocked_callers = ["+49401234", "+49401234567*", "anonymous"]'),
    Case("a VIP out of a blocked range", "uac-basic", ("uas-basic",), ANSWERED, "phone",
         conditions='blocked_callers = ["+4940*"]\n' + _VIP + _FIRST),
    Case("after hours, nobody", "uac-refused", (), ("no_agent", "nobody_available"), status=486,
         conditions=_AFTER_HOURS + "plan = []\nif_nobody = { status = 486 }"),
    Case("after hours, another agent", "uac-basic", ("uas-basic",), ANSWERED, "phone",
         conditions=_AFTER_HOURS + _FIRST),
    Case("greeting of the hour and of the kind of forwarding", "uac-basic", ("uas-checks-presentation",), ANSWERED,
         headers=_DIVERSION.format(reason="user-busy"), fill={"@LINE@": "4930555", "@KIND@": "busy"},
         conditions=_AFTER_HOURS + 'greeting = "closed"\ngreetings = { busy = "Kanzlei Berger, guten Tag! (busy)" }'),
    Case("topology hiding", "uac-basic", ("uas-checks-topology",), ANSWERED,
         headers="Record-Route: <sip:127.0.0.2:5999;proxy-secret;lr>\nX-Carrier: proxy-secret",
         fill={"[routes]": ""}),
    Case("line forwarded at once", "uac-basic", _FORWARDED, ANSWERED, fill=_seen_as("unconditional"),
         codes=("*21*{number}%23",), line_phone="uas-basic"),
    Case("line forwarded on busy", "uac-basic", _FORWARDED, ANSWERED, fill=_seen_as("busy"),
         codes=("*67*{number}%23",), line_phone="uas-busy"),
    Case("line forwarded on no answer", "uac-basic", _FORWARDED, ANSWERED, fill=_seen_as("no_answer") | _LATE,
         codes=("*61*{number}*5%23",), line_phone="uas-rings-until-cancelled"),
    Case("line without a phone, forwarded on no answer", "uac-basic", _FORWARDED, ANSWERED,
         fill=_seen_as("no_answer"), codes=("**61*{number}**30%23",)),
    Case("line switched off and on again", "uac-basic", _FORWARDED, ANSWERED, fill=_seen_as("unconditional"),
         codes=("*21*{number}%23", "%2321%23", "*21%23")),
    # the line's own phone has the call, which is no contract's
    Case("line asked and cleared", "uac-basic",
         codes=("*21*{number}%23", "*67*{number}%23", "*%2321%23", "%23%23002%23"),
         line_phone="uas-basic"),
    Case("line busy, not forwarded", "uac-refused", status=486, codes=("*61*{number}%23",), line_phone="uas-busy"),
    Case("code for a number that costs", "uac-code-refused", status=403, password="secret", host="127.0.0.6",
         codes=("*21*+4990012345%23",), check=_header("may_forward_to", "Warning")),
    Case("agent's code", "uac-code", password="secret", host="127.0.0.7", number="*50"),
    Case("code that there is not", "uac-code-refused", status=484, password="secret", host="127.0.0.6",
         codes=("*99*{number}%23",), check=_header("switch off", "Warning")),
)  # fmt: skip
