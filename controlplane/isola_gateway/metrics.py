"""What the gateway counts. Names and labels are the REST contract's (section 6)."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

# The library's own, and some for long polls and streams.
_BUCKETS = (*Histogram.DEFAULT_BUCKETS[:-1], 15.0, 30.0, 60.0, float("inf"))
_LABELS = ("method", "path", "code")

# Anything may be sent as a method; a label may not be anything.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """Counts of one gateway; an own registry, so that two of them can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "isola_apigateway_http_requests_total",
            "HTTP requests that were answered.",
            _LABELS,
            registry=self.registry,
        )
        self.durations = Histogram(
            "isola_apigateway_http_request_duration_seconds",
            "Time from a request's head to the end of its answer, streams included.",
            _LABELS,
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.watch_lag = Histogram(
            "isola_apigateway_watch_lag_seconds",
            "Age of a log entry when the watch brings it.",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "isola_apigateway_http_requests_in_flight",
            "HTTP requests that are being answered.",
            registry=self.registry,
        )

        self.streams = Gauge(
            "isola_apigateway_streams",
            "Requests under way whose answer is a stream.",
            registry=self.registry,
        )
        self.connections = Gauge(
            "isola_apigateway_connections",
            "Connections of clients.",
            registry=self.registry,
        )
        self.refused = Counter(
            "isola_apigateway_refused_total",
            "What was refused because too many were under way, at the gateway or to one sandbox.",
            ("at", "kind"),
            registry=self.registry,
        )

    def answered(self, method: str, path: str, code: int, seconds: float) -> None:
        """Count a request that was answered with `code`.

        Args:
            method: HTTP method.
            path: The pattern of the route, or `unknown`: never what the client sent.
            code: HTTP status.
            seconds: How long it took.
        """
        labels = (method if method in _METHODS else "other", path, str(code))
        self.requests.labels(*labels).inc()
        self.durations.labels(*labels).observe(seconds)

    def exposition(self) -> bytes:
        """Return all of it in Prometheus' text format."""
        return generate_latest(self.registry)
