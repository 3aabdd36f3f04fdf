"""Messages by e-mail: what is written, when it is tried again, what a crash leaves; and a real mail server."""

import json
import socket
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from typer.testing import CliRunner

from b2bua.call.messages import Message
from b2bua.cli import app
from b2bua.config import MailSection
from b2bua.mailer import DAY_NS, SCAN_NS, Mailer, RefusedError, send_by_smtp
from b2bua.message_note import (
    LONGEST_PAUSE_NS,
    MOST_ATTACHED,
    SHORTEST_PAUSE_NS,
    Note,
    is_address,
    mail_of,
    read_note,
    write_note,
)
from b2bua.metrics import Metrics

LEFT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NOTE = Note(
    "info@example.com", "call1", "kanzlei", "Kanzlei Müller", "de", "+4940123456", "+4930555",
    round(LEFT.timestamp()) * 10**9, 12.4, "a.wav",
)  # fmt: skip
CONFIG = MailSection(host="mail.example", sender="voicemail@service.example", give_up_days=7)


# -- notes -----------------------------------------------------------------------------------------------


def test_what_is_written_is_read_again() -> None:
    assert read_note(write_note(NOTE)) == NOTE
    for text in ("", "{}", "[]", '{"mailbox": "x"}', write_note(NOTE).replace("mailbox", "box")):
        with pytest.raises(ValueError, match="no note"):
            read_note(text)


def test_pauses_grow_up_to_an_hour_and_end_after_a_week() -> None:
    now, note = NOTE.left_ns, NOTE
    pauses = []
    while note.state == "waiting":
        note = note.failed(now, "away", 7 * DAY_NS)
        pauses.append(note.next_ns - now)
        assert not note.due(now)
        now = note.next_ns
        assert note.due(now) == (note.state == "waiting")
    assert pauses[:3] == [SHORTEST_PAUSE_NS, 2 * SHORTEST_PAUSE_NS, 4 * SHORTEST_PAUSE_NS]
    assert max(pauses) == LONGEST_PAUSE_NS
    assert note.state == "given_up"
    assert 7 * DAY_NS <= now - NOTE.left_ns <= 7 * DAY_NS + 2 * LONGEST_PAUSE_NS


@pytest.mark.parametrize(
    ("mailbox", "right"),
    [("info@example.com", True), ("office", False), ("@example.com", False), ("a b@c.de", False), ("a@b\r\nx", False)],
)  # fmt: skip
def test_a_mailbox_may_be_an_address(mailbox: str, right: bool) -> None:
    assert is_address(mailbox) == right


def test_the_mail_says_who_called_in_the_contracts_language_and_has_the_sound() -> None:
    mail = mail_of(NOTE, CONFIG.sender, "/v/a.wav", b"RIFF")
    assert mail["Subject"] == "Sprachnachricht für Kanzlei Müller von +4940123456"
    assert "Dauer: 12 Sekunden" in mail.get_body().get_content()  # type: ignore[union-attr]
    (sound,) = mail.iter_attachments()
    assert (sound.get_content_type(), sound.get_filename(), sound.get_content()) == ("audio/wav", "a.wav", b"RIFF")
    english = mail_of(replace(NOTE, language="en-GB", wav="", caller=""), CONFIG.sender, "", None)
    assert english["Subject"] == "unknown asks Kanzlei Müller to be called back"
    assert not list(english.iter_attachments())
    large = mail_of(NOTE, CONFIG.sender, "/v/a.wav", bytes(MOST_ATTACHED + 1))
    assert "/v/a.wav" in large.get_content()


def test_a_customers_name_makes_no_header_of_its_own() -> None:
    mail = mail_of(replace(NOTE, customer="Evil\r\nBcc: all@example.com"), CONFIG.sender, "", b"")
    assert message_from_bytes(mail.as_bytes(), policy=policy.default)["Bcc"] is None


# -- the folder ------------------------------------------------------------------------------------------


class Room:
    """A mailer with a clock in the hand and a mail server that does what it is told."""

    def __init__(self, folder: Path, config: MailSection = CONFIG, keep_days: int = 0) -> None:
        self.folder = folder
        self.config = config
        self.keep_days = keep_days
        self.now = round(LEFT.timestamp()) * 10**9
        self.sent: list[EmailMessage] = []
        self.fault: Exception | None = None
        self.mailer = self.another()

    def another(self) -> Mailer:
        return Mailer(self.folder, self.config, self.keep_days, Metrics(), lambda: self.now, self._send)

    def _send(self, _config: MailSection, mail: EmailMessage) -> None:
        if self.fault is not None:
            raise self.fault
        self.sent.append(mail)

    def leave(self, name: str = "a", mailbox: str = "info@example.com", seconds: float = 3.0) -> Path:
        path = self.folder / mailbox / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        if seconds:
            path.write_bytes(b"RIFF" + bytes(40 + round(16_000 * seconds)))
        self.mailer.left(Message(path, mailbox, name, "kanzlei", "Kanzlei", "+4940", "", LEFT, "de", seconds))
        return path.with_suffix(".json")

    def state(self, note: Path) -> str:
        return read_note(note.read_text()).state


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_a_message_is_noted_and_sent_once(room: Room) -> None:
    note = room.leave()
    room.mailer.look()
    room.mailer.look()
    assert [mail["To"] for mail in room.sent] == ["info@example.com"]
    assert room.state(note) == "sent"


def test_a_wish_to_be_called_back_is_sent_without_a_sound(room: Room) -> None:
    note = room.leave(seconds=0)
    room.mailer.look()
    assert [mail["Subject"] for mail in room.sent] == ["Rückrufbitte für Kanzlei von +4940"]
    assert room.state(note) == "sent"


