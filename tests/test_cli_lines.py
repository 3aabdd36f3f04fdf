"""Lines of our own at the command line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from b2bua.cli import app

ROOT = Path(__file__).parent.parent
LINE = "+49304505010"
runner = CliRunner()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The examples, imported, in a folder of their own, without a server."""
    config = (ROOT / "examples" / "b2bua.toml").read_text(encoding="utf-8")
    (tmp_path / "b2bua.toml").write_text(config, encoding="utf-8")
    contracts = (ROOT / "examples" / "contracts.toml").read_text(encoding="utf-8")
    (tmp_path / "contracts.toml").write_text(contracts, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("b2bua.cli.lines._phones", lambda web: {"berger-1": 2})
    assert b2bua("import", "contracts.toml").exit_code == 0
    return tmp_path


def b2bua(*arguments: str) -> Result:
    return runner.invoke(app, list(arguments))


def forwarding() -> dict[str, object]:
    (line,) = json.loads(b2bua("lines", LINE, "--json").output)
    found = line["forwarding"]
    assert isinstance(found, dict)
    return found


def test_a_line_is_shown_with_its_phones() -> None:
    (line,) = json.loads(b2bua("lines", "--json").output)
    assert (line["number"], line["username"], line["phones"], line["forwarding"]) == (LINE, "berger-1", 2, {})
    assert LINE in b2bua("lines").output


def test_forwarding_is_set_and_cleared() -> None:
    done = b2bua("lines", LINE, "--set", "busy=0302000100", "--set", "no_answer=+49302000101,30")
    assert done.exit_code == 0
    assert forwarding() == {
        "busy": {"number": "+49302000100", "seconds": 0, "active": True},
        "no_answer": {"number": "+49302000101", "seconds": 30, "active": True},
    }
    b2bua("lines", LINE, "--clear", "busy", "--set", "unconditional=+491713920012")
    assert set(forwarding()) == {"no_answer", "unconditional"}
    b2bua("lines", LINE, "--clear", "all")
    assert forwarding() == {}


def test_the_lines_own_time_is_shown() -> None:
    b2bua("lines", LINE, "--set", "no_answer=+49302000101")
    assert forwarding() == {"no_answer": {"number": "+49302000101", "seconds": 15, "active": True}}


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ((LINE, "--set", "busy=+4990012345"), "may_forward_to"),
        ((LINE, "--set", "often=+49302000100"), "unconditional, busy, no_answer"),
        ((LINE, "--set", "busy"), "KIND=NUMBER"),
        ((LINE, "--set", "busy=hello"), "is no number"),
        ((LINE, "--set", "busy=+49302000100,10"), "only no_answer"),
        ((LINE, "--set", "no_answer=+49302000100,90"), "5 to 60"),
        ((LINE, "--set", f"busy={LINE}"), "itself"),
        ((LINE, "--clear", "often"), "all"),
        (("--clear", "all"), "name the line"),
        (("+4930999",), "there is no line"),
    ],
)
def test_what_cannot_be_done_says_why(arguments: tuple[str, ...], hint: str) -> None:
    done = b2bua("lines", *arguments)
    assert done.exit_code == 1
    assert hint in done.output
    assert forwarding() == {}


def test_forwarding_outlives_an_import_and_goes_with_the_line(folder: Path) -> None:
    b2bua("lines", LINE, "--set", "busy=+49302000100")
    b2bua("import", "contracts.toml")
    assert set(forwarding()) == {"busy"}
    text = (folder / "contracts.toml").read_text(encoding="utf-8")
    (folder / "other.toml").write_text(text.replace(LINE, "+49304505011"), encoding="utf-8")
    b2bua("import", "other.toml")
    b2bua("import", "contracts.toml")
    assert forwarding() == {}


def test_a_call_to_a_line_is_explained() -> None:
    assert b2bua("explain", "030 4505010").output.splitlines()[1] == "not forwarded"
    b2bua("lines", LINE, "--set", "busy=+49302000100", "--set", "no_answer=+491713920012")
    told = b2bua("explain", "0304505010")
    assert told.exit_code == 0
    assert told.output.splitlines() == [
        f"{LINE} is a line of ours: Kanzlei Berger, Empfang, whose phones register as berger-1",
        "forwarded when busy to +49302000100 (contract kanzlei-berger)",
        "forwarded when nobody answers, after 15 s to +491713920012 (over the trunk)",
    ]


def test_lines_are_exported(folder: Path) -> None:
    assert b2bua("export", "out.toml").exit_code == 0
    exported = (folder / "out.toml").read_text(encoding="utf-8")
    assert "[[lines]]" in exported
    assert "example-password-berger-1" not in exported
    assert b2bua("import", "out.toml").exit_code == 0
    b2bua("export", "again.toml")
    assert (folder / "again.toml").read_text(encoding="utf-8") == exported
