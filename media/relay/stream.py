"""The sockets of one leg's end of a stream: who is let in, and how packets leave.

**Latching.** Phones behind a NAT signal an address that is not the one they send from, so a leg's address is
learned from its packets (symmetric RTP, RFC 4961). That is how a stranger could steal a call. Therefore:

- from the signalled address, the first valid packet latches;
- from elsewhere, only within ``LATCH_SECONDS`` of the answer, never when ``strict``; and until then anything
  closer to the signalled address supersedes it;
- then the socket is connected: the kernel drops everybody else's packets;
- only another description from the peer, with another address or another peer, opens it again.
"""

import socket
from collections.abc import Callable, Mapping
from struct import Struct
from typing import Final

from media.plan import LegPlan, PayloadType
from media.relay.loop import Readiness
from media.relay.packet import LARGEST, buffer, slices
from media.relay.player import Voice
from media.relay.ports import disconnect
from media.relay.tap import Tap
from media.rtp import HEADER_SIZE
from media.statistics import ReceiverStatistics

LATCH_SECONDS: Final = 5.0

Address = tuple[str, int]
Output = Callable[[memoryview], object]
Send = Callable[[memoryview | bytearray], object]

_SPEECHLESS: Final = frozenset({"telephone-event", "cn", "red"})

_header: Final = Struct("!BBHII").unpack_from
#: More than a socket's queue ever holds.
_MOST_WAITING: Final = 4096

# How near a source is to what was signalled; a better one supersedes while the window is open.
_FORMER, _FOREIGN, _SAME_PORT, _SAME_HOST, _SIGNALLED = range(5)


