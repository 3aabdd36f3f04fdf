"""Which transaction a message belongs to, where responses go, and what happens in a full house."""

import pytest

from b2bua.sip.errors import RemoteProtocolError
from b2bua.sip.hop import Hop
from b2bua.sip.message import response_to
from tests.sip.wire import TCP, UDP, Owner, Wire, answer_bytes, our_request, request_bytes

# -- requests (RFC 3261 section 17.2.3) ----------------------------------------------------------------------


def test_branch_sent_by_and_method_make_a_transaction() -> None:
    wire = Wire()
    wire.receive_new(request_bytes())
    assert wire.receive(request_bytes()) is None
    wire.receive_new(request_bytes(branch="z9hG4bKother"))
    wire.receive_new(request_bytes(via="192.0.2.2"))
    wire.receive_new(request_bytes(via="192.0.2.1:5062"))
    wire.receive_new(request_bytes("OPTIONS"))
    assert wire.layer.server_count == 5


def test_a_repetition_may_come_from_elsewhere() -> None:
    """The sent-by names the sender, not the address: behind NAT that may change."""
    wire = Wire()
    wire.receive_new(request_bytes())
    assert wire.receive(request_bytes(), UDP._replace(port=40000)) is None


def test_an_ack_with_another_branch_is_that_of_a_success() -> None:
    wire = Wire()
    transaction = wire.receive_new(request_bytes())
    transaction.respond(response_to(transaction.request, 200, to_tag="ours"), wire.now)
    wire.receive(request_bytes("ACK", branch="z9hG4bKack", to_tag="ours"))
    assert len(wire.acks) == 1


def test_the_magic_cookie_alone_is_no_identifier() -> None:
    """RFC 4475 section 3.1.2.18 (badbranch): matched as of old, so that two calls stay two."""
    wire = Wire()
    wire.receive_new(request_bytes(branch="z9hG4bK"))
    wire.receive_new(request_bytes(branch="z9hG4bK", call_id="another@peer"))
    assert wire.receive(request_bytes(branch="z9hG4bK")) is None


@pytest.mark.parametrize("branch", ["", "1", "oldstyle"])
def test_old_branches_are_matched_by_everything_else(branch: str) -> None:
    wire = Wire()
    first = wire.receive_new(request_bytes(branch=branch))
    assert wire.receive(request_bytes(branch=branch)) is None
    wire.receive_new(request_bytes(branch=branch, cseq=2))
    wire.receive_new(request_bytes(branch=branch, call_id="another@peer"))
    wire.receive_new(request_bytes(branch=branch), UDP._replace(host="192.0.2.99"))
    first.respond(response_to(first.request, 486, to_tag="ours"), wire.now)
    wire.receive(request_bytes("ACK", branch=branch, to_tag="wrong"))
    assert len(wire.acks) == 1
    wire.receive(request_bytes("ACK", branch=branch, to_tag="ours"))
    wire.take()
    wire.advance(5)
    assert 486 not in wire.ladder()


def test_an_old_cancel_finds_its_invite() -> None:
    wire = Wire()
    transaction = wire.receive_new(request_bytes(branch="1"))
    owner = Owner()
    transaction.owner = owner
    wire.receive(request_bytes("CANCEL", branch="1"))
    wire.assert_sent([200])
    assert len(owner.cancels) == 1


def test_a_request_without_via_cannot_be_answered() -> None:
    wire = Wire()
    with pytest.raises(RemoteProtocolError):
        wire.receive(request_bytes().replace(b"Via:", b"X-Via:"))
    wire.assert_sent([])


def test_requests_that_merge_are_known() -> None:
    wire = Wire()
    first = wire.receive_new(request_bytes())
    second = wire.receive_new(request_bytes(branch="z9hG4bKother"))
    assert not wire.layer.merged(first)
    assert wire.layer.merged(second)


def test_requests_in_a_dialog_do_not_merge() -> None:
    wire = Wire()
    wire.receive_new(request_bytes("INFO", to_tag="ours"))
    second = wire.receive_new(request_bytes("INFO", branch="z9hG4bKother", to_tag="ours"))
    assert not wire.layer.merged(second)


def test_a_transaction_that_ended_merges_with_nothing() -> None:
    wire = Wire()
    first = wire.receive_new(request_bytes("OPTIONS"))
    first.respond(response_to(first.request, 200), wire.now)
    wire.advance(32)
    second = wire.receive_new(request_bytes("OPTIONS", branch="z9hG4bKother"))
    assert not wire.layer.merged(second)


# -- responses (RFC 3261 section 17.1.3) ---------------------------------------------------------------------


