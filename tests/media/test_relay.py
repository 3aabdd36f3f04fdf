"""The relay over real sockets: who is heard, who is not, and what is left when everybody has gone."""

import struct
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from media.engine import MediaFailed, MediaTimedOut
from tests.media.office import Office, Phone, audio_port, frames, heard

REPORT = struct.pack("!BBHIIIIII", 0x80, 200, 6, 0xCA, 1, 2, 3, 4, 5)


@pytest_asyncio.fixture
async def office() -> AsyncIterator[Office]:
    made = Office()
    yield made
    made.close()


async def test_each_hears_the_others_tone(office: Office) -> None:
    office.connect()
    at_agent, at_caller = [], []
    for low, high in zip(frames(440, 0.4), frames(1000, 0.4), strict=True):
        office.caller.send(low)
        office.agent.send(high)
        at_agent.append(await office.agent.receive())
        at_caller.append(await office.caller.receive())
    assert heard(at_agent) == 440
    assert heard(at_caller) == 1000


async def test_packets_pass_byte_for_byte(office: Office) -> None:
    office.connect()
    office.caller.send(b"\x01\x8a\x03\xc0", payload_type=101)
    packet = await office.agent.receive()
    assert packet[1] == 101
    assert packet[12:] == b"\x01\x8a\x03\xc0"


async def test_nothing_flows_before_the_answer_and_nothing_old_after_it(office: Office) -> None:
    office.agent.relay_port = audio_port(office.offer(office.caller.description()))
    office.agent.send(b"too early")
    office.answer(office.agent.description())
    assert b"too early" not in await office.relayed(office.agent, office.caller)


async def test_a_phone_behind_nat_is_found_by_its_packets(office: Office) -> None:
    office.connect(office.caller.description().replace(b"127.0.0.1", b"192.0.2.1"))
    await office.relayed(office.caller, office.agent)
    await office.relayed(office.agent, office.caller)
    assert office.hang_up()["caller"].remote == ("127.0.0.1", office.caller.port)


async def test_the_signalled_address_supersedes_a_stranger_who_came_first(office: Office) -> None:
    office.connect()
    stranger = office.stranger()
    await office.relayed(stranger, office.agent)
    await office.relayed(office.caller, office.agent)
    await office.relayed(office.agent, office.caller)
    assert stranger.waiting() == 0


async def test_a_stranger_cannot_take_over_a_latched_leg(office: Office) -> None:
    office.connect()
    await office.relayed(office.caller, office.agent)
    stranger = office.stranger()
    for _ in range(50):
        stranger.send()
    await office.relayed(office.caller, office.agent)
    await office.relayed(office.agent, office.caller)
    assert stranger.waiting() == 0
    assert office.hang_up()["agent"].packets_sent == 2


async def test_what_a_stranger_queued_before_latching_is_not_heard(office: Office) -> None:
    office.connect()
    office.caller.send(b"caller")
    stranger = office.stranger()
    for _ in range(20):
        stranger.send(b"stranger")
    await office.relayed(office.caller, office.agent)
    assert office.hang_up()["agent"].packets_sent == 2


async def test_a_stranger_who_comes_late_is_not_latched(office: Office) -> None:
    office.connect()
    office.advance(6.0)
    stranger = office.stranger()
    stranger.send(b"stranger")
    await office.relayed(office.caller, office.agent)
    assert office.hang_up()["agent"].packets_sent == 1


async def test_strict_takes_nobody_but_the_signalled() -> None:
    office = Office(strict=True)
    try:
        office.connect()
        office.stranger().send(b"stranger")
        await office.relayed(office.caller, office.agent)
        assert office.hang_up()["agent"].packets_sent == 1
    finally:
        office.close()


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\0",
        b"\x80\0" + bytes(9),  # a byte short of a header
        b"\x40\0" + bytes(170),  # version 1
        b"\x80\x60" + bytes(170),  # payload type 96: nobody agreed to it
        b"\x80\xc8" + bytes(26),  # RTCP
        b"\x80\0" + bytes(3000),  # larger than any audio packet
    ],
    ids=["empty", "octet", "short", "version", "payload-type", "rtcp", "large"],
)
async def test_garbage_does_not_latch_and_is_not_relayed(office: Office, packet: bytes) -> None:
    office.connect(office.caller.description().replace(b"127.0.0.1", b"192.0.2.1"))
    stranger = office.stranger()
    stranger.rtp.sendto(packet, ("127.0.0.1", stranger.relay_port))
    await office.relayed(office.caller, office.agent)
    assert office.hang_up()["caller"].remote == ("127.0.0.1", office.caller.port)
    assert office.engine.packets_dropped == 1