def test_a_mail_server_that_is_away_is_asked_again_also_by_the_next_process(room: Room) -> None:
    note = room.leave()
    room.fault = ConnectionRefusedError(111, "refused")
    room.mailer.look()
    assert room.state(note) == "waiting"
    assert "refused" in read_note(note.read_text()).fault
    room.fault = None
    room.mailer.look()
    assert room.sent == []
    room.now += SHORTEST_PAUSE_NS
    after = room.another()
    after.take_up()
    after.look()
    assert len(room.sent) == 1
    assert room.state(note) == "sent"


def test_what_is_refused_for_good_is_given_up_at_once(room: Room) -> None:
    note = room.leave()
    room.fault = RefusedError("550 no such user")
    room.mailer.look()
    assert room.state(note) == "given_up"
    room.fault = None
    room.now += DAY_NS
    room.mailer.look()
    assert room.sent == []


def test_a_sound_that_a_crash_left_without_a_note_is_sent(room: Room) -> None:
    note = room.leave()
    room.mailer = room.another()
    room.mailer.take_up()
    room.mailer.look()
    assert len(room.sent) == 1
    assert read_note(note.read_text()).seconds == pytest.approx(3.0)


def test_mailboxes_that_are_no_addresses_and_servers_without_mail_keep_messages(tmp_path: Path) -> None:
    for config, mailbox in ((CONFIG, "office"), (MailSection(), "info@example.com")):
        room = Room(tmp_path, config)
        note = room.leave(mailbox=mailbox)
        room.mailer.look()
        assert (room.state(note), room.sent) == ("kept", [])


def test_messages_are_deleted_by_age_with_their_notes(tmp_path: Path) -> None:
    room = Room(tmp_path, keep_days=90)
    note = room.leave()
    room.now = note.with_suffix(".wav").stat().st_mtime_ns
    room.mailer.look()
    assert note.exists()
    room.now += 91 * DAY_NS
    room.mailer.look()
    assert not note.exists()
    assert not note.with_suffix(".wav").exists()


def test_a_note_that_is_none_stops_nothing(room: Room) -> None:
    (room.folder / "broken.json").write_text("{")
    room.leave()
    room.mailer.take_up()
    room.mailer.look()
    assert len(room.sent) == 1


def test_what_was_given_up_is_sent_when_somebody_says_so(room: Room, tmp_path: Path) -> None:
    note = room.leave()
    room.fault = RefusedError("550 no such user")
    room.mailer.look()
    config = tmp_path / "b2bua.toml"
    config.write_text(f'[[listeners]]\nname = "main"\n[voicemail]\nfolder = "{tmp_path}"\n')
    shown = CliRunner().invoke(app, ["messages", "--config", str(config)])
    assert "given_up (1: 550 no such user)" in " ".join(shown.output.split()) or "given_up" in shown.output
    CliRunner().invoke(app, ["messages", "--retry", "--config", str(config)])
    room.fault = None
    room.now += SCAN_NS
    room.mailer.look()
    assert len(room.sent) == 1
    assert room.state(note) == "sent"


# -- a real mail server ----------------------------------------------------------------------------------


class Inbox:
    """Takes mail, or refuses it with ``answer``."""

    def __init__(self, answer: str = "250 OK") -> None:
        self.answer = answer
        self.mails: list[Any] = []

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if not self.answer.startswith("250"):
            return self.answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"


def serve(inbox: Inbox) -> Controller:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    return controller


def test_a_real_mail_server_takes_the_message(tmp_path: Path) -> None:
    inbox = Inbox()
    server = serve(inbox)
    config = MailSection(host="127.0.0.1", port=server.port, security="none", sender="voicemail@service.example")
    room = Room(tmp_path, config)
    room.mailer = Mailer(tmp_path, config, 0, Metrics())
    note = room.leave()
    try:
        room.mailer.look()
    finally:
        server.stop()
    (mail,) = inbox.mails
    (sound,) = mail.iter_attachments()
    assert sound.get_content() == note.with_suffix(".wav").read_bytes()
    assert room.state(note) == "sent"


@pytest.mark.parametrize(("answer", "state"), [("450 later", "waiting"), ("550 no such user", "given_up")])
def test_a_real_mail_servers_refusal_is_final_or_not(tmp_path: Path, answer: str, state: str) -> None:
    server = serve(Inbox(answer))
    config = MailSection(host="127.0.0.1", port=server.port, security="none", sender="voicemail@service.example")
    room = Room(tmp_path, config)
    room.mailer = Mailer(tmp_path, config, 0, Metrics())
    note = room.leave()
    try:
        room.mailer.look()
    finally:
        server.stop()
    assert room.state(note) == state
    assert json.loads(note.read_text())["attempts"] == 1


def test_nobody_at_the_port_is_no_end(tmp_path: Path) -> None:
    server = serve(Inbox())
    port = server.port
    server.stop()
    config = MailSection(host="127.0.0.1", port=port, security="none", sender="a@b.example")
    with pytest.raises(OSError, match="refused"):
        send_by_smtp(config, mail_of(NOTE, config.sender, "", b""))


def test_the_thread_sends_what_was_left_and_ends(tmp_path: Path) -> None:
    room = Room(tmp_path)
    note = room.leave()
    room.mailer.start()
    room.mailer.stop()
    assert room.state(note) in ("sent", "waiting")
    room.mailer = room.another()
    room.mailer.take_up()
    room.mailer.look()
    assert len(room.sent) == 1
