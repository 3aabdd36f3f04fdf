"""What makes a message unacceptable (RFC 3261 section 8.2, RFC 4475): found before anything acts on it."""

import re
from typing import NamedTuple

from b2bua.sip.errors import RemoteProtocolError
from b2bua.sip.headers import NameAddr, Via, split_outside_quotes
from b2bua.sip.message import Message, Request, Response
from b2bua.sip.uri import SipUri, parse_uri


class Fault(NamedTuple):
    """The final response that a request deserves; ``headers`` belong into it."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = ()


_ONCE = ("From", "To", "Call-ID", "CSeq")
_KNOWN_METHODS = frozenset(
    {"INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "UPDATE", "INFO", "PRACK", "SUBSCRIBE",
     "NOTIFY", "REFER", "MESSAGE", "PUBLISH"}
)  # fmt: skip
# an ordinary Via of ours or of any carrier: nothing in it that could be wrong
_PLAIN_VIA = re.compile(
    r"SIP/2\.0/[A-Z]{2,4} [A-Za-z0-9.:\[\]-]+(?:;[A-Za-z0-9-]+(?:=[A-Za-z0-9.:_\[\]*+~!%'-]+)?)*", re.ASCII
)
# a Request-URI in which nothing could be wrong
_PLAIN_URI = re.compile(r"sip:[A-Za-z0-9+._-]+@[A-Za-z0-9.-]+(?::[0-9]{1,4})?(?:;(?:user|transport)=[a-z]+)*", re.ASCII)
_WHITE = re.compile(r"[\x00-\x20]")
_SDP_TYPES = ("application/sdp", "application/*", "*/*")


def is_known_method(method: str) -> bool:
    """A method of some RFC, whether we support it or not: 405 against 501 (RFC 3261 section 21.5.2)."""
    return method in _KNOWN_METHODS


def request_fault(request: Request) -> Fault | None:
    """What is wrong with a request, None if nothing that would concern everybody."""
    if request.fault is not None:
        return Fault(*request.fault)
    try:
        return _examine(request)
    except RemoteProtocolError as error:
        return Fault(error.status_hint, str(error))


def _examine(request: Request) -> Fault | None:
    fields = request.fields
    method = request.method
    for name in _ONCE:
        lines = fields.get(name)
        if not lines or not lines[0]:
            return Fault(400, f"no {name}")
        if len(lines) > 1:
            # RFC 4475 section 3.3.8
            return Fault(400, f"several {name}")
    sequence = request.cseq
    if sequence.method != method:
        return Fault(400 if method in _KNOWN_METHODS else 501, "the CSeq names another method")
    if "Max-Forwards" in fields:
        if len(fields["Max-Forwards"]) > 1:
            return Fault(400, "several Max-Forwards")
        _ = request.max_forwards
    _check_name_addr(fields["From"][0], request.from_)
    _check_name_addr(fields["To"][0], request.to)
    for line in fields.get("Via", ()):
        if not _PLAIN_VIA.fullmatch(line):
            for value in split_outside_quotes(line, ","):
                _check_params(value)
                Via.parse(value)
    if "Contact" in fields:
        _check_contacts(request)
    elif method == "INVITE" and request.to.tag is None and (request.via.branch or "").startswith("z9hG4bK"):
        # RFC 3261 8.1.1.8; RFC 2543 had requests go to the From then
        return Fault(400, "no Contact")
    if "Record-Route" in fields and method == "INVITE":
        _check_routes(request)
    if _PLAIN_URI.fullmatch(request.uri):
        return None
    uri = parse_uri(request.uri)
    if isinstance(uri, SipUri) and (uri.headers or "method" in uri.params):
        # RFC 3261 19.1.1: not allowed in a Request-URI (RFC 4475 section 3.1.2.11)
        return Fault(400, "headers in the Request-URI")
    return None


def _check_contacts(request: Request) -> None:
    for line in request.fields["Contact"]:
        for value in split_outside_quotes(line, ","):
            if value != "*":
                _check_params(value)
    if request.method in ("INVITE", "UPDATE"):
        contacts = request.contacts
        if len(contacts) != 1:
            # RFC 3261 8.1.1.8
            raise RemoteProtocolError("not exactly one Contact")
        SipUri.parse(contacts[0].uri)
    else:
        _ = request.contacts


def _check_routes(request: Request) -> None:
    try:
        for route in request.values("Record-Route"):
            SipUri.parse(NameAddr.parse(route).uri)
    except RemoteProtocolError as error:
        raise RemoteProtocolError(f"Record-Route: {error}") from error


def _check_name_addr(line: str, value: NameAddr) -> None:
    if ";;" in line or line.endswith(";"):
        _check_params(line)
    if _WHITE.search(value.uri):
        raise RemoteProtocolError("white space in a URI")


def _check_params(text: str) -> None:
    """RFC 4475 section 3.1.2.1: separators with nothing between them."""
    if not text or (";" in text and not all(split_outside_quotes(text, ";"))):
        raise RemoteProtocolError("separators with nothing between them")


def response_fault(response: Response) -> str | None:
    """Why a response must be dropped, None if it may be looked at."""
    if response.fault is not None:
        return response.fault[1]
    try:
        fields = response.fields
        for name in _ONCE:
            lines = fields.get(name)
            if lines is None or len(lines) != 1:
                return f"not exactly one {name}"
        vias = fields.get("Via")
        if vias is None or len(vias) > 1 or ("," in vias[0] and len(response.values("Via")) > 1):
            # RFC 3261 8.1.3.3: it was meant for somebody else
            return "not exactly one Via"
        _ = response.via
        if response.cseq.method == "INVITE" and response.status < 300:
            # a dialog may come of it; what else is in others nobody reads
            _ = response.to, response.from_, response.contacts
    except RemoteProtocolError as error:
        return str(error)
    return None


def unsupported_extensions(request: Request, supported: frozenset[str]) -> list[str]:
    """What the request Requires and we cannot do (RFC 3261 section 8.2.2.3); not for ACK and CANCEL."""
    if "Require" not in request.fields:
        return []
    return [tag for tag in request.values("Require") if tag and tag.lower() not in supported]


def acceptance_fault(request: Request) -> Fault | None:
    """May we take this INVITE's body, and will its sender take ours (RFC 3261 sections 8.2.3 and 21.4.7)?"""
    if request.body:
        kind = _media_type(request.get("Content-Type"))
        if kind != "application/sdp" and not _optional(request):
            return Fault(415, f"cannot read {kind or 'a body without Content-Type'}", (("Accept", "application/sdp"),))
        encoding = request.get("Content-Encoding")
        if encoding is not None and encoding.lower() not in ("identity", ""):
            return Fault(415, "cannot read an encoded body", (("Accept-Encoding", "identity"),))
    if "Accept" in request.fields:
        accepted = [_media_type(value) for value in request.values("Accept")]
        if not any(kind in _SDP_TYPES for kind in accepted):
            return Fault(406, "only application/sdp is offered", (("Warning", '399 b2bua "only application/sdp"'),))
    return None


def _media_type(value: str | None) -> str:
    if value is None:
        return ""
    return value.partition(";")[0].strip(" \t").lower()


def _optional(message: Message) -> bool:
    """RFC 3261 20.11: a body that may be ignored; nothing is then offered."""
    disposition = (message.get("Content-Disposition") or "").lower().replace(" ", "")
    return "handling=optional" in disposition
