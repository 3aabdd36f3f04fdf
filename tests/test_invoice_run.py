"""``b2bua invoice-run``: every contract once, whatever happens meanwhile; and what DATEV is given."""

import csv
import hashlib
import io
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader
from sqlalchemy import select

from accounting.store import open_engine
from accounting.tables import declarations
from b2bua.statements import renderers
from b2bua.statements.rendering import render
from tests.back_office import Call, b2bua, book, furnish

RUN = ("invoice-run", "--month", "2025-07", "--folder", "july", "--format", "json")
PROGRAM = "from b2bua.cli import main; main()"
DATEV = Path("july/EXTF_Buchungsstapel_2025-07.csv")


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five customers; the second has no call."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    names = [
        "Müller & Söhne",
        "Still AG",
        "=cmd|x",
        "Şahin Łoś 漢 GmbH, deren Name viel länger ist als sechzig",
        "Ende",
    ]
    furnish(tmp_path, [(f"c-{index}", name, "de") for index, name in enumerate(names, 1)])
    book(tmp_path, *(Call(f"call-{index}", index * 1000, 61.0, f"c-{index}") for index in (1, 3, 4, 5)))
    return tmp_path


def entries() -> list[dict[str, Any]]:
    """The manifest's lines behind the first."""
    return [json.loads(line) for line in Path("july/manifest.jsonl").read_text().splitlines()[1:]]


def issued_in_journal() -> Counter[str]:
    engine = open_engine("sqlite:///b2bua.db")
    with engine.connect() as connection:
        query = select(declarations.c.subject).where(declarations.c.kind == "statement")
        numbers = Counter(connection.execute(query).scalars())
    engine.dispose()
    return numbers


def rows(path: Path = DATEV) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_bytes().decode("cp1252"), newline=""), delimiter=";"))


def test_a_file_for_each_contract_and_format(office: Path) -> None:
    done = b2bua(*RUN, "--format", "pdf", "--format", "html", "--format", "csv")
    assert done.exit_code == 0, done.output
    assert "2025-07: 5 statements, 4 calls" in done.output
    assert "€106.62" in done.output  # 5 base fees and four calls of two minutes
    names = {path.name for path in Path("july").iterdir()}
    assert names == {"manifest.jsonl", DATEV.name} | {
        f"2025-07-c-{index}-1.{style}" for index in range(1, 6) for style in ("json", "pdf", "html", "csv")
    }
    assert len(PdfReader("july/2025-07-c-1-1.pdf").pages) == 1
    for entry in entries()[:-1]:
        for name, digest in entry["files"].items():
            assert hashlib.sha256(Path("july", name).read_bytes()).hexdigest() == digest
    audited = b2bua("audit")
    assert "5 statements follow from calls and tariffs: 4 calls on them" in audited.output, audited.output


def test_a_second_start_does_nothing(office: Path) -> None:
    b2bua(*RUN)
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in Path("july").iterdir()}
    done = b2bua(*RUN)
    assert done.exit_code == 0, done.output
    assert "5 of them were done before" in done.output
    assert {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in Path("july").iterdir()} == before
    assert issued_in_journal() == {f"2025-07-c-{index}-1": 1 for index in range(1, 6)}


@pytest.mark.parametrize("killed_at", range(1, 6))
@pytest.mark.parametrize("written", [False, True])
def test_a_run_that_died_goes_on(office: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int, written: bool) -> None:
    """It dies when the statement is issued and its file is not written, or is written and not in the manifest."""
    count = 0

    class Killed(BaseException):
        pass

    def dying(*arguments: Any) -> bytes:
        nonlocal count
        count += 1
        if count == killed_at:
            if written:
                Path("july", f"2025-07-c-{killed_at}-1.json").write_bytes(render(*arguments))
            raise Killed
        return render(*arguments)

    monkeypatch.setattr(renderers, "render", dying)
    with pytest.raises(Killed):
        b2bua_raising(*RUN)
    assert len(entries()) == killed_at - 1
    assert not DATEV.exists()
    monkeypatch.setattr(renderers, "render", render)
    done = b2bua(*RUN)
    assert done.exit_code == 0, done.output
    assert [entry.get("contract") for entry in entries()] == ["c-1", "c-2", "c-3", "c-4", "c-5", None]
    assert issued_in_journal() == {f"2025-07-c-{index}-1": 1 for index in range(1, 6)}
    assert len(rows()) == 2 + 5
    assert b2bua("audit").exit_code == 0


def b2bua_raising(*arguments: str) -> None:
    """As the command line, but what kills it comes through."""
    from b2bua.cli import app

    app(list(arguments), standalone_mode=False)


def test_a_torn_line_of_the_manifest_is_written_anew(office: Path) -> None:
    b2bua(*RUN)
    path = Path("july/manifest.jsonl")
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]) + lines[3][:20])
    assert b2bua(*RUN).exit_code == 0
    assert path.read_bytes() == whole


def test_kill_minus_nine_between_contracts(office: Path) -> None:
    """A real process, killed as soon as some contracts are done, twice; the third start finishes."""
    many = 60
    furnish(office, [(f"k-{index:03}", f"Kunde {index}", "de") for index in range(many)])
    book(office, *(Call(f"k{index}", 10_000 + index, 30.0, f"k-{index % many:03}") for index in range(600)), run="many")
    manifest = Path("july/manifest.jsonl")
    for enough, jobs in ((8, "1"), (30, "2")):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *RUN, "--format", "pdf", "--jobs", jobs],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while not (manifest.exists() and manifest.read_bytes().count(b"\n") > enough):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not DATEV.exists()
    done = b2bua(*RUN, "--format", "pdf")
    assert done.exit_code == 0, done.output
    # the customers of the fixture are gone from the business data, their calls are not
    expected = {f"2025-07-k-{index:03}-1" for index in range(many)} | {f"2025-07-c-{index}-1" for index in (1, 3, 4, 5)}
    assert issued_in_journal() == dict.fromkeys(expected, 1)
    assert {path.name for path in Path("july").glob("*.pdf")} == {f"{name}.pdf" for name in expected}
    booked = [row[10] for row in rows()[2:]]
    assert sorted(booked) == sorted(expected)
    audited = b2bua("audit")
    assert f"{many + 4} statements follow from calls and tariffs: 604 calls on them" in audited.output, audited.output


