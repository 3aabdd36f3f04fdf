"""Real SIP equipment as child processes: baresip as an agent's phone, Kamailio as the proxy of a carrier.

Every process has a time limit of its own, a folder of its own, free ports, and is ended by its own id.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import wave
from array import array
from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import Self

import pytest

from accounting.records import CallRecord
from accounting.store import open_engine, read_calls
from b2bua.phone.audio import RATE, write_wave
from media.tones import dominant_frequency, tone, tones_in_order

#: No peer lives longer than this, whatever becomes of the test that started it, seconds.
LIFETIME = 120
#: How long anything may take that a test waits for, seconds.
PATIENCE = 10.0

_B2BUA = str(Path(sys.executable).parent / "b2bua")
_TEMPLATES = Path(__file__).parent
_MODULES = ("/usr/lib/baresip/modules", "/usr/local/lib/baresip/modules")
_CONTROL = re.compile(r"\x1b\[[0-9;]*m")


def need(*programs: str) -> None:
    """Skip the module, saying why, unless all the programs are installed."""
    for program in programs:
        if program_path(program) is None:
            reason = f"{program} is not installed (apt-get install {program})"
            print(f"skipped: {reason}")
            pytest.skip(reason, allow_module_level=True)


def program_path(name: str) -> str | None:
    """Where a program is; daemons are outside the PATH of ordinary users."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


def free_port(host: str) -> int:
    """A port of this address that nobody has, neither over UDP nor over TCP."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram,
        ):
            stream.bind((host, 0))
            port = int(stream.getsockname()[1])
            try:
                datagram.bind((host, port))
            except OSError:
                continue
            return port


async def until(happened: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait until something is true; fails, saying what was waited for."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:g} s in vain for: {what}")
        await asyncio.sleep(0.02)


async def stays(true: Callable[[], object], what: str, seconds: float = 0.5) -> None:
    """Watch that nothing changes for a while: half a second is 25 packets of sound."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert true(), f"it did not stay so: {what}"
        await asyncio.sleep(0.02)


async def happens(event: asyncio.Event, what: str, seconds: float = PATIENCE) -> None:
    """Wait for an event; fails, saying what was waited for."""
    await until(event.is_set, what, seconds)


