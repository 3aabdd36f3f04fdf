"""One call's media: its negotiation, and the ports that do what was agreed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from media.engine import LegStatistics
from media.negotiation import Negotiation
from media.plan import LegPlan, PayloadType
from media.relay.loop import Readiness
from media.relay.player import Player, Voice
from media.relay.ports import SocketPair
from media.relay.reports import RtcpPort
from media.relay.stream import RtpPort
from media.relay.tap import Recording, Tap
from media.rtp import HEADER_SIZE
from media.sounds import CODECS, FRAME
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

    def wait(self) -> None:
        self.rtp.forward_to(None, waits=True)
        self.rtcp.forward_to(None, waits=True)


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
    """The ports of one call, what is played to its legs and taken from them. ``now`` is monotonic seconds.

    ``number(bits)`` gives random bits.
    """

    __slots__ = ("_ends", "_number", "_player", "_readiness", "_silences", "_strict", "_taps", "negotiation")

    def __init__(
        self,
        negotiation: Negotiation,
        readiness: Readiness,
        strict: bool,
        player: Player,
        number: Callable[[int], int],
    ) -> None:
        self.negotiation = negotiation
        self._readiness = readiness
        self._strict = strict
        self._player = player
        self._number = number
        self._ends: dict[tuple[int, str], _End] = {}
        self._silences: dict[str, _Silence] = {}
        self._taps: dict[str, Tap] = {}

    def apply(self, now: float, join: bool = True) -> None:
        """Do what the negotiation's plans say, after an answer; two legs hear each other if they ``join``."""
        plans = self.negotiation.plans
        named = {(stream.index, plan.leg) for stream in plans for plan in stream.legs}
        for key, end in self._ends.items():
            if key not in named:
                self._hush(end)
                end.suspend()
        self._silences = {}
        for stream in plans:
            for plan in stream.legs:
                end = self._end(stream.index, plan)
                end.agree(plan, now)
                self._agree_sound(end, plan)
                if plan.may_receive:
                    silence = self._silences.get(plan.leg)
                    if silence is None:
                        silence = self._silences[plan.leg] = _Silence(now)
                    silence.ends.append(end)
        if join:
            self.join()
        else:
            for stream in plans:
                for plan in stream.legs:
                    self._end(stream.index, plan).wait()

    def join(self) -> None:
        """Legs of one stream hear each other, and nothing else; one that is alone waits on."""
        for stream in self.negotiation.plans:
            if len(stream.legs) == 1:
                self._end(stream.index, stream.legs[0]).wait()
                continue
            first_plan, second_plan = stream.legs
            first, second = self._end(stream.index, first_plan), self._end(stream.index, second_plan)
            first.forward_to(second, first_plan)
            second.forward_to(first, second_plan)
            self._hush(first)
            self._hush(second)

    # -- sounds ------------------------------------------------------------------------------------------

    def play(self, leg: str, names: Sequence[str], loop: bool, on_end: Callable[[], None]) -> bool:
        """Play to ``leg`` instead of anything before; False if nothing of it can be played."""
        for stream in self.negotiation.plans:
            for plan in stream.legs:
                chosen = _playable(plan) if plan.leg == leg else None
                if chosen is not None:
                    return self._speak(self._end(stream.index, plan), chosen, names, loop, on_end)
        return False

    def _speak(
        self, end: _End, chosen: PayloadType, names: Sequence[str], loop: bool, on_end: Callable[[], None]
    ) -> bool:
        rtp = end.rtp
        voice = rtp.voice
        if voice is None:
            voice = Voice(self._number(32), self._number(16), self._number(32))
            voice.use(chosen.name.upper(), chosen.number)
            rtp.speak(voice)

        def ended() -> None:
            rtp.plays(False)
            on_end()

        plays = self._player.play(voice, names, loop, ended)
        rtp.plays(plays)
        return plays

    def stop(self, leg: str) -> None:
        """``leg`` hears no sound of ours any more."""
        for end in self._ends.values():
            if end.leg == leg:
                self._hush(end)

    def _hush(self, end: _End) -> None:
        voice = end.rtp.voice
        if voice is not None and voice.slot >= 0:
            self._player.stop(voice)
            end.rtp.plays(False)

    def _agree_sound(self, end: _End, plan: LegPlan) -> None:
        voice = end.rtp.voice
        chosen = None if voice is None else _playable(plan)
        if voice is not None and chosen is not None:
            self._player.use(voice, chosen.name.upper(), chosen.number)
        elif voice is not None:
            self._hush(end)
        tap = self._taps.get(plan.leg)
        if tap is not None:
            tap.agree(plan)
            end.rtp.tap(tap)

    # -- what is taken from the legs ---------------------------------------------------------------------

    def listen(self, leg: str, on_digit: Callable[[str], None]) -> None:
        """``on_digit`` for each key that ``leg`` presses."""
        tap = self._tap(leg)
        if tap is not None:
            tap.listen(on_digit)

    def record(self, leg: str, path: Path, most_seconds: float, now: float) -> bool:
        """Keep what ``leg`` says; False if there is no such leg. Ends none before it: see ``finish``."""
        tap = self._tap(leg)
        if tap is None:
            return False
        tap.recording = Recording(leg, path, most_seconds, now)
        return True

    def finish(self, leg: str) -> Recording | None:
        """The recording of ``leg`` up to now, which is over; None if there is none."""
        tap = self._taps.get(leg)
        if tap is None:
            return None
        recording, tap.recording = tap.recording, None
        return recording

    def _tap(self, leg: str) -> Tap | None:
        tap = self._taps.get(leg)
        if tap is None:
            for stream in self.negotiation.plans:
                for plan in stream.legs:
                    if plan.leg == leg and tap is None:
                        tap = self._taps[leg] = Tap()
                        tap.agree(plan)
                        self._end(stream.index, plan).rtp.tap(tap)
        return tap

    def recorded(self, now: float) -> Iterator[Recording]:
        """Recordings that have reached their length; they are over."""
        for leg, tap in self._taps.items():
            recording = tap.recording
            if recording is not None and (recording.full or now >= recording.ends):
                self.finish(leg)
                yield recording

    def recordings(self) -> Iterator[Recording]:
        """All that are going on; they are over."""
        for leg in self._taps:
            recording = self.finish(leg)
            if recording is not None:
                yield recording

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
    def packets_played(self) -> int:
        """RTP that left and was our own."""
        return sum(end.rtp.voice.sent for end in self._ends.values() if end.rtp.voice is not None)

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
            self._hush(end)
            end.rtp.tap(None)
            end.suspend()
        self._ends = {}
        self._taps = {}
        self._silences = {}
        self.negotiation.close()


