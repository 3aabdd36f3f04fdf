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
    """One place to send an INVITE to. ``number`` is what is called there, for one over the trunk."""

    uri: str
    hop: Hop
    to_user: str
    routes: tuple[str, ...] = ()
    symmetric: bool = False
    number: str = ""


class Phones:
    """Finds the phones of an agent or a line at the moment of an offer."""

    __slots__ = ("_default_listeners", "_proxy", "_registrar", "dead")

    def __init__(self, registrar: Registrar, default_listeners: dict[str, str], proxy: str = "") -> None:
        """``proxy`` is where numbers of the public network are sent: a SIP URI without a user."""
        self._registrar = registrar
        self._default_listeners = default_listeners
        self._proxy = proxy
        #: phones that were asked and gave no answer, by agent: see ``b2bua.reachability``
        self.dead: dict[str, set[Phone]] = {}

    @property
    def has_way_out(self) -> bool:
        """Whether any trunk takes calls from us."""
        return bool(self._proxy)

    def over_trunk(self, number: str) -> Phone | None:
        """A number of the public network; None if no trunk takes calls from us."""
        scheme, _, host = self._proxy.partition(":")
        return self._fixed(f"{scheme}:{number}@{host}", number) if host else None

    def of(self, endpoints: Iterable[Endpoint], now: float) -> list[Phone]:
        """Every phone of an agent or a line that can be rung now; empty if there is none."""
        return [phone for turn in self.in_turn(endpoints, now) for phone in turn]

    def in_turn(self, endpoints: Iterable[Endpoint], now: float) -> list[list[Phone]]:
        """The same, each endpoint's by themselves; endpoints without any are left out."""
        turns = []
        for endpoint in endpoints:
            if endpoint.number:
                phone = self.over_trunk(endpoint.number)
                found = [phone] if phone is not None else []
            else:
                found = self.known(endpoint, now)
                dead = self.dead.get(endpoint.agent_id)
                if dead:
                    found = [phone for phone in found if phone not in dead]
            if found:
                turns.append(found)
        return turns

    def known(self, endpoint: Endpoint, now: float) -> list[Phone]:
        """Where an endpoint is, whether anybody answers there or not; nowhere for a number over the trunk."""
        if endpoint.contact:
            phone = self._fixed(endpoint.contact)
            return [phone] if phone is not None else []
        # a phone is reached the way its REGISTER came: through its NAT, over its connection
        return [
            Phone(binding.uri, binding.hop, endpoint.username, binding.path, symmetric=not binding.path)
            for binding in self._registrar.bindings(endpoint.username, now)
        ]

    def _fixed(self, contact: str, number: str = "") -> Phone | None:
        try:
            hop = hop_towards(contact, "")
        except RemoteProtocolError:
            return None
        listener = self._default_listeners.get(hop.transport)
        if listener is None:
            return None
        user = contact.partition(":")[2].partition("@")[0]
        return Phone(contact, hop._replace(listener=listener), user, number=number)
