"""SIP messages: header lines in a dictionary, read no further than somebody asks (RFC 3261 section 7).

Text is decoded as UTF-8 with surrogate escapes, so that any octets survive the way in and out.
"""

from b2bua.sip.errors import LocalProtocolError, RemoteProtocolError
from b2bua.sip.headers import CSeq, NameAddr, Via, split_list

Fields = dict[str, list[str]]

_COMPACT = {
    "a": "Accept-Contact", "b": "Referred-By", "c": "Content-Type", "d": "Request-Disposition",
    "e": "Content-Encoding", "f": "From", "i": "Call-ID", "j": "Reject-Contact", "k": "Supported",
    "l": "Content-Length", "m": "Contact", "n": "Identity-Info", "o": "Event", "r": "Refer-To",
    "s": "Subject", "t": "To", "u": "Allow-Events", "v": "Via", "x": "Session-Expires", "y": "Identity",
}  # fmt: skip
#: Names whose printed form is not simply capitalised.
_SPECIAL = {"call-id": "Call-ID", "cseq": "CSeq", "www-authenticate": "WWW-Authenticate", "min-se": "Min-SE",
            "mime-version": "MIME-Version", "rseq": "RSeq", "rack": "RAck", "p-called-party-id": "P-Called-Party-ID",
            "p-asserted-identity": "P-Asserted-Identity"}  # fmt: skip
_MOST_NAMES_REMEMBERED = 2000
_LONGEST_NAME_REMEMBERED = 64
#: every spelling seen, to its printed form
NAMES: dict[str, str] = {}


def canonical_name(name: str) -> str:
    """The printed form of a header name: compact forms expanded, case evened out."""
    known = NAMES.get(name)
    if known is not None:
        return known
    bare = name.strip(" \t")
    if not bare.isascii():
        # no header's name (RFC 3261 section 25.1), and folding its case could make it look like one
        return bare
    lower = bare.lower()
    canonical = _COMPACT.get(lower) or _SPECIAL.get(lower) or "-".join(part.capitalize() for part in lower.split("-"))
    if len(NAMES) < _MOST_NAMES_REMEMBERED and len(name) <= _LONGEST_NAME_REMEMBERED:
        # bounded: a stranger may invent as many names as it likes, and as long ones
        NAMES[name] = canonical
    return canonical


REASONS = {
    100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 182: "Queued", 183: "Session Progress",
    200: "OK", 202: "Accepted", 300: "Multiple Choices", 301: "Moved Permanently", 302: "Moved Temporarily",
    305: "Use Proxy", 380: "Alternative Service", 400: "Bad Request", 401: "Unauthorized", 402: "Payment Required",
    403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable",
    407: "Proxy Authentication Required", 408: "Request Timeout", 410: "Gone", 413: "Request Entity Too Large",
    414: "Request-URI Too Long", 415: "Unsupported Media Type", 416: "Unsupported URI Scheme", 420: "Bad Extension",
    421: "Extension Required", 422: "Session Interval Too Small", 423: "Interval Too Brief",
    480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist", 482: "Loop Detected",
    483: "Too Many Hops", 484: "Address Incomplete", 485: "Ambiguous", 486: "Busy Here", 487: "Request Terminated",
    488: "Not Acceptable Here", 491: "Request Pending", 493: "Undecipherable", 500: "Server Internal Error",
    501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Server Time-out",
    505: "Version Not Supported", 513: "Message Too Large", 600: "Busy Everywhere", 603: "Decline",
    604: "Does Not Exist Anywhere", 606: "Not Acceptable",
}  # fmt: skip


