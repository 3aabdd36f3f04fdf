"""Where a message came from and where one goes."""

from typing import NamedTuple


class Hop(NamedTuple):
    """One end of a transport path, as seen from here.

    ``transport`` is ``udp``, ``tcp`` or ``tls``; ``host`` an address literal or a name (only when sending);
    ``listener`` names the local listener; ``connection`` identifies an open stream connection,
    0 for UDP and for "open one when needed".
    """

    transport: str
    host: str
    port: int
    listener: str = ""
    connection: int = 0

    @property
    def reliable(self) -> bool:
        """True where the transport itself delivers (RFC 3261 section 17: no retransmissions)."""
        return self.transport != "udp"
