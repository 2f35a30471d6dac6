"""The studio's figures in Prometheus' text format, the one place that knows its client."""

from collections.abc import Callable, Mapping

__all__ = ["METRICS_TYPE", "Metrics"]

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.002, 0.01, 0.05, 0.25, 1, 5, 30, 120)
_PARTS = ("/api/", "/gradio_api/", "/assets/", "/static/", "/metrics")


class Metrics:
    """Counters of one studio, in a registry of its own.

    `gauges`: figures to read when asked, by name, with what they say.
    """

    def __init__(self, gauges: Mapping[str, tuple[str, Callable[[], float]]]) -> None:
        import prometheus_client as prometheus  # it reads the environment, which `serve` settles

        self._registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(namespace="impasto", registry=self._registry)
        self._requests = prometheus.Counter(
            "impasto_requests", "Requests answered", ["part", "status"], registry=self._registry
        )
        self._refused = prometheus.Counter(
            "impasto_requests_refused",
            "Requests turned away before anything was done",
            registry=self._registry,
        )
        self._seconds = prometheus.Histogram(
            "impasto_request_seconds",
            "From a request to the end of its answer",
            ["part"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        for name, (says, read) in gauges.items():
            prometheus.Gauge(f"impasto_{name}", says, registry=self._registry).set_function(read)

    def answered(self, path: str, status: int, seconds: float, *, refused: bool) -> None:
        """A request has ended."""
        # A path is whoever asks's own to choose: it must not be a label.
        part = next((each for each in _PARTS if path.startswith(each)), "other").strip("/")
        self._requests.labels(part, str(status)).inc()
        self._seconds.labels(part).observe(seconds)
        if refused:
            self._refused.inc()

    def text(self) -> bytes:
        """All of it, as a scraper reads it."""
        from prometheus_client import generate_latest

        return generate_latest(self._registry)
