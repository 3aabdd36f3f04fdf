"""``b2bua statement``, as the back office types it, and its files, as customers check them."""

import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from accounting.journal import Item, Ledger
from accounting.statement_file import read_statement
from accounting.store import open_engine, write_batch
from tests.accounting.ledger import ANCHOR, SECOND
from tests.back_office import Call, b2bua, book, furnish

DAY = 86_400
FORMATS = ("json", "html", "pdf")


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One customer with a hard name, two paid calls of July 2025, a test call and one that reached nobody."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    furnish(tmp_path, [("c-1", "Praxis Dr. Müller-Łukasiewicz <b>& Sohn</b>", "de"), ("c-2", "Smith Ltd", "en-GB")])
    book(
        tmp_path,
        Call("one", 9 * 3600, 60.2),
        Call("two", 2 * DAY, 1200.0, caller=""),
        Call("test", 3 * DAY, 5.0, billable=False),
        Call("nobody", 4 * DAY, 20.0, result="abandoned"),
    )
    (tmp_path / "public.pem").write_text(b2bua("accounting", "public-key").stdout)
    return tmp_path


def issue(style: str, *options: str, contract: str = "c-1") -> Path:
    """The file that comes of it."""
    path = Path(f"{contract}.{style}")
    done = b2bua("statement", contract, "--month", "2025-07", "--issue", "--format", style, "-o", str(path), *options)
    assert done.exit_code == 0, done.output
    return path


def audit(path: Path) -> tuple[int, str]:
    done = b2bua("audit", "--public-key", "public.pem", "--statement", str(path))
    return done.exit_code, done.output


def test_a_statement_is_for_people_in_their_language(office: Path) -> None:
    shown = b2bua("statement", "c-1", "--month", "2025-07").output
    shown = shown.replace("\N{NO-BREAK SPACE}", " ")
    for text in (
        "Abrechnung c-1 2025-07 (Entwurf)", "01.07.2025", "60,2 s", "120 s", "keine Antwort", "anonym", "1.320 s",
        "19,58 €", "Umsatzsteuer 19 % auf 39,48 €", "Gesamtbetrag: 46,98 €", "Ein Testanruf kostet nichts",
        "Grundgebühr: 19,90 €",
    ):  # fmt: skip
        assert text in shown
    shown = b2bua("statement", "c-1", "--month", "2025-07", "--language", "en").output
    for text in ("Statement c-1 2025-07 (Draft)", "01 Jul 2025", "60.2 s", "1,320 s", "VAT 19% on €39.48", "€46.98"):
        assert text in shown
    assert "Total: €23.68" in b2bua("statement", "c-2", "--month", "2025-07").output


def test_all_formats_hold_one_content(office: Path) -> None:
    paths = [issue(style) for style in FORMATS]
    first, *others = [read_statement(path) for path in paths]
    assert first.content["number"] == "2025-07-c-1-1"
    assert first.content["customer"] == "Praxis Dr. Müller-Łukasiewicz <b>& Sohn</b>"
    assert [line["units"] for line in first.content["lines"]] == [2, 20]
    for other in others:
        assert (other.content, other.checkpoint) == (first.content, first.checkpoint)


@pytest.mark.parametrize("style", FORMATS)
@pytest.mark.parametrize("language", ["de", "en"])
def test_what_was_issued_is_verified(office: Path, style: str, language: str) -> None:
    code, told = audit(issue(style, "--language", language))
    assert code == 0, told
    assert "statement 2025-07-c-1-1: contract c-1, 2025-07, 2 calls, net 39.48, VAT 7.50, gross 46.98 EUR" in told
    done = b2bua("audit")
    assert done.exit_code == 0, done.output
    assert "1 statements follow from calls and tariffs: 2 calls on them" in done.output


@pytest.mark.parametrize("style", FORMATS)
@pytest.mark.parametrize(("old", "new"), [(b'"46.98"', b'"46.97"'), (b":120,", b":180,"), (b'"one"', b'"ono"')])
def test_a_changed_digit_is_found(office: Path, style: str, old: bytes, new: bytes) -> None:
    path = issue(style)
    changed = _changed(path, old, new)
    path.write_bytes(changed)
    code, told = audit(path)
    assert code == 1
    assert "WRONG: statement 2025-07-c-1-1 is not what was signed: it was changed" in told


