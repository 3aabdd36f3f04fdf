"""What the call asks of whatever carries its sound, and what that answers.

The shape is that of rtpengine's ng protocol (offer, answer, delete): commands go in, events come out, at
once or later, so that a relay in this process, one in another and one on another machine look the same to a
call.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

FailureReason = Literal["no_ports", "not_acceptable", "malformed"]
"""``no_ports``: nothing left to relay with (503); ``not_acceptable``: no stream or codec in common (488);
``malformed``: no session description at all (400 for a request)."""


@dataclass(frozen=True, slots=True)
class LegStatistics:
    """What one leg's media did, as counted here: *received* came from that leg, *sent* went to it.

    ``lost`` and ``jitter_ms`` follow RFC 3550 section 6.4.1 and appendix A; ``lost`` is negative when
    duplicates outnumber losses. ``mos`` is the E-model's estimate from 1.0 to 4.5, None without enough
    packets to say.
    """

    packets_received: int = 0
    packets_sent: int = 0
    octets_received: int = 0
    octets_sent: int = 0
    rtcp_received: int = 0
    rtcp_sent: int = 0
    lost: int = 0
    jitter_ms: float = 0.0
    mos: float | None = None
    codec: str = ""
    remote: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class SdpReady:
    """``sdp`` is to be sent to ``leg``: the offer or the answer that belongs to the last command."""

    session: str
    leg: str
    sdp: bytes


@dataclass(frozen=True, slots=True)
class MediaFailed:
    """A description was refused; everything agreed before stays in force.

    ``leg`` sent the description, ``detail`` is for the log and holds neither addresses nor the peer's text.
    """

    session: str
    reason: FailureReason
    leg: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class MediaTimedOut:
    """``leg`` should have sent media and sent none for the configured time."""

    session: str
    leg: str


@dataclass(frozen=True, slots=True)
class MediaClosed:
    """The session is gone, its ports are given back; exactly one per ``close``, of unknown sessions too."""

    session: str
    statistics: Mapping[str, LegStatistics] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SoundEnded:
    """The last of the sounds that were to be played to ``leg`` under ``tag`` is over."""

    session: str
    leg: str
    tag: str


@dataclass(frozen=True, slots=True)
class DigitPressed:
    """A key of ``leg``'s telephone: one of ``0123456789*#ABCD``, once for each press (RFC 4733)."""

    session: str
    leg: str
    digit: str


@dataclass(frozen=True, slots=True)
class RecordingEnded:
    """The recording of ``leg`` is over; ``path`` is there and whole, unless nothing came or ``fault`` says why not.

    ``seconds`` is its length, 0.0 when there is no file. May come after ``MediaClosed``: the disk takes its time.
    """

    session: str
    leg: str
    path: Path
    seconds: float
    fault: str = ""


MediaEvent = SdpReady | MediaFailed | MediaTimedOut | MediaClosed | SoundEnded | DigitPressed | RecordingEnded


class MediaEngine(Protocol):
    """Carries the sound of calls. Sessions and legs are named by the caller ("caller", "agent", ...).

    Every ``offer``, ``answer``, ``answer_alone`` and ``offer_for`` is followed by exactly one ``SdpReady`` or
    ``MediaFailed`` of that session, in the order of the commands.

    A caller who waits: ``answer_alone`` for him, ``play`` to him, ``offer_for`` each agent who is tried, ``answer``
    of the one who takes the call. With a whisper: ``answer`` without joining, ``play`` to the agent, ``join``.

    Commands about sound do nothing for sessions and legs that are not there: their calls have just ended.
    """

    events: deque[MediaEvent]

    def offer(self, session: str, leg: str, to_leg: str, sdp: bytes) -> None:
        """``leg`` offers ``sdp``; ``SdpReady`` carries what to offer to ``to_leg``.

        Opens the session if need be. Replaces an unanswered offer: so the next agent can be tried.
        """

    def answer(self, session: str, leg: str, to_leg: str, sdp: bytes, join: bool = True) -> None:
        """``leg`` answers the last offer of ``to_leg``; ``SdpReady`` carries what to answer to ``to_leg``.

        May be repeated while no new offer was made (early media, then another agent's 200): the last one
        wins. After ``offer_for``, ``SdpReady`` carries what ``to_leg`` has already: nothing is to be sent.
        The two hear each other from now on and what was played to either stops; unless not ``join``.
        """

    def answer_alone(self, session: str, leg: str, sdp: bytes) -> None:
        """We ourselves answer ``leg``'s offer, so that it can be played to; ``SdpReady`` carries the answer.

        One codec of the player's is chosen, and telephone-event. Opens the session if need be; may be repeated
        (``leg`` offers anew while it waits), and keeps the codec then if it can.
        """

    def offer_for(self, session: str, leg: str, to_leg: str) -> None:
        """``SdpReady`` carries what to offer to ``to_leg``: what was agreed with ``leg`` by ``answer_alone``.

        Replaces an unanswered offer, and parts ``leg`` from whoever answered the last one.
        """

    def join(self, session: str) -> None:
        """The legs hear each other from now on; what was played to them stops."""

    def play(self, session: str, leg: str, sounds: Sequence[str], loop: bool = False, tag: str = "") -> None:
        """Play ``sounds`` by name, one after the other, to ``leg`` instead of anything before.

        ``SoundEnded`` when the last one is over; never for a ``loop``, nor for what was replaced or stopped.
        Unknown sounds are left out: without any left the end comes at once, and a loop is of a comfort tone.
        While it plays, ``leg`` does not hear the other leg.
        """

    def stop(self, session: str, leg: str) -> None:
        """Stop what is played to ``leg``; no event. It hears the other leg again if they were joined."""

    def listen(self, session: str, leg: str) -> None:
        """``DigitPressed`` for each key pressed from now on, until the session ends."""

    def record(self, session: str, leg: str, path: Path, most_seconds: float) -> None:
        """Write what ``leg`` says into a WAV file (8000 Hz, 16 bits) at ``path``; it is there when it is whole.

        ``RecordingEnded`` after ``most_seconds``, after ``finish`` or when the session is closed. One at a
        time for each leg: another one ends the first.
        """

    def finish(self, session: str, leg: str) -> None:
        """End the recording of ``leg``; nothing happens when there is none."""

    def rollback(self, session: str) -> None:
        """Forget an unanswered offer; no event, nothing happens when there is none."""

    def close(self, session: str) -> None:
        """End the session; ``MediaClosed`` carries the statistics of each leg."""
