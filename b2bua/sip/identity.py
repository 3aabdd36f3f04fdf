"""Who calls: From, P-Asserted-Identity and Privacy (RFC 3323, 3325). Shown, never trusted, never routed by."""

from dataclasses import dataclass

from b2bua.sip.errors import RemoteProtocolError
from b2bua.sip.headers import NameAddr
from b2bua.sip.message import Request
from b2bua.sip.uri import TelUri, parse_uri, user_part


@dataclass(frozen=True, slots=True)
class CallerIdentity:
    """The caller as it may be shown: ``user`` is a number or a name part, decoded; both empty if anonymous."""

    user: str
    display: str = ""
    anonymous: bool = False
    asserted: bool = False


ANONYMOUS = CallerIdentity("", "", anonymous=True)


def caller_identity(request: Request, trust_asserted: bool) -> CallerIdentity:
    """What a request says of its caller.

    ``trust_asserted``: the peer belongs to our trust domain (RFC 3325 section 4), so that its
    P-Asserted-Identity counts more than From. Privacy holds whoever sent it (RFC 3323 section 4.2).
    """
    if wants_privacy(request):
        return ANONYMOUS
    if trust_asserted:
        for value in request.values("P-Asserted-Identity")[:2]:
            identity = _identity(value, asserted=True)
            if identity is not None and identity.user:
                return identity
    identity = _identity(request.get("From") or "", asserted=False)
    return identity if identity is not None else ANONYMOUS


def wants_privacy(request: Request) -> bool:
    """Does the caller not want to be known? ``none`` says expressly that there is nothing to hide."""
    wishes = {wish.strip(" \t").lower() for value in request.all("Privacy") for wish in value.split(";")}
    return bool(wishes & {"id", "user", "header", "session"}) and "none" not in wishes


def identity_headers(identity: CallerIdentity, domain: str) -> list[tuple[str, str]]:
    """P-Asserted-Identity and Privacy for a phone inside our trust domain (RFC 3325 section 9)."""
    if identity.anonymous:
        # the identity itself is withheld already; the phone is told that this is by the caller's wish
        return [("Privacy", "id")]
    if not identity.asserted:
        return []
    return [("P-Asserted-Identity", f"<sip:{user_part(identity.user)}@{domain}>")]


def _identity(value: str, asserted: bool) -> CallerIdentity | None:
    try:
        address = NameAddr.parse(value)
        uri = parse_uri(address.uri)
    except RemoteProtocolError:
        return None
    if isinstance(uri, TelUri):
        return CallerIdentity(uri.number, address.display, asserted=asserted)
    user = uri.decoded_user.partition(";")[0]
    if uri.host.lower() in ("anonymous.invalid", "invalid") or user.lower() == "anonymous":
        # RFC 3323 4.1.1.3
        return ANONYMOUS
    return CallerIdentity(user, address.display, asserted=asserted)
