"""Makes the announcements and the hold music, so that the repository needs no recordings: `make sounds`.

Words are spoken by espeak-ng (apt install espeak-ng), in German and English; where it is missing, a chime stands for
each sentence, and the names are the same. Music is calculated. All of it is 8000 Hz, 16 bits, one channel.

    python examples/make_sounds.py var/sounds
    python examples/make_sounds.py var/sounds --say "de/whisper/meier=Praxis Doktor Meier"
"""

import argparse
import math
import shutil
import subprocess
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path

from b2bua.call.prompts import MINUTES, POSITIONS
from media.sounds import signal_tones
from media.tones import tone
from media.wave_file import RATE, read_wave, write_wave

VOICES = {"de": "de", "en": "en-gb"}
#: Words a minute: slower than espeak-ng's own 175, since telephones swallow consonants.
SPEED = 150
#: Of full scale: loud enough beside speech, and no clipping in anybody's telephone.
PEAK = 0.5
LONGEST = 60.0

#: name -> (German, English)
SENTENCES: dict[str, tuple[str, str]] = {
    "welcome": ("Guten Tag. Sie werden gleich verbunden.", "Hello. You will be connected in a moment."),
    "hold": ("Bitte haben Sie einen Moment Geduld.", "Please hold the line."),
    "still": (
        "Es sind noch alle Plätze besetzt. Bitte bleiben Sie am Apparat.",
        "All our agents are still busy. Please stay on the line.",
    ),
    "next": ("Sie sind als Nächstes an der Reihe.", "You are next in line."),
    "position/many": ("Vor Ihnen warten mehr als zwanzig Anrufer.", "More than twenty callers are ahead of you."),
    "wait/1": (
        "Die Wartezeit beträgt voraussichtlich weniger als eine Minute.",
        "Your expected wait is less than one minute.",
    ),
    "wait/long": (
        "Die Wartezeit beträgt voraussichtlich mehr als dreißig Minuten.",
        "Your expected wait is more than thirty minutes.",
    ),
    "leave/message": (
        "Um eine Nachricht zu hinterlassen, drücken Sie die Eins.",
        "To leave a message, press 1.",
    ),
    "leave/callback": ("Für einen Rückruf drücken Sie die Zwei.", "To be called back, press 2."),
    "leave/other": (
        "Um mit jemand anderem verbunden zu werden, drücken Sie die Drei.",
        "To be connected to somebody else, press 3.",
    ),
    "voicemail/record": (
        "Bitte sprechen Sie nach dem Ton. Zum Beenden drücken Sie die Raute-Taste.",
        "Please speak after the tone. Press the hash key when you are done.",
    ),
    "voicemail/thanks": ("Vielen Dank. Ihre Nachricht wurde gespeichert.", "Thank you. Your message has been saved."),
    "callback/thanks": ("Vielen Dank. Wir rufen Sie zurück.", "Thank you. We will call you back."),
    "closed": (
        "Sie rufen außerhalb unserer Geschäftszeiten an.",
        "You are calling outside our business hours.",
    ),
    "busy": (
        "Leider sind alle Plätze besetzt. Bitte rufen Sie später noch einmal an.",
        "All our agents are busy. Please call again later.",
    ),
    "goodbye": ("Auf Wiederhören.", "Goodbye."),
    "forwarding/on": ("Die Rufumleitung ist eingeschaltet.", "Call forwarding is on."),
    "forwarding/off": ("Die Rufumleitung ist ausgeschaltet.", "Call forwarding is off."),
    "forwarding/wrong": ("Die Eingabe war nicht richtig.", "That code is not correct."),
    # the other digits are among the numbers
    "number/0": ("null", "zero"),
    "agent/available": ("Sie sind angemeldet.", "You are logged in."),
    "agent/break": ("Sie sind in der Pause.", "You are on a break."),
    "agent/out": ("Sie sind abgemeldet.", "You are logged out."),
    "whisper/call": ("Anruf für", "Call for"),
}


