"""The servers under test, all behind the same load: ours, Kamailio (with and without rtpengine), sippy."""

import shutil
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Self

from benchmarks.processes import Child, Cores
from benchmarks.sipp import AGENT_HOST, CARRIER_HOST

SERVER_HOST = "127.0.0.1"
PATIENCE = 20.0
SIPPY = "sippy==2.5.0"

_CONFIG = Template(
    """\
[server]
domain = "service.example"

[[listeners]]
name = "main"
transport = "udp"
host = "$host"
port = $port

[[trunks]]
name = "carrier"
sources = ["$carrier/32"]

[media]
host = "$host"
port_min = 10000
port_max = 59999
quarantine_seconds = 3.0

[sip]
options_seconds = 0

[database]
url = "sqlite:///$database"

[logging]
level = "warning"
format = "json"

[limits]
calls = 0

[web]
host = ""
"""
)


class UnavailableError(Exception):
    """A peer cannot be measured here; the text says why."""


def program(*names: str) -> str:
    """Where a program is; daemons are outside the PATH of ordinary users. Raises UnavailableError."""
    for name in names:
        found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
        if found:
            return found
    raise UnavailableError(f"{names[0]} is not installed")


def free_port(host: str) -> int:
    """A UDP port of this address that nobody has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # below the range that the kernel gives to others, above that of the media relays
        for port in range(60_100, 65_000, 7):
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise UnavailableError(f"no free port on {host}")


def target_numbers(count: int) -> list[str]:
    """As many numbers as there are contracts and agents."""
    return [f"+493020{index:06d}" for index in range(count)]


class Server:
    """One server under test. ``with`` starts it fresh, on ports of its own, and ends it."""

    name = ""
    detail = ""

    def __init__(self, folder: Path, cores: Cores, agent_port: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.cores = cores
        self.agent_port = agent_port
        self.address = (SERVER_HOST, 0)
        self.children: list[Child] = []
        self._starts = 0

    def prepare(self) -> None:
        """Whatever has to be done once; raises UnavailableError, saying why, if it cannot be measured here."""

    def start(self) -> None:
        """Start the processes."""
        raise NotImplementedError

    @property
    def pids(self) -> list[int]:
        """The processes that are measured."""
        return [child.pid for child in self.children]

    def spawn(self, arguments: Sequence[str], name: str, environment: Mapping[str, str] | None = None) -> Child:
        """Start a process on the server's core."""
        child = Child(arguments, self.folder / f"{name}-{self._starts}.log", self.cores.server, environment)
        self.children.append(child)
        return child

    def __enter__(self) -> Self:
        self._starts += 1
        self.address = (SERVER_HOST, free_port(SERVER_HOST))
        try:
            self.start()
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        while self.children:
            self.children.pop().stop()

    def _wait(self) -> None:
        """Until it answers an OPTIONS, whatever it says."""
        deadline = time.monotonic() + PATIENCE
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as knocker:
            knocker.bind((CARRIER_HOST, 0))
            knocker.settimeout(0.3)
            port = knocker.getsockname()[1]
            attempt = 0
            while time.monotonic() < deadline:
                attempt += 1
                if not all(child.running for child in self.children):
                    break
                knocker.sendto(_options(self.address, port, attempt), self.address)
                try:
                    knocker.recv(65536)
                    return
                except (TimeoutError, ConnectionRefusedError):
                    continue
        said = "\n".join(child.output[-1500:] for child in self.children)
        raise UnavailableError(f"{self.name} does not start: {said}")


class Ours(Server):
    """This project's server, with call records in SQLite and its media relay in the path."""

    name = "b2bua"
    detail = "this server: B2BUA, relay ports opened, call records in SQLite"

    def __init__(
        self, folder: Path, cores: Cores, agent_port: int, contracts: int, python: Sequence[str] = (sys.executable,)
    ) -> None:
        super().__init__(folder, cores, agent_port)
        self._contracts = contracts
        self._python = python
        self.database = folder / "b2bua.db"

    def start(self) -> None:
        """Import the contracts into a fresh database, then run."""
        self.database = database = self.folder / f"b2bua-{self._starts}.db"
        config = self.folder / "b2bua.toml"
        config.write_text(
            _CONFIG.substitute(host=SERVER_HOST, port=self.address[1], carrier=CARRIER_HOST, database=database)
        )
        business = self.folder / "contracts.toml"
        business.write_text(self.business())
        importing = self.folder / "import.log"
        with Child(
            [sys.executable, *_B2BUA, "import", str(business), "--config", str(config)], importing, self.cores.load
        ) as child:
            if child.wait(120.0) != 0:
                raise UnavailableError(f"the import of the contracts fails: {child.output[-1500:]}")
        self.spawn([*self._python, *_B2BUA, "run", "--config", str(config)], "b2bua")

    def business(self) -> str:
        """A contract for each number, each with an agent who is at the SIPp that plays them all."""
        parts = ['[[tariffs]]\nname = "minute"\nper_minute = "0.99"\nincrement = "60/60"\n']
        for index, number in enumerate(target_numbers(self._contracts)):
            contact = f"sip:agent{index}@{AGENT_HOST}:{self.agent_port}"
            parts.append(
                f'[[agents]]\nid = "agent{index}"\nname = "Agent {index}"\nendpoints = [{{ contact = "{contact}" }}]\n'
                f'[[contracts]]\nid = "customer{index}"\ncustomer = "Customer {index}"\ngreeting = "Good day"\n'
                f'tariff = "minute"\ntarget_numbers = ["{number}"]\n'
                f'plan = [{{ agent = "agent{index}", ring_seconds = 30 }}]\n'
            )
        return "\n".join(parts)


