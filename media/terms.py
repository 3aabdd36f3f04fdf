"""What one leg's description says of one audio stream, and how it reads to the other leg.

``read_terms`` decides what can be relayed at all; ``relayed`` is the one place where anything of a peer's
description gets into ours.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Final, Literal, NamedTuple, TypeVar

from media.plan import STATIC_PAYLOAD_TYPES, LocalPorts, PayloadType
from media.sdp import MediaDescription, SdpError, SessionDescription, number, parse

RELAYED_PROFILES: Final = frozenset({"RTP/AVP", "RTP/AVPF"})

# Formats that carry no speech of their own: a choice of codecs neither removes nor counts them.
_AUXILIARY = frozenset({"telephone-event", "cn", "red"})

# Attributes that pass. A list of what is known to be harmless, not of what is known to tell: nobody must
# have to notice first that the next extension carries an address.
_PASSING = frozenset({"ptime", "maxptime", "silenceSupp", "ecan", "gpmd", "content", "lang", "label"})

_DIRECTIONS: Final[Mapping[str, tuple[bool, bool]]] = {  # attribute -> (sends, receives)
    "sendrecv": (True, True),
    "sendonly": (True, False),
    "recvonly": (False, True),
    "inactive": (False, False),
}
_DIRECTION_NAMES: Final = {bits: name for name, bits in _DIRECTIONS.items()}


#: Longer attribute lists are not remembered.
_REMEMBERED_ATTRIBUTES = 40


class Terms(NamedTuple):
    """What a leg says: where it is, what it sends and receives, in which formats.

    ``remote_rtp``, ``remote_rtcp``, ``peer``: see ``LegPlan``. ``family`` is 4, 6 or None when no address
    tells.
    """

    remote_rtp: tuple[str, int] | None
    remote_rtcp: tuple[str, int] | None
    family: int | None
    sends: bool
    receives: bool
    payload_types: dict[int, PayloadType]
    peer: str

    @property
    def direction(self) -> str:
        return _DIRECTION_NAMES[self.sends, self.receives]

    def narrowed(self, codecs: frozenset[str]) -> "Terms | None":
        """With these codecs only (lower-case names) and the auxiliary formats; None if that takes all
        speech."""
        kept = {}
        speech = False
        for at, entry in self.payload_types.items():
            name = entry.name.lower()
            auxiliary = name in _AUXILIARY
            if auxiliary or name in codecs:
                kept[at] = entry
                speech = speech or not auxiliary
        if len(kept) == len(self.payload_types):
            return self
        return self._replace(payload_types=kept) if speech else None

    def alone(self, codecs: frozenset[str], before: int | None) -> "Terms | None":
        """With one codec of ``codecs`` (lower-case names, 8000 Hz), and telephone-event at the same rate; None if
        there is none.

        That is number ``before`` if it can be, else the first one: the leg's own order counts.
        """
        usable = [
            entry
            for entry in self.payload_types.values()
            if entry.name.lower() in codecs and entry.clock_rate == 8000 and entry.channels == 1
        ]
        if not usable:
            return None
        chosen = next((entry for entry in usable if entry.number == before), usable[0])
        keys = {
            at: entry
            for at, entry in self.payload_types.items()
            if entry.name.lower() == "telephone-event" and entry.clock_rate == 8000
        }
        return self._replace(payload_types={chosen.number: chosen, **keys})

    def mirrored(self) -> "Terms":
        """The directions as the other side says them (RFC 3264 section 6.1)."""
        return self._replace(sends=self.receives, receives=self.sends)

    def within(self, offer: "Terms") -> "Terms | None":
        """This answer as far as ``offer`` allows it; None when no format is left.

        The relay rewrites no packet, so a number counts only where both sides mean the same codec by it.
        """
        kept = {}
        for at, entry in self.payload_types.items():
            offered = offer.payload_types.get(at)
            # An answer that leaves out the mapping means the offer's.
            if offered is not None and (entry.same_codec(offered) or not entry.name):
                kept[at] = offered
        if not kept:
            return None
        # RFC 3264 section 6.1: the answer to sendonly is recvonly or inactive, whatever old phones leave out.
        sends, receives = self.sends and offer.receives, self.receives and offer.sends
        return self._replace(payload_types=kept, sends=sends, receives=receives)

    def reachable_from(self, ports: LocalPorts | None) -> bool:
        """Whether our address is of the leg's family, as far as both are known."""
        return ports is None or self.family is None or (":" in ports.address) == (self.family == 6)


