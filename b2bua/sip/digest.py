"""Digest authentication, both sides: RFC 7616 as SIP uses it (RFC 3261 section 22, RFC 8760).

The server's nonces hold their time of issue, a serial number and a MAC, so that strangers cost no memory; only a
nonce that was used with the right password is remembered, for the counts that it was used with.
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections import OrderedDict
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from b2bua.sip.errors import RemoteProtocolError
from b2bua.sip.headers import quote_display, split_list, unquote_string
from b2bua.sip.ids import IdSource
from b2bua.sip.message import Request, Response
from b2bua.sip.uri import SipUri

#: Known algorithms, strongest first (RFC 8760 section 2.4: the order in which challenges are sent).
ALGORITHMS: dict[str, Callable[[bytes], "hashlib._Hash"]] = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}
#: Octets of a nonce: time of issue, serial number and MAC, together a multiple of three (base64 without padding).
_TIME_OCTETS = 7
_SERIAL_OCTETS = 7
_MAC_OCTETS = 16
_MOST_NONCES = 20_000
_LONGEST_VALUE = 2_000


def ha1(username: str, realm: str, password: str, algorithm: str = "MD5") -> str:
    """What is stored instead of a password (RFC 7616 section 3.4.2), in lower-case hexadecimal."""
    return _hash(algorithm, f"{username}:{realm}:{password}")


def _hash(algorithm: str, text: str) -> str:
    return ALGORITHMS[algorithm](text.encode("utf-8", "surrogateescape")).hexdigest()


def _answer(algorithm: str, secret: str, nonce: str, count: str, cnonce: str, method: str, uri: str) -> str:
    """RFC 7616 section 3.4.1 with qop=auth."""
    return _hash(algorithm, f"{secret}:{nonce}:{count}:{cnonce}:auth:{_hash(algorithm, f'{method}:{uri}')}")


def _answer_without_qop(algorithm: str, secret: str, nonce: str, method: str, uri: str) -> str:
    """RFC 2617 section 3.2.2.1 without qop: older trunks still ask so. We answer it, and never accept it."""
    return _hash(algorithm, f"{secret}:{nonce}:{_hash(algorithm, f'{method}:{uri}')}")


def parse_credentials(value: str) -> dict[str, str] | None:
    """The parameters of a Digest challenge or authorization, unquoted; None if it is no Digest."""
    scheme, space, rest = value.partition(" ")
    if not space or scheme.lower() != "digest" or len(value) > _LONGEST_VALUE:
        return None
    params = {}
    for item in split_list(rest):
        name, equals, text = item.partition("=")
        if equals:
            params[name.strip(" \t").lower()] = unquote_string(text.strip(" \t"))
    return params


class Verdict(Enum):
    """What became of somebody's credentials."""

    RIGHT = "right"
    MISSING = "missing"
    STALE = "stale"
    WRONG = "wrong"


class Verified(NamedTuple):
    """The verdict, and whose credentials they were if it is RIGHT."""

    verdict: Verdict
    username: str = ""


