"""SIP, SIPS and tel URIs (RFC 3261 section 19.1, RFC 3966)."""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import quote, unquote

from b2bua.sip.errors import RemoteProtocolError

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_ESCAPE_FAULT = re.compile(r"%(?![0-9A-Fa-f]{2})")
#: Spaces, quotes, angle brackets and controls stand in no URI; 8-bit characters are let through.
_FORBIDDEN = re.compile(r"[\x00-\x20\"<>\\^`{|}\x7f]")
# RFC 5118 section 4.10: three colons before an IPv4 part are a known bug of the RFC 3261 grammar, so brackets
# may hold any mixture
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%25[0-9A-Za-z]+)?\]|[A-Za-z0-9_.-]+)(?::([0-9]{1,5}))?", re.ASCII)


def split_host_port(text: str) -> tuple[str, int | None]:
    """``host``, ``host:port`` or ``[v6]:port``. Raises RemoteProtocolError for anything else."""
    found = _HOST_PORT.fullmatch(text)
    if found is None:
        raise RemoteProtocolError("no host and port")
    port = found[2]
    if port is None:
        return found[1], None
    number = int(port)
    if number > 65535:
        raise RemoteProtocolError("a port beyond 65535")
    return found[1], number


@dataclass(frozen=True, slots=True)
class SipUri:
    """A SIP or SIPS URI; ``user`` and ``password`` are kept escaped, as written.

    ``host`` keeps the brackets of an IPv6 reference. Parameter names are in lower case, values as written,
    None for a parameter without one. ``headers`` is the part after ``?``, as written. Shared: do not change it.
    """

    scheme: str
    user: str | None
    password: str | None
    host: str
    port: int | None = None
    params: dict[str, str | None] = field(default_factory=dict)
    headers: str = ""

    @classmethod
    def parse(cls, text: str) -> "SipUri":
        """Raises RemoteProtocolError, with hint 416 if the scheme is another.

        The last few thousand are remembered: our own target numbers and everybody's Contact come all the time.
        """
        return _parse_sip_uri(text)

    @classmethod
    def parse_anew(cls, text: str) -> "SipUri":
        """``parse`` without the memory."""
        scheme, colon, rest = text.partition(":")
        scheme = scheme.lower()
        if not colon or scheme not in ("sip", "sips"):
            raise RemoteProtocolError("not a SIP URI", 416 if _SCHEME.match(text) else 400)
        if _FORBIDDEN.search(rest) or ("%" in rest and _ESCAPE_FAULT.search(rest)):
            raise RemoteProtocolError("a character that no URI may hold")
        user: str | None = None
        password: str | None = None
        before, at, after = rest.partition("@")
        if at:
            # a user part may hold ; ? and & unescaped (RFC 3261 25.1: user-unreserved), so "@" is looked for first
            user, colon, secret = before.partition(":")
            password = secret if colon else None
            if not user:
                raise RemoteProtocolError("an empty user part")
        else:
            after = rest
        after, _, headers = after.partition("?")
        host_port, semicolon, tail = after.partition(";")
        host, port = split_host_port(host_port)
        params: dict[str, str | None] = {}
        if semicolon:
            for item in tail.split(";"):
                name, equals, value = item.partition("=")
                if not name:
                    raise RemoteProtocolError("an empty URI parameter")
                params[unquote(name).lower()] = value if equals else None
        return cls(scheme, user, password, host, port, params, headers)

    def __str__(self) -> str:
        parts = [self.scheme, ":"]
        if self.user is not None:
            parts.append(self.user)
            if self.password is not None:
                parts.append(f":{self.password}")
            parts.append("@")
        parts.append(self.host)
        if self.port is not None:
            parts.append(f":{self.port}")
        parts.extend(f";{name}" if value is None else f";{name}={value}" for name, value in self.params.items())
        if self.headers:
            parts.append(f"?{self.headers}")
        return "".join(parts)

    @property
    def decoded_user(self) -> str:
        """The user part with its escapes undone, once only; empty if there is none."""
        return unquote(self.user, errors="surrogateescape") if self.user else ""


_parse_sip_uri = lru_cache(4096)(SipUri.parse_anew)


@dataclass(frozen=True, slots=True)
class TelUri:
    """A tel URI: ``number`` as written, visual separators and all."""

    number: str
    params: dict[str, str | None] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "TelUri":
        """Raises RemoteProtocolError, with hint 416 if the scheme is another."""
        scheme, colon, rest = text.partition(":")
        if not colon or scheme.lower() != "tel":
            raise RemoteProtocolError("not a tel URI", 416 if _SCHEME.match(text) else 400)
        if _FORBIDDEN.search(rest) or "@" in rest:
            raise RemoteProtocolError("a character that no tel URI may hold")
        number, _, tail = rest.partition(";")
        if not number:
            raise RemoteProtocolError("a tel URI without a number")
        params: dict[str, str | None] = {}
        for item in tail.split(";") if tail else ():
            name, equals, value = item.partition("=")
            params[name.lower()] = value if equals else None
        return cls(number, params)

    def __str__(self) -> str:
        tail = "".join(f";{name}" if value is None else f";{name}={value}" for name, value in self.params.items())
        return f"tel:{self.number}{tail}"


def user_part(text: str) -> str:
    """Any text as the user part of a SIP URI: what may not stand there is escaped (RFC 3261 section 25.1)."""
    return quote(text, safe="!*'()&=+$,", errors="surrogateescape")


def parse_uri(text: str) -> SipUri | TelUri:
    """Raises RemoteProtocolError: hint 416 for a scheme that we do not know, 400 for what is no URI."""
    if text[:4].lower() == "tel:":
        return TelUri.parse(text)
    return SipUri.parse(text)


#: RFC 3261 19.1.4: these must match even if only one of the URIs has them.
_TELLING_PARAMS = ("user", "ttl", "method", "maddr", "transport")


def same_uri(one: str, other: str) -> bool:
    """Do two URIs mean the same (RFC 3261 section 19.1.4)? Unparsable ones are the same if identical."""
    if one == other:
        return True
    try:
        left, right = SipUri.parse(one), SipUri.parse(other)
    except RemoteProtocolError:
        return False
    if (left.scheme, left.host.lower(), left.port) != (right.scheme, right.host.lower(), right.port):
        return False
    if _unescaped(left.user) != _unescaped(right.user) or _unescaped(left.password) != _unescaped(right.password):
        return False
    for name in left.params.keys() | right.params.keys():
        in_both = name in left.params and name in right.params
        if (in_both or name in _TELLING_PARAMS) and _folded(left, name) != _folded(right, name):
            return False
    return sorted(left.headers.split("&")) == sorted(right.headers.split("&"))


def _unescaped(text: str | None) -> bytes | None:
    return None if text is None else unquote(text, "latin-1").encode("latin-1", "surrogateescape")


def _folded(uri: SipUri, name: str) -> str | None:
    if name not in uri.params:
        return None
    return unquote(uri.params[name] or "").lower()
