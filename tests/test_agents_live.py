"""Agents from the command line, against a real server: seen, sent on a break, remembered; a line is tested for real."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from b2bua.phone.audio import tone_frames
from b2bua.phone.softphone import PhoneCall, SoftPhone
from tests.test_process import Operator, work


class Supervisor(Operator):
    """An operator whose server has its internal API switched on, and a carrier that takes calls."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.web_port = probe.getsockname()[1]
        self.forwards_to = ""
        self.line = SoftPhone(
            "127.0.0.2", username="line", frames=lambda: tone_frames(440), on_call=self._called
        )  # fmt: skip
        self._back: PhoneCall | None = None

    def configure(self) -> None:
        text = self.config.read_text().replace('host = ""', f'host = "127.0.0.1"\nport = {self.web_port}')
        host, port = self.line.address
        self.config.write_text(text.replace("sources = ", f'proxy = "sip:{host}:{port}"\nsources = '))

    def _called(self, call: PhoneCall) -> None:
        """The carrier is asked for the customer's line, which is forwarded on no answer, or is not."""
        call.ring()
        if self.forwards_to:
            self._back = self.line.call(
                f"sip:{self.forwards_to}@127.0.0.1:{self.port}", ("127.0.0.1", self.port),
                [("Diversion", "<sip:+4930555010@carrier.example>;reason=no-answer")],
            )  # fmt: skip
        else:
            call.refuse(486)


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[Supervisor]:
    made = Supervisor(tmp_path)
    await made.line.start()
    made.configure()
    async for working in work(made):
        assert isinstance(working, Supervisor)
        yield working
    await made.line.close()


async def ask(supervisor: Supervisor, *arguments: str) -> tuple[int, str]:
    """A command beside the phones of this process, which go on meanwhile."""
    done = await asyncio.to_thread(supervisor.command, *arguments)
    return done.returncode, done.stdout + done.stderr


async def test_a_break_from_the_command_line_is_obeyed_and_outlives_a_restart(supervisor: Supervisor) -> None:
    code, said = await ask(supervisor, "agents")
    assert code == 1
    assert "Is the server running?" in said
    await supervisor.start()
    code, said = await ask(supervisor, "agents", "carla", "--break", "lunch")
    assert code == 0, said
    assert "on_break: lunch" in said
    refused = supervisor.caller.call(f"sip:+49302000102@127.0.0.1:{supervisor.port}", ("127.0.0.1", supervisor.port))
    async with asyncio.timeout(10):
        await refused.ended.wait()
    assert refused.status == 480

    supervisor.signal(signal.SIGTERM)
    assert await supervisor.stopped() == 0
    await supervisor.start()
    code, said = await ask(supervisor, "agents", "--json")
    assert '"reason": "lunch"' in said
    code, said = await ask(supervisor, "agents", "carla", "--available")
    assert code == 0, said
    call = await supervisor.call()
    code, said = await ask(supervisor, "queue")
    assert code == 0
    assert "carla-only" in said
    assert "talking" in said
    call.hangup()


async def test_a_forwarded_line_is_told_from_one_that_is_not(supervisor: Supervisor) -> None:
    await supervisor.start()
    supervisor.forwards_to = "+49302000102"
    code, said = await ask(supervisor, "forwarding", "carla-only", "--test", "+4930555010")
    assert code == 0, said
    assert "is forwarded to us (when nobody answers)" in said
    supervisor.forwards_to = ""
    code, said = await ask(supervisor, "forwarding", "carla-only", "--test", "+4930555010")
    assert code == 1
    assert "is not forwarded: refused with 486" in said
    assert not supervisor.calls(), "nothing of it is on record"


async def test_a_phone_that_vanishes_is_not_rung_until_it_is_there_again(supervisor: Supervisor) -> None:
    text = supervisor.config.read_text()
    # timer F is 64 * T1, 1.3 seconds
    supervisor.config.write_text(text + "\n[sip]\nt1_ms = 20\noptions_seconds = 1\n")
    await supervisor.start()
    await _seen(supervisor, "there")
    # no farewell: its registration stands
    await supervisor.carla.close()
    await _seen(supervisor, "away")
    refused = supervisor.caller.call(f"sip:+49302000102@127.0.0.1:{supervisor.port}", ("127.0.0.1", supervisor.port))
    async with asyncio.timeout(10):
        await refused.ended.wait()
    assert refused.status == 480
    supervisor.carla = SoftPhone(
        "127.0.0.1", username="carla", password="secret", domain="service.example",
        frames=lambda: tone_frames(880), on_call=lambda call: call.answer(),
    )  # fmt: skip
    await supervisor.carla.start()
    await supervisor.carla.register(("127.0.0.1", supervisor.port))
    await _seen(supervisor, "there")
    call = await supervisor.call()
    call.hangup()


async def _seen(supervisor: Supervisor, reach: str) -> None:
    async with asyncio.timeout(30):
        while reach not in (await ask(supervisor, "agents", "carla"))[1]:
            await asyncio.sleep(0.1)
