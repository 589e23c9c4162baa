"""Delivers the backlog: one batch at a time, each until it has arrived.

The next batch is not made before the last one is confirmed, so nothing overtakes and no queue
grows: while the collector is away, what waits is the log itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_result, wait_random_exponential

from isola_exporter.backlog import BATCH_ENTRIES, Backlog, Batch
from isola_exporter.model import Item
from isola_exporter.news import News


class Sink(Protocol):
    """Where spans and records go; see `otlp.OtlpSink`."""

    def send_records(self, items: Sequence[Item]) -> bool:
        """Send the records among `items`; whether they arrived."""
        ...

    def send_spans(self, items: Sequence[Item]) -> bool:
        """Send the spans among `items`; whether they arrived."""
        ...


class Delivery:
    """The way from the backlog to the sink.

    Args:
        backlog: What is to be delivered.
        sink: Where to.
        measure: Told of every item once, before it is delivered.
        clock: Tells the time, UTC.
        failed: Told of every attempt that failed.
        news: Says when there may be something to deliver.
    """

    def __init__(
        self,
        backlog: Backlog,
        sink: Sink,
        measure: Callable[[Sequence[Item]], None],
        clock: Callable[[], datetime],
        failed: Callable[[], None],
        news: News,
    ) -> None:
        self._backlog = backlog
        self._sink = sink
        self._measure = measure
        self._clock = clock
        self._failed = failed
        self._news = news

    def finish(self) -> None:
        """Have `run` return once everything is delivered."""
        self._news.hurry()

    async def run(self) -> None:
        """Deliver until told to finish."""
        while True:
            self._news.forget()
            batch = self._backlog.next(now=self._clock())
            if batch:
                self._measure(batch.items)
                await self._deliver(batch)
                self._backlog.confirm(batch)
            elif self._news.hurried:
                return
            if not batch or batch.entries < BATCH_ENTRIES:
                await self._news.gathered()

    async def _deliver(self, batch: Batch) -> None:
        # Records first: a span that is there refers to what is there.
        for send in (self._sink.send_records, self._sink.send_spans):
            retrying = AsyncRetrying(
                retry=retry_if_result(lambda arrived: not arrived),
                wait=wait_random_exponential(multiplier=0.5, max=30),
                after=self._log,
            )
            await retrying(asyncio.to_thread, send, batch.items)

    def _log(self, state: RetryCallState) -> None:
        self._failed()
        structlog.get_logger().warning("export_delayed", attempt=state.attempt_number)
