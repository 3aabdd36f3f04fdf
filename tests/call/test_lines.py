"""Lines of our own: called, forwarded in all three ways, calling, and dialling codes."""

import pytest

from accounting.journal import CallEnded
from b2bua.sip.digest import answer_challenge
from b2bua.sip.diversion import read_forwarding
from b2bua.sip.hop import Hop
from b2bua.sip.ids import SeededIds
from b2bua.sip.message import Request, Response
from routing.forwarding import ForwardingKind
from routing.lines import MOST_CALLS_OUT, LineForwarding
from tests.call.desk import (
    ANNA,
    BUSINESS,
    CARRIER,
    NUMBER,
    SDP,
    Desk,
    Sent,
    answer,
    cancel,
    from_phone,
    invite,
    names,
    only,
    register,
    within,
)

LINE = "+493045050100"
OTHER_LINE = "+493045050200"
PHONE = Hop("udp", "10.0.1.1", 5060, "main")
SECOND_PHONE = Hop("udp", "10.0.1.2", 5060, "main")
OTHER_PHONE = Hop("udp", "10.0.1.3", 5060, "main")

LINES = (
    BUSINESS
    + """
[[lines]]
number = "+49 30 45050-100"
name = "Kanzlei Berger"
username = "berger"
password = "secret-1"
no_answer_seconds = 15
may_forward_to = ["+4917*"]

[[lines]]
number = "+493045050200"
name = "Elektro Sommer"
username = "sommer"
password = "secret-2"
may_call = ["+4989123456"]
"""
)
PASSWORDS = {"berger": "secret-1", "sommer": "secret-2", "carla": "secret"}


class LineDesk(Desk):
    """With two lines whose phones are registered, and what they do."""

    def __init__(self) -> None:
        super().__init__(business=LINES)
        assert register(self, "berger", "secret-1", PHONE).status == 200
        assert register(self, "sommer", "secret-2", OTHER_PHONE).status == 200

    def forward(self, kind: ForwardingKind, number: str, line: str = LINE, seconds: int = 0) -> None:
        """As if it had been dialled."""
        self.admission.lines.forwardings.take(LineForwarding(line, kind, number, seconds))

    def forwarding(self, kind: ForwardingKind) -> LineForwarding | None:
        """Of the first line."""
        return self.admission.lines.forwardings.find(LINE, kind)

    def dial(
        self, user: str, username: str = "berger", hop: Hop = PHONE, body: bytes = SDP
    ) -> tuple[Request, list[Sent]]:
        """A phone dials, with its credentials; the INVITE, and what came of it."""
        request = invite(hop=hop, uri=f"sip:{user}@service.example", body=body)
        (challenged,) = self.receive(request, hop)
        assert isinstance(challenged.message, Response)
        assert challenged.message.status == 407
        credentials = answer_challenge(challenged.message, request, username, PASSWORDS[username], SeededIds(7))
        assert credentials is not None
        self.receive(acknowledged(request, challenged.message), hop)
        request.set(*credentials)
        request.set("CSeq", "2 INVITE")
        request.set("Via", request.all("Via")[0] + "b")
        return request, self.receive(request, hop)

    def talk_and_hang_up(self, request: Request, ringing: Request, hop: Hop, caller: Hop = CARRIER) -> None:
        """The phone answers, both talk for ten seconds, the caller hangs up."""
        ok = only(self.receive(answer(ringing, 200, SDP, hop=hop), hop), 200, caller)
        assert isinstance(ok, Response)
        self.receive(within(request, ok, "ACK", 1), caller)
        self.advance(10)
        sent = self.receive(within(request, ok, "BYE", 3), caller)
        bye = only(sent, "BYE", hop)
        assert isinstance(bye, Request)
        self.receive(answer(bye, 200, hop=hop), hop)


def acknowledged(request: Request, refusal: Response) -> Request:
    """The ACK of a refused INVITE."""
    fields = {name: request.all(name)[:] for name in ("Via", "Max-Forwards", "From", "Call-ID")}
    return Request("ACK", request.uri, {**fields, "To": refusal.all("To"), "CSeq": ["1 ACK"]})


