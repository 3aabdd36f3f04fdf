"""The sounds callers hear while they wait: read once, converted once into each codec, kept in memory.

Everything is ready before the first call: a payload is fetched, not made, when it is due.
"""

import importlib
import math
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from media.g711 import alaw_encode, ulaw_encode
from media.tones import tone
from media.wave_file import RATE, WaveError, read_wave

FRAME: Final = 160
"""Samples in a packet: 20 ms (RFC 3551 section 4.2)."""

CODECS: Final[Mapping[str, Callable[["array[int]"], bytes]]] = {"PCMA": alaw_encode, "PCMU": ulaw_encode}
"""What can be played, by encoding name."""

PLAYER_CODECS: Final = frozenset(name.lower() for name in CODECS)
"""The same, lower-case: what a leg that waits can be answered with."""

MOST_SECONDS: Final = 600.0
MOST_OCTETS: Final = 256 * 2**20
#: Below this peak nobody hears anything: -60 dB of full scale.
_SILENT: Final = 33
_COMPRESSED: Final = frozenset({".mp3", ".ogg", ".oga", ".opus", ".flac", ".m4a"})
SUFFIXES: Final = frozenset({".wav", *_COMPRESSED})
"""Names of files that are taken for sounds."""

Fault = Literal["missing", "broken", "too_long", "silent", "no_decoder", "no_room"]


@dataclass(frozen=True, slots=True)
class SoundFault:
    """Why the sound ``name`` cannot be played; ``text`` is for whoever has to mend it."""

    name: str
    fault: Fault
    text: str


@dataclass(frozen=True, slots=True)
class Sound:
    """Samples at 8000 Hz, and the same in packets of 20 ms for each codec; the last one is filled with silence."""

    samples: "array[int]"
    payloads: Mapping[str, tuple[bytes, ...]]

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE

    @property
    def octets(self) -> int:
        """Memory it takes: samples, and payloads with what Python adds to each."""
        packets = sum(map(len, self.payloads.values()))
        return 2 * len(self.samples) + packets * (FRAME + 33 + 8)


class SoundLibrary:
    """Sounds by name. ``most_seconds`` bounds each, ``most_octets`` all of them together.

    A sound replaced or removed plays on where it is being played.
    """

    __slots__ = ("_most_octets", "_most_seconds", "_sounds", "octets")

    def __init__(self, most_seconds: float = MOST_SECONDS, most_octets: int = MOST_OCTETS) -> None:
        self._most_seconds = most_seconds
        self._most_octets = most_octets
        self._sounds: dict[str, Sound] = {}
        #: Memory taken.
        self.octets = 0

    def load(self, name: str, path: Path) -> SoundFault | None:
        """Read ``path`` as ``name``; a fault leaves what was there before. Slow: not from within an event loop."""
        samples = read_sound(name, path, self._most_seconds)
        return samples if isinstance(samples, SoundFault) else self.add(name, samples)

    def load_folder(self, folder: Path) -> list[SoundFault]:
        """Read every sound in ``folder`` and below it; ``de/hold.wav`` is named "de/hold"."""
        try:
            paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        except OSError as error:
            return [SoundFault(folder.name, "missing", f"{folder} cannot be read: {error.strerror}")]
        if not paths:
            return [SoundFault(folder.name, "missing", f"{folder}: no sounds there; `make sounds` makes them")]
        faults = (self.load(path.relative_to(folder).with_suffix("").as_posix(), path) for path in paths)
        return [fault for fault in faults if fault is not None]

    def add(self, name: str, samples: "array[int]") -> SoundFault | None:
        """Keep samples at 8000 Hz as ``name``, converted into every codec."""
        sound = Sound(samples, {codec: _payloads(encode, samples) for codec, encode in CODECS.items()})
        before = self._sounds.get(name)
        octets = self.octets + sound.octets - (before.octets if before else 0)
        if octets > self._most_octets:
            return SoundFault(name, "no_room", f"{name}: sounds take more than {self._most_octets >> 20} MiB")
        self._sounds[name] = sound
        self.octets = octets
        return None

    def add_tones(self) -> None:
        """Add the tones of ``signal_tones``, for when there is nothing better."""
        for name, samples in signal_tones().items():
            self.add(name, samples)

    def remove(self, name: str) -> None:
        """Forget ``name``; nothing happens when it is unknown."""
        sound = self._sounds.pop(name, None)
        if sound is not None:
            self.octets -= sound.octets

    def payloads(self, name: str, codec: str) -> tuple[bytes, ...]:
        """The packets of ``name`` in ``codec``; none when either is unknown."""
        sound = self._sounds.get(name)
        return () if sound is None else sound.payloads.get(codec, ())

    def seconds(self, name: str) -> float:
        """How long ``name`` is; 0.0 when it is unknown."""
        sound = self._sounds.get(name)
        return 0.0 if sound is None else sound.seconds

    def missing(self, names: Iterable[str]) -> list[SoundFault]:
        """What of ``names`` is not there, for whoever checks a configuration."""
        unknown = [name for name in dict.fromkeys(names) if name not in self._sounds]
        return [SoundFault(name, "missing", f"{name}: no such sound") for name in unknown]

    def __contains__(self, name: str) -> bool:
        return name in self._sounds

    def __len__(self) -> int:
        return len(self._sounds)


