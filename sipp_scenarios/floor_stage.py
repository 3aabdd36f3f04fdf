"""Plays the cases of ``floor_cases.py``: contracts and agents of their own, callers one after the other."""

import random
import re
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from string import Template

from accounting.records import CallRecord
from sipp_scenarios.floor_cases import SLACK, Caller, FloorCase
from sipp_scenarios.sipp import HERE, UNTIL_ON_RECORD, Verdict, billed, ended, header, received, start, wait_bound
from tests.interop.server import Server, free_port, free_ports

AGENTS = "127.0.0.10"
CARRIER = "127.0.0.2"
#: Where agents dial codes; not the carrier's address, which needs no password.
DESKS = "127.0.0.7"
#: Who answers other numbers, on the carrier's side; those that begin so are busy.
OTHER_NUMBERS, BUSY_NUMBERS = "+4930320", "+4930330"
_NAMES = ("first", "second", "third")
#: SIPp's exit code when it was told to go and nobody had called.
_NO_CALLS = 99

_AGENT = Template("""
[[agents]]
id = "$id"
name = "Agent"
$lines
""")

_CASE = Template("""
[[groups]]
id = "$all"
name = "All"
members = [$members]
$group

[[groups]]
id = "$others"
name = "Others"
members = ["$second", "$third"]
""")

_CONTRACT = """
[[contracts]]
id = "$id"
customer = "Kanzlei Berger"
greeting = "Kanzlei Berger, guten Tag!"
tariff = "short"
target_numbers = ["$number"]
"""


