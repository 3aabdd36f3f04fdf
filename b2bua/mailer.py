"""Sends callers' messages and wishes to be called back by e-mail, and deletes them by age; in threads of its own.

Everything lies in the voicemail folder: a sound and its note (``message_note``). A note is on the disk before a mail
server is asked, so nothing is lost with the process. One thread writes down what was left, at once; the other one may
wait for a mail server. A message is sent twice only if the process dies, or the connection breaks, between the mail
server's taking it and our hearing and noting that.
"""

import smtplib
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
from b2bua.message_note import MOST_ATTACHED, SECOND_NS, Note, is_address, mail_of, pause_ns
from b2bua.metrics import Metrics, Sample
from b2bua.outbox import Outbox, Unreadable
from b2bua.smtp import AwayError, RefusedError, TooLargeError, send_by_smtp

log = structlog.get_logger("b2bua.mail")

DAY_NS = 86_400 * SECOND_NS
#: While a mail server is away it is asked no more seldom.
LONGEST_AWAY_NS = 600 * SECOND_NS
#: How often the threads look whether something is due, seconds.
_LOOK = 5.0
#: Of one look, so that other things get their turn.
_MOST_AT_ONCE = 50


class Mailer:
    """``mail`` without a host: notes are kept, nothing is sent. ``keep_days`` of 0 deletes nothing."""

    def __init__(
        self,
        folder: Path,
        mail: MailSection,
        keep_days: int,
        metrics: Metrics,
        wall_clock: Callable[[], int] = time.time_ns,
        send: Callable[[MailSection, EmailMessage], None] = send_by_smtp,
    ) -> None:
        self._outbox = Outbox(folder)
        self._mail = mail
        self._keep_days = keep_days
        self._wall_clock = wall_clock
        self._send = send
        #: sounds that are older and have no note, nobody will tell us of
        self._began_ns = wall_clock()
        self._left: deque[Message] = deque()
        self._notes: dict[Path, Note] = {}
        self._lock = threading.Lock()
        #: what has become of notes, and is not on the disk yet
        self._unwritten: dict[Path, Note] = {}
        self._taken_up = False
        self._failures = 0
        self._away_until = 0
        self._sweep_at = 0
        self._sent = 0
        self._given_up = 0
        self._disk_takes = True
        self._stopped = False
        self._wake_writer = threading.Event()
        self._wake_sender = threading.Event()
        self._writer = threading.Thread(target=self._run_writer, name="notes", daemon=True)
        self._sender = threading.Thread(target=self._run_sender, name="mail", daemon=True)
        metrics.sample(self._samples)

    def left(self, message: Message) -> None:
        """A caller has left this; any thread, never waits."""
        self._left.append(message)
        self._wake_writer.set()

    def start(self) -> None:
        """Take up what an earlier process left, and work from now on."""
        try:
            self._outbox.prepare()
        except OSError as error:
            log.error("voicemail_unreadable", error=error.strerror)
        self._writer.start()
        self._sender.start()

    def stop(self, patience: float = 10.0) -> None:
        """Write the notes of what was left last; what is not sent yet, the next start sends."""
        self._stopped = True
        end = time.monotonic() + patience
        for thread, wake in ((self._writer, self._wake_writer), (self._sender, self._wake_sender)):
            wake.set()
            if thread.is_alive():
                thread.join(max(0.0, end - time.monotonic()))
        if self._left:
            log.error("notes_lost", count=len(self._left), hint="the next start finds the sounds, but not who called")

    # -- what callers leave ------------------------------------------------------------------------------

    def write_down(self) -> None:
        """Write the notes of what was left. What the disk does not take stays, and is not sent before."""
        for _ in range(len(self._left)):
            message = self._left.popleft()
            path, note = message.path.with_suffix(".json"), self._opened(note_of(message))
            try:
                written = self._write(path, note)
            except Exception:
                # one that cannot be written at all does not keep the others
                log.error("note_impossible", call_id=note.call_id, exc_info=True)
                continue
            if not written:
                self._left.append(message)
            elif note.state == "waiting":
                with self._lock:
                    self._notes[path] = note
                self._wake_sender.set()

    def _opened(self, note: Note) -> Note:
        wanted = bool(self._mail.host) and is_address(note.mailbox)
        return note if wanted else replace(note, state="kept")

    def _write(self, path: Path, note: Note) -> bool:
        try:
            self._outbox.write(path, note)
        except OSError as error:
            if self._disk_takes:
                self._disk_takes = False
                log.error(
                    "notes_unwritten", error=error.strerror, hint="tried again until the voicemail folder takes them"
                )
            return False
        self._disk_takes = True
        return True

    # -- what becomes of it ------------------------------------------------------------------------------

    def look(self) -> None:
        """Send what is due, delete what is old."""
        now = self._wall_clock()
        if not self._taken_up:
            self._take_up()
        self._unwritten = {path: note for path, note in self._unwritten.items() if not self._write(path, note)}
        asked = self._outbox.asked_again()
        if asked:
            self._try_again(asked)
        self._send_due(now)
        if self._keep_days and now >= self._sweep_at and not self._stopped:
            self._sweep_at = now + DAY_NS
            self._sweep(now - self._keep_days * DAY_NS)

    def _take_up(self) -> None:
        """Find the notes that wait, and sounds that a crash left without one."""
        found = {path: note for path, note in self._readable() if note.state == "waiting"}
        for path, note in self._outbox.orphans(self._began_ns):
            opened = self._opened(note)
            if self._write(path, opened) and opened.state == "waiting":
                found[path] = opened
        with self._lock:
            # what was left since then is newer
            self._notes = found | self._notes
        self._taken_up = True

    def _readable(self) -> Iterator[tuple[Path, Note]]:
        for found in self._outbox.notes():
            if isinstance(found, Unreadable):
                log.warning("note_unreadable", path=str(found.path), error=found.why)
            else:
                yield found

    def _try_again(self, mailboxes: frozenset[str]) -> None:
        """What was given up, what waits, and what was kept before there was a mail server."""
        self._failures = self._away_until = count = 0
        for path, note in list(self._readable()):
            wanted = "" in mailboxes or note.mailbox in mailboxes
            if wanted and note.state != "sent" and path not in self._unwritten:
                again = self._opened(note.again())
                if again.state == "waiting" and self._write(path, again):
                    count += 1
                    with self._lock:
                        self._notes[path] = again
        log.info("messages_tried_again", count=count)

    def _send_due(self, now: int) -> None:
        with self._lock:
            due = [(path, note) for path, note in self._notes.items() if note.due(now)]
        due.sort(key=lambda item: (item[1].next_ns, item[1].left_ns))
        for path, note in due[:_MOST_AT_ONCE]:
            if self._stopped or self._wall_clock() < self._away_until or not self._mail.host:
                return
            tried = self._tried(path, note)
            with self._lock:
                if tried.state == "waiting":
                    self._notes[path] = tried
                else:
                    self._notes.pop(path, None)
            if not self._write(path, tried):
                self._unwritten[path] = tried

    def _tried(self, path: Path, note: Note) -> Note:
        try:
            self._hand_over(path, note)
        except RefusedError as error:
            return self._failed(path, note, str(error), final=True)
        except AwayError as error:
            # the same would happen to all the others
            self._failures += 1
            self._away_until = self._wall_clock() + pause_ns(self._failures, LONGEST_AWAY_NS)
            return self._failed(path, note, str(error))
        except (OSError, smtplib.SMTPException) as error:
            return self._failed(path, note, f"{type(error).__name__}: {error}")
        except Exception as error:
            # one message that cannot be made into an e-mail does not keep the others
            return self._failed(path, note, f"{type(error).__name__}: {error}")
        self._failures = 0
        self._sent += 1
        log.info("mail_sent", call_id=note.call_id, attempts=note.attempts + 1)
        return note.sent(self._wall_clock())

    def _hand_over(self, path: Path, note: Note) -> None:
        wav = path.with_suffix(".wav")
        sound: bytes | None = None
        if note.wav:
            try:
                sound = wav.read_bytes() if wav.stat().st_size <= MOST_ATTACHED else None
            except FileNotFoundError:
                raise RefusedError("the sound is gone") from None
        try:
            self._send(self._mail, mail_of(note, self._mail.sender, str(wav), sound))
        except TooLargeError:
            if sound is None:
                raise RefusedError("too large") from None
            self._send(self._mail, mail_of(note, self._mail.sender, str(wav), None))

    def _failed(self, path: Path, note: Note, fault: str, final: bool = False) -> Note:
        tried = note.failed(self._wall_clock(), fault, self._mail.give_up_days * DAY_NS, final)
        if tried.state == "given_up":
            self._given_up += 1
            log.error("mail_given_up", call_id=note.call_id, fault=tried.fault, note=path.name)
        elif tried.attempts == 1:
            log.warning("mail_waits", call_id=note.call_id, fault=tried.fault)
        return tried

    def _sweep(self, before_ns: int) -> None:
        deleted = self._outbox.delete(before_ns)
        unsent = 0
        with self._lock:
            for path in deleted:
                unsent += self._notes.pop(path, None) is not None
        for path in deleted:
            self._unwritten.pop(path, None)
        if deleted:
            log.info("messages_deleted", count=len(deleted), unsent=unsent, older_than_days=self._keep_days)

    def _samples(self) -> Iterator[Sample]:
        yield "b2bua_mail_waiting", "Messages that wait to be sent", float(len(self._notes))
        yield "b2bua_mail_sent_total", "Messages sent by e-mail", float(self._sent)
        yield "b2bua_mail_given_up_total", "Messages that no mail server took", float(self._given_up)
        yield "b2bua_messages_unwritten", "Messages whose notes are not on the disk yet", float(len(self._left))

    def _run_writer(self) -> None:
        while True:
            self.write_down()
            if self._stopped:
                return
            self._wake_writer.wait(_LOOK if self._left else None)
            self._wake_writer.clear()

    def _run_sender(self) -> None:
        while not self._stopped:
            try:
                self.look()
            except OSError as error:
                log.error("voicemail_unreadable", error=error.strerror)
            except Exception:
                log.error("mail_faulty", exc_info=True)
            self._wake_sender.wait(_LOOK)
            self._wake_sender.clear()


def note_of(message: Message) -> Note:
    """What is to be remembered of a message."""
    return Note(
        message.mailbox, message.call_id, message.contract, message.customer, message.language, message.caller,
        message.forwarded_from, round(message.left_at.timestamp() * SECOND_NS), message.seconds,
        message.path.name if message.seconds else "",
    )  # fmt: skip