async def test_a_reoffer_with_another_address_moves_the_leg(office: Office) -> None:
    office.connect()
    await office.relayed(office.caller, office.agent)
    moved = office.stranger()
    office.connect(moved.description(version=2))
    moved.relay_port = office.caller.relay_port
    await office.relayed(moved, office.agent)
    await office.relayed(office.agent, moved)
    # the old place is a stranger now
    office.caller.send(b"old")
    await office.relayed(moved, office.agent)
    assert office.caller.waiting() == 0


async def test_a_leg_that_moved_is_spoken_to_before_it_speaks(office: Office) -> None:
    office.connect()
    await office.relayed(office.caller, office.agent)
    moved = office.stranger()
    office.connect(moved.description(version=2))
    await office.relayed(office.agent, moved)


async def test_a_reoffer_from_the_same_place_keeps_the_latch(office: Office) -> None:
    behind_nat = office.caller.description().replace(b"127.0.0.1", b"192.0.2.1")
    office.connect(behind_nat)
    await office.relayed(office.caller, office.agent)
    office.connect(behind_nat.replace(b"o=- 1 1", b"o=- 1 2"))
    office.stranger().send(b"stranger")
    await office.relayed(office.agent, office.caller)


async def test_another_agent_who_answers_is_latched_anew(office: Office) -> None:
    office.connect()
    await office.relayed(office.agent, office.caller)
    second = Phone(ssrc=0xA7)
    office.strangers.append(second)
    office.answer(second.description(session_id=2))
    second.relay_port = office.agent.relay_port
    await office.relayed(second, office.caller)
    await office.relayed(office.caller, second)
    assert office.agent.waiting() == 0


async def test_held_packets_are_not_relayed_and_flow_again_afterwards(office: Office) -> None:
    office.connect()
    await office.relayed(office.agent, office.caller)
    office.connect(
        office.caller.description(direction="sendonly", version=2), office.agent.description(direction="recvonly")
    )
    office.agent.send(b"held")
    await office.relayed(office.caller, office.agent)
    office.connect(office.caller.description(version=3), office.agent.description(version=2))
    await office.relayed(office.agent, office.caller)
    assert office.caller.waiting() == 0
    assert office.hang_up()["caller"].packets_sent == 2


async def test_hold_by_address_zero_keeps_the_latch(office: Office) -> None:
    office.connect()
    await office.relayed(office.caller, office.agent)
    held = office.caller.description(version=2).replace(b"c=IN IP4 127.0.0.1", b"c=IN IP4 0.0.0.0")
    office.connect(held, office.agent.description(direction="recvonly", version=2))
    await office.relayed(office.caller, office.agent)
    office.agent.send(b"held")
    office.connect(office.caller.description(version=3), office.agent.description(version=3))
    stranger = office.stranger()
    stranger.send(b"stranger")
    await office.relayed(office.agent, office.caller)
    assert stranger.waiting() == 0


async def test_reports_pass_both_ways_from_the_right_host_only(office: Office) -> None:
    office.connect()
    office.caller.send_report(REPORT)
    assert await office.agent.receive_report() == REPORT
    office.agent.send_report(REPORT)
    assert await office.caller.receive_report() == REPORT
    office.stranger().send_report(REPORT)
    office.caller.rtcp.sendto(b"not a report", ("127.0.0.1", office.caller.relay_port + 1))
    office.caller.send_report(REPORT)
    await office.agent.receive_report()
    figures = office.hang_up()
    assert figures["caller"].rtcp_received == 2
    assert figures["agent"].rtcp_sent == 2
    assert office.engine.packets_dropped == 2


async def test_reports_pass_while_held(office: Office) -> None:
    office.connect(office.caller.description(direction="inactive"), office.agent.description(direction="inactive"))
    office.caller.send_report(REPORT)
    assert await office.agent.receive_report() == REPORT


