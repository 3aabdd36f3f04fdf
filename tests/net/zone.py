"""A DNS zone held in dictionaries."""

from collections import Counter

from b2bua.net.resolver import Naptr, ResolutionError, Srv


class Zone:
    """Answers from dictionaries; counts the questions; ``down`` is a DNS that does not answer."""

    def __init__(
        self,
        addresses: dict[str, list[str]] | None = None,
        srv: dict[str, list[Srv]] | None = None,
        naptr: dict[str, list[Naptr]] | None = None,
        ttl: float = 300.0,
    ) -> None:
        self.known_addresses = addresses or {}
        self.known_srv = srv or {}
        self.known_naptr = naptr or {}
        self.ttl = ttl
        self.down = False
        self.asked: Counter[str] = Counter()

    def _ask(self, question: str) -> None:
        self.asked[question] += 1
        if self.down:
            raise ResolutionError("the DNS is down")

    async def naptr(self, name: str) -> tuple[list[Naptr], float]:
        self._ask(f"NAPTR {name}")
        return self.known_naptr.get(name, []), self.ttl

    async def srv(self, name: str) -> tuple[list[Srv], float]:
        self._ask(f"SRV {name}")
        return self.known_srv.get(name, []), self.ttl

    async def addresses(self, name: str) -> tuple[list[str], float]:
        self._ask(f"A {name}")
        return self.known_addresses.get(name, []), self.ttl
