"""Hands one e-mail to the mail server (RFC 5321). Blocks; for threads."""

import contextlib
import smtplib
import socket
import ssl
import threading
from email.message import EmailMessage

from b2bua.config import MailSection

#: A conversation takes so many times the patience for one answer at most.
_PATIENCES = 10
#: Too much mail data (RFC 5321 section 4.2.3; 523 is what some servers say).
_TOO_LARGE = frozenset((552, 523))


class RefusedError(Exception):
    """The mail server will never take this one; the text is its own."""


class TooLargeError(Exception):
    """The mail server would take a smaller one."""


class AwayError(Exception):
    """The mail server cannot be spoken with, whatever the message: connection, TLS, login, our password file."""


def send_by_smtp(mail: MailSection, message: EmailMessage, context: ssl.SSLContext | None = None) -> None:
    """Returns when the mail server has taken the message.

    Raises RefusedError, TooLargeError, AwayError, and ``smtplib.SMTPException`` or ``OSError`` for what may pass.
    """
    context = context or ssl.create_default_context()
    try:
        password = mail.password
        server = _connect(mail, context)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        raise AwayError(_told(error)) from error
    # patience is for one answer; who sends a letter a second would hold us for ever
    end = threading.Timer(_PATIENCES * mail.patience_seconds, _cut, (server,))
    end.daemon = True
    end.start()
    try:
        try:
            _introduce(server, mail, password, context)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise AwayError(_told(error)) from error
        _send(server, message)
    finally:
        # once the message is taken, it is, however the mail server says goodbye
        with contextlib.suppress(OSError, smtplib.SMTPException):
            server.quit()
        server.close()
        end.cancel()


def _connect(mail: MailSection, context: ssl.SSLContext) -> smtplib.SMTP:
    if mail.security == "tls":
        return smtplib.SMTP_SSL(mail.host, mail.reached_at, timeout=mail.patience_seconds, context=context)
    return smtplib.SMTP(mail.host, mail.reached_at, timeout=mail.patience_seconds)


def _introduce(server: smtplib.SMTP, mail: MailSection, password: str, context: ssl.SSLContext) -> None:
    if mail.security == "starttls":
        server.starttls(context=context)
    server.ehlo_or_helo_if_needed()
    if mail.user:
        server.login(mail.user, password)


def _send(server: smtplib.SMTP, message: EmailMessage) -> None:
    try:
        server.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        for code, text in error.recipients.values():
            _raise_final(code, text, error)
        raise
    except smtplib.SMTPSenderRefused as error:
        # 5xx is about us, not about the message, and the operator's to mend; but its size is asked here, too
        if error.smtp_code in _TOO_LARGE:
            raise TooLargeError from error
        raise
    except smtplib.SMTPDataError as error:
        _raise_final(error.smtp_code, error.smtp_error, error)
        raise


def _raise_final(code: int, text: bytes | str, cause: Exception) -> None:
    if code in _TOO_LARGE:
        raise TooLargeError from cause
    if code >= 500:
        shown = text if isinstance(text, str) else text.decode(errors="replace")
        raise RefusedError(f"{code} {shown}") from cause


def _cut(server: smtplib.SMTP) -> None:
    connection = server.sock
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


def _told(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error
        shown = text if isinstance(text, str) else text.decode(errors="replace")
        return f"{error.smtp_code} {shown}"
    return f"{type(error).__name__}: {error}"
