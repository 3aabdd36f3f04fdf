"""Sounds: every usual file is read, whatever is broken is a fault with a text, never an exception."""

import contextlib
import struct
import wave
from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.g711 import alaw_decode, alaw_encode, ulaw_decode, ulaw_encode
from media.sounds import SoundFault, SoundLibrary, read_sound
from media.tones import dominant_frequency, tone
from media.wave_file import RATES, WaveError, read_wave, write_wave


def wav(samples: "array[int]", rate: int = 8000, channels: int = 1, bits: int = 16) -> bytes:
    """A file as the standard library writes it; every channel has the same samples."""
    octets = bytearray()
    for sample in samples:
        value = sample << (bits - 16) if bits >= 16 else (sample >> 8) + 128
        octets += (value & (1 << bits) - 1).to_bytes(bits // 8, "little") * channels
    return riff(1, channels, rate, bits, bytes(octets))


def riff(tag: int, channels: int, rate: int, bits: int, body: bytes) -> bytes:
    size = bits // 8 * channels
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, tag, channels, rate, rate * size, size, bits)
    return (
        struct.pack("<4sI4s", b"RIFF", 28 + len(body), b"WAVE") + form + b"data" + struct.pack("<I", len(body)) + body
    )


@pytest.mark.parametrize("rate", sorted(RATES))
def test_every_rate_keeps_pitch_length_and_loudness(rate: int) -> None:
    samples = read_wave(wav(tone(1000, 0.5, rate), rate), 60)
    frequency, share = dominant_frequency(samples)
    assert frequency == 1000
    assert share > 0.95
    assert len(samples) == pytest.approx(4000, abs=2)
    assert max(samples) == pytest.approx(16383, rel=0.05)


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_what_a_telephone_cannot_carry_does_not_fold_back(rate: int) -> None:
    samples = read_wave(wav(tone(6500, 0.3, rate), rate), 60)
    assert max(abs(sample) for sample in samples[200:-200]) < 16383 // 100


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_width_and_number_of_channels(bits: int, channels: int) -> None:
    samples = read_wave(wav(tone(700, 0.3), 8000, channels, bits), 60)
    assert len(samples) == 2400
    assert dominant_frequency(samples)[0] == 700


def test_telephone_encodings_and_floats() -> None:
    sound = tone(500, 0.2)
    assert read_wave(riff(6, 1, 8000, 8, alaw_encode(sound)), 60) == alaw_decode(alaw_encode(sound))
    assert read_wave(riff(7, 1, 8000, 8, ulaw_encode(sound)), 60) == ulaw_decode(ulaw_encode(sound))
    floats = read_wave(riff(3, 1, 8000, 32, struct.pack("<4f", 0.5, float("nan"), 7.0, float("-inf"))), 60)
    assert list(floats) == [16383, 0, 32767, -32767]


def test_the_standard_library_reads_what_we_write(tmp_path: Path) -> None:
    sound = tone(500, 0.2)
    path = tmp_path / "sound.wav"
    path.write_bytes(write_wave(sound))
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8000)
        assert file.readframes(10_000) == sound.tobytes()


@given(st.binary(max_size=200))
def test_no_octets_raise_anything_but_the_documented_error(data: bytes) -> None:
    with contextlib.suppress(WaveError):
        read_wave(data, 1.0)


@given(st.data())
def test_no_damage_raises_anything_but_the_documented_error(data: st.DataObject) -> None:
    whole = bytearray(wav(tone(500, 0.01, 16000), 16000, 2, 24))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, 43))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(WaveError):
        assert len(read_wave(bytes(whole[: data.draw(st.integers(0, len(whole)))]), 60.0)) <= 60 * 8000


@pytest.mark.parametrize(
    ("data", "fault", "text"),
    [
        (None, "missing", "no such file"),
        (b"", "broken", "is no WAV file"),
        (b"RIFF\4\0\0\0WAVE", "broken", "has no format"),
        (riff(1, 1, 8000, 16, b"")[:36], "broken", "has no sound in it"),
        (riff(85, 1, 8000, 16, bytes(9)), "broken", "has the unknown encoding 85"),
        (riff(1, 0, 8000, 16, bytes(9)), "broken", "has 0 channels"),
        (riff(1, 1, 7, 16, bytes(9)), "broken", "has 7 samples a second"),
        (riff(1, 1, 8000, 12, bytes(9)), "broken", "has 12 bits a sample"),
        (riff(1, 1, 8000, 16, bytes(32000)), "too_long", "is 2 s long, more than 1 s"),
        (riff(1, 1, 8000, 16, b""), "silent", "has no sound in it"),
        (riff(1, 1, 8000, 16, bytes(1600)), "silent", "is silent"),
    ],
)
def test_faults_are_values_with_a_text(tmp_path: Path, data: bytes | None, fault: str, text: str) -> None:
    path = tmp_path / "hold.wav"
    if data is not None:
        path.write_bytes(data)
    found = read_sound("hold", path, 1.0)
    assert isinstance(found, SoundFault)
    assert found.fault == fault
    assert str(path) in found.text
    assert text in found.text


