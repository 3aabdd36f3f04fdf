"""The media engine without sockets tells a call the same as the relay does."""

from pathlib import Path

from media.engine import (
    DigitPressed,
    MediaClosed,
    MediaEngine,
    MediaEvent,
    MediaFailed,
    RecordingEnded,
    SdpReady,
    SoundEnded,
)
from media.memory import MemoryMediaEngine
from tests.media.office import description


def office() -> MemoryMediaEngine:
    engine = MemoryMediaEngine(sounds={"hello": 2.0, "music": 30.0, "contract": 1.0})
    waiting: MediaEngine = engine
    waiting.answer_alone("call", "caller", description(4000))
    assert isinstance(engine.events.popleft(), SdpReady)
    return engine


def taken(engine: MemoryMediaEngine) -> list[MediaEvent]:
    events = list(engine.events)
    engine.events.clear()
    return events


def test_sounds_end_at_their_time_and_loops_do_not() -> None:
    engine = office()
    engine.tick(10.0)
    engine.play("call", "caller", ["hello", "gone", "hello"], tag="greeting")
    assert engine.next_end() == 14.0
    engine.tick(13.9)
    assert not engine.events
    engine.tick(14.0)
    assert taken(engine) == [SoundEnded("call", "caller", "greeting")]
    engine.play("call", "caller", ["music"], loop=True)
    engine.tick(1e6)
    assert not engine.events
    playing = engine.playing("call", "caller")
    assert playing is not None
    assert playing.sounds == ("music",)


def test_sounds_that_are_replaced_or_stopped_or_unknown() -> None:
    engine = office()
    engine.play("call", "caller", ["hello"], tag="first")
    engine.play("call", "caller", ["hello"], tag="second")
    engine.tick(5.0)
    engine.play("call", "caller", ["gone"], tag="third")
    engine.play("call", "caller", ["hello"], tag="fourth")
    engine.stop("call", "caller")
    engine.tick(10.0)
    assert taken(engine) == [SoundEnded("call", "caller", "second"), SoundEnded("call", "caller", "third")]


def test_whisper_and_join() -> None:
    engine = office()
    engine.play("call", "caller", ["music"], loop=True)
    engine.offer_for("call", "caller", "agent")
    engine.answer("call", "agent", "caller", description(5000, formats="0 101"), join=False)
    engine.play("call", "agent", ["contract"], tag="whisper")
    assert engine.playing("call", "caller") is not None
    assert not engine.joined("call")
    engine.tick(1.0)
    assert taken(engine)[2:] == [SoundEnded("call", "agent", "whisper")]
    engine.join("call")
    assert engine.joined("call")
    assert engine.playing("call", "caller") is None
    engine.offer_for("call", "caller", "agent")
    assert not engine.joined("call")


def test_an_answer_joins_and_silences() -> None:
    engine = office()
    engine.play("call", "caller", ["music"], loop=True)
    engine.offer_for("call", "caller", "agent")
    engine.answer("call", "agent", "caller", description(5000, formats="0 101"))
    assert engine.joined("call")
    assert engine.playing("call", "caller") is None


def test_keys_are_heard_by_who_listens() -> None:
    engine = office()
    engine.press("call", "caller", "1")
    engine.listen("call", "caller")
    engine.listen("call", "agent")  # no such leg
    engine.press("call", "caller", "2")
    engine.press("call", "agent", "3")
    engine.press("gone", "caller", "4")
    assert taken(engine) == [DigitPressed("call", "caller", "2")]


def test_recordings_end_by_time_by_command_and_with_the_call() -> None:
    engine = office()
    path = Path("message.wav")
    engine.record("call", "caller", path, 20.0)
    engine.tick(30.0)
    engine.record("call", "caller", path, 20.0)
    engine.tick(35.0)
    engine.finish("call", "caller")
    engine.finish("call", "caller")
    engine.record("call", "caller", path, 20.0)
    engine.tick(36.0)
    engine.close("call")
    *ended, closed = taken(engine)
    assert [event.seconds for event in ended if isinstance(event, RecordingEnded)] == [20.0, 5.0, 1.0]
    assert isinstance(closed, MediaClosed)
    assert engine.ports_in_use == 0
    assert engine.next_end() is None


def test_an_offer_for_nobody_fails() -> None:
    engine = MemoryMediaEngine()
    engine.offer_for("call", "caller", "agent")
    engine.join("call")
    engine.play("call", "caller", ["music"], loop=True)
    assert [type(event) for event in taken(engine)] == [MediaFailed]