def test_the_bookings_are_what_datev_reads(office: Path) -> None:
    b2bua(*RUN)
    raw = DATEV.read_bytes()
    assert raw.count(b"\r\n") == raw.count(b"\n") == 7
    header, columns, *bookings = rows()
    assert header[:5] == ["EXTF", "700", "21", "Buchungsstapel", "13"]
    assert (len(header), len(header[5])) == (31, 17)
    assert header[10:16] == ["29098", "55003", "20250101", "4", "20250701", "20250731"]
    assert header[21] == "EUR"
    assert len(columns) == 125
    assert all(len(row) == 125 for row in bookings)
    # net 19.90 + 1.78, VAT 19 %
    assert bookings[0][:14] == [
        "25,80", "S", "EUR", "", "", "", "10001", "8400", "", "3107", "2025-07-c-1-1", "", "", "07/2025 Müller & Söhne",
    ]  # fmt: skip
    assert [row[0] for row in bookings] == ["25,80", "23,68", "25,80", "25,80", "25,80"]
    assert [row[6] for row in bookings[1:]] == ["10000"] * 4
    assert bookings[2][13] == "07/2025 =cmd|x"
    assert bookings[3][13] == "07/2025 Sahin Los ? GmbH, deren Name viel länger ist als sec"


def test_corrected_statements_take_the_old_ones_back(office: Path) -> None:
    b2bua(*RUN)
    first = DATEV.read_bytes()
    assert b2bua("accounting", "correct", "call-3", "--talked", "59", "--reason", "noise").exit_code == 0
    assert "5 of them were done before" in b2bua(*RUN).output
    done = b2bua(*RUN, "--corrected")
    assert done.exit_code == 0, done.output
    assert "1 replace statements that were issued before" in done.output
    assert DATEV.read_bytes() == first
    _, _, *bookings = rows(Path("july/EXTF_Buchungsstapel_2025-07_2.csv"))
    assert [(row[0], row[1], row[10]) for row in bookings] == [
        ("25,80", "H", "2025-07-c-3-1"), ("24,74", "S", "2025-07-c-3-2"),
    ]  # fmt: skip
    assert bookings[0][13] == "07/2025 Storno =cmd|x"
    assert b2bua("audit").exit_code == 0
    assert "5 of them were done before" in b2bua(*RUN, "--corrected").output
    assert not Path("july/EXTF_Buchungsstapel_2025-07_3.csv").exists()


def test_corrections_long_after_the_numbers_were_deleted(office: Path) -> None:
    b2bua(*RUN)
    assert b2bua("accounting", "forget", "--older-than", "30").exit_code == 0
    b2bua("accounting", "correct", "call-5", "--not-billable", "--reason", "our own test")
    done = b2bua(*RUN, "--corrected")
    assert done.exit_code == 0, done.output
    assert "1 replace statements that were issued before" in done.output
    again = json.loads(Path("july/2025-07-c-5-2.json").read_text())["content"]
    assert (again["replaces"], again["gross"]) == ("2025-07-c-5-1", "23.68")


def test_drafts_bind_nobody(office: Path) -> None:
    done = b2bua(*RUN, "--draft")
    assert done.exit_code == 0, done.output
    assert {path.name for path in Path("july").iterdir()} == {"manifest.jsonl"} | {
        f"2025-07-c-{index}-draft.json" for index in range(1, 6)
    }
    assert not issued_in_journal()
    refused = b2bua(*RUN)
    assert refused.exit_code == 1
    assert "july has a run with draft True: choose another folder" in refused.output


def test_another_run_needs_another_folder(office: Path) -> None:
    b2bua(*RUN)
    for other in (("--month", "2025-06"), ("--format", "pdf"), ("--language", "en")):
        done = b2bua(*RUN, *other)
        assert done.exit_code == 1
        assert "choose another folder" in done.output


def test_a_month_that_is_not_over_is_refused(office: Path) -> None:
    done = b2bua("invoice-run", "--month", "2099-01", "--folder", "later")
    assert done.exit_code == 1
    assert "2099-01 is not over" in done.output
    assert not Path("later").exists()


def test_one_bill_that_cannot_be_made_does_not_stop_the_others(office: Path) -> None:
    engine = open_engine("sqlite:///b2bua.db")
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE calls SET tariff = 'gone' WHERE call_id = 'call-4'")
    done = b2bua(*RUN)
    assert done.exit_code == 1
    assert "contract c-4: call call-4 has the unknown tariff 'gone'" in done.output
    assert not DATEV.exists()
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE calls SET tariff = 'standard' WHERE call_id = 'call-4'")
    engine.dispose()
    assert b2bua(*RUN).exit_code == 0
    assert len(rows()) == 7


def test_a_vat_rate_without_an_account_is_told(office: Path) -> None:
    config = Path("b2bua.toml")
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("debtors =", 'revenue = { "7" = "8300" }\ndebtors ='), encoding="utf-8")
    done = b2bua(*RUN)
    assert done.exit_code == 1
    assert "VAT of 19 %, for which [datev] revenue has no account" in done.output
