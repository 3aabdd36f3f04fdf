"""Mailers killed with signal 9 while they send: every message arrives, and none twice but those that fell between."""

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from b2bua.message_note import read_note
from tests.test_smtp import Inbox, mail_server, wait_until

KILLS = 4
MESSAGES = 6

#: Notes the messages of one round, says so, and sends until it is killed.
_PROCESS = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from b2bua.call.messages import Message
from b2bua.config import MailSection
from b2bua.mailer import Mailer
from b2bua.metrics import Metrics
folder, port, round_, count = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
mail = MailSection(host="127.0.0.1", port=port, security="none", sender="voicemail@service.example")
mailer = Mailer(folder, mail, 0, Metrics())
mailer.start()
for number in range(count):
    path = folder / "info@example.com" / f"20261123-1200{number:02}-{round_}.wav"
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_suffix(".wav.part")
    unfinished.write_bytes(b"RIFF" + bytes(40_000))
    unfinished.replace(path)
    mailer.left(Message(path, "info@example.com", path.stem, "k", "K", "+49", "", datetime.now(UTC), "de", 2.5))
print("left", flush=True)
while True:
    time.sleep(1)
"""


def test_killed_again_and_again_every_message_arrives(tmp_path: Path) -> None:
    inbox = Inbox()
    with mail_server(inbox) as port:
        for number in range(KILLS):
            # some are killed before, some while, some after they send
            wanted = MESSAGES * number + number
            _run(tmp_path, port, number, MESSAGES, partial(_arrived, inbox, wanted))
        _run(tmp_path, port, KILLS, 0, lambda: _all_sent(tmp_path))
    sounds = Counter(next(mail.iter_attachments()).get_filename() for mail in inbox.mails)
    assert set(sounds) == {
        f"20261123-1200{number:02}-{round_}.wav" for round_ in range(KILLS) for number in range(MESSAGES)
    }
    # between the mail server's answer and the note lies one message at most
    assert len(inbox.mails) - len(sounds) <= KILLS


def _arrived(inbox: Inbox, count: int) -> bool:
    return len(inbox.mails) >= count


def _all_sent(folder: Path) -> bool:
    sounds = list(folder.rglob("*.wav"))
    notes = [path.with_suffix(".json") for path in sounds]
    return all(path.exists() and read_note(path.read_text()).state == "sent" for path in notes)


def _run(folder: Path, port: int, number: int, count: int, enough: Callable[[], bool]) -> None:
    arguments = [sys.executable, "-c", _PROCESS, str(folder), str(port), str(number), str(count)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "left\n"
        wait_until(enough)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
