"""Octets to messages: a datagram holds one (RFC 3261 section 18.3), a stream many, framed by Content-Length.

What is no SIP message at all raises; whatever can still be answered is parsed as far as it goes and
carries a ``fault``, so that its sender learns what is wrong.
"""

import re

from b2bua.sip.errors import RemoteProtocolError
from b2bua.sip.message import NAMES, Message, Request, Response, canonical_name

MAX_MESSAGE = 65_535
MAX_HEADER_LINES = 256
#: Content-Length is there and cannot be understood.
_UNKNOWN_LENGTH = -1

_FOLD = re.compile(r"[ \t]*\r\n[ \t]+")
_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+", re.ASCII)
_VERSION = re.compile(r"SIP/[0-9]+\.[0-9]+", re.ASCII | re.IGNORECASE)
_STATUS = re.compile(r"SIP/2\.0 ([1-6][0-9]{2})(?: (.*))?", re.ASCII | re.IGNORECASE)


class Keepalive:
    """A double CRLF on a stream: the peer wants to know whether we are there (RFC 5626 section 3.5.1)."""

    __slots__ = ()


KEEPALIVE = Keepalive()


def parse(data: bytes) -> Request | Response:
    """One datagram. Octets beyond Content-Length are ignored (RFC 4475 section 3.1.1.8).

    Raises RemoteProtocolError when this is no SIP message at all.
    """
    if data[:2] in (b"\r\n", b"\n"):
        # RFC 3261 7.5: empty lines before the start line
        data = data.lstrip(b"\r\n")
    head, separator, body = data.partition(b"\r\n\r\n")
    message, length = _parse_head(head)
    if length is None:
        message.body = body
    elif length == _UNKNOWN_LENGTH:
        message.body = b""
    elif length > len(body):
        _blame(message, "Content-Length is larger than the message")
    else:
        message.body = body[:length]
    if not separator:
        _blame(message, "no empty line behind the header")
    return message


def _parse_head(head: bytes) -> tuple[Request | Response, int | None]:
    text = head.decode("utf-8", "surrogateescape")
    start, _, rest = text.partition("\r\n")
    message = _parse_start_line(start)
    if "\r\n " in rest or "\r\n\t" in rest:
        rest = _FOLD.sub(" ", rest)
    fields = message.fields
    lines = rest.split("\r\n") if rest else []
    if len(lines) > MAX_HEADER_LINES:
        raise RemoteProtocolError("too many header lines", 513)
    for line in lines:
        written, colon, value = line.partition(":")
        name = NAMES.get(written) or canonical_name(written)
        if not colon or not name:
            _blame(message, "a header line without a name and a colon")
            continue
        value = value.strip(" \t")
        known = fields.get(name)
        if known is None:
            fields[name] = [value]
        else:
            known.append(value)
    if rest.count("\n") + rest.count("\r") != 2 * (len(lines) - 1 if lines else 0):
        _check_line_breaks(message)
    given = fields.pop("Content-Length", None)
    return message, None if given is None else _content_length(message, given)


def _check_line_breaks(message: Message) -> None:
    """A lone CR or LF is no line break of ours, but may be one of somebody behind us."""
    for name, lines in list(message.fields.items()):
        if "\r" in name or "\n" in name:
            del message.fields[name]
            _blame(message, "a lone CR or LF in a header")
        for index, value in enumerate(lines):
            if "\r" in value or "\n" in value:
                lines[index] = value.replace("\r", " ").replace("\n", " ").strip(" \t")
                _blame(message, "a lone CR or LF in a header")


def _content_length(message: Message, given: list[str]) -> int:
    value = given[0]
    if not (value.isascii() and value.isdigit()) or len(value) > 9:
        _blame(message, "Content-Length is no number")
        return _UNKNOWN_LENGTH
    if len(given) > 1 and given.count(value) != len(given):
        _blame(message, "several Content-Length values")
        return _UNKNOWN_LENGTH
    return int(value)


def _blame(message: Message, reason: str, status: int = 400) -> None:
    if message.fault is None:
        message.fault = (status, reason)


