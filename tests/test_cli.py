"""The commands, as they are typed."""

import csv
import io
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from accounting.journal import CallEnded, Item, Ledger
from accounting.store import open_engine, write_batch
from b2bua.call.prompts import sounds_of
from b2bua.cli import app
from media.tones import tone
from media.wave_file import RATE, write_wave
from routing.business import read_business

ROOT = Path(__file__).parent.parent
runner = CliRunner()
SECOND = 1_000_000_000
#: 2026-07-01 12:00 in Berlin
NOON = 1_782_900_000 * SECOND


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The examples in a folder of their own, which is the working directory."""
    for name in ("b2bua.toml", "contracts.toml"):
        (tmp_path / name).write_text((ROOT / "examples" / name).read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    business = read_business((tmp_path / "contracts.toml").read_text(encoding="utf-8"), "contracts.toml", "")
    for name in {name for contract in business.contracts for name in sounds_of(contract)}:
        sound = tmp_path / "sounds" / f"{name}.wav"
        sound.parent.mkdir(parents=True, exist_ok=True)
        sound.write_bytes(write_wave(tone(425, 0.1, RATE)))
    return tmp_path


def b2bua(*arguments: str) -> Result:
    """Run a command."""
    return runner.invoke(app, list(arguments))


def test_every_command_teaches_itself() -> None:
    shown = b2bua("--help")
    for command in (
        "run",
        "check",
        "explain",
        "import",
        "export",
        "calls",
        "statement",
        "call",
        "answer",
        "forwarding",
    ):
        assert command in shown.output
        assert b2bua(command, "--help").exit_code == 0


def test_the_examples_have_no_faults(folder: Path) -> None:
    checked = b2bua("check", "contracts.toml")
    assert checked.exit_code == 0, checked.output


def test_a_sound_that_is_not_there_is_a_fault_at_its_contract(folder: Path) -> None:
    (folder / "sounds" / "de" / "still.wav").unlink()
    (folder / "sounds" / "music" / "hold.wav").write_bytes(b"RIFF")
    checked = b2bua("check", "contracts.toml")
    assert checked.exit_code == 1
    line = 1 + (folder / "contracts.toml").read_text(encoding="utf-8").split("autohaus-herbst")[0].count("\n")
    faults = checked.output.splitlines()
    assert faults[0].startswith("sounds/music/hold.wav ")
    assert [fault.split(" put a file")[0] for fault in faults[1:]] == [
        f"contracts.toml:{line - 1}: contract autohaus-herbst: there is no sound 'music/hold':",
        f"contracts.toml:{line - 1}: contract autohaus-herbst: there is no sound 'de/still':",
    ]


def test_without_a_folder_check_says_which_key_names_it(folder: Path) -> None:
    config = folder / "b2bua.toml"
    config.write_text(config.read_text(encoding="utf-8").replace("[sounds]", "").replace('folder = "sounds"', ""))
    checked = b2bua("check", "contracts.toml")
    assert checked.exit_code == 1
    assert all("[sounds] folder = ... in b2bua.toml" in fault for fault in checked.output.splitlines())


def test_a_mobile_without_a_trunk_that_takes_calls_is_a_fault_at_its_line(folder: Path) -> None:
    config = folder / "b2bua.toml"
    lines = config.read_text(encoding="utf-8").splitlines()
    config.write_text("\n".join(line for line in lines if not line.startswith("proxy =")), encoding="utf-8")
    checked = b2bua("check", "contracts.toml")
    assert checked.exit_code == 1
    line = 1 + (folder / "contracts.toml").read_text(encoding="utf-8").split('number = "+491713920013"')[0].count("\n")
    (fault,) = checked.output.splitlines()
    assert fault.startswith(f"contracts.toml:{line}: agent ben is called at +491713920013, but no trunk takes calls")


def test_voicemail_without_a_folder_is_a_fault_at_each_contract_that_has_it(folder: Path) -> None:
    config = folder / "b2bua.toml"
    config.write_text(config.read_text(encoding="utf-8").replace('folder = "voicemail"', ""), encoding="utf-8")
    checked = b2bua("check", "contracts.toml")
    assert checked.exit_code == 1
    line = (folder / "contracts.toml").read_text(encoding="utf-8").split('"autohaus-herbst"')[0].count("\n")
    (fault,) = checked.output.splitlines()
    assert fault.startswith(f"contracts.toml:{line}: contract autohaus-herbst has voicemail")
    assert "set folder in [voicemail]" in fault


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_password_file_that_cannot_be_read_is_a_fault(folder: Path, content: bytes | None) -> None:
    if content is not None:
        (folder / "mail.password").write_bytes(content)
    text = (folder / "b2bua.toml").read_text(encoding="utf-8")
    lines = [line.removeprefix("# ") for line in text.splitlines()]
    begin = next(index for index, line in enumerate(lines) if line.startswith("[mail]"))
    end = next(index for index, line in enumerate(lines) if line.startswith("[database]"))
    commented = text.splitlines()
    (folder / "b2bua.toml").write_text("\n".join([*commented[:begin], *lines[begin:end], *commented[end:]]))
    checked = b2bua("check", "contracts.toml")
    assert checked.exit_code == 1
    (fault,) = checked.output.splitlines()
    assert fault.startswith("b2bua.toml: mail.password_file mail.password ")
    (folder / "mail.password").write_text("secret\n")
    assert b2bua("check", "contracts.toml").exit_code == 0


def test_check_finds_every_fault_with_its_line(folder: Path) -> None:
    config = folder / "b2bua.toml"
    text = config.read_text(encoding="utf-8")
    text = text.replace('transport = "tcp"', 'transport = "pigeon"').replace("port_min = 30000", "port_min = 80")
    config.write_text(text, encoding="utf-8")
    contracts = folder / "contracts.toml"
    contracts.write_text(
        contracts.read_text(encoding="utf-8").replace('tariff = "minute-2025"', 'tariff = "none"', 1), encoding="utf-8"
    )
    checked = b2bua("check", "contracts.toml")
    assert checked.exit_code == 1
    lines = checked.output.splitlines()
    number = next(index for index, line in enumerate(text.splitlines(), 1) if "pigeon" in line)
    assert any(line.startswith(f"b2bua.toml:{number}:") for line in lines)
    number = next(index for index, line in enumerate(text.splitlines(), 1) if "port_min = 80" in line)
    assert any(line.startswith(f"b2bua.toml:{number}:") for line in lines)
    assert any(line.startswith("contracts.toml:") and "none" in line for line in lines)


def test_broken_toml_is_told_with_its_line(folder: Path) -> None:
    (folder / "b2bua.toml").write_text('[server]\ndomain = "x\n', encoding="utf-8")
    checked = b2bua("check")
    assert checked.exit_code == 1
    assert checked.output.startswith("b2bua.toml:2:")


def test_a_missing_file_is_no_traceback(folder: Path) -> None:
    for arguments in (
        ("check", "--config", "nowhere.toml"),
        ("run", "--config", "nowhere.toml"),
        ("import", "nothing"),
    ):
        ended = b2bua(*arguments)
        assert ended.exit_code == 1
        assert "cannot be read" in ended.output


def test_import_and_export_are_one(folder: Path) -> None:
    assert b2bua("import", "contracts.toml").exit_code == 0
    first = b2bua("export").output
    assert "example-password" not in first
    (folder / "exported.toml").write_text(first, encoding="utf-8")
    assert b2bua("import", "exported.toml").exit_code == 0
    assert b2bua("export").output == first


def test_a_faulty_import_changes_nothing(folder: Path) -> None:
    b2bua("import", "contracts.toml")
    before = b2bua("export").output
    (folder / "bad.toml").write_text("[[contracts]]\nid = 1\n", encoding="utf-8")
    failed = b2bua("import", "bad.toml")
    assert failed.exit_code == 1
    assert "bad.toml:" in failed.output
    assert b2bua("export").output == before


def test_explain_says_whose_call_it_is_and_why(folder: Path) -> None:
    b2bua("import", "contracts.toml")
    arguments = ("--at", "2026-07-01T14:30", "--forwarded-from", "+4930555", "--kind", "busy")
    shown = b2bua("explain", "0302000101", *arguments)
    assert shown.exit_code == 0
    for text in ("+49302000101", "elektro-sommer", "anna", "ben", "1.19 EUR a minute, increment 1/1", "+4930555"):
        assert text in shown.output
    assert shown.output.index("anna") < shown.output.index("ben")
    assert b2bua("explain", "+49302000199").exit_code == 1
    assert b2bua("explain", "+49302000101", "--at", "yesterday").exit_code == 1


def test_explain_knows_hours_callers_and_kinds(folder: Path) -> None:
    b2bua("import", "contracts.toml")
    call = ("explain", "+49302000103", "--at", "2026-12-24T09:00")
    assert "variant closed: always" in b2bua(*call).output
    assert "Sie sind beim Notdienst" in b2bua(*call, "--kind", "no_answer").output
    assert "the caller is a VIP by +493045050*" in b2bua(*call, "--caller", "0304505012").output
    blocked = b2bua(*call, "--caller", "+49900123")
    assert (blocked.exit_code, "603 declined" in blocked.output) == (1, True)


def _book(folder: Path, *talks: float) -> None:
    items: list[Item] = []
    ledger = Ledger(items.append, NOON, "run")
    for index, seconds in enumerate(talks):
        at = (index + 1) * 100 * SECOND
        end = at + int(seconds * SECOND)
        name = f"call{index}"
        ledger.connected(
            call_id=name, contract="kanzlei-berger", tariff="minute-2025", agent="anna", billable=True, at_ns=at
        )
        ledger.hung_up(call_id=name, at_ns=end, side="caller_hung_up")
        ledger.ended(
            CallEnded(
                name, "trunk:carrier", "kanzlei-berger", "minute-2025", "anna", "+49302000100", "+49302000100",
                "+4940123", "+4930555", "busy", "answered", "caller_hung_up", 200, True, at - SECOND, at, at, end,
            )
        )  # fmt: skip
    engine = open_engine(f"sqlite:///{folder / 'b2bua.db'}")
    with engine.begin() as connection:
        write_batch(connection, items)
    engine.dispose()


def test_the_statement_rounds_up_to_the_full_unit(folder: Path) -> None:
    b2bua("import", "contracts.toml")
    _book(folder, 60.2, 3.0)
    shown = b2bua("statement", "kanzlei-berger", "--month", "2026-07", "--format", "json")
    made = json.loads(shown.output)
    assert [line["billed_seconds"] for line in made["content"]["lines"]] == [120, 60]
    assert made["content"]["calls_net"] == "2.97"
    rows = list(
        csv.DictReader(
            io.StringIO(b2bua("statement", "kanzlei-berger", "--month", "2026-07", "--format", "csv").output)
        )
    )
    assert {row["call_id"]: row["amount"] for row in rows}["total"] == "2.97"
    table = b2bua("statement", "kanzlei-berger", "--month", "2026-07", "--language", "en").output
    assert "€2.97" in table
    assert "120 s" in table
    b2bua("statement", "kanzlei-berger", "--month", "2026-07", "--format", "csv", "--output", "statement.csv")
    assert (folder / "statement.csv").read_bytes().count(b"\r\n") == 8
    assert b2bua("statement", "kanzlei-berger", "--month", "July").exit_code == 1


def test_calls_are_listed_newest_first(folder: Path) -> None:
    b2bua("import", "contracts.toml")
    _book(folder, 60.2, 3.0)
    shown = b2bua("calls")
    assert shown.output.index("3.0 s") < shown.output.index("60.2 s")
    as_json = [json.loads(line) for line in b2bua("calls", "--json", "--limit", "1").output.splitlines()]
    assert [call["call_id"] for call in as_json] == ["call1"]
    assert "0 calls" in b2bua("calls", "--contract", "nobody").output


def test_an_unreachable_database_says_so_without_its_password(folder: Path) -> None:
    config = folder / "b2bua.toml"
    text = config.read_text(encoding="utf-8")
    url = "postgresql://b2bua:topsecret@127.0.0.1:1/nothing"
    config.write_text(text.replace("sqlite:///b2bua.db", url), encoding="utf-8")
    ended = b2bua("calls")
    assert ended.exit_code == 1
    assert "cannot be reached" in ended.output
    assert "topsecret" not in ended.output
    config.write_text(text.replace("sqlite:///b2bua.db", "what is this"), encoding="utf-8")
    ended = b2bua("calls")
    assert ended.exit_code == 1
    assert "sqlite:///FILE" in ended.output


# -- the journal -----------------------------------------------------------------------------------------


def _statement(folder: Path) -> list[dict[str, object]]:
    shown = b2bua("statement", "kanzlei-berger", "--month", "2026-07", "--format", "json")
    assert shown.exit_code == 0, shown.output
    lines: list[dict[str, object]] = json.loads(shown.output)["content"]["lines"]
    return lines


def test_a_correction_is_another_record_and_survives_a_rebuild(folder: Path) -> None:
    b2bua("import", "contracts.toml")
    _book(folder, 65.0, 10.0, 20.0)
    first = b2bua("accounting", "correct", "call0", "--talked", "59.5", "--reason", "line was dead at the end")
    assert first.exit_code == 0, first.output
    assert b2bua("accounting", "correct", "call1", "--not-billable", "--reason", "our own test").exit_code == 0
    corrected = [(line["call_id"], line["billed_seconds"]) for line in _statement(folder)]
    assert corrected == [("call0", 60), ("call2", 60)]
    rebuilt = b2bua("accounting", "rebuild")
    assert rebuilt.exit_code == 0
    assert "12 records read" in rebuilt.output  # the import has declared its tariffs
    assert [(line["call_id"], line["billed_seconds"]) for line in _statement(folder)] == corrected


def test_a_correction_says_what_it_needs(folder: Path) -> None:
    b2bua("import", "contracts.toml")
    _book(folder, 65.0)
    assert "nothing to correct" in b2bua("accounting", "correct", "call0", "--reason", "x").output
    assert "needs a reason" in b2bua("accounting", "correct", "call0", "--reason", " ", "--billable").output
    assert "no number" in b2bua("accounting", "correct", "call0", "--reason", "x", "--talked", "a minute").output
    assert "no call" in b2bua("accounting", "correct", "call9", "--reason", "x", "--billable").output
