"""The demonstration: a server, a carrier and two agents on this machine, with real SIP and real sound.

``make demo`` runs it. Nothing is faked: the server is the one that ``b2bua run`` starts, calls go over UDP
sockets of the loopback interface, tones go through the relay and are recognised at the other end, and what is
shown at the end comes out of the database. Exit code 0 only if every call did what it should.
"""

import asyncio
import signal
import socket
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.live import Live
from rich.table import Table

from accounting.month import Month
from accounting.records import CallRecord
from accounting.statement import Heading, StatementContent, statement
from accounting.store import open_engine, read_calls, read_tariffs
from b2bua.cli.money import calls_table
from b2bua.phone.audio import tone_frames
from b2bua.phone.softphone import Frames, PhoneCall, PhoneError, SoftPhone, Trace
from b2bua.statements.language import language_of
from b2bua.statements.table import statement_table
from media.tones import tone, tones_in_order
from media.wave_file import read_wave, write_wave

HOST = "127.0.0.1"
CARRIER = "127.0.0.2"
DOMAIN = "service.example"
CALLER_TONE = 440
AGENTS = {"anna": 880, "ben": 660}
LAWYER, CRAFTSMAN, GARAGE, NOBODYS = "+49302000100", "+49302000101", "+49302000102", "+49302000999"
#: Tones stand for announcements, so that what was heard can be told by its frequency: (Hz, seconds).
WELCOME, MUSIC, WHISPER, LEAVE_A_MESSAGE, BEEP = 1000, 350, 1500, 750, 1000
SOUNDS = {
    "welcome": (WELCOME, 0.8), "music": (MUSIC, 4.0), "whisper": (WHISPER, 0.6),
    "de/voicemail/record": (LEAVE_A_MESSAGE, 0.5), "de/voicemail/thanks": (600, 0.5), "de/busy": (480, 0.5),
}  # fmt: skip
NANOSECONDS = Decimal(10**9)

CONFIG = """\
[server]
domain = "{domain}"

[[listeners]]
name = "main"
transport = "udp"
host = "127.0.0.1"
port = {port}

[[trunks]]
name = "carrier"
sources = ["127.0.0.2/32"]

[sounds]
folder = "{sounds}"

[voicemail]
folder = "{voicemail}"

[media]
host = "127.0.0.1"
port_min = {media_min}
port_max = {media_max}

[database]
url = "sqlite:///{database}"

[web]
host = ""
"""

CONTRACTS = """\
[[tariffs]]
name = "full-minutes"
per_minute = "0.99"
increment = "60/60"

[[tariffs]]
name = "six-seconds"
per_minute = "1.20"
increment = "6/6"

[[agents]]
id = "anna"
name = "Anna Adler"
endpoints = [{ username = "anna", password = "demo-anna" }]

[[agents]]
id = "ben"
name = "Ben Brandt"
endpoints = [{ username = "ben", password = "demo-ben" }]

[[groups]]
id = "office"
name = "Office"
members = ["anna", "ben"]

[[contracts]]
id = "kanzlei-berger"
customer = "Kanzlei Berger"
greeting = "Kanzlei Berger, guten Tag, mein Name ist ..."
target_numbers = ["+49302000100"]
plan = [{ agent = "anna", ring_seconds = 10 }, { group = "office", strategy = "ring_all", ring_seconds = 20 }]
tariff = "full-minutes"

[[contracts]]
id = "elektro-sommer"
customer = "Elektro Sommer"
greeting = "Elektro Sommer, Notdienst und Termine, guten Tag!"
target_numbers = ["+49302000101"]
plan = [{ group = "office", strategy = "in_order", ring_seconds = 10 }]
tariff = "six-seconds"

[[contracts]]
id = "autohaus-herbst"
customer = "Autohaus Herbst"
greeting = "Autohaus Herbst, Werkstatt, guten Tag!"
target_numbers = ["+49302000102"]
plan = [{ group = "office", strategy = "in_order", patience_seconds = 60 }]
whisper = "whisper"
tariff = "six-seconds"

[contracts.waiting]
answering = "answer_at_once"
greeting_sound = "welcome"
music = "music"
most_callers = 1
if_full = { voicemail = "werkstatt@autohaus-herbst.example" }
"""