def ringing_at(sent: list[Sent], hop: Hop) -> Request:
    found = only(sent, "INVITE", hop)
    assert isinstance(found, Request)
    return found


def refusal(sent: list[Sent], hop: Hop = CARRIER) -> Response:
    (found,) = [
        item.message for item in sent
        if isinstance(item.message, Response) and item.message.status >= 300 and item.hop.host == hop.host
    ]  # fmt: skip
    return found


# -- calls to a line -------------------------------------------------------------------------------------


def test_a_call_from_the_trunk_rings_the_line_and_costs_nothing() -> None:
    desk = LineDesk()
    request = invite(LINE)
    ringing = ringing_at(desk.receive(request, CARRIER), PHONE)
    assert "+4940123456" in (ringing.get("From") or "")
    assert ringing.get("Diversion") is None
    assert ringing.get("X-Greeting") is None
    assert names(desk.receive(answer(ringing, 180, hop=PHONE), PHONE)) == [180]
    desk.talk_and_hang_up(request, ringing, PHONE)
    desk.assert_quiet()
    record = desk.record
    assert (record.contract, record.agent, record.result) == ("", "", "relayed")
    assert (record.target_number, record.end_reason) == (LINE, "caller_hung_up")
    assert (record.answered_ns, record.talked_ns, record.segments) == (0, 0, ())
    assert desk.kinds == ["ended"]


def test_all_phones_of_a_line_ring_and_the_first_has_the_call() -> None:
    desk = LineDesk()
    assert register(desk, "berger", "secret-1", SECOND_PHONE).status == 200
    request = invite(LINE)
    sent = desk.receive(request, CARRIER)
    first, second = ringing_at(sent, PHONE), ringing_at(sent, SECOND_PHONE)
    desk.receive(answer(first, 486, hop=PHONE), PHONE)
    desk.receive(answer(second, 180, hop=SECOND_PHONE), SECOND_PHONE)
    desk.talk_and_hang_up(request, second, SECOND_PHONE)
    desk.assert_quiet()
    assert desk.record.result == "relayed"


@pytest.mark.parametrize(
    ("said", "told", "reason"),
    [(486, 486, "line_busy"), (600, 486, "line_busy"), (603, 603, "line_declined"), (503, 480, "line_unreachable")],
)
def test_a_line_that_is_not_forwarded_refuses_as_its_phone_does(said: int, told: int, reason: str) -> None:
    desk = LineDesk()
    ringing = ringing_at(desk.receive(invite(LINE), CARRIER), PHONE)
    assert refusal(desk.receive(answer(ringing, said, hop=PHONE), PHONE)).status == told
    desk.assert_quiet()
    assert (desk.record.result, desk.record.end_reason, desk.record.status) == ("failed", reason, told)


def test_a_caller_of_a_line_who_gives_up() -> None:
    desk = LineDesk()
    request = invite(LINE)
    ringing = ringing_at(desk.receive(request, CARRIER), PHONE)
    desk.receive(answer(ringing, 180, hop=PHONE), PHONE)
    sent = desk.receive(cancel(request), CARRIER)
    assert names(sent, PHONE) == ["CANCEL"]
    desk.receive(answer(ringing, 487, hop=PHONE), PHONE)
    desk.assert_quiet()
    assert (desk.record.result, desk.record.end_reason) == ("abandoned", "caller_cancelled")


def test_the_line_hangs_up() -> None:
    desk = LineDesk()
    request = invite(LINE)
    ringing = ringing_at(desk.receive(request, CARRIER), PHONE)
    ok = only(desk.receive(answer(ringing, 200, SDP, hop=PHONE), PHONE), 200, CARRIER)
    assert isinstance(ok, Response)
    desk.receive(within(request, ok, "ACK", 1), CARRIER)
    sent = desk.receive(from_phone(ringing, "BYE", 2, hop=PHONE), PHONE)
    bye = only(sent, "BYE", CARRIER)
    assert isinstance(bye, Request)
    desk.receive(answer(bye, 200, hop=CARRIER), CARRIER)
    desk.assert_quiet()
    assert (desk.record.result, desk.record.end_reason) == ("relayed", "line_hung_up")


