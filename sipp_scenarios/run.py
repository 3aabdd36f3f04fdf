"""Plays every case of ``cases.py`` with SIPp against a server of its own, and tells what came of it.

    python sipp_scenarios/run.py                 all cases
    python sipp_scenarios/run.py glare "lost ACK"  some
    python sipp_scenarios/run.py --list

The exit code is the verdict. Of a case that failed, the messages are kept and their place is said.
"""

import argparse
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from accounting.rating import rate  # noqa: E402 - after the path, so that the script runs from anywhere
from accounting.records import CallRecord  # noqa: E402
from sipp_scenarios.cases import CASES, INCREMENT, NO_RECORD, Case  # noqa: E402
from tests.interop.server import Server, free_port, free_ports, has_ipv6  # noqa: E402

AGENTS = "127.0.0.10"
AT_ONCE = 6
PATIENCE = 40

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

_PLANS = {
    "first": '{{ agent = "first{index}", ring_seconds = 10 }}',
    "order": '{{ group = "both{index}", strategy = "in_order", ring_seconds = 2 }}',
    "phone": '{{ agent = "phone{index}", ring_seconds = 10 }}',
    "all": '{{ group = "both{index}", strategy = "ring_all", ring_seconds = 10 }}',
}


@dataclass(slots=True)
class Verdict:
    """What came of a case: no ``faults`` is good; ``skipped`` says why it was not played."""

    case: Case
    faults: list[str]
    seconds: float = 0.0
    skipped: str = ""


