"""A whole exchange on a desk: bytes from any address in, what it sends out, a clock by hand."""

from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

from accounting.journal import CallEnded, Item, Ledger
from b2bua.admission import Admission
from b2bua.call.controller import CallController
from b2bua.call.messages import Message, Messages
from b2bua.call.phones import Phones
from b2bua.call.presentation import Presentation
from b2bua.exchange import Exchange
from b2bua.metrics import Metrics
from b2bua.reachability import Reachability
from b2bua.registrar import Registrar
from b2bua.sip.dialog import LocalAddress
from b2bua.sip.digest import DigestServer, answer_challenge
from b2bua.sip.endpoint import Endpoint
from b2bua.sip.hop import Hop
from b2bua.sip.ids import SeededIds
from b2bua.sip.message import Request, Response
from b2bua.sip.parser import parse
from b2bua.trunk import Trunk, Trunks
from media.memory import MemoryMediaEngine
from routing.business import read_business
from routing.contract import Contract
from routing.directory import Directory
from routing.floor import Floor

REALM = "service.example"
CARRIER = Hop("udp", "192.0.2.1", 5060, "main")
STRANGER = Hop("udp", "203.0.113.66", 5060, "main")
ANNA = Hop("udp", "10.0.0.1", 5060, "main")
BEN = Hop("udp", "10.0.0.2", 5060, "main")
SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
NUMBER = "+49302000100"

BUSINESS = """
[[tariffs]]
name = "minute"
per_minute = "1.00"
increment = "60/60"

[[agents]]
id = "anna"
name = "Anna"
endpoints = [{ contact = "sip:anna@10.0.0.1:5060" }]

[[agents]]
id = "ben"
name = "Ben"
endpoints = [{ contact = "sip:ben@10.0.0.2:5060" }]

[[agents]]
id = "carla"
name = "Carla"
endpoints = [{ username = "carla", password = "secret" }]

[[groups]]
id = "all"
name = "All"
members = ["anna", "ben"]

[[contracts]]
id = "one-after-the-other"
customer = "Kanzlei Berger"
greeting = "Kanzlei Berger, guten Tag!"
target_numbers = ["+49302000100", { number = "+49302000109", valid_until = 2020-01-01 }]
plan = [{ group = "all", strategy = "in_order", ring_seconds = 20 }]
tariff = "minute"

[[contracts]]
id = "all-at-once"
customer = "Elektro Sommer"
target_numbers = ["+49302000101"]
plan = [{ group = "all", strategy = "ring_all", ring_seconds = 20 }]
if_nobody = { status = 486 }
tariff = "minute"

[[contracts]]
id = "carla-only"
customer = "Praxis Winter"
target_numbers = ["+49302000102"]
plan = [{ agent = "carla", ring_seconds = 20 }]
tariff = "minute"
"""

#: Seconds of each sound.
SOUNDS = {
    "welcome": 5.0, "music": 30.0, "comfort": 3.0, "berger": 2.0, "closed": 4.0, "tone/record": 1.0,
    "de/position/1": 2.0, "de/position/2": 2.0, "de/wait/2": 2.0, "de/wait/3": 2.0,
    "de/voicemail/record": 4.0, "de/voicemail/thanks": 3.0, "de/callback/thanks": 3.0, "de/busy": 3.0,
    "de/forwarding/on": 2.0, "de/forwarding/off": 2.0, "de/agent/break": 2.0, "de/agent/available": 2.0,
    **{f"de/number/{digit}": 0.5 for digit in range(10)},
}  # fmt: skip

_numbers = count(1)


