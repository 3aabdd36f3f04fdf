"""What a receiver can say of an RTP stream: loss and jitter (RFC 3550), and how it sounded (ITU-T G.107)."""

from typing import Final, NamedTuple

# RFC 3550 appendix A.1: a jump this far ahead is loss, this little behind is disorder; anything else is a
# sender that began anew.
_MAX_DROPOUT: Final = 3000
_MAX_MISORDER: Final = 100
_NO_SEQUENCE: Final = -1


class ReceiverStatistics:
    """Loss and jitter of what one leg sends, over all its sources (RFC 3550 section 6.4.1, appendix A).

    ``update`` takes each packet as it comes. Without the probation of appendix A.1: who may send has been
    decided before.
    """

    __slots__ = (
        "_base",
        "_clock_rate",
        "_cycles",
        "_expected_before",
        "_highest",
        "_jitter",
        "_restart_at",
        "_ssrc",
        "_transit",
        "received",
    )

    def __init__(self, clock_rate: int = 8000) -> None:
        self.received = 0
        self._clock_rate = clock_rate
        self._ssrc = -1
        self._base = 0
        self._highest = 0
        self._cycles = 0
        self._restart_at = _NO_SEQUENCE
        self._expected_before = 0
        self._transit: int | None = None
        self._jitter = 0  # 16 times the jitter, in timestamp units, as appendix A.8 keeps it

    def use_clock_rate(self, clock_rate: int) -> None:
        """Timestamps count in ``clock_rate`` Hz from the next packet on (another codec)."""
        if clock_rate != self._clock_rate:
            self._jitter = self._jitter * clock_rate // self._clock_rate
            self._clock_rate = clock_rate
            self._transit = None

    def update(self, sequence: int, timestamp: int, ssrc: int, now: float) -> None:
        """A packet of speech arrived at ``now`` (monotonic seconds)."""
        self.received += 1
        if ssrc == self._ssrc and (sequence - self._highest) & 0xFFFF == 1:
            self._highest = sequence
            if sequence == 0:
                self._cycles += 0x10000
        else:
            self._out_of_order(sequence, ssrc)
        # Appendix A.8, in integers; timestamps are compared modulo 2**32.
        transit = int(now * self._clock_rate) - timestamp
        before = self._transit
        self._transit = transit
        if before is not None:
            difference = ((transit - before + 0x80000000) & 0xFFFFFFFF) - 0x80000000
            if difference < 0:
                difference = -difference
            self._jitter += difference - ((self._jitter + 8) >> 4)

    def count(self, sequence: int, ssrc: int) -> None:
        """A packet whose timestamp is no time of its own (RFC 4733 section 2.5.1.2): loss, no jitter."""
        self.received += 1
        if ssrc == self._ssrc and (sequence - self._highest) & 0xFFFF == 1:
            self._highest = sequence
            if sequence == 0:
                self._cycles += 0x10000
        else:
            self._out_of_order(sequence, ssrc)

    def _out_of_order(self, sequence: int, ssrc: int) -> None:
        if ssrc != self._ssrc:
            self._begin(sequence, ssrc)
            return
        ahead = (sequence - self._highest) & 0xFFFF
        if ahead < _MAX_DROPOUT:
            if sequence < self._highest:
                self._cycles += 0x10000
            self._highest = sequence
        elif ahead <= 0x10000 - _MAX_MISORDER:
            if sequence == self._restart_at:
                # Two in a row: the sender restarted and kept its SSRC.
                self._begin(sequence, ssrc)
                self._base = (sequence - 1) & 0xFFFF
                if sequence == 0:
                    self._cycles = 0x10000
            else:
                self._restart_at = (sequence + 1) & 0xFFFF
        # else: a duplicate or a late packet

    def _begin(self, sequence: int, ssrc: int) -> None:
        if self._ssrc >= 0:
            self._expected_before = self.expected
        self._ssrc = ssrc
        self._base = self._highest = sequence
        self._cycles = 0
        self._restart_at = _NO_SEQUENCE
        self._transit = None

    @property
    def expected(self) -> int:
        """Packets the sequence numbers say were sent."""
        if self._ssrc < 0:
            return 0
        return self._expected_before + self._cycles + self._highest - self._base + 1

    @property
    def lost(self) -> int:
        """``expected`` less received; negative when duplicates outnumber losses."""
        return self.expected - self.received

    @property
    def jitter_ms(self) -> float:
        """Interarrival jitter in milliseconds."""
        return (self._jitter >> 4) * 1000 / self._clock_rate


class _Impairment(NamedTuple):
    """``equipment`` (Ie) without loss, ``robustness`` (Bpl) against it: ITU-T G.113 appendix I."""

    equipment: float
    robustness: float


# G.711 with packet loss concealment, as every phone has it; wideband codecs have no value on this scale and
# are taken for as good.
_LIKE_G711: Final = _Impairment(0.0, 25.1)
_IMPAIRMENTS: Final = {
    "g723": _Impairment(15.0, 16.1),
    "g729": _Impairment(11.0, 19.0),
    "gsm-efr": _Impairment(5.0, 10.0),
}
_PACKETISATION_MS: Final = 40.0
_ENOUGH_PACKETS: Final = 50


def mean_opinion_score(codec: str, expected: int, lost: int, jitter_ms: float) -> float | None:
    """The E-model's estimate, 1.0 to 4.5 (ITU-T G.107 with its default values, random loss); None before a
    second of speech has come.

    The way's own delay is unknown to a receiver: packets of 20 ms and a buffer of twice the jitter count.
    """
    if expected < _ENOUGH_PACKETS:
        return None
    impairment = _IMPAIRMENTS.get(codec.lower(), _LIKE_G711)
    loss = 100.0 * max(0, lost) / expected
    equipment = impairment.equipment + (95.0 - impairment.equipment) * loss / (loss + impairment.robustness)
    delay = _PACKETISATION_MS + 2.0 * jitter_ms
    delay_impairment = 0.024 * delay + (0.11 * (delay - 177.3) if delay > 177.3 else 0.0)
    rating = min(100.0, max(0.0, 93.2 - delay_impairment - equipment))
    # G.107 annex B; the polynomial dips below 1 for the smallest ratings
    return max(1.0, 1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6)
