"""Plays every case of ``cases.py`` with SIPp against a server of its own, and tells what came of it.

    python sipp_scenarios/run.py                 all cases
    python sipp_scenarios/run.py glare "lost ACK"  some
    python sipp_scenarios/run.py --list

The exit code is the verdict. Of a case that failed, the messages are kept and their place is said.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from accounting.records import CallRecord  # noqa: E402 - after the path, so that the script runs from anywhere
from b2bua.call.prompts import sounds_of  # noqa: E402
from media.tones import tone  # noqa: E402
from media.wave_file import write_wave  # noqa: E402
from routing.business import read_business  # noqa: E402
from sipp_scenarios.cases import CASES, INCREMENT, NO_RECORD, Case  # noqa: E402
from sipp_scenarios.floor_cases import FLOOR_CASES, FloorCase  # noqa: E402
from sipp_scenarios.floor_stage import FloorStage  # noqa: E402
from sipp_scenarios.sipp import HERE as SCENARIOS  # noqa: E402
from sipp_scenarios.sipp import PATIENCE, UNTIL_ON_RECORD, Verdict, billed, ended, start, wait_bound  # noqa: E402
from tests.interop.server import Server, free_port, free_ports, has_ipv6  # noqa: E402

AGENTS = "127.0.0.10"
CARRIER = "127.0.0.2"
AT_ONCE = 6
#: How long the sounds are that contracts name, seconds; "whisper" is longer.
SOUND, WHISPER = 0.3, 1.0

ACCEPTANCE = Decimal("0.25")
PER_INCREMENT = Decimal("0.10")

BUSINESS = """\
[[tariffs]]
name = "short"
acceptance = "@ACCEPTANCE@"
per_increment = "@PER_INCREMENT@"
increment = "@INCREMENT@"

[[agents]]
id = "carla"
name = "Carla"
endpoints = [{ username = "carla", password = "secret" }]

[[contracts]]
id = "expired"
customer = "Gone"
target_numbers = [{ number = "+49302009998", valid_until = 2020-01-01 }]
plan = [{ agent = "carla", ring_seconds = 5 }]
tariff = "short"
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

