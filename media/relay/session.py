"""One call's media: its negotiation, and the ports that do what was agreed."""

from collections.abc import Iterator, Mapping

from media.engine import LegStatistics
from media.negotiation import Negotiation
from media.plan import LegPlan
from media.relay.loop import Readiness
from media.relay.ports import SocketPair
from media.relay.stream import RtcpPort, RtpPort
from media.statistics import mean_opinion_score


class _End:
    """One leg's two ports of one stream."""

    __slots__ = ("leg", "rtcp", "rtp")

    def __init__(self, leg: str, pair: SocketPair, readiness: Readiness, strict: bool) -> None:
        self.leg = leg
        self.rtp = RtpPort(pair.rtp, readiness, strict)
        self.rtcp = RtcpPort(pair.rtcp, readiness, self.rtp)

    def agree(self, plan: LegPlan, now: float) -> None:
        self.rtp.agree(plan, now)
        self.rtcp.agree(plan)

    def suspend(self) -> None:
        self.rtp.suspend()
        self.rtcp.suspend()

    def forward_to(self, other: "_End", plan: LegPlan) -> None:
        self.rtp.forward_to(other.rtp if plan.may_receive else None)
        self.rtcp.forward_to(other.rtcp)


class _Silence:
    """How long a leg that should send has not."""

    __slots__ = ("ends", "packets", "reported", "since")

    def __init__(self, now: float) -> None:
        self.ends: list[_End] = []
        self.packets = -1
        self.since = now
        self.reported = False

    def is_too_long(self, now: float, timeout: float) -> bool:
        """True once for each silence. RTCP is a sign of life: who suppresses silence still reports."""
        packets = 0
        for end in self.ends:
            packets += end.rtp.statistics.received + end.rtcp.received
        if packets != self.packets:
            if self.packets >= 0:
                self.since = now
            self.packets = packets
            self.reported = False
        elif not self.reported and now - self.since >= timeout:
            self.reported = True
            return True
        return False


class Session:
    """The ports of one call. ``now`` is monotonic seconds."""

    __slots__ = ("_ends", "_readiness", "_silences", "_strict", "negotiation")

    def __init__(self, negotiation: Negotiation, readiness: Readiness, strict: bool) -> None:
        self.negotiation = negotiation
        self._readiness = readiness
        self._strict = strict
        self._ends: dict[tuple[int, str], _End] = {}
        self._silences: dict[str, _Silence] = {}

    def apply(self, now: float) -> None:
        """Do what the negotiation's plans say, after an answer."""
        plans = self.negotiation.plans
        named = {(stream.index, plan.leg) for stream in plans for plan in stream.legs}
        for key, end in self._ends.items():
            if key not in named:
                end.suspend()
        self._silences = {}
        for stream in plans:
            first_plan, second_plan = stream.legs
            first, second = self._end(stream.index, first_plan), self._end(stream.index, second_plan)
            first.agree(first_plan, now)
            second.agree(second_plan, now)
            first.forward_to(second, first_plan)
            second.forward_to(first, second_plan)
            for end, plan in ((first, first_plan), (second, second_plan)):
                if plan.may_receive:
                    silence = self._silences.get(plan.leg)
                    if silence is None:
                        silence = self._silences[plan.leg] = _Silence(now)
                    silence.ends.append(end)

    def _end(self, index: int, plan: LegPlan) -> _End:
        key = (index, plan.leg)
        end = self._ends.get(key)
        if end is None:
            pair = plan.local
            assert isinstance(pair, SocketPair)
            end = self._ends[key] = _End(plan.leg, pair, self._readiness, self._strict)
        return end

    def sweep(self, now: float, timeout: float) -> Iterator[str]:
        """Shut what is to be latched no more; yields the legs that have fallen silent (0.0: none ever does)."""
        for end in self._ends.values():
            end.rtp.sweep(now)
        if timeout:
            for leg, silence in self._silences.items():
                if silence.is_too_long(now, timeout):
                    yield leg

    @property
    def packets_relayed(self) -> int:
        """RTP that left, both ways."""
        total = 0
        for end in self._ends.values():
            end.rtp.book()
        for end in self._ends.values():
            total += end.rtp.packets_sent
        return total

    @property
    def packets_dropped(self) -> int:
        """RTP and RTCP that came and did not leave: strangers, garbage, held, unreachable."""
        return sum(end.rtp.dropped + end.rtcp.dropped for end in self._ends.values())

    def statistics(self) -> Mapping[str, LegStatistics]:
        """Per leg, over its streams; codec, jitter and remote address are the busiest stream's."""
        legs: dict[str, list[_End]] = {}
        for end in self._ends.values():
            end.rtp.book()
            legs.setdefault(end.leg, []).append(end)
        return {leg: _leg_statistics(ends) for leg, ends in legs.items()}

    def close(self) -> None:
        """Stop and give the ports back."""
        for end in self._ends.values():
            end.suspend()
        self._ends = {}
        self._silences = {}
        self.negotiation.close()


def _leg_statistics(ends: list[_End]) -> LegStatistics:
    busiest = max(ends, key=lambda end: end.rtp.statistics.received).rtp
    figures = busiest.statistics
    return LegStatistics(
        packets_received=sum(end.rtp.statistics.received for end in ends),
        packets_sent=sum(end.rtp.packets_sent for end in ends),
        octets_received=sum(end.rtp.octets for end in ends),
        octets_sent=sum(end.rtp.octets_sent for end in ends),
        rtcp_received=sum(end.rtcp.received for end in ends),
        rtcp_sent=sum(end.rtcp.sent for end in ends),
        lost=sum(end.rtp.statistics.lost for end in ends),
        jitter_ms=figures.jitter_ms,
        mos=mean_opinion_score(busiest.codec, figures.expected, figures.lost, figures.jitter_ms),
        codec=busiest.codec,
        remote=busiest.source,
    )
