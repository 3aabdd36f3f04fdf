"""Offer and answer through a relay that hides each leg from the other (RFC 3264, RFC 6337).

Every description that leaves names our addresses, ports and origin only. What a stream is about (formats,
packet times, direction) passes; what says where somebody is or how he would encrypt (ICE, keys, SSRCs) does
not.

- **Streams.** Plain RTP audio is relayed. Everything else is answered with port 0 and is not offered onward:
  phones that know audio only refuse a second m-line, even a dead one, more often than they ignore it. Each
  leg therefore has its own list of m-lines, and slots tie them to streams. Within a leg the list keeps its
  order and never shrinks (RFC 3264 sections 6 and 8).
- **Profiles.** RTP/AVPF is answered as offered and offered onward as RTP/AVP without feedback: RFC 4585
  section 5 lets both kinds meet in one session.
- **Payload types** pass unchanged, since the relay rewrites no packet. So an answer's number counts only if
  the offer has it and both mean the same codec; renumbering, which RFC 3264 section 5.1 allows, is struck
  out.
- **rtcp-mux** is not offered onward and not answered (RFC 5761 section 5.1.1): two ports per leg and stream.
- **Hold**: directions pass both ways; ``c=0.0.0.0`` (RFC 2543) becomes the direction that says the same.
- **Alone**: a leg that waits is answered by us, with one codec. Whoever joins it later is offered just that, so
  that the leg itself need not be asked again.

Pure computation: ports and numbers come from what is handed in.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from media.engine import FailureReason
from media.plan import LegPlan, LocalPorts, NoPortsLeft, PortAllocator, StreamPlan
from media.sdp import Connection, MediaDescription, Origin, SdpError, SessionDescription, number, parse
from media.terms import RELAYED_PROFILES, Terms, read_terms, relayed

MAX_STREAMS: Final = 4
"""Relayed streams of one session; each takes a pair of ports on every leg."""


class NegotiationError(Exception):
    """A description was refused; the session is as it was before. The text holds nothing of the peer's."""

    def __init__(self, reason: FailureReason, detail: str) -> None:
        super().__init__(detail)
        self.reason: FailureReason = reason


class _Stream:
    """What m-lines of different legs have in common: a number, and our ports on each leg that ever had it."""

    __slots__ = ("index", "ports")

    def __init__(self, index: int) -> None:
        self.index = index
        self.ports: dict[str, LocalPorts] = {}


class _Slot(NamedTuple):
    """One m-line of a leg's description: its stream, if it ever was relayed, and how it reads with port 0."""

    stream: _Stream | None
    kind: str
    protocol: str
    format: str

    def rejected(self) -> MediaDescription:
        return MediaDescription(self.kind, 0, self.protocol, (self.format,))


class _Dialog:
    """What a leg was last told, for the ``o=`` and ``t=`` lines."""

    __slots__ = ("sent", "session_id", "times", "version")

    def __init__(self, session_id: int) -> None:
        self.session_id = session_id
        self.version = 1
        self.sent = b""
        self.times: list[str] = []


class _Offer(NamedTuple):
    """The last offer made: enough to answer it any number of times.

    ``lines`` counts the m-lines of the offer itself, which the answer repeats; ``slots`` may be longer.
    ``sources`` are the m-lines of a leg that once was answered alone; ``settled``: it has had its answer from us.
    """

    leg: str
    to_leg: str
    slots: tuple[_Slot, ...]
    to_slots: tuple[_Slot, ...]
    lines: int
    terms: dict[_Stream, Terms]
    sources: dict[_Stream, MediaDescription]
    settled: bool = False


class _Alone(NamedTuple):
    """What was agreed with a leg that we answered ourselves: one stream, what the leg said of it and where."""

    stream: _Stream
    terms: Terms
    media: MediaDescription