class Message:
    """Header fields and body. Names are asked for in their printed form ("Call-ID"): nothing is normalised here.

    ``fields`` holds one raw value a header line, unfolded and without outer white space; Content-Length is
    not among them, ``encode`` writes it. ``fault`` is what the parser could not accept: a status and why.
    """

    __slots__ = ("_contacts", "_cseq", "_from", "_to", "_via", "body", "fault", "fields")

    def __init__(self, fields: Fields | None = None, body: bytes = b"") -> None:
        self.fields: Fields = {} if fields is None else fields
        self.body = body
        self.fault: tuple[int, str] | None = None
        self._via: Via | None = None
        self._from: NameAddr | None = None
        self._to: NameAddr | None = None
        self._cseq: CSeq | None = None
        self._contacts: list[NameAddr] | None = None

    def get(self, name: str) -> str | None:
        """The first line's value, None if there is none."""
        lines = self.fields.get(name)
        return lines[0] if lines else None

    def all(self, name: str) -> list[str]:
        """Every line's value."""
        return self.fields.get(name, [])

    def values(self, name: str) -> list[str]:
        """The elements of a comma-separated header over all its lines."""
        lines = self.fields.get(name)
        if lines is None:
            return []
        if len(lines) == 1 and "," not in lines[0]:
            return lines[:]
        return [value for line in lines for value in split_list(line)]

    def set(self, name: str, value: str) -> None:
        """Replace all lines of that name by one."""
        self.fields[name] = [value]
        self._forget(name)

    def add(self, name: str, value: str) -> None:
        """Append a line."""
        self.fields.setdefault(name, []).append(value)
        self._forget(name)

    def remove(self, name: str) -> None:
        """Take all lines of that name out; it need not have any."""
        self.fields.pop(name, None)
        self._forget(name)

    def _forget(self, name: str) -> None:
        if name == "Via":
            self._via = None
        elif name == "To":
            self._to = None
        elif name == "From":
            self._from = None
        elif name == "CSeq":
            self._cseq = None
        elif name == "Contact":
            self._contacts = None

    @property
    def start_line(self) -> str:
        """The first line, without its CRLF."""
        raise NotImplementedError

    def encode(self) -> bytes:
        """The message as it goes on the wire. Raises LocalProtocolError if a header value holds a line break."""
        lines = [self.start_line]
        for name, values in self.fields.items():
            for value in values:
                lines.append(f"{name}: {value}")  # noqa: PERF401 - measured: faster than a nested comprehension
        lines.append(f"Content-Length: {len(self.body)}\r\n\r\n")
        head = "\r\n".join(lines)
        breaks = len(lines) + 1
        if head.count("\r") != breaks or head.count("\n") != breaks:
            # whoever could break a line here could write headers of its own
            raise LocalProtocolError("a line break inside a header value")
        return head.encode("utf-8", "surrogateescape") + self.body

    # -- read on demand, and remembered: each raises RemoteProtocolError if missing or malformed ---------

    @property
    def via(self) -> Via:
        """The top Via."""
        via = self._via
        if via is None:
            line = self._need("Via")
            self._via = via = Via.parse(split_list(line)[0] if "," in line else line)
        return via

    @property
    def from_(self) -> NameAddr:
        """From."""
        value = self._from
        if value is None:
            self._from = value = NameAddr.parse(self._need("From"))
        return value

    @property
    def to(self) -> NameAddr:
        """To."""
        value = self._to
        if value is None:
            self._to = value = NameAddr.parse(self._need("To"))
        return value

    @property
    def cseq(self) -> CSeq:
        """CSeq."""
        value = self._cseq
        if value is None:
            self._cseq = value = CSeq.parse(self._need("CSeq"))
        return value

    @property
    def call_id(self) -> str:
        """Call-ID."""
        return self._need("Call-ID")

    @property
    def contacts(self) -> list[NameAddr]:
        """All Contact values; the ``*`` of a REGISTER is not among them."""
        contacts = self._contacts
        if contacts is None:
            values = self.values("Contact")
            self._contacts = contacts = [NameAddr.parse(value) for value in values if value != "*"]
        return contacts

    @property
    def max_forwards(self) -> int | None:
        """Max-Forwards, None if absent."""
        value = self.get("Max-Forwards")
        if value is None:
            return None
        if not (value.isascii() and value.isdigit()) or len(value) > 8 or int(value) > 255:
            raise RemoteProtocolError("Max-Forwards is no number up to 255")
        return int(value)

    def _need(self, name: str) -> str:
        lines = self.fields.get(name)
        if not lines:
            raise RemoteProtocolError(f"no {name}")
        return lines[0]


class Request(Message):
    """A request: ``uri`` is the Request-URI as written."""

    __slots__ = ("method", "uri")

    def __init__(self, method: str, uri: str, fields: Fields | None = None, body: bytes = b"") -> None:
        super().__init__(fields, body)
        self.method = method
        self.uri = uri

    @property
    def start_line(self) -> str:
        return f"{self.method} {self.uri} SIP/2.0"


class Response(Message):
    """A response."""

    __slots__ = ("reason", "status")

    def __init__(self, status: int, reason: str = "", fields: Fields | None = None, body: bytes = b"") -> None:
        super().__init__(fields, body)
        self.status = status
        self.reason = reason or REASONS.get(status, "")

    @property
    def start_line(self) -> str:
        return f"SIP/2.0 {self.status} {self.reason}"


def response_to(request: Request, status: int, reason: str = "", to_tag: str = "") -> Response:
    """A response with what RFC 3261 section 8.2.6.2 wants copied, octet by octet.

    ``to_tag`` is added unless the request has a To tag; what a broken request lacks is left away.
    """
    asked = request.fields
    fields: Fields = {}
    for name in ("Via", "From", "To", "Call-ID", "CSeq"):
        lines = asked.get(name)
        if lines is not None:
            fields[name] = lines[:]
    to = fields.get("To")
    if to and to_tag and status != 100 and "tag" not in _params_of(request):
        fields["To"] = [f"{to[0]};tag={to_tag}"]
    return Response(status, reason, fields)


def _params_of(request: Request) -> dict[str, str | None]:
    try:
        return request.to.params
    except RemoteProtocolError:
        return {}
