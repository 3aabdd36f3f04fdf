"""The one buffer all packets pass through: sockets are read one after the other."""

from typing import Final

LARGEST: Final = 2048
"""Octets; a larger packet is none of audio's."""

buffer: Final = bytearray(LARGEST + 1)

slices: Final = [memoryview(buffer)[:size] for size in range(LARGEST + 1)]
"""What is sent, by its size: made beforehand, which saves an allocation per packet."""
