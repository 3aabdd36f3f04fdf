"""For anybody who wants to try a server: a phone that calls, and one that answers."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from b2bua.cli.start import give_up
from b2bua.phone.audio import SoundError, file_frames, tone_frames, write_wave
from b2bua.phone.softphone import Frames, PhoneCall, PhoneError, SoftPhone
from b2bua.sip.errors import SipError
from b2bua.sip.uri import SipUri

_Server = Annotated[str, typer.Option(help="Where to send SIP: HOST or HOST:PORT. Default: the URI's host.")]
_Local = Annotated[str, typer.Option(help="Our own address: HOST or HOST:PORT.")]
_Tone = Annotated[int, typer.Option(min=0, max=3400, help="Speak this tone, Hz; 0 is silence.")]
_Sound = Annotated[Path | None, typer.Option(help="Speak this WAV file (8000 Hz, 16 bit, mono) instead.")]
_Keep = Annotated[Path | None, typer.Option(help="Write what was heard into a WAV file.")]
_Password = Annotated[str, typer.Option(envvar="B2BUA_PASSWORD", help="Digest password.")]
_Transport = Annotated[str, typer.Option(help="udp or tcp.")]


def place_call(
    uri: Annotated[str, typer.Argument(help="Whom to call: sip:+49302000100@127.0.0.1:5060")],
    server: _Server = "",
    local: _Local = "127.0.0.1",
    transport: _Transport = "udp",
    user: Annotated[str, typer.Option(help="Our user name or number.")] = "caller",
    password: _Password = "",
    domain: Annotated[str, typer.Option(help="Domain of our From.")] = "",
    forwarded_from: Annotated[str, typer.Option(help="Pretend that this line forwarded the call.")] = "",
    kind: Annotated[str, typer.Option(help="... and why: unconditional, user-busy or no-answer.")] = "unconditional",
    tone: _Tone = 440,
    sound: _Sound = None,
    seconds: Annotated[float, typer.Option(min=0.1, max=3600, help="Hang up after so long.")] = 5.0,
    ring_seconds: Annotated[float, typer.Option(min=0.1, max=600, help="Give up after so long.")] = 60.0,
    keep: _Keep = None,
) -> None:
    """Place a call, speak, hang up, and report what was heard. Exit code 1 if nobody answered."""
    try:
        target = SipUri.parse(uri)
    except SipError as error:
        give_up(f"{uri!r} is no SIP URI: {error}")
    headers = []
    if forwarded_from:
        headers.append(("Diversion", f"<sip:{forwarded_from}@{domain or local}>;reason={kind};counter=1"))

    async def run() -> int:
        phone = _phone(local, transport, user, password, domain, _frames(tone, sound))
        await phone.start()
        try:
            call = phone.call(uri, _address(server, target), headers)
            if not await _wait(call.answered, call.ended, ring_seconds):
                if not call.ended.is_set():
                    call.hangup()
                    await _until(call.ended, 5.0)
                typer.echo(f"not answered: {call.status or 'given up'} {call.reason}")
                return 1
            typer.echo("answered")
            await _until(call.ended, seconds)
            ours = not call.ended.is_set()
            call.hangup()
            await _until(call.ended, 5.0)
            _report(call, "we hung up" if ours else f"ended by the other side ({call.cause})", keep)
            return 0
        finally:
            await phone.close()

    _finish(run)


def answer_calls(
    local: _Local = "127.0.0.1:5070",
    transport: _Transport = "udp",
    register: Annotated[str, typer.Option(help="Register here first: HOST or HOST:PORT.")] = "",
    user: Annotated[str, typer.Option(help="Our user name.")] = "agent",
    password: _Password = "",
    domain: Annotated[str, typer.Option(help="Domain to register in.")] = "",
    ring_seconds: Annotated[float, typer.Option(min=0, max=600, help="Ring so long before answering.")] = 1.0,
    seconds: Annotated[float, typer.Option(min=0, max=3600, help="Hang up after so long; 0: never.")] = 0.0,
    refuse: Annotated[int, typer.Option(help="Refuse with this status instead, such as 486.")] = 0,
    calls: Annotated[int, typer.Option(min=0, help="End after so many calls; 0: never.")] = 0,
    tone: _Tone = 880,
    sound: _Sound = None,
    keep: _Keep = None,
) -> None:
    """Be an agent's phone: answer calls, speak, and report what was heard."""

    async def run() -> int:
        over: asyncio.Queue[PhoneCall] = asyncio.Queue()
        tasks: set[asyncio.Task[None]] = set()

        def happened(call: PhoneCall) -> None:
            greeting = call.header("X-Greeting")
            typer.echo(f"call from {call.caller.display or call.caller.uri}{f': {greeting}' if greeting else ''}")
            task = asyncio.create_task(handle(call))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        async def handle(call: PhoneCall) -> None:
            if refuse:
                call.refuse(refuse)
            else:
                call.ring()
                await _until(call.ended, ring_seconds)
                call.answer()
                if seconds:
                    await _until(call.ended, seconds)
                    call.hangup()
            await call.ended.wait()
            over.put_nowait(call)

        phone = _phone(local, transport, user, password, domain, _frames(tone, sound), happened)
        await phone.start()
        try:
            if register:
                await phone.register(_split(register))
                typer.echo(f"registered {user} at {register}")
            host, port = phone.address
            shown = f"[{host}]" if ":" in host else host
            typer.echo(f"waiting for calls at sip:{user}@{shown}:{port}")
            count = 0
            while not calls or count < calls:
                call = await over.get()
                count += 1
                _report(call, call.cause, keep)
            return 0
        finally:
            await phone.close()

    _finish(run)