@dataclass
class Story:
    """One call: what happens, and what must come of it. Times in seconds; ``billed`` None: not paid for."""

    title: str
    caller: str
    dialled: str
    forwarded_from: str
    reason: str
    starts: float
    talks: float
    result: str
    billed: int | None = None
    status: int = 200
    agent_hangs_up: bool = False
    rings_only: bool = False
    #: what the caller hears before the agent, and the agent before the caller
    waits_to: tuple[int, ...] = ()
    whispered: tuple[int, ...] = ()
    leaves_message: bool = False
    state: str = "waiting"
    agent: str = ""
    caller_heard: list[int] = field(default_factory=list)
    agent_heard: list[int] = field(default_factory=list)
    agent_answered: asyncio.Event = field(default_factory=asyncio.Event)
    faults: list[str] = field(default_factory=list)
    call: PhoneCall | None = None
    agents_call: PhoneCall | None = None
    record: CallRecord | None = None
    done: bool = False

    @property
    def agents_answer_at(self) -> float:
        """When the agent of a queue had heard whose call it is; 0.0 if none has."""
        call = self.agents_call
        return call.answered_at + SOUNDS["whisper"][1] if call is not None and call.answered_at else 0.0


def stories() -> list[Story]:
    """Three kinds of forwarding to two contracts, a wrong number, an impatient caller; and a queue that fills up."""
    return [
        Story("forwarded at once", "+4940111001", LAWYER, "+4930555010", "unconditional", 0.0, 4.0, "answered", 60),
        Story("forwarded on busy", "+4940111002", CRAFTSMAN, "+4930777020", "user-busy", 0.5, 7.3, "answered", 12),
        Story("unknown number", "+4940111003", NOBODYS, "+4930555099", "unconditional", 1.5, 0.0, "", status=404),
        Story(
            "forwarded on no answer", "+4940111004", CRAFTSMAN, "+4930777021", "no-answer", 6.5, 5.2, "answered", 6,
            agent_hangs_up=True,
        ),
        Story(
            "abandoned while ringing", "+4940111005", LAWYER, "+4930555011", "user-busy", 10.5, 2.0, "abandoned",
            status=487, rings_only=True,
        ),
        Story("forwarded at once", "+4940111006", LAWYER, "+4930555010", "unconditional", 13.8, 3.0, "answered", 60),
        _queued("a queue", "+4940111007", "+4930888030", 19.0, 4.4, 6),
        _queued("the other agent", "+4940111008", "+4930888031", 19.3, 8.2, 12),
        _queued("waits for an agent", "+4940111009", "+4930888032", 20.5, 3.0, 6),
        Story(
            "queue full: a message", "+4940111010", GARAGE, "+4930888033", "user-busy", 22.0, 3.0, "no_agent",
            waits_to=(LEAVE_A_MESSAGE, BEEP), leaves_message=True,
        ),
    ]  # fmt: skip


def _queued(title: str, caller: str, line: str, starts: float, talks: float, billed: int) -> Story:
    return Story(
        title, caller, GARAGE, line, "user-busy", starts, talks, "answered", billed,
        waits_to=(WELCOME, MUSIC), whispered=(WHISPER,),
    )  # fmt: skip


