"""The header fields that SIP itself reads: Via, name-addr, CSeq, and how lists and parameters are split."""

import re
from functools import lru_cache
from typing import NamedTuple

from b2bua.sip.errors import RemoteProtocolError
from b2bua.sip.uri import split_host_port

Params = dict[str, str | None]

# any version: a SIP/7.0 request wants its 505 (RFC 4475 section 3.1.2.16)
_SENT_PROTOCOL = re.compile(
    r"SIP[ \t]*/[ \t]*[0-9]\.[0-9][ \t]*/[ \t]*([A-Za-z0-9.!%*_+`'~-]+)[ \t]+", re.ASCII | re.IGNORECASE
)
# what nearly every peer writes; anything else takes the long way
_PLAIN_VIA = re.compile(
    r"SIP/2\.0/([A-Z]{2,4}) ([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,4}|[1-5][0-9]{4}))?(?:;|$)", re.ASCII
)
_USUAL_VIA = re.compile(
    r"SIP/2\.0/([A-Z]{2,4}) ([A-Za-z0-9.-]+)(?::([0-9]{4}|[1-5][0-9]{4}))?"
    r"(;rport)?;branch=([A-Za-z0-9.!%*_+`'~-]+)(;rport)?",
    re.ASCII,
)
_PLAIN_NAME_ADDR = re.compile(
    r'(?:"([^"\\]*)"[ \t]*|([A-Za-z0-9 ._-]*))<([^<>"\s\x00-\x1f]+)>(?:;tag=([A-Za-z0-9.!%*_+`\'~-]+))?', re.ASCII
)
_CSEQ = re.compile(r"([0-9]+)[ \t]+([A-Za-z0-9.!%*_+`'~-]+)", re.ASCII)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
#: RFC 3261 section 8.1.1.5: CSeq numbers are below 2**31.
MAX_CSEQ = 2**31 - 1
#: Longer values are parsed anew each time: strangers shall not fill our memory with them.
_LONGEST_REMEMBERED = 256


def split_outside_quotes(text: str, separator: str) -> list[str]:
    """Cut at a character that stands neither in quotes nor in angle brackets; pieces lose their outer LWS."""
    if separator not in text:
        return [text.strip(" \t")]
    if '"' not in text and "<" not in text:
        return [piece.strip(" \t") for piece in text.split(separator)]
    pieces = []
    start = 0
    quoted = bracketed = escaped = False
    for index, char in enumerate(text):
        if escaped:
            escaped = False
        elif quoted:
            if char == "\\":
                escaped = True
            elif char == '"':
                quoted = False
        elif char == '"':
            quoted = True
        elif char == "<":
            bracketed = True
        elif char == ">":
            bracketed = False
        elif char == separator and not bracketed:
            pieces.append(text[start:index].strip(" \t"))
            start = index + 1
    pieces.append(text[start:].strip(" \t"))
    return pieces


def split_list(value: str) -> list[str]:
    """The elements of a comma-separated header value (RFC 3261 section 7.3.1)."""
    return split_outside_quotes(value, ",")


def parse_params(text: str) -> Params:
    """``;``-separated parameters: names in lower case, values as written (quotes too); empty ones are skipped."""
    params: Params = {}
    for item in split_outside_quotes(text, ";"):
        if item:
            name, equals, value = item.partition("=")
            params[name.rstrip(" \t").lower()] = value.lstrip(" \t") if equals else None
    return params


def print_params(params: Params) -> str:
    """Parameters as they go on the wire, each behind its semicolon."""
    return "".join(f";{name}" if value is None else f";{name}={value}" for name, value in params.items())


def quote_display(text: str) -> str:
    """A display name as a quoted string (RFC 3261 section 25.1)."""
    if '"' in text or "\\" in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def unquote_string(text: str) -> str:
    """What a quoted string says; other text stays as it is."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    return text


class Via(NamedTuple):
    """One Via value (RFC 3261 section 20.42); ``transport`` in upper case, ``host`` without brackets."""

    transport: str
    host: str
    port: int | None
    params: Params

    @classmethod
    def parse(cls, text: str) -> "Via":
        """Raises RemoteProtocolError."""
        usual = _USUAL_VIA.fullmatch(text)
        if usual is not None:
            transport, host, port_text, before, branch, after = usual.groups()
            params: Params = {"branch": branch, "rport": None} if before or after else {"branch": branch}
            return cls(transport, host, int(port_text) if port_text else None, params)
        plain = _PLAIN_VIA.match(text)
        if plain is not None and '"' not in text and "<" not in text:
            transport, host, port_text = plain.groups()
            params = {}
            for item in text[plain.end() :].split(";") if plain.end() < len(text) else ():
                name, equals, value = item.partition("=")
                params[name.strip(" \t").lower()] = value.strip(" \t") if equals else None
            params.pop("", None)
            if host[0] == "[":
                host = host[1:-1]
            return cls(transport, host, int(port_text) if port_text else None, params)
        return cls._parse_odd(text)

    @classmethod
    def _parse_odd(cls, text: str) -> "Via":
        found = _SENT_PROTOCOL.match(text)
        if found is None:
            raise RemoteProtocolError("a Via without SIP and a transport")
        sent_by, semicolon, tail = text[found.end() :].partition(";")
        sent_by = sent_by.strip(" \t")
        if " " in sent_by or "\t" in sent_by:
            # RFC 3261 25.1: COLON may have white space around it
            sent_by = ":".join(part.strip(" \t") for part in sent_by.rsplit(":", 1))
        host, port = split_host_port(sent_by)
        if host.startswith("["):
            host = host[1:-1]
        return cls(found[1].upper(), host, port, parse_params(tail) if semicolon else {})

    @property
    def branch(self) -> str | None:
        """The transaction's identifier; None if missing or empty."""
        return self.params.get("branch") or None

    @property
    def received(self) -> str | None:
        """Where the request really came from."""
        return self.params.get("received")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"SIP/2.0/{self.transport} {host}{port}{print_params(self.params)}"


