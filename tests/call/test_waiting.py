"""Callers who wait: answered at once, greeted, told where they stand, and never paid for until an agent answers."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from b2bua.sip.message import Request, Response
from routing.contract import Contract, Waiting
from routing.plan import Announce, Callback, Destination, Dial, NextStep, Overflow, Step, Voicemail
from tests.call.desk import ANNA, BEN, CARRIER, SDP, Desk, Sent, answer, from_phone, invite, names, only, within

QUEUE = Waiting(
    answering="answer_at_once", greeting_sound="welcome", music="music", position_seconds=20, comfort_seconds=15,
    comfort_sound="comfort",
)  # fmt: skip


def queue(
    rules: Waiting = QUEUE, patience: int = 300, overflow: Destination | None = None, whisper: str = ""
) -> Callable[[Contract], Contract]:
    """A queue for all agents, one after the other."""

    def change(contract: Contract) -> Contract:
        plan = (Step("group", "all", "longest_idle", 20, ("anna", "ben"), patience_seconds=patience),)
        return replace(contract, plan=plan, waiting=rules, overflow=overflow, whisper=whisper)

    return change


def exits(**digits: Overflow) -> Waiting:
    found: Mapping[str, Overflow] = {name[-1]: action for name, action in digits.items()}
    return replace(QUEUE, exits=found)


def begin(desk: Desk) -> tuple[Request, Response, list[Sent]]:
    """A caller who is answered at once; his ACK is sent."""
    request = invite()
    out = desk.receive(request, CARRIER)
    accepted = only(out, 200, CARRIER)
    assert isinstance(accepted, Response)
    desk.receive(within(request, accepted, "ACK", 1), CARRIER)
    return request, accepted, out


def test_a_caller_is_greeted_and_waits_with_music_until_an_agent_answers() -> None:
    desk = Desk(change=queue())
    request, accepted, out = begin(desk)
    assert b"m=audio" in accepted.body
    offered = only(out, "INVITE", ANNA)
    assert isinstance(offered, Request)
    assert desk.hears() == ("welcome",)
    desk.wait(6)
    assert desk.hears() == ("music",)
    assert names(desk.receive(answer(offered, 180), ANNA)) == []
    out = desk.receive(answer(offered, 200, SDP), ANNA)
    assert names(out) == ["ACK"]
    assert desk.hears() == ()
    assert desk.media.joined(desk.call_id)
    desk.wait(10)
    assert names(desk.receive(within(request, accepted, "BYE", 2), CARRIER)) == [200, "BYE"]
    record = desk.record
    assert (record.result, record.agent) == ("answered", "anna")
    assert round(record.talked_ns / 1e9) == 10
    assert round((record.answered_ns - record.accepted_ns) / 1e9) == 6
    assert desk.kinds[0] == "connected"


def test_who_waits_is_told_where_and_comforted() -> None:
    desk = Desk(change=queue())
    for hop in (ANNA, BEN):
        _, _, out = begin(desk)
        offered = only(out, "INVITE", hop)
        assert isinstance(offered, Request)
        desk.receive(answer(offered, 200, SDP), hop)
    talking = set(desk.exchange.controller.calls)
    begin(desk)
    (third,) = set(desk.exchange.controller.calls) - talking

    def hears() -> tuple[str, ...]:
        playing = desk.media.playing(third, "caller")
        return () if playing is None else playing.sounds

    heard: list[tuple[str, ...]] = []
    for _ in range(45):
        desk.wait(1)
        if not heard or heard[-1] != hears():
            heard.append(hears())
    assert heard[:3] == [("welcome",), ("music",), ("comfort",)]
    assert ("de/position/1", "de/wait/2") in heard


def test_an_agent_who_hangs_up_on_the_whisper_loses_the_call_and_not_the_caller() -> None:
    desk = Desk(change=queue(whisper="berger"))
    _, _, out = begin(desk)
    offered = only(out, "INVITE", ANNA)
    assert isinstance(offered, Request)
    desk.receive(answer(offered, 200, SDP), ANNA)
    assert desk.hears("agent") == ("berger",)
    out = desk.receive(from_phone(offered, "BYE", 1), ANNA)
    assert names(out, CARRIER) == []
    assert names(out, ANNA) == [200]
    second = only(out, "INVITE", BEN)
    assert isinstance(second, Request)
    assert desk.hears() == ("welcome",)
    desk.receive(answer(second, 200, SDP, hop=BEN), BEN)
    assert desk.kinds == []
    desk.wait(3)
    assert desk.media.joined(desk.call_id)
    desk.wait(5)
    desk.receive(from_phone(second, "BYE", 1, hop=BEN), BEN)
    assert (desk.record.agent, desk.record.end_reason) == ("ben", "agent_hung_up")
    assert round(desk.record.talked_ns / 1e9) == 6
    desk.assert_quiet()


def test_the_only_agent_who_hung_up_on_the_whisper_is_asked_again_and_the_caller_waits_on() -> None:
    desk = Desk(change=queue(whisper="berger"))
    desk.floor.status_chosen("ben", "on_break", "lunch", desk.now)
    _, _, out = begin(desk)
    offered = only(out, "INVITE", ANNA)
    assert isinstance(offered, Request)
    desk.receive(answer(offered, 200, SDP), ANNA)
    desk.receive(from_phone(offered, "BYE", 1), ANNA)
    assert "INVITE" not in names(desk.wait(1))
    assert desk.hears() == ("welcome",)
    assert desk.kinds == []


def test_a_phone_that_knows_no_codec_of_the_callers_loses_the_call_and_not_the_caller() -> None:
    for rules in (QUEUE, replace(QUEUE, answering="ring_through", greeting_sound="", music="", comfort_sound="")):
        desk = Desk(change=queue(rules))
        out = desk.receive(invite(), CARRIER)
        offered = only(out, "INVITE", ANNA)
        assert isinstance(offered, Request)
        out = desk.receive(answer(offered, 200, SDP.replace(b"RTP/AVP 8", b"RTP/AVP 3")), ANNA)
        assert names(out, ANNA) == ["ACK", "BYE"]
        second = only(out, "INVITE", BEN)
        assert isinstance(second, Request)
        out = desk.receive(answer(second, 200, SDP, hop=BEN), BEN)
        assert names(out, BEN) == ["ACK"]
        assert names(out, CARRIER) == ([200] if rules.answering == "ring_through" else [])
        assert desk.media.joined(desk.call_id)
        (agent,) = [view for view in desk.floor.agents() if view.id == "anna"]
        assert (agent.state.name, agent.calls) == ("WAITING", 0)


def test_who_is_not_answered_hears_it_ring_while_all_agents_talk() -> None:
    desk = Desk(change=queue(Waiting()))
    offers = []
    for hop in (ANNA, BEN):
        offered = only(desk.receive(invite(), CARRIER), "INVITE", hop)
        assert isinstance(offered, Request)
        desk.receive(answer(offered, 200, SDP, hop=hop), hop)
        offers.append(offered)
    assert names(desk.receive(invite(), CARRIER), CARRIER) == [100, 180]
    out = desk.receive(from_phone(offers[1], "BYE", 1, hop=BEN), BEN)
    third = only(out, "INVITE", BEN)
    assert isinstance(third, Request)
    # it rings already
    assert names(desk.receive(answer(third, 180, hop=BEN), BEN)) == []
    assert 200 in names(desk.receive(answer(third, 200, SDP, hop=BEN), BEN), CARRIER)


def test_a_caller_who_hangs_up_while_waiting_pays_nothing() -> None:
    desk = Desk(change=queue())
    request, accepted, out = begin(desk)
    desk.wait(30)
    out = desk.receive(within(request, accepted, "BYE", 2), CARRIER)
    assert names(out, CARRIER) == [200]
    assert desk.kinds == ["ended"]
    assert (desk.record.result, desk.record.end_reason) == ("abandoned", "caller_hung_up")
    assert desk.record.talked_ns == 0
    desk.assert_quiet()


def test_a_phone_that_renews_its_description_while_waiting_goes_on_waiting() -> None:
    desk = Desk(change=queue())
    request, accepted, _ = begin(desk)
    again = within(request, accepted, "INVITE", 2)
    again.set("Contact", "<sip:caller@192.0.2.1:5060>")
    again.set("Content-Type", "application/sdp")
    again.body = SDP.replace(b"4000", b"4010")
    renewed = only(desk.receive(again, CARRIER), 200, CARRIER)
    assert isinstance(renewed, Response)
    assert b"m=audio" in renewed.body
    desk.receive(within(request, renewed, "ACK", 2), CARRIER)
    desk.wait(10)
    assert desk.hears() == ("music",)


def test_nobody_logged_in_is_said_and_not_waited_for() -> None:
    desk = Desk(change=queue())
    for agent in ("anna", "ben"):
        desk.floor.status_chosen(agent, "logged_out", "", desk.now)
    begin(desk)
    assert desk.hears() == ("de/busy",)
    desk.wait_for("BYE", CARRIER, 4)
    assert (desk.record.result, desk.record.end_reason) == ("no_agent", "nobody_available")


def test_an_overflow_to_an_announcement_answers_a_caller_who_heard_it_ring() -> None:
    ring_through = replace(QUEUE, answering="ring_through")
    desk = Desk(change=queue(ring_through, patience=10, overflow=Announce("closed")))
    request = invite()
    out = desk.receive(request, CARRIER)
    assert 200 not in names(out, CARRIER)
    accepted = desk.wait_for(200, CARRIER)
    assert isinstance(accepted, Response)
    desk.receive(within(request, accepted, "ACK", 1), CARRIER)
    assert desk.hears() == ("closed",)
    desk.wait_for("BYE", CARRIER, 5)
    assert (desk.record.result, desk.record.end_reason, desk.record.talked_ns) == ("no_agent", "announcement", 0)


def test_a_digit_leads_to_voicemail_and_the_message_is_kept() -> None:
    desk = Desk(change=queue(exits(press_1=Voicemail("berger@example.com"))))
    request, accepted, _ = begin(desk)
    desk.wait(6)
    desk.press("9")
    assert desk.hears() == ("music",)
    out = desk.press("1")
    assert "CANCEL" in names(out, ANNA) or desk.floor.counts().agents_offered == 0
    assert desk.hears() == ("de/voicemail/record", "tone/record")
    desk.wait(5)
    desk.wait(8)
    desk.receive(within(request, accepted, "BYE", 2), CARRIER)
    desk.exchange.settle(desk.at)
    (message,) = desk.messages
    assert (message.mailbox, message.contract, round(message.seconds)) == (
        "berger@example.com",
        "one-after-the-other",
        8,
    )
    assert str(message.path).startswith("/messages/berger@example.com/")
    assert (desk.record.result, desk.record.end_reason) == ("no_agent", "voicemail")
    assert desk.record.talked_ns == 0


def test_a_message_without_an_end_is_ended_by_us() -> None:
    desk = Desk(change=queue(exits(press_1=Voicemail("berger"))))
    begin(desk)
    desk.wait(6)
    desk.press("1")
    desk.wait(126)
    assert [round(message.seconds) for message in desk.messages] == [120]
    assert desk.hears() == ("de/voicemail/thanks",)
    assert "BYE" in names(desk.wait(4), CARRIER)


def test_a_key_ends_a_message_and_another_one_does_not() -> None:
    desk = Desk(change=queue(exits(press_1=Voicemail("berger"))))
    begin(desk)
    desk.wait(6)
    desk.press("1")
    desk.wait(15)
    desk.press("5")
    assert not desk.messages
    desk.press("#")
    assert [round(message.seconds) for message in desk.messages] == [10]
    assert desk.hears() == ("de/voicemail/thanks",)
    assert "BYE" in names(desk.wait(4), CARRIER)
    assert (desk.record.end_reason, desk.record.talked_ns) == ("voicemail", 0)


def test_a_digit_asks_to_be_called_back() -> None:
    desk = Desk(change=queue(exits(press_2=Callback())))
    begin(desk)
    desk.wait(6)
    desk.press("2")
    assert desk.hears() == ("de/callback/thanks",)
    assert "BYE" in names(desk.wait(4), CARRIER)
    assert desk.record.end_reason == "callback"
    (wish,) = desk.messages
    assert (wish.mailbox, wish.contract, wish.caller, wish.seconds) == (
        "callbacks",
        "one-after-the-other",
        desk.record.caller,
        0.0,
    )


def test_an_overflow_to_another_number_is_joined_and_not_billed() -> None:
    desk = Desk(change=queue(patience=10, overflow=Dial("+491711234567")))
    begin(desk)
    dialled = desk.wait_for("INVITE", CARRIER)
    assert isinstance(dialled, Request)
    assert dialled.uri == "sip:+491711234567@192.0.2.1"
    assert dialled.get("Diversion") == "<sip:+49302000100@service.example>;reason=unconditional;counter=1"
    assert names(desk.receive(answer(dialled, 200, SDP, hop=CARRIER), CARRIER)) == ["ACK"]
    assert desk.media.joined(desk.call_id)
    desk.wait(20)
    out = desk.receive(from_phone(dialled, "BYE", 2, hop=CARRIER), CARRIER)
    assert sorted(map(str, names(out))) == ["200", "BYE"]
    assert (desk.record.result, desk.record.talked_ns, desk.record.answered_ns) == ("no_agent", 0, 0)
    assert "connected" not in desk.kinds


def test_another_number_that_is_busy_ends_the_call() -> None:
    desk = Desk(change=queue(patience=10, overflow=Dial("+491711234567")))
    begin(desk)
    dialled = desk.wait_for("INVITE", CARRIER)
    assert isinstance(dialled, Request)
    desk.receive(answer(dialled, 486, hop=CARRIER), CARRIER)
    assert desk.hears() == ("de/busy",)
    desk.wait_for("BYE", CARRIER, 5)
    assert desk.record.end_reason == "other_number_failed"


def test_the_agent_hears_the_whisper_before_the_caller_and_is_paid_from_then() -> None:
    desk = Desk(change=queue(whisper="berger"))
    request, accepted, out = begin(desk)
    desk.wait(6)
    offered = only(out, "INVITE", ANNA)
    assert isinstance(offered, Request)
    desk.receive(answer(offered, 200, SDP), ANNA)
    assert desk.hears("agent") == ("berger",)
    assert desk.hears("caller") == ("music",)
    assert not desk.media.joined(desk.call_id)
    assert desk.kinds == []
    desk.wait(3)
    assert desk.media.joined(desk.call_id)
    assert desk.kinds[0] == "connected"
    desk.receive(within(request, accepted, "BYE", 2), CARRIER)
    assert desk.record.agent == "anna"


def test_a_whisper_to_a_caller_who_hears_it_ring() -> None:
    desk = Desk(change=lambda contract: replace(contract, whisper="berger"))
    request = invite()
    offered = only(desk.receive(request, CARRIER), "INVITE", ANNA)
    assert isinstance(offered, Request)
    assert 200 not in names(desk.receive(answer(offered, 200, SDP), ANNA), CARRIER)
    accepted = desk.wait_for(200, CARRIER, 3)
    assert isinstance(accepted, Response)
    desk.receive(within(request, accepted, "ACK", 1), CARRIER)
    assert desk.media.joined(desk.call_id)


def test_a_caller_who_hangs_up_during_the_whisper_is_nobodys_to_pay() -> None:
    desk = Desk(change=queue(whisper="berger"))
    request, accepted, out = begin(desk)
    offered = only(out, "INVITE", ANNA)
    assert isinstance(offered, Request)
    desk.receive(answer(offered, 200, SDP), ANNA)
    out = desk.receive(within(request, accepted, "BYE", 2), CARRIER)
    assert names(out, ANNA) == ["BYE"]
    assert desk.kinds == ["ended"]
    assert desk.record.result == "abandoned"
    desk.assert_quiet()


def test_an_offerless_caller_rings_through_whatever_the_contract_says() -> None:
    desk = Desk(change=queue(patience=0, overflow=Announce("closed")))
    out = desk.receive(invite(body=b""), CARRIER)
    assert 200 not in names(out, CARRIER)
    desk.wait_for(480, CARRIER)


def test_the_next_step_by_digit() -> None:
    desk = Desk(change=queue(exits(press_3=NextStep())))
    begin(desk)
    desk.wait(6)
    desk.press("3")
    assert desk.hears() == ("de/busy",)


def test_another_number_does_not_ring_for_ever() -> None:
    desk = Desk(change=queue(patience=10, overflow=Dial("+491711234567")))
    begin(desk)
    dialled = desk.wait_for("INVITE", CARRIER)
    assert isinstance(dialled, Request)
    desk.receive(answer(dialled, 180, hop=CARRIER), CARRIER)
    out = desk.wait(92)
    assert "CANCEL" in names(out, CARRIER)
    assert desk.hears() == ("de/busy",)
    desk.wait_for("BYE", CARRIER, 5)
    assert desk.record.end_reason == "other_number_failed"