[[agents]]
id = "phone{index}"
name = "Phone"
endpoints = [{{ username = "phone{index}", password = "secret" }}]

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
tariff = "short"
"""

LINE = """
[[lines]]
number = "{number}"
name = "Line"
username = "line{index}"
password = "secret"
"""
#: Where the lines' phones are.
PHONES = "127.0.0.6"

_PLANS = {
    "first": '{{ agent = "first{index}", ring_seconds = 10 }}',
    "order": '{{ group = "both{index}", strategy = "in_order", ring_seconds = 2 }}',
    "phone": '{{ agent = "phone{index}", ring_seconds = 10 }}',
    "all": '{{ group = "both{index}", strategy = "ring_all", ring_seconds = 10 }}',
}


class Stage:
    """A server, and a number and two agents' ports for each case."""

    def __init__(self, cases: Sequence[Case], folder: Path, floor_cases: Sequence[FloorCase] = ()) -> None:
        self.folder = folder
        self.floor = FloorStage(floor_cases)
        self.numbers = {case.name: case.number or f"+4930200{index:04d}" for index, case in enumerate(cases)}
        self.agents: dict[str, tuple[int, int]] = {}
        #: number and user name of a case's line
        self.lines: dict[str, tuple[str, str]] = {}
        prices = {
            "@INCREMENT@": "{}/{}".format(*INCREMENT),
            "@ACCEPTANCE@": ACCEPTANCE,
            "@PER_INCREMENT@": PER_INCREMENT,
        }
        text = BUSINESS
        for mark, value in prices.items():
            text = text.replace(mark, str(value))
        business = [text]
        ports = free_ports(AGENTS, 2 * len(cases))
        for index, case in enumerate(cases):
            first, second = ports[2 * index : 2 * index + 2]
            self.agents[case.name] = (first, second)
            plan = _PLANS[case.plan].format(index=index)
            number = f"+4930200{index:04d}"
            business.append(CASE.format(index=index, first=first, second=second, number=number, plan=plan))
            business.append(case.conditions.replace("{index}", str(index)) + "\n")
            if case.codes:
                self.lines[case.name] = (f"+4930450{index:04d}", f"line{index}")
                business.append(LINE.format(number=self.lines[case.name][0], index=index))
        business.append(self.floor.business)
        text = "".join(business)
        self.server = Server(folder, text, proxy=f"sip:{CARRIER}:{self.floor.out}")
        make_sounds(folder / "sounds", text)

    def __enter__(self) -> Self:
        self.server.__enter__()
        self.floor.begin(self.folder / "carrier")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.floor.end()
        self.server.__exit__(kind, error, trace)

    def records(self, case: Case) -> list[CallRecord]:
        """What is on record of a case's number: one call at most."""
        number = self.numbers[case.name]
        return [call for call in self.server.calls() if call.target_number == number]

    def play(self, case: Case | FloorCase) -> Verdict:
        """Run the SIPps of one case and judge them."""
        folder = self.folder / re.sub("[^a-z0-9]+", "-", case.name.lower())
        if isinstance(case, FloorCase):
            return self.floor.play(case, self.server, folder)
        began = time.monotonic()
        if skipped := why_not(case):
            return Verdict(case.name, [], skipped=skipped)
        folder.mkdir()
        ports = self.agents[case.name]
        agents = [
            self._start(folder, scenario, case, AGENTS, port, f"agent{index}")
            for index, (scenario, port) in enumerate(zip(case.agents, ports, strict=False), 1)
        ]
        for port, _ in zip(ports, case.agents, strict=False):
            wait_bound(AGENTS, port)
        if case.over_connection:
            username = f"phone{list(self.numbers).index(case.name)}"
            agents.append(self._register(folder, case, username, case.over_connection, "tcp"))
        faults = []
        if case.codes and case.caller != "uac-code-refused":
            faults = [fault for at, code in enumerate(case.codes) for fault in self._dial_code(folder, case, at, code)]
        if case.line_phone:
            agents.append(self._register(folder, case, self.lines[case.name][1], case.line_phone, "udp"))
        caller = self._call(folder, case)
        for name, process in (("caller", caller), *((f"agent {at}", agent) for at, agent in enumerate(agents, 1))):
            if code := ended(process):
                faults.append(f"{name}: SIPp ended with {code}, see {folder}")
        faults += self._judge_record(case)
        return Verdict(case.name, faults, time.monotonic() - began)

    def _dial_code(self, folder: Path, case: Case, at: int, code: str) -> list[str]:
        """The case's line dials a code, which must be taken."""
        host, port = self.server.address("udp")
        phone = self._start(
            folder, "uac-code", case, PHONES, free_port(PHONES), f"code{at}", f"{host}:{port}",
            *self._dialling(case, code, f"{host}:{port}"),
        )  # fmt: skip
        return [f"{code}: SIPp ended with {phone.returncode}, see {folder}"] if phone.wait(PATIENCE + 5) else []

    def _dialling(self, case: Case, code: str, server: str) -> list[str]:
        dialled = code.format(number=self.numbers[case.name])
        user = self.lines[case.name][1]
        return ["-t", "u1", "-s", dialled, "-au", user, "-ap", "secret", "-auth_uri", f"{dialled}@{server}"]

    def _register(
        self, folder: Path, case: Case, username: str, when_called: str, listener: str
    ) -> "subprocess.Popen[bytes]":
        """A phone, over TCP with a connection of its own; returns once it is registered."""
        host, port = self.server.address(listener)
        called = folder / f"called-{when_called}.xml"
        called.write_text(scenario_text(when_called, case), encoding="utf-8")
        phone = self._start(
            folder, "uac-phone", case, AGENTS, free_port(AGENTS), "phone", f"{host}:{port}",
            "-t", "t1" if listener == "tcp" else "u1", "-au", username, "-ap", "secret",
            "-auth_uri", "service.example", "-s", username, "-oocsf", str(called),
        )  # fmt: skip
        messages = folder / "phone.messages"
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and not (messages.exists() and "SIP/2.0 200" in messages.read_text()):
            time.sleep(0.02)
        return phone

    def _judge_record(self, case: Case) -> list[str]:
        deadline = time.monotonic() + UNTIL_ON_RECORD
        while True:
            records = self.records(case)
            record = records[0] if records else None
            found = (record.result, record.end_reason) if record is not None else NO_RECORD
            if found == case.record or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        faults = []
        if found != case.record:
            faults.append(f"on record {found}, not {case.record}")
        if record is not None:
            # what an agent's own phone calls is nobody's to pay; and only what was answered costs anything
            if record.billable == bool(case.password):
                faults.append(f"billable is {record.billable}")
            answered = case.record[0] == "answered"
            if (record.talked_ns > 0) != answered:
                faults.append(f"talked for {record.talked_ns} ns")
            elif answered and not record.agent.startswith(case.answers):
                faults.append(f"{record.agent} answered, not {case.answers}")
        return faults + self._judge_bill(case, records)

    def _judge_bill(self, case: Case, records: Sequence[CallRecord]) -> list[str]:
        """Every connected second once: how many calls are paid for, how many units, and what that costs."""
        faults = [f"{len(records)} calls on record"] if len(records) > 1 else []
        paid, units, seconds, cost = billed(records, self.server.tariffs())
        if (paid, units, seconds) != (min(case.units, 1), case.units, case.billed_seconds):
            talked = ", ".join(f"{record.talked_ns / 1e9:.3f} s" for record in records) or "nothing"
            faults.append(
                f"billed {paid} calls, {units} units, {seconds} s for {talked}; "
                f"not {min(case.units, 1)}, {case.units}, {case.billed_seconds} s"
            )
        expected = ACCEPTANCE + PER_INCREMENT * case.units if case.units else Decimal(0)
        if not faults and cost != expected:
            faults.append(f"costs {cost}, not {expected}")
        return faults

    def _call(self, folder: Path, case: Case) -> "subprocess.Popen[bytes]":
        host, port = self.server.address(case.listener)
        server = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        options = ["-t", "t1" if case.listener == "tcp" else "u1"]
        if case.caller == "uac-code-refused":
            options = self._dialling(case, case.codes[0], server)
        elif case.codes:
            options += ["-s", self.lines[case.name][0]]
        elif case.password:
            # the credentials are for the Request-URI (RFC 7616 section 3.4.6)
            registers = case.caller.startswith("uac-register")
            uri = "service.example" if registers else f"{self.numbers[case.name]}@{server}"
            options += ["-au", "carla", "-ap", case.password, "-auth_uri", uri]
        return self._start(folder, case.caller, case, case.host, free_port(case.host), "caller", server, *options)

    def _start(
        self, folder: Path, scenario: str, case: Case, host: str, port: int, name: str, *options: str
    ) -> "subprocess.Popen[bytes]":
        text = scenario_text(scenario, case)
        return start(folder, name, text, host, port, "-s", self.numbers[case.name], *options)


