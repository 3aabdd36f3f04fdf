"""Somebody else's verifier comes to the same: examples/verify_journal.py has none of our code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from hypothesis import given
from hypothesis import strategies as st

from accounting.chain import canonical
from accounting.signing_key import public_pem
from accounting.store import create_tables, open_engine
from examples import verify_journal
from tests.accounting.books import export, new_signer, small_export, write_books

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("customer")
    engine = open_engine(f"sqlite:///{made / 'b2bua.db'}")
    create_tables(engine)
    signer = new_signer()
    (made / "statement.json").write_text(json.dumps(write_books(engine, signer), indent=1))
    (made / "public.pem").write_text(public_pem(signer.public_key))
    (made / "other.pem").write_text(public_pem(new_signer().public_key))
    export(engine, made / "journal.jsonl", personal=False)
    export(engine, made / "journal.jsonl.gz")
    engine.dispose()
    return made


def verified(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As it is called, with nothing of ours in its way."""
    program = ROOT / "examples" / "verify_journal.py"
    return subprocess.run(
        [sys.executable, "-I", str(program), *arguments], cwd=folder, capture_output=True, text=True, timeout=60
    )  # fmt: skip


def test_it_verifies_an_export_and_a_statement(folder: Path) -> None:
    for name in ("journal.jsonl", "journal.jsonl.gz"):
        done = verified(folder, name, "public.pem", "statement.json")
        assert done.stdout == "26 records hold together, 2 of them not signed yet\n", done.stderr


def test_it_refuses_a_foreign_key(folder: Path) -> None:
    assert "InvalidSignature" in verified(folder, "journal.jsonl", "other.pem").stderr


def test_it_finds_a_changed_record_and_a_changed_statement(folder: Path) -> None:
    journal = (folder / "journal.jsonl").read_text()
    (folder / "changed.jsonl").write_text(journal.replace("65200000000", "66200000000", 1))
    assert "record 8 was changed" in verified(folder, "changed.jsonl", "public.pem").stderr
    statement = (folder / "statement.json").read_text()
    (folder / "changed.json").write_text(statement.replace("3.56", "3.55", 1))
    assert "the statement is not what was signed" in verified(
        folder, "journal.jsonl", "public.pem", "changed.json"
    ).stderr  # fmt: skip


def test_it_finds_every_octet_that_is_changed(tmp_path: Path) -> None:
    """Also a capital letter in a signature, and a carriage return for a line's end."""
    signer = new_signer()
    whole = small_export(tmp_path, signer).read_bytes()
    journal = tmp_path / "changed.jsonl"
    journal.write_bytes(whole)
    assert verify_journal.verify(str(journal), signer.public_key).startswith("4 records hold together, 0 of them")
    for at, octet in enumerate(whole):
        for bits in {1 << at % 8, 0x20, octet ^ ord("\r")} - {0}:
            journal.write_bytes(whole[:at] + bytes([octet ^ bits]) + whole[at + 1 :])
            # SystemExit where it says so, else what the JSON reader and the signature raise
            with pytest.raises((SystemExit, ValueError, LookupError, TypeError, AttributeError, InvalidSignature)):
                verify_journal.verify(str(journal), signer.public_key)


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(), lambda inner:
                    st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_canonical_json_is_what_any_json_library_makes(value: object) -> None:
    assert canonical(value) == verify_journal.canonical(value)


def test_the_verifier_has_none_of_our_code() -> None:
    text = (ROOT / "examples" / "verify_journal.py").read_text()
    assert not [name for name in ("accounting", "b2bua.", "routing", "media", "orjson") if f"import {name}" in text]
    assert "\nfrom accounting" not in text
    code = [line for line in text.split('"""')[2].splitlines() if line.strip()]
    assert len(code) <= 80


def test_the_commands_of_the_document_do_what_it_says(folder: Path) -> None:
    document = (ROOT / "docs" / "verifying-a-bill.md").read_text(encoding="utf-8")
    commands = [
        line.split() for line in document.splitlines() if line.startswith(("    b2bua audit", "    python verify"))
    ]
    assert len(commands) == 3
    for program, *arguments in commands:
        if program == "python":
            done = verified(folder, *arguments[1:])
        else:
            code = "from b2bua.cli import main; main()"
            done = subprocess.run(
                [sys.executable, "-c", code, *arguments],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_document_names_every_field_of_a_record_and_a_checkpoint(folder: Path) -> None:
    document = (ROOT / "docs" / "verifying-a-bill.md").read_text(encoding="utf-8")
    for line in (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines():
        ((name, fields),) = json.loads(line).items()
        assert f'{{"{name}":' in document
        assert all(f"`{field}`" in document or f'"{field}"' in document for field in fields)
