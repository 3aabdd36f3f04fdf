"""A dialog: who talks to whom, in which order, and by which way (RFC 3261 section 12)."""

from functools import lru_cache

from b2bua.sip.errors import RemoteProtocolError
from b2bua.sip.headers import NameAddr
from b2bua.sip.hop import Hop
from b2bua.sip.message import Message, Request, Response
from b2bua.sip.uri import SipUri

_DEFAULT_PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}


class LocalAddress:
    """What one listener calls itself in Via and Contact."""

    __slots__ = ("host_port", "transport", "via_start")

    def __init__(self, transport: str, host: str, port: int) -> None:
        shown = f"[{host}]" if ":" in host else host
        self.transport = transport
        self.host_port = f"{shown}:{port}"
        self.via_start = f"SIP/2.0/{transport.upper()} {self.host_port};branch="

    def via(self, branch: str) -> str:
        """A Via value that asks for the response on the port we sent from (RFC 3581 section 3)."""
        return f"{self.via_start}{branch};rport"

    def contact(self, user: str) -> str:
        """A Contact value; the user part is as opaque as a tag, so that two legs share nothing."""
        if self.transport == "udp":
            return f"<sip:{user}@{self.host_port}>"
        return f"<sip:{user}@{self.host_port};transport={self.transport}>"


@lru_cache(4096)
def hop_towards(uri_text: str, listener: str, transport: str = "udp") -> Hop:
    """The next hop that a URI names (RFC 3263 section 4 without the look-ups: names are resolved later).

    Port 0 means that the URI gave none, so that SRV records may choose it. Raises RemoteProtocolError
    for a URI that is not SIP.
    """
    uri = SipUri.parse(uri_text)
    if uri.scheme == "sips":
        transport = "tls"
    asked = uri.params.get("transport")
    if asked and asked.lower() in _DEFAULT_PORTS and uri.scheme == "sip":
        transport = asked.lower()
    host = uri.host
    maddr = uri.params.get("maddr")
    if maddr:
        host = maddr
    if host.startswith("["):
        host = host[1:-1]
    return Hop(transport, host, uri.port or 0, listener)


class Dialog:
    """The state that RFC 3261 section 12 wants kept, on one side of one peer-to-peer relationship.

    ``local`` and ``remote`` are whole From/To values as they go on the wire, with tags.
    ``peer`` is where the last message came from. Requests go there when ``symmetric`` is set (the peer
    is a phone, perhaps behind NAT) or when the transport is a connection, which is reused.
    """

    __slots__ = (
        "address", "call_id", "contact", "local", "local_seq", "local_tag", "peer", "remote",
        "remote_seq", "remote_tag", "remote_target", "route_set", "symmetric",
    )  # fmt: skip

    def __init__(
        self,
        call_id: str,
        local: str,
        remote: str,
        local_tag: str,
        remote_tag: str,
        address: LocalAddress,
        peer: Hop,
        symmetric: bool,
    ) -> None:
        self.call_id = call_id
        self.local = local
        self.remote = remote
        self.local_tag = local_tag
        self.remote_tag = remote_tag
        self.address = address
        self.contact = address.contact(local_tag)
        self.peer = peer
        self.symmetric = symmetric
        self.local_seq = 0
        self.remote_seq = -1
        self.remote_target = ""
        self.route_set: list[str] = []

    @classmethod
    def from_invite(cls, invite: Request, local_tag: str, address: LocalAddress, peer: Hop) -> "Dialog":
        """The callee's side (RFC 3261 section 12.1.1)."""
        to = invite.get("To") or ""
        dialog = cls(
            invite.call_id, f"{to};tag={local_tag}", invite.get("From") or "",
            local_tag, invite.from_.tag or "", address, peer, symmetric=False,
        )  # fmt: skip
        dialog.remote_seq = invite.cseq.number
        # RFC 2543 10.33: without a Contact, requests go to the From
        dialog.remote_target = _contact_uri(invite) or invite.from_.uri
        if "Record-Route" in invite.fields:
            dialog.route_set = routes_of(invite)
        return dialog

    @classmethod
    def from_success(
        cls, invite: Request, response: Response, address: LocalAddress, peer: Hop, symmetric: bool
    ) -> "Dialog":
        """The caller's side (RFC 3261 section 12.1.2); the INVITE is the one we sent."""
        dialog = cls(
            invite.call_id, invite.get("From") or "", response.get("To") or "",
            invite.from_.tag or "", response.to.tag or "", address, peer, symmetric,
        )  # fmt: skip
        dialog.local_seq = invite.cseq.number
        dialog.remote_target = _contact_uri(response) or invite.uri
        if "Record-Route" in response.fields:
            dialog.route_set = routes_of(response)[::-1]
        return dialog

    def request(self, method: str, branch: str, sequence: int | None = None) -> Request:
        """A request inside the dialog (RFC 3261 section 12.2.1.1); ACK takes the INVITE's number."""
        if sequence is None:
            self.local_seq += 1
            sequence = self.local_seq
        uri = self.remote_target
        fields = {
            "Via": [self.address.via(branch)],
            "Max-Forwards": ["70"],
            "From": [self.local],
            "To": [self.remote],
            "Call-ID": [self.call_id],
            "CSeq": [f"{sequence} {method}"],
        }
        if self.route_set:
            first = NameAddr.parse(self.route_set[0])
            if "lr" in SipUri.parse(first.uri).params:
                fields["Route"] = self.route_set[:]
            else:
                # RFC 3261 12.2.1.1: a strict router wants itself in the Request-URI and the target last
                uri = first.uri
                fields["Route"] = [*self.route_set[1:], f"<{self.remote_target}>"]
        if method not in ("ACK", "BYE"):
            fields["Contact"] = [self.contact]
        return Request(method, uri, fields)

    def next_hop(self) -> Hop:
        """Where requests of this dialog go."""
        if self.symmetric or self.peer.reliable:
            return self.peer
        target = NameAddr.parse(self.route_set[0]).uri if self.route_set else self.remote_target
        try:
            return hop_towards(target, self.peer.listener)
        except RemoteProtocolError:
            # a peer whose Contact makes no sense is still answered where it speaks from
            return self.peer

    def in_order(self, request: Request) -> bool:
        """Take the request's CSeq; False if it runs backwards (RFC 3261 section 12.2.2: 500)."""
        number = request.cseq.number
        if number <= self.remote_seq and request.method != "ACK":
            return False
        if request.method != "ACK":
            self.remote_seq = number
        return True

    def refresh_target(self, message: Message) -> None:
        """Take the Contact of a target refresh request or of its 2xx (RFC 3261 section 12.2)."""
        uri = _contact_uri(message)
        if uri:
            self.remote_target = uri


def routes_of(message: Message) -> list[str]:
    """The Record-Route values. None of them counts if one is unreadable: nobody could be reached that way."""
    routes = message.values("Record-Route")
    try:
        for route in routes:
            SipUri.parse(NameAddr.parse(route).uri)
    except RemoteProtocolError:
        return []
    return routes


def _contact_uri(message: Message) -> str:
    contacts = message.contacts
    return contacts[0].uri if contacts else ""