class Demo:
    """The people and the exchange."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stories = stories()
        self.started = 0.0
        self.port = free_port(socket.SOCK_DGRAM)
        self.database = folder / "demo.db"
        self.config = folder / "b2bua.toml"
        self.log = folder / "server.log"
        self.sounds = folder / "sounds"
        self.voicemail = folder / "voicemail"
        self.carrier = SoftPhone(CARRIER, username="carrier", domain="carrier.example", frames=tones(CALLER_TONE))
        self.phones = {
            name: SoftPhone(
                HOST, username=name, password=f"demo-{name}", domain=DOMAIN, frames=tones(tone),
                on_call=partial(self.rung, name),
            )
            for name, tone in AGENTS.items()
        }  # fmt: skip
        self.tasks: set[asyncio.Task[None]] = set()

    # -- the server --------------------------------------------------------------------------------------

    async def start(self) -> asyncio.subprocess.Process:
        """Import the contracts, start the server, register the agents."""
        contracts = self.folder / "contracts.toml"
        contracts.write_text(CONTRACTS, encoding="utf-8")
        for name, (frequency, seconds) in SOUNDS.items():
            sound = self.sounds / f"{name}.wav"
            sound.parent.mkdir(parents=True, exist_ok=True)
            sound.write_bytes(write_wave(tone(frequency, seconds)))
        media_min = 20000 + self.port % 20000
        text = CONFIG.format(
            domain=DOMAIN, port=self.port, database=self.database, media_min=media_min, media_max=media_min + 400,
            sounds=self.sounds, voicemail=self.voicemail,
        )  # fmt: skip
        self.config.write_text(text, encoding="utf-8")
        imported = await self.command("import", str(contracts), stdout=asyncio.subprocess.PIPE)
        await imported.wait()
        if imported.returncode:
            raise PhoneError("the import of the contracts failed")
        with self.log.open("wb") as log:
            server = await self.command("run", stdout=log, stderr=log)
        for name, phone in self.phones.items():
            await phone.start()
            await self.register(name, server)
        await self.carrier.start()
        return server

    async def command(self, name: str, *arguments: str, **pipes: object) -> asyncio.subprocess.Process:
        """``b2bua NAME ARGUMENTS`` with this Python."""
        code = "from b2bua.cli import main; main()"
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, name, *arguments, "--config", str(self.config), **pipes  # type: ignore[arg-type]
        )  # fmt: skip

    async def register(self, name: str, server: asyncio.subprocess.Process) -> None:
        """Register a phone; while the server is still starting nobody answers."""
        for _ in range(100):
            try:
                await self.phones[name].register((HOST, self.port))
                return
            except PhoneError:
                if server.returncode is not None:
                    break
                await asyncio.sleep(0.1)
        raise PhoneError(f"{name} cannot register; the server says:\n{self.log.read_text(errors='replace')}")

    # -- the people --------------------------------------------------------------------------------------

    def rung(self, name: str, call: PhoneCall) -> None:
        """An agent's phone is called."""
        task = asyncio.create_task(self.take(name, call))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def take(self, name: str, call: PhoneCall) -> None:
        """The agent reads whose call it is, and answers after a moment."""
        line = call.header("X-Forwarded-From")
        story = next((item for item in self.stories if item.forwarded_from == line and not item.done), None)
        call.ring()
        if story is None:
            return
        story.agent = name
        story.state = "ringing"
        if not call.header("X-Greeting") or not call.caller.display:
            story.faults.append("the agent did not see whose call it is")
        if story.rings_only:
            return
        await quiet(call.ended, 1.0)
        story.agents_call = call
        call.answer()
        story.agent_answered.set()
        if story.agent_hangs_up:
            await quiet(call.ended, story.talks)
            call.hangup()

    async def live(self, story: Story) -> None:
        """One caller's side of a story, from the first INVITE to the end."""
        await asyncio.sleep(story.starts)
        story.state = "calling"
        diversion = f"<sip:{story.forwarded_from}@carrier.example;user=phone>;reason={story.reason};counter=1"
        story.call = call = self.carrier.call(
            f"sip:{story.dialled}@{HOST}:{self.port};user=phone", (HOST, self.port), [("Diversion", diversion)],
            f"<sip:{story.caller}@carrier.example;user=phone>",
        )  # fmt: skip
        if story.rings_only:
            await quiet(call.ended, story.talks)
            call.hangup()
            await quiet(call.ended, 5.0)
            story.state = "caller gave up"
        else:
            await first(call.answered, call.ended)
            if call.answered.is_set():
                await self.talk(story, call)
                call.hangup()
                await quiet(call.ended, 5.0)
                story.state = "hung up"
            else:
                story.state = f"refused: {call.status}"
        self.judge_call(story, call)
        story.done = True

    async def talk(self, story: Story, call: PhoneCall) -> None:
        """From the answer to the moment at which somebody has said enough."""
        if story.leaves_message:
            story.state = "leaves a message"
        elif story.waits_to:
            story.state = "waits"
            await quiet(story.agent_answered, 30.0)
            story.state = "talking"
            await quiet(call.ended, SOUNDS["whisper"][1])
        else:
            story.state = "talking"
        await quiet(call.ended, story.talks + (3.0 if story.agent_hangs_up else 0.0))

    def judge_call(self, story: Story, call: PhoneCall) -> None:
        """What the parties saw and heard."""
        if story.status == 404 and call.status != 404:
            story.faults.append(f"answer {call.status}, not 404")
        story.caller_heard = tones_in_order(call.samples)
        wanted = list(story.waits_to)
        if story.result == "answered":
            wanted.append(AGENTS.get(story.agent, 0))
            story.agent_heard = tones_in_order(story.agents_call.samples) if story.agents_call is not None else []
            if story.agent_heard != [*story.whispered, CALLER_TONE]:
                story.faults.append(f"the agent heard {story.agent_heard} Hz, not {[*story.whispered, CALLER_TONE]}")
        if story.caller_heard != wanted:
            story.faults.append(f"the caller heard {story.caller_heard} Hz, not {wanted}")

    # -- the books ---------------------------------------------------------------------------------------

    def judge_messages(self) -> list[Path]:
        """What callers have left, and whether it is what they said."""
        messages = sorted(self.voicemail.rglob("*.wav"))
        for story in self.stories:
            if story.leaves_message:
                said = [tones_in_order(read_wave(message.read_bytes(), 60.0)) for message in messages]
                if said != [[CALLER_TONE]]:
                    story.faults.append(f"the messages say {said}, not {CALLER_TONE} Hz")
        return messages

    def judge_books(self) -> tuple[list[CallRecord], list[StatementContent]]:
        """What the database says of it."""
        engine = open_engine(f"sqlite:///{self.database}")
        with engine.connect() as connection:
            calls = read_calls(connection)
            tariffs = read_tariffs(connection)
        engine.dispose()
        now = datetime.now(ZoneInfo("Europe/Berlin"))
        month = Month(now.year, now.month)
        customers = {"kanzlei-berger": "Kanzlei Berger", "elektro-sommer": "Elektro Sommer"}
        customers["autohaus-herbst"] = "Autohaus Herbst"
        statements = [statement(calls, tariffs, Heading(*customer), month) for customer in customers.items()]
        lines = {line["call_id"]: line for made in statements for line in made["lines"]}
        for story in self.stories:
            story.record = next((call for call in calls if call.caller == story.caller), None)
            if story.record is None:
                if story.result:
                    story.faults.append("no record")
                continue
            line = lines.get(story.record.call_id)
            billed = line["billed_seconds"] if line is not None else None
            if story.record.result != story.result:
                story.faults.append(f"recorded as {story.record.result or 'nothing'}, not {story.result or 'nothing'}")
            if billed != story.billed:
                story.faults.append(f"billed {billed}, not {story.billed} s")
        return calls, statements

    def table(self) -> Table:
        """All stories as they stand."""
        table = Table(title="b2bua: forwarded calls from a carrier to two agents, and a queue before them")
        for name in ("call", "forwarded by", "dialled", "agent", "state", "Hz: caller | agent"):
            table.add_column(name, no_wrap=name in ("dialled", "agent"))
        table.add_column("talked", justify="right", no_wrap=True)
        table.add_column("", no_wrap=True)
        for story in self.stories:
            call = story.call
            talked = ""
            since = call.answered_at if call is not None and not story.waits_to else story.agents_answer_at
            if call is not None and since:
                talked = f"{(call.ended_at or self.carrier.now) - since:.1f} s"
            verdict = "[red]✘[/]" if story.faults else "[green]✔[/]" if story.done else ""
            heard = " | ".join(" ".join(map(str, tones)) for tones in (story.caller_heard, story.agent_heard) if tones)
            table.add_row(
                story.title, story.forwarded_from, story.dialled, story.agent, story.state, heard, talked, verdict
            )
        return table