# -- forwarded to a contract -----------------------------------------------------------------------------


def judge_forwarded(desk: Desk, offered: Request, kind: ForwardingKind) -> None:
    assert offered.get("X-Kind") == kind
    assert offered.get("X-Forwarded-From") == LINE
    assert offered.get("X-Greeting") == "Kanzlei Berger, guten Tag!"
    desk.assert_quiet()
    record = desk.record
    assert (record.contract, record.agent, record.result) == ("one-after-the-other", "anna", "answered")
    assert (record.forwarded_from, record.forwarding_kind) == (LINE, kind)
    assert record.billable
    assert record.target_number == NUMBER
    assert 10 <= record.talked_ns / 1e9 < 11
    assert desk.kinds == ["connected", "hung_up", "ended"]


def test_forwarded_at_once_to_a_contract() -> None:
    desk = LineDesk()
    desk.forward("unconditional", NUMBER)
    request = invite(LINE)
    sent = desk.receive(request, CARRIER)
    assert names(sent, PHONE) == []
    offered = ringing_at(sent, ANNA)
    desk.talk_and_hang_up(request, offered, ANNA)
    judge_forwarded(desk, offered, "unconditional")


@pytest.mark.parametrize("status", [486, 600, 603, 480])
def test_forwarded_on_busy_to_a_contract(status: int) -> None:
    desk = LineDesk()
    desk.forward("busy", NUMBER)
    request = invite(LINE)
    ringing = ringing_at(desk.receive(request, CARRIER), PHONE)
    offered = ringing_at(desk.receive(answer(ringing, status, hop=PHONE), PHONE), ANNA)
    desk.talk_and_hang_up(request, offered, ANNA)
    judge_forwarded(desk, offered, "busy")


@pytest.mark.parametrize(("seconds", "after"), [(0, 15), (30, 30)])
def test_forwarded_on_no_answer_to_a_contract(seconds: int, after: int) -> None:
    desk = LineDesk()
    desk.forward("no_answer", NUMBER, seconds=seconds)
    request = invite(LINE)
    ringing = ringing_at(desk.receive(request, CARRIER), PHONE)
    desk.receive(answer(ringing, 180, hop=PHONE), PHONE)
    assert names(desk.advance(after - 0.5), ANNA) == []
    sent = desk.advance(1)
    assert names(sent, PHONE) == ["CANCEL"]
    offered = ringing_at(sent, ANNA)
    desk.receive(answer(ringing, 487, hop=PHONE), PHONE)
    desk.talk_and_hang_up(request, offered, ANNA)
    judge_forwarded(desk, offered, "no_answer")


def test_a_line_without_a_phone_counts_as_one_that_nobody_answers() -> None:
    desk = LineDesk()
    assert register(desk, "berger", "secret-1", PHONE, expires=0).status == 200
    desk.forward("no_answer", NUMBER)
    request = invite(LINE)
    offered = ringing_at(desk.receive(request, CARRIER), ANNA)
    desk.talk_and_hang_up(request, offered, ANNA)
    judge_forwarded(desk, offered, "no_answer")


def test_an_answer_of_the_line_that_comes_too_late_is_hung_up_on() -> None:
    desk = LineDesk()
    desk.forward("no_answer", NUMBER)
    request = invite(LINE)
    ringing = ringing_at(desk.receive(request, CARRIER), PHONE)
    desk.receive(answer(ringing, 180, hop=PHONE), PHONE)
    offered = ringing_at(desk.advance(15.5), ANNA)
    late = desk.receive(answer(ringing, 200, SDP, hop=PHONE), PHONE)
    assert names(late, PHONE) == ["ACK", "BYE"]
    bye = only(late, "BYE", PHONE)
    assert isinstance(bye, Request)
    desk.receive(answer(bye, 200, hop=PHONE), PHONE)
    desk.talk_and_hang_up(request, offered, ANNA)
    judge_forwarded(desk, offered, "no_answer")