class FloorStage:
    """What the cases need in the business file, and the playing of each. ``out`` is a port for other numbers."""

    def __init__(self, cases: Sequence[FloorCase]) -> None:
        self._index = {case.name: index for index, case in enumerate(cases)}
        self._ports = dict(zip(self._index, _threes(free_ports(AGENTS, 3 * len(cases))), strict=True)) if cases else {}
        self.out = free_port(CARRIER)
        self.business = "".join(self._business(case) for case in cases)
        self._carrier: subprocess.Popen[bytes] | None = None
        # where the kernel does not give ports away by itself: it would give those of phones not started yet
        self._media_ports = count(random.randrange(10_000, 15_000, 4), 4)

    def _business(self, case: FloorCase) -> str:
        words = self._words(case)
        text = ""
        for name, port in zip(_NAMES, self._ports[case.name], strict=True):
            lines = case.more.get(name, "")
            if "endpoints" not in lines:
                lines += f'\nendpoints = [{{ contact = "sip:{name}@{AGENTS}:{port}" }}]'
            text += _AGENT.substitute(id=words[name], lines=lines)
        members = ", ".join(f'"{words[name]}"' for name in _NAMES[: max(1, len(case.phones))])
        text += _CASE.substitute(words, members=members, group=case.group)
        for contract, rules in (("own", case.rules), ("second", case.second_rules)):
            if rules:
                text += _CONTRACT.replace("$id", f"{contract}-$index").replace("$number", self.number(case, contract))
                text += rules
        return Template(text).substitute(words)

    def _words(self, case: FloorCase) -> dict[str, str]:
        """What stands for $words in a case."""
        index = self._index[case.name]
        return {
            **{name: f"{name}-{index}" for name in _NAMES},
            **{f"{name}_port": str(port) for name, port in zip(_NAMES, self._ports[case.name], strict=True)},
            "all": f"all-{index}", "others": f"others-{index}", "skill": f"skill-{index}",
            "index": str(index), "number": self.number(case),
            "out": f"{OTHER_NUMBERS}{index:04d}", "busy": f"{BUSY_NUMBERS}{index:04d}",
        }  # fmt: skip

    def _media(self) -> list[str]:
        return ["-mp", str(next(self._media_ports))]

    def number(self, case: FloorCase, contract: str = "own") -> str:
        """The target number of a case's contract."""
        return f"+49303{'00' if contract == 'own' else '10'}{self._index[case.name]:04d}"

    def begin(self, folder: Path) -> None:
        """Let other numbers be answered."""
        folder.mkdir()
        self._folder = folder
        text = (HERE / "uas-other-number.xml").read_text(encoding="utf-8")
        self._carrier = start(folder, "carrier", text, CARRIER, self.out, *self._media(), calls=10_000, patience=3600)
        wait_bound(CARRIER, self.out)

    def end(self) -> None:
        """No more calls."""
        if self._carrier is not None:
            self._carrier.terminate()
            self._carrier.wait()

    # -- playing -----------------------------------------------------------------------------------------

    def play(self, case: FloorCase, server: Server, folder: Path) -> Verdict:
        """Run the SIPps of one case and judge them."""
        began = time.monotonic()
        folder.mkdir()
        phones = {}
        for name, scenario, port in zip(_NAMES, case.phones, self._ports[case.name], strict=False):
            text = _filled(scenario, case.fill)
            options = [*self._media(), *(["-rtp_echo"] if case.whispered else [])]
            phones[name] = start(folder, name, text, AGENTS, port, *options, calls=100)
            wait_bound(AGENTS, port)
        faults = [fault for name, code in case.codes for fault in self._dial(case, name, code, server, folder)]
        callers = []
        for at, caller in enumerate(case.callers):
            if at:
                _until_told(folder, f"caller{at - 1}")
                time.sleep(caller.after)
            callers.append(self._call(case, caller, at, server, folder))
        codes = [ended(process) for process in callers]
        faults += [f"caller {at}: SIPp ended with {code}" for at, code in enumerate(codes) if code]
        for name, phone in phones.items():
            # what it plays is played to the end
            phone.send_signal(signal.SIGUSR1)
            if (code := ended(phone)) not in (0, _NO_CALLS):
                faults.append(f"{name}: SIPp ended with {code}")
        faults += self._judge(case, server, folder)
        if faults:
            faults.append(f"see {folder}")
        return Verdict(case.name, faults, time.monotonic() - began)

    def _dial(self, case: FloorCase, name: str, code: str, server: Server, folder: Path) -> list[str]:
        """An agent dials a code, which must be taken."""
        host, port = server.address("udp")
        phone = start(
            folder, f"code{code[1:]}", _filled("uac-code", {}), DESKS, free_port(DESKS), f"{host}:{port}",
            *self._media(), "-s", code, "-au", self._words(case)[name], "-ap", "secret",
            "-auth_uri", f"{code}@{host}:{port}",
        )  # fmt: skip
        return [f"{code}: SIPp ended with {phone.returncode}"] if ended(phone) else []

    def _call(
        self, case: FloorCase, caller: Caller, at: int, server: Server, folder: Path
    ) -> "subprocess.Popen[bytes]":
        host, port = server.address("udp")
        headers = "\n      ".join(caller.headers.splitlines())
        words = {**caller.fill, "+4940123456": _number_of(at), "@HEADERS@": headers}
        text = _filled(caller.scenario, words)
        if caller.keys:
            threading.Thread(target=_speak, args=(folder, f"caller{at}", caller.keys), daemon=True).start()
        return start(
            folder, f"caller{at}", text, CARRIER, free_port(CARRIER), f"{host}:{port}", *self._media(),
            "-s", self.number(case, caller.contract), *(["-rtp_echo"] if caller.heard else []),
        )  # fmt: skip

    # -- judging -----------------------------------------------------------------------------------------

    def _records(self, case: FloorCase, server: Server) -> dict[str, list[CallRecord]]:
        numbers = (self.number(case), self.number(case, "second"))
        found: dict[str, list[CallRecord]] = {}
        for record in server.calls():
            if record.target_number in numbers:
                found.setdefault(record.caller, []).append(record)
        return found

    def _judge(self, case: FloorCase, server: Server, folder: Path) -> list[str]:
        deadline = time.monotonic() + UNTIL_ON_RECORD
        while True:
            records = self._records(case, server)
            if len(records) >= len(case.callers) or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        faults = []
        for at, caller in enumerate(case.callers):
            of_caller = records.get("" if "Privacy: id" in caller.headers else _number_of(at), [])
            if len(of_caller) == 1:
                faults += [f"caller {at}: {fault}" for fault in _judge_record(case, caller, of_caller[0], server)]
            else:
                faults.append(f"caller {at}: {len(of_caller)} calls on record")
            rang = bool(received(folder, f"caller{at}", "SIP/2.0 180"))
            if rang != (not caller.accepted if caller.ringing is None else caller.ringing):
                faults.append(f"caller {at}: {'heard' if rang else 'did not hear'} it ring")
        for name, rings in zip(_NAMES, case.rings, strict=False):
            calls = {header(invite, "Call-ID") for invite in received(folder, name, "INVITE ")}
            if len(calls) != rings:
                faults.append(f"{name} was rung {len(calls)} times, not {rings}")
        if case.over_trunk:
            faults += self._judge_other(case)
        if case.message:
            mailbox = f"{case.message}-{self._index[case.name]}"
            messages = list((server.folder / "voicemail").glob(f"**/{mailbox}*/*.wav"))
            if len(messages) != 1 or messages[0].stat().st_size < 4000:
                faults.append(f"messages for {mailbox}: {[(path.name, path.stat().st_size) for path in messages]}")
        return faults

    def _judge_other(self, case: FloorCase) -> list[str]:
        words = self._words(case)
        dialled = tuple(f"INVITE sip:{words[name]}@" for name in ("out", "busy"))
        invites = [item for item in received(self._folder, "carrier", "INVITE ") if item.startswith(dialled)]
        if len(invites) != 1:
            return [f"another number was called {len(invites)} times"]
        wanted = {name: Template(value).substitute(words) for name, value in case.over_trunk.items()}
        return [
            f"{name}: {header(invites[0], name)!r} to the carrier, not {value!r}"
            for name, value in wanted.items()
            if header(invites[0], name).partition(";tag=")[0] != value
        ]