def _parse_start_line(line: str) -> Request | Response:
    if line[:4].upper() == "SIP/":
        found = _STATUS.fullmatch(line)
        if found is None:
            raise RemoteProtocolError("no status line")
        response = Response(int(found[1]))
        response.reason = (found[2] or "").replace("\n", " ").replace("\r", " ")
        return response
    method, _, rest = line.partition(" ")
    uri, _, version = rest.rpartition(" ")
    if version == "SIP/2.0" and method.isalpha() and method.isascii() and " " not in uri and uri:
        request = Request(method, uri)
        if "\n" in uri or "\r" in uri:
            raise RemoteProtocolError("a line break in the Request-URI")
        return request
    return _parse_odd_request_line(line)


def _parse_odd_request_line(line: str) -> Request:
    """Unusual methods, other versions, and request lines with white space where none belongs."""
    method, _, rest = line.partition(" ")
    if not _TOKEN.fullmatch(method):
        raise RemoteProtocolError("no SIP message")
    clean = rest.strip(" \t")
    uri, _, version = clean.rpartition(" ")
    if not _VERSION.fullmatch(version):
        uri, version = clean, "SIP/2.0"
        wrong: tuple[int, str] | None = (400, "a request line without a SIP version")
    elif version.upper() != "SIP/2.0":
        wrong = (505, "another version of SIP")
    elif rest != clean or " " in uri or "\t" in uri or not uri:
        wrong = (400, "white space in the request line")
    else:
        wrong = None
    request = Request(method, uri.replace("\r", " ").replace("\n", " "))
    request.fault = wrong
    return request


class StreamFramer:
    """Cuts a stream into messages (RFC 3261 section 18.3). ``feed`` octets as they come."""

    __slots__ = ("_buffer", "_max_message", "_searched", "_waiting")

    def __init__(self, max_message: int = MAX_MESSAGE) -> None:
        self._buffer = bytearray()
        self._max_message = max_message
        self._searched = 0
        #: a message whose body is not complete, and where it starts and ends in the buffer
        self._waiting: tuple[Request | Response, int, int] | None = None

    @property
    def pending(self) -> int:
        """Octets of a message that is not complete."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Request | Response | Keepalive]:
        """Complete messages and keep-alives, in order.

        Raises RemoteProtocolError when the stream cannot be cut any more: it must be closed. Messages that
        came complete before that are lost with it, unless they came in an earlier call.
        """
        buffer = self._buffer
        buffer += data
        found: list[Request | Response | Keepalive] = []
        while buffer:
            waiting = self._waiting
            if waiting is None:
                if buffer[0] in b"\r\n":
                    if not self._take_line_breaks(found):
                        break
                    continue
                waiting = self._take_head()
                if waiting is None:
                    break
            message, body_start, body_end = waiting
            if body_end > len(buffer):
                self._waiting = waiting
                break
            message.body = bytes(buffer[body_start:body_end])
            del buffer[:body_end]
            self._waiting = None
            self._searched = 0
            found.append(message)
        return found

    def _take_head(self) -> tuple[Request | Response, int, int] | None:
        """Parse the header at the start of the buffer; None while it has no end."""
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        if end < 0:
            self._searched = len(buffer)
            if len(buffer) > self._max_message:
                raise RemoteProtocolError("a header without an end", 513)
            return None
        message, length = _parse_head(bytes(buffer[:end]))
        if length == _UNKNOWN_LENGTH:
            # nobody knows where the next message starts
            raise RemoteProtocolError("no usable Content-Length")
        body_start = end + 4
        body_end = body_start + (length or 0)
        if body_end > self._max_message:
            raise RemoteProtocolError("a message beyond the limit", 513)
        return message, body_start, body_end

    def _take_line_breaks(self, found: list[Request | Response | Keepalive]) -> bool:
        """Line breaks between messages: two are a ping, one is a pong. False: wait for more."""
        buffer = self._buffer
        if buffer.startswith(b"\r\n\r\n"):
            del buffer[:4]
            found.append(KEEPALIVE)
            return True
        if len(buffer) < 4 and b"\r\n\r\n".startswith(buffer):
            # may yet become a ping; a lone CRLF (a pong) is dropped when the next message comes
            return False
        del buffer[: 2 if buffer.startswith(b"\r\n") else 1]
        return True