class RtpPort:
    """Takes one leg's RTP, counts it and hands it to the other leg's port."""

    __slots__ = (
        "_booked_octets",
        "_booked_packets",
        "_connected",
        "_fed",
        "_feeder",
        "_former",
        "_forward",
        "_marks",
        "_may_send",
        "_output",
        "_payload_type",
        "_payload_types",
        "_peer",
        "_peer_name",
        "_plays",
        "_rank",
        "_readiness",
        "_receive_into",
        "_signalled",
        "_socket",
        "_strict",
        "_tap",
        "_waits",
        "_watched",
        "_window_ends",
        "codec",
        "dropped",
        "octets",
        "octets_sent",
        "packets_sent",
        "source",
        "statistics",
        "voice",
    )

    def __init__(self, opened: socket.socket, readiness: Readiness, strict: bool) -> None:
        self._socket = opened
        self._receive_into = opened.recv_into
        self._readiness = readiness
        self._strict = strict
        self._watched = False
        # where the leg is
        self._peer_name: str | None = None
        self._signalled: Address | None = None
        self._window_ends = 0.0
        self._former: Address | None = None
        #: Where the leg's packets come from, None until one came.
        self.source: Address | None = None
        self._rank = -1
        self._connected = False
        # where its packets go
        self._peer: RtpPort | None = None
        self._forward: Output | None = None
        self._fed = False  # they are the peer's to count
        self._marks = False  # the next one of speech gets a marker
        self._waits = False  # nobody is there yet who could hear them
        self._tap: Tap | None = None
        # how the other leg's packets leave here
        self._feeder: RtpPort | None = None
        self._output: Send | None = None
        # what we ourselves play to the leg; while it plays, the other leg is not heard
        self._may_send = False
        self._plays = False
        self.voice: Voice | None = None
        # what came
        self._payload_types: Mapping[int, PayloadType] = {}
        self._payload_type = -1
        self.statistics = ReceiverStatistics()
        self.codec = ""
        self.octets = 0
        self.dropped = 0
        # what left; packets are booked to the port they went to when somebody asks, not one by one
        self.packets_sent = 0
        self.octets_sent = 0
        self._booked_packets = 0
        self._booked_octets = 0

    # -- the way of a packet -----------------------------------------------------------------------------

    def _receive(self, now: float) -> bool:
        """Connected: the kernel has let in nobody but the leg."""
        try:
            size = self._receive_into(buffer)
        except OSError:
            return False  # nothing there, or an ICMP error for what was sent before
        self._take(size, now)
        return True

    def _take(self, size: int, now: float) -> None:
        octet, kind, sequence, timestamp, ssrc = _header(buffer)
        if not HEADER_SIZE <= size <= LARGEST or octet & 0xC0 != 0x80:
            self.dropped += 1
            return
        if kind == self._payload_type:
            self.statistics.update(sequence, timestamp, ssrc, now)
        elif not self._take_other(kind, sequence, timestamp, ssrc, now):
            self.dropped += 1
            return
        self.octets += size
        forward = self._forward
        if forward is None:
            self._not_forwarded(size)
            return
        try:
            forward(slices[size])
        except OSError:
            # the kernel's buffer is full, or an ICMP error came back: lost, as on any network
            self._not_forwarded(size)

    def _take_other(self, kind: int, sequence: int, timestamp: int, ssrc: int, now: float) -> bool:
        """A marker, another codec, a key press; or no RTP at all (RFC 5761 section 4)."""
        if 192 <= kind <= 223:
            return False
        payload_type = kind & 0x7F
        entry = self._payload_types.get(payload_type)
        if entry is None or entry.name.lower() in _SPEECHLESS:
            self.statistics.count(sequence, ssrc)
            return True
        if payload_type != self._payload_type:
            self._payload_type = payload_type
            self.codec = entry.name
            self.statistics.use_clock_rate(entry.clock_rate)
        self.statistics.update(sequence, timestamp, ssrc, now)
        return True

    def _not_forwarded(self, size: int) -> None:
        self._booked_packets += 1
        self._booked_octets += size
        self.dropped += 1

    # -- who is let in -----------------------------------------------------------------------------------

    def agree(self, plan: LegPlan, now: float) -> None:
        """What the last answer says of this leg; opens the port if need be."""
        if not self._watched and not self._readiness.watches(self._socket.fileno()):
            self._discard_waiting()
        remote = plan.remote_rtp
        if plan.peer != self._peer_name:
            self._peer_name = plan.peer
            moved = True
        else:
            # None is the hold of RFC 2543: it says nothing about where the leg is
            moved = remote is not None and remote != self._signalled
        if moved:
            self._signalled = remote
            if remote is None or remote != self.source:
                self._unlatch()
        self._payload_types = plan.payload_types
        self._payload_type = -1
        self._may_send = plan.may_send
        self._tell_voice()
        self._window_ends = now + LATCH_SECONDS
        if self._strict and not self._connected:
            self._connect(self._signalled, now)
        if not self._watched:
            self._watch()

    def suspend(self) -> None:
        """No description in force has this stream: packets are not even looked at."""
        self.forward_to(None)
        if self._watched:
            self._watched = False
            self._readiness.rest(self._socket)
        if self._connected:
            # whoever has the port next must not inherit this leg
            self._connected = False
            disconnect(self._socket.fileno())
            self._send_to(self.source)

    def sweep(self, now: float) -> None:
        """Once a second: when the time for latching is over, the door is shut."""
        if not self._connected and self._watched and now >= self._window_ends:
            self._connect(self.source or self._signalled, now)

    def _receive_from(self, now: float) -> bool:
        """Not connected yet: anybody may have sent this."""
        try:
            size, origin = self._socket.recvfrom_into(buffer)
        except OSError:
            return False
        source = origin[:2]
        if source != self.source and not self._latch(source, size, now):
            self.dropped += 1
            return True
        self._take(size, now)
        if self._rank == _SIGNALLED or now >= self._window_ends:
            self._connect(source, now)
            return False  # this is another handler's socket now
        return True

    def _latch(self, source: Address, size: int, now: float) -> bool:
        if not HEADER_SIZE <= size <= LARGEST or buffer[0] & 0xC0 != 0x80:
            return False
        if buffer[1] & 0x7F not in self._payload_types:
            return False
        signalled = self._signalled
        if source == signalled:
            rank = _SIGNALLED
        elif self._strict or (signalled is not None and now >= self._window_ends):
            return False
        elif source == self._former:
            rank = _FORMER
        elif signalled is not None and source[0] == signalled[0]:
            rank = _SAME_HOST
        elif signalled is not None and source[1] == signalled[1]:
            rank = _SAME_PORT
        else:
            rank = _FOREIGN
        if rank <= self._rank:
            return False
        self._rank = rank
        self.source = source
        self._send_to(source)
        return True

    def _unlatch(self) -> None:
        self._former = self.source
        self.source = None
        self._rank = -1
        if self._connected:
            disconnect(self._socket.fileno())
            self._connected = False
            if self._watched:
                self._watch()
        self._send_to(self._signalled)

    def _connect(self, address: Address | None, now: float) -> None:
        if address is None:
            return
        try:
            self._socket.connect(address)
        except OSError:
            return  # no way there; perhaps the next sweep finds one
        self._connected = True
        self.source = address
        self._set_output(self._socket.send)
        if self._watched:
            self._watch()
        # What strangers sent before is still queued and would be read as the leg's.
        for _ in range(_MOST_WAITING):
            try:
                size, origin = self._socket.recvfrom_into(buffer)
            except BlockingIOError:
                return
            except OSError:
                continue
            if origin[:2] == address:
                self._take(size, now)
            else:
                self.dropped += 1

    def _watch(self) -> None:
        self._watched = True
        self._readiness.watch(self._socket.fileno(), self._receive if self._connected else self._receive_from)

    def _discard_waiting(self) -> None:
        """Sound from before the answer must not come late."""
        for _ in range(_MOST_WAITING):
            try:
                self._receive_into(buffer)
            except BlockingIOError:
                return
            except OSError:
                continue
            self.dropped += 1

    # -- where packets go --------------------------------------------------------------------------------

    def forward_to(self, peer: "RtpPort | None", waits: bool = False) -> None:
        """From now on the leg's packets go to ``peer``'s leg; nowhere if None, which is no loss while it waits."""
        self.book()
        if self._peer is not peer:
            if self._peer is not None and self._peer._feeder is self:
                self._peer._feeder = None
            self._peer = peer
            # RFC 3550 section 8: another SSRC than that of our voice, a source of its own; RFC 3551 section 4.1:
            # a marker says that the time between the two means nothing
            self._marks = peer is not None and peer.voice is not None
        if peer is not None:
            peer._feeder = self
        self._waits = waits
        self._route()

    def tap(self, tap: Tap | None) -> None:
        """Show each of the leg's packets to ``tap`` from now on."""
        self._tap = tap
        self._route()

    def plays(self, plays: bool) -> None:
        """Whether the leg hears its voice now, and the other leg not."""
        self._plays = plays
        if self._feeder is not None:
            self._feeder._marks = not plays
            self._feeder._route()

    def _route(self) -> None:
        """Choose the way of all packets from now on, so that none has to be asked for it."""
        self.book()
        peer = self._peer
        output: Output | None = None if peer is None or peer._plays else peer._output
        self._fed = output is not None
        if output is None:
            if self._waits or (peer is not None and peer._plays):
                output = _take_note
        elif self._marks:
            output = self._marking(output)
        if self._tap is not None:
            output = _both(self._tap.take, output)
        self._forward = output

    def _marking(self, output: Output) -> Output:
        def forward(packet: memoryview) -> None:
            entry = self._payload_types.get(packet[1] & 0x7F)
            if entry is None or entry.name.lower() in _SPEECHLESS:
                output(packet)  # a marker means something else there (RFC 4733 section 2.2.2)
                return
            packet[1] |= 0x80
            output(packet)
            self._marks = False
            self._route()

        return forward

    def book(self) -> None:
        """Count what was forwarded since the last time as sent by the port it went to."""
        packets = self.statistics.received
        if self._peer is not None and self._fed:
            self._peer.packets_sent += packets - self._booked_packets
            self._peer.octets_sent += self.octets - self._booked_octets
        self._booked_packets = packets
        self._booked_octets = self.octets

    def _send_to(self, address: Address | None) -> None:
        if address is None:
            self._set_output(None)
            return
        send_to = self._socket.sendto
        self._set_output(lambda packet: send_to(packet, address))

    def _set_output(self, output: Send | None) -> None:
        self._output = output
        if self._feeder is not None:
            self._feeder._route()
        self._tell_voice()

    def _tell_voice(self) -> None:
        if self.voice is not None:
            self.voice.output = self._output if self._may_send else None

    def speak(self, voice: Voice) -> None:
        """``voice`` is what we play to the leg, for as long as the port lives."""
        self.voice = voice
        self._tell_voice()


def _take_note(packet: memoryview) -> None:
    """Heard by nobody, and that is as it should be: counted as received, not as dropped."""


def _both(take: Output, output: Output | None) -> Output:
    if output is None:
        return take

    def forward(packet: memoryview) -> None:
        take(packet)
        output(packet)

    return forward