class DigestServer:
    """Challenges and verifies. ``secret`` must be unguessable and new in every run; times in seconds."""

    def __init__(self, realm: str, secret: bytes, nonce_seconds: float = 300.0) -> None:
        self.realm = realm
        self._secret = secret
        self._lifetime = nonce_seconds
        self._serial = 0
        #: nonce -> highest count used with it (RFC 7616 section 3.4: a replay has an old one)
        self._counts: OrderedDict[str, int] = OrderedDict()

    def challenges(self, now: float, algorithms: tuple[str, ...] = ("MD5",), stale: bool = False) -> list[str]:
        """One header value an algorithm: the same for everybody, known or not."""
        nonce = self._nonce(int(now))
        tail = ", stale=true" if stale else ""
        return [
            f'Digest realm="{self.realm}", nonce="{nonce}", algorithm={algorithm}, qop="auth"{tail}'
            for algorithm in algorithms
        ]

    def verify(
        self,
        values: list[str],
        request: Request,
        secret_of: Callable[[str, str], str | None],
        now: float,
    ) -> Verified:
        """Judge Authorization or Proxy-Authorization values; ``secret_of(username, algorithm)`` gives the HA1.

        Of several credentials the first for our realm counts.
        """
        for value in values[:4]:
            params = parse_credentials(value)
            if params is not None and params.get("realm") == self.realm:
                return self._judge(params, request, secret_of, now)
        return Verified(Verdict.MISSING)

    def _judge(
        self, params: dict[str, str], request: Request, secret_of: Callable[[str, str], str | None], now: float
    ) -> Verified:
        username, nonce, uri = params.get("username", ""), params.get("nonce", ""), params.get("uri", "")
        count, cnonce = params.get("nc", ""), params.get("cnonce", "")
        algorithm = params.get("algorithm", "MD5").upper()
        if algorithm not in ALGORITHMS or params.get("qop") != "auth" or not cnonce:
            return Verified(Verdict.WRONG)
        if not _same_target(uri, request.uri):
            return Verified(Verdict.WRONG)
        secret = secret_of(username, algorithm)
        # an unknown name costs as much time as a known one
        expected = _answer(algorithm, secret or self.realm, nonce, count, cnonce, request.method, uri)
        given = params.get("response", "").lower()
        right = hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogateescape"))
        issued = self._issued(nonce)
        if issued is None or not right or secret is None:
            # RFC 7616 3.3: stale is only for those who know the password
            return Verified(Verdict.WRONG if issued is not None else Verdict.STALE)
        if not issued <= now + 1 or now - issued > self._lifetime:
            return Verified(Verdict.STALE)
        if not self._count_is_new(nonce, count):
            return Verified(Verdict.STALE)
        return Verified(Verdict.RIGHT, username)

    def _count_is_new(self, nonce: str, count: str) -> bool:
        try:
            number = int(count, 16) if len(count) == 8 else 0
        except ValueError:
            return False
        if number <= self._counts.get(nonce, 0):
            return False
        self._counts[nonce] = number
        self._counts.move_to_end(nonce)
        if len(self._counts) > _MOST_NONCES:
            self._counts.popitem(last=False)
        return True

    def _nonce(self, issued: int) -> str:
        # no two alike: phones that ask in the same second must not use up each other's counts
        self._serial += 1
        stamp = issued.to_bytes(_TIME_OCTETS, "big", signed=True) + self._serial.to_bytes(_SERIAL_OCTETS, "big")
        return urlsafe_b64encode(stamp + self._mac(stamp)).decode()

    def _issued(self, nonce: str) -> int | None:
        """When a nonce of ours was issued; None if it is not ours."""
        try:
            raw = urlsafe_b64decode(nonce)
        except (Base64Error, ValueError):
            return None
        stamp, mac = raw[:-_MAC_OCTETS], raw[-_MAC_OCTETS:]
        if len(stamp) != _TIME_OCTETS + _SERIAL_OCTETS or not hmac.compare_digest(mac, self._mac(stamp)):
            return None
        return int.from_bytes(stamp[:_TIME_OCTETS], "big", signed=True)

    def _mac(self, stamp: bytes) -> bytes:
        return hmac.digest(self._secret, stamp, "sha256")[:_MAC_OCTETS]


def _same_target(one: str, other: str) -> bool:
    """RFC 7616 3.4.6: the credentials are for this URI; parameters may have been changed on the way."""
    if one == other:
        return True
    try:
        left, right = SipUri.parse(one), SipUri.parse(other)
    except RemoteProtocolError:
        return False
    return (left.user, left.host.lower()) == (right.user, right.host.lower())


def answer_challenge(
    response: Response, request: Request, username: str, password: str, ids: IdSource
) -> tuple[str, str] | None:
    """The header (name, value) that answers a 401 or 407; None if no challenge can be answered.

    Of several challenges the first that we know is taken (RFC 8760 section 2.4).
    """
    asked, name = ("WWW-Authenticate", "Authorization")
    if response.status == 407:
        asked, name = ("Proxy-Authenticate", "Proxy-Authorization")
    for value in response.all(asked):
        params = parse_credentials(value)
        if params is None or "nonce" not in params:
            continue
        algorithm = params.get("algorithm", "MD5").upper()
        offered = [item.strip(" \t").lower() for item in params.get("qop", "").split(",")]
        if algorithm not in ALGORITHMS or ("qop" in params and "auth" not in offered):
            continue
        realm, nonce = params.get("realm", ""), params["nonce"]
        secret = ha1(username, realm, password, algorithm)
        if "qop" in params:
            cnonce = f"{ids.number(64):016x}"
            digest = _answer(algorithm, secret, nonce, "00000001", cnonce, request.method, request.uri)
            tail = f', cnonce="{cnonce}", qop=auth, nc=00000001'
        else:
            digest = _answer_without_qop(algorithm, secret, nonce, request.method, request.uri)
            tail = ""
        credentials = (
            f"Digest username={quote_display(username)}, realm={quote_display(realm)}, "
            f'nonce={quote_display(nonce)}, uri="{request.uri}", response="{digest}", algorithm={algorithm}{tail}'
        )
        if "opaque" in params:
            credentials += f", opaque={quote_display(params['opaque'])}"
        return name, credentials
    return None
