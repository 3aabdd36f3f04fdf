"""Session descriptions: parse and print (RFC 8866).

Strict where a fault would change the meaning, tolerant of what real peers send: bare LF, no or empty ``s=``,
no ``t=``, no ``c=`` at session level, trailing blanks, user names with blanks, unknown lines. Text is UTF-8
with surrogate escapes, so any byte survives parse and print. What is printed is in the order of RFC 8866
section 5.
"""

from collections.abc import Iterable
from typing import NamedTuple

MAX_SIZE = 32_768
"""Octets; a browser's offer with video has about 8,000."""
MAX_LINES = 1_024
MAX_MEDIA = 32
MAX_FORMATS = 128

_SESSION_INFORMATION = "iuep"
_TIMES = "trz"


class SdpError(ValueError):
    """The octets are no session description. The text names the fault and holds nothing of the peer's."""


class Connection(NamedTuple):
    """A ``c=`` line (RFC 8866 section 5.7); ``address`` as written: address, name, or multicast with
    ``/ttl``."""

    network: str
    family: str
    address: str

    @classmethod
    def parse(cls, value: str) -> "Connection":
        fields = [part for part in value.split(" ") if part]
        if len(fields) != 3:
            raise SdpError("connection line without network, family and address")
        return cls(*fields)

    @classmethod
    def to(cls, address: str) -> "Connection":
        """The connection line for one of our own literal addresses, IPv4 or IPv6."""
        return cls("IN", "IP6" if ":" in address else "IP4", address)

    def __str__(self) -> str:
        return f"{self.network} {self.family} {self.address}"


class Origin(NamedTuple):
    """An ``o=`` line (RFC 8866 section 5.2); the numbers stay text, since peers put anything there."""

    username: str
    session_id: str
    version: str
    network: str
    family: str
    address: str

    @classmethod
    def parse(cls, value: str) -> "Origin":
        # From the right: some phones put a display name with blanks where the user name belongs.
        fields = value.rstrip(" ").rsplit(" ", 5)
        if len(fields) != 6:
            raise SdpError("origin line without its six fields")
        return cls(*fields)

    def __str__(self) -> str:
        return " ".join(self)


class MediaDescription:
    """One ``m=`` line and what belongs to it (RFC 8866 section 5.14); ``port`` 0 means rejected or removed.

    ``attributes`` are the values of ``a=`` lines; ``information``, ``bandwidth`` and ``unknown`` are whole
    lines.
    """

    __slots__ = (
        "attributes",
        "bandwidth",
        "connection",
        "formats",
        "information",
        "kind",
        "port",
        "port_count",
        "protocol",
        "unknown",
    )

    def __init__(self, kind: str, port: int, protocol: str, formats: Iterable[str], port_count: int = 1) -> None:
        self.kind = kind
        self.port = port
        self.port_count = port_count
        self.protocol = protocol
        self.formats = list(formats)
        self.connection: Connection | None = None
        self.information: list[str] = []
        self.bandwidth: list[str] = []
        self.attributes: list[str] = []
        self.unknown: list[str] = []

    @classmethod
    def parse(cls, value: str) -> "MediaDescription":
        """Read the value of an ``m=`` line; raises SdpError."""
        fields = [part for part in value.split(" ") if part]
        if len(fields) < 3:
            raise SdpError("media line without kind, port and protocol")
        port_text, slash, count_text = fields[1].partition("/")
        port = number(port_text, 65_535)
        count = number(count_text, 65_535) if slash else 1
        if port is None or count is None:
            raise SdpError("media line without a port number")
        # RFC 3264 section 6 wants a format even in a rejected stream; some peers leave it out there, nowhere
        # else.
        if len(fields) == 3 and port:
            raise SdpError("media line without a format")
        if len(fields) > MAX_FORMATS + 3:
            raise SdpError("media line with too many formats")
        return cls(fields[0], port, fields[2], fields[3:], count)

    def attribute(self, name: str) -> str | None:
        """The value of the first ``a=name:value``, "" for ``a=name``, None when there is none."""
        return _attribute(self.attributes, name)

    def lines(self) -> list[str]:
        port = f"{self.port}/{self.port_count}" if self.port_count != 1 else str(self.port)
        lines = [" ".join((f"m={self.kind}", port, self.protocol, *self.formats)), *self.information]
        if self.connection is not None:
            lines.append(f"c={self.connection}")
        lines += self.bandwidth
        lines += ["a=" + attribute for attribute in self.attributes]
        lines += self.unknown
        return lines

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MediaDescription) and self.lines() == other.lines()

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"MediaDescription({self.lines()!r})"


