"""The torture messages against the running server, over UDP and TCP: every answer, and nobody dies."""

import os
import select
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from b2bua.sip.errors import RemoteProtocolError
from b2bua.sip.message import Message, Response
from b2bua.sip.parser import parse
from tests.interop.server import Server
from tests.sip.test_torture import MESSAGES, TORTURE, judge

#: Where answers go: the sent-by ports of the messages (RFC 3261 section 18.2.2); most have no rport.
PORTS = (5060, 5050, 6050, 19823)
#: An address of the loopback network that nobody else uses.
HOST = f"127.88.{os.getpid() % 250 + 1}.{os.getpid() // 250 % 250 + 1}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("torture"), "") as running:
        yield running
    assert running.faults() == []


@pytest.fixture(scope="module")
def sockets() -> Iterator[list[socket.socket]]:
    opened = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in PORTS]
    try:
        for port, one in zip(PORTS, opened, strict=True):
            one.bind((HOST, port))
    except OSError as error:
        print(f"skipped: {HOST} cannot be used here: {error}")
        pytest.skip(f"{HOST} cannot be used here: {error}")
    yield opened
    for one in opened:
        one.close()


def _received(sockets: list[socket.socket], seconds: float) -> Iterator[Message]:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        for one in select.select(sockets, [], [], left)[0]:
            try:
                yield parse(one.recv(65_536))
            except RemoteProtocolError:
                pytest.fail("the server sent what is no SIP")


def _is_alive(server: Server, sockets: list[socket.socket]) -> bool:
    name = f"alive-{time.monotonic_ns()}"
    options = (
        f"OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {HOST}:5060;branch=z9hG4bK{name};rport\r\n"
        f"From: <sip:a@{HOST}>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: {name}\r\nCSeq: 1 OPTIONS\r\n"
        "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
    sockets[0].sendto(options.encode(), server.address())
    # answers to the torture message before may still come
    return any(message.get("Call-ID") == name for message in _until(sockets, name))


def _until(sockets: list[socket.socket], call_id: str) -> Iterator[Message]:
    for message in _received(sockets, 5.0):
        yield message
        if message.get("Call-ID") == call_id:
            return


def _expects_answer(entry: dict[str, Any]) -> bool:
    return bool(entry["action"] in ("ok", "app", "reject"))


@pytest.mark.parametrize("entry", MESSAGES, ids=[entry["name"] for entry in MESSAGES])
def test_over_udp(entry: dict[str, Any], server: Server, sockets: list[socket.socket]) -> None:
    data = (TORTURE / entry["file"]).read_bytes()
    sockets[0].sendto(data, server.address())
    statuses = []
    for message in _received(sockets, 2.0 if _expects_answer(entry) else 0.2):
        if isinstance(message, Response) and not (message.get("Call-ID") or "").startswith("alive-"):
            statuses.append(message.status)
            if message.status >= 200:
                break
    judge(entry, [status for status in statuses if status >= 200])
    assert _is_alive(server, sockets)


@pytest.mark.parametrize("entry", MESSAGES, ids=[entry["name"] for entry in MESSAGES])
def test_over_tcp(entry: dict[str, Any], server: Server, sockets: list[socket.socket]) -> None:
    data = (TORTURE / entry["file"]).read_bytes()
    received = b""
    with socket.create_connection(server.address("tcp"), timeout=5) as stream:
        stream.sendall(data)
        stream.settimeout(1.0 if _expects_answer(entry) else 0.2)
        try:
            while b"\r\n\r\n" not in received and (chunk := stream.recv(65_536)):
                received += chunk
        except TimeoutError:
            assert not _expects_answer(entry) or entry["name"] in ("clerr", "inv2543"), "no answer"
        except ConnectionError:
            assert entry["action"] in ("reject", "either")
    if received:
        answer = parse(received)
        assert isinstance(answer, Response)
        if entry["name"] not in ("clerr", "ncl", "mcl01") and answer.status >= 200:
            judge(entry, [answer.status])
    assert _is_alive(server, sockets)
