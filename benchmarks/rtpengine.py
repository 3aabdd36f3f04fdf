"""rtpengine through its ng protocol: just enough to set calls up."""

import itertools
import re
import socket
from typing import Final

Value = str | bytes | list[str]
_PATIENCE: Final = 2.0
_MEDIA_PORT = re.compile(rb"m=audio (\d+) ")


class RtpengineError(Exception):
    """It refuses, or does not answer."""


class Rtpengine:
    """A client on ``address``; asks, waits for the answer, and asks twice if none comes."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(address)
        self._socket.settimeout(_PATIENCE)
        self._cookies = itertools.count()

    def close(self) -> None:
        """Close the socket; calls stay."""
        self._socket.close()

    def offer(self, call: str, description: bytes) -> int:
        """The caller's description; returns the port that the agent is to send to."""
        return self._described({"command": "offer", "call-id": call, "from-tag": "caller", "sdp": description})

    def answer(self, call: str, description: bytes) -> int:
        """The agent's description; returns the port that the caller is to send to."""
        tags: dict[str, Value] = {"from-tag": "caller", "to-tag": "agent"}
        return self._described({"command": "answer", "call-id": call, **tags, "sdp": description})

    def ping(self) -> None:
        """Raises RtpengineError unless it lives."""
        self._ask({"command": "ping"})

    def _described(self, command: dict[str, Value]) -> int:
        reply = self._ask({**command, "ICE": "remove", "replace": ["origin", "session-connection"]})
        found = _MEDIA_PORT.search(reply)
        if found is None:
            raise RtpengineError(f"rtpengine answers {reply[:200]!r}")
        return int(found[1])

    def _ask(self, command: dict[str, Value]) -> bytes:
        cookie = b"bench%d " % next(self._cookies)
        request = cookie + _encode(command)
        for _ in range(2):
            try:
                self._socket.send(request)
                while True:
                    reply = self._socket.recv(65536)
                    if reply.startswith(cookie):
                        return reply
            except (TimeoutError, ConnectionRefusedError):
                continue
        raise RtpengineError("rtpengine does not answer")


def _encode(value: Value | dict[str, Value]) -> bytes:
    """Bencode; keys in order."""
    if isinstance(value, dict):
        return b"d" + b"".join(_encode(key) + _encode(value[key]) for key in sorted(value)) + b"e"
    if isinstance(value, list):
        return b"l" + b"".join(_encode(item) for item in value) + b"e"
    data = value.encode() if isinstance(value, str) else value
    return b"%d:%s" % (len(data), data)
