"""What the call asks of whatever carries its sound, and what that answers.

The shape is that of rtpengine's ng protocol (offer, answer, delete): commands go in, events come out, at
once or later, so that a relay in this process, one in another and one on another machine look the same to a
call.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
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


MediaEvent = SdpReady | MediaFailed | MediaTimedOut | MediaClosed


class MediaEngine(Protocol):
    """Carries the sound of calls. Sessions and legs are named by the caller ("caller", "agent", ...).

    Every ``offer`` and ``answer`` is followed by exactly one ``SdpReady`` or ``MediaFailed`` of that
    session, in the order of the commands.
    """

    events: deque[MediaEvent]

    def offer(self, session: str, leg: str, to_leg: str, sdp: bytes) -> None:
        """``leg`` offers ``sdp``; ``SdpReady`` carries what to offer to ``to_leg``.

        Opens the session if need be. Replaces an unanswered offer: so the next agent can be tried.
        """

    def answer(self, session: str, leg: str, to_leg: str, sdp: bytes) -> None:
        """``leg`` answers the last offer of ``to_leg``; ``SdpReady`` carries what to answer to ``to_leg``.

        May be repeated while no new offer was made (early media, then another agent's 200): the last one
        wins.
        """

    def rollback(self, session: str) -> None:
        """Forget an unanswered offer; no event, nothing happens when there is none."""

    def close(self, session: str) -> None:
        """End the session; ``MediaClosed`` carries the statistics of each leg."""
