"""The timer heap, on a clock by hand."""

import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2bua.sip.timers import Timer, TimerHeap, TimerSettings


class Recorder:
    """Notes what fired and when it was told."""

    def __init__(self) -> None:
        self.fired: list[tuple[str, float]] = []

    def fire(self, now: float) -> None:
        self.fired.append(("fire", now))


def test_timers_fire_in_order_of_time_and_of_age() -> None:
    heap = TimerHeap()
    fired: list[str] = []
    heap.start(2.0, lambda now: fired.append("second"))
    heap.start(1.0, lambda now: fired.append("first"))
    heap.start(2.0, lambda now: fired.append("third"))
    heap.start(3.0, lambda now: fired.append("later"))
    heap.run(2.0)
    assert fired == ["first", "second", "third"]
    assert heap.next_deadline() == 3.0
    assert len(heap) == 1


def test_a_timer_fires_at_its_moment_and_not_before() -> None:
    heap = TimerHeap()
    recorder = Recorder()
    timer = heap.start(1.0, recorder.fire)
    heap.run(0.999)
    assert recorder.fired == []
    assert timer.active
    heap.run(1.0)
    assert recorder.fired == [("fire", 1.0)]
    assert not timer.active


def test_a_cancelled_timer_does_not_fire_and_lets_go_of_its_action_at_once() -> None:
    gc.disable()
    try:
        heap = TimerHeap()
        recorder = Recorder()
        alive = weakref.ref(recorder)
        timer = heap.start(1.0, recorder.fire)
        timer.cancel()
        del recorder
        assert alive() is None
        assert heap.next_deadline() is None
        heap.run(2.0)
        assert len(heap) == 0
    finally:
        gc.enable()


def test_cancelling_twice_or_after_firing_is_harmless() -> None:
    heap = TimerHeap()
    recorder = Recorder()
    fired = heap.start(1.0, recorder.fire)
    kept = heap.start(3.0, recorder.fire)
    twice = heap.start(2.0, recorder.fire)
    heap.run(1.0)
    fired.cancel()
    twice.cancel()
    twice.cancel()
    assert len(heap) == 1
    assert kept.active


def test_a_timer_that_restarts_itself_without_delay_does_not_hold_up_the_process() -> None:
    heap = TimerHeap()
    count = 0

    def again(now: float) -> None:
        nonlocal count
        count += 1
        heap.start(now, again)

    heap.start(1.0, again)
    heap.run(1.0)
    assert count == 1
    assert heap.next_deadline() == 1.0
    heap.run(1.0)
    assert count == 2


def test_cancelling_from_within_a_timer_works_even_when_it_sweeps_the_heap() -> None:
    heap = TimerHeap()
    fired: list[int] = []
    victims: list[Timer] = []

    def cancel_all(now: float) -> None:
        for victim in victims:
            victim.cancel()

    heap.start(1.0, cancel_all)
    victims += [heap.start(1.0 + n / 1000, lambda now, n=n: fired.append(n)) for n in range(500)]  # type: ignore[misc]
    heap.start(2.0, lambda now: fired.append(-1))
    heap.run(5.0)
    assert fired == [-1]
    assert len(heap) == 0


def test_many_cancelled_timers_do_not_pile_up() -> None:
    heap = TimerHeap()
    recorder = Recorder()
    for n in range(10_000):
        heap.start(1000.0 + n, recorder.fire).cancel()
    assert len(heap._entries) < 200


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("start"), st.floats(0, 100)),
            st.tuples(st.just("cancel"), st.floats(0, 1)),
            st.tuples(st.just("run"), st.floats(0, 20)),
        )
    )
)
def test_every_timer_fires_once_or_was_cancelled(steps: list[tuple[str, float]]) -> None:
    heap = TimerHeap()
    now = 0.0
    pending: dict[int, tuple[float, Timer]] = {}
    fired: list[int] = []
    for number, (step, value) in enumerate(steps):
        if step == "start":
            when = now + value
            pending[number] = (when, heap.start(when, lambda _, number=number: fired.append(number)))  # type: ignore[misc]
        elif step == "cancel" and pending:
            key = list(pending)[int(value * (len(pending) - 1))]
            pending.pop(key)[1].cancel()
        elif step == "run":
            now += value
            fired.clear()
            heap.run(now)
            due = sorted((when, key) for key, (when, _) in pending.items() if when <= now)
            assert fired == [key for _, key in due]
            for _, key in due:
                del pending[key]
        assert len(heap) == len(pending)
        assert heap.next_deadline() == min((when for when, _ in pending.values()), default=None)


def test_durations_follow_from_the_base_values() -> None:
    settings = TimerSettings()
    assert (settings.t1, settings.t2, settings.t4) == (0.5, 4.0, 5.0)
    assert settings.timeout == 32.0
    assert settings.timer_d == 32.0
    # RFC 4320 4.1: timer E fires after 0.5, 1.5 and 3.5 s and is then reset to T2
    assert settings.trying_after == 3.5


def test_a_faster_network_never_shortens_timer_d_below_its_minimum() -> None:
    settings = TimerSettings(t1=0.1, t2=0.8, t4=1.0)
    assert settings.timeout == pytest.approx(6.4)
    assert settings.timer_d == 32.0


@pytest.mark.parametrize(("t1", "t2", "t4"), [(0.0, 4.0, 5.0), (5.0, 4.0, 5.0), (0.5, 4.0, 0.0)])
def test_senseless_settings_are_refused(t1: float, t2: float, t4: float) -> None:
    with pytest.raises(ValueError, match="t1"):
        TimerSettings(t1, t2, t4)
