"""What a negotiation and a relay tell each other: payload types, pairs of ports, streams in force."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol


class PayloadType(NamedTuple):
    """What a payload type number stands for; ``name`` as written ("" when the peer does not say)."""

    number: int
    name: str
    clock_rate: int
    channels: int = 1

    def same_codec(self, other: "PayloadType") -> bool:
        # RFC 4855 section 3: encoding names are case-insensitive.
        return (
            self.name.lower() == other.name.lower()
            and self.clock_rate == other.clock_rate
            and self.channels == other.channels
        )


STATIC_PAYLOAD_TYPES: Final[Mapping[int, PayloadType]] = {
    entry.number: entry
    for entry in (  # RFC 3551 section 6, table 4
        PayloadType(0, "PCMU", 8000),
        PayloadType(3, "GSM", 8000),
        PayloadType(4, "G723", 8000),
        PayloadType(5, "DVI4", 8000),
        PayloadType(6, "DVI4", 16000),
        PayloadType(7, "LPC", 8000),
        PayloadType(8, "PCMA", 8000),
        PayloadType(9, "G722", 8000),  # section 4.5.2: samples at 16000, counted at 8000 by an old mistake
        PayloadType(10, "L16", 44100, 2),
        PayloadType(11, "L16", 44100),
        PayloadType(12, "QCELP", 8000),
        PayloadType(13, "CN", 8000),
        PayloadType(14, "MPA", 90000),
        PayloadType(15, "G728", 8000),
        PayloadType(16, "DVI4", 11025),
        PayloadType(17, "DVI4", 22050),
        PayloadType(18, "G729", 8000),
    )
}


class NoPortsLeft(Exception):  # noqa: N818  # a state of the pool, nobody's error
    """Raised by a port allocator that has nothing to give."""


class LocalPorts(Protocol):
    """A pair of our ports; an allocator's own type may carry sockets with it."""

    @property
    def address(self) -> str:
        """The literal address to advertise; the same for all pairs of a leg."""

    @property
    def rtp_port(self) -> int: ...

    @property
    def rtcp_port(self) -> int: ...


class PortPair(NamedTuple):
    """The plainest ``LocalPorts``."""

    address: str
    rtp_port: int
    rtcp_port: int


class PortAllocator(Protocol):
    """Where ports come from; asked once per stream and leg."""

    def allocate(self, session: str, leg: str, family: int | None) -> LocalPorts:
        """Take a pair for ``leg``; ``family`` is 4 or 6 when the leg has shown which it speaks.

        Raises NoPortsLeft, also when there is no address of that family.
        """

    def release(self, ports: LocalPorts) -> None:
        """Give back what ``allocate`` gave."""


@dataclass(frozen=True, slots=True)
class LegPlan:
    """One leg's end of a stream, seen from the relay.

    ``remote_rtp`` and ``remote_rtcp`` are where the leg says it receives; None when it named no usable
    address (a host name, 0.0.0.0): then only latching can tell. ``may_send`` and ``may_receive`` are what
    both descriptions together allow *us*: to send RTP to this leg, to take RTP from it; what may be taken
    from one leg may be sent to the other. RTCP flows in any case (RFC 3264 section 5.1), except to a remote
    of None. ``peer`` tells one answerer from another (the origin without its version): latch anew when it or
    ``remote_rtp`` changes. ``payload_types`` is for statistics and no filter: packets under way may still use
    what was agreed before.
    """

    leg: str
    local: LocalPorts
    remote_rtp: tuple[str, int] | None
    remote_rtcp: tuple[str, int] | None
    may_send: bool
    may_receive: bool
    payload_types: Mapping[int, PayloadType]
    peer: str


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """A stream in force between two legs, the offerer's end first, or of one leg that we answered ourselves.

    ``index`` is stable within the session.
    """

    index: int
    legs: tuple[LegPlan, LegPlan] | tuple[LegPlan]
