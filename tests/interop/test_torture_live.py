"""The torture messages against the running server, over UDP and TCP: every answer, and nobody dies.

Each is sent twice: by a stranger, whom the server asks for a password, and from the carrier's address, so that
it goes on to where calls are routed.
"""

import os
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from b2bua.sip.errors import RemoteProtocolError
from b2bua.sip.message import Message, Response
from b2bua.sip.parser import StreamFramer, parse
from tests.interop.server import Server
from tests.sip.test_torture import MESSAGES, TORTURE, judge

#: Where answers go: the sent-by ports of the messages (RFC 3261 section 18.2.2); most have no rport.
PORTS = (5060, 5050, 6050, 19823)
#: The end of addresses in the loopback network that nobody else uses.
_OURS = f"{os.getpid() % 250 + 1}.{os.getpid() // 250 % 250 + 1}"
HOSTS = {"stranger": f"127.88.{_OURS}", "carrier": f"127.89.{_OURS}"}
#: An octet stream with these has no end, or no beginning of the next message (RFC 4475 sections 3.1.2.2, 3.1.2.3
#: and 3.3.8): what the server says to it, and whether at all, is judged in tests/sip.
_BREAKS_THE_STREAM = ("clerr", "ncl", "mcl01")


@dataclass(frozen=True, slots=True)
class Sender:
    """Somebody with an address; ``sockets`` take the answers, and ``heard`` remembers them: nobody sends an ACK, so
    that the server repeats its refusals of earlier messages, octet by octet."""

    host: str
    sockets: list[socket.socket]
    heard: set[bytes]

    def received(self, seconds: float) -> Iterator[Message]:
        """Every new datagram that comes within this time."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            for one in select.select(self.sockets, [], [], left)[0]:
                data = one.recv(65_536)
                if data in self.heard:
                    continue
                self.heard.add(data)
                try:
                    yield parse(data)
                except RemoteProtocolError:
                    pytest.fail("the server sent what is no SIP")

    def sees_life(self, server: Server) -> bool:
        """Whether the server answers OPTIONS; answers to the torture message before may still come."""
        name = f"alive-{time.monotonic_ns()}"
        options = (
            f"OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {self.host}:5060;branch=z9hG4bK{name};rport\r\n"
            f"From: <sip:a@{self.host}>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: {name}\r\nCSeq: 1 OPTIONS\r\n"
            "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        )
        self.sockets[0].sendto(options.encode(), server.address())
        return any(message.get("Call-ID") == name for message in self.received(5.0))


def _running(folder: Path) -> Iterator[Server]:
    with Server(folder, "", [HOSTS["carrier"]]) as server:
        yield server
    assert server.faults() == []
    assert server.calls() == [], "no torture message is a call"


# two, since the transport has no part in matching a request to its transaction (RFC 3261 section 17.2.3): what came
# over UDP a second ago would be a retransmission over TCP


@pytest.fixture(scope="module")
def udp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from _running(tmp_path_factory.mktemp("torture-udp"))


@pytest.fixture(scope="module")
def tcp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from _running(tmp_path_factory.mktemp("torture-tcp"))


@pytest.fixture(scope="module", params=HOSTS)
def sender(request: pytest.FixtureRequest) -> Iterator[Sender]:
    sender = Sender(HOSTS[request.param], [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in PORTS], set())
    try:
        for port, one in zip(PORTS, sender.sockets, strict=True):
            one.bind((sender.host, port))
    except OSError as error:
        print(f"skipped: {sender.host} cannot be used here: {error}")
        pytest.skip(f"{sender.host} cannot be used here: {error}")
    yield sender
    for one in sender.sockets:
        one.close()


def _expects_answer(entry: dict[str, Any]) -> bool:
    return bool(entry["action"] in ("ok", "app", "reject"))


@pytest.mark.parametrize("entry", MESSAGES, ids=[entry["name"] for entry in MESSAGES])
def test_over_udp(entry: dict[str, Any], udp_server: Server, sender: Sender) -> None:
    data = (TORTURE / entry["file"]).read_bytes()
    sender.sockets[0].sendto(data, udp_server.address())
    final = []
    for message in sender.received(2.0 if _expects_answer(entry) else 0.2):
        if isinstance(message, Response) and message.status >= 200:
            final.append(message.status)
            break
    judge(entry, final)
    assert sender.sees_life(udp_server)
    assert udp_server.faults() == []


@pytest.mark.parametrize("entry", MESSAGES, ids=[entry["name"] for entry in MESSAGES])
def test_over_tcp(entry: dict[str, Any], tcp_server: Server, sender: Sender) -> None:
    data = (TORTURE / entry["file"]).read_bytes()
    answered = entry["name"] not in _BREAKS_THE_STREAM
    final: list[int] = []
    with socket.create_connection(tcp_server.address("tcp"), 5, (sender.host, 0)) as stream:
        stream.sendall(data)
        stream.settimeout(2.0 if answered and _expects_answer(entry) else 0.2)
        framer = StreamFramer()
        try:
            while not final and (chunk := stream.recv(65_536)):
                answers = [item for item in framer.feed(chunk) if isinstance(item, Response)]
                final = [answer.status for answer in answers if answer.status >= 200][:1]
        except TimeoutError:
            pass
        except ConnectionError:
            assert entry["action"] in ("reject", "either")
    if answered:
        judge(entry, final)
    assert sender.sees_life(tcp_server)
    assert tcp_server.faults() == []