def _changed(path: Path, old: bytes, new: bytes) -> bytes:
    if path.suffix != ".pdf":
        text = path.read_bytes().replace(b'": ', b'":')
        assert old in text
        return text.replace(old, new, 1)
    # A PDF made by the same hand, with another attachment.
    from reportlab.pdfgen.canvas import Canvas

    from b2bua.statements.pdf_attachment import attach

    inside = bytes(next(iter(PdfReader(path).attachment_list)).content or b"").replace(b'": ', b'":')
    assert old in inside
    file = BytesIO()
    canvas = Canvas(file)
    canvas.drawString(100, 100, "Abrechnung")
    attach(canvas, "statement.json", inside.replace(old, new, 1))
    canvas.save()
    return file.getvalue()


def test_issuing_again_gives_the_same(office: Path) -> None:
    first = issue("json").read_bytes()
    done = b2bua("statement", "c-1", "--month", "2025-07", "--issue", "--format", "json", "-o", "again.json")
    assert "statement 2025-07-c-1-1 was issued before: this is it again" in done.output
    assert Path("again.json").read_bytes() == first
    # A new name does not change what was issued.
    contracts = Path("contracts.toml")
    contracts.write_text(contracts.read_text().replace("Praxis Dr.", "Praxis Prof."))
    assert b2bua("import", "contracts.toml").exit_code == 0
    assert issue("json").read_bytes() == first


def test_a_correction_makes_a_revision_that_says_so(office: Path) -> None:
    issue("json")
    corrected = b2bua("accounting", "correct", "one", "--talked", "59.9", "--reason", "noise")
    assert corrected.exit_code == 0, corrected.output
    done = b2bua("statement", "c-1", "--month", "2025-07", "--issue", "--format", "html", "-o", "new.html")
    assert "the books were corrected: statement 2025-07-c-1-2 is issued and replaces 2025-07-c-1-1" in done.output
    assert "Diese Abrechnung ersetzt die Abrechnung 2025-07-c-1-1." in Path("new.html").read_text()
    code, told = audit(Path("new.html"))
    assert (code, "gross 45.92 EUR" in told) == (0, True)
    # The old one is still what was issued then, and the journal says why the new one differs.
    assert audit(Path("c-1.json"))[0] == 0
    done = b2bua("audit")
    assert "2 statements follow from calls and tariffs" in done.output, done.output
    again = issue("json")
    assert json.loads(again.read_text())["content"]["revision"] == 2


def test_every_line_follows_from_an_exported_journal(office: Path) -> None:
    """Two revisions, checked by somebody who has the export, the files and the public key."""
    paths = [issue("pdf")]
    b2bua("accounting", "correct", "one", "--not-billable", "--reason", "our own test")
    paths.append(Path("second.html"))
    b2bua("statement", "c-1", "--month", "2025-07", "--issue", "--format", "html", "-o", "second.html")
    assert b2bua("accounting", "export", "journal.jsonl.gz", "--without-personal-data").exit_code == 0
    for path in paths:
        done = b2bua("audit", "journal.jsonl.gz", "--public-key", "public.pem", "--statement", str(path))
        assert done.exit_code == 0, done.output
        assert "2 statements follow from calls and tariffs: 3 calls on them" in done.output


def test_numbers_that_were_deleted_are_not_made_up(office: Path) -> None:
    issue("json")
    assert b2bua("accounting", "forget", "--older-than", "30").exit_code == 0
    done = b2bua("statement", "c-1", "--month", "2025-07", "--issue")
    assert done.exit_code == 1
    assert "cannot be made again to the letter" in done.output
    assert audit(Path("c-1.json"))[0] == 0
    assert "gelöscht" in b2bua("statement", "c-1", "--month", "2025-07").output


def test_a_draft_carries_no_proof_and_says_so(office: Path) -> None:
    for style in FORMATS:
        done = b2bua("statement", "c-1", "--month", "2025-07", "--format", style, "--output", f"draft.{style}")
        assert done.exit_code == 0, done.output
        code, told = audit(Path(f"draft.{style}"))
        assert code == 1
        assert "carries no proof" in " ".join(told.split())
    assert "Entwurf: ohne Nummer und ohne Nachweis" in Path("draft.html").read_text()
    assert "Entwurf: ohne Nummer und ohne Nachweis" in _text(Path("draft.pdf"))
    assert json.loads(Path("draft.json").read_text())["draft"] is True


def test_a_page_is_whole_and_harmless(office: Path) -> None:
    book(office, Call("x", DAY, 5.0, caller="</script><script>alert(1)</script>"), run="other")
    page = issue("html").read_text()
    assert "Praxis Dr. Müller-Łukasiewicz &lt;b&gt;&amp; Sohn&lt;/b&gt;" in page
    assert page.count("<script") == 1
    assert "alert(1)</script" not in page
    assert not re.search(r'(src|href)="', page)
    assert audit(Path("c-1.html"))[0] == 0