def test_a_folder_is_read_with_its_languages_and_its_faults(tmp_path: Path) -> None:
    (tmp_path / "de").mkdir()
    (tmp_path / "de" / "hold.wav").write_bytes(write_wave(tone(500, 0.21)))
    (tmp_path / "de" / "broken.wav").write_bytes(b"RIFF")
    (tmp_path / "readme.txt").write_text("no sound")
    library = SoundLibrary()
    faults = library.load_folder(tmp_path)
    assert [(fault.name, fault.fault) for fault in faults] == [("de/broken", "broken")]
    assert len(library) == 1
    assert library.seconds("de/hold") == pytest.approx(0.21)
    assert [fault.name for fault in library.missing(["de/hold", "en/hold", "en/hold"])] == ["en/hold"]


def test_an_empty_folder_is_a_fault(tmp_path: Path) -> None:
    assert SoundLibrary().load_folder(tmp_path)[0].fault == "missing"
    assert SoundLibrary().load_folder(tmp_path / "nowhere")[0].fault == "missing"


def test_payloads_are_whole_packets_of_each_codec() -> None:
    library = SoundLibrary()
    assert library.add("hold", tone(500, 0.21)) is None
    for codec, decode in (("PCMA", alaw_decode), ("PCMU", ulaw_decode)):
        payloads = library.payloads("hold", codec)
        assert [len(payload) for payload in payloads] == [160] * 11
        assert dominant_frequency(decode(b"".join(payloads)))[0] == 500
    assert library.payloads("hold", "G722") == ()
    assert library.payloads("unknown", "PCMA") == ()
    assert library.payloads("hold", "PCMA") is library.payloads("hold", "PCMA")


def test_memory_is_bounded_and_given_back() -> None:
    library = SoundLibrary(most_octets=200_000)
    assert library.add("one", tone(500, 3.0)) is None
    fault = library.add("two", tone(500, 3.0))
    assert fault is not None
    assert fault.fault == "no_room"
    assert "two" not in library
    assert library.add("one", tone(600, 3.0)) is None  # replaced: takes the room of its former self
    library.remove("one")
    assert library.octets == 0
    assert library.add("two", tone(500, 3.0)) is None


def test_tones_are_there_without_any_file() -> None:
    library = SoundLibrary()
    library.add_tones()
    assert not library.missing(["tone/ring", "tone/busy", "tone/comfort", "tone/record"])
    assert dominant_frequency(ulaw_decode(b"".join(library.payloads("tone/ring", "PCMU")[:50])))[0] > 400


def test_compressed_files_need_the_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "music.mp3"
    path.write_bytes(b"ID3")
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    found = read_sound("music", path)
    assert isinstance(found, SoundFault)
    assert found.fault == "no_decoder"
    assert "pip install" in found.text


@pytest.mark.parametrize(("suffix", "codec"), [(".mp3", "mp3"), (".ogg", "libopus"), (".flac", "flac")])
def test_compressed_files_are_read(tmp_path: Path, suffix: str, codec: str) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / f"music{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=48000)
        stream.layout = "mono"
        frame = av.AudioFrame(format="s16", layout="mono", samples=48000)
        frame.planes[0].update(tone(1000, 1.0, 48000).tobytes())
        frame.sample_rate = 48000
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=48000, frame_size=stream.frame_size)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    samples = read_sound("music", path)
    assert not isinstance(samples, SoundFault)
    assert len(samples) == pytest.approx(8000, abs=500)
    assert dominant_frequency(samples[:7000])[0] == 1000
    assert isinstance(read_sound("music", path, 0.5), SoundFault)
    path.write_bytes(path.read_bytes()[:20] + bytes(3000))
    broken = read_sound("music", path)
    assert isinstance(broken, SoundFault)
    assert broken.fault == "broken"
