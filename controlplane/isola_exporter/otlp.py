"""Spans and records in the OpenTelemetry SDK's form, and on their way by OTLP over HTTP.

The SDK's tracer makes up ids and reads clocks, and its batch processors drop what does not fit.
Both are wrong for a log that is told, so what the SDK would have made is made here, and its
exporters are called directly: they bring the protocol, the `OTEL_EXPORTER_OTLP_*` variables,
compression, TLS and a first round of retries.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from isola_exporter.model import Item, Record, Severity, Span

SCOPE = "isola_exporter"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SEVERITIES = {
    Severity.INFO: SeverityNumber.INFO,
    Severity.WARN: SeverityNumber.WARN,
    Severity.ERROR: SeverityNumber.ERROR,
}


class OtlpSink:
    """Where spans and records go.

    Args:
        resource: What every item says of its origin.
        signals: Which are exported; the others are passed over.
        version: Of the instrumentation scope.
    """

    def __init__(self, resource: Resource, signals: frozenset[str], version: str) -> None:
        self._resource = resource
        self._scope = InstrumentationScope(SCOPE, version)
        self._spans = OTLPSpanExporter() if "traces" in signals else None
        self._records = OTLPLogExporter() if "logs" in signals else None

    def send_records(self, items: Sequence[Item]) -> bool:
        """Send the records among `items` and return whether they arrived. Blocks."""
        records = [self._record(item) for item in items if isinstance(item, Record)]
        if not records or self._records is None:
            return True
        return self._records.export(records) is LogRecordExportResult.SUCCESS

    def send_spans(self, items: Sequence[Item]) -> bool:
        """Send the spans among `items` and return whether they arrived. Blocks."""
        spans = [self._span(item) for item in items if isinstance(item, Span)]
        if not spans or self._spans is None:
            return True
        return self._spans.export(spans) is SpanExportResult.SUCCESS

    def close(self) -> None:
        """Give up what is under way."""
        for exporter in (self._spans, self._records):
            if exporter is not None:
                exporter.shutdown()

    def _span(self, span: Span) -> ReadableSpan:
        return ReadableSpan(
            name=span.name,
            context=context_of(span.trace_id, span.span_id),
            parent=context_of(span.trace_id, span.parent_id) if span.parent_id else None,
            resource=self._resource,
            attributes=span.attributes,
            links=tuple(
                Link(
                    context_of(link.trace_id, link.span_id, link.flags, remote=True),
                    {"isola.sequence": link.sequence},
                )
                for link in span.links
            ),
            kind=SpanKind.INTERNAL,
            status=Status(StatusCode.ERROR, span.error) if span.error else Status(),
            start_time=nanoseconds(span.start),
            end_time=nanoseconds(span.end),
            instrumentation_scope=self._scope,
        )

    def _record(self, record: Record) -> ReadableLogRecord:
        at = nanoseconds(record.at)
        context = NonRecordingSpan(context_of(record.trace_id, record.span_id))
        told = LogRecord(
            timestamp=at,
            observed_timestamp=at,  # the entry's: what is exported twice must be the same twice
            context=set_span_in_context(context),
            severity_text=record.severity.value,
            severity_number=_SEVERITIES[record.severity],
            body=record.message,
            attributes=record.attributes,
            event_name=record.name,
        )
        return ReadableLogRecord(told, self._resource, self._scope)


def context_of(
    trace_id: int, span_id: int, flags: int = TraceFlags.SAMPLED, *, remote: bool = False
) -> SpanContext:
    """Return the context of a span; every life is sampled."""
    return SpanContext(trace_id, span_id, is_remote=remote, trace_flags=TraceFlags(flags))


def nanoseconds(at: datetime) -> int:
    """Return `at` in nanoseconds since 1970, without the rounding of a float."""
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000
