"""WAV files read into telephone sound: 16-bit linear samples at 8000 Hz, one channel.

Own parsing instead of the standard library's ``wave``: that knows neither A-law nor mu-law, the two formats a
telephone exchange meets most, nor WAVE_FORMAT_EXTENSIBLE (before Python 3.12), and answers broken files with
exceptions of many kinds. Pure computation over octets.
"""

import math
import struct
import sys
from array import array
from functools import lru_cache
from operator import mul
from typing import Final, NamedTuple, TypeVar

from media.g711 import alaw_decode, ulaw_decode

_Number = TypeVar("_Number", int, float)

RATE: Final = 8000
"""Hz, of everything this module returns."""

RATES: Final = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 96000})
"""Sampling rates that are read, Hz."""

_PCM, _FLOAT, _ALAW, _ULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
#: What follows the format number in an extensible file's GUID.
_GUID: Final = bytes.fromhex("000000001000800000aa00389b71")
_MOST_CHANNELS: Final = 8
#: Crossings of zero on either side of the filter's middle: steep enough that nothing above 4 kHz folds back audibly.
_CROSSINGS: Final = 10
#: Of half the lower rate: leaves the filter room to fall.
_CUTOFF: Final = 0.92


class WaveError(ValueError):
    """The octets are no WAV file that can be read; the text says why."""


class _Format(NamedTuple):
    tag: int
    channels: int
    rate: int
    bits: int


def read_wave(data: bytes, most_seconds: float) -> "array[int]":
    """The samples of a WAV file, channels mixed. Raises WaveError and nothing else."""
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise WaveError("is no WAV file")
    found: _Format | None = None
    at = 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        body = data[at + 8 : at + 8 + size]
        if name == b"fmt ":
            found = _format(body)
        elif name == b"data":
            if found is None:
                raise WaveError("has sound before its format")
            # A size beyond the file's end is what programs write that stream: the file's end counts.
            return _samples(found, body, most_seconds)
        at += 8 + size + size % 2
    raise WaveError("has no sound in it" if found else "has no format")


def write_wave(samples: "array[int]") -> bytes:
    """A WAV file: one channel, 16 bits, 8000 Hz."""
    sound = _little(samples).tobytes()
    header = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(sound), b"WAVE", b"fmt ", 16, _PCM, 1, RATE,
                         2 * RATE, 2, 16, b"data", len(sound))  # fmt: skip
    return header + sound


def _format(body: bytes) -> _Format:
    if len(body) < 16:
        raise WaveError("has a broken format")
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
    if tag == _EXTENSIBLE and len(body) >= 40 and body[26:40] == _GUID:
        tag = int.from_bytes(body[24:26], "little")
    wanted = {_PCM: (8, 16, 24, 32), _FLOAT: (32,), _ALAW: (8,), _ULAW: (8,)}.get(tag)
    if wanted is None:
        raise WaveError(f"has the unknown encoding {tag}")
    if bits not in wanted:
        raise WaveError(f"has {bits} bits a sample")
    if not 1 <= channels <= _MOST_CHANNELS:
        raise WaveError(f"has {channels} channels")
    if rate not in RATES:
        raise WaveError(f"has {rate} samples a second, none of the usual rates")
    return _Format(tag, channels, rate, bits)


def _samples(form: _Format, body: bytes, most_seconds: float) -> "array[int]":
    octets = form.bits // 8
    frames = len(body) // (octets * form.channels)
    if frames > most_seconds * form.rate:
        raise WaveError(f"is {frames / form.rate:.0f} s long, more than {most_seconds:.0f} s")
    samples = _linear(form, body[: frames * octets * form.channels])
    if form.channels > 1:
        count = form.channels
        channels = [samples[at::count] for at in range(count)]
        samples = array("h", [sum(frame) // count for frame in zip(*channels, strict=True)])
    return resample(samples, form.rate)


def _linear(form: _Format, body: bytes) -> "array[int]":
    if form.tag == _ALAW:
        return alaw_decode(body)
    if form.tag == _ULAW:
        return ulaw_decode(body)
    if form.tag == _FLOAT:
        values = _little(array("f", body))
        # what is no number is silence; min and max keep the rest within 16 bits
        return array("h", [int(max(-1.0, min(1.0, value)) * 32767) if value == value else 0 for value in values])
    if form.bits == 8:  # unsigned
        return array("h", [(value - 128) << 8 for value in body])
    # the two upper octets of each sample: the lower ones are below what a telephone carries
    step = form.bits // 8
    upper = bytearray(2 * (len(body) // step))
    upper[0::2] = body[step - 2 :: step]
    upper[1::2] = body[step - 1 :: step]
    return _little(array("h", bytes(upper)))


def _little(samples: "array[_Number]") -> "array[_Number]":
    if sys.byteorder == "big":
        samples = samples[:]
        samples.byteswap()
    return samples


def resample(samples: "array[int]", rate: int) -> "array[int]":
    """``samples`` taken at ``rate`` Hz, at 8000 Hz: a windowed sinc, one set of coefficients a phase.

    ``rate`` is one of ``RATES``. Takes about 40 ms for each second of 48,000 Hz.
    """
    if rate == RATE or not samples:
        return samples
    phases, half = _filter(rate)
    divisor = math.gcd(rate, RATE)
    up, down = RATE // divisor, rate // divisor
    padded = array("h", bytes(2 * half)) + samples + array("h", bytes(2 * (half + 1)))
    length = 2 * half
    result = []
    for index in range(len(samples) * up // down):
        whole, phase = divmod(index * down, up)
        value = int(sum(map(mul, phases[phase], padded[whole + 1 : whole + 1 + length])))
        result.append(-32768 if value < -32768 else 32767 if value > 32767 else value)
    return array("h", result)


@lru_cache(maxsize=len(RATES))
def _filter(rate: int) -> tuple[list[list[float]], int]:
    """Coefficients for each phase between two samples, and how many lie on either side."""
    divisor = math.gcd(rate, RATE)
    up = RATE // divisor
    cutoff = _CUTOFF * min(1.0, RATE / rate)
    half = math.ceil(_CROSSINGS / cutoff)
    phases = []
    for phase in range(up):
        taps = []
        for at in range(1 - half, half + 1):
            distance = at - phase / up
            x = math.pi * distance * cutoff
            sinc = math.sin(x) / x if x else 1.0
            window = 0.5 + 0.5 * math.cos(math.pi * distance / half) if abs(distance) < half else 0.0
            taps.append(sinc * window)
        total = sum(taps)
        phases.append([tap / total for tap in taps])
    return phases, half