class NameAddr(NamedTuple):
    """A From, To, Contact or Route value (RFC 3261 section 20.10): display name, URI as written, parameters."""

    display: str
    uri: str
    params: Params

    @classmethod
    def parse(cls, text: str) -> "NameAddr":
        """Raises RemoteProtocolError. Without angle brackets, parameters belong to the header, not the URI.

        The last few thousand values are remembered, since those of a dialog come again and again.
        """
        return _parse_name_addr(text) if len(text) <= _LONGEST_REMEMBERED else cls.parse_anew(text)

    @classmethod
    def parse_anew(cls, text: str) -> "NameAddr":
        """``parse`` without the memory."""
        plain = _PLAIN_NAME_ADDR.fullmatch(text)
        if plain is not None:
            quoted_text, token_text, uri, tag = plain.groups()
            display = (token_text or "").strip(" ") if quoted_text is None else quoted_text
            return cls(display, uri, {"tag": tag} if tag else {})
        return cls._parse_odd(text)

    @classmethod
    def _parse_odd(cls, text: str) -> "NameAddr":
        display = ""
        if text.startswith('"'):
            quoted = _QUOTED.match(text)
            if quoted is None:
                raise RemoteProtocolError("an unterminated quoted string")
            display = unquote_string(quoted[0])
            text = text[quoted.end() :].lstrip(" \t")
            if not text.startswith("<"):
                raise RemoteProtocolError("a display name without <URI>")
        if "<" in text:
            before, _, rest = text.partition("<")
            uri, closed, tail = rest.partition(">")
            if not closed:
                raise RemoteProtocolError("an unterminated <URI>")
            before = before.strip(" \t")
            if before:
                if '"' in before or "," in before:
                    raise RemoteProtocolError("a display name that must be quoted")
                display = before
            uri = uri.strip(" \t")
        else:
            uri, semicolon, tail = text.partition(";")
            tail = f";{tail}" if semicolon else ""
            uri = uri.rstrip(" \t")
            if "?" in uri or "," in uri:
                # RFC 3261 section 20: such a URI must be enclosed, or nobody knows whose parameters follow
                raise RemoteProtocolError("a URI with ? or , outside of < >")
        if not uri:
            raise RemoteProtocolError("an empty URI")
        tail = tail.strip(" \t")
        if not tail:
            return cls(display, uri, {})
        if not tail.startswith(";"):
            raise RemoteProtocolError("something other than parameters behind a URI")
        return cls(display, uri, parse_params(tail[1:]))

    @property
    def tag(self) -> str | None:
        """The dialog's tag; None if there is none."""
        return self.params.get("tag") or None

    def __str__(self) -> str:
        display = f"{quote_display(self.display)} " if self.display else ""
        return f"{display}<{self.uri}>{print_params(self.params)}"


_parse_name_addr = lru_cache(4096)(NameAddr.parse_anew)


class CSeq(NamedTuple):
    """A CSeq value (RFC 3261 section 20.16)."""

    number: int
    method: str

    @classmethod
    def parse(cls, text: str) -> "CSeq":
        """Raises RemoteProtocolError, for numbers from 2**31 on too. Remembered like name-addrs."""
        return _parse_cseq(text) if len(text) <= _LONGEST_REMEMBERED else cls.parse_anew(text)

    @classmethod
    def parse_anew(cls, text: str) -> "CSeq":
        """``parse`` without the memory."""
        number, space, method = text.partition(" ")
        if not (space and number.isascii() and number.isdigit() and method.isalpha() and method.isascii()):
            found = _CSEQ.fullmatch(text)
            if found is None:
                raise RemoteProtocolError("a CSeq that is no number and method")
            number, method = found[1], found[2]
        number = number.lstrip("0") or "0"
        if len(number) > 10 or int(number) > MAX_CSEQ:
            raise RemoteProtocolError("a CSeq number beyond 2**31 - 1")
        return cls(int(number), method)


_parse_cseq = lru_cache(1024)(CSeq.parse_anew)
