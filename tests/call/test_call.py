"""The main job, message by message."""

from dataclasses import replace

from b2bua.sip.message import Request, Response
from routing.contract import Presentation
from tests.call.desk import (
    ANNA,
    BEN,
    CARRIER,
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


def talking(desk: Desk, number: str = "+49302000100") -> tuple[Request, Response, Request, list[Sent]]:
    """A call to Anna, answered and acknowledged: caller's INVITE and 200, Anna's INVITE."""
    request = invite(number)
    out = desk.receive(request, CARRIER)
    offered = only(out, "INVITE", ANNA)
    assert isinstance(offered, Request)
    desk.receive(answer(offered, 180), ANNA)
    out = desk.receive(answer(offered, 200, SDP), ANNA)
    accepted = only(out, 200, CARRIER)
    assert isinstance(accepted, Response)
    desk.receive(within(request, accepted, "ACK", 1), CARRIER)
    return request, accepted, offered, out


def test_a_call_is_answered_relayed_and_billed() -> None:
    desk = Desk()
    request = invite(extra={"Diversion": "<sip:+4930777@carrier.example>;reason=user-busy"})
    out = desk.receive(request, CARRIER)
    assert names(out) == [100, "INVITE"]
    offered = only(out, "INVITE", ANNA)
    assert isinstance(offered, Request)
    assert b"192.0.2.99" in offered.body
    assert b"192.0.2.1\r" not in offered.body
    assert names(desk.receive(answer(offered, 180), ANNA)) == [180]
    desk.now += 3
    out = desk.receive(answer(offered, 200, SDP), ANNA)
    assert names(out, ANNA) == ["ACK"]
    accepted = only(out, 200, CARRIER)
    assert isinstance(accepted, Response)
    assert b"192.0.2.99" in accepted.body
    assert desk.receive(within(request, accepted, "ACK", 1), CARRIER) == []
    desk.now += 60.2
    out = desk.receive(within(request, accepted, "BYE", 2), CARRIER)
    assert names(out, CARRIER) == [200]
    bye = only(out, "BYE", ANNA)
    assert isinstance(bye, Request)
    desk.receive(answer(bye, 200), ANNA)
    assert desk.kinds == ["connected", "hung_up", "ended"]
    record = desk.record
    assert (record.contract, record.agent, record.result) == ("one-after-the-other", "anna", "answered")
    assert (record.end_reason, record.billable, record.caller) == ("caller_hung_up", True, "+4940123456")
    assert (record.forwarded_from, record.forwarding_kind) == ("+4930777", "busy")
    assert record.talked_ns == 60_200_000_000
    desk.assert_quiet()


def test_the_agent_sees_whose_call_it_is_before_the_first_word() -> None:
    desk = Desk()
    extra = {"Diversion": "<sip:+4930777@carrier.example>;reason=no-answer"}
    offered = only(desk.receive(invite(extra=extra), CARRIER), "INVITE", ANNA)
    assert offered.from_.display == "Kanzlei Berger"
    assert offered.from_.uri == "sip:+4940123456@service.example"
    assert offered.get("X-Greeting") == "Kanzlei Berger, guten Tag!"
    assert (offered.get("X-Forwarded-From"), offered.get("X-Kind")) == ("+4930777", "no_answer")


def test_the_legs_share_nothing() -> None:
    desk = Desk()
    request = invite(extra={"X-Secret": "carrier", "Record-Route": "<sip:proxy.carrier.example;lr>"})
    offered = only(desk.receive(request, CARRIER), "INVITE", ANNA)
    text = offered.encode()
    for name in ("Via", "Call-ID", "Contact", "Record-Route", "X-Secret"):
        for value in request.all(name):
            assert value.encode() not in text, name
    assert (request.from_.tag or "none").encode() not in text
    assert b"carrier.example" not in text


def test_hangup_of_the_agent() -> None:
    desk = Desk()
    request, accepted, offered, out = talking(desk)
    ack = only(out, "ACK", ANNA)
    desk.now += 10
    bye = Request(
        "BYE",
        offered.contacts[0].uri,
        {
            "Via": ["SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKbye"],
            "From": ack.all("To"),
            "To": ack.all("From"),
            "Call-ID": ack.all("Call-ID"),
            "CSeq": ["1 BYE"],
        },
    )
    out = desk.receive(bye, ANNA)
    assert names(out, ANNA) == [200]
    theirs = only(out, "BYE", CARRIER)
    assert isinstance(theirs, Request)
    assert theirs.to.tag == request.from_.tag
    assert theirs.from_.tag == accepted.to.tag
    desk.receive(answer(theirs, 200, hop=CARRIER), CARRIER)
    assert desk.record.end_reason == "agent_hung_up"
    assert desk.record.talked_ns == 10_000_000_000
    desk.assert_quiet()


def test_a_busy_agent_is_followed_by_the_next() -> None:
    desk = Desk()
    offered = only(desk.receive(invite(), CARRIER), "INVITE", ANNA)
    assert isinstance(offered, Request)
    out = desk.receive(answer(offered, 486), ANNA)
    assert names(out) == ["ACK", "INVITE"]
    assert only(out, "INVITE", BEN)
    desk.assert_quiet()


def test_nobody_answers() -> None:
    desk = Desk()
    request = invite()
    offered = only(desk.receive(request, CARRIER), "INVITE", ANNA)
    assert isinstance(offered, Request)
    desk.receive(answer(offered, 180), ANNA)
    out = desk.advance(20.5)
    assert only(out, "CANCEL", ANNA)
    second = only(out, "INVITE", BEN)
    assert isinstance(second, Request)
    out = desk.receive(answer(second, 603), BEN)
    assert names(out, CARRIER) == [480]
    assert desk.kinds == ["ended"]
    assert (desk.record.result, desk.record.status) == ("no_agent", 480)
    desk.assert_quiet()


def test_the_contract_chooses_the_refusal() -> None:
    desk = Desk()
    out = desk.receive(invite("+49302000101"), CARRIER)
    for hop in (ANNA, BEN):
        offered = only(out, "INVITE", hop)
        assert isinstance(offered, Request)
        final = desk.receive(answer(offered, 486), hop)
    assert names(final, CARRIER) == [486]


def test_of_all_who_ring_one_wins_and_the_others_are_told() -> None:
    desk = Desk()
    request = invite("+49302000101")
    out = desk.receive(request, CARRIER)
    first, second = (only(out, "INVITE", hop) for hop in (ANNA, BEN))
    assert isinstance(first, Request)
    assert isinstance(second, Request)
    desk.receive(answer(first, 180), ANNA)
    desk.receive(answer(second, 180), BEN)
    out = desk.receive(answer(second, 200, SDP, hop=BEN), BEN)
    assert names(out, BEN) == ["ACK"]
    assert names(out, CARRIER) == [200]
    called_off = only(out, "CANCEL", ANNA)
    assert called_off.get("Reason") == 'SIP;cause=200;text="Call completed elsewhere"'
    assert desk.exchange.calls == 1


def test_two_answers_at_once_one_is_hung_up() -> None:
    desk = Desk()
    out = desk.receive(invite("+49302000101"), CARRIER)
    first, second = (only(out, "INVITE", hop) for hop in (ANNA, BEN))
    assert isinstance(first, Request)
    assert isinstance(second, Request)
    desk.receive(answer(first, 200, SDP, tag="a"), ANNA)
    out = desk.receive(answer(second, 200, SDP, tag="b", hop=BEN), BEN)
    assert names(out, BEN) == ["ACK", "BYE"]
    assert desk.kinds == ["connected"]


def test_the_caller_gives_up() -> None:
    desk = Desk()
    request = invite()
    offered = only(desk.receive(request, CARRIER), "INVITE", ANNA)
    assert isinstance(offered, Request)
    desk.receive(answer(offered, 180), ANNA)
    out = desk.receive(cancel(request), CARRIER)
    assert names(out, CARRIER) == [200, 487]
    assert names(out, ANNA) == ["CANCEL"]
    assert desk.record.result == "abandoned"
    assert desk.kinds == ["ended"]
    desk.assert_quiet()


def test_an_answer_that_crosses_the_cancel_costs_nothing() -> None:
    desk = Desk()
    request = invite()
    offered = only(desk.receive(request, CARRIER), "INVITE", ANNA)
    assert isinstance(offered, Request)
    desk.receive(answer(offered, 180), ANNA)
    desk.receive(cancel(request), CARRIER)
    out = desk.receive(answer(offered, 200, SDP), ANNA)
    assert names(out, ANNA) == ["ACK", "BYE"]
    assert desk.kinds == ["ended"]


def test_a_lost_ack_ends_the_call_and_the_bill() -> None:
    desk = Desk()
    offered = only(desk.receive(invite(), CARRIER), "INVITE", ANNA)
    assert isinstance(offered, Request)
    desk.receive(answer(offered, 200, SDP), ANNA)
    out = desk.advance(33)
    assert names(out, CARRIER).count(200) == 10
    assert "BYE" in names(out, CARRIER)
    assert "BYE" in names(out, ANNA)
    assert desk.record.end_reason == "caller_ack_timeout"
    assert abs(desk.record.talked_ns - 32_000_000_000) < 1_000_000
    desk.assert_quiet()


def test_hold_passes_through_the_relay() -> None:
    desk = Desk()
    request, accepted, _, _ = talking(desk)
    hold = within(request, accepted, "INVITE", 2)
    hold.set("Contact", "<sip:caller@192.0.2.1:5060>")
    hold.set("Content-Type", "application/sdp")
    hold.body = SDP + b"a=sendonly\r\n"
    out = desk.receive(hold, CARRIER)
    passed = only(out, "INVITE", ANNA)
    assert isinstance(passed, Request)
    assert b"a=sendonly" in passed.body
    out = desk.receive(answer(passed, 200, SDP + b"a=recvonly\r\n"), ANNA)
    held = only(out, 200, CARRIER)
    assert b"a=recvonly" in held.body
    assert isinstance(held, Response)
    desk.receive(within(request, held, "ACK", 2), CARRIER)
    assert desk.exchange.calls == 1


def test_an_agents_hold_is_a_part_of_the_talk_of_its_own() -> None:
    """A caller's hold is not: he is the customer's caller and pays nobody."""
    desk = Desk()
    request, accepted, offered, _ = talking(desk)
    desk.advance(10)
    for number, direction in enumerate((b"sendonly", b"inactive", b"sendrecv"), start=2):
        again = from_phone(offered, "INVITE", number)
        again.set("Content-Type", "application/sdp")
        again.body = SDP + b"a=" + direction + b"\r\n"
        passed = only(desk.receive(again, ANNA), "INVITE", CARRIER)
        assert isinstance(passed, Request)
        only(desk.receive(answer(passed, 200, SDP, hop=CARRIER), CARRIER), 200, ANNA)
        desk.receive(from_phone(offered, "ACK", number), ANNA)
        desk.advance(5)
    desk.receive(within(request, accepted, "BYE", 2), CARRIER)
    parts = [(part.agent, part.activity, round(part.duration_ns / 1e9)) for part in desk.record.segments]
    assert parts == [("anna", "talk", 10), ("anna", "hold", 10), ("anna", "talk", 5)]
    assert desk.record.talked_ns == sum(part.duration_ns for part in desk.record.segments)


def test_phones_without_a_common_codec_are_passed_over_one_after_the_other() -> None:
    desk = Desk()
    offered = only(desk.receive(invite(), CARRIER), "INVITE", ANNA)
    for hop in (ANNA, BEN):
        assert isinstance(offered, Request)
        out = desk.receive(answer(offered, 200, SDP.replace(b"RTP/AVP 8", b"RTP/AVP 3"), hop=hop), hop)
        assert names(out, hop) == ["ACK", "BYE"]
        if hop is ANNA:
            offered = only(out, "INVITE", BEN)
    assert names(out, CARRIER) == [480]
    assert (desk.record.result, desk.record.agent, desk.record.end_reason) == ("no_agent", "", "nobody_available")
    assert desk.kinds == ["ended"]
    desk.assert_quiet()


def test_video_alone_is_no_call() -> None:
    desk = Desk()
    out = desk.receive(invite(body=SDP.replace(b"m=audio", b"m=video")), CARRIER)
    assert names(out) == [100, 488]
    assert desk.record.end_reason == "not_acceptable"


def test_a_full_relay_says_come_again() -> None:
    desk = Desk(port_limit=1)
    out = desk.receive(invite(), CARRIER)
    assert names(out) == [100, 503]
    assert only(out, 503).get("Retry-After")
    desk.assert_quiet()


def test_an_invite_without_a_description_gets_the_agents_offer() -> None:
    desk = Desk()
    request = invite(body=b"")
    offered = only(desk.receive(request, CARRIER), "INVITE", ANNA)
    assert isinstance(offered, Request)
    assert offered.body == b""
    out = desk.receive(answer(offered, 200, SDP), ANNA)
    assert names(out) == [200], "the ACK waits for the caller's answer"
    accepted = only(out, 200, CARRIER)
    assert isinstance(accepted, Response)
    assert b"m=audio" in accepted.body
    ack = within(request, accepted, "ACK", 1)
    ack.set("Content-Type", "application/sdp")
    ack.body = SDP
    out = desk.receive(ack, CARRIER)
    assert b"m=audio" in only(out, "ACK", ANNA).body


def test_early_media_of_a_single_agent_reaches_the_caller() -> None:
    desk = Desk()
    offered = only(desk.receive(invite(), CARRIER), "INVITE", ANNA)
    assert isinstance(offered, Request)
    out = desk.receive(answer(offered, 183, SDP), ANNA)
    assert b"m=audio" in only(out, 183, CARRIER).body


def test_a_registered_phone_is_rung_where_it_registered() -> None:
    desk = Desk()
    assert names(desk.receive(invite("+49302000102"), CARRIER)) == [100, 480]
    home = ANNA._replace(host="10.9.9.9", port=40123)
    assert register(desk, "carla", "secret", home).status == 200
    out = desk.receive(invite("+49302000102"), CARRIER)
    offered = only(out, "INVITE")
    assert out[-1].hop.port == 40123
    assert isinstance(offered, Request)
    assert offered.to.uri == "sip:carla@service.example"


def test_live_calls_keep_their_contract_when_the_business_data_change() -> None:
    from routing.directory import Directory

    desk = Desk()
    request, accepted, _, _ = talking(desk)
    desk.exchange.use(Directory(revision=2), desk.at)
    assert names(desk.receive(invite(), CARRIER)) == [404]
    desk.now += 5
    out = desk.receive(within(request, accepted, "BYE", 2), CARRIER)
    assert only(out, "BYE", ANNA)
    assert desk.record.contract == "one-after-the-other"
    assert desk.record.talked_ns == 5_000_000_000


def test_shutdown_says_bye_to_everybody() -> None:
    desk = Desk()
    talking(desk)
    ringing = invite("+49302000101")
    desk.receive(ringing, CARRIER)
    desk.exchange.shut_down(desk.at)
    out = desk.sent()
    assert names(out, CARRIER) == ["BYE", 503]
    assert "BYE" in names(out, ANNA)
    assert desk.kinds.count("ended") == 2
    assert desk.exchange.controller.ledger.open_calls == 0


def test_a_dtmf_info_goes_through() -> None:
    desk = Desk()
    request, accepted, _, _ = talking(desk)
    info = within(request, accepted, "INFO", 2)
    info.set("Content-Type", "application/dtmf-relay")
    info.body = b"Signal=5\r\nDuration=160\r\n"
    out = desk.receive(info, CARRIER)
    passed = only(out, "INFO", ANNA)
    assert isinstance(passed, Request)
    assert passed.body == info.body
    assert names(desk.receive(answer(passed, 200), ANNA), CARRIER) == [200]


def test_the_agents_phone_is_told_where_the_console_has_the_call() -> None:
    shown = Presentation(headers={"Call-Info": "<https://console.example/calls/{call_id}>;purpose=info"})
    desk = Desk(change=lambda contract: replace(contract, presentation=shown))
    offered = only(desk.receive(invite(), CARRIER), "INVITE", ANNA)
    assert offered.get("Call-Info") == f"<https://console.example/calls/{desk.call_id}>;purpose=info"