def test_a_caller_who_gives_up_while_the_contracts_agent_rings() -> None:
    desk = LineDesk()
    desk.forward("busy", NUMBER)
    request = invite(LINE)
    ringing = ringing_at(desk.receive(request, CARRIER), PHONE)
    offered = ringing_at(desk.receive(answer(ringing, 486, hop=PHONE), PHONE), ANNA)
    desk.receive(answer(offered, 180), ANNA)
    assert names(desk.receive(cancel(request), CARRIER), ANNA) == ["CANCEL"]
    desk.receive(answer(offered, 487), ANNA)
    desk.assert_quiet()
    assert (desk.record.contract, desk.record.result) == ("one-after-the-other", "abandoned")


# -- from line to line, and to outside -------------------------------------------------------------------


def test_from_line_to_line_to_contract_the_last_forwarder_counts() -> None:
    desk = LineDesk()
    desk.forward("unconditional", OTHER_LINE)
    desk.forward("busy", NUMBER, OTHER_LINE)
    ringing = ringing_at(desk.receive(invite(LINE), CARRIER), OTHER_PHONE)
    found = read_forwarding(ringing)
    assert found is not None
    assert (found.line, found.kind, found.hops) == (LINE, "unconditional", 1)
    offered = ringing_at(desk.receive(answer(ringing, 486, hop=OTHER_PHONE), OTHER_PHONE), ANNA)
    assert (offered.get("X-Forwarded-From"), offered.get("X-Kind")) == (OTHER_LINE, "busy")


def test_a_loop_of_lines_is_refused() -> None:
    desk = LineDesk()
    desk.forward("unconditional", OTHER_LINE)
    desk.forward("unconditional", LINE, OTHER_LINE)
    assert refusal(desk.receive(invite(LINE), CARRIER)).status == 480
    assert desk.metrics.refused["forwarding_loop"] == 1
    desk.assert_quiet()


def test_a_call_that_was_forwarded_five_times_is_forwarded_no_more() -> None:
    desk = LineDesk()
    desk.forward("unconditional", NUMBER)
    diversion = "<sip:+4989555@carrier.example>;reason=unconditional;counter={}"
    assert refusal(desk.receive(invite(LINE, {"Diversion": diversion.format(5)}), CARRIER)).status == 480
    assert desk.metrics.refused["too_many_forwardings"] == 1
    assert names(desk.receive(invite(LINE, {"Diversion": diversion.format(4)}), CARRIER), ANNA) == ["INVITE"]


@pytest.mark.parametrize(
    ("kind", "reason", "cause"),
    [("unconditional", "unconditional", 302), ("busy", "user-busy", 486), ("no_answer", "no-answer", 408)],
)
def test_forwarded_to_outside_with_diversion_and_history(kind: ForwardingKind, reason: str, cause: int) -> None:
    desk = LineDesk()
    desk.forward(kind, "+491711234567")
    request = invite(LINE)
    sent = desk.receive(request, CARRIER)
    if kind != "unconditional":
        ringing = ringing_at(sent, PHONE)
        desk.receive(answer(ringing, 180, hop=PHONE), PHONE)
        if kind == "busy":
            sent = desk.receive(answer(ringing, 486, hop=PHONE), PHONE)
        else:
            sent = desk.advance(15.5)
            desk.receive(answer(ringing, 487, hop=PHONE), PHONE)
    outside = ringing_at(sent, CARRIER)
    assert outside.uri == "sip:+491711234567@192.0.2.1"
    assert outside.all("Diversion") == [f"<sip:{LINE}@service.example>;reason={reason};counter=1"]
    assert outside.get("History-Info") == (
        f"<sip:{LINE}@service.example>;index=1,<sip:+491711234567@service.example;cause={cause}>;index=1.1;mp=1"
    )
    assert outside.get("P-Asserted-Identity") == f"<sip:{LINE}@service.example>"
    found = read_forwarding(outside)
    assert found is not None
    assert (found.line, found.kind) == (LINE, kind)
    desk.talk_and_hang_up(request, outside, CARRIER)
    desk.assert_quiet()
    assert (desk.record.contract, desk.record.result, desk.record.agent) == ("", "relayed", "")