def read_terms(description: SessionDescription, media: MediaDescription) -> Terms | None:
    """What ``media`` says; None if it is not to be relayed, SdpError when a stream lacks its address."""
    if media.kind != "audio" or media.port == 0 or media.port_count != 1:
        return None
    if media.protocol not in RELAYED_PROFILES:
        return None
    connection = media.connection or description.connection
    if connection is None:
        # RFC 8866 section 5.7: in the session or in every medium.
        raise SdpError("no connection line for a stream")
    payload_types = _remembered(_payload_types, media.attributes, tuple(media.formats))
    host = _host(connection.address)
    if not payload_types or host.kind == "group":
        return None
    sends, receives = _direction(media.attributes) or _direction(description.attributes) or (True, True)
    remote_rtp = remote_rtcp = None
    if host.kind == "nowhere":
        # RFC 3264 section 8.4: neither RTP nor RTCP goes to 0.0.0.0; but it may send.
        receives = False
    elif host.kind == "unicast":
        remote_rtp = (host.address, media.port)
        remote_rtcp = _rtcp_address(media, host.address)
    origin = description.origin
    peer = f"{origin.username} {origin.session_id} {origin.address}"
    return Terms(remote_rtp, remote_rtcp, host.family, sends, receives, payload_types, peer)


def directions(sdp: bytes) -> tuple[bool, bool]:
    """Whether its author sends sound and whether he wants to hear any: (True, False) puts the other on hold.

    Of the first stream that could be relayed; (True, True) when there is none to say.
    """
    try:
        description = parse(sdp)
        for media in description.media:
            found = read_terms(description, media)
            if found is not None:
                return found.sends, found.receives
    except SdpError:
        pass  # it was refused where it mattered
    return True, True


def relayed(media: MediaDescription, terms: Terms, protocol: str, ports: LocalPorts) -> MediaDescription:
    """``media`` as the other leg gets it: the formats and direction of ``terms``, at our ``ports``."""
    result = MediaDescription("audio", ports.rtp_port, protocol, map(str, terms.payload_types))
    if media.bandwidth:
        result.bandwidth = [line for line in media.bandwidth if _is_bandwidth(line)]
    result.attributes.extend(_remembered(_passing, media.attributes, tuple(terms.payload_types.values())))
    if ports.rtcp_port != ports.rtp_port + 1:
        result.attributes.append(f"rtcp:{ports.rtcp_port}")  # RFC 3605 section 2.1
    result.attributes.append(terms.direction)
    return result


_Key = TypeVar("_Key")
_Result = TypeVar("_Result")


def _remembered(
    function: Callable[[tuple[str, ...], tuple[_Key, ...]], _Result], attributes: list[str], key: tuple[_Key, ...]
) -> _Result:
    """What one kind of phone says of its codecs is the same in every call: ask the function's cache first.

    Long lists (ICE candidates, SSRCs) never come again and would only fill it.
    """
    if len(attributes) > _REMEMBERED_ATTRIBUTES:
        function = function.__wrapped__  # type: ignore[attr-defined]  # of an lru_cache
    return function(tuple(attributes), key)


