"""Questions to the DNS by dnspython, and to the system about what is not in it."""

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver

from b2bua.net.addresses import literal
from b2bua.net.resolver import Naptr, ResolutionError, Srv

#: Seconds for one question, all servers and retries included.
_PATIENCE = 4.0
#: Seconds that an answer without a TTL holds: from the hosts file, or that there is nothing.
_NO_TTL = 60.0
#: Records read of one answer: more is no SIP service.
_MOST = 32


class DnsLookup:
    """The ``Lookup`` of a running exchange.

    ``servers`` are addresses of name servers, all on ``port``; none: as /etc/resolv.conf says.
    """

    def __init__(self, servers: Sequence[str] = (), port: int = 53) -> None:
        self._resolver: dns.asyncresolver.Resolver | None = None
        with contextlib.suppress(dns.resolver.NoResolverConfiguration):
            self._resolver = dns.asyncresolver.Resolver(configure=not servers)
            self._resolver.lifetime = _PATIENCE
            if servers:
                self._resolver.nameservers = list(servers)
                self._resolver.port = port

    async def naptr(self, name: str) -> tuple[list[Naptr], float]:
        """NAPTR records."""
        answer, ttl = await self._ask(name, "NAPTR")
        return [
            Naptr(one.order, one.preference, _text(one.flags), _text(one.service), _bare(one.replacement))
            for one in answer
        ], ttl

    async def srv(self, name: str) -> tuple[list[Srv], float]:
        """SRV records."""
        answer, ttl = await self._ask(name, "SRV")
        return [Srv(one.priority, one.weight, one.port, _bare(one.target)) for one in answer], ttl

    async def addresses(self, name: str) -> tuple[list[str], float]:
        """A before AAAA records, as our descriptions of media mostly are IPv4; else what the system knows."""
        answers = await asyncio.gather(self._ask(name, "A"), self._ask(name, "AAAA"), return_exceptions=True)
        found: list[str] = []
        shortest = float("inf")
        failure: BaseException | None = None
        for answer in answers:
            if isinstance(answer, BaseException):
                failure = answer
                continue
            records, ttl = answer
            if records:
                shortest = min(shortest, ttl)
                found += [one.address for one in records]
        if found:
            return found, shortest
        if failure is not None and not isinstance(failure, ResolutionError):
            raise failure
        # the hosts file knows what the DNS does not
        try:
            known = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError):
            if failure is not None:
                raise failure from None
            return [], _NO_TTL
        addresses = [address for one in known if (address := literal(str(one[4][0]))) is not None]
        return sorted(dict.fromkeys(addresses), key=lambda address: ":" in address), _NO_TTL

    async def _ask(self, name: str, kind: str) -> tuple[list[Any], float]:
        if self._resolver is None:
            return [], _NO_TTL
        try:
            answer = await self._resolver.resolve(
                dns.name.from_text(name), dns.rdatatype.from_text(kind), raise_on_no_answer=False
            )
        except dns.resolver.NXDOMAIN:
            return [], _NO_TTL
        except (dns.exception.DNSException, OSError, UnicodeError) as error:
            raise ResolutionError(f"no answer about {name} ({kind})") from error
        if answer.rrset is None:
            return [], _NO_TTL
        return list(answer.rrset)[:_MOST], float(answer.rrset.ttl)


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace")


def _bare(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).rstrip(".")
