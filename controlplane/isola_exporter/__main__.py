"""Wiring: the only place that reads clock and environment, and the only one that knows it all."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import structlog
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from prometheus_client import CollectorRegistry, Counter, Gauge

from isola_exporter.backlog import Backlog
from isola_exporter.delivery import Delivery
from isola_exporter.following import STORIES, Following
from isola_exporter.measuring import Measuring
from isola_exporter.news import News
from isola_exporter.otlp import OtlpSink
from isola_exporter.settings import Settings, settings_from
from isola_process import probes
from isola_process.environment import SettingsError
from isola_process.logs import configure
from isola_process.signals import ordered_to_stop
from isola_store.client import KubernetesClient

# A pod has 30 s to end; what is left of them is for the metrics' last export.
FLUSH_SECONDS = 10


def utc_now() -> datetime:
    """Return the time by which windows and delays are judged."""
    return datetime.now(UTC)  # noqa: TID251 - the clock is read here and nowhere else


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Export until `stop` is set; then deliver what is known, and return."""
    resource = _resource(settings)
    backlog = Backlog(settings.window, utc_now())
    async with AsyncExitStack() as stack:
        client = await KubernetesClient.connect(settings.kubeconfig or None)
        await stack.enter_async_context(client)
        news = News()
        following = Following(client, settings.namespace, backlog, utc_now, news.tell)
        exported = resource if "metrics" in settings.signals else None
        measuring = Measuring(exported, STORIES, following.census)
        stack.push_async_callback(asyncio.to_thread, measuring.close)
        sink = OtlpSink(resource, settings.signals, settings.version)
        stack.callback(sink.close)
        failures = _own_metrics(measuring.registry, backlog)
        delivery = Delivery(backlog, sink, measuring.measure, utc_now, failures.inc, news)
        await _serve_probes(stack, settings, following, measuring)
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(following.run())
            work = group.create_task(_deliver(delivery, following))
            await stop.wait()
            reading.cancel()
            delivery.finish()
            await asyncio.wait({work}, timeout=FLUSH_SECONDS)
            work.cancel()
    structlog.get_logger().info("exporter_stopped", undelivered=backlog.pending)


async def _deliver(delivery: Delivery, following: Following) -> None:
    await following.wait_synced()  # a life begins in the archive
    await delivery.run()


def _resource(settings: Settings) -> Resource:
    # What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say wins.
    own = Resource.create({"service.name": "isola", "service.version": settings.version})
    return own.merge(OTELResourceDetector().detect())


def _own_metrics(registry: CollectorRegistry, backlog: Backlog) -> Counter:
    def lag() -> float:
        oldest = backlog.oldest()
        return max((utc_now() - oldest).total_seconds(), 0) if oldest else 0

    Gauge(
        "isola_exporter_lag_seconds",
        "Age of the oldest entry that is not delivered yet.",
        registry=registry,
    ).set_function(lag)
    Gauge(
        "isola_exporter_pending_entries",
        "Entries that are not delivered yet.",
        registry=registry,
    ).set_function(lambda: backlog.pending)
    Gauge(
        "isola_exporter_gaps",
        "Pieces of logs that never arrived: their record was gone.",
        registry=registry,
    ).set_function(lambda: backlog.gaps)
    return Counter(
        "isola_exporter_failures_total",
        "Attempts to deliver that failed; each is made again.",
        registry=registry,
    )


async def _serve_probes(
    stack: AsyncExitStack,
    settings: Settings,
    following: Following,
    measuring: Measuring,
) -> None:
    await probes.serve(stack, settings.health_port, probes.health(lambda: following.synced))
    shown = probes.metrics(measuring.registry, measuring.refresh)
    await probes.serve(stack, settings.metrics_port, shown)


async def main() -> int:
    """Run until SIGTERM or SIGINT; return the exit code."""
    try:
        settings = settings_from(os.environ)
    except SettingsError as error:
        print(f"isola-exporter: {error}", file=sys.stderr)  # noqa: T201 - logs are not set up yet
        return 2
    configure(settings.log_level, dev_mode=settings.dev_mode)
    await run(settings, ordered_to_stop())
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
