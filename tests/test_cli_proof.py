"""The commands that prove, as customers, auditors and the back office type them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfWriter
from typer.testing import CliRunner, Result

from accounting.chain import canonical
from accounting.signing_key import load_signer
from accounting.store import open_engine
from b2bua.cli import app
from b2bua.database import upgrade
from tests.accounting.books import write_books

ROOT = Path(__file__).parent.parent
runner = CliRunner()


def b2bua(*arguments: str) -> Result:
    return runner.invoke(app, list(arguments))


@pytest.fixture
def books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The statement of books that are in a database of the working directory, with its key."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "examples" / "b2bua.toml", "b2bua.toml")
    engine = open_engine("sqlite:///b2bua.db")
    upgrade(engine)
    statement = write_books(engine, load_signer(Path("b2bua-signing.pem")))
    engine.dispose()
    return statement


@pytest.fixture
def customer(books: dict[str, Any], tmp_path: Path) -> Path:
    """A folder with the public key, an export and the statement, and nothing else."""
    folder = tmp_path / "customer"
    folder.mkdir()
    (folder / "public.pem").write_text(b2bua("accounting", "public-key").stdout)
    assert b2bua("accounting", "export", "customer/journal.jsonl.gz", "--without-personal-data").exit_code == 0
    (folder / "statement.json").write_text(json.dumps(books, indent=2, ensure_ascii=False))
    return folder


def test_the_database_is_audited(books: dict[str, Any]) -> None:
    done = b2bua("audit")
    assert done.exit_code == 0, done.output
    assert "26 records in one chain" in done.output
    assert "6 rows of the list of calls are what the journal says" in done.output
    assert done.output.endswith("note: the last 2 records are not signed yet\nnothing disagrees\n")


def test_a_changed_row_is_told_and_a_rebuild_mends_it(books: dict[str, Any]) -> None:
    engine = open_engine("sqlite:///b2bua.db")
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE calls SET talked_ns = 1 WHERE call_id = 'plain'")
    done = b2bua("audit")
    assert done.exit_code == 1
    assert "WRONG: the list of calls says talked_ns 1 of call plain" in done.output
    assert b2bua("accounting", "rebuild").exit_code == 0
    assert b2bua("audit").exit_code == 0


def test_a_checkpoint_is_signed_when_asked(books: dict[str, Any]) -> None:
    done = b2bua("accounting", "checkpoint")
    assert done.output.startswith("checkpoint 4 at record 26")
    assert "note:" not in b2bua("audit").output


def test_a_customer_verifies_without_server_and_configuration(
    customer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(customer)
    done = b2bua("audit", "journal.jsonl.gz", "--public-key", "public.pem", "--statement", "statement.json")
    assert done.exit_code == 0, done.output
    assert "statement 2025-07-c-1: contract c-1, 2025-07, 3 calls, net 3.56, VAT 0.68, gross 4.24 EUR" in done.output
    assert "1 statements follow from calls and tariffs: 3 calls on them" in done.output
    done = b2bua("audit", "--public-key", "public.pem", "--statement", "statement.json")
    assert done.exit_code == 0
    assert "records in one chain" not in done.output


def test_no_key_no_trust(customer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(customer)
    done = b2bua("audit", "journal.jsonl.gz")
    assert done.exit_code == 1
    assert "which key is to be trusted?" in done.output


@pytest.mark.parametrize(
    ("old", "new"), [("3.56", "3.46"), ("120", "180"), ('"plain"', '"plaim"'), ("Berlin", "London")]
)
def test_a_statement_altered_in_one_place_is_refused(customer: Path, old: str, new: str) -> None:
    path = customer / "statement.json"
    text = path.read_text()
    path.write_text(text.replace(old, new, 1))
    assert path.read_text() != text
    done = b2bua("audit", "--public-key", "customer/public.pem", "--statement", str(path))
    assert done.exit_code == 1
    assert "WRONG: statement 2025-07-c-1 is not what was signed: it was changed" in done.output


def test_a_statement_with_a_foreign_proof_is_refused(customer: Path) -> None:
    path = customer / "statement.json"
    statement = json.loads(path.read_text())
    statement["proof"]["checkpoint"]["statement"] = "ab" * 32
    path.write_text(json.dumps(statement))
    done = b2bua("audit", "--public-key", "customer/public.pem", "--statement", str(path))
    assert "WRONG: record 22: checkpoint 2 is not what was signed" in done.output


def test_statements_in_html_and_pdf_are_read(books: dict[str, Any], customer: Path) -> None:
    html = customer / "statement.html"
    text = canonical(books).replace("<", "\\u003c")
    html.write_text(
        f'<!doctype html><title>Bill</title><script>1</script><script type="application/json" id="statement">{text}'
        "</script><p>Sum"
    )
    pdf = customer / "statement.pdf"
    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    writer.add_attachment("statement.json", json.dumps(books, indent=1).encode())
    writer.write(pdf)
    for path in (html, pdf):
        done = b2bua("audit", "--public-key", "customer/public.pem", "--statement", str(path))
        assert done.exit_code == 0, done.output
        assert "gross 4.24 EUR" in done.output


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("hello", "is no statement: it is neither JSON, HTML nor PDF"),
        ("%PDF-1.7", "is damaged"),
        ("<html>", "is no statement: it should have one <script"),
        ("[]", "is no statement: its content should have contract"),
        ('{"content":{"contract":1,"month":1,"number":1,"currency":1,"net":1,"vat":1,"gross":1}}', "carries no proof"),
    ],
)
def test_what_is_no_statement_is_told(customer: Path, content: str, told: str) -> None:
    path = customer / "other"
    path.write_text(content)
    done = b2bua("audit", "--public-key", "customer/public.pem", "--statement", str(path))
    assert done.exit_code == 1
    assert told in " ".join(done.output.split())


def test_files_that_are_not_there_are_told(customer: Path) -> None:
    for arguments in (
        ("nowhere.jsonl", "--public-key", "customer/public.pem"),
        ("--statement", "nowhere.json", "--public-key", "customer/public.pem"),
        ("--public-key", "nowhere.pem"),
    ):
        done = b2bua("audit", *arguments)
        assert done.exit_code == 1
        assert "cannot be read" in done.output


def test_an_export_is_for_its_owner_only(books: dict[str, Any]) -> None:
    assert b2bua("accounting", "export", "journal.jsonl").exit_code == 0
    assert Path("journal.jsonl").stat().st_mode & 0o777 == 0o600
    assert b"+4930111" in Path("journal.jsonl").read_bytes()


def test_old_numbers_are_forgotten(books: dict[str, Any]) -> None:
    """The books are of 2025."""
    done = b2bua("accounting", "forget")
    assert done.output == "the numbers beside 10 records older than 180 days are deleted\n"
    assert "10 records without their numbers" in b2bua("audit").output


def test_books_that_were_changed_are_not_signed(books: dict[str, Any]) -> None:
    engine = open_engine("sqlite:///b2bua.db")
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE journal SET wall_ns = wall_ns + 1 WHERE position = 25")
    done = b2bua("accounting", "checkpoint")
    assert done.exit_code == 1
    assert "WRONG, and therefore not signed: record 25" in done.output
