"""Our relay alone in a process, as the server runs it: one event loop, a sweep every second.

Reads one line, the ports of two telephones a call; sets the calls up; prints one line, the relay's ports in the
same order (where each telephone sends); then relays until it is told to end. Started by benchmarks.relay.
"""

import asyncio
import gc
import signal
import sys
import time

from b2bua.sip.ids import SystemIds
from media.engine import SdpReady
from media.relay.engine import RelayEngine
from media.sdp import parse

_SWEEP = 1.0


def description(host: str, port: int) -> bytes:
    """A telephone that speaks G.711."""
    return (
        f"v=0\r\no=phone 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=ptime:20\r\na=sendrecv\r\n"
    ).encode()


async def _main(host: str, telephones: str) -> None:
    engine = RelayEngine(host, host, 10_000, 59_999, 10.0, 60.0, SystemIds().number, time.monotonic)
    loop = asyncio.get_running_loop()
    engine.attach(loop)
    ports = [int(port) for port in sys.stdin.readline().split()]
    relays: list[int] = []
    for call in range(0, len(ports), 2):
        engine.offer(str(call), "caller", "agent", description(telephones, ports[call]))
        agents = await _port(engine)
        engine.answer(str(call), "agent", "caller", description(telephones, ports[call + 1]))
        relays += [await _port(engine), agents]
    gc.collect()
    gc.freeze()
    print(" ".join(map(str, relays)), flush=True)
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    while not ended.is_set():
        engine.sweep(time.monotonic())
        engine.events.clear()
        try:
            async with asyncio.timeout(_SWEEP):
                await ended.wait()
        except TimeoutError:
            continue
    engine.detach()


async def _port(engine: RelayEngine) -> int:
    while not engine.events:
        await asyncio.sleep(0)
    event = engine.events.popleft()
    if not isinstance(event, SdpReady):
        raise SystemExit(f"the relay refuses: {event}")
    return parse(event.sdp).media[0].port


def _loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=_loop) as runner:
        runner.run(_main(sys.argv[1], sys.argv[2]))