class Desk:
    """See the module's docstring. ``trunk`` may be another; limits are those of ``Admission``."""

    def __init__(
        self,
        trunk: Trunk | None = None,
        business: str = BUSINESS,
        max_calls: int = 0,
        calls_per_second: float = 0.0,
        port_limit: int = 1000,
        change: Callable[[Contract], Contract] = lambda contract: contract,
        proxy: str = "sip:192.0.2.1",
        options_seconds: float = 0,
    ) -> None:
        self.now = 100.0
        self.journal: list[Item] = []
        self.messages: list[Message] = []
        self.media = MemoryMediaEngine(port_limit=port_limit, sounds=SOUNDS)
        self.metrics = Metrics()
        endpoint = Endpoint({"main": LocalAddress("udp", "198.51.100.1", 5060)}, SeededIds(1))
        registrar = Registrar()
        self.floor = Floor()
        presentation = Presentation(
            "{customer}",
            {"X-Greeting": "{greeting}", "X-Forwarded-From": "{forwarded_from}", "X-Kind": "{forwarding_kind}"},
            REALM,
        )
        phones = Phones(registrar, {"udp": "main"}, proxy)
        controller = CallController(
            endpoint, self.media, self.floor, Ledger(self.journal.append, 1_750_000_000_000_000_000, "run"),
            phones, presentation, self.metrics,
            Messages(Path("/messages"), 120.0, self.messages.append),
        )  # fmt: skip
        trunks = Trunks([trunk or Trunk("carrier", ("192.0.2.0/28",))])
        self.admission = Admission(
            endpoint, controller, registrar, trunks, DigestServer(REALM, b"key"), self.metrics,
            1_750_000_000_000_000_000, max_calls, calls_per_second,
        )  # fmt: skip
        reachability = Reachability(endpoint, phones, options_seconds, REALM) if options_seconds else None
        self.exchange = Exchange(endpoint, self.admission, controller, self.floor, self.media, registrar, reachability)
        read = read_business(business, "business", REALM)
        contracts = [change(contract) for contract in read.contracts]
        self.exchange.use(Directory(contracts, read.agents, read.groups, 1, read.lines), self.at)

    @property
    def at(self) -> int:
        """The clock, nanoseconds."""
        return round(self.now * 1e9)

    # -- in and out --------------------------------------------------------------------------------------

    def receive(self, message: Request | Response | bytes, hop: Hop) -> list["Sent"]:
        """Something arrives; what the exchange sends because of it."""
        data = message if isinstance(message, bytes) else message.encode()
        self.media.tick(self.now)
        self.exchange.receive(data, hop, self.at)
        return self.sent()

    def sent(self) -> list["Sent"]:
        """Everything that wants to go out."""
        return [Sent(parse(data), hop) for data, hop in self.exchange.datagrams_to_send()]

    def advance(self, seconds: float) -> list["Sent"]:
        """Let time pass."""
        out = []
        end = self.now + seconds
        while (deadline := self.exchange.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline) + 1e-6
            self.exchange.handle_timers(self.at)
            out += self.sent()
        self.now = max(self.now, end)
        return out

    def wait(self, seconds: int) -> list["Sent"]:
        """Let time pass as the server does: sounds end, and every second is looked at."""
        out = []
        for _ in range(seconds):
            out += self.advance(1)
            self.media.tick(self.now)
            self.exchange.tick(self.at)
            out += self.sent()
        return out

    def wait_for(self, name: str | int, hop: Hop, seconds: int = 120) -> Request | Response:
        """Let time pass until such a message is sent there."""
        for _ in range(seconds):
            for item in self.wait(1):
                if item.name == name and item.hop.host == hop.host:
                    return item.message
        raise AssertionError(f"no {name} to {hop.host} within {seconds} s")

    @property
    def call_id(self) -> str:
        """The only call there is."""
        (call_id,) = self.exchange.controller.calls
        return call_id

    def hears(self, leg: str = "caller") -> tuple[str, ...]:
        """What we play to a leg of the only call."""
        playing = self.media.playing(self.call_id, leg)
        return () if playing is None else playing.sounds

    def press(self, digit: str) -> list["Sent"]:
        """The caller presses a key."""
        self.media.press(self.call_id, "caller", digit)
        self.exchange.settle(self.at)
        return self.sent()

    @property
    def record(self) -> CallEnded:
        """The only record of a call."""
        (record,) = [item for item in self.journal if isinstance(item, CallEnded)]
        return record

    @property
    def kinds(self) -> list[str]:
        """The journal, in kinds."""
        return ["ended" if isinstance(item, CallEnded) else item.kind for item in self.journal]

    def assert_quiet(self) -> None:
        """After the timers of all transactions nothing is left."""
        self.advance(200)
        exchange = self.exchange
        assert exchange.calls == 0
        assert exchange.endpoint.sessions == {}
        assert exchange.endpoint.layer.client_count == exchange.endpoint.layer.server_count == 0
        assert self.media.ports_in_use == 0
        counts = self.floor.counts()
        assert (counts.callers_seeking, counts.agents_offered, counts.agents_in_call) == (0, 0, 0)


class Sent:
    """One message that left, with where it went."""

    def __init__(self, message: Request | Response, hop: Hop) -> None:
        self.message = message
        self.hop = hop

    @property
    def name(self) -> str | int:
        """Method or status."""
        return self.message.method if isinstance(self.message, Request) else self.message.status

    def __repr__(self) -> str:
        return f"{self.name} to {self.hop.host}"


def names(sent: Sequence[Sent], hop: Hop | None = None) -> list[str | int]:
    """Methods and statuses, all or those for one hop."""
    return [item.name for item in sent if hop is None or item.hop.host == hop.host]


def only(sent: Sequence[Sent], name: str | int, hop: Hop | None = None) -> Request | Response:
    """The one message of that name."""
    (found,) = [item for item in sent if item.name == name and (hop is None or item.hop.host == hop.host)]
    return found.message