def sentences() -> Iterator[tuple[str, str, str]]:
    """(name, language, text) of everything that is spoken."""
    for name, (german, english) in SENTENCES.items():
        yield f"de/{name}", "de", german
        yield f"en/{name}", "en", english
    for number in POSITIONS:
        yield f"de/position/{number}", "de", f"Sie sind Anrufer Nummer {number}."
        yield f"en/position/{number}", "en", f"You are caller number {number}."
        yield f"de/number/{number}", "de", str(number)
        yield f"en/number/{number}", "en", str(number)
    for minutes in MINUTES[1:]:
        yield f"de/wait/{minutes}", "de", f"Die Wartezeit beträgt voraussichtlich {minutes} Minuten."
        yield f"en/wait/{minutes}", "en", f"Your expected wait is {minutes} minutes."


def spoken(program: str, language: str, text: str) -> "array[int]":
    """``text`` as espeak-ng says it, at our level, with a short breath behind it."""
    command = [program, "-v", VOICES[language], "-s", str(SPEED), "--stdout", "--", text]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    if done.returncode:
        raise SystemExit(f"espeak-ng fails: {done.stderr.decode(errors='replace').strip()}")
    samples = read_wave(done.stdout, LONGEST)
    peak = max(1, max(samples, default=0), -min(samples, default=0))
    factor = PEAK * 32767 / peak
    return array("h", [int(sample * factor) for sample in samples]) + array("h", bytes(RATE // 5 * 2))


def chime() -> "array[int]":
    """What stands for a sentence where nobody can speak it."""
    return _struck(659.3, 0.6, PEAK / 2) + _struck(523.3, 0.9, PEAK / 2)


def music(bars: int = 8) -> "array[int]":
    """Broken chords without a beginning or an end: it loops without a seam."""
    chords = ((261.6, 329.6, 392.0), (220.0, 261.6, 329.6), (174.6, 220.0, 261.6), (196.0, 246.9, 293.7))
    step = RATE * 3 // 8
    length = bars * 8 * step
    mixed = [0.0] * length
    for bar in range(bars):
        low, middle, high = chords[bar % len(chords)]
        for at, frequency in enumerate((low, middle, high, 2 * low, 2 * middle, 2 * low, high, middle)):
            start = (bar * 8 + at) * step
            for offset, sample in enumerate(_struck(2 * frequency, 1.5, PEAK / 4)):
                mixed[(start + offset) % length] += sample
    return array("h", [max(-32768, min(32767, int(sample))) for sample in mixed])


def _struck(frequency: float, seconds: float, amplitude: float) -> "array[int]":
    """A note as of a bell: begins softly within 10 ms, dies away."""
    samples = tone(frequency, seconds, RATE, amplitude)
    rise, count = RATE // 100, len(samples)
    return array(
        "h",
        [
            int(sample * min(1.0, at / rise) * math.exp(-4.0 * at / count) * (1 - at / count))
            for at, sample in enumerate(samples)
        ],
    )


def write(folder: Path, name: str, samples: "array[int]") -> None:
    """One file; its folders are made."""
    path = folder / f"{name}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(write_wave(samples))


def main() -> None:
    """Make everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the sounds go")
    parser.add_argument(
        "--say", action="append", default=[], metavar="NAME=TEXT", help="one more; begins with de/ or en/"
    )
    arguments = parser.parse_args()
    program = shutil.which("espeak-ng")
    wanted = list(sentences())
    for extra in arguments.say:
        name, equals, text = extra.partition("=")
        language = name.partition("/")[0]
        if not equals or language not in VOICES or ".." in name:
            parser.error(f"--say {extra}: wanted is NAME=TEXT, the name beginning with {' or '.join(VOICES)}")
        wanted.append((name, language, text))
    stand_in = None if program else chime()
    for name, language, text in wanted:
        write(arguments.folder, name, stand_in or spoken(program or "", language, text))
    for name, samples in signal_tones().items():
        write(arguments.folder, name, samples)
    write(arguments.folder, "music/hold", music())
    print(f"{len(wanted)} announcements, hold music and tones are in {arguments.folder}")
    if program is None:
        print("espeak-ng is missing (apt install espeak-ng): chimes stand for words", file=sys.stderr)


if __name__ == "__main__":
    main()
