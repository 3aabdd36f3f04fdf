"""The announcements are made by a script: the same names in both languages, loud enough, and music without a seam."""

import itertools
import shutil
from pathlib import Path

import pytest

from examples import make_sounds
from media.sounds import SoundLibrary
from media.tones import dominant_frequency


def test_every_sentence_is_there_in_both_languages_and_once() -> None:
    names = [name for name, _, _ in make_sounds.sentences()]
    assert len(names) == len(set(names))
    german = {name[3:] for name in names if name.startswith("de/")}
    assert german == {name[3:] for name in names if name.startswith("en/")}
    assert {"hold", "leave/message", *(f"position/{number}" for number in range(1, 21))} <= german


def test_music_is_heard_and_loops_without_a_seam() -> None:
    samples = make_sounds.music(bars=1)
    steps = [abs(after - before) for before, after in itertools.pairwise(samples)]
    assert abs(samples[0] - samples[-1]) <= max(steps)
    assert 3000 < max(samples) < 32767
    assert len(samples) % 160 == 0  # the last packet is filled by nothing


def test_without_a_voice_there_is_a_chime_for_each_and_all_of_it_can_be_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: None)
    monkeypatch.setattr(make_sounds, "music", lambda: make_sounds.chime())
    monkeypatch.setattr("sys.argv", ["make_sounds", str(tmp_path), "--say", "de/whisper/meier=Praxis Meier"])
    make_sounds.main()
    assert "apt install espeak-ng" in capsys.readouterr().err
    library = SoundLibrary()
    assert library.load_folder(tmp_path) == []
    assert not library.missing(
        ["de/hold", "en/position/20", "de/whisper/meier", "tone/ring", "music/hold", "en/whisper/call"]
    )


@pytest.mark.parametrize("extra", ["no equals", "fr/hold=Bonjour", "de/../../hold=Hallo"])
def test_wrong_names_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: str) -> None:
    monkeypatch.setattr("sys.argv", ["make_sounds", str(tmp_path), "--say", extra])
    with pytest.raises(SystemExit):
        make_sounds.main()
    assert not list(tmp_path.iterdir())


def test_a_spoken_sentence_is_as_loud_as_the_others() -> None:
    program = shutil.which("espeak-ng")
    if program is None:
        pytest.skip("espeak-ng is not installed")
    for language, text in (("de", "Bitte warten."), ("en", "Please wait a moment, and do not hang up.")):
        samples = make_sounds.spoken(program, language, text)
        assert max(max(samples), -min(samples)) == pytest.approx(16383, abs=2)
        assert 4000 < len(samples) < 40_000
        assert dominant_frequency(samples[2000:6000])[0] > 0
