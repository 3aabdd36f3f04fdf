"""Sends callers' messages and wishes to be called back by e-mail, and deletes them by age; in a thread of its own.

Everything lies in the voicemail folder: a sound and its note (``message_note``). A note is on the disk before a mail
server is asked, so nothing is lost with the process; a message is sent twice only if the process dies between the mail
server's answer and the note of it.
"""

import contextlib
import os
import smtplib
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import structlog

from b2bua.call.messages import Message
from b2bua.config import MailSection
from b2bua.message_note import SECOND_NS, Note, is_address, mail_of, read_note, write_note
from b2bua.metrics import Metrics, Sample

log = structlog.get_logger("b2bua.mail")

DAY_NS = 86_400 * SECOND_NS
SCAN_NS = 60 * SECOND_NS
_LOOK = 5.0
#: Of one look, so that a stop never waits long.
_MOST_AT_ONCE = 50
_NOTES = 256 * 1024


class RefusedError(Exception):
    """The mail server will never take this one; the text is its own."""


class Mailer:
    """``mail`` without a host: notes are kept, nothing is sent. ``keep_days`` of 0 deletes nothing."""

    def __init__(
        self,
        folder: Path,
        mail: MailSection,
        keep_days: int,
        metrics: Metrics,
        wall_clock: Callable[[], int] = time.time_ns,
        send: Callable[[MailSection, EmailMessage], None] | None = None,
    ) -> None:
        self._folder = folder
        self._mail = mail
        self._keep_days = keep_days
        self._wall_clock = wall_clock
        self._send = send or send_by_smtp
        self._left: deque[Message] = deque()
        self._notes: dict[Path, Note] = {}
        self._scan_at = 0
        self._sweep_at = 0
        self._sent = 0
        self._given_up = 0
        self._stopped = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mail", daemon=True)
        metrics.sample(self._samples)

    def left(self, message: Message) -> None:
        """A caller has left this; any thread, never waits."""
        self._left.append(message)
        self._wake.set()

    def start(self) -> None:
        """Take up what an earlier process left, and work from now on."""
        self._thread.start()

    def stop(self, patience: float = 10.0) -> None:
        """Write the notes of what was left last; what is not sent yet, the next start sends."""
        self._stopped = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(patience)

    def take_up(self) -> None:
        """Find the notes that wait, and sounds that a crash left without one."""
        known = {message.path for message in self._left}
        for path in sorted(self._folder.rglob("*.json")):
            try:
                note = read_note(path.read_bytes()[:_NOTES].decode())
            except (OSError, ValueError) as error:
                log.warning("note_unreadable", path=str(path), error=str(error)[:200])
                continue
            if note.state == "waiting":
                self._notes[path] = note
        for path in sorted(self._folder.rglob("*.wav")):
            if path not in known and not path.with_suffix(".json").exists():
                self._write(path.with_suffix(".json"), self._orphan(path))

    def _orphan(self, path: Path) -> Note:
        status = path.stat()
        # 8000 samples a second of two octets, behind a header
        seconds = max(0, status.st_size - 44) / 16_000
        mailbox = path.parent.name
        return self._opened(Note(mailbox, path.stem, "", "", "", "", "", status.st_mtime_ns, seconds, path.name))

    def look(self) -> None:
        """Write down what is new, send what is due, delete what is old."""
        now = self._wall_clock()
        if now >= self._scan_at:
            # `b2bua messages --retry` writes notes, too
            self._scan_at = now + SCAN_NS
            self.take_up()
        while self._left:
            message = self._left.popleft()
            self._write(message.path.with_suffix(".json"), self._opened(note_of(message)))
        due = [(path, note) for path, note in self._notes.items() if note.due(now)]
        for path, note in due[:_MOST_AT_ONCE]:
            if self._stopped:
                return
            self._write(path, self._tried(path, note))
        if self._keep_days and now >= self._sweep_at:
            self._sweep_at = now + DAY_NS
            self._sweep(now - self._keep_days * DAY_NS)

    def _opened(self, note: Note) -> Note:
        wanted = bool(self._mail.host) and is_address(note.mailbox)
        return note if wanted else replace(note, state="kept")

    def _tried(self, path: Path, note: Note) -> Note:
        give_up_ns = self._mail.give_up_days * DAY_NS
        try:
            wav = path.with_suffix(".wav")
            sound = wav.read_bytes() if note.wav else None
            self._send(self._mail, mail_of(note, self._mail.sender, str(wav), sound))
        except RefusedError as error:
            tried = note.failed(self._wall_clock(), str(error), give_up_ns, final=True)
        except FileNotFoundError:
            tried = note.failed(self._wall_clock(), "the sound is gone", give_up_ns, final=True)
        except (OSError, smtplib.SMTPException) as error:
            tried = note.failed(self._wall_clock(), f"{type(error).__name__}: {error}", give_up_ns)
        else:
            self._sent += 1
            log.info("mail_sent", call_id=note.call_id, attempts=note.attempts + 1)
            return note.sent()
        if tried.state == "given_up":
            self._given_up += 1
            log.error("mail_given_up", call_id=note.call_id, fault=tried.fault, note=str(path))
        elif tried.attempts == 1:
            log.warning("mail_waits", call_id=note.call_id, fault=tried.fault)
        return tried

    def _write(self, path: Path, note: Note) -> None:
        """Whole or not at all, and on the disk."""
        if note.state == "waiting":
            self._notes[path] = note
        else:
            self._notes.pop(path, None)
        unfinished = path.with_suffix(".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with unfinished.open("w", encoding="utf-8") as file:
                file.write(write_note(note))
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except OSError as error:
            log.error("note_unwritten", path=str(path), error=error.strerror)

    def _sweep(self, before_ns: int) -> None:
        deleted = 0
        for path in [*self._folder.rglob("*.wav"), *self._folder.rglob("*.json")]:
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime_ns < before_ns:
                    path.unlink()
                    self._notes.pop(path, None)
                    deleted += 1
        if deleted:
            log.info("messages_deleted", files=deleted, older_than_days=self._keep_days)

    def _samples(self) -> Iterator[Sample]:
        yield "b2bua_mail_waiting", "Messages that wait to be sent", float(len(self._notes) + len(self._left))
        yield "b2bua_mail_sent_total", "Messages sent by e-mail", float(self._sent)
        yield "b2bua_mail_given_up_total", "Messages that no mail server took", float(self._given_up)

    def _run(self) -> None:
        while True:
            try:
                self.look()
            except OSError as error:
                log.error("voicemail_unreadable", folder=str(self._folder), error=error.strerror)
            if self._stopped and not self._left:
                return
            self._wake.wait(_LOOK)
            self._wake.clear()


def note_of(message: Message) -> Note:
    """What is to be remembered of a message."""
    return Note(
        message.mailbox, message.call_id, message.contract, message.customer, message.language, message.caller,
        message.forwarded_from, round(message.left_at.timestamp() * SECOND_NS), message.seconds,
        message.path.name if message.seconds else "",
    )  # fmt: skip


def send_by_smtp(mail: MailSection, message: EmailMessage) -> None:
    """Raises RefusedError for what is final, ``smtplib.SMTPException`` and ``OSError`` for what may pass."""
    context = ssl.create_default_context()
    patience = mail.patience_seconds
    if mail.security == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(mail.host, mail.port, timeout=patience, context=context)
    else:
        server = smtplib.SMTP(mail.host, mail.port, timeout=patience)
    with server:
        if mail.security == "starttls":
            server.starttls(context=context)
        if mail.user:
            server.login(mail.user, mail.password)
        try:
            server.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            for code, text in error.recipients.values():
                if code >= 500:
                    raise RefusedError(f"{code} {text.decode(errors='replace')}") from error
            raise
        except smtplib.SMTPDataError as error:
            if error.smtp_code >= 500:
                raise RefusedError(f"{error.smtp_code} {error.smtp_error!r}") from error
            raise
