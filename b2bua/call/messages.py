"""Voicemail: where a caller's message goes, and who is told that it is there."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from b2bua.call.call import Call

#: No number and hardly a name is longer.
_MOST_SHOWN = 64


@dataclass(frozen=True, slots=True)
class Message:
    """One caller's message, or, of no ``seconds``, the wish to be called back, which has no sound at its ``path``.

    ``left_at`` is UTC; ``caller`` is empty when anonymous.
    """

    path: Path
    mailbox: str
    call_id: str
    contract: str
    customer: str
    caller: str
    forwarded_from: str
    left_at: datetime
    language: str = "de"
    seconds: float = 0.0


class Messages:
    """Names the files and remembers whose they are until the media engine has written them.

    ``left(message)`` is called for each message that is there and whole, and for each wish to be called back, which
    is ``callback_mailbox``'s.
    """

    def __init__(
        self,
        folder: Path,
        most_seconds: float,
        left: Callable[[Message], None],
        callback_mailbox: str = "callbacks",
    ) -> None:
        self.most_seconds = most_seconds
        self._folder = folder
        self._callback_mailbox = callback_mailbox
        self._left = left
        self._recording: dict[Path, Message] = {}

    def begin(self, call: "Call", mailbox: str, wall_ns: int) -> Path:
        """Where the message of this call goes."""
        message = self._message(call, mailbox, wall_ns)
        self._recording[message.path] = message
        return message.path

    def callback_wanted(self, call: "Call", wall_ns: int) -> None:
        """The caller asks to be called back."""
        self._left(self._message(call, self._callback_mailbox, wall_ns))

    def _message(self, call: "Call", mailbox: str, wall_ns: int) -> Message:
        left_at = datetime.fromtimestamp(wall_ns / 1e9, UTC)
        summary = call.summary
        path = self._folder / folder_name(mailbox) / f"{left_at:%Y%m%d-%H%M%S}-{call.id}.wav"
        return Message(
            path,
            mailbox,
            call.id,
            call.contract.id,
            call.contract.customer,
            "" if summary.caller.anonymous else shown(summary.caller.user),
            shown(summary.forwarding.line) if summary.forwarding is not None else "",
            left_at,
            call.contract.language,
        )

    def ended(self, path: Path, seconds: float) -> Message | None:
        """The recording is over; None if nothing was said, or it is not one of ours."""
        begun = self._recording.pop(path, None)
        if begun is None or not seconds:
            return None
        message = replace(begun, seconds=seconds)
        self._left(message)
        return message


def shown(text: str) -> str:
    """What the network says of somebody may be no text at all (lone surrogates), break lines, or have no end."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:_MOST_SHOWN])


def folder_name(mailbox: str) -> str:
    """A mailbox is the back office's text, and no path; ``urllib.parse.unquote`` makes the mailbox of it again."""
    name = "".join(sign if sign.isalnum() or sign in "@.-_+" else quote(sign, safe="") for sign in mailbox)
    return name if not name.startswith(".") else f"%2E{name[1:]}"