def ladder(demo: Demo, story: Story) -> Table:
    """The SIP of one call, as both phones saw it."""
    table = Table(title=f"The SIP of one call: {story.title}, {story.forwarded_from} to {story.dialled}")
    table.add_column("seconds", justify="right")
    table.add_column("carrier ⟷ exchange", min_width=34)
    table.add_column(f"exchange ⟷ {story.agent}", min_width=34)
    assert story.call is not None
    seen = _of(demo.carrier, story.call)
    if story.agents_call is not None:
        seen += _of(demo.phones[story.agent], story.agents_call)
    carriers = {id(trace) for trace in demo.carrier.trace}
    first_at = min(trace.at for trace in seen)
    for trace in sorted(seen, key=lambda item: item.at):
        left = id(trace) in carriers
        # the carrier stands on the left and sends to the right; the agent the other way about
        arrow = f"{trace.summary} ──▶" if trace.sent == left else f"◀── {trace.summary}"
        table.add_row(f"{trace.at - first_at:.3f}", arrow if left else "", "" if left else arrow)
    return table


def _of(phone: SoftPhone, call: PhoneCall) -> list[Trace]:
    call_id = call.invite.call_id
    return [trace for trace in phone.trace if trace.call_id == call_id]


def tones(frequency: int) -> Frames:
    """What a phone says into its calls."""
    return lambda: tone_frames(frequency)


