"""Host names and address literals, told apart without blocking."""

import ipaddress
from functools import lru_cache

#: RFC 3261 section 19.1.2, RFC 3263 section 4.2: where a host listens that names no port.
DEFAULT_PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}


@lru_cache(maxsize=8192)
def literal(host: str) -> str | None:
    """The address that ``host`` spells, or None if it is a name.

    One spelling per address, so that it can be compared and be a key: no brackets, no scope
    (RFC 4007 section 11: scopes mean nothing to others), IPv4 instead of IPv4-mapped IPv6.
    """
    text = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)
