"""Measurements in two forms: OpenTelemetry's, exported by OTLP, and Prometheus' to be scraped.

Both with exemplars, from a value to the trace in which it was measured. The SDK's own exposition
for Prometheus has none, therefore two libraries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, set_span_in_context
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from isola_exporter.metrics import METRICS, Metric
from isola_exporter.model import Item, Measurement
from isola_exporter.otlp import SCOPE, context_of
from isola_exporter.stories import Story
from isola_lifecycle.log import Status

Census = Callable[[Story], Mapping[str, int]]


class Measuring:
    """Where measurements go.

    Args:
        resource: What OTLP says of their origin, or None for no OTLP.
        stories: What is told of.
        census: Counts the objects of a kind by state.
    """

    def __init__(self, resource: Resource | None, stories: Sequence[Story], census: Census) -> None:
        self.registry = CollectorRegistry()
        self._census = census
        self._prometheus = {each.name: _collector(each, self.registry) for each in METRICS}
        self._current: dict[Story, Gauge] = {}
        for story in stories:
            self._show_zeros(story)
            self._current[story] = Gauge(
                story.metrics.current.replace(".", "_"),
                _counted(story),
                ["state"],
                registry=self.registry,
            )
        readers = [PeriodicExportingMetricReader(OTLPMetricExporter())] if resource else []
        self._provider = MeterProvider(
            metric_readers=readers, resource=resource or Resource.get_empty()
        )
        meter = self._provider.get_meter(SCOPE)
        self._instruments: dict[str, Callable[..., None]] = {}
        for each in METRICS:
            self._instruments[each.name] = (
                meter.create_counter(each.name, each.unit, each.description).add
                if each.kind == "counter"
                else meter.create_histogram(
                    each.name,
                    each.unit,
                    each.description,
                    explicit_bucket_boundaries_advisory=each.buckets,
                ).record
            )
        for story in stories:
            meter.create_observable_gauge(
                story.metrics.current,
                [partial(self._observed, story)],
                unit="1",
                description=_counted(story),
            )

    def measure(self, items: Sequence[Item]) -> None:
        """Count the measurements among `items`."""
        for item in items:
            if isinstance(item, Measurement):
                self._take(item)

    def refresh(self) -> None:
        """Set what is counted when somebody asks."""
        for story, gauge in self._current.items():
            for state, count in self._census(story).items():
                gauge.labels(state).set(count)

    def close(self) -> None:
        """Export what was measured last."""
        self._provider.shutdown()

    def _show_zeros(self, story: Story) -> None:
        # A counter that begins with its first event hides that event from `rate`.
        transitions: Any = self._prometheus[story.metrics.transitions]
        for row in story.catalogue:
            for status, reasons in ((Status.TRUE, row.true), (Status.FALSE, row.false)):
                for reason in reasons:
                    transitions.labels(row.type.value, status.value, reason.value)

    def _take(self, item: Measurement) -> None:
        metric = _BY_NAME[item.metric]
        labels = dict(zip(metric.labels, item.labels, strict=True))
        context = context_of(item.trace_id, item.span_id)
        self._instruments[item.metric](
            item.value,
            {f"isola.{key}": value for key, value in labels.items()},
            set_span_in_context(NonRecordingSpan(context)),
        )
        collector = self._prometheus[item.metric]
        child: Any = collector.labels(*item.labels) if item.labels else collector
        exemplar = {"trace_id": f"{item.trace_id:032x}", "span_id": f"{item.span_id:016x}"}
        if metric.kind == "counter":
            child.inc(item.value, exemplar)
        else:
            child.observe(item.value, exemplar)

    def _observed(self, story: Story, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(n, {"isola.state": state}) for state, n in self._census(story).items()]


_BY_NAME = {metric.name: metric for metric in METRICS}


def _counted(story: Story) -> str:
    return f"Of every {story.resource.kind} there is, by state."


def _collector(metric: Metric, registry: CollectorRegistry) -> Counter | Histogram:
    if metric.kind == "counter":
        return Counter(metric.prometheus, metric.description, metric.labels, registry=registry)
    return Histogram(
        metric.prometheus,
        metric.description,
        metric.labels,
        buckets=metric.buckets,
        registry=registry,
    )