@lru_cache(maxsize=512)
def _passing(said: tuple[str, ...], payload_types: tuple[PayloadType, ...]) -> tuple[str, ...]:
    """The attributes that the other leg is told: mappings of these formats, and what is about the stream itself."""
    formats = {str(entry.number): entry for entry in payload_types}
    attributes = []
    mapped = set()
    for attribute in said:
        name, _, value = attribute.partition(":")
        if name == "rtpmap" or name == "fmtp":
            at = value.lstrip(" ").partition(" ")[0]
            if at in formats:
                attributes.append(attribute)
                if name == "rtpmap":
                    mapped.add(at)
        elif name in _PASSING:
            attributes.append(attribute)
    if len(mapped) < len(formats):
        # RFC 3264 section 6.1: an answer must map dynamic types and should map static ones.
        for at, entry in formats.items():
            if at not in mapped and entry.name:
                suffix = f"/{entry.channels}" if entry.channels != 1 else ""
                attributes.append(f"rtpmap:{at} {entry.name}/{entry.clock_rate}{suffix}")
    return tuple(attributes)


@lru_cache(maxsize=512)
def _payload_types(attributes: tuple[str, ...], formats: tuple[str, ...]) -> dict[int, PayloadType]:
    """The formats of an RTP m-line in order; what is no payload type number is left out. Shared: not to be changed."""
    named: dict[int, PayloadType] = {}
    for attribute in attributes:
        if attribute.startswith("rtpmap:"):
            entry = _rtpmap(attribute[7:])
            if entry is not None:
                named.setdefault(entry.number, entry)
    found: dict[int, PayloadType] = {}
    for text in formats:
        at = number(text, 127)
        if at is not None and at not in found:
            found[at] = named.get(at) or STATIC_PAYLOAD_TYPES.get(at) or PayloadType(at, "", 8000)
    return found


@lru_cache(maxsize=1024)
def _rtpmap(value: str) -> PayloadType | None:
    """``0 PCMU/8000`` (RFC 8866 section 6.6); None when it makes no sense."""
    at_text, _, mapping = value.lstrip(" ").partition(" ")
    at = number(at_text, 127)
    parts = mapping.strip(" ").split("/")
    if at is None or not 2 <= len(parts) <= 3 or not parts[0]:
        return None
    clock_rate = number(parts[1], 2**31)
    channels = number(parts[2], 255) if len(parts) == 3 else 1
    if not clock_rate or not channels:
        return None
    return PayloadType(at, parts[0], clock_rate, channels)


class _Host(NamedTuple):
    kind: Literal["unicast", "group", "nowhere", "name"]
    address: str = ""
    family: int | None = None


@lru_cache(maxsize=4096)
def _host(text: str) -> _Host:
    """What a connection address is; a name is not resolved, its packets will tell where it is."""
    if "%" in text:
        return _Host("name")  # a zone means something on the peer's host only
    try:
        address = ip_address(text.partition("/")[0])
    except ValueError:
        return _Host("name")
    if address.is_unspecified:
        return _Host("nowhere")
    if address.is_multicast or text == "255.255.255.255":
        return _Host("group")
    return _Host("unicast", str(address), address.version)


def _rtcp_address(media: MediaDescription, address: str) -> tuple[str, int] | None:
    """Where RTCP goes: ``a=rtcp`` (RFC 3605 section 2.1), else the next port, None when there is no next."""
    value = media.attribute("rtcp")
    if value is not None:
        fields = value.strip(" ").split(" ")
        port = number(fields[0], 65_535)
        if port and len(fields) == 1:
            return address, port
        if port and len(fields) == 4:
            explicit = _host(fields[3])
            if explicit.kind == "unicast":
                return explicit.address, port
    return (address, media.port + 1) if media.port < 65_535 else None


def _direction(attributes: list[str]) -> tuple[bool, bool] | None:
    """(sends, receives) as the first direction attribute says (RFC 8866 section 6.7)."""
    for attribute in attributes:
        bits = _DIRECTIONS.get(attribute)
        if bits is not None:
            return bits
    return None


def _is_bandwidth(line: str) -> bool:
    kind, _, value = line[2:].partition(":")
    return kind.isascii() and kind.replace("-", "").isalnum() and number(value, 2**31) is not None
