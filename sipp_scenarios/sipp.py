"""SIPp as a child process, what it wrote down of messages, and what came of a case."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from accounting.rating import rate
from accounting.records import CallRecord
from accounting.tariff import Tariff

HERE = Path(__file__).resolve().parent
#: How long a SIPp may take, seconds, and how long what came of it may take to be on record.
PATIENCE = 40
UNTIL_ON_RECORD = 15
_BETWEEN = re.compile(r"^-{20,} .*$", re.MULTILINE)


@dataclass(slots=True)
class Verdict:
    """What came of a case: no ``faults`` is good; ``skipped`` says why it was not played."""

    name: str
    faults: list[str]
    seconds: float = 0.0
    skipped: str = ""


def start(
    folder: Path, name: str, text: str, host: str, port: int, *options: str, calls: int = 1, patience: int = PATIENCE
) -> "subprocess.Popen[bytes]":
    """Play a scenario, whose ``text`` this is, for so many ``calls``; files that begin with ``name`` tell of it.
    After ``patience`` seconds SIPp gives up."""
    path = folder / f"{name}.xml"
    path.write_text(text, encoding="utf-8")
    command = [
        "sipp", "-sf", str(path), "-i", host, "-p", str(port), "-m", str(calls),
        "-nostdin", "-timeout", f"{patience}s", "-timeout_error",
        "-trace_msg", "-message_file", str(folder / f"{name}.messages"),
        "-trace_err", "-error_file", str(folder / f"{name}.errors"),
        # the relay speaks IPv4
        "-mi", "127.0.0.2" if ":" in host else host, *options,
    ]  # fmt: skip
    with (folder / f"{name}.screen").open("wb") as screen:
        return subprocess.Popen(command, stdout=screen, stderr=screen, cwd=folder)


def ended(process: "subprocess.Popen[bytes]") -> int:
    """Wait for the end of a SIPp; its exit code, -1 if it had to be killed."""
    try:
        return process.wait(PATIENCE + 5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return -1


def received(folder: Path, name: str, beginning: str) -> list[str]:
    """The messages that came to this SIPp and begin so, each as often as it came."""
    path = folder / f"{name}.messages"
    found = []
    for block in _BETWEEN.split(path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""):
        head, _, message = block.replace("\r\n", "\n").strip().partition("\n\n")
        if "message received" in head and message.startswith(beginning):
            found.append(message)
    return found


def header(message: str, name: str) -> str:
    """A header's value; "" if there is none."""
    found = re.search(rf"^{name}: *(.*)$", message, re.MULTILINE)
    return found.group(1).strip() if found else ""


def wait_bound(host: str, port: int) -> None:
    """Wait until somebody has a UDP port of an IPv4 address; where the kernel does not tell, for a moment."""
    table = Path("/proc/net/udp")
    wanted = f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}:{port:04X}"
    deadline = time.monotonic() + (5.0 if table.exists() else 0.2)
    while time.monotonic() < deadline and not (table.exists() and wanted in table.read_text()):
        time.sleep(0.01)


def billed(records: Iterable[CallRecord], tariffs: Mapping[str, Tariff]) -> tuple[int, int, int, Decimal]:
    """What these calls cost: how many are paid for, units, seconds, amount."""
    bills = [
        rate(record.segments, tariffs[record.tariff].at(record.answered_at_ns))
        for record in records
        if record.result == "answered" and record.billable
    ]
    return (
        len(bills),
        sum(bill.units for bill in bills),
        sum(bill.billed_seconds for bill in bills),
        sum((bill.amount for bill in bills), Decimal(0)),
    )