def test_an_earlier_forwarding_is_passed_on_below_ours() -> None:
    desk = LineDesk()
    desk.forward("unconditional", "+491711234567")
    before = "<sip:+4989555@carrier.example>;reason=user-busy;counter=2"
    outside = ringing_at(desk.receive(invite(LINE, {"Diversion": before}), CARRIER), CARRIER)
    assert outside.all("Diversion") == [
        f"<sip:{LINE}@service.example>;reason=unconditional;counter=1",
        "<sip:+4989555@service.example>;reason=user-busy;counter=2",
    ]
    assert (outside.get("History-Info") or "").split(",") == [
        "<sip:+4989555@service.example>;index=1",
        f"<sip:{LINE}@service.example;cause=486>;index=1.1;mp=1",
        "<sip:+491711234567@service.example;cause=302>;index=1.1.1;mp=1.1",
    ]


def test_a_forwarding_that_is_not_allowed_any_more_ends_the_call() -> None:
    desk = LineDesk()
    desk.forward("unconditional", "+4990012345")
    assert refusal(desk.receive(invite(LINE), CARRIER)).status == 480
    assert desk.metrics.refused["forwarding_not_allowed"] == 1


# -- calls of a line -------------------------------------------------------------------------------------


def test_a_line_calls_a_target_number_and_is_billed_like_any_caller() -> None:
    desk = LineDesk()
    request, sent = desk.dial(NUMBER)
    offered = ringing_at(sent, ANNA)
    assert f"sip:{LINE}@" in (offered.get("From") or "")
    desk.talk_and_hang_up(request, offered, ANNA, PHONE)
    desk.assert_quiet()
    record = desk.record
    assert (record.origin, record.caller, record.result, record.billable) == ("line:berger", LINE, "answered", True)


def test_a_line_calls_another_that_is_forwarded_on_busy() -> None:
    desk = LineDesk()
    desk.forward("busy", NUMBER)
    request, sent = desk.dial("030 45050100".replace(" ", ""), "sommer", OTHER_PHONE)
    ringing = ringing_at(sent, PHONE)
    assert '"Elektro Sommer" <sip:+493045050200@service.example>' in (ringing.get("From") or "")
    offered = ringing_at(desk.receive(answer(ringing, 486, hop=PHONE), PHONE), ANNA)
    desk.talk_and_hang_up(request, offered, ANNA, OTHER_PHONE)
    judge_forwarded(desk, offered, "busy")


def test_an_agent_calls_a_line() -> None:
    desk = LineDesk()
    request, sent = desk.dial(LINE, "carla", Hop("udp", "10.0.0.3", 5060, "main"))
    desk.talk_and_hang_up(request, ringing_at(sent, PHONE), PHONE, Hop("udp", "10.0.0.3", 5060, "main"))
    desk.assert_quiet()
    assert (desk.record.origin, desk.record.result, desk.record.billable) == ("agent:carla", "relayed", False)


def test_a_line_that_hides_its_number_stays_anonymous() -> None:
    desk = LineDesk()
    request = invite(hop=OTHER_PHONE, uri=f"sip:{LINE}@service.example", extra={"Privacy": "id"})
    (challenged,) = desk.receive(request, OTHER_PHONE)
    assert isinstance(challenged.message, Response)
    credentials = answer_challenge(challenged.message, request, "sommer", "secret-2", SeededIds(7))
    assert credentials is not None
    request.set(*credentials)
    request.set("Via", request.all("Via")[0] + "b")
    ringing = ringing_at(desk.receive(request, OTHER_PHONE), PHONE)
    assert OTHER_LINE not in ringing.encode().decode()


