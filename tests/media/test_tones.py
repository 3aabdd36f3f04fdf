"""Tones are told by their frequency: one, and several after each other."""

from array import array

import pytest

from media.g711 import alaw_decode, alaw_encode
from media.tones import dominant_frequency, tone, tones_in_order

SILENCE = array("h", bytes(8000))


@pytest.mark.parametrize("frequency", [200, 350, 440, 1000, 1500, 2600, 3400])
def test_a_tone_is_told_by_its_frequency(frequency: int) -> None:
    samples = alaw_decode(alaw_encode(tone(frequency, 1.0)))
    assert dominant_frequency(samples)[0] == frequency
    assert tones_in_order(samples) == [frequency]


def test_tones_are_told_in_the_order_in_which_they_were_heard() -> None:
    heard = SILENCE + tone(1000, 0.8) + tone(350, 2.0) + SILENCE + tone(350, 0.5) + tone(880, 3.14)
    assert tones_in_order(heard) == [1000, 350, 880]


def test_what_is_no_tone_is_none() -> None:
    chord = array("h", map(sum, zip(tone(440, 1.0, amplitude=0.25), tone(700, 1.0, amplitude=0.25), strict=True)))
    assert tones_in_order(chord) == []
    assert tones_in_order(SILENCE) == []
    assert tones_in_order(tone(440, 0.05)) == []
