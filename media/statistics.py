"""How good the sound of one sender is: losses, jitter and an estimate of what listeners would say."""

from struct import Struct

_HEADER = Struct("!BBHII")
_MAX_DROPOUT = 3000
_MAX_MISORDER = 100
_SEQUENCES = 1 << 16
_HALF = 1 << 31
_WHOLE = 1 << 32

#: codec -> (Ie, Bpl): equipment impairment and robustness to loss, ITU-T G.113 appendix I, as far as it says.
_IMPAIRMENT = {
    "PCMU": (0.0, 25.1), "PCMA": (0.0, 25.1), "G722": (0.0, 25.1), "OPUS": (0.0, 32.0), "G729": (11.0, 19.0),
    "GSM": (20.0, 10.0), "G723": (15.0, 16.1),
}  # fmt: skip


class ReceiverStatistics:
    """What one receiver counts of one sender (RFC 3550 section 6.4.1, appendices A.1, A.3 and A.8).

    ``clock_rate`` is the payload's, in Hz. A new SSRC starts a new count; the old one's losses stay.
    """

    __slots__ = (
        "_bad", "_base", "_cycles", "_highest", "_jitter", "_lost_before", "_received", "_ssrc", "_transit",
        "_type", "clock_rate", "octets", "packets",
    )  # fmt: skip

    def __init__(self, clock_rate: int = 8000) -> None:
        self.clock_rate = clock_rate
        self.packets = 0
        self.octets = 0
        self._ssrc = -1
        self._base = self._highest = self._cycles = self._received = 0
        self._bad = -1
        self._lost_before = 0
        self._jitter = 0.0
        self._transit = 0.0
        self._type = -1

    def count(self, packet: bytes | bytearray, size: int, arrival: float) -> None:
        """Take one RTP packet, the first ``size`` octets of ``packet``; ``arrival`` in seconds, any clock."""
        _, kind, sequence, timestamp, ssrc = _HEADER.unpack_from(packet)
        self.packets += 1
        self.octets += size
        if ssrc != self._ssrc:
            self._start(ssrc, sequence)
        ahead = (sequence - self._highest) & 0xFFFF
        if ahead < _MAX_DROPOUT:
            if sequence < self._highest:
                self._cycles += _SEQUENCES
            self._highest = sequence
        elif ahead <= _SEQUENCES - _MAX_MISORDER:
            if sequence != self._bad:
                # a big jump counts only when a second packet follows it: the sender has restarted
                self._bad = (sequence + 1) & 0xFFFF
                return
            self._start(ssrc, sequence)
        self._received += 1
        # A.8; a type apart (telephone-event) has timestamps of its own
        transit = arrival * self.clock_rate - timestamp
        if kind & 0x7F == self._type:
            difference = abs(transit - self._transit)
            if difference < _HALF:
                self._jitter += (difference - self._jitter) / 16.0
        elif self._type < 0 or not kind & 0x80:
            self._type = kind & 0x7F
        else:
            return
        self._transit = transit

    def _start(self, ssrc: int, sequence: int) -> None:
        self._lost_before = self.lost
        self._ssrc = ssrc
        self._base = self._highest = sequence
        self._cycles = self._received = 0
        self._bad = -1
        self._type = -1

    @property
    def expected(self) -> int:
        """Packets of the present SSRC that the sequence numbers promise."""
        return self._cycles + self._highest - self._base + 1 if self._received else 0

    @property
    def lost(self) -> int:
        """Packets that never came; negative when duplicates outnumber them."""
        return self._lost_before + self.expected - self._received

    @property
    def jitter_ms(self) -> float:
        """Interarrival jitter in milliseconds."""
        return self._jitter * 1000.0 / self.clock_rate

    def mos(self, codec: str) -> float | None:
        """See ``mos_estimate``; None below a second or so of sound."""
        total = self.packets + max(0, self.lost)
        if self.packets < 50:
            return None
        return mos_estimate(codec, max(0, self.lost) / total, self.jitter_ms)


def mos_estimate(codec: str, loss: float, jitter_ms: float) -> float:
    """Mean opinion score from 1.0 to 4.5 by the E-model (ITU-T G.107), simplified.

    ``loss`` is a share, 0 to 1, taken as random. Delay is what a receiver's buffer adds for the jitter
    (twice its size) and 20 ms of packet: the network's own delay cannot be seen from the middle.
    """
    impairment, robustness = _IMPAIRMENT.get(codec.upper(), (0.0, 25.1))
    percent = loss * 100.0
    equipment = impairment + (95.0 - impairment) * percent / (percent + robustness)
    delay = 20.0 + 2.0 * jitter_ms
    delay_impairment = 0.024 * delay + (0.11 * (delay - 177.3) if delay > 177.3 else 0.0)
    rating = max(0.0, min(100.0, 93.2 - delay_impairment - equipment))
    return max(1.0, 1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6)
