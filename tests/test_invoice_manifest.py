"""The manifest of an invoice run: what is finished, and nothing that is not."""

from pathlib import Path

import pytest

from b2bua.statements.manifest import NAME, Manifest, ManifestError, write_whole

RUN = {"month": "2026-07", "formats": ["pdf"], "language": "", "draft": False, "began": "now"}


def test_what_was_added_is_there_the_next_time(tmp_path: Path) -> None:
    with Manifest(tmp_path / "new" / "folder", RUN) as manifest:
        manifest.add({"contract": "c-1", "number": "1"})
        manifest.add({"contract": "c-1", "number": "2"})
        manifest.add({"datev": "file"})
    with Manifest(tmp_path / "new" / "folder", {**RUN, "began": "later"}) as manifest:
        assert manifest.run["began"] == "now"
        assert len(manifest.entries) == 3
        assert manifest.done() == {"c-1": {"contract": "c-1", "number": "2"}}


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    with Manifest(tmp_path, RUN), pytest.raises(ManifestError, match="an invoice run is at work"):
        Manifest(tmp_path, RUN)
    Manifest(tmp_path, RUN).__exit__(None, None, None)


@pytest.mark.parametrize("cut", range(1, 40, 7))
def test_the_last_line_may_be_torn(tmp_path: Path, cut: int) -> None:
    with Manifest(tmp_path, RUN) as manifest:
        manifest.add({"contract": "c-1", "number": "1"})
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes()[:-cut])
    with Manifest(tmp_path, RUN) as manifest:
        assert manifest.entries == []
        manifest.add({"contract": "c-2", "number": "1"})
    with Manifest(tmp_path, RUN) as manifest:
        assert list(manifest.done()) == ["c-2"]


@pytest.mark.parametrize("text", ["no json\n", "[1]\n", '{"month": "2026-07"}\n{\n'])
def test_what_somebody_else_wrote_is_no_manifest(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(ManifestError, match="is damaged: choose another folder"):
        Manifest(tmp_path, RUN)


def test_another_run_is_refused(tmp_path: Path) -> None:
    Manifest(tmp_path, RUN).__exit__(None, None, None)
    with pytest.raises(ManifestError, match="has a run with month 2026-07, draft False"):
        Manifest(tmp_path, {**RUN, "month": "2026-08", "draft": True})


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", b"one")
    write_whole(tmp_path / "a", b"two")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"two"}