def invite(
    number: str = NUMBER, extra: dict[str, str] | None = None, body: bytes = SDP, hop: Hop = CARRIER, uri: str = ""
) -> Request:
    """A caller's INVITE."""
    index = next(_numbers)
    uri = uri or f"sip:{number}@198.51.100.1"
    fields = {
        "Via": [f"SIP/2.0/UDP {hop.host}:{hop.port};branch=z9hG4bKcaller{index}"],
        "Max-Forwards": ["70"],
        "From": [f'"Somebody" <sip:+4940123456@carrier.example>;tag=caller{index}'],
        "To": [f"<{uri}>"],
        "Call-ID": [f"caller-{index}@carrier.example"],
        "CSeq": ["1 INVITE"],
        "Contact": [f"<sip:caller@{hop.host}:{hop.port}>"],
    }
    if body:
        fields["Content-Type"] = ["application/sdp"]
    request = Request("INVITE", uri, fields, body)
    for name, value in (extra or {}).items():
        request.set(name, value)
    return request


def within(request: Request, response: Response, method: str, number: int) -> Request:
    """A request of the same side in the dialog that ``response`` made."""
    contact = response.contacts[0].uri if response.contacts else request.uri
    branch = f"z9hG4bKin{next(_numbers)}"
    via = request.via
    return Request(
        method,
        contact,
        {
            "Via": [f"SIP/2.0/UDP {via.host}:{via.port};branch={branch}"],
            "Max-Forwards": ["70"],
            "From": request.all("From"),
            "To": response.all("To"),
            "Call-ID": request.all("Call-ID"),
            "CSeq": [f"{number} {method}"],
        },
    )


def from_phone(invited: Request, method: str, number: int, tag: str = "phone", hop: Hop = ANNA) -> Request:
    """A request of the phone that answered ``invited``."""
    return Request(
        method,
        invited.contacts[0].uri,
        {
            "Via": [f"SIP/2.0/UDP {hop.host}:{hop.port};branch=z9hG4bKin{next(_numbers)}"],
            "Max-Forwards": ["70"],
            "From": [f"{invited.get('To')};tag={tag}"],
            "To": invited.all("From"),
            "Call-ID": invited.all("Call-ID"),
            "CSeq": [f"{number} {method}"],
            "Contact": [f"<sip:phone@{hop.host}:{hop.port}>"],
        },
    )


def cancel(request: Request) -> Request:
    """The CANCEL of an INVITE."""
    fields = {name: request.all(name)[:] for name in ("Via", "Max-Forwards", "From", "To", "Call-ID")}
    return Request("CANCEL", request.uri, {**fields, "CSeq": ["1 CANCEL"]})


def answer(request: Request, status: int, body: bytes = b"", tag: str = "phone", hop: Hop = ANNA) -> Response:
    """What a phone says to the exchange."""
    fields = {name: request.all(name)[:] for name in ("Via", "From", "To", "Call-ID", "CSeq")}
    if "tag=" not in fields["To"][0]:
        fields["To"] = [f"{fields['To'][0]};tag={tag}"]
    fields["Contact"] = [f"<sip:phone@{hop.host}:{hop.port}>"]
    if body:
        fields["Content-Type"] = ["application/sdp"]
    return Response(status, "", fields, body)


def register(desk: Desk, username: str, password: str, hop: Hop, expires: int = 300) -> Response:
    """REGISTER with digest; the final answer."""
    index = next(_numbers)
    fields = {
        "Via": [f"SIP/2.0/UDP {hop.host}:{hop.port};branch=z9hG4bKreg{index};rport"],
        "Max-Forwards": ["70"],
        "From": [f"<sip:{username}@{REALM}>;tag=r{index}"],
        "To": [f"<sip:{username}@{REALM}>"],
        "Call-ID": [f"register-{index}"],
        "CSeq": ["1 REGISTER"],
        "Contact": [f"<sip:{username}@{hop.host}:{hop.port}>"],
        "Expires": [str(expires)],
    }
    request = Request("REGISTER", f"sip:{REALM}", fields)
    (challenge,) = desk.receive(request, hop)
    assert isinstance(challenge.message, Response)
    if challenge.message.status != 401:
        return challenge.message
    credentials = answer_challenge(challenge.message, request, username, password, SeededIds(index))
    assert credentials is not None
    request.set(*credentials)
    request.set("Via", f"SIP/2.0/UDP {hop.host}:{hop.port};branch=z9hG4bKreg{index}b;rport")
    request.set("CSeq", "2 REGISTER")
    (final,) = desk.receive(request, hop)
    assert isinstance(final.message, Response)
    return final.message
