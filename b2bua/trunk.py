"""Carriers: who may send us calls, which number was dialled, and how many calls at once."""

import ipaddress

from b2bua.sip.errors import RemoteProtocolError
from b2bua.sip.headers import NameAddr
from b2bua.sip.hop import Hop
from b2bua.sip.message import Request
from b2bua.sip.uri import SipUri, TelUri, parse_uri
from routing.numbers import NumberReader, NumberRules


class Trunk:
    """One carrier's connection and its load."""

    __slots__ = (
        "calls", "did_source", "listener", "max_calls", "name", "networks", "proxy", "rate", "reader",
        "trust_asserted_identity",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        sources: tuple[str, ...],
        listener: str = "",
        did_source: str = "request-uri",
        region: str = "DE",
        area_code: str = "",
        trust_asserted_identity: bool = True,
        max_calls: int = 0,
        max_calls_per_second: float = 0.0,
        proxy: str = "",
    ) -> None:
        self.name = name
        self.proxy = proxy
        self.networks = tuple(ipaddress.ip_network(source) for source in sources)
        self.listener = listener
        self.did_source = did_source
        self.reader = NumberReader(NumberRules(region, area_code))
        self.trust_asserted_identity = trust_asserted_identity
        self.max_calls = max_calls
        self.rate = RateLimit(max_calls_per_second)
        self.calls = 0

    def dialled(self, request: Request) -> str:
        """The dialled number as the carrier wrote it: a URI. Empty if the header is missing.

        Only the configured place counts, there is no falling back: a registration trunk that puts its
        own account into the Request-URI must not reach the account's contract by accident.
        """
        if self.did_source == "request-uri":
            return request.uri
        name = "To" if self.did_source == "to" else "P-Called-Party-ID"
        value = request.get(name)
        if value is None:
            return ""
        try:
            return NameAddr.parse(value).uri
        except RemoteProtocolError:
            return ""


class Trunks:
    """All trunks, found by source address and listener."""

    #: How many source addresses are remembered; an attacker's spoofed ones must not fill the memory.
    _REMEMBERED = 4096

    def __init__(self, trunks: list[Trunk]) -> None:
        self.all = trunks
        self._by_source: dict[tuple[str, str], Trunk | None] = {}

    def find(self, hop: Hop) -> Trunk | None:
        """The first trunk that this peer may be, None for strangers."""
        key = (hop.host, hop.listener)
        try:
            return self._by_source[key]
        except KeyError:
            pass
        found = None
        try:
            address = ipaddress.ip_address(hop.host)
        except ValueError:
            return None
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        for trunk in self.all:
            if trunk.listener and trunk.listener != hop.listener:
                continue
            if any(address in network for network in trunk.networks):
                found = trunk
                break
        if len(self._by_source) >= self._REMEMBERED:
            self._by_source.clear()
        self._by_source[key] = found
        return found


class RateLimit:
    """A token bucket of one second's worth; 0 allows everything."""

    __slots__ = ("_full", "_last", "_tokens", "per_second")

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self._full = max(1.0, per_second)
        self._tokens = self._full
        self._last = 0.0

    def allows(self, now: float) -> bool:
        """Take one token if there is one; ``now`` in seconds."""
        if not self.per_second:
            return True
        self._tokens = min(self._full, self._tokens + (now - self._last) * self.per_second)
        self._last = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


def dialled_text(uri_text: str) -> str:
    """The number in a dialled URI: the user part of a SIP URI, the number of a tel URI, "" for neither."""
    try:
        uri = parse_uri(uri_text)
    except RemoteProtocolError:
        return ""
    if isinstance(uri, TelUri):
        return uri.number
    return (uri.user or "") if isinstance(uri, SipUri) else ""