class Negotiation:
    """Offer and answer of one session: descriptions in, descriptions out, ``plans`` for the relay.

    ``plans`` changes in ``answer``, ``answer_alone`` and ``offer_for``: an offer takes ports, and what was agreed
    flows on until its answer. A stream that is not in ``plans`` is silent. ``session_number`` gives the ids of our
    ``o=`` lines, one per leg, below 2**63. ``allowed_codecs`` (encoding names, any case) narrows offers;
    telephone-event, CN and RED pass.
    """

    __slots__ = (
        "_allocator",
        "_allowed",
        "_alone",
        "_answered",
        "_dialogs",
        "_offer",
        "_session_number",
        "_slots",
        "_streams",
        "plans",
        "session",
    )

    def __init__(
        self,
        session: str,
        allocator: PortAllocator,
        session_number: Callable[[], int],
        allowed_codecs: frozenset[str] | None = None,
    ) -> None:
        self.session = session
        self.plans: tuple[StreamPlan, ...] = ()
        self._allocator = allocator
        self._session_number = session_number
        self._allowed = None if allowed_codecs is None else frozenset(name.lower() for name in allowed_codecs)
        self._dialogs: dict[str, _Dialog] = {}
        self._slots: dict[str, tuple[_Slot, ...]] = {}  # as agreed
        self._streams: list[_Stream] = []
        self._offer: _Offer | None = None
        self._answered = False
        self._alone: dict[str, _Alone] = {}

    def offer(self, leg: str, to_leg: str, sdp: bytes) -> bytes:
        """``leg`` offers ``sdp``; returns what to offer to ``to_leg``. Replaces an unanswered offer.

        Raises NegotiationError.
        """
        description = _parse(sdp)
        slots = list(self._slots.get(leg, ()))
        streams = self._streams.copy()
        terms: dict[_Stream, Terms] = {}
        sources: dict[_Stream, MediaDescription] = {}
        for at, media in enumerate(description.media):
            stream = slots[at].stream if at < len(slots) else None
            said = self._read(description, media)
            if said is not None and stream is None:
                stream = _free_stream(streams, slots)
            if said is not None and stream is not None and said.reachable_from(stream.ports.get(leg)):
                terms[stream] = said
                sources[stream] = media
            # RFC 3264 section 8: the i-th m-line stays the i-th. Lines the offer left out, against that
            # section, keep their slots and count as removed: some phones forget dead m-lines.
            slots[at : at + 1] = [_Slot(stream, media.kind, media.protocol, media.formats[0] if media.formats else "0")]
        if not terms:
            raise NegotiationError("not_acceptable", "no plain RTP audio stream in the offer")
        to_slots = list(self._slots.get(to_leg, ()))
        known = {slot.stream for slot in to_slots}
        to_slots += [_Slot(stream, "audio", "RTP/AVP", "0") for stream in terms if stream not in known]
        self._take_ports(leg, (leg, to_leg), terms)
        lines = []
        for at, slot in enumerate(to_slots):
            stream = slot.stream
            if stream is None or stream not in terms:
                lines.append(slot.rejected())
                continue
            protocol = slot.protocol if slot.protocol in RELAYED_PROFILES else "RTP/AVP"
            lines.append(relayed(sources[stream], terms[stream], protocol, stream.ports[to_leg]))
            to_slots[at] = _Slot(stream, "audio", protocol, lines[-1].formats[0])
        self._streams = streams
        kept = sources if leg in self._alone else {}
        self._offer = _Offer(leg, to_leg, tuple(slots), tuple(to_slots), len(description.media), terms, kept)
        self._answered = False
        # RFC 3264 section 6: an answer repeats the offer's time; only numbers pass.
        self._dialog(leg).times = [line for line in description.times if _is_time(line)]
        return self._describe(to_leg, lines)

    def answer(self, leg: str, to_leg: str, sdp: bytes) -> bytes:
        """``leg`` answers the last offer of ``to_leg``; returns what to answer to ``to_leg``.

        May be repeated until the next offer: early media, then the 200 of another agent; the last one wins.
        Raises NegotiationError; another answer may follow.
        """
        offer = self._offer
        if offer is None or offer.leg != to_leg or offer.to_leg != leg:
            raise NegotiationError("not_acceptable", "an answer without an offer")
        description = _parse(sdp)
        accepted: dict[_Stream, Terms] = {}
        sources: dict[_Stream, MediaDescription] = {}
        # Fewer m-lines than offered are read as rejected, more are ignored (RFC 3264 section 6 allows
        # neither).
        for slot, media in zip(offer.to_slots, description.media, strict=False):
            stream = slot.stream
            if stream is None or stream not in offer.terms:
                continue
            said = self._read(description, media, narrow=False)
            agreed = None if said is None else said.within(offer.terms[stream])
            if agreed is not None and agreed.reachable_from(stream.ports[leg]):
                accepted[stream] = agreed
                sources[stream] = media
        if not accepted:
            raise NegotiationError("not_acceptable", "no stream or codec in common")
        self._slots[to_leg] = offer.slots
        self._slots[leg] = offer.to_slots
        self._answered = True
        self.plans = tuple(
            _plan(stream, to_leg, offer.terms[stream], leg, agreed, offer.settled)
            for stream, agreed in accepted.items()
        )
        if offer.settled:
            return self._dialog(to_leg).sent
        for name, agreed_terms, media_lines in ((to_leg, offer.terms, offer.sources), (leg, accepted, sources)):
            if name in self._alone:  # agreed anew, with the other leg: that is what the next one is offered
                stream, agreed = next(iter(accepted.items()))
                terms = agreed_terms[stream]._replace(payload_types=agreed.payload_types)
                self._alone[name] = _Alone(stream, terms, media_lines[stream])
        lines = []
        for slot in offer.slots[: offer.lines]:
            stream = slot.stream
            if stream is None or stream not in accepted:
                lines.append(slot.rejected())
            else:
                lines.append(relayed(sources[stream], accepted[stream], slot.protocol, stream.ports[to_leg]))
        return self._describe(to_leg, lines)

    def answer_alone(self, leg: str, sdp: bytes, codecs: frozenset[str]) -> bytes:
        """We answer ``leg``'s offer with one of ``codecs`` (lower-case names) on its first stream that has one.

        Returns the answer. Raises NegotiationError. An offer that was made for the leg stays if the codec does.
        """
        description = _parse(sdp)
        slots = list(self._slots.get(leg, ()))
        before = self._alone.get(leg)
        number_before = None if before is None else next(iter(before.terms.payload_types))
        found: _Alone | None = None
        streams = self._streams.copy()
        for at, media in enumerate(description.media):
            stream = slots[at].stream if at < len(slots) else None
            terms = None if found is not None else self._read(description, media, narrow=False)
            terms = None if terms is None else terms.alone(codecs, number_before)
            if terms is not None and stream is None:
                stream = _free_stream(streams, slots)
            if terms is not None and stream is not None and terms.reachable_from(stream.ports.get(leg)):
                found = _Alone(stream, terms, media)
            slots[at : at + 1] = [_Slot(stream, media.kind, media.protocol, media.formats[0] if media.formats else "0")]
        if found is None:
            raise NegotiationError("not_acceptable", "no plain RTP audio stream with a codec of the player's")
        self._take_ports(leg, (leg,), {found.stream: found.terms})
        self._streams = streams
        self._slots[leg] = tuple(slots)
        self._alone[leg] = found
        self._dialog(leg).times = [line for line in description.times if _is_time(line)]
        offer = self._offer
        if (
            offer is not None
            and before is not None
            and offer.leg == leg
            and offer.settled
            and not self._answered
            and (found.stream is before.stream and found.terms.payload_types == before.terms.payload_types)
        ):
            self._offer = offer._replace(slots=tuple(slots), terms={found.stream: found.terms})
        else:
            self._offer = None
        self.plans = (_plan_alone(leg, found),)
        ports = found.stream.ports[leg]
        lines = [
            relayed(found.media, found.terms.mirrored(), slot.protocol, ports)
            if slot.stream is found.stream
            else slot.rejected()
            for slot in slots[: len(description.media)]
        ]
        return self._describe(leg, lines)

    def offer_for(self, leg: str, to_leg: str) -> bytes:
        """Returns what to offer to ``to_leg``: the codec agreed with ``leg`` by ``answer_alone``.

        Replaces an unanswered offer; whoever answered the last one is let go. Raises NegotiationError.
        """
        alone = self._alone.get(leg)
        if alone is None:
            raise NegotiationError("not_acceptable", "an offer for a leg that was not answered")
        stream, terms, media = alone
        to_slots = list(self._slots.get(to_leg, ()))
        if all(slot.stream is not stream for slot in to_slots):
            to_slots.append(_Slot(stream, "audio", "RTP/AVP", "0"))
        self._take_ports(leg, (to_leg,), {stream: terms})
        lines = []
        for at, slot in enumerate(to_slots):
            if slot.stream is not stream:
                lines.append(slot.rejected())
                continue
            protocol = slot.protocol if slot.protocol in RELAYED_PROFILES else "RTP/AVP"
            lines.append(relayed(media, terms, protocol, stream.ports[to_leg]))
            to_slots[at] = _Slot(stream, "audio", protocol, lines[-1].formats[0])
        slots = self._slots[leg]
        self._offer = _Offer(leg, to_leg, slots, tuple(to_slots), len(slots), {stream: terms}, {}, settled=True)
        self._answered = False
        self.plans = (_plan_alone(leg, alone),)
        return self._describe(to_leg, lines)

    def rollback(self) -> None:
        """Forget an unanswered offer. Ports stay taken until ``close``: the next offer names the same ones.

        A caller who was given early media keeps his port so, whichever agent is tried next.
        """
        if not self._answered:
            self._offer = None

    def close(self) -> None:
        """Give all ports back; the object is done."""
        for stream in self._streams:
            for ports in stream.ports.values():
                self._allocator.release(ports)
        self._streams = []
        self._slots = {}
        self._alone = {}
        self._offer = None
        self.plans = ()

    def _read(self, description: SessionDescription, media: MediaDescription, narrow: bool = True) -> Terms | None:
        try:
            terms = read_terms(description, media)
        except SdpError as error:
            raise NegotiationError("malformed", str(error)) from None
        if terms is None or self._allowed is None or not narrow:
            return terms
        return terms.narrowed(self._allowed)

    def _take_ports(self, said_by: str, legs: tuple[str, ...], terms: dict[_Stream, Terms]) -> None:
        taken: list[tuple[_Stream, str]] = []
        try:
            for stream, said in terms.items():
                # Both legs at once: that ports have run out is known before anybody's phone rings.
                for name in legs:
                    if name not in stream.ports:
                        family = said.family if name == said_by else None
                        stream.ports[name] = self._allocator.allocate(self.session, name, family)
                        taken.append((stream, name))
        except NoPortsLeft:
            for stream, name in taken:
                self._allocator.release(stream.ports.pop(name))
            raise NegotiationError("no_ports", "no ports left") from None

    def _dialog(self, leg: str) -> _Dialog:
        dialog = self._dialogs.get(leg)
        if dialog is None:
            dialog = self._dialogs[leg] = _Dialog(self._session_number())
        return dialog

    def _describe(self, leg: str, lines: list[MediaDescription]) -> bytes:
        dialog = self._dialog(leg)
        address = next(stream.ports[leg].address for stream in self._streams if leg in stream.ports)
        connection = Connection.to(address)
        origin = Origin("-", str(dialog.session_id), str(dialog.version), *connection)
        description = SessionDescription(origin, connection)
        description.times = dialog.times
        description.media = lines
        text = description.encode()
        if text != dialog.sent:
            if dialog.sent:
                # RFC 3264 section 8: another version if and only if another text. Compared with the last text
                # sent, even one refused: who saw it must not meet its version with another text.
                dialog.version += 1
                description.origin = origin._replace(version=str(dialog.version))
                text = description.encode()
            dialog.sent = text
        return text


