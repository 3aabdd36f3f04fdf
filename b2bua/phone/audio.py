"""The sound of the built-in user agent: a tone or a file goes out, what comes in is kept and named."""

import asyncio
import itertools
import socket
import wave
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from media.g711 import alaw_decode, alaw_encode, ulaw_decode, ulaw_encode
from media.rtp import build_packet, is_rtp
from media.tones import dominant_frequency, tone

#: 16-bit samples at 8000 Hz.
Frame: TypeAlias = "array[int]"

#: One RTP packet of G.711: 20 ms at 8000 Hz (RFC 3551 section 4.5.14).
FRAME_SAMPLES = 160
RATE = 8000

#: Payload types of G.711 (RFC 3551 table 4).
PCMU, PCMA = 0, 8
#: Keep a minute of what was heard; a longer call is judged by its end.
_MAX_SAMPLES = 60 * RATE


class SoundError(Exception):
    """A sound file cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What the user agent heard: packets, seconds of sound, and the loudest frequency in Hz (0: silence)."""

    packets: int
    seconds: float
    frequency: int


def tone_frames(frequency: int) -> Iterator[Frame]:
    """A sine tone without end (0 Hz: silence)."""
    second = tone(frequency, 1.0, RATE) if frequency else array("h", bytes(2 * RATE))
    frames = [second[start : start + FRAME_SAMPLES] for start in range(0, RATE, FRAME_SAMPLES)]
    return itertools.cycle(frames)


def file_frames(path: Path) -> Iterator[Frame]:
    """A WAV file, then silence. Raises SoundError."""
    try:
        with wave.open(str(path), "rb") as sound:
            if (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) != (1, 2, RATE):
                raise SoundError(f"{path}: wanted is a WAV file with one channel, 16 bits, {RATE} Hz")
            samples = array("h", sound.readframes(sound.getnframes()))
    except (OSError, wave.Error, EOFError) as error:
        raise SoundError(f"{path} cannot be read: {error}") from error
    padding = -len(samples) % FRAME_SAMPLES
    samples.extend([0] * padding)
    frames = [samples[start : start + FRAME_SAMPLES] for start in range(0, len(samples), FRAME_SAMPLES)]
    silence = array("h", bytes(2 * FRAME_SAMPLES))
    return itertools.chain(frames, itertools.repeat(silence))


def write_wave(path: Path, samples: "array[int]") -> None:
    """Keep what was heard."""
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes(samples.tobytes())


class Speaker:
    """Sends frames of 16-bit samples as G.711 every 20 ms and collects what the peer sends."""

    def __init__(self, host: str, frames: Iterator[Frame], ssrc: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind((host, 0))
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        self._frames = frames
        self._ssrc = ssrc
        self._remote: tuple[str, int] | None = None
        self._payload_type = PCMU
        self._task: asyncio.Task[None] | None = None
        self._packets = 0
        #: the last minute of what was heard
        self.samples: Frame = array("h")
        self.sent = 0

    def start(self, remote: tuple[str, int] | None, payload_type: int = PCMU) -> None:
        """Listen from now on, and speak to ``remote`` if there is one; call again when it changes."""
        self._remote = remote
        self._payload_type = payload_type
        if self._task is None:
            asyncio.get_running_loop().add_reader(self._socket, self._receive)
            self._task = asyncio.create_task(self._speak(), name="speaker")

    async def _speak(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        for number, frame in enumerate(self._frames):
            if self._remote is not None:
                # RFC 3550 5.1: the timestamp runs on through a hold, the sequence number counts what was sent
                encode = alaw_encode if self._payload_type == PCMA else ulaw_encode
                sound = encode(frame)
                packet = build_packet(self._payload_type, self.sent, number * FRAME_SAMPLES, self._ssrc, sound)
                try:
                    self._socket.sendto(packet, self._remote)
                    self.sent += 1
                except (BlockingIOError, ConnectionError):
                    pass  # a lost packet, as on any network; the next one follows in 20 ms
            due += 0.02
            await asyncio.sleep(max(0.0, due - loop.time()))

    def _receive(self) -> None:
        for _ in range(32):
            try:
                packet = self._socket.recv(2048)
            except (BlockingIOError, ConnectionError):
                return
            if not is_rtp(packet):
                continue
            self._packets += 1
            payload_type = packet[1] & 0x7F
            if payload_type == PCMU:
                self.samples.extend(ulaw_decode(packet[12:]))
            elif payload_type == PCMA:
                self.samples.extend(alaw_decode(packet[12:]))
            if len(self.samples) > _MAX_SAMPLES:
                del self.samples[: len(self.samples) - _MAX_SAMPLES]

    def heard(self) -> Heard:
        """What came in so far; the frequency is that of the last second."""
        samples = self.samples
        frequency, share = dominant_frequency(samples[-RATE:], RATE) if samples else (0.0, 0.0)
        return Heard(self._packets, len(samples) / RATE, round(frequency) if share > 0.5 else 0)

    def close(self) -> None:
        """Fall silent."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
            asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
