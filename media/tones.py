"""Tones for tests of sound: making one, and finding out which one came through."""

import math
from array import array
from itertools import pairwise

#: Frequencies of telephone speech that are told apart, Hz.
_LOWEST, _HIGHEST, _STEP = 200, 3400, 10
#: The share of its energy that a pure tone has at least, after G.711 and a network.
_PURE = 0.8


def tone(frequency: float, seconds: float, rate: int = 8000, amplitude: float = 0.5) -> "array[int]":
    """A sine: ``amplitude`` 1.0 is full scale, samples are 16-bit linear."""
    factor = 2 * math.pi * frequency / rate
    peak = amplitude * 32767
    return array("h", [int(peak * math.sin(factor * index)) for index in range(int(seconds * rate))])


def dominant_frequency(samples: "array[int]", rate: int = 8000) -> tuple[float, float]:
    """The loudest frequency in Hz, to 10 Hz, and its share of the energy, 0.0 to 1.0; (0.0, 0.0) for silence."""
    count = len(samples)
    energy = sum(sample * sample for sample in samples)
    if count < rate // 20 or energy < count * 100:
        return 0.0, 0.0
    # coarse first: a tenth of a second is 10 Hz wide, so nothing falls between the steps
    probe = samples[-rate // 10 :]
    best = max(range(_LOWEST, _HIGHEST + 1, _STEP), key=lambda frequency: _power(probe, frequency, rate))
    share = _power(probe, best, rate) * 2 / (len(probe) * sum(sample * sample for sample in probe) or 1)
    return float(best), min(1.0, share)


def tones_in_order(samples: "array[int]", rate: int = 8000) -> list[int]:
    """The pure tones of a recording in Hz, in the order in which they were heard; one that goes on is named once."""
    window = rate // 10
    heard: list[int] = []
    before = 0
    for start in range(0, len(samples) - window + 1, window):
        now = _pure_tone(samples[start : start + window], rate)
        # twice the same: between two tones lies a mixture for a moment
        if now and now == before and (not heard or heard[-1] != now):
            heard.append(now)
        before = now
    return heard


def _pure_tone(samples: "array[int]", rate: int) -> int:
    """The one tone that there is, to 10 Hz; 0 if there is none, or more than one."""
    energy = sum(sample * sample for sample in samples)
    if energy < len(samples) * 100:
        return 0
    # a pure tone passes zero twice in a period: that spares looking for it everywhere
    crossings = sum((one < 0) != (other < 0) for one, other in pairwise(samples))
    about = round(crossings / 2 * rate / len(samples) / _STEP) * _STEP
    near = range(max(_LOWEST, about - 2 * _STEP), about + 3 * _STEP, _STEP)
    best = max(near, key=lambda frequency: _power(samples, frequency, rate))
    return best if _power(samples, best, rate) * 2 / (len(samples) * energy) > _PURE else 0


def _power(samples: "array[int]", frequency: float, rate: int) -> float:
    """Goertzel's algorithm."""
    coefficient = 2 * math.cos(2 * math.pi * frequency / rate)
    before = last = 0.0
    for sample in samples:
        before, last = last, sample + coefficient * last - before
    return last * last + before * before - coefficient * last * before
