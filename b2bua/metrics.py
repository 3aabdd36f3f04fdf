"""What Prometheus is told: counted where it happens, read when somebody asks."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

#: (name, help, value); names of counters end in _total.
Sample = tuple[str, str, float]

_DURATIONS = (1, 5, 10, 20, 30, 60, 120, 180, 300, 600, 1200, 1800, 3600)
_SETUP = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 2, 5, 10, 20, 60)
_DURABLE = (0.005, 0.01, 0.02, 0.03, 0.04, 0.045, 0.05, 0.06, 0.08, 0.1, 0.2, 0.5, 1, 5)
_LAG = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1)


class Metrics:
    """Histograms and per-result counts of calls; everything else is sampled from its owner."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.talk_seconds = Histogram(
            "b2bua_call_talk_seconds", "Connected time of answered calls", buckets=_DURATIONS, registry=self.registry
        )
        self.answer_seconds = Histogram(
            "b2bua_call_answer_seconds", "INVITE to answer", buckets=_SETUP, registry=self.registry
        )
        self.loop_lag_seconds = Histogram(
            "b2bua_loop_lag_seconds", "How late the event loop runs its timers", buckets=_LAG, registry=self.registry
        )
        self.journal_durable_seconds = Histogram(
            "b2bua_journal_durable_seconds", "Record taken to record on disk, the first of each group",
            buckets=_DURABLE, registry=self.registry,
        )  # fmt: skip
        self.messages_left = Counter("b2bua_messages_left", "Messages that callers left", registry=self.registry)
        self.calls_by_result: dict[tuple[str, str], int] = {}
        self.refused: dict[str, int] = {}
        self._samples: list[Callable[[], Iterator[Sample]]] = []
        self.registry.register(_Sampled(self))

    def call_ended(self, result: str, reason: str, talk_seconds: float, answer_seconds: float) -> None:
        """Count one call; seconds are negative where there was no answer."""
        key = (result, reason)
        self.calls_by_result[key] = self.calls_by_result.get(key, 0) + 1
        if answer_seconds >= 0:
            self.talk_seconds.observe(talk_seconds)
            self.answer_seconds.observe(answer_seconds)

    def call_refused(self, reason: str) -> None:
        """Count a call that never became one: unknown number, stranger, overload."""
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def sample(self, source: Callable[[], Iterator[Sample]]) -> None:
        """Ask ``source`` whenever the metrics are read."""
        self._samples.append(source)

    def collect(self) -> Iterator[Metric]:
        """All sampled metrics, as Prometheus wants them."""
        calls = CounterMetricFamily("b2bua_calls", "Calls by result", labels=["result", "reason"])
        for (result, reason), count in self.calls_by_result.items():
            calls.add_metric([result, reason], count)
        yield calls
        refused = CounterMetricFamily("b2bua_calls_refused", "Calls refused at the door", labels=["reason"])
        for reason, count in self.refused.items():
            refused.add_metric([reason], count)
        yield refused
        for source in self._samples:
            for name, text, value in source():
                if name.endswith("_total"):
                    yield CounterMetricFamily(name.removesuffix("_total"), text, value=value)
                else:
                    yield GaugeMetricFamily(name, text, value=value)


class _Sampled(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.collect()