def test_a_line_calls_to_outside_where_it_may() -> None:
    desk = LineDesk()
    request, sent = desk.dial("+4989123456", "sommer", OTHER_PHONE)
    outside = ringing_at(sent, CARRIER)
    assert outside.get("Diversion") is None
    assert outside.get("P-Asserted-Identity") == f"<sip:{OTHER_LINE}@service.example>"
    desk.talk_and_hang_up(request, outside, CARRIER, OTHER_PHONE)
    desk.assert_quiet()
    assert (desk.record.result, desk.record.end_reason) == ("relayed", "caller_hung_up")


def test_who_calls_to_outside_hears_the_carriers_ringing_and_is_told_of_busy() -> None:
    desk = LineDesk()
    _, sent = desk.dial("+4989123456", "sommer", OTHER_PHONE)
    outside = ringing_at(sent, CARRIER)
    progress = only(desk.receive(answer(outside, 183, SDP, hop=CARRIER), CARRIER), 183, OTHER_PHONE)
    assert progress.body
    assert refusal(desk.receive(answer(outside, 486, hop=CARRIER), CARRIER), OTHER_PHONE).status == 486


def test_a_line_has_so_many_calls_to_outside_at_a_time_and_no_more() -> None:
    desk = LineDesk()
    for _ in range(MOST_CALLS_OUT):
        _, sent = desk.dial("+4989123456", "sommer", OTHER_PHONE)
        assert names(sent, CARRIER) == ["INVITE"]
    assert refusal(desk.dial("+4989123456", "sommer", OTHER_PHONE)[1], OTHER_PHONE).status == 486
    # to us it may call on
    assert names(desk.dial(NUMBER, "sommer", OTHER_PHONE)[1], ANNA) == ["INVITE"]


@pytest.mark.parametrize(("number", "username"), [("+4990012345", "sommer"), ("+4989123456", "berger")])
def test_a_line_may_not_call_everybody(number: str, username: str) -> None:
    desk = LineDesk()
    hop = PHONE if username == "berger" else OTHER_PHONE
    refused = refusal(desk.dial(number, username, hop)[1], hop)
    assert (refused.status, "may_call" in refused.reason) == (403, True)
    desk.assert_quiet()


# -- codes -----------------------------------------------------------------------------------------------


def confirmed(desk: LineDesk, user: str) -> tuple[str, ...]:
    """Dial a code that is taken: answered, told, hung up on. What is said."""
    request, sent = desk.dial(user)
    ok = only(sent, 200, PHONE)
    assert isinstance(ok, Response)
    said = desk.hears()
    desk.receive(within(request, ok, "ACK", 2), PHONE)
    bye = desk.wait_for("BYE", PHONE, 30)
    assert isinstance(bye, Request)
    desk.receive(answer(bye, 200, hop=PHONE), PHONE)
    desk.assert_quiet()
    assert register(desk, "berger", "secret-1", PHONE).status == 200
    return said


@pytest.mark.parametrize("hash_sign", ["%23", "#"])
def test_forwarding_is_switched_on_off_and_on_again_by_codes(hash_sign: str) -> None:
    desk = LineDesk()
    written: list[LineForwarding] = []
    desk.admission.lines.forwardings.on_change = written.append
    assert confirmed(desk, f"*21*0302000100{hash_sign}")[0] == "de/forwarding/on"
    assert desk.forwarding("unconditional") == LineForwarding(LINE, "unconditional", NUMBER)
    assert confirmed(desk, f"{hash_sign}21{hash_sign}")[0] == "de/forwarding/off"
    assert desk.forwarding("unconditional") == LineForwarding(LINE, "unconditional", NUMBER, active=False)
    assert confirmed(desk, f"*21{hash_sign}")[0] == "de/forwarding/on"
    assert desk.forwarding("unconditional") == LineForwarding(LINE, "unconditional", NUMBER)
    assert [item.active for item in written] == [True, False, True]


