"""G.711, both laws (ITU-T G.711), by tables. Samples are 16-bit linear in an ``array("h")``."""

from array import array

_BIAS = 0x84
_CLIP = 32635


def _ulaw_value(code: int) -> int:
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + _BIAS) << ((code & 0x70) >> 4)
    return _BIAS - magnitude if code & 0x80 else magnitude - _BIAS


def _alaw_value(code: int) -> int:
    code ^= 0x55
    magnitude = (code & 0x0F) << 4
    segment = (code & 0x70) >> 4
    magnitude += 8 if segment == 0 else 0x108
    if segment > 1:
        magnitude <<= segment - 1
    return magnitude if code & 0x80 else -magnitude


def _ulaw_code(sample: int) -> int:
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), _CLIP) + _BIAS
    exponent = magnitude.bit_length() - 8
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    return ~(sign | exponent << 4 | mantissa) & 0xFF


def _alaw_code(sample: int) -> int:
    sign = 0x80 if sample >= 0 else 0
    magnitude = min(abs(sample) if sample >= 0 else -sample - 1, 32767)
    exponent = max(0, magnitude.bit_length() - 8)
    mantissa = (magnitude >> (exponent + 3 if exponent else 4)) & 0x0F
    return (sign | exponent << 4 | mantissa) ^ 0x55


_ULAW_VALUES = [_ulaw_value(code) for code in range(256)]
_ALAW_VALUES = [_alaw_value(code) for code in range(256)]
# negative samples index from the end, as Python's negative indices do
_ULAW_CODES = bytes(_ulaw_code(sample if sample < 32768 else sample - 65536) for sample in range(65536))
_ALAW_CODES = bytes(_alaw_code(sample if sample < 32768 else sample - 65536) for sample in range(65536))


def ulaw_encode(samples: "array[int]") -> bytes:
    """Linear to mu-law, an octet a sample."""
    codes = _ULAW_CODES
    return bytes([codes[sample] for sample in samples])


def alaw_encode(samples: "array[int]") -> bytes:
    """Linear to A-law, an octet a sample."""
    codes = _ALAW_CODES
    return bytes([codes[sample] for sample in samples])


def ulaw_decode(octets: bytes) -> "array[int]":
    """Mu-law to linear."""
    values = _ULAW_VALUES
    return array("h", [values[code] for code in octets])


def alaw_decode(octets: bytes) -> "array[int]":
    """A-law to linear."""
    values = _ALAW_VALUES
    return array("h", [values[code] for code in octets])
