"""What Prometheus reads: requests, latencies, and which model answers them."""

import time
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from portfolio_shared.serving.models import ModelHolder, ModelNotReady
from portfolio_shared.serving.prediction_log import PredictionLog

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds


class ServiceMetrics:
    """The metrics of one app, in a registry of its own: two apps in one process (as in tests) do not mix.

    Labels have few values: `route` is a template and never a path, and a method that HTTP does not know is "OTHER".
    Otherwise a client could fill the memory of the service with invented paths.

    Attributes
    ----------
    in_flight
        Requests that are being answered; changed on the event loop only.
    shown
        What is rendered: the registry, or its sums with those of other workers.
    """

    def __init__(self, models: ModelHolder[Any], log: PredictionLog | None, *others: Collector) -> None:
        self._registry = CollectorRegistry()
        self.shown: Collector = self._registry
        ProcessCollector(registry=self._registry)
        for collector in (_ModelCollector(models), _LogCollector(log), *others):
            self._registry.register(collector)
        self._requests = Counter(
            "http_requests", "Requests answered", ["route", "method", "status", "version"], registry=self._registry
        )
        self._latency = Histogram(
            "http_request_duration_seconds",
            "From the last byte of the request to the last of the response",
            ["route"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self.in_flight = 0
        in_flight = Gauge("http_requests_in_flight", "Requests that are being answered", registry=self._registry)
        in_flight.set_function(lambda: self.in_flight)
        self._observers: dict[tuple[str, str, int, str], tuple[Counter, Histogram]] = {}

    def observe(self, *, route: str, method: str, status: int, version: str, seconds: float) -> None:
        """Count one answered request; `version` is that of the model that predicted, or nothing."""
        key = route, method if method in _METHODS else "OTHER", status, version
        if (found := self._observers.get(key)) is None:  # looking metrics up by their labels takes longer than counting
            counter = self._requests.labels(*key[:2], str(status), version)
            found = self._observers[key] = counter, self._latency.labels(route)
        found[0].inc()
        found[1].observe(seconds)

    def refused(self, *, route: str, count: int) -> None:
        """Count predictions that were refused before the app saw them; they have no latency."""
        self._requests.labels(route, "POST", "429", "").inc(count)

    def render(self) -> bytes:
        """Write all metrics in Prometheus' text format."""
        return generate_latest(self.shown)


class _ModelCollector(Collector):
    """Asks the holder at the time of the scrape, so that serving a request costs nothing and nothing is kept twice."""

    def __init__(self, models: ModelHolder[Any]) -> None:
        self._models = models

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily("model_info", "The model that answers, always 1", labels=["name", "version", "origin"])
        age = GaugeMetricFamily("model_age_seconds", "Since the model that answers was trained")
        try:
            loaded = self._models.current()
        except ModelNotReady:
            pass  # no sample: the metric is absent until a model is loaded, and /readyz says why
        else:
            info.add_metric([loaded.name, str(loaded.version), loaded.origin], 1)
            age.add_metric([], time.time() - loaded.manifest.created.timestamp())
        yield from (info, age)
        yield CounterMetricFamily("model_swaps", "Models put into service since the start", value=self._models.swaps)
        yield CounterMetricFamily(
            "model_refused_bundles", "Bundles refused since the start", value=self._models.refused_bundles
        )


class _LogCollector(Collector):
    """Whether there is a prediction log, which alarms ask before they miss its rows, and what became of them."""

    def __init__(self, log: PredictionLog | None) -> None:
        self._log = log

    def collect(self) -> Iterator[Metric]:
        enabled = self._log is not None
        yield GaugeMetricFamily("prediction_log_enabled", "1 where predictions are logged, 0 where not", value=enabled)
        if self._log is None:
            return
        rows = CounterMetricFamily("prediction_log_rows", "Rows of the prediction log", labels=["outcome"])
        rows.add_metric(["written"], self._log.written)
        for reason, count in self._log.dropped.items():
            rows.add_metric([f"dropped_{reason}"], count)
        yield rows
