"""The registrar: where the agents' phones are now (RFC 3261 section 10.3, Path of RFC 3327).

Who may register is decided before; here an authenticated user's REGISTER becomes bindings. Times in seconds.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from b2bua.sip.errors import RemoteProtocolError
from b2bua.sip.headers import NameAddr
from b2bua.sip.hop import Hop
from b2bua.sip.message import Request
from b2bua.sip.uri import SipUri, same_uri

#: Phones of one user name; more is a loop or an attack.
MAX_BINDINGS = 10
_LONGEST_URI = 512


@dataclass(frozen=True, slots=True)
class Binding:
    """One phone: its Contact, the way its REGISTER came, and until when."""

    uri: str
    hop: Hop
    path: tuple[str, ...]
    expires_at: float
    call_id: str
    sequence: int
    instance: str = ""


@dataclass(frozen=True, slots=True)
class RegistrationChanged:
    """A user name came within reach, or got out of it."""

    username: str
    reachable: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a REGISTER: a status and the headers that belong to it."""

    status: int
    headers: list[tuple[str, str]]


class Registrar:
    """All bindings, by user name."""

    def __init__(self, min_expires: int = 60, max_expires: int = 3600) -> None:
        self.events: deque[RegistrationChanged] = deque()
        #: who wants to know each user name whose bindings are others than before, or were renewed
        self.on_stored: Callable[[str], None] | None = None
        self._min = min_expires
        self._max = max_expires
        self._bindings: dict[str, list[Binding]] = {}

    def bindings(self, username: str, now: float) -> list[Binding]:
        """The phones that can be reached under a user name now."""
        return [binding for binding in self._bindings.get(username, ()) if binding.expires_at > now]

    @property
    def count(self) -> int:
        """Bindings in total, for the metrics."""
        return sum(len(bindings) for bindings in self._bindings.values())

    def usernames(self) -> list[str]:
        """Everybody who has a binding."""
        return list(self._bindings)

    def register(self, request: Request, username: str, hop: Hop, now: float) -> Outcome:
        """Apply a REGISTER of an authenticated user; all of it or nothing (RFC 3261 section 10.3 step 7)."""
        try:
            return self._register(request, username, hop, now)
        except RemoteProtocolError as error:
            return Outcome(error.status_hint, [("Warning", f'399 b2bua "{error}"')])

    def _register(self, request: Request, username: str, hop: Hop, now: float) -> Outcome:
        contacts = request.contacts
        current = self.bindings(username, now)
        if "*" in request.values("Contact"):
            # RFC 3261 10.3 step 6
            if contacts or request.get("Expires") != "0":
                return Outcome(400, [])
            if not all(_in_order(binding, request) for binding in current):
                return Outcome(500, [])
            self._store(username, [])
            return self._success(request, username, now)
        added: list[Binding] = []
        for contact in contacts:
            seconds = self._expires(contact, request)
            if 0 < seconds < self._min:
                # RFC 3261 10.2.8, 21.4.17
                return Outcome(423, [("Min-Expires", str(self._min))])
            if len(contact.uri) > _LONGEST_URI:
                return Outcome(400, [])
            SipUri.parse(contact.uri)
            known = _find(current, contact)
            if known is not None:
                # a phone may name itself twice, and the last time counts
                if known not in added and not _in_order(known, request):
                    # RFC 3261 10.3 step 7: an old request overtaken by a newer one
                    return Outcome(500, [])
                current.remove(known)
            if seconds:
                added.append(self._binding(request, contact, hop, now + seconds))
                current.append(added[-1])
        if len(current) > MAX_BINDINGS:
            return Outcome(403, [("Warning", f'399 b2bua "no more than {MAX_BINDINGS} contacts"')])
        self._store(username, current)
        return self._success(request, username, now)

    def _binding(self, request: Request, contact: NameAddr, hop: Hop, expires_at: float) -> Binding:
        return Binding(
            contact.uri, hop, tuple(request.values("Path")), expires_at, request.call_id, request.cseq.number,
            (contact.params.get("+sip.instance") or "")[:_LONGEST_URI],
        )  # fmt: skip

    def _expires(self, contact: NameAddr, request: Request) -> int:
        text = contact.params.get("expires") or request.get("Expires") or str(self._max)
        if not (text.isascii() and text.isdigit()):
            # RFC 3261 20.19 wants 3600 for what cannot be read
            return min(3600, self._max)
        return min(int(text[:10]), self._max)

    def _success(self, request: Request, username: str, now: float) -> Outcome:
        headers = [
            ("Contact", f"<{binding.uri}>;expires={max(1, round(binding.expires_at - now))}")
            for binding in self.bindings(username, now)
        ]
        if "path" in ",".join(request.all("Supported")).lower():
            # RFC 3327 section 5.3
            headers.extend(("Path", value) for value in request.values("Path"))
        return Outcome(200, headers)

    def connection_closed(self, hop: Hop) -> None:
        """A stream is gone, and with it the only way to the phones that registered over it."""
        if not hop.connection:
            return
        for username in list(self._bindings):
            kept = [item for item in self._bindings[username] if item.hop.connection != hop.connection]
            if len(kept) != len(self._bindings[username]):
                self._store(username, kept)

    def expire(self, now: float) -> None:
        """Forget what was not refreshed; call about once a second."""
        for username, bindings in list(self._bindings.items()):
            if any(binding.expires_at <= now for binding in bindings):
                self._store(username, [binding for binding in bindings if binding.expires_at > now])

    def forget(self, username: str) -> None:
        """This user name exists no longer."""
        self._store(username, [])

    def _store(self, username: str, bindings: list[Binding]) -> None:
        before = username in self._bindings
        if bindings:
            self._bindings[username] = bindings
        else:
            self._bindings.pop(username, None)
        if before != bool(bindings):
            self.events.append(RegistrationChanged(username, bool(bindings)))
        if self.on_stored is not None:
            self.on_stored(username)


def _find(bindings: list[Binding], contact: NameAddr) -> Binding | None:
    instance = contact.params.get("+sip.instance") or ""
    for binding in bindings:
        # RFC 5626 section 6: the same device behind a new address is the same device
        if (instance and binding.instance == instance) or same_uri(binding.uri, contact.uri):
            return binding
    return None


def _in_order(binding: Binding, request: Request) -> bool:
    return binding.call_id != request.call_id or request.cseq.number > binding.sequence
