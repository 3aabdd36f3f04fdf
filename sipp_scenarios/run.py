"""Plays every case of ``cases.py`` with SIPp against a server of its own, and tells what came of it.

    python sipp_scenarios/run.py                 all cases
    python sipp_scenarios/run.py glare "lost ACK"  some
    python sipp_scenarios/run.py --list

The exit code is the verdict. Of a case that failed, the messages are kept and their place is said.
"""

import argparse
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from accounting.records import CallRecord  # noqa: E402 - after the path, so that the script runs from anywhere
from accounting.store import open_engine, read_calls  # noqa: E402
from sipp_scenarios.cases import CASES, NO_RECORD, Case  # noqa: E402

SERVER = "127.0.0.1"
AGENTS = "127.0.0.10"
AT_ONCE = 6
PATIENCE = 40
_B2BUA = (sys.executable, "-c", "from b2bua.cli import main; main()")

CONFIG = """\
[server]
domain = "service.example"

[[listeners]]
name = "udp"
transport = "udp"
host = "127.0.0.1"
port = {port}

[[listeners]]
name = "tcp"
transport = "tcp"
host = "127.0.0.1"
port = {port}

[[trunks]]
name = "carrier"
sources = ["127.0.0.2/32"]

[media]
port_min = {media}
port_max = {media_end}

[sip]
t1_ms = 100

[database]
url = "sqlite:///{folder}/b2bua.db"

[logging]
level = "debug"
format = "json"

[web]
host = ""
"""

BUSINESS = """\
[[tariffs]]
name = "minute"
per_minute = "1.00"
increment = "60/60"

[[agents]]
id = "carla"
name = "Carla"
endpoints = [{ username = "carla", password = "secret" }]

[[contracts]]
id = "expired"
customer = "Gone"
target_numbers = [{ number = "+49302009998", valid_until = 2020-01-01 }]
plan = [{ agent = "carla", ring_seconds = 5 }]
tariff = "minute"
"""

CASE = """
[[agents]]
id = "first{index}"
name = "First"
endpoints = [{{ contact = "sip:first@127.0.0.10:{first}" }}]

[[agents]]
id = "second{index}"
name = "Second"
endpoints = [{{ contact = "sip:second@127.0.0.10:{second}" }}]

[[groups]]
id = "both{index}"
name = "Both"
members = ["first{index}", "second{index}"]

[[contracts]]
id = "kanzlei-berger{index}"
customer = "Kanzlei Berger"
greeting = "Kanzlei Berger, guten Tag!"
target_numbers = ["{number}"]
plan = [{plan}]
tariff = "minute"
"""

_PLANS = {
    "first": '{{ agent = "first{index}", ring_seconds = 10 }}',
    "order": '{{ group = "both{index}", strategy = "in_order", ring_seconds = 2 }}',
    "all": '{{ group = "both{index}", strategy = "ring_all", ring_seconds = 10 }}',
}


@dataclass(slots=True)
class Verdict:
    """What came of a case: no ``faults`` is good."""

    case: Case
    faults: list[str]
    seconds: float = 0.0