class Child:
    """A child process whose output goes to a file."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / f"{name}.log"
        self._process: asyncio.subprocess.Process | None = None

    async def spawn(self, *arguments: str) -> None:
        """Start it, with its time limit, in a process group of its own."""
        limit = shutil.which("timeout")
        # it ends by itself even if this process is killed; and then takes its own children with it
        bounded = [limit, "--kill-after=5", str(LIFETIME), *arguments] if limit else list(arguments)
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *bounded,
                cwd=self.folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """All it has printed so far, without colours."""
        return _CONTROL.sub("", self._log.read_text(encoding="utf-8", errors="replace"))

    async def says(self, text: str, seconds: float = PATIENCE) -> None:
        """Wait until it has printed a text; fails with its last words if it has ended instead."""
        process = self._process
        assert process is not None
        await until(lambda: text in self.output or process.returncode is not None, f"{self.name}: {text!r}", seconds)
        if text not in self.output:
            pytest.fail(f"{self.name} ended with {process.returncode}:\n{self.output[-2000:]}")

    async def vanish(self) -> None:
        """Kill it and all of its own children: no farewell to anybody."""
        process = self._process
        assert process is not None
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    async def stop(self) -> None:
        """End it: SIGTERM, and SIGKILL to its process group if that is not enough."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(PATIENCE):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def import_contracts(folder: Path, contracts: str) -> Path:
    """A database with this business data in it, by way of `b2bua import`."""
    config, file, database = folder / "b2bua.toml", folder / "contracts.toml", folder / "b2bua.db"
    file.write_text(contracts, encoding="utf-8")
    values = {"trunk": "127.0.0.2", "database": f"sqlite:///{database}", "listeners": "", "sounds": ""}
    fill("b2bua.toml", config, values)
    command = [_B2BUA, "import", str(file), "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return database


def _tls_listener(folder: Path) -> str:
    """A TLS listener's section with a certificate of its own; nothing if there is no openssl to make one."""
    program = shutil.which("openssl")
    if program is None:
        return ""
    certificate, key = folder / "server.crt", folder / "server.key"
    command = [
        program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", "/CN=service.example", "-addext", "subjectAltName=DNS:service.example,IP:127.0.0.1",
        "-keyout", str(key), "-out", str(certificate),
    ]  # fmt: skip
    subprocess.run(command, capture_output=True, timeout=30, check=True)
    return (
        '[[listeners]]\nname = "tls"\ntransport = "tls"\nhost = "127.0.0.1"\nport = 0\n'
        f'certificate = "{certificate}"\nprivate_key = "{key}"\n'
    )


class ExchangeServer(Child):
    """The real server, `b2bua run`, on ports the kernel chose, with a database of its own."""

    def __init__(self, folder: Path, business: Path, *, trunk: str, sounds: Path | None = None) -> None:
        """``business`` is a database from ``import_contracts``; the server gets a copy. ``sounds`` is a folder."""
        super().__init__("b2bua", folder)
        self._config = folder / "b2bua.toml"
        database = folder / "b2bua.db"
        shutil.copyfile(business, database)
        self._database = f"sqlite:///{database}"
        values = {
            "trunk": trunk,
            "database": self._database,
            "listeners": _tls_listener(folder),
            "sounds": f'[sounds]\nfolder = "{sounds}"\n' if sounds else "",
        }
        fill("b2bua.toml", self._config, values)

    async def __aenter__(self) -> Self:
        await self.spawn(_B2BUA, "run", "--config", str(self._config))
        await self.says('"ready"')
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def address(self, listener: str = "udp") -> tuple[str, int]:
        """Where a listener has been bound."""
        for line in self.output.splitlines():
            if line.startswith("{") and json.loads(line).get("listener") == listener:
                host, _, port = str(json.loads(line)["address"]).rpartition(":")
                return host, int(port)
        raise LookupError(listener)

    async def record(self, number: int = 1) -> CallRecord:
        """The newest call of the database, once it holds so many."""
        engine = open_engine(self._database)
        found: list[CallRecord] = []

        def written() -> bool:
            with engine.connect() as connection:
                found[:] = read_calls(connection)
            return len(found) >= number

        try:
            await until(written, f"{number} calls in the database")
        finally:
            engine.dispose()
        assert len(found) == number
        return found[0]


class Baresip(Child):
    """baresip without a sound card: it speaks a tone, records what it hears, and is led through its control port."""

    def __init__(
        self,
        folder: Path,
        server: tuple[str, int],
        username: str,
        password: str,
        *,
        frequency: int = 880,
        transport: str = "udp",
        domain: str = "service.example",
        answer: str = "auto",
        codecs: str = "PCMU/8000/1,PCMA/8000/1",
        host: str = "127.0.0.3",
    ) -> None:
        super().__init__(f"baresip-{username}", folder)
        self.host = host
        self.port = free_port(host)
        self.events: list[dict[str, object]] = []
        self._control_port = free_port("127.0.0.1")
        self._recordings = folder / "heard"
        self._recordings.mkdir()
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        spoken = folder / "spoken.wav"
        write_wave(spoken, tone(frequency, 60.0))
        values = {
            "listen": f"{host}:{self.port}",
            "host": host,
            "control": f"127.0.0.1:{self._control_port}",
            "modules": next((path for path in _MODULES if Path(path).is_dir()), _MODULES[0]),
            "spoken": str(spoken),
            "heard": str(self._recordings),
            "username": username,
            "password": password,
            "domain": domain,
            "server": f"{server[0]}:{server[1]}",
            "transport": transport,
            "answer": answer,
            "codecs": codecs,
        }
        fill("baresip.config", folder / "config", values)
        fill("baresip.accounts", folder / "accounts", values)
        (folder / "contacts").touch()

    async def __aenter__(self) -> Self:
        program = program_path("baresip")
        assert program is not None
        # -s: every SIP message is printed, with the addresses it went from and to
        await self.spawn(program, "-f", str(self.folder), "-s")
        deadline = time.monotonic() + PATIENCE
        while self._writer is None:
            try:
                self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._control_port)
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    pytest.fail(f"baresip does not start:\n{self.output[-2000:]}")
                await asyncio.sleep(0.02)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()
        await self.stop()

    async def registered(self) -> None:
        """Wait until the server has taken its registration."""
        # not by its event, which may have come before there was anybody on the control port
        await self.says(" 200 OK (")

    async def command(self, name: str, parameters: str = "") -> str:
        """Give an order; returns what baresip says to it."""
        assert self._writer is not None
        body = json.dumps({"command": name, "params": parameters, "token": name}).encode()
        self._writer.write(b"%d:%s," % (len(body), body))
        while True:
            message = await self._message(f"an answer to {name!r}")
            if message.get("response"):
                assert message.get("ok"), f"baresip refuses {name!r}: {message}"
                return str(message.get("data", ""))
            self.events.append(message)

    async def event(self, kind: str) -> dict[str, object]:
        """Wait for an event such as CALL_ESTABLISHED; earlier ones are used up."""
        while True:
            while self.events:
                message = self.events.pop(0)
                if message.get("type") == kind:
                    return message
            self.events.append(await self._message(f"the event {kind}"))

    async def _message(self, what: str) -> dict[str, object]:
        """The next netstring of the control port."""
        assert self._reader is not None
        try:
            async with asyncio.timeout(PATIENCE):
                length = await self._reader.readuntil(b":")
                data = await self._reader.readexactly(int(length[:-1]) + 1)
        except (TimeoutError, EOFError) as error:
            pytest.fail(f"baresip: waited in vain for {what} ({error!r}):\n{self.output[-2000:]}")
        message = json.loads(data[:-1])
        assert isinstance(message, dict)
        return message

    def heard(self) -> tuple[float, float]:
        """(frequency in Hz, share of the energy) of the last second it recorded; call it when the call is over.

        baresip 1.0 stops recording at the first hold (its issue 1496): from then on count its packets.
        """
        samples = self._recorded()
        return dominant_frequency(samples[-RATE:])

    def heard_in_order(self) -> list[int]:
        """All frequencies of the last call, one after the other; call it when the call is over."""
        return tones_in_order(self._recorded())

    def _recorded(self) -> "array[int]":
        files = sorted(self._recordings.glob("*-dec.wav"), key=lambda path: path.stat().st_mtime)
        return recording(files[-1]) if files else array("h")

    def packets(self) -> tuple[int, int]:
        """(sent, received) in its last call; call it when the call is over."""
        counted = re.findall(r"^packets: +(\d+) +(\d+)", self.output, re.MULTILINE)
        return (int(counted[-1][0]), int(counted[-1][1])) if counted else (0, 0)

    def messages(self, start: str) -> list["Traced"]:
        """The SIP messages of its trace whose first line begins so, in order."""
        return [message for message in traced(self.output) if message.text.startswith(start)]


