"""What must never stop the mail or cost a file: strange callers, a folder that holds other things, broken requests."""

import os
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest
import structlog

from b2bua.call.messages import Message, shown
from b2bua.config import MailSection
from b2bua.mailer import DAY_NS, Mailer
from b2bua.message_note import read_note
from b2bua.metrics import Metrics
from b2bua.outbox import Outbox

LEFT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NOW = round(LEFT.timestamp()) * 10**9
CONFIG = MailSection(host="mail.example", sender="voicemail@service.example")


class Room:
    """A mailer with threads, whose mail server takes everything."""

    def __init__(self, folder: Path, keep_days: int = 0) -> None:
        self.folder = folder
        self.sent: list[str] = []
        self.mailer = Mailer(folder, CONFIG, keep_days, Metrics(), lambda: NOW, self._send)

    def _send(self, _config: MailSection, mail: EmailMessage) -> None:
        mail.as_bytes()
        self.sent.append(mail["To"])

    def wish(self, call_id: str, caller: str = "+4940") -> Path:
        path = self.folder / "info@example.com" / f"20261123-120000-{call_id}.wav"
        self.mailer.left(Message(path, "info@example.com", call_id, "kanzlei", "Kanzlei", caller, "", LEFT))
        return path.with_suffix(".json")


@pytest.mark.parametrize("text", ["\udcff", "a\0b", "a\r\nBcc: all@example.com", "\u202e0123", "9" * 5000])
def test_what_the_network_says_of_a_caller_is_made_fit_to_be_shown(text: str) -> None:
    fit = shown(text)
    assert fit.isprintable()
    assert fit.encode()
    assert len(fit) <= 64


def test_a_number_or_a_name_is_shown_as_it_is() -> None:
    assert [shown(text) for text in ("", "+4940123456", "Jörg Müller")] == ["", "+4940123456", "Jörg Müller"]


def test_a_caller_whose_name_is_no_text_keeps_no_other_message(tmp_path: Path) -> None:
    room = Room(tmp_path)
    strange, other = room.wish("one", "\udcff"), room.wish("two")
    room.mailer.write_down()
    room.mailer.look()
    assert read_note(strange.read_text()).caller == "?"
    assert read_note(other.read_text()).state == "sent"


def test_a_note_that_cannot_be_written_does_not_end_the_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(tmp_path)
    write = Outbox.write

    def refuse(self: Outbox, path: Path, note: object) -> None:
        if "one" in path.name:
            raise ValueError("embedded null byte")
        write(self, path, note)  # type: ignore[arg-type]

    monkeypatch.setattr(Outbox, "write", refuse)
    room.wish("one")
    other = room.wish("two")
    room.mailer.write_down()
    assert read_note(other.read_text()).call_id == "two"


def test_a_request_that_is_no_text_ends_nothing(tmp_path: Path) -> None:
    room = Room(tmp_path)
    (tmp_path / ".retry").write_bytes(b"\xff\n")
    room.wish("one")
    room.mailer.write_down()
    room.mailer.look()
    assert room.sent == ["info@example.com"]


def test_files_that_are_no_messages_are_neither_sent_nor_deleted(tmp_path: Path) -> None:
    """As when [voicemail] names the folder of announcements, or one above its own."""
    others = [
        tmp_path / "info@example.com" / "welcome.wav",
        tmp_path / "info@example.com" / "settings.json",
        tmp_path / "20260101-000000-a.wav",
        tmp_path / "archive" / "info@example.com" / "20260101-000000-a.wav",
    ]
    ours = tmp_path / "info@example.com" / "20260101-000000-old.wav"
    for path in (*others, ours):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(100))
        os.utime(path, ns=(NOW - 400 * DAY_NS, NOW - 400 * DAY_NS))
    before = sorted(tmp_path.rglob("*"))
    Room(tmp_path, keep_days=90).mailer.look()
    assert sorted(tmp_path.rglob("*")) == [path for path in before if path != ours]


def test_a_folder_that_the_server_makes_is_for_its_own_user_and_another_one_keeps_its_rights(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "var" / "voicemail", tmp_path / "shared"
    theirs.mkdir(mode=0o750)
    for folder in (ours, theirs):
        room = Room(folder)
        room.mailer.start()
        room.mailer.stop()
    assert [folder.stat().st_mode & 0o777 for folder in (ours, theirs)] == [0o700, 0o750]


def test_a_folder_that_cannot_be_is_told_and_stops_no_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    room = Room(tmp_path / "file" / "voicemail")
    logs = structlog.testing.CapturingLogger()
    monkeypatch.setattr("b2bua.mailer.log", logs)
    room.mailer.start()
    room.mailer.stop()
    assert logs.calls[0].args == ("voicemail_unreadable",)
