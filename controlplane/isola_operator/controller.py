"""The loop around the reconciler: from names that changed to names that were looked at."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog

from isola_lifecycle.errors import LifecycleError, TransientError
from isola_operator.metrics import Metrics
from isola_operator.queue import WorkQueue

# Sandboxes worked on at once. Each waits for the API server most of the time.
WORKERS = 16

_INDIGESTIBLE = (
    LifecycleError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)

Reconcile = Callable[[str], Awaitable[timedelta | None]]


@dataclass(frozen=True, slots=True)
class Controller:
    """Workers that take names from a queue.

    Args:
        queue: Where the names come from.
        reconcile: Called with one name at a time; says when to call again.
        metrics: Told how long that took, and how it went.
        kind: What the names are of, for logs.
    """

    queue: WorkQueue
    reconcile: Reconcile
    metrics: Metrics
    kind: str = "sandbox"

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            name = await self.queue.get()
            began = time.perf_counter()
            try:
                result = await self._look_at(name)
            finally:
                self.queue.done(name)
            self.metrics.reconciliations.labels(result).observe(time.perf_counter() - began)

    async def _look_at(self, name: str) -> str:
        log = structlog.get_logger().bind(kind=self.kind, name=name)
        try:
            requeue_after = await self.reconcile(name)
        except TransientError as error:
            delay = self.queue.retry(name)
            log.warning("reconcile_delayed", error=str(error), retry_seconds=round(delay, 3))
            return "delayed"
        except _INDIGESTIBLE:
            # One sandbox that we cannot digest must not stop the others.
            delay = self.queue.retry(name)
            log.exception("reconcile_failed", retry_seconds=round(delay, 3))
            return "failed"
        self.queue.succeeded(name)
        if requeue_after is not None:
            self.queue.add_after(name, requeue_after.total_seconds())
        return "succeeded"