def test_a_terminal_obeys_no_caller(office: Path) -> None:
    book(office, Call("x", DAY, 5.0, caller="[/red]\x1b[2J[bold]x"), run="other")
    for command in (("statement", "c-1", "--month", "2025-07"), ("calls",)):
        done = b2bua(*command)
        assert done.exit_code == 0, done.output
        assert "[/red]?[2J[bold]x" in done.output
        assert "\x1b" not in done.output
    assert issue("pdf").exists()


def test_a_pdf_has_everything_on_it(office: Path) -> None:
    book(office, *(Call(f"n{index}", 5 * DAY + index * 300, 30.0, caller="漢字") for index in range(150)), run="other")
    text = _text(issue("pdf"))
    for expected in ("Antwort & Söhne GmbH", "Praxis Dr. Müller-Łukasiewicz", "2025-07-c-1-1", "Abrechnung Juli 2025",
                     "153,08 €", "Gesamtbetrag", "205,85 €", "innerhalb von 14 Tagen", "USt-IdNr. DE123456789",
                     "+4930123456", "152 Gespräche", "So prüfen Sie diese Abrechnung"):  # fmt: skip
        assert expected in text
    assert text.count("keine Antwort") == 152
    reader = PdfReader("c-1.pdf")
    assert len(reader.pages) > 2
    assert reader.metadata is not None
    assert reader.metadata.title == "Abrechnung 2025-07-c-1-1: Praxis Dr. Müller-Łukasiewicz <b>& Sohn</b>"
    # What the font has no letters for is whole in the attachment.
    lines: list[dict[str, Any]] = list(read_statement(Path("c-1.pdf")).content["lines"])
    assert lines[-1]["caller"] == "漢字"


def _text(path: Path) -> str:
    pages = [page.extract_text() for page in PdfReader(path).pages]
    return "\n".join(pages).replace("\N{NO-BREAK SPACE}", " ")


def test_a_month_that_is_not_over_is_not_issued(office: Path) -> None:
    done = b2bua("statement", "c-1", "--issue")
    assert done.exit_code == 1
    assert "is not over: more calls may come" in done.output
    assert b2bua("statement", "c-1", "--issue", "--even-if-running").exit_code == 0


def test_calls_that_have_not_ended_hold_the_statement_up(office: Path) -> None:
    items: list[Item] = []
    Ledger(items.append, ANCHOR, "open").connected(
        call_id="open", contract="c-1", tariff="standard", agent="anna", billable=True, at_ns=30 * DAY * SECOND
    )
    engine = open_engine("sqlite:///b2bua.db")
    with engine.begin() as connection:
        write_batch(connection, items)
    engine.dispose()
    done = b2bua("statement", "c-1", "--month", "2025-07", "--issue")
    assert done.exit_code == 1
    assert "1 calls that began in 2025-07 or before have not ended" in done.output


def test_all_contracts_into_a_folder(office: Path) -> None:
    done = b2bua("statement", "--all", "--month", "2025-07", "--issue", "--format", "html", "--output", "july")
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in Path("july").iterdir()) == ["2025-07-c-1-1.html", "2025-07-c-2-1.html"]
    assert "Base fee" in Path("july/2025-07-c-2-1.html").read_text()


def test_one_bill_that_cannot_be_made_does_not_stop_the_others(office: Path) -> None:
    engine = open_engine("sqlite:///b2bua.db")
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE calls SET tariff = 'gone' WHERE call_id = 'one'")
    engine.dispose()
    done = b2bua("statement", "--all", "--month", "2025-07", "--format", "json", "--output", "july")
    assert done.exit_code == 1
    assert "contract c-1: call one has the unknown tariff 'gone'" in done.output
    assert [path.name for path in Path("july").iterdir()] == ["2025-07-c-2-draft.json"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "give the contract's id, or --all"),
        (("c-1", "--all"), "give the contract's id, or --all"),
        (("c-9",), "there is no contract 'c-9'"),
        (("c-1", "--month", "July"), "is not a month such as 2025-07"),
        (("c-1", "--language", "fr"), "there is no language 'fr'"),
        (("c-1", "--format", "pdf"), "say --output FILE"),
        (("c-1", "--format", "json", "--output", "no/such/folder"), "cannot be written"),
    ],
)
def test_what_cannot_be_is_told(office: Path, arguments: tuple[str, ...], told: str) -> None:
    done = b2bua("statement", *arguments)
    assert done.exit_code == 1
    assert told in done.output