class Stage:
    """A server, and a number and two agents' ports for each case."""

    def __init__(self, cases: Sequence[Case], folder: Path) -> None:
        self.folder = folder
        self.numbers = {case.name: case.number or f"+4930200{index:04d}" for index, case in enumerate(cases)}
        self.agents: dict[str, tuple[int, int]] = {}
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
        self.server = Server(folder, "".join(business))

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.__exit__(kind, error, trace)

    def records(self, case: Case) -> list[CallRecord]:
        """What is on record of a case's number: one call at most."""
        number = self.numbers[case.name]
        return [call for call in self.server.calls() if call.target_number == number]

    def play(self, case: Case) -> Verdict:
        """Run the SIPps of one case and judge them."""
        began = time.monotonic()
        if skipped := why_not(case):
            return Verdict(case, [], skipped=skipped)
        folder = self.folder / case.name.replace(" ", "-").replace("'", "")
        folder.mkdir()
        ports = self.agents[case.name]
        agents = [
            self._start(folder, scenario, case, AGENTS, port, f"agent{index}")
            for index, (scenario, port) in enumerate(zip(case.agents, ports, strict=False), 1)
        ]
        for port, _ in zip(ports, case.agents, strict=False):
            wait_bound(AGENTS, port)
        if case.over_connection:
            agents.append(self._register(folder, case))
        caller = self._call(folder, case)
        faults = []
        for name, process in (("caller", caller), *((f"agent {at}", agent) for at, agent in enumerate(agents, 1))):
            try:
                code = process.wait(PATIENCE + 5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                code = -1
            if code:
                faults.append(f"{name}: SIPp ended with {code}, see {folder}")
        faults += self._judge_record(case)
        return Verdict(case, faults, time.monotonic() - began)

    def _register(self, folder: Path, case: Case) -> "subprocess.Popen[bytes]":
        """A phone with a connection of its own; returns once it is registered."""
        host, port = self.server.address("tcp")
        called = folder / f"called-{case.over_connection}.xml"
        called.write_text(scenario_text(case.over_connection, case), encoding="utf-8")
        username = f"phone{list(self.numbers).index(case.name)}"
        phone = self._start(
            folder, "uac-phone", case, AGENTS, free_port(AGENTS), "phone", f"{host}:{port}",
            "-t", "t1", "-au", username, "-ap", "secret", "-auth_uri", "service.example", "-s", username,
            "-oocsf", str(called),
        )  # fmt: skip
        messages = folder / "phone.messages"
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and not (messages.exists() and "SIP/2.0 200" in messages.read_text()):
            time.sleep(0.02)
        return phone

    def _judge_record(self, case: Case) -> list[str]:
        deadline = time.monotonic() + 5
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
        paid = [record for record in records if record.result == "answered" and record.billable]
        tariffs = self.server.tariffs()
        rated = [rate(record.segments, tariffs[record.tariff].at(record.answered_at_ns)) for record in paid]
        units, seconds = sum(bill.units for bill in rated), sum(bill.billed_seconds for bill in rated)
        if (len(paid), units, seconds) != (min(case.units, 1), case.units, case.billed_seconds):
            talked = ", ".join(f"{record.talked_ns / 1e9:.3f} s" for record in paid) or "nothing"
            faults.append(
                f"billed {len(paid)} calls, {units} units, {seconds} s for {talked}; "
                f"not {min(case.units, 1)}, {case.units}, {case.billed_seconds} s"
            )
        cost = sum((bill.amount for bill in rated), Decimal(0))
        expected = ACCEPTANCE + PER_INCREMENT * case.units if case.units else Decimal(0)
        if not faults and cost != expected:
            faults.append(f"costs {cost}, not {expected}")
        return faults

    def _call(self, folder: Path, case: Case) -> "subprocess.Popen[bytes]":
        host, port = self.server.address(case.listener)
        server = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        options = ["-t", "t1" if case.listener == "tcp" else "u1"]
        if case.password:
            # the credentials are for the Request-URI (RFC 7616 section 3.4.6)
            registers = case.caller.startswith("uac-register")
            uri = "service.example" if registers else f"{self.numbers[case.name]}@{server}"
            options += ["-au", "carla", "-ap", case.password, "-auth_uri", uri]
        return self._start(folder, case.caller, case, case.host, free_port(case.host), "caller", server, *options)

    def _start(
        self, folder: Path, scenario: str, case: Case, host: str, port: int, name: str, *options: str
    ) -> "subprocess.Popen[bytes]":
        path = folder / f"{name}-{scenario}.xml"
        path.write_text(scenario_text(scenario, case), encoding="utf-8")
        command = [
            "sipp", "-sf", str(path), "-i", host, "-p", str(port), "-m", "1",
            "-s", self.numbers[case.name], "-nostdin", "-timeout", f"{PATIENCE}s", "-timeout_error",
            "-trace_msg", "-message_file", str(folder / f"{name}.messages"),
            "-trace_err", "-error_file", str(folder / f"{name}.errors"),
            # the relay speaks IPv4
            "-mi", "127.0.0.2" if ":" in host else host, *options,
        ]  # fmt: skip
        with (folder / f"{name}.screen").open("wb") as screen:
            return subprocess.Popen(command, stdout=screen, stderr=screen, cwd=folder)


def why_not(case: Case) -> str:
    """Why a case cannot be played here; empty if it can."""
    return "there is no IPv6 here" if ":" in case.host and not has_ipv6() else ""


def scenario_text(scenario: str, case: Case) -> str:
    """A scenario's file, with the case's words in it."""
    return filled((HERE / f"{scenario}.xml").read_text(encoding="utf-8"), case)


def filled(text: str, case: Case) -> str:
    """A scenario with the case's words in it; a line that has none loses its place."""
    for old, new in case.fill.items():
        text = text.replace(old, new)
    text = text.replace("@STATUS@", str(case.status)).replace("@CHECK@", case.check)
    # SIPp wants a variable that is only set to be referred to, and one that is never set not to be
    text = text.replace("@REFERENCE@", '<Reference variables="ignored"/>' if case.check else "")
    headers = "\n      ".join(case.headers.splitlines())
    return text.replace("      @HEADERS@\n", f"      {headers}\n" if headers else "")


def wait_bound(host: str, port: int) -> None:
    """Wait until somebody has a UDP port of an IPv4 address; where the kernel does not tell, for a moment."""
    table = Path("/proc/net/udp")
    wanted = f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}:{port:04X}"
    deadline = time.monotonic() + (5.0 if table.exists() else 0.2)
    while time.monotonic() < deadline and not (table.exists() and wanted in table.read_text()):
        time.sleep(0.01)


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
    for name in ("case", "caller", "agents", "seconds", "billed", "verdict"):
        table.add_column(name, justify="right" if name in ("seconds", "billed") else "left")
    for verdict in verdicts:
        case = verdict.case
        said = "[red]" + "; ".join(verdict.faults) if verdict.faults else "[green]✔"
        if verdict.skipped:
            said = f"[yellow]skipped: {verdict.skipped}"
        billed = f"{case.billed_seconds} s" if case.units else ""
        table.add_row(case.name, case.caller, ", ".join(case.agents), f"{verdict.seconds:.1f}", billed, said)
    console.print(table)
    faults = [fault for verdict in verdicts for fault in verdict.faults] + stage.server.faults()
    for fault in stage.server.faults():
        console.print(f"[red]{fault}")
    if faults:
        console.print(f"messages and logs: {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
