"""The real server as a child process: configured, filled with business data, watched, ended and judged."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from accounting.records import CallRecord
from accounting.store import open_engine, read_calls, read_tariffs
from accounting.tariff import Tariff

#: How long it may take to start, and to end when nobody is talking, seconds.
PATIENCE = 30.0
#: Where the carrier's calls come from.
CARRIERS = ("127.0.0.2", "::1")
_B2BUA = (sys.executable, "-c", "from b2bua.cli import main; main()")
_SIGNS = ("Traceback", '"exc_type"', '"level": "critical"', '"level": "error"')

_LISTENER = """
[[listeners]]
name = "{name}"
transport = "{transport}"
host = "{host}"
port = 0
"""

_CONFIG = """
[server]
domain = "service.example"

[[trunks]]
name = "carrier"
sources = {carriers}
proxy = "{proxy}"

[media]
port_min = {media}
port_max = {media_end}

[sounds]
folder = "{folder}/sounds"

[voicemail]
folder = "{folder}/voicemail"

[floor]
declined_delay = 2.0
busy_delay = 2.0
no_answer_delay = 2.0
missed_before_break = 2

[sip]
t1_ms = 100
options_seconds = 0

[database]
url = "{database}"

[logging]
level = "debug"
format = "json"

[web]
host = "127.0.0.1"
port = 0
"""


class Server:
    """``b2bua run`` on ports the kernel chose, with a database of its own.

    T1 is 100 ms: what gives up after 64*T1 takes 6.4 seconds. Agents are left alone for 2 seconds after an offer that
    failed, and sent on a break by the second in a row that they did not answer.
    Listeners: "udp" and "tcp" on 127.0.0.1, and "udp6" on ::1 where there is IPv6.
    """

    def __init__(self, folder: Path, business: str, carriers: Sequence[str] = CARRIERS, proxy: str = "") -> None:
        """``business`` is the text of a file for ``b2bua import``; ``carriers`` are addresses of the trunk, ``proxy``
        is where it takes calls to other numbers, a SIP URI without a user. Sounds are read from ``folder``/sounds,
        messages are left in ``folder``/voicemail."""
        self.folder = folder
        self.log = folder / "server.log"
        self._business = folder / "contracts.toml"
        self._business.write_text(business, encoding="utf-8")
        self._database = f"sqlite:///{folder}/b2bua.db"
        self._config = folder / "b2bua.toml"
        listeners = [("udp", "udp", "127.0.0.1"), ("tcp", "tcp", "127.0.0.1")]
        if has_ipv6():
            listeners.append(("udp6", "udp", "::1"))
        # below the ports that the kernel gives away by itself
        media = 20_000 + free_port("127.0.0.1") % 10_000
        text = "".join(_LISTENER.format(name=name, transport=kind, host=host) for name, kind, host in listeners)
        text += _CONFIG.format(
            carriers=json.dumps(list(carriers)), media=media, media_end=media + 1000, database=self._database,
            folder=folder, proxy=proxy,
        )  # fmt: skip
        self._config.write_text(text, encoding="utf-8")
        for name in ("sounds", "voicemail"):
            (folder / name).mkdir(exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        imported = subprocess.run(
            [*_B2BUA, "import", str(self._business), "--config", str(self._config)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        if imported.returncode:
            raise SystemExit(f"the import of the contracts fails:\n{imported.stderr}")
        with self.log.open("wb") as log:
            self._process = subprocess.Popen([*_B2BUA, "run", "--config", str(self._config)], stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while '"ready"' not in self.output:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._end()
                raise SystemExit(f"the server does not start:\n{self.output}")
            time.sleep(0.02)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            # seen by its exit code in ``faults``
            process.kill()
            process.wait()

    @property
    def output(self) -> str:
        """Its log so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def address(self, listener: str = "udp") -> tuple[str, int]:
        """Where a listener has been bound. Raises LookupError if there is none of that name."""
        for line in self.output.splitlines():
            if '"listening"' in line and (entry := json.loads(line)).get("listener") == listener:
                host, _, port = str(entry["address"]).rpartition(":")
                return host, int(port)
        raise LookupError(listener)

    def calls(self) -> list[CallRecord]:
        """What is on record, the newest first."""
        engine = open_engine(self._database)
        try:
            with engine.connect() as connection:
                return read_calls(connection)
        finally:
            engine.dispose()

    def tariffs(self) -> dict[str, Tariff]:
        """What calls cost, by name."""
        engine = open_engine(self._database)
        try:
            with engine.connect() as connection:
                return read_tariffs(connection)
        finally:
            engine.dispose()

    def faults(self) -> list[str]:
        """What is wrong with the server itself; once it has ended, with its end too."""
        faults = []
        if self._process is not None and self._process.poll():
            faults.append(f"the server ended with exit code {self._process.returncode}")
        # in JSON, an exception is a field of its line and no traceback's text
        bad = [line for line in self.output.splitlines() if any(sign in line for sign in _SIGNS)]
        faults += [f"the server's log says: {line[:500]}" for line in bad]
        return faults


def free_ports(host: str, count: int) -> list[int]:
    """Different ports of this address that nobody has, neither over UDP nor over TCP."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    ports: list[int] = []
    # all are held until the last is found: the kernel would give the same one twice
    with contextlib.ExitStack() as held:
        while len(ports) < count:
            stream = held.enter_context(socket.socket(family, socket.SOCK_STREAM))
            datagram = held.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            stream.bind((host, 0))
            port = int(stream.getsockname()[1])
            try:
                datagram.bind((host, port))
            except OSError:
                continue
            ports.append(port)
    return ports


def free_port(host: str) -> int:
    """One of them."""
    return free_ports(host, 1)[0]


def has_ipv6() -> bool:
    """Whether this host's own IPv6 address can be used."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as datagram:
            datagram.bind(("::1", 0))
    except OSError:
        return False
    return True