class Stage:
    """A server, and a number and two agents' ports for each case."""

    def __init__(self, cases: Sequence[Case], folder: Path) -> None:
        self.folder = folder
        self.port = free_port(SERVER)
        self.numbers = {case.name: case.number or f"+4930200{index:04d}" for index, case in enumerate(cases)}
        self.agents: dict[str, tuple[int, int]] = {}
        business = [BUSINESS]
        for index, case in enumerate(cases):
            first, second = free_port(AGENTS), free_port(AGENTS)
            self.agents[case.name] = (first, second)
            plan = _PLANS[case.plan].format(index=index)
            number = f"+4930200{index:04d}"
            business.append(CASE.format(index=index, first=first, second=second, number=number, plan=plan))
        (folder / "contracts.toml").write_text("".join(business), encoding="utf-8")
        media = 20_000 + self.port % 20_000
        self.config = folder / "b2bua.toml"
        self.config.write_text(CONFIG.format(port=self.port, folder=folder, media=media, media_end=media + 1000))
        self.log = folder / "server.log"
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        imported = subprocess.run(
            [*_B2BUA, "import", str(self.folder / "contracts.toml"), "--config", str(self.config)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        if imported.returncode:
            raise SystemExit(f"the import of the contracts fails:\n{imported.stderr}")
        with self.log.open("wb") as log:
            self._server = subprocess.Popen([*_B2BUA, "run", "--config", str(self.config)], stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while '"ready"' not in self.log.read_text(errors="replace"):
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the server does not start:\n{self.log.read_text(errors='replace')}")
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        server = self._server
        if server is not None and server.poll() is None:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()

    def faults(self) -> list[str]:
        """What is wrong with the server itself, once it has ended."""
        faults = []
        if self._server is not None and self._server.returncode:
            faults.append(f"the server ended with exit code {self._server.returncode}")
        if "Traceback" in self.log.read_text(errors="replace"):
            faults.append("the server's log has a traceback")
        return faults

    def record(self, case: Case) -> CallRecord | None:
        """What is on record of a case's call."""
        engine = open_engine(f"sqlite:///{self.folder}/b2bua.db")
        with engine.connect() as connection:
            calls = read_calls(connection)
        engine.dispose()
        return next((call for call in calls if call.target_number == self.numbers[case.name]), None)

    def play(self, case: Case) -> Verdict:
        """Run the SIPps of one case and judge them."""
        began = time.monotonic()
        folder = self.folder / case.name.replace(" ", "-").replace("'", "")
        folder.mkdir()
        ports = self.agents[case.name]
        agents = [
            self._start(folder, scenario, case, AGENTS, port, f"agent{index}")
            for index, (scenario, port) in enumerate(zip(case.agents, ports, strict=False), 1)
        ]
        server = f"{SERVER}:{self.port}"
        caller = self._start(folder, case.caller, case, case.host, free_port(case.host), "caller", server)
        faults = []
        for name, process in (("caller", caller), *((f"agent {at}", agent) for at, agent in enumerate(agents, 1))):
            try:
                code = process.wait(PATIENCE + 5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                code = -1
            if code:
                faults.append(f"{name}: SIPp ended with {code}")
        faults += self._judge_record(case)
        return Verdict(case, faults, time.monotonic() - began)

    def _judge_record(self, case: Case) -> list[str]:
        deadline = time.monotonic() + 5
        while True:
            record = self.record(case)
            found = (record.result, record.end_reason) if record is not None else NO_RECORD
            if found == case.record or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        faults = []
        if found != case.record:
            faults.append(f"on record {found}, not {case.record}")
        if record is not None and record.billable == bool(case.password):
            faults.append(f"billable is {record.billable}")
        return faults

    def _start(
        self, folder: Path, scenario: str, case: Case, host: str, port: int, name: str, server: str = ""
    ) -> "subprocess.Popen[bytes]":
        path = folder / f"{name}-{scenario}.xml"
        path.write_text(filled((HERE / f"{scenario}.xml").read_text(encoding="utf-8"), case), encoding="utf-8")
        command = [
            "sipp", *([server] if server else []), "-sf", str(path), "-i", host, "-p", str(port), "-m", "1",
            "-s", self.numbers[case.name], "-nostdin", "-timeout", f"{PATIENCE}s", "-timeout_error",
            "-trace_msg", "-message_file", str(folder / f"{name}.messages"),
            "-trace_err", "-error_file", str(folder / f"{name}.errors"), "-mi", host,
        ]  # fmt: skip
        if server:
            command += ["-t", "t1" if case.transport == "tcp" else "u1"]
            if case.password:
                # the credentials are for the Request-URI (RFC 7616 section 3.4.6)
                registers = scenario.startswith("uac-register")
                uri = "service.example" if registers else f"{self.numbers[case.name]}@{server}"
                command += ["-au", "carla", "-ap", case.password, "-auth_uri", uri]
        with (folder / f"{name}.screen").open("wb") as screen:
            return subprocess.Popen(command, stdout=screen, stderr=screen, cwd=folder)


def filled(text: str, case: Case) -> str:
    """A scenario with the case's words in it; a line that has none loses its place."""
    for old, new in case.fill.items():
        text = text.replace(old, new)
    text = text.replace("@STATUS@", str(case.status)).replace("@CHECK@", case.check)
    # SIPp wants a variable that is only set to be referred to, and one that is never set not to be
    text = text.replace("@REFERENCE@", '<Reference variables="ignored"/>' if case.check else "")
    headers = "\n      ".join(case.headers.splitlines())
    return text.replace("      @HEADERS@\n", f"      {headers}\n" if headers else "")


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


def main() -> int:
    """Parse the arguments, play, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="cases to play; all if left out")
    parser.add_argument("--list", action="store_true", help="only say which cases there are")
    arguments = parser.parse_args()
    console = Console()
    if arguments.list:
        for case in CASES:
            console.print(f"{case.name}: {', '.join((case.caller, *case.agents))}", highlight=False)
        return 0
    unknown = set(arguments.names) - {case.name for case in CASES}
    if unknown:
        console.print(f"there is no case {', '.join(sorted(unknown))}; see --list")
        return 2
    if shutil.which("sipp") is None:
        console.print("sipp is not installed: apt-get install sip-tester")
        return 2
    cases = [case for case in CASES if not arguments.names or case.name in arguments.names]
    folder = Path(tempfile.mkdtemp(prefix="b2bua-sipp-"))
    stage = Stage(cases, folder)
    with stage, ThreadPoolExecutor(AT_ONCE) as pool:
        verdicts = list(pool.map(stage.play, cases))
    table = Table(title="SIPp scenarios")
    for name in ("case", "caller", "agents", "seconds", "verdict"):
        table.add_column(name, justify="right" if name == "seconds" else "left")
    for verdict in verdicts:
        case = verdict.case
        said = "[red]" + "; ".join(verdict.faults) if verdict.faults else "[green]✔"
        table.add_row(case.name, case.caller, ", ".join(case.agents), f"{verdict.seconds:.1f}", said)
    console.print(table)
    faults = [fault for verdict in verdicts for fault in verdict.faults] + stage.faults()
    for fault in stage.faults():
        console.print(f"[red]{fault}")
    if faults:
        console.print(f"messages and logs: {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