def _playable(plan: LegPlan) -> PayloadType | None:
    """The first codec of the leg's that the player has."""
    for entry in plan.payload_types.values():
        if entry.name.upper() in CODECS and entry.clock_rate == 8000 and entry.channels == 1:
            return entry
    return None


def _leg_statistics(ends: list[_End]) -> LegStatistics:
    busiest = max(ends, key=lambda end: end.rtp.statistics.received).rtp
    figures = busiest.statistics
    played = sum(end.rtp.voice.sent for end in ends if end.rtp.voice is not None)
    return LegStatistics(
        packets_received=sum(end.rtp.statistics.received for end in ends),
        packets_sent=sum(end.rtp.packets_sent for end in ends) + played,
        octets_received=sum(end.rtp.octets for end in ends),
        octets_sent=sum(end.rtp.octets_sent for end in ends) + played * (HEADER_SIZE + FRAME),
        rtcp_received=sum(end.rtcp.received for end in ends),
        rtcp_sent=sum(end.rtcp.sent for end in ends),
        lost=sum(end.rtp.statistics.lost for end in ends),
        jitter_ms=figures.jitter_ms,
        mos=mean_opinion_score(busiest.codec, figures.expected, figures.lost, figures.jitter_ms),
        codec=busiest.codec,
        remote=busiest.source,
    )