def make_sounds(folder: Path, business: str) -> None:
    """A tone for every sound that a contract may want."""
    contracts = read_business(business, "business", "").contracts
    for name in {name for contract in contracts for name in sounds_of(contract)}:
        path = folder / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(write_wave(tone(600, WHISPER if name == "whisper" else SOUND)))


def why_not(case: Case) -> str:
    """Why a case cannot be played here; empty if it can."""
    return "there is no IPv6 here" if ":" in case.host and not has_ipv6() else ""


def scenario_text(scenario: str, case: Case) -> str:
    """A scenario's file, with the case's words in it."""
    return filled((SCENARIOS / f"{scenario}.xml").read_text(encoding="utf-8"), case)


def filled(text: str, case: Case) -> str:
    """A scenario with the case's words in it; a line that has none loses its place."""
    for old, new in case.fill.items():
        text = text.replace(old, new)
    text = text.replace("@STATUS@", str(case.status)).replace("@CHECK@", case.check)
    # SIPp wants a variable that is only set to be referred to, and one that is never set not to be
    text = text.replace("@REFERENCE@", '<Reference variables="ignored"/>' if case.check else "")
    headers = "\n      ".join(case.headers.splitlines())
    return text.replace("      @HEADERS@\n", f"      {headers}\n" if headers else "")


def main() -> int:
    """Parse the arguments, play, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="cases to play; all if left out")
    parser.add_argument("--list", action="store_true", help="only say which cases there are")
    arguments = parser.parse_args()
    console = Console()
    everything: tuple[Case | FloorCase, ...] = (*CASES, *FLOOR_CASES)
    if arguments.list:
        for case in everything:
            console.print(f"{case.name}: {_played(case)}", highlight=False)
        return 0
    unknown = set(arguments.names) - {case.name for case in everything}
    if unknown:
        console.print(f"there is no case {', '.join(sorted(unknown))}; see --list")
        return 2
    if shutil.which("sipp") is None:
        console.print("sipp is not installed: apt-get install sip-tester")
        return 2
    cases = [case for case in CASES if not arguments.names or case.name in arguments.names]
    floor_cases = [case for case in FLOOR_CASES if not arguments.names or case.name in arguments.names]
    folder = Path(tempfile.mkdtemp(prefix="b2bua-sipp-"))
    stage = Stage(cases, folder, floor_cases)
    played: list[Case | FloorCase] = [*cases, *floor_cases]
    with stage, ThreadPoolExecutor(AT_ONCE) as pool:
        verdicts = list(pool.map(stage.play, played))
    table = Table(title="SIPp scenarios")
    for name in ("case", "played", "seconds", "billed", "verdict"):
        table.add_column(name, justify="right" if name in ("seconds", "billed") else "left")
    for case, verdict in zip(played, verdicts, strict=True):
        said = "[red]" + "\n".join(verdict.faults) if verdict.faults else "[green]✔"
        if verdict.skipped:
            said = f"[yellow]skipped: {verdict.skipped}"
        units = case.units if isinstance(case, Case) else sum(caller.units for caller in case.callers)
        table.add_row(case.name, _played(case), f"{verdict.seconds:.1f}", str(units or ""), said)
    console.print(table)
    faults = [fault for verdict in verdicts for fault in verdict.faults] + stage.server.faults()
    for fault in stage.server.faults():
        console.print(f"[red]{fault}")
    if faults:
        console.print(f"messages and logs: {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


def _played(case: Case | FloorCase) -> str:
    if isinstance(case, Case):
        return ", ".join((case.caller, *case.agents))
    return ", ".join((*(caller.scenario for caller in case.callers), *case.phones))


if __name__ == "__main__":
    sys.exit(main())