class SessionDescription:
    """A whole description: the session's own lines and its media in their order.

    ``information`` (i, u, e, p), ``bandwidth``, ``times`` (t, r, z) and ``unknown`` are whole lines.
    """

    __slots__ = (
        "attributes",
        "bandwidth",
        "connection",
        "information",
        "media",
        "name",
        "origin",
        "times",
        "unknown",
    )

    def __init__(self, origin: Origin, connection: Connection | None = None, name: str = "-") -> None:
        self.origin = origin
        self.connection = connection
        self.name = name
        self.information: list[str] = []
        self.bandwidth: list[str] = []
        self.times: list[str] = []
        self.attributes: list[str] = []
        self.unknown: list[str] = []
        self.media: list[MediaDescription] = []

    def attribute(self, name: str) -> str | None:
        """The value of the first session-level ``a=name:value``, "" for ``a=name``, None when there is
        none."""
        return _attribute(self.attributes, name)

    def lines(self) -> list[str]:
        # RFC 8866 section 5.3: s= must not be empty.
        lines = ["v=0", f"o={self.origin}", "s=" + (self.name or "-"), *self.information]
        if self.connection is not None:
            lines.append(f"c={self.connection}")
        lines += self.bandwidth
        lines += self.times or ["t=0 0"]
        lines += ["a=" + attribute for attribute in self.attributes]
        lines += self.unknown
        for media in self.media:
            lines += media.lines()
        return lines

    def encode(self) -> bytes:
        lines = self.lines()
        lines.append("")
        return "\r\n".join(lines).encode("utf-8", "surrogateescape")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SessionDescription) and self.lines() == other.lines()

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"SessionDescription({self.lines()!r})"


def number(text: str, maximum: int) -> int | None:
    """``text`` as a plain decimal number of at most ``maximum``; None when it is none.

    ``int`` alone would take signs, blanks, underscores and other scripts' digits.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        return None
    value = int(text)
    return value if value <= maximum else None


def parse(data: bytes) -> SessionDescription:
    """Read one session description; raises SdpError and nothing else."""
    if len(data) > MAX_SIZE:
        raise SdpError("description too large")
    text = data.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    # RFC 8866 section 5: neither may be part of any line; a CR kept inside would end a line for the next
    # reader.
    if "\0" in text or "\r" in text:
        raise SdpError("NUL or stray CR")
    lines = [line for line in text.split("\n") if line]
    if len(lines) > MAX_LINES:
        raise SdpError("too many lines")
    if not lines or lines[0].rstrip(" ") != "v=0":
        raise SdpError("does not begin with v=0")
    start = next((at for at, line in enumerate(lines) if line.startswith("m=")), len(lines))
    session = _parse_session(lines[1:start])
    media: MediaDescription | None = None
    for line in lines[start:]:
        if line[1:2] != "=":
            raise SdpError("line without type and value")
        kind = line[0]
        if kind == "a":
            assert media is not None
            media.attributes.append(line[2:])
        elif kind == "m":
            if len(session.media) == MAX_MEDIA:
                raise SdpError("too many media")
            media = MediaDescription.parse(line[2:])
            session.media.append(media)
        else:
            assert media is not None
            _parse_media_line(media, kind, line)
    return session


def _parse_session(lines: list[str]) -> SessionDescription:
    origin: Origin | None = None
    name: str | None = None
    connection: Connection | None = None
    information: list[str] = []
    bandwidth: list[str] = []
    times: list[str] = []
    attributes: list[str] = []
    unknown: list[str] = []
    for line in lines:
        if line[1:2] != "=":
            raise SdpError("line without type and value")
        kind = line[0]
        if kind == "a":
            attributes.append(line[2:])
        elif kind == "o":
            if origin is not None:
                raise SdpError("two origin lines")
            origin = Origin.parse(line[2:])
        elif kind == "s":
            if name is not None:
                raise SdpError("two session names")
            name = line[2:]
        elif kind == "c" and connection is None:
            connection = Connection.parse(line[2:])
        elif kind in _TIMES:
            times.append(line)
        elif kind == "b":
            bandwidth.append(line)
        elif kind in _SESSION_INFORMATION:
            information.append(line)
        elif kind == "v":
            # RFC 3264 section 5: exactly one description.
            raise SdpError("two descriptions in one")
        else:
            unknown.append(line)
    if origin is None:
        raise SdpError("no origin line")
    session = SessionDescription(origin, connection, name or "-")
    session.information = information
    session.bandwidth = bandwidth
    session.times = times
    session.attributes = attributes
    session.unknown = unknown
    return session


def _parse_media_line(media: MediaDescription, kind: str, line: str) -> None:
    if kind == "c" and media.connection is None:
        # Further ones name multicast layers only (RFC 8866 section 5.7); they stay, not understood.
        media.connection = Connection.parse(line[2:])
    elif kind == "b":
        media.bandwidth.append(line)
    elif kind == "i":
        media.information.append(line)
    elif kind == "v":
        raise SdpError("two descriptions in one")
    else:
        media.unknown.append(line)


def _attribute(attributes: list[str], name: str) -> str | None:
    for attribute in attributes:
        if attribute.startswith(name):
            rest = attribute[len(name) :]
            if not rest:
                return ""
            if rest[0] == ":":
                return rest[1:]
    return None
