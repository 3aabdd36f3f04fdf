"""What the back office tells a customer about forwarding."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from accounting.journal import CallEnded, Item, Ledger
from accounting.store import open_engine, write_batch
from b2bua.cli import app

ROOT = Path(__file__).parent.parent
runner = CliRunner()
SECOND = 1_000_000_000
#: 2026-07-01 12:00 in Berlin
NOON = 1_782_900_000 * SECOND


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The examples, imported, in a folder of their own."""
    for name in ("b2bua.toml", "contracts.toml"):
        (tmp_path / name).write_text((ROOT / "examples" / name).read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert b2bua("import", "contracts.toml").exit_code == 0
    return tmp_path


def b2bua(*arguments: str) -> Result:
    return runner.invoke(app, list(arguments))


def forwarded(name: str, minutes: int, line: str, kind: str) -> CallEnded:
    at = minutes * 60 * SECOND
    return CallEnded(
        name, "trunk:carrier", "kanzlei-berger", "minute-2025", "", "+49302000100", "+49302000100", "+4940123", line,
        kind, "abandoned", "caller_cancelled", 487, True, at, 0, 0, at + SECOND,
    )  # fmt: skip


def test_the_codes_of_all_kinds_are_told_in_every_form(folder: Path) -> None:
    shown = b2bua("forwarding", "kanzlei-berger")
    assert shown.exit_code == 0
    for code in (
        "*21*0302000100#", "*67*0049302000100#", "*61*0302000100*20#", "**61*+49302000100**20#", "#21#", "##67#",
        "*#61#",
    ):  # fmt: skip
        assert f" {code}" in shown.output
    assert "Noch keine umgeleiteten Anrufe." in shown.output


def test_a_number_of_the_past_is_not_offered_any_more(folder: Path) -> None:
    text = (folder / "contracts.toml").read_text(encoding="utf-8")
    (folder / "past.toml").write_text(
        text.replace("valid_from = 2025-07-01, valid_until = 2027-01-01", "valid_until = 2025-07-01"), encoding="utf-8"
    )
    assert "302000102" in b2bua("forwarding", "kanzlei-berger").output
    b2bua("import", "past.toml")
    assert "302000102" not in b2bua("forwarding", "kanzlei-berger").output


def test_the_lines_that_forwarded_are_listed_by_kind_the_last_first(folder: Path) -> None:
    items: list[Item] = []
    ledger = Ledger(items.append, NOON, "run")
    for name, minutes, line, kind in (
        ("a", 0, "+4930555", "busy"),
        ("b", 5, "+4930555", "no_answer"),
        ("c", 10, "+4930555", "busy"),
        ("d", 20, "", ""),
        ("e", 30, "", "unknown"),
    ):
        ledger.ended(forwarded(name, minutes, line, kind))
    engine = open_engine(f"sqlite:///{folder / 'b2bua.db'}")
    with engine.begin() as connection:
        write_batch(connection, items)
    engine.dispose()
    lines = b2bua("forwarding", "kanzlei-berger").output.partition("Leitungen")[2].splitlines()[1:]
    assert [" ".join(line.split()) for line in lines] == [
        "ohne Angabe unbekannt Anrufe: 1 zuletzt: 2026-07-01 12:30",
        "+4930555 wenn besetzt Anrufe: 2 zuletzt: 2026-07-01 12:10",
        "+4930555 wenn niemand abhebt Anrufe: 1 zuletzt: 2026-07-01 12:05",
    ]


def test_the_page_is_in_the_contracts_language_and_harmless(folder: Path) -> None:
    text = (folder / "contracts.toml").read_text(encoding="utf-8")
    text = text.replace('customer = "Kanzlei Berger"', 'customer = "<script>Berger & Sons</script>"')
    text = text.replace('language = "de"', 'language = "en"')
    (folder / "english.toml").write_text(text, encoding="utf-8")
    b2bua("import", "english.toml")
    assert b2bua("forwarding", "kanzlei-berger", "--html", "page.html").exit_code == 0
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert '<html lang="en">' in page
    assert "Forwarding to us: &lt;script&gt;Berger &amp; Sons&lt;/script&gt;" in page
    assert "<script" not in page
    assert "@page" in page
    assert "<code>*61*0302000100*20#</code>" in page
    assert "when nobody answers" in page


def test_a_contract_that_is_not_there_is_told_with_those_that_are() -> None:
    shown = b2bua("forwarding", "nobody")
    assert shown.exit_code == 1
    assert "kanzlei-berger" in shown.output


@pytest.mark.parametrize(
    ("dialled", "exit_code", "words"),
    [
        ("*21*030 2000100#", 0, "forwards to kanzlei-berger (unconditional)"),
        ("**61*+49302000100**20#", 0, "forwards to kanzlei-berger (no_answer after 20 s)"),
        ("*67*0302000101#", 1, "+49302000101, which is no number of kanzlei-berger"),
        ("#21#", 1, "switches forwarding off"),
        ("*#21#", 1, "changes nothing"),
        ("*21*0302000100", 1, "no forwarding code"),
    ],
)
def test_what_a_customer_dialled_is_judged(dialled: str, exit_code: int, words: str) -> None:
    shown = b2bua("forwarding", "kanzlei-berger", "--dialled", dialled)
    assert (shown.exit_code, words in shown.output) == (exit_code, True), shown.output