async def quiet(event: asyncio.Event, seconds: float) -> None:
    """Wait for the event, but no longer."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


async def first(*events: asyncio.Event) -> None:
    """Wait for any of the events, half a minute at most."""
    tasks = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED, timeout=30)
    for task in tasks:
        task.cancel()


def free_port(kind: int) -> int:
    """A port that nobody has at this moment."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


async def show(folder: Path, console: Console) -> int:
    """Run all stories and judge them."""
    demo = Demo(folder)
    console.print("Starting the server, a carrier and two agents ...")
    server = await demo.start()
    try:
        with Live(demo.table(), console=console, refresh_per_second=4) as live:
            calls = [asyncio.create_task(demo.live(story)) for story in demo.stories]
            while not all(task.done() for task in calls):
                await asyncio.sleep(0.25)
                live.update(demo.table())
            for task in calls:
                task.result()
            live.update(demo.table())
    finally:
        for phone in (demo.carrier, *demo.phones.values()):
            await phone.close()
        if server.returncode is None:
            server.send_signal(signal.SIGTERM)
            async with asyncio.timeout(20):
                await server.wait()
    records, statements = demo.judge_books()
    console.print(calls_table(records))
    english = language_of("en")
    for made in statements:
        console.print(statement_table(made, english))
    for message in demo.judge_messages():
        console.print(f"A message: {message.relative_to(folder)}, {message.stat().st_size / 16000:.1f} s")
    console.print(ladder(demo, demo.stories[1]))
    console.print(ladder(demo, next(story for story in demo.stories if story.title == "waits for an agent")))
    faults = [f"{story.title} ({story.caller}): {fault}" for story in demo.stories for fault in story.faults]
    if server.returncode:
        faults.append(f"the server ended with exit code {server.returncode}; see {demo.log}")
    if "Traceback" in demo.log.read_text(errors="replace"):
        faults.append(f"the server's log has a traceback; see {demo.log}")
    for fault in faults:
        console.print(f"[red]✘ {fault}[/]")
    if not faults:
        console.print(
            f"[green]✔ {len(demo.stories)} calls did what they should.[/] 7.3 s in the increment 6/6 are billed as "
            "12 s, 4.0 s in 60/60 as 60 s; ringing, waiting, whispers and messages cost nothing."
        )
    return 1 if faults else 0


def main() -> int:
    """The exit code is the verdict."""
    console = Console(width=None if sys.stdout.isatty() else 130)
    with tempfile.TemporaryDirectory(prefix="b2bua-demo-") as folder:
        try:
            return asyncio.run(show(Path(folder), console))
        except (PhoneError, OSError) as error:
            console.print(f"[red]✘ {error}[/]")
            return 1


if __name__ == "__main__":
    sys.exit(main())