def read_sound(name: str, path: Path, most_seconds: float = MOST_SECONDS) -> "array[int] | SoundFault":
    """The samples of a WAV file, or of MP3, Ogg and the like through PyAV; at 8000 Hz."""
    try:
        if path.suffix.lower() in _COMPRESSED:
            samples = _decode(path, most_seconds)
        else:
            # twice 32 bits at the highest rate: what is larger is too long, whatever it is
            most_octets = int(most_seconds * 96_000 * 8) + 2**16
            if path.stat().st_size > most_octets:
                return SoundFault(name, "too_long", f"{path} is too large for {most_seconds:.0f} s of sound")
            samples = read_wave(path.read_bytes(), most_seconds)
    except FileNotFoundError:
        return SoundFault(name, "missing", f"{path}: no such file")
    except OSError as error:
        return SoundFault(name, "missing", f"{path} cannot be read: {error.strerror or error}")
    except _NoDecoderError:
        return SoundFault(name, "no_decoder", f"{path}: {path.suffix} needs PyAV: pip install 'b2bua[sounds]'")
    except WaveError as error:
        fault: Fault = "too_long" if " s long" in str(error) else "broken"
        return SoundFault(name, fault, f"{path} {error}")
    if not samples:
        return SoundFault(name, "silent", f"{path} has no sound in it")
    if max(max(samples), -min(samples)) < _SILENT:
        return SoundFault(name, "silent", f"{path} is silent")
    return samples


class _NoDecoderError(Exception):
    pass


def _decode(path: Path, most_seconds: float) -> "array[int]":
    """Raises OSError, WaveError or _NoDecoderError."""
    try:
        av = importlib.import_module("av")  # an optional package: only who has such files needs it
    except ImportError:
        raise _NoDecoderError from None
    path.stat()
    samples: array[int] = array("h")
    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
            for frame in container.decode(audio=0):
                for part in resampler.resample(frame):
                    samples.frombytes(bytes(part.planes[0])[: 2 * part.samples])
                if len(samples) > most_seconds * RATE:
                    raise WaveError(f"is more than {most_seconds:.0f} s long")
            for part in resampler.resample(None):
                samples.frombytes(bytes(part.planes[0])[: 2 * part.samples])
    except (av.error.FFmpegError, IndexError, ValueError) as error:
        if isinstance(error, WaveError):
            raise
        raise WaveError("cannot be decoded") from error
    return samples


def _payloads(encode: Callable[["array[int]"], bytes], samples: "array[int]") -> tuple[bytes, ...]:
    filled = samples + array("h", bytes(2 * (-len(samples) % FRAME)))
    octets = encode(filled)
    return tuple(octets[at : at + FRAME] for at in range(0, len(octets), FRAME))


def signal_tones() -> dict[str, "array[int]"]:
    """Tones as a German exchange makes them, 425 Hz (ITU-T E.180 supplement 2), one that says: still here."""
    beep = tone(425, 1.0, RATE, 0.2)
    return {
        "tone/ring": beep + _silence(4.0),
        "tone/busy": beep[: int(0.48 * RATE)] + _silence(0.48),
        "tone/comfort": _faded(tone(425, 0.2, RATE, 0.1)) + _silence(4.8),
        "tone/record": _faded(tone(1000, 0.4, RATE, 0.3)),
    }


def _silence(seconds: float) -> "array[int]":
    return array("h", bytes(2 * round(seconds * RATE)))


def _faded(samples: "array[int]") -> "array[int]":
    """Begun and ended softly: no clicks."""
    count = len(samples)
    return array("h", [int(sample * math.sin(math.pi * at / count)) for at, sample in enumerate(samples)])
