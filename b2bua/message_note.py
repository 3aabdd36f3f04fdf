"""What is known of a caller's message or wish to be called back, and what an e-mail says of it. Pure values.

A note is a JSON file beside the message; it is all that a mailer needs after a restart.
"""

import json
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from typing import Literal, get_args
from zoneinfo import ZoneInfo

State = Literal["waiting", "sent", "kept", "given_up"]

_ZONE = ZoneInfo("Europe/Berlin")
SECOND_NS = 1_000_000_000
#: After a failure; doubled with each, up to the longest.
SHORTEST_PAUSE_NS = 60 * SECOND_NS
LONGEST_PAUSE_NS = 3600 * SECOND_NS
#: Larger sounds are named, not attached: many mail servers take no more than 10 to 25 MB.
MOST_ATTACHED = 8 * 2**20

_TEXTS = {
    "de": {
        "message": "Sprachnachricht für {customer} von {caller}",
        "callback": "Rückrufbitte für {customer} von {caller}",
        "anonymous": "unbekannt",
        "body": "Kunde: {customer} ({contract})\nAnrufer: {caller}\nUmgeleitet von: {line}\nUm: {at}\n{rest}",
        "seconds": "Dauer: {seconds} Sekunden\n",
        "left_out": "Die Nachricht ist zu groß für eine E-Mail; sie liegt unter {path}.\n",
        "wish": "Der Anrufer bittet um Rückruf.\n",
    },
    "en": {
        "message": "Voice message for {customer} from {caller}",
        "callback": "{caller} asks {customer} to be called back",
        "anonymous": "unknown",
        "body": "Customer: {customer} ({contract})\nCaller: {caller}\nForwarded from: {line}\nAt: {at}\n{rest}",
        "seconds": "Length: {seconds} seconds\n",
        "left_out": "The message is too large for an e-mail; it is at {path}.\n",
        "wish": "The caller asks to be called back.\n",
    },
}  # fmt: skip


_KINDS: dict[object, tuple[type, ...]] = {int: (int,), float: (float, int)}


@dataclass(frozen=True, slots=True)
class Note:
    """``wav`` is the file's name beside the note, empty for a wish to be called back. ``left_ns``, ``next_ns`` (when it
    is to be sent next), ``tried_ns`` (when it was tried first) and ``sent_ns`` are wall-clock nanoseconds, 0 for never.
    A mailbox that is no e-mail address is ``kept`` in its folder."""

    mailbox: str
    call_id: str
    contract: str
    customer: str
    language: str
    caller: str
    forwarded_from: str
    left_ns: int
    seconds: float
    wav: str
    state: State = "waiting"
    attempts: int = 0
    next_ns: int = 0
    fault: str = ""
    tried_ns: int = 0
    sent_ns: int = 0

    def due(self, now_ns: int) -> bool:
        """True if it is to be sent now."""
        return self.state == "waiting" and self.next_ns <= now_ns

    def sent(self, now_ns: int) -> "Note":
        """The mail server has taken it."""
        return replace(self, state="sent", attempts=self.attempts + 1, fault="", sent_ns=now_ns)

    def failed(self, now_ns: int, fault: str, give_up_ns: int, final: bool = False) -> "Note":
        """Try again later; never again if that is ``final``, or ``give_up_ns`` after it was tried first."""
        attempts = self.attempts + 1
        tried_ns = self.tried_ns or now_ns
        state: State = "given_up" if final or now_ns - tried_ns >= give_up_ns else "waiting"
        return replace(
            self, state=state, attempts=attempts, next_ns=now_ns + pause_ns(attempts), fault=fault[:300],
            tried_ns=tried_ns,
        )  # fmt: skip

    def again(self) -> "Note":
        """Somebody has mended what was wrong: as if it had never been tried."""
        return replace(self, state="waiting", next_ns=0, tried_ns=0)


def pause_ns(failures: int, longest_ns: int = LONGEST_PAUSE_NS) -> int:
    """How long to wait after so many failures in a row, one at least."""
    return min(SHORTEST_PAUSE_NS << min(failures - 1, 20), longest_ns)


def is_address(mailbox: str) -> bool:
    """Whether a mailbox can be written to by e-mail."""
    name, at, domain = mailbox.rpartition("@")
    return bool(at and name and domain) and mailbox.isascii() and not any(sign in mailbox for sign in ' \r\n\t<>,;"')


def write_note(note: Note) -> str:
    """JSON."""
    return json.dumps(asdict(note), ensure_ascii=False, indent=1)


def read_note(text: str) -> Note:
    """Raises ``ValueError`` for what is no note."""
    try:
        note = Note(**json.loads(text))
    except (TypeError, ValueError) as error:
        raise ValueError(f"no note: {error}") from error
    for field in fields(Note):
        if type(getattr(note, field.name)) not in _KINDS.get(field.type, (str,)):
            raise ValueError(f"no note: {field.name} is of another kind")
    if note.state not in get_args(State):
        raise ValueError(f"no note: there is no state {note.state!r:.20}")
    return note


def mail_of(note: Note, sender: str, path: str, sound: bytes | None) -> EmailMessage:
    """The e-mail, with the sound if it is not too large; ``path`` is where that lies."""
    words = _TEXTS.get(note.language.partition("-")[0], _TEXTS["en"])
    caller = note.caller or words["anonymous"]
    at = datetime.fromtimestamp(note.left_ns // SECOND_NS, _ZONE)
    attach = sound is not None and len(sound) <= MOST_ATTACHED
    if not note.wav:
        rest = words["wish"]
    else:
        rest = words["seconds"].format(seconds=round(note.seconds)) + (
            "" if attach else words["left_out"].format(path=path)
        )
    mail = EmailMessage(policy=SMTP)
    subject = words["message" if note.wav else "callback"].format(customer=note.customer, caller=caller)
    mail["Subject"] = " ".join(subject.split())
    mail["From"] = sender
    mail["To"] = note.mailbox
    mail["Date"] = at
    # the same each time: a second copy can be told by it
    mail["Message-ID"] = f"<{note.call_id}.{note.left_ns}@{sender.rpartition('@')[2] or 'b2bua.invalid'}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(
        words["body"].format(
            customer=note.customer, contract=note.contract, caller=caller, line=note.forwarded_from or "-",
            at=f"{at:%d.%m.%Y %H:%M:%S}", rest=rest,
        ),
        # not every mail server takes eight bits
        cte="quoted-printable",
    )  # fmt: skip
    if attach and sound is not None:
        mail.add_attachment(sound, maintype="audio", subtype="wav", filename=note.wav)
    return mail
