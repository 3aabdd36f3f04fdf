"""Commands in any order: each is answered as promised, nothing raises, nothing is left when the call is closed."""

import asyncio
import itertools
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.engine import MediaClosed, MediaEngine, MediaFailed, SdpReady
from media.memory import MemoryMediaEngine
from media.relay.engine import RelayEngine
from media.sdp import parse
from media.sounds import SoundLibrary
from media.tones import tone
from tests.media.office import description, port_range

SOUNDS = SoundLibrary()
SOUNDS.add("hello", tone(500, 0.04))
SOUNDS.add("music", tone(500, 0.04))
FOLDER = Path(tempfile.gettempdir()) / "nowhere at all"

_legs = st.sampled_from([("caller", "agent"), ("agent", "caller"), ("caller", "third")])
_sdp = st.builds(
    description,
    st.integers(4000, 4003),
    direction=st.sampled_from(["sendrecv", "sendonly", "recvonly", "inactive"]),
    session_id=st.integers(1, 2),
    formats=st.sampled_from(["0 8 101", "8 0 101", "8", "0", "9", "9 101", "101"]),
) | st.sampled_from([b"", b"v=0\r\n", description(4000).replace(b"RTP/AVP", b"RTP/SAVP")])
_command = st.one_of(
    st.tuples(st.just("offer"), _legs, _sdp),
    st.tuples(st.just("answer"), _legs, _sdp),
    st.tuples(st.just("whispered"), _legs, _sdp),
    st.tuples(st.just("alone"), _legs, _sdp),
    st.tuples(st.sampled_from(["offer_for", "join", "play", "loop", "stop", "listen", "record", "finish", "rollback"]),
              _legs, st.just(b"")),
    st.tuples(st.just("pass"), st.just(("", "")), st.just(b"")),
)  # fmt: skip
# what a call does, so that the rest is not all refusals
_usual = st.just([
    ("alone", ("caller", "agent"), description(4000)),
    ("offer_for", ("caller", "agent"), b""),
    ("whispered", ("agent", "caller"), description(4001, formats="0 101")),
])  # fmt: skip
_commands = st.lists(st.lists(_command, max_size=6) | _usual, max_size=5).map(lambda parts: [*itertools.chain(*parts)])

Command = tuple[str, tuple[str, str], bytes]


def give(engine: MediaEngine, command: Command) -> bool:
    """True if a description or a refusal is to come."""
    kind, (leg, other), sdp = command
    match kind:
        case "offer":
            engine.offer("call", leg, other, sdp)
        case "answer":
            engine.answer("call", leg, other, sdp)
        case "whispered":
            engine.answer("call", leg, other, sdp, join=False)
        case "alone":
            engine.answer_alone("call", leg, sdp)
        case "offer_for":
            engine.offer_for("call", leg, other)
        case "join":
            engine.join("call")
        case "play":
            engine.play("call", leg, ["hello", "gone"], tag=leg)
        case "loop":
            engine.play("call", leg, ["music"], loop=True)
        case "stop":
            engine.stop("call", leg)
        case "listen":
            engine.listen("call", leg)
        case "record":
            engine.record("call", leg, FOLDER / "message.wav", 1.0)
        case "finish":
            engine.finish("call", leg)
        case "rollback":
            engine.rollback("call")
    return kind in {"offer", "answer", "whispered", "alone", "offer_for"}


class Followed:
    """Checks what comes out: numbers of events, and descriptions as RFC 3264 section 8 wants them."""

    def __init__(self, engine: MemoryMediaEngine | RelayEngine) -> None:
        self.engine = engine
        self.texts: dict[str, tuple[str, bytes]] = {}

    def give(self, command: Command) -> None:
        answered = give(self.engine, command)
        spoken = [event for event in self.engine.events if isinstance(event, SdpReady | MediaFailed)]
        self.engine.events.clear()
        assert len(spoken) == answered
        for event in spoken:
            if isinstance(event, SdpReady):
                self.check(event)

    def check(self, event: SdpReady) -> None:
        said = parse(event.sdp)
        assert sum(media.port > 0 for media in said.media) >= 1
        version, text = self.texts.get(event.leg, ("", b""))
        assert (said.origin.version == version) == (event.sdp == text)
        self.texts[event.leg] = said.origin.version, event.sdp


@given(_commands)
def test_the_engine_without_sockets(commands: list[Command]) -> None:
    engine = MemoryMediaEngine(sounds={"hello": 1.0, "music": 5.0})
    followed = Followed(engine)
    now = 0.0
    for command in commands:
        followed.give(command)
        if command[0] == "pass":
            now += 0.7
            engine.tick(now)
    engine.close("call")
    assert isinstance(engine.events[-1], MediaClosed)
    assert engine.ports_in_use == 0
    assert engine.next_end() is None


@pytest.mark.filterwarnings("error")
@settings(max_examples=60, deadline=None)
@given(_commands)
def test_the_relay(commands: list[Command]) -> None:
    async def run() -> None:
        now = 100.0
        engine = RelayEngine(
            "127.0.0.1", "127.0.0.1", *port_range(), 0.0, 60.0, random.Random(1).getrandbits, lambda: now, sounds=SOUNDS
        )
        engine.attach(asyncio.get_running_loop())
        try:
            followed = Followed(engine)
            for command in commands:
                followed.give(command)
                if command[0] == "pass":
                    for _ in range(5):
                        now += 0.02
                        engine.play_due(now)
                    engine.sweep(now)
                    await asyncio.sleep(0)
            engine.close("call")
            assert engine.ports_in_use == 0
            assert engine.legs_playing == 0
            assert engine.sessions == 0
        finally:
            engine.detach()

    asyncio.run(run())


@given(_commands)
def test_both_engines_say_the_same(commands: list[Command]) -> None:
    """Events of the relay and of the engine without sockets, but for ports and times."""

    async def run() -> None:
        relay = RelayEngine(
            "127.0.0.1", "127.0.0.1", *port_range(), 0.0, 60.0, random.Random(1).getrandbits, lambda: 5.0, sounds=SOUNDS
        )
        memory = MemoryMediaEngine("127.0.0.1", sounds={"hello": 1.0, "music": 5.0})
        try:
            for command in commands:
                give(relay, command)
                give(memory, command)
                assert [(type(event), getattr(event, "leg", "")) for event in relay.events] == [
                    (type(event), getattr(event, "leg", "")) for event in memory.events
                ]
                relay.events.clear()
                memory.events.clear()
        finally:
            relay.detach()

    asyncio.run(run())