class Traced:
    """One message of baresip's trace: over which transport, from where to where, and its text."""

    __slots__ = ("destination", "source", "text", "transport")

    def __init__(self, transport: str, source: str, destination: str, text: str) -> None:
        self.transport = transport
        self.source = source
        self.destination = destination
        self.text = text

    def header(self, name: str) -> str:
        """A header's first value, empty if it is absent."""
        found = re.search(rf"^{name}:[ \t]*(.*?)\r?$", self.text, re.MULTILINE | re.IGNORECASE)
        return found[1] if found else ""


def traced(output: str) -> list[Traced]:
    """All messages of a trace."""
    parts = re.split(r"^(UDP|TCP|TLS) (\S+) -> (\S+)\n", output, flags=re.MULTILINE)
    return [Traced(*parts[index : index + 4]) for index in range(1, len(parts) - 3, 4)]


class Kamailio(Child):
    """A stateful proxy that records its route: what comes from ``carrier`` goes to the server, and back."""

    def __init__(
        self, folder: Path, server: tuple[str, int], *, transport: str = "udp", host: str = "127.0.0.4"
    ) -> None:
        super().__init__("kamailio", folder)
        self.host = host
        self.port = free_port(host)
        fill(
            "kamailio.cfg",
            folder / "kamailio.cfg",
            {
                "host": host,
                "port": str(self.port),
                "server": f"{server[0]}:{server[1]}",
                "transport": transport,
            },
        )

    async def __aenter__(self) -> Self:
        program = program_path("kamailio")
        assert program is not None
        await self.spawn(
            program, "-f", str(self.folder / "kamailio.cfg"), "-DD", "-E", "-m", "32", "-M", "8",
            "-Y", str(self.folder), "-P", str(self.folder / "kamailio.pid"),
        )  # fmt: skip
        await self.says("proxy: ready")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def address(self) -> tuple[str, int]:
        """Where the carrier sends its calls."""
        return self.host, self.port

    def relayed(self) -> list[str]:
        """What it passed on: "METHOD sender in-dialog|new", in order."""
        return re.findall(r"proxy: relay (.*)", self.output)


def fill(template: str, target: Path, values: dict[str, str]) -> None:
    """Write a configuration from its template."""
    text = (_TEMPLATES / template).read_text(encoding="utf-8")
    target.write_text(_At(text).substitute(values), encoding="utf-8")


class _At(Template):
    """``@{name}``: the dollar is Kamailio's."""

    delimiter = "@"


def recording(path: Path) -> "array[int]":
    """The samples of a WAV file at 8000 Hz."""
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        return array("h", file.readframes(file.getnframes()))