def _finish(run) -> None:  # type: ignore[no-untyped-def]
    try:
        code = asyncio.run(run())
    except (PhoneError, SoundError, SipError, OSError) as error:
        give_up(error)
    except KeyboardInterrupt:
        code = 0
    raise typer.Exit(code)


def _frames(tone: int, sound: Path | None) -> Frames:
    if sound is None:
        return lambda: tone_frames(tone)
    file_frames(sound)  # a file that cannot be used is told at once, not at the first call
    return lambda: file_frames(sound)


def _phone(local, transport, user, password, domain, frames, on_call=None) -> SoftPhone:  # type: ignore[no-untyped-def]
    host, port = _split(local, 0)
    return SoftPhone(
        host, port, transport, username=user, password=password, domain=domain, frames=frames, on_call=on_call
    )


def _split(text: str, default_port: int = 5060) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or (host.count(":") and not host.endswith("]")):
        return text.strip("[]"), default_port
    if not port.isdecimal() or int(port) > 65535:
        give_up(f"{text!r} is no HOST:PORT")
    return host.strip("[]"), int(port)


def _address(server: str, target: SipUri) -> tuple[str, int]:
    return _split(server) if server else (target.host.strip("[]"), target.port or 5060)


async def _until(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event, but no longer."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def _wait(answered: asyncio.Event, ended: asyncio.Event, seconds: float) -> bool:
    """True once answered; False if it ended first, or took too long."""
    waiting = [asyncio.create_task(answered.wait()), asyncio.create_task(ended.wait())]
    await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    return answered.is_set()


def _report(call: PhoneCall, how: str, keep: Path | None) -> None:
    heard = call.heard()
    if not call.answered.is_set():
        typer.echo(f"over: {how}, never answered ({call.status})")
        return
    talked = call.ended_at - call.answered_at
    sound = f"a tone of {heard.frequency} Hz" if heard.frequency else "no clear tone"
    typer.echo(
        f"over after {talked:.1f} s: {how}; sent {call.packets_sent} packets, heard {heard.packets} packets, "
        f"{heard.seconds:.1f} s, {sound}"
    )
    if keep is not None:
        write_wave(keep, call.samples)
