"""Messages by e-mail: what is written, when it is tried again, what a crash leaves; a clock in the hand."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import unquote

import pytest
from typer.testing import CliRunner

from b2bua.call.messages import Message, folder_name
from b2bua.cli import app
from b2bua.config import MailSection
from b2bua.mailer import DAY_NS, Mailer
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
from b2bua.outbox import Outbox
from b2bua.smtp import AwayError, RefusedError, TooLargeError

LEFT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NOTE = Note(
    "info@example.com", "call1", "kanzlei", "Kanzlei Müller", "de", "+4940123456", "+4930555",
    round(LEFT.timestamp()) * 10**9, 12.4, "a.wav",
)  # fmt: skip
CONFIG = MailSection(host="mail.example", sender="voicemail@service.example", give_up_days=7)


# -- notes -----------------------------------------------------------------------------------------------


def test_what_is_written_is_read_again() -> None:
    assert read_note(write_note(NOTE)) == NOTE
    for text in (
        "", "{}", "[]", '{"mailbox": "x"}', write_note(NOTE).replace("mailbox", "box"),
        write_note(NOTE).replace('"attempts": 0', '"attempts": "0"'), write_note(NOTE).replace("waiting", "wanting"),
    ):  # fmt: skip
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
        self.asked = 0
        self.mailer = self.another()

    def another(self) -> Mailer:
        self.metrics = Metrics()
        return Mailer(self.folder, self.config, self.keep_days, self.metrics, lambda: self.now, self._send)

    def look(self) -> None:
        self.mailer.write_down()
        self.mailer.look()

    def sample(self, name: str) -> float:
        (value,) = (
            sample.value for metric in self.metrics.collect() for sample in metric.samples if sample.name == name
        )
        return value

    def _send(self, _config: MailSection, mail: EmailMessage) -> None:
        self.asked += 1
        if self.fault is not None:
            raise self.fault
        self.sent.append(mail)

    def leave(self, name: str = "20261123-120000-a", mailbox: str = "info@example.com", seconds: float = 3.0) -> Path:
        path = self.folder / folder_name(mailbox) / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        if seconds:
            path.write_bytes(b"RIFF" + bytes(40 + round(16_000 * seconds)))
            os.utime(path, ns=(self.now, self.now))
        self.mailer.left(Message(path, mailbox, name, "kanzlei", "Kanzlei", "+4940", "", LEFT, "de", seconds))
        return path.with_suffix(".json")

    def state(self, note: Path) -> str:
        return read_note(note.read_text()).state


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_a_message_is_noted_and_sent_once(room: Room) -> None:
    note = room.leave()
    room.look()
    room.look()
    assert [mail["To"] for mail in room.sent] == ["info@example.com"]
    assert room.state(note) == "sent"


def test_a_wish_to_be_called_back_is_sent_without_a_sound(room: Room) -> None:
    note = room.leave(seconds=0)
    room.look()
    assert [mail["Subject"] for mail in room.sent] == ["Rückrufbitte für Kanzlei von +4940"]
    assert room.state(note) == "sent"


def test_a_mail_server_that_is_away_is_asked_again_also_by_the_next_process(room: Room) -> None:
    note = room.leave()
    room.fault = ConnectionRefusedError(111, "refused")
    room.look()
    assert room.state(note) == "waiting"
    assert "refused" in read_note(note.read_text()).fault
    room.fault = None
    room.look()
    assert room.sent == []
    room.now += SHORTEST_PAUSE_NS
    room.mailer = room.another()
    room.look()
    assert len(room.sent) == 1
    assert room.state(note) == "sent"


def test_what_is_refused_for_good_is_given_up_at_once(room: Room) -> None:
    note = room.leave()
    room.fault = RefusedError("550 no such user")
    room.look()
    assert room.state(note) == "given_up"
    room.fault = None
    room.now += DAY_NS
    room.look()
    assert room.sent == []


def test_a_sound_that_a_crash_left_without_a_note_is_sent(room: Room) -> None:
    note = room.leave(mailbox="in/fo@example.com")
    room.now += 1
    room.mailer = room.another()
    room.look()
    assert [mail["To"] for mail in room.sent] == ["in/fo@example.com"]
    assert read_note(note.read_text()).seconds == pytest.approx(3.0)


def test_mailboxes_that_are_no_addresses_and_servers_without_mail_keep_messages(tmp_path: Path) -> None:
    for config, mailbox in ((CONFIG, "office"), (MailSection(), "info@example.com")):
        room = Room(tmp_path, config)
        note = room.leave(mailbox=mailbox)
        room.look()
        assert (room.state(note), room.sent) == ("kept", [])


def test_messages_are_deleted_by_age_with_their_notes(tmp_path: Path) -> None:
    room = Room(tmp_path, keep_days=90)
    note = room.leave()
    room.look()
    os.utime(note, ns=(room.now, room.now))
    assert note.exists()
    room.now += 91 * DAY_NS
    room.look()
    assert not note.exists()
    assert not note.with_suffix(".wav").exists()


def test_a_note_that_is_none_stops_nothing(room: Room) -> None:
    (room.folder / "broken.json").write_text("{")
    room.leave()
    room.look()
    assert len(room.sent) == 1


def test_what_was_given_up_is_sent_when_somebody_says_so(room: Room, tmp_path: Path) -> None:
    note = room.leave()
    room.fault = RefusedError("550 no such user")
    room.look()
    config = tmp_path / "b2bua.toml"
    config.write_text(f'[[listeners]]\nname = "main"\n[voicemail]\nfolder = "{tmp_path}"\n')
    shown = CliRunner().invoke(app, ["messages", "--config", str(config)])
    assert "given_up" in shown.output
    asked = CliRunner().invoke(app, ["messages", "--retry", "--config", str(config)])
    assert asked.exit_code == 0, asked.output
    # only the server writes notes: else it might write "sent", and we "waiting" over it
    assert room.state(note) == "given_up"
    room.fault = None
    room.look()
    assert len(room.sent) == 1
    assert room.state(note) == "sent"


# -- never twice -----------------------------------------------------------------------------------------


def test_what_was_sent_is_not_sent_again_while_the_disk_takes_no_note(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = room.leave()
    room.mailer.write_down()
    with monkeypatch.context() as patch:
        patch.setattr(Outbox, "write", _full)
        for _ in range(3):
            room.mailer.look()
            room.now += LONGEST_PAUSE_NS
        assert (len(room.sent), room.state(note)) == (1, "waiting")
    room.mailer.look()
    assert (len(room.sent), room.state(note)) == (1, "sent")


def _full(_outbox: Outbox, _path: Path, _note: Note) -> None:
    raise OSError(28, "No space left on device")


def test_nothing_is_sent_before_its_note_is_on_the_disk(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    note = room.leave()
    with monkeypatch.context() as patch:
        patch.setattr(Outbox, "write", _full)
        room.look()
        assert (room.sent, note.exists()) == ([], False)
        assert room.sample("b2bua_messages_unwritten") == 1
    room.look()
    assert (len(room.sent), room.state(note)) == (1, "sent")


def test_a_sound_whose_message_is_yet_to_be_told_is_no_orphan(room: Room) -> None:
    room.now += 1
    path = room.folder / "info@example.com" / "20261123-120000-late.wav"
    path.parent.mkdir()
    path.write_bytes(bytes(100))
    os.utime(path, ns=(room.now, room.now))
    room.look()
    assert (room.sent, path.with_suffix(".json").exists()) == ([], False)


def test_a_request_while_all_is_sent_sends_nothing(room: Room) -> None:
    room.leave()
    room.look()
    Outbox(room.folder).ask_again("")
    room.look()
    assert len(room.sent) == 1
    assert not list(room.folder.glob(".retry*"))


# -- mail servers with faults ----------------------------------------------------------------------------


def test_a_mail_server_that_is_away_is_asked_once_for_all_messages(room: Room) -> None:
    notes = [room.leave(f"call-{number}") for number in range(20)]
    room.fault = AwayError("ConnectionRefusedError")
    room.look()
    room.look()
    assert room.asked == 1
    room.now += SHORTEST_PAUSE_NS
    room.look()
    assert room.asked == 2
    room.now += 2 * SHORTEST_PAUSE_NS
    room.fault = None
    room.look()
    room.now += 2 * SHORTEST_PAUSE_NS
    room.look()
    assert [room.state(note) for note in notes] == ["sent"] * 20
    assert len(room.sent) == 20


def test_a_message_too_large_for_the_mail_server_is_sent_without_its_sound(room: Room) -> None:
    note = room.leave()
    mails: list[EmailMessage] = []

    def send(_config: MailSection, mail: EmailMessage) -> None:
        mails.append(mail)
        if list(mail.iter_attachments()):
            raise TooLargeError

    room.mailer = Mailer(room.folder, CONFIG, 0, Metrics(), lambda: room.now, send)
    room.leave()
    room.look()
    assert [bool(list(mail.iter_attachments())) for mail in mails] == [True, False]
    assert str(note.with_suffix(".wav")) in mails[1].get_content().replace("=\n", "")
    assert room.state(note) == "sent"


def test_a_message_of_which_no_mail_can_be_made_keeps_no_other(room: Room) -> None:
    first, second = room.leave("a"), room.leave("b")
    room.fault = UnicodeError("strange")
    room.look()
    room.fault = None
    room.now += SHORTEST_PAUSE_NS
    room.look()
    assert [room.state(first), room.state(second)] == ["sent", "sent"]


def test_a_deleted_sound_is_given_up(room: Room) -> None:
    note = room.leave()
    note.with_suffix(".wav").unlink()
    room.look()
    assert (room.sent, room.state(note)) == ([], "given_up")


def test_who_watches_sees_what_waits_was_sent_and_given_up(room: Room) -> None:
    room.leave("a")
    room.look()
    room.fault = RefusedError("550")
    room.leave("b")
    room.look()
    room.fault = OSError("reset")
    room.leave("c")
    room.look()
    names = ("b2bua_mail_waiting", "b2bua_mail_sent_total", "b2bua_mail_given_up_total")
    assert [room.sample(name) for name in names] == [1, 1, 1]


def test_days_count_from_the_first_attempt_not_while_we_were_off(room: Room) -> None:
    note = room.leave()
    room.mailer.write_down()
    room.now += 30 * DAY_NS
    room.mailer = room.another()
    room.fault = OSError("reset")
    room.look()
    assert room.state(note) == "waiting"


# -- the folder's names ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mailbox", ["info+box@example.com", "../../etc", ".hidden", "a b", "a_b", "Büro", "x/y", "%41", ".."]
)
def test_a_mailbox_is_one_folder_and_comes_back(tmp_path: Path, mailbox: str) -> None:
    name = folder_name(mailbox)
    assert (tmp_path / name).parent == tmp_path
    assert (tmp_path / name).resolve().parent == tmp_path.resolve()
    assert not name.startswith(".")
    assert unquote(name) == mailbox


def test_the_age_is_that_of_the_name(tmp_path: Path) -> None:
    room = Room(tmp_path, keep_days=90)
    old, young = room.leave("20260801-120000-aa"), room.leave("20261120-120000-bb")
    strange = tmp_path / "info@example.com" / "20260801-120000.txt"
    strange.write_text("not ours")
    room.look()
    assert [path.exists() for path in (old, old.with_suffix(".wav"), young, strange)] == [False, False, True, True]
