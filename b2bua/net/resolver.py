"""Names to addresses (RFC 3263): which transport, which host, which port, and what to try next.

The order of SRV records (RFC 2782) and the choice among NAPTR records are plain functions; what asks the DNS
stands behind ``Lookup``.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from b2bua.net.addresses import DEFAULT_PORTS, literal

#: Bounds on how long an answer is kept, in seconds, whatever its TTL says.
SHORTEST, LONGEST = 30.0, 3600.0
#: "There is no such name" is kept this long: a new trunk must not wait for half an hour.
FAILED_FOR = 5.0
#: An answer may serve this long beyond its TTL while the DNS is down (RFC 8767).
STALE = 3600.0
#: An address that could not be reached comes last for this long.
AVOIDED_FOR = 30.0
#: Seconds for all questions about one name.
PATIENCE = 10.0
#: SRV targets and addresses tried for one name.
MOST_TARGETS = 8

_SERVICES = {"sip+d2u": "udp", "sip+d2t": "tcp", "sips+d2t": "tls"}
_SRV_PREFIX = {"udp": "_sip._udp.", "tcp": "_sip._tcp.", "tls": "_sips._tcp."}


class Target(NamedTuple):
    """A place to try: ``host`` is a literal address."""

    transport: str
    host: str
    port: int


class Srv(NamedTuple):
    """An SRV record (RFC 2782); ``target`` without the final dot, empty for "not available here"."""

    priority: int
    weight: int
    port: int
    target: str


class Naptr(NamedTuple):
    """A NAPTR record (RFC 3403); ``replacement`` without the final dot."""

    order: int
    preference: int
    flags: str
    service: str
    replacement: str


class ResolutionError(Exception):
    """A name leads nowhere, or the DNS does not say."""


class Lookup(Protocol):
    """Questions to the DNS. Each answer comes with its TTL in seconds; no records: no such name or type.

    Raises ResolutionError when no server gives an answer.
    """

    async def naptr(self, name: str) -> tuple[list[Naptr], float]:
        """NAPTR records."""

    async def srv(self, name: str) -> tuple[list[Srv], float]:
        """SRV records."""

    async def addresses(self, name: str) -> tuple[list[str], float]:
        """A and AAAA records, in the order in which to try them."""


def srv_order(records: Sequence[Srv], draw: Callable[[int], int]) -> list[Srv]:
    """The order in which to try SRV records (RFC 2782, "Usage rules").

    The lowest priority first, among equals by chance, in proportion to their weights. ``draw(n)`` returns an
    integer from 0 to n-1.
    """
    ordered: list[Srv] = []
    for priority in sorted({record.priority for record in records}):
        # weight 0 first, so that a draw of 0 gives it its very small chance
        left = sorted((record for record in records if record.priority == priority), key=lambda one: one.weight)
        total = sum(record.weight for record in left)
        while left:
            drawn = draw(total + 1)
            running = 0
            for record in left:
                running += record.weight
                if running >= drawn:
                    break
            left.remove(record)
            total -= record.weight
            ordered.append(record)
    return ordered


def naptr_services(records: Sequence[Naptr], transports: Sequence[str]) -> list[tuple[str, str]]:
    """The (transport, SRV name) pairs that NAPTR records offer, best first (RFC 3263 section 4.1).

    Services that are not for SIP or need a transport that we lack do not count.
    """
    found: list[tuple[str, str]] = []
    for record in sorted(records, key=lambda one: (one.order, one.preference)):
        transport = _SERVICES.get(record.service.lower())
        if transport in transports and transport is not None and record.flags.lower() == "s":
            found.append((transport, record.replacement))
    return found


@dataclass(slots=True)
class _Entry:
    """What is known about a name; no targets: it leads nowhere."""

    targets: list[Target]
    until: float


class Resolver:
    """RFC 3263 section 4 with a cache.

    The order of targets is drawn once per answer, not per message: retransmissions, CANCEL and ACK must reach
    the server that has the INVITE (section 4.3). ``transports`` are those that we have, best first;
    ``clock`` tells monotonic seconds; ``draw`` is as for ``srv_order``; ``capacity`` bounds the names kept.
    """

    def __init__(
        self,
        lookup: Lookup,
        *,
        transports: Sequence[str] = ("udp", "tcp", "tls"),
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[int], int] = random.randrange,
        capacity: int = 1024,
    ) -> None:
        self._lookup = lookup
        self._transports = transports
        self._clock = clock
        self._draw = draw
        self._capacity = capacity
        self._cache: dict[tuple[str, str, int], _Entry] = {}
        self._avoided: dict[Target, float] = {}

    def cached(self, transport: str, host: str, port: int) -> list[Target] | None:
        """The targets if they are known now: at once for an address, empty for what is known to lead nowhere."""
        address = literal(host)
        if address is not None:
            chosen = transport or "udp"
            return [Target(chosen, address, port or DEFAULT_PORTS[chosen])]
        entry = self._cache.get((transport, host.lower().rstrip("."), port))
        if entry is None or entry.until <= self._clock():
            return None
        return self._best_first(entry.targets)

    async def resolve(self, transport: str, host: str, port: int) -> list[Target]:
        """Where to send, best first, at least one. ``transport`` may be empty and ``port`` 0: then the DNS says.

        Raises ResolutionError.
        """
        known = self.cached(transport, host, port)
        if known is not None:
            if not known:
                raise ResolutionError(f"{host} is not in the DNS")
            return known
        name = host.lower().rstrip(".")
        key = (transport, name, port)
        try:
            async with asyncio.timeout(PATIENCE):
                targets, ttl = await self._find(transport, name, port)
        except (ResolutionError, TimeoutError) as error:
            stale = self._cache.get(key)
            if stale is None or not stale.targets or stale.until + STALE <= self._clock():
                raise ResolutionError(f"no answer about {name}") from error
            return self._best_first(stale.targets)
        targets = targets[:MOST_TARGETS]
        self._keep(key, targets, min(max(ttl, SHORTEST), LONGEST) if targets else FAILED_FOR)
        if not targets:
            raise ResolutionError(f"{name} is not in the DNS")
        return self._best_first(targets)

    def failed(self, target: Target) -> None:
        """The target could not be reached: others come first for a while (RFC 3263 section 4.3)."""
        now = self._clock()
        if len(self._avoided) >= self._capacity:
            self._avoided = {one: until for one, until in self._avoided.items() if until > now}
        if len(self._avoided) < self._capacity:
            self._avoided[target] = now + AVOIDED_FOR

    def _best_first(self, targets: list[Target]) -> list[Target]:
        if not self._avoided:
            return targets
        now = self._clock()
        return sorted(targets, key=lambda target: self._avoided.get(target, 0.0) > now)

    def _keep(self, key: tuple[str, str, int], targets: list[Target], seconds: float) -> None:
        self._cache.pop(key, None)
        while len(self._cache) >= self._capacity:
            del self._cache[next(iter(self._cache))]
        self._cache[key] = _Entry(targets, self._clock() + seconds)

    # -- RFC 3263 section 4.1 and 4.2 --------------------------------------------------------------------

    async def _find(self, transport: str, name: str, port: int) -> tuple[list[Target], float]:
        if port:
            chosen = transport or "udp"
            addresses, ttl = await self._lookup.addresses(name)
            return [Target(chosen, address, port) for address in addresses], ttl
        if transport:
            services = [(transport, _SRV_PREFIX[transport] + name)]
            shortest = LONGEST
        else:
            records, shortest = await self._lookup.naptr(name)
            services = naptr_services(records, self._transports)
            if not services:
                services = [(one, _SRV_PREFIX[one] + name) for one in self._transports]
        found: list[Target] = []
        declined = False
        for chosen, service in services:
            servers, ttl = await self._lookup.srv(service)
            if not servers:
                continue
            shortest = min(shortest, ttl)
            # RFC 2782: a target of "." says that the service is decidedly not available
            offered = [server for server in servers if server.target]
            declined = declined or not offered
            ordered = srv_order(offered, self._draw)[:MOST_TARGETS]
            for server, (addresses, ttl) in zip(
                ordered, await asyncio.gather(*(self._lookup.addresses(one.target) for one in ordered)), strict=True
            ):
                shortest = min(shortest, ttl) if addresses else shortest
                found += [Target(chosen, address, server.port) for address in addresses]
            if len(found) >= MOST_TARGETS:
                break
        if found or declined:
            return found, shortest
        chosen = transport or "udp"
        addresses, ttl = await self._lookup.addresses(name)
        return [Target(chosen, address, DEFAULT_PORTS[chosen]) for address in addresses], ttl