def _parse(sdp: bytes) -> SessionDescription:
    try:
        return parse(sdp)
    except SdpError as error:
        raise NegotiationError("malformed", str(error)) from None


def _is_time(line: str) -> bool:
    start, _, stop = line[2:].partition(" ")
    return line[0] == "t" and number(start, 2**63) is not None and number(stop, 2**63) is not None


def _free_stream(streams: list[_Stream], slots: list[_Slot]) -> _Stream | None:
    """A stream none of the leg's m-lines has: an earlier offer's, the other leg's, else a new one, if
    allowed.

    Taking the other leg's lets a new agent's first offer meet the caller's only stream instead of adding one.
    """
    used = {slot.stream for slot in slots}
    for stream in streams:
        if stream not in used:
            return stream
    if len(streams) == MAX_STREAMS:
        return None
    streams.append(_Stream(len(streams)))
    return streams[-1]


def _plan_alone(name: str, alone: _Alone) -> StreamPlan:
    stream, terms, _ = alone
    leg = LegPlan(
        name,
        stream.ports[name],
        terms.remote_rtp,
        terms.remote_rtcp,
        may_send=terms.receives,
        may_receive=terms.sends,
        payload_types=terms.payload_types,
        peer=terms.peer,
    )
    return StreamPlan(stream.index, (leg,))


def _plan(stream: _Stream, offerer: str, offer: Terms, answerer: str, answer: Terms, settled: bool) -> StreamPlan:
    # The answer was cut to what the offer allows, so its directions are what both allow. A settled offer is of what
    # its leg sends already, be the answer narrower or not: keys that the other leg does not know are for us.
    def leg(name: str, terms: Terms, may_send: bool, may_receive: bool) -> LegPlan:
        return LegPlan(
            name,
            stream.ports[name],
            terms.remote_rtp,
            terms.remote_rtcp,
            may_send,
            may_receive,
            terms.payload_types if settled else answer.payload_types,
            terms.peer,
        )

    return StreamPlan(
        stream.index,
        (
            leg(offerer, offer, may_send=answer.sends, may_receive=answer.receives),
            leg(answerer, answer, may_send=answer.receives, may_receive=answer.sends),
        ),
    )
