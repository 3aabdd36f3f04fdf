"""A forked INVITE that several callees answer: the first has the session, the others are let go politely."""

from typing import Protocol

from b2bua.sip.client_transaction import NOBODY
from b2bua.sip.dialog import Dialog, routes_of
from b2bua.sip.hop import Hop
from b2bua.sip.ids import IdSource
from b2bua.sip.message import Response
from b2bua.sip.transactions import TransactionLayer

#: More callees than this behind one address are a mistake, or an attack.
_MOST = 16


class _User(Protocol):
    layer: TransactionLayer
    ids: IdSource


class Forks:
    """The dialogs of one INVITE that nobody wants (RFC 3261 section 13.2.2.4)."""

    __slots__ = ("_acks", "_symmetric", "_user")

    def __init__(self, user: _User, symmetric: bool) -> None:
        self._user = user
        self._symmetric = symmetric
        self._acks: dict[str, tuple[bytes, Hop]] = {}

    def refuse(self, wanted: Dialog, tag: str, response: Response, hop: Hop, now: float) -> None:
        """ACK the 2xx of another callee than ``wanted``'s, every time it comes, and end its dialog the first time."""
        layer = self._user.layer
        known = self._acks.get(tag)
        if known is not None:
            layer.send(*known)
            return
        if len(self._acks) >= _MOST:
            return
        fork = Dialog(
            wanted.call_id, wanted.local, response.get("To") or "", wanted.local_tag, tag, wanted.address, hop,
            self._symmetric,
        )  # fmt: skip
        fork.local_seq = response.cseq.number
        contacts = response.contacts
        fork.remote_target = contacts[0].uri if contacts else wanted.remote_target
        fork.route_set = routes_of(response)[::-1]
        ack = fork.request("ACK", self._user.ids.branch(), fork.local_seq).encode()
        self._acks[tag] = (ack, fork.next_hop())
        layer.send(*self._acks[tag])
        bye = fork.request("BYE", self._user.ids.branch())
        bye.set("Reason", 'SIP;cause=200;text="Call completed elsewhere"')
        layer.request(bye, fork.next_hop(), NOBODY, now)