def test_a_response_finds_its_request_by_branch_and_method() -> None:
    wire = Wire()
    invite, options = Owner(), Owner()
    first, second = our_request(), our_request("OPTIONS")
    wire.layer.request(first, UDP, invite, wire.now)
    wire.layer.request(second, UDP, options, wire.now)
    wire.receive(answer_bytes(second, 200))
    wire.receive(answer_bytes(first, 180))
    assert (invite.responses, options.responses) == ([180], [200])
    # the right branch with another method is a stray
    wire.receive(answer_bytes(first, 200).replace(b"1 INVITE", b"1 OPTIONS"))
    assert invite.responses == [180]
    assert options.responses == [200]


@pytest.mark.parametrize("status", [100, 180, 404])
def test_strays_are_dropped(status: int) -> None:
    wire = Wire()
    wire.receive(answer_bytes(our_request(), status))
    assert wire.strays == []
    wire.assert_sent([])


# -- where responses go (RFC 3261 section 18.2, RFC 3581) ----------------------------------------------------


def reply(via: str, hop: Hop, parameters: str = "") -> tuple[Hop, str]:
    wire = Wire()
    transaction = wire.receive_new(
        request_bytes("OPTIONS", via=via, transport=hop.transport.upper(), parameters=parameters), hop
    )
    transaction.respond_statelessly(response_to(transaction.request, 200))
    sent = wire.take_one()
    return sent.hop, sent.message.get("Via") or ""


def test_to_the_source_address_and_the_port_of_the_via() -> None:
    hop, via = reply("192.0.2.1:5070", UDP._replace(port=40000))
    assert hop == UDP._replace(port=5070)
    assert "received" not in via


def test_to_port_5060_if_the_via_has_none() -> None:
    assert reply("192.0.2.1", UDP._replace(port=40000))[0].port == 5060


def test_with_rport_to_the_source() -> None:
    hop, via = reply("10.0.0.5:5060", Hop("udp", "203.0.113.9", 40000, "trunk"), ";rport")
    assert (hop.host, hop.port) == ("203.0.113.9", 40000)
    assert "rport=40000" in via
    assert "received=203.0.113.9" in via


def test_a_name_in_the_via_gets_received() -> None:
    hop, via = reply("pbx.example.com", UDP)
    assert hop.host == "192.0.2.1"
    assert ";received=192.0.2.1" in via


def test_a_received_that_the_sender_wrote_is_overwritten() -> None:
    hop, via = reply("192.0.2.1", UDP, ";received=198.51.100.66")
    assert hop.host == "192.0.2.1"
    assert "198.51.100.66" not in via


def test_maddr_aims_nothing_at_others() -> None:
    assert reply("192.0.2.1", UDP, ";maddr=198.51.100.66")[0].host == "192.0.2.1"


def test_over_tcp_on_the_same_connection() -> None:
    hop, _ = reply("192.0.2.1:5060", TCP)
    assert hop.connection == TCP.connection
    # where to open another if this one is closed
    assert hop.port == 5060


def test_only_the_top_via_is_stamped() -> None:
    wire = Wire()
    data = request_bytes("OPTIONS", via="proxy.example", extra="Via: SIP/2.0/UDP caller.example;branch=z9hG4bKx\r\n")
    transaction = wire.receive_new(data)
    transaction.respond_statelessly(response_to(transaction.request, 200))
    top, below = wire.take_one().message.values("Via")
    assert "received=192.0.2.1" in top
    assert below == "SIP/2.0/UDP caller.example;branch=z9hG4bKx"


# -- overload ------------------------------------------------------------------------------------------------


def test_a_full_house_refuses_newcomers_but_lets_guests_leave() -> None:
    wire = Wire(max_server_transactions=4)
    for number in range(4):
        wire.receive_new(request_bytes(branch=f"z9hG4bK{number}", call_id=f"{number}@peer"))
    assert wire.receive(request_bytes(branch="z9hG4bKnew", call_id="new@peer")) is None
    refusal = wire.take_one()
    assert (refusal.name, refusal.message.get("Retry-After")) == (503, "5")
    # its repetition is the same to the last octet
    wire.receive(request_bytes(branch="z9hG4bKnew", call_id="new@peer"))
    assert wire.take_one().message.encode() == refusal.message.encode()
    # repetitions, CANCEL and requests of dialogs go on
    assert wire.receive(request_bytes(branch="z9hG4bK0", call_id="0@peer")) is None
    wire.receive_new(request_bytes("BYE", branch="z9hG4bKbye", to_tag="ours"))
    wire.receive(request_bytes("CANCEL", branch="z9hG4bK1", call_id="1@peer"))
    wire.assert_sent([200])
    # even those only up to a quarter more
    wire.receive(request_bytes("BYE", branch="z9hG4bKbye2", to_tag="ours"))
    wire.assert_sent([503])


def test_the_ack_of_a_503_makes_nothing() -> None:
    wire = Wire(max_server_transactions=0)
    wire.receive(request_bytes())
    wire.receive(request_bytes("ACK", to_tag="theirs"))
    wire.assert_sent([503])
    wire.assert_quiet()
