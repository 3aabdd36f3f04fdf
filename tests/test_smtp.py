"""A real mail server on the loopback, and all that one may do wrong."""

import shutil
import smtplib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from b2bua.call.messages import Message
from b2bua.config import MailSection
from b2bua.mailer import Mailer
from b2bua.message_note import Note, mail_of, read_note
from b2bua.metrics import Metrics
from b2bua.smtp import AwayError, RefusedError, TooLargeError, send_by_smtp

LEFT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SENDER = "voicemail@service.example"
NOTE = Note("info@example.com", "c1", "kanzlei", "Müller", "de", "+4940", "", 10**18, 1.0, "a.wav")
MAIL = mail_of(NOTE, SENDER, "", b"RIFF")
PASSWORD = "correct horse"


class Inbox:
    """Takes mail, or refuses it at RCPT or DATA."""

    def __init__(self, rcpt: str = "250 OK", data: str = "250 OK") -> None:
        self.rcpt = rcpt
        self.data = data
        self.mails: list[Any] = []
        self.encrypted: list[bool] = []

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.rcpt.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.rcpt

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        if self.data.startswith("250"):
            self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
            self.encrypted.append(session.ssl is not None)
        return self.data


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def mail_server(inbox: Inbox, **options: Any) -> Iterator[int]:
    controller = Controller(inbox, hostname="127.0.0.1", port=free_port(), **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


def section(port: int, **others: Any) -> MailSection:
    return MailSection(host="127.0.0.1", port=port, sender=SENDER, **{"security": "none", **others})


def leave(folder: Path, mailer: Mailer, name: str = "a") -> Path:
    path = folder / "info@example.com" / f"{name}.wav"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"RIFF" + bytes(16_040))
    mailer.left(Message(path, "info@example.com", name, "kanzlei", "Kanzlei", "+4940", "", LEFT, "de", 1.0))
    return path.with_suffix(".json")


# -- what it takes ---------------------------------------------------------------------------------------


def test_the_message_arrives_as_it_was_spoken(tmp_path: Path) -> None:
    inbox = Inbox()
    with mail_server(inbox) as port:
        mailer = Mailer(tmp_path, section(port), 0, Metrics())
        note = leave(tmp_path, mailer)
        mailer.write_down()
        mailer.look()
        mailer.look()
    (mail,) = inbox.mails
    (sound,) = mail.iter_attachments()
    assert sound.get_content() == note.with_suffix(".wav").read_bytes()
    assert (mail["From"], mail["To"]) == (SENDER, "info@example.com")
    assert read_note(note.read_text()).state == "sent"


def test_the_threads_send_by_themselves_and_end(tmp_path: Path) -> None:
    inbox = Inbox()
    with mail_server(inbox) as port:
        mailer = Mailer(tmp_path, section(port), 0, Metrics())
        mailer.start()
        notes = [leave(tmp_path, mailer, f"call-{number}") for number in range(10)]
        wait_until(lambda: len(inbox.mails) == 10)
        mailer.stop()
    assert [read_note(note.read_text()).state for note in notes] == ["sent"] * 10


def wait_until(done: Any) -> None:
    end = time.monotonic() + 20
    while not done():
        assert time.monotonic() < end
        threading.Event().wait(0.01)


# -- encryption and password -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command")
    folder = tmp_path_factory.mktemp("tls")
    files = (folder / "certificate.pem", folder / "key.pem")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "1", "-subj", "/CN=mail.example", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", files[1], "-out", files[0],
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return files


def authenticate(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"us", PASSWORD.encode())
    return AuthResult(success=right, handled=right)


@contextmanager
def encrypted_server(inbox: Inbox, certificate: tuple[Path, Path], security: str) -> Iterator[int]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    if security == "starttls":
        options: dict[str, Any] = {"tls_context": context, "require_starttls": True}
        with mail_server(inbox, authenticator=authenticate, auth_required=True, **options) as port:
            yield port
    else:
        # aiosmtpd sees what is encrypted from the start as not encrypted
        options = {"ssl_context": context, "auth_require_tls": False}
        with mail_server(inbox, authenticator=authenticate, auth_required=True, **options) as port:
            yield port


def password_file(folder: Path, password: str = PASSWORD) -> Path:
    path = folder / "password"
    path.write_text(f"{password}\n")
    return path


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_the_password_goes_through_an_encrypted_connection(
    tmp_path: Path, certificate: tuple[Path, Path], security: str
) -> None:
    inbox = Inbox()
    context = ssl.create_default_context(cafile=certificate[0])
    with encrypted_server(inbox, certificate, security) as port:
        mail = section(port, security=security, user="us", password_file=password_file(tmp_path))
        send_by_smtp(mail, MAIL, context)
    assert len(inbox.mails) == 1


