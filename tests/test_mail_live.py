"""From the caller's telephone to the mailbox: a real server, a real call, a real mail server; and what check says."""

import asyncio
import io
import signal
import wave
from collections.abc import AsyncIterator, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from typer.testing import CliRunner, Result

from b2bua.cli import app
from tests.test_process import CONFIG, Operator, work
from tests.test_smtp import free_port

_CONTRACTS = """
[[agents]]
id = "away"
name = "Away"
endpoints = [{ username = "away", password = "example-password" }]

[[contracts]]
id = "praxis-winter"
customer = "Praxis Winter"
target_numbers = ["+49302000110"]
plan = [{ agent = "away", ring_seconds = 5 }]
overflow = { voicemail = "info@praxis-winter.example" }
tariff = "minute"

[[contracts]]
id = "autohaus-herbst"
customer = "Autohaus Herbst"
language = "en"
target_numbers = ["+49302000111"]
plan = [{ agent = "away", ring_seconds = 5 }]
overflow = { callback = true }
tariff = "minute"
"""
_SECTIONS = """
[voicemail]
folder = "{folder}/voicemail"
callback_mailbox = "office@service.example"

[mail]
host = "127.0.0.1"
port = {port}
security = "none"
sender = "voicemail@service.example"
"""


class Inbox:
    """Takes everything."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, int]]:
    inbox, port = Inbox(), free_port()
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield inbox, port
    controller.stop()


@pytest.fixture
async def operator(tmp_path: Path, inbox: tuple[Inbox, int]) -> AsyncIterator[Operator]:
    operator = Operator(tmp_path)
    with operator.config.open("a") as file:
        file.write(_SECTIONS.format(folder=tmp_path, port=inbox[1]))
    with (tmp_path / "contracts.toml").open("a") as file:
        file.write(_CONTRACTS)
    async for working in work(operator):
        yield working


async def leave(operator: Operator, number: str, seconds: float, caller: str = "") -> None:
    call = operator.caller.call(f"sip:{number}@127.0.0.1:{operator.port}", ("127.0.0.1", operator.port), caller=caller)
    async with asyncio.timeout(20):
        await call.answered.wait()
        if seconds:
            await asyncio.sleep(seconds)
            call.hangup()
        await call.ended.wait()


async def arrived(inbox: Inbox, count: int) -> None:
    async with asyncio.timeout(20):
        while len(inbox.mails) < count:
            await asyncio.sleep(0.05)


async def test_what_callers_leave_is_in_the_mailbox_and_what_they_wish_too(
    operator: Operator, inbox: tuple[Inbox, int]
) -> None:
    await operator.start()
    # no text at all: it must neither stop the mail nor be in it
    await leave(operator, "+49302000110", 2.0, caller="<sip:%FF%0D%0ABcc@carrier.example>")
    await leave(operator, "+49302000110", 2.0, caller="<sip:+4940123456@carrier.example>")
    await leave(operator, "+49302000111", 0.0, caller="<sip:+4940123456@carrier.example>")
    await arrived(inbox[0], 3)
    # a sound takes its time to be written; nobody promises an order
    mails = sorted(inbox[0].mails, key=lambda mail: (mail["To"], "+49" in mail["Subject"]))
    assert [mail["To"] for mail in mails] == ["info@praxis-winter.example"] * 2 + ["office@service.example"]
    assert mails[1]["Subject"] == "Sprachnachricht für Praxis Winter von +4940123456"
    assert mails[2]["Subject"] == "+4940123456 asks Autohaus Herbst to be called back"
    assert all(mail["Bcc"] is None for mail in mails)
    for mail in mails[:2]:
        (sound,) = mail.iter_attachments()
        with wave.open(io.BytesIO(sound.get_content())) as spoken:
            assert 0.5 < spoken.getnframes() / spoken.getframerate() < 3.0
    assert not list(mails[2].iter_attachments())
    operator.signal(signal.SIGTERM)
    assert await operator.stopped() == 0
    listed = operator.command("messages", "--json")
    assert listed.stdout.count('"state": "sent"') == 3
    # nobody's number stands in the log
    assert "4940123456" not in operator.log.read_text()


# -- check -----------------------------------------------------------------------------------------------


def check(folder: Path, sections: str) -> Result:
    (folder / "b2bua.toml").write_text(
        CONFIG.format(port=5060, database="sqlite://", media=21000, media_end=22000) + sections
    )
    (folder / "contracts.toml").write_text('[[tariffs]]\nname = "minute"\nper_minute = "1.00"\n' + _CONTRACTS)
    return CliRunner().invoke(
        app, ["check", str(folder / "contracts.toml"), "--config", str(folder / "b2bua.toml")], env={"COLUMNS": "200"}
    )


def test_a_contract_whose_messages_have_no_folder_is_a_fault_at_its_line(tmp_path: Path) -> None:
    checked = check(tmp_path, "")
    faults = [fault for fault in checked.output.splitlines() if "has voicemail" in fault]
    text = (tmp_path / "contracts.toml").read_text().splitlines()
    lines = [number for number, line in enumerate(text, 1) if line == "[[contracts]]"]
    assert checked.exit_code == 1
    assert [fault.split(": ")[0] for fault in faults] == [f"{tmp_path}/contracts.toml:{line}" for line in lines]
    assert not [
        fault
        for fault in check(tmp_path, f'[voicemail]\nfolder = "{tmp_path}"\n').output.splitlines()
        if "has voicemail" in fault
    ]


@pytest.mark.parametrize(
    ("mail", "fault"),
    [
        ('sender = "a@b.example"\nuser = "a"\npassword_file = "{folder}/none"', "No such file"),
        ('sender = "a@b.example"\nuser = "a"', "user needs a password_file"),
        ('sender = "a@b.example"\nuser = "a"\npassword_file = "x"\nsecurity = "none"', "not sent over an open"),
        ("", "mail needs a sender"),
        ('sender = "nobody"', "mail.sender"),
    ],
)  # fmt: skip
def test_a_mail_server_that_cannot_be_used_is_a_fault(tmp_path: Path, mail: str, fault: str) -> None:
    checked = check(tmp_path, f'[mail]\nhost = "mail.example"\n{mail.format(folder=tmp_path)}\n')
    assert checked.exit_code == 1
    assert fault in checked.output


def test_a_password_file_that_is_none_is_a_fault(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.mkdir()
    checked = check(
        tmp_path, f'[mail]\nhost = "mail.example"\nsender = "a@b.example"\nuser = "a"\npassword_file = "{secret}"\n'
    )
    assert checked.exit_code == 1
    assert f"mail.password_file {secret}" in " ".join(checked.output.split())
