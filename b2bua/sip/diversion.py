"""Who forwarded a call to us, and why: Diversion (RFC 5806) and History-Info (RFC 7044).

For display and for the record only: like a caller ID, these never route.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from b2bua.sip.errors import RemoteProtocolError
from b2bua.sip.headers import NameAddr, unquote_string
from b2bua.sip.message import Request
from b2bua.sip.uri import SipUri, TelUri, parse_uri, user_part

Kind = Literal["unconditional", "busy", "no_answer", "unknown"]

#: RFC 5806 section 4 and what equipment really writes.
_DIVERSION_KINDS: dict[str, Kind] = {
    "unconditional": "unconditional", "user-busy": "busy", "no-answer": "no_answer", "time-of-day": "unconditional",
    "do-not-disturb": "unconditional", "follow-me": "unconditional", "away": "unconditional",
    "unavailable": "no_answer", "deflection": "busy",
}  # fmt: skip
#: RFC 4458: the cause of a forwarding as a SIP status, in a URI parameter or in an escaped Reason header.
_CAUSE_KINDS: dict[str, Kind] = {
    "302": "unconditional", "486": "busy", "408": "no_answer", "480": "no_answer", "487": "no_answer",
    "404": "unknown", "503": "unknown", "600": "busy",
}  # fmt: skip
_REASONS: dict[Kind, str] = {
    "unconditional": "unconditional", "busy": "user-busy", "no_answer": "no-answer", "unknown": "unknown",
}  # fmt: skip
_CAUSES: dict[Kind, int] = {"unconditional": 302, "busy": 486, "no_answer": 408, "unknown": 404}
_CAUSE = re.compile(r"cause=([0-9]{3})", re.ASCII)
_MOST_ENTRIES = 20


@dataclass(frozen=True, slots=True)
class Forwarding:
    """The forwarding that reached us: ``line`` is whose line it is, as written, ``hops`` how many there were."""

    line: str
    kind: Kind
    hops: int
    source: Literal["diversion", "history-info", "own_line"]


@dataclass(frozen=True, slots=True)
class Forwarder:
    """Who forwarded a call, and why; ``times`` stands for forwardings before, of which we know the last only."""

    line: str
    kind: Kind
    times: int = 1


def write_forwarding(forwarders: Sequence[Forwarder], target: str, domain: str) -> list[tuple[str, str]]:
    """Diversion and History-Info of a call that goes to ``target`` now; the oldest of the forwarders first.

    Both, since a peer that knows the one seldom knows the other (RFC 7544 section 5 maps them).
    """
    if not forwarders:
        return []
    # RFC 5806 section 5: the newest stands on top
    headers = [
        ("Diversion", f"<{_sip(item.line, domain)}>;reason={_REASONS[item.kind]};counter={item.times}")
        for item in reversed(forwarders)
    ]
    # RFC 7044 section 10.3: each target's index grows out of its forwarder's, mp names that; RFC 4458: the cause
    index = "1"
    entries = [f"<{_sip(forwarders[0].line, domain)}>;index={index}"]
    targets = [*(item.line for item in forwarders[1:]), target]
    for forwarder, to in zip(forwarders, targets, strict=True):
        entries.append(f"<{_sip(to, domain)};cause={_CAUSES[forwarder.kind]}>;index={index}.1;mp={index}")
        index += ".1"
    return [*headers, ("History-Info", ",".join(entries))]


def _sip(user: str, domain: str) -> str:
    return f"sip:{user_part(user)}@{domain}"


def read_forwarding(request: Request) -> Forwarding | None:
    """The last forwarding before us, None for a call that nobody forwarded, or says so unreadably."""
    return _from_diversion(request) or _from_history(request)


def _from_diversion(request: Request) -> Forwarding | None:
    # RFC 5806 section 5: the newest stands on top
    values = request.values("Diversion")[:_MOST_ENTRIES]
    entries = [entry for entry in map(_parsed, values) if entry is not None]
    if not entries:
        return None
    newest = entries[0]
    reason = unquote_string(newest.params.get("reason") or "").lower()
    counter = sum(_counter(entry) for entry in entries)
    return Forwarding(_user(newest.uri), _DIVERSION_KINDS.get(reason, "unknown"), counter, "diversion")


def _counter(entry: NameAddr) -> int:
    text = entry.params.get("counter") or "1"
    return min(int(text), 100) if text.isascii() and text.isdigit() and len(text) < 4 else 1


def _from_history(request: Request) -> Forwarding | None:
    """The entry before the last names who forwarded; the cause stands with the target (RFC 7044 10.3, RFC 4458)
    or, in the older way (RFC 4244), in a Reason escaped into the forwarder's own URI."""
    values = request.values("History-Info")[:_MOST_ENTRIES]
    entries = [entry for entry in map(_parsed, values) if entry is not None]
    if len(entries) < 2:
        return None
    forwarder = entries[-2]
    kind = _history_kind(entries[-1].uri) or _history_kind(forwarder.uri) or "unknown"
    hops = sum(1 for entry in entries[1:] if "mp" in entry.params or _history_kind(entry.uri)) or len(entries) - 1
    return Forwarding(_user(forwarder.uri), kind, hops, "history-info")


def _history_kind(uri: str) -> Kind | None:
    found = _CAUSE.search(unquote(uri).replace(" ", "").lower())
    return _CAUSE_KINDS.get(found[1], "unknown") if found is not None else None


def _parsed(value: str) -> NameAddr | None:
    try:
        return NameAddr.parse(value)
    except RemoteProtocolError:
        return None


def _user(uri_text: str) -> str:
    try:
        uri = parse_uri(uri_text)
    except RemoteProtocolError:
        return ""
    if isinstance(uri, TelUri):
        return uri.number
    return uri.decoded_user.partition(";")[0] or (uri.host if isinstance(uri, SipUri) else "")