def _judge_record(case: FloorCase, caller: Caller, record: CallRecord, server: Server) -> list[str]:
    faults = []
    if (record.result, record.end_reason) != caller.record:
        faults.append(f"on record {(record.result, record.end_reason)}, not {caller.record}")
    if not record.billable:
        faults.append("is not billable")
    if bool(record.accepted_at_ns) != caller.accepted:
        faults.append(f"answered by us: {bool(record.accepted_at_ns)}")
    if record.agent.partition("-")[0] != caller.agent and not (record.agent and caller.agent == "any"):
        faults.append(f"{record.agent or 'nobody'} took the call, not {caller.agent or 'nobody'}")
    waited = ((record.answered_at_ns or record.ended_at_ns) - record.started_at_ns) / 1e9
    talked = record.talked_ns / 1e9
    for what, least, seconds in (("waited", caller.waited, waited), ("talked", caller.talked, talked)):
        if not least <= seconds <= least + SLACK or (what == "talked" and bool(seconds) != bool(least)):
            faults.append(f"{what} {seconds:.3f} s, not {least:.1f} and {SLACK} more at most")
    calls, units, _, _ = billed([record], server.tariffs())
    if (calls, units) != (min(caller.units, 1), caller.units):
        faults.append(f"billed {calls} calls, {units} units, not {caller.units}")
    for leg, least in (("caller", caller.heard), ("agent", case.whispered)):
        echoed = record.media.get(leg, {}).get("packets_received", 0)
        if least and not (isinstance(echoed, int) and echoed >= least):
            faults.append(f"{leg} heard {echoed} packets, not {least}")
    return faults


def _threes(ports: list[int]) -> list[tuple[int, ...]]:
    return [tuple(ports[at : at + 3]) for at in range(0, len(ports), 3)]


def _number_of(at: int) -> str:
    return f"+4940123456{at}"


def _filled(scenario: str, fill: Mapping[str, str]) -> str:
    text = (HERE / f"{scenario}.xml").read_text(encoding="utf-8")
    if not fill.get("@HEADERS@"):
        # a line that has no words loses its place
        text = text.replace("      @HEADERS@\n", "")
    for old, new in fill.items():
        text = text.replace(old, new)
    return text


def _until_told(folder: Path, name: str) -> None:
    """Until a caller has heard anything but 100."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if any(not message.startswith("SIP/2.0 100") for message in received(folder, name, "SIP/2.0 ")):
            return
        time.sleep(0.02)


# -- what a caller says, and keys ------------------------------------------------------------------------

_PACKET_SECONDS = 0.02
_SAMPLES = 160


def _speak(folder: Path, name: str, keys: Sequence[tuple[float, str]]) -> None:
    """From the answer on until the call is over: a noise, and keys in between (RFC 4733 section 2.5.1)."""
    deadline = time.monotonic() + 10
    target = None
    while target is None:
        for answer in received(folder, name, "SIP/2.0 200"):
            found = re.search(r"^m=audio (\d+) ", answer, re.MULTILINE)
            address = re.search(r"^c=IN IP4 (\S+)", answer, re.MULTILINE)
            if found and address:
                target = (address.group(1), int(found.group(1)))
        if time.monotonic() > deadline:
            return
        time.sleep(_PACKET_SECONDS)
    began = time.monotonic()
    due = list(keys)
    source, sequence, noise = random.getrandbits(32), 1, random.Random(1).randbytes(_SAMPLES)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind((CARRIER, 0))
        while time.monotonic() < began + 20 and not received(folder, name, "BYE "):
            stamp = sequence * _SAMPLES
            if due and time.monotonic() - began >= due[0][0]:
                number = "0123456789*#".index(due.pop(0)[1])
                # begun, going on, and ended three times
                for marker, end, duration in ((0x80, 0, 160), (0, 0, 320), *((0, 0x80, 480),) * 3):
                    event = struct.pack("!BBH", number, end | 10, duration)
                    phone.sendto(struct.pack("!BBHII", 0x80, marker | 101, sequence, stamp, source) + event, target)
                    sequence += 1
            else:
                phone.sendto(struct.pack("!BBHII", 0x80, 8, sequence & 0xFFFF, stamp, source) + noise, target)
                sequence += 1
            time.sleep(_PACKET_SECONDS)
