"""Where the phones of agents and lines are: fixed addresses, and the registrar's bindings."""

from collections.abc import Iterable
from dataclasses import dataclass

from b2bua.registrar import Registrar
from b2bua.sip.dialog import hop_towards
from b2bua.sip.errors import RemoteProtocolError
from b2bua.sip.hop import Hop
from routing.contract import Endpoint


@dataclass(frozen=True, slots=True)
class Phone:
    """One place to send an INVITE to."""

    uri: str
    hop: Hop
    to_user: str
    routes: tuple[str, ...] = ()
    symmetric: bool = False


class Phones:
    """Finds the phones of an agent or a line at the moment of an offer."""

    __slots__ = ("_default_listeners", "_proxy", "_registrar")

    def __init__(self, registrar: Registrar, default_listeners: dict[str, str], proxy: str = "") -> None:
        """``proxy`` is where numbers of the public network are sent: a SIP URI without a user."""
        self._registrar = registrar
        self._default_listeners = default_listeners
        self._proxy = proxy

    @property
    def has_way_out(self) -> bool:
        """Whether any trunk takes calls from us."""
        return bool(self._proxy)

    def over_trunk(self, number: str) -> Phone | None:
        """A number of the public network; None if no trunk takes calls from us."""
        scheme, _, host = self._proxy.partition(":")
        return self._fixed(f"{scheme}:{number}@{host}") if host else None

    def of(self, endpoints: Iterable[Endpoint], now: float) -> list[Phone]:
        """Every phone of an agent or a line that can be rung now; empty if there is none."""
        found = []
        for endpoint in endpoints:
            if endpoint.contact:
                phone = self._fixed(endpoint.contact)
                if phone is not None:
                    found.append(phone)
            else:
                # a phone is reached the way its REGISTER came: through its NAT, over its connection
                found.extend(
                    Phone(binding.uri, binding.hop, endpoint.username, binding.path, symmetric=not binding.path)
                    for binding in self._registrar.bindings(endpoint.username, now)
                )
        return found

    def _fixed(self, contact: str) -> Phone | None:
        try:
            hop = hop_towards(contact, "")
        except RemoteProtocolError:
            return None
        listener = self._default_listeners.get(hop.transport)
        if listener is None:
            return None
        user = contact.partition(":")[2].partition("@")[0]
        return Phone(contact, hop._replace(listener=listener), user)