async def test_figures_of_both_legs(office: Office) -> None:
    office.connect()
    for _ in range(60):
        office.now += 0.02
        await office.relayed(office.caller, office.agent)
        await office.relayed(office.agent, office.caller)
    office.agent.sequence += 3
    await office.relayed(office.agent, office.caller)
    figures = office.hang_up()
    caller, agent = figures["caller"], figures["agent"]
    assert (caller.packets_received, caller.packets_sent) == (60, 61)
    assert (agent.packets_received, agent.packets_sent) == (61, 60)
    assert caller.octets_received == agent.octets_sent == 60 * 172
    assert (caller.lost, agent.lost) == (0, 3)
    assert caller.codec == "PCMU"
    assert caller.mos is not None
    assert agent.mos is not None
    assert 3.5 < agent.mos < 4.3 < caller.mos < 4.5
    assert caller.remote == ("127.0.0.1", office.caller.port)
    assert office.engine.packets_relayed == 121


async def test_a_port_unreachable_costs_a_packet_not_the_call(office: Office) -> None:
    office.connect()
    await office.relayed(office.agent, office.caller)
    await office.relayed(office.caller, office.agent)
    office.caller.close_rtp()
    for _ in range(3):
        office.agent.send()
    office.caller.open_rtp()
    await office.relayed(office.caller, office.agent)
    await office.relayed(office.agent, office.caller)


async def test_a_leg_that_falls_silent_is_told_once(office: Office) -> None:
    woken: list[int] = []
    office.engine.on_event = lambda: woken.append(1)
    office.connect()
    for _ in range(59):
        office.advance(1.0)
        await office.relayed(office.agent, office.caller)
    assert not office.engine.events
    office.advance(1.5)
    assert list(office.engine.events) == [MediaTimedOut("call", "caller")]
    assert woken == [1]
    office.engine.events.clear()
    office.advance(1.0)
    assert not office.engine.events


async def test_a_held_leg_may_be_silent(office: Office) -> None:
    office.connect(office.caller.description(direction="sendonly"), office.agent.description(direction="recvonly"))
    for _ in range(100):
        office.advance(1.0)
        await office.relayed(office.caller, office.agent)
    assert not office.engine.events


async def test_the_silence_begins_anew_with_each_answer(office: Office) -> None:
    office.connect()
    office.advance(50.0)
    office.connect()
    office.advance(50.0)
    assert not office.engine.events
    office.advance(11.0)
    assert {event.leg for event in office.engine.events if isinstance(event, MediaTimedOut)} == {"caller", "agent"}


async def test_ports_are_given_back_and_rest(office: Office) -> None:
    free = office.engine.ports_free
    office.connect()
    assert office.engine.ports_in_use == 2
    office.hang_up()
    assert office.engine.ports_in_use == 0
    assert office.engine.ports_free == free - 2
    office.advance(10.0)
    assert office.engine.ports_free == free


async def test_running_out_of_ports_fails_the_offer_and_hurts_nobody(office: Office) -> None:
    for number in range(10):
        office.engine.offer(f"call {number}", "caller", "agent", office.caller.description())
    office.engine.events.clear()
    office.engine.offer("one too many", "caller", "agent", office.caller.description())
    failure = office.engine.events.popleft()
    assert isinstance(failure, MediaFailed)
    assert failure.reason == "no_ports"
    for number in range(10):
        office.engine.close(f"call {number}")
    assert office.engine.ports_in_use == 0


async def test_closing_the_unknown_answers_all_the_same(office: Office) -> None:
    assert office.hang_up() == {}


async def test_ipv6() -> None:
    office = Office("::1")
    try:
        office.connect()
        await office.relayed(office.caller, office.agent)
        await office.relayed(office.agent, office.caller)
        assert office.hang_up()["agent"].remote == ("::1", office.agent.port)
    finally:
        office.close()


async def test_an_address_family_we_do_not_speak_is_refused(office: Office) -> None:
    office.engine.offer("call", "caller", "agent", office.caller.description().replace(b"IP4 127.0.0.1", b"IP6 ::1"))
    failure = office.engine.events.popleft()
    assert isinstance(failure, MediaFailed)
    assert failure.reason == "no_ports"
    assert office.engine.ports_in_use == 0