_B2BUA = ("-c", "from b2bua.cli import main; main()")


class Kamailio(Server):
    """A stateful proxy in C: no second leg, no records; the floor of what SIP costs."""

    name = "kamailio"
    detail = "Kamailio: stateful proxy in C, Record-Route, no B2BUA, no records, no media"
    media = False

    def prepare(self) -> None:
        """Both programs are there."""
        program("kamailio")
        if self.media:
            program("rtpengine")

    def start(self) -> None:
        """A fresh process, with rtpengine beside it if media are anchored."""
        control = free_port("127.0.0.5")
        if self.media:
            self.spawn(rtpengine_arguments(f"127.0.0.5:{control}"), "rtpengine")
            time.sleep(1.0)
        template = (Path(__file__).parent / "kamailio.cfg").read_text()
        config = self.folder / "kamailio.cfg"
        config.write_text(
            _At(template).substitute(
                host=SERVER_HOST, port=self.address[1], agents=f"{AGENT_HOST}:{self.agent_port}",
                rtpengine=f"udp:127.0.0.5:{control}", media="#!define WITH_MEDIA" if self.media else "",
            )
        )  # fmt: skip
        self.spawn(
            [program("kamailio"), "-f", str(config), "-DD", "-E", "-m", "512", "-M", "16",
             "-Y", str(self.folder), "-P", str(self.folder / "kamailio.pid")],
            "kamailio",
        )  # fmt: skip


class KamailioRtpengine(Kamailio):
    """The proxy with rtpengine anchoring the media of every call, as ours does."""

    name = "kamailio+rtpengine"
    detail = "Kamailio and rtpengine in user space: stateful proxy, media anchored, no B2BUA, no records"
    media = True


class Sippy(Server):
    """A B2BUA in Python, from PyPI, without media and without records."""

    name = "sippy"
    detail = f"{SIPPY} b2bua_simple: B2BUA in Python, no records, no media"

    def __init__(self, folder: Path, cores: Cores, agent_port: int, cache: Path) -> None:
        super().__init__(folder, cores, agent_port)
        self._venv = cache / SIPPY.replace("==", "-")

    def prepare(self) -> None:
        """Install it into an environment of its own, once."""
        if (self._venv / "bin" / "b2bua_simple").exists():
            return
        self._venv.parent.mkdir(parents=True, exist_ok=True)
        venv.create(self._venv, with_pip=True, clear=True)
        pip = [str(self._venv / "bin" / "python"), "-m", "pip", "install", "--quiet", SIPPY]
        try:
            subprocess.run(pip, check=True, timeout=300, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            raise UnavailableError(f"{SIPPY} cannot be installed from PyPI: {error.stderr.strip()[-300:]}") from error
        except subprocess.TimeoutExpired as error:
            raise UnavailableError(f"{SIPPY} cannot be installed from PyPI within 300 s") from error

    def start(self) -> None:
        """Its simple B2BUA between carrier and agents."""
        self.spawn(
            [str(self._venv / "bin" / "b2bua_simple"), "-f", "-l", self.address[0], "-p", str(self.address[1]),
             "-n", f"{AGENT_HOST}:{self.agent_port}"],
            "sippy", {"SIPLOG_BEND": "none"},
        )  # fmt: skip


def rtpengine_arguments(control: str) -> list[str]:
    """rtpengine in user space only (``--table=-1``: no kernel module), quiet, ports of its own address."""
    host = control.partition(":")[0]
    return [
        program("rtpengine"), "--config-file=none", "--table=-1", "--foreground", "--log-stderr", "--log-level=3",
        f"--interface={host}", f"--listen-ng={control}", "--port-min=10000", "--port-max=59998", "--delete-delay=0",
    ]  # fmt: skip


class _At(Template):
    """``@{name}``: the dollar is Kamailio's."""

    delimiter = "@"


def _options(address: tuple[str, int], port: int, attempt: int) -> bytes:
    host = f"{address[0]}:{address[1]}"
    lines = (
        f"OPTIONS sip:{host} SIP/2.0",
        f"Via: SIP/2.0/UDP {CARRIER_HOST}:{port};branch=z9hG4bKknock{port}x{attempt};rport",
        f"From: <sip:knock@{CARRIER_HOST}>;tag=k{attempt}",
        f"To: <sip:{host}>",
        f"Call-ID: knock-{port}-{attempt}",
        f"CSeq: {attempt} OPTIONS",
        "Max-Forwards: 70",
        "Content-Length: 0",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