def test_the_time_of_no_answer_and_the_question_what_is_on() -> None:
    desk = LineDesk()
    confirmed(desk, "*61*+49302000100*30%23")
    confirmed(desk, "*67*+49302000101%23")
    assert desk.forwarding("no_answer") == LineForwarding(LINE, "no_answer", NUMBER, 30)
    said = confirmed(desk, "*%2361%23")
    assert said[0] == "de/forwarding/on"
    assert [sound.rpartition("/")[2] for sound in said[1:]] == [*"49302000100", "record"]
    assert confirmed(desk, "*%2321%23")[0] == "de/forwarding/off"
    assert confirmed(desk, "%23%23002%23")[0] == "de/forwarding/off"
    assert (desk.forwarding("no_answer"), desk.forwarding("busy")) == (None, None)


def test_a_dialled_code_is_on_record_without_a_contract() -> None:
    desk = LineDesk()
    confirmed(desk, "*67*+49302000100%23")
    record = desk.record
    assert (record.origin, record.result, record.end_reason) == ("line:berger", "code", "code")
    assert (record.contract, record.answered_ns, record.talked_ns) == ("", 0, 0)


@pytest.mark.parametrize(
    ("user", "status", "hint"),
    [
        ("*21*+4990012345%23", 403, "may_forward_to"),
        ("*21*+493045050100%23", 403, "itself"),
        ("*21*+49302000109%23", 403, "no target number any more"),
        ("*21*12%23", 484, "area code"),
        ("*21*0302000100", 484, "end the code with #"),
        ("*61*0302000100*90%23", 484, "5 to 60"),
        ("*21%23", 404, "*21*number#"),
        ("*99%23", 484, "*67*number#"),
    ],
)
def test_a_code_that_cannot_be_done_says_what_to_do(user: str, status: int, hint: str) -> None:
    desk = LineDesk()
    refused = refusal(desk.dial(user)[1], PHONE)
    assert refused.status == status
    assert hint in refused.reason
    assert hint in (refused.get("Warning") or "")
    assert desk.admission.lines.forwardings.of(LINE) == []
    desk.assert_quiet()


def test_a_code_without_an_offer_is_refused_and_does_nothing() -> None:
    desk = LineDesk()
    assert refusal(desk.dial("*21*0302000100%23", body=b"")[1], PHONE).status == 488
    assert desk.forwarding("unconditional") is None


def test_a_line_may_be_forwarded_to_a_number_that_the_back_office_allows() -> None:
    desk = LineDesk()
    confirmed(desk, "*21*01711234567%23")
    assert desk.forwarding("unconditional") == LineForwarding(LINE, "unconditional", "+491711234567")


@pytest.mark.parametrize(
    ("user", "status", "reason"),
    [("*51*2", "on_break", "2"), ("*51", "on_break", ""), ("*52", "logged_out", ""), ("*50", "available", "")],
)
def test_an_agent_chooses_a_status_by_code(user: str, status: str, reason: str) -> None:
    desk = LineDesk()
    desk.floor.status_chosen("carla", "on_break", "lunch", desk.now)
    _, sent = desk.dial(user, "carla", ANNA)
    assert names(sent, ANNA) == [100, 200]
    (carla,) = [agent for agent in desk.floor.agents() if agent.id == "carla"]
    assert (carla.status, carla.reason) == (status, reason)


def test_an_agent_has_no_forwarding_codes_and_a_line_no_agents() -> None:
    desk = LineDesk()
    assert refusal(desk.dial("*21*0302000100%23", "carla", ANNA)[1], ANNA).status == 484
    assert refusal(desk.dial("*50")[1], PHONE).status == 484


def test_lines_that_are_gone_are_forwarded_no_longer() -> None:
    desk = LineDesk()
    desk.forward("unconditional", NUMBER)
    desk.admission.lines.forwardings.keep_only({})
    assert desk.forwarding("unconditional") is None
    assert [item for item in desk.journal if isinstance(item, CallEnded)] == []