def test_a_wrong_password_stops_all_messages_and_is_told_without_the_password(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    context = ssl.create_default_context(cafile=certificate[0])
    with encrypted_server(Inbox(), certificate, "starttls") as port:
        mail = section(port, security="starttls", user="us", password_file=password_file(tmp_path, "wrong one"))
        with pytest.raises(AwayError, match="535") as told:
            send_by_smtp(mail, MAIL, context)
    assert "wrong one" not in str(told.value)


def test_a_password_file_that_is_gone_is_no_messages_fault(tmp_path: Path) -> None:
    mail = section(free_port(), security="starttls", user="us", password_file=tmp_path / "gone")
    with pytest.raises(AwayError, match="FileNotFoundError"):
        send_by_smtp(mail, MAIL)


def test_a_stranger_with_a_certificate_of_his_own_gets_no_message(certificate: tuple[Path, Path]) -> None:
    inbox = Inbox()
    with encrypted_server(inbox, certificate, "starttls") as port, pytest.raises(AwayError, match="CERTIFICATE"):
        send_by_smtp(section(port, security="starttls"), MAIL)
    assert inbox.mails == []


def test_without_the_encryption_that_was_asked_for_nothing_is_sent() -> None:
    inbox = Inbox()
    with mail_server(inbox) as port, pytest.raises(AwayError, match="STARTTLS"):
        send_by_smtp(section(port, security="starttls"), MAIL)
    assert inbox.mails == []


# -- refusals --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rcpt", "data", "raised"),
    [
        ("450 later", "", smtplib.SMTPRecipientsRefused),
        ("550 no such user", "", RefusedError),
        ("250 OK", "451 later", smtplib.SMTPDataError),
        ("250 OK", "554 looks like spam", RefusedError),
        ("250 OK", "552 too much", TooLargeError),
    ],
)
def test_a_refusal_is_final_or_not(rcpt: str, data: str, raised: type[Exception]) -> None:
    with mail_server(Inbox(rcpt, data)) as port, pytest.raises(raised):
        send_by_smtp(section(port), MAIL)


def test_a_size_that_the_mail_server_says_it_does_not_take_is_too_large() -> None:
    large = mail_of(NOTE, SENDER, "", bytes(100_000))
    with mail_server(Inbox(), data_size_limit=50_000) as port, pytest.raises(TooLargeError):
        send_by_smtp(section(port), large)


def test_nobody_at_the_port_may_pass() -> None:
    with pytest.raises(AwayError, match="ConnectionRefused"):
        send_by_smtp(section(free_port()), MAIL)


# -- mail servers that behave badly: answers by the book, up to a point -----------------------------------

_DIES = "dies"
_SILENT = "silent"
_DRIBBLES = "dribbles"


class BadServer:
    """Answers what each command is to be answered with; ``dot`` is the end of the message."""

    def __init__(self, **answers: str) -> None:
        self.taken = 0
        self._answers = {
            "hello": "220 hello", "ehlo": "250 OK", "mail": "250 OK", "rcpt": "250 OK", "data": "354 go on",
            "dot": "250 taken", "helo": "250 OK", "quit": "221 bye", "rset": "250 OK", **answers,
        }  # fmt: skip
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._over = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._over.set()
        self._socket.close()

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection, connection.makefile("rb") as lines:
            if not self._answer(connection, "hello"):
                return
            in_message = False
            for line in lines:
                if in_message:
                    if line != b".\r\n":
                        continue
                    in_message, word = False, "dot"
                else:
                    word = line[:4].strip().decode().lower()
                    in_message = word == "data"
                if not self._answer(connection, word):
                    return

    def _answer(self, connection: socket.socket, word: str) -> bool:
        answer = self._answers[word]
        if word == "dot":
            self.taken += answer.startswith("250")
        if answer == _SILENT:
            self._over.wait(20)
        elif answer == _DRIBBLES:
            while not self._over.wait(0.05):
                try:
                    connection.send(b"2")
                except OSError:
                    break
        elif answer != _DIES:
            connection.sendall(f"{answer}\r\n".encode())
            return True
        return False


@contextmanager
def bad_server(**answers: str) -> Iterator[BadServer]:
    server = BadServer(**answers)
    try:
        yield server
    finally:
        server.close()


@pytest.mark.parametrize("word", ["hello", "ehlo"])
@pytest.mark.parametrize("fault", [_DIES, _SILENT])
def test_who_does_not_get_as_far_as_the_message_is_away(word: str, fault: str) -> None:
    with bad_server(**{word: fault}) as server, pytest.raises(AwayError):
        send_by_smtp(section(server.port, patience_seconds=0.2), MAIL)


@pytest.mark.parametrize("word", ["mail", "rcpt", "data", "dot"])
@pytest.mark.parametrize("fault", [_DIES, _SILENT])
def test_who_dies_or_falls_silent_in_the_middle_is_asked_again(tmp_path: Path, word: str, fault: str) -> None:
    with bad_server(**{word: fault}) as server:
        mailer = Mailer(tmp_path, section(server.port, patience_seconds=0.2), 0, Metrics())
        note = leave(tmp_path, mailer)
        mailer.write_down()
        mailer.look()
    waiting = read_note(note.read_text())
    assert (waiting.state, waiting.attempts) == ("waiting", 1)


def test_a_mail_server_that_never_comes_to_an_end_is_cut_off() -> None:
    began = time.monotonic()
    with bad_server(mail=_DRIBBLES) as server, pytest.raises((smtplib.SMTPException, OSError)):
        send_by_smtp(section(server.port, patience_seconds=0.1), MAIL)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("goodbye", [_DIES, _SILENT, "421 shutting down", "500 what"])
def test_what_was_taken_is_taken_however_the_mail_server_says_goodbye(goodbye: str) -> None:
    with bad_server(quit=goodbye) as server:
        send_by_smtp(section(server.port, patience_seconds=0.2), MAIL)
        assert server.taken == 1


def test_a_silent_mail_server_holds_up_no_note(tmp_path: Path) -> None:
    with bad_server(mail=_SILENT) as server:
        mailer = Mailer(tmp_path, section(server.port, patience_seconds=5.0), 0, Metrics())
        first = leave(tmp_path, mailer, "first")
        mailer.start()
        wait_until(first.exists)
        second = leave(tmp_path, mailer, "second")
        began = time.monotonic()
        wait_until(second.exists)
        assert time.monotonic() - began < 2.5
        server.close()
        mailer.stop()
