"""RTP packets as far as a relay and a small phone need them (RFC 3550 section 5.1)."""

import struct

HEADER_SIZE = 12
_HEADER = struct.Struct("!BBHII")


def is_rtp(packet: bytes | bytearray | memoryview) -> bool:
    """Version 2 and at least a header; RTCP's packet types (RFC 5761 section 4) are none of RTP."""
    return len(packet) >= HEADER_SIZE and packet[0] >> 6 == 2 and not 192 <= packet[1] <= 223


def build_packet(payload_type: int, sequence: int, timestamp: int, ssrc: int, payload: bytes) -> bytes:
    """A packet without extensions; sequence and timestamp are cut to their fields."""
    header = _HEADER.pack(0x80, payload_type, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
    return header + payload


def payload_of(packet: bytes | memoryview) -> bytes | memoryview:
    """What is behind the header, its sources and its extension, without padding; empty when they contradict."""
    first = packet[0]
    start = HEADER_SIZE + 4 * (first & 0x0F)
    end = len(packet)
    if first & 0x10:
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
    if first & 0x20:
        end -= packet[-1]
    return packet[start:end] if start < end else b""
