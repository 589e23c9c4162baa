"""Removing from the archive what has been kept long enough."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from isola_lifecycle.archive import expired
from isola_lifecycle.errors import LifecycleError
from isola_store.records import RecordStore

LONGEST_PAUSE = timedelta(hours=1)
SHORTEST_PAUSE = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Sweep:
    """A look at the whole archive now and then.

    Args:
        records: The archive.
        living: Returns the UIDs of all objects that exist, past every cache.
        retention: How long a history is kept after its end; zero for ever.
        clock: Tells the time, UTC.
    """

    records: RecordStore
    living: Callable[[], Awaitable[Collection[str]]]
    retention: timedelta
    clock: Callable[[], datetime]

    async def run(self) -> None:
        """Sweep until cancelled."""
        if not self.retention:
            return
        pause = max(min(self.retention / 10, LONGEST_PAUSE), SHORTEST_PAUSE)
        while True:
            try:
                await self.once()
            except LifecycleError as error:
                structlog.get_logger().warning("sweep_failed", error=str(error))
            await asyncio.sleep(pause.total_seconds())

    async def once(self) -> int:
        """Remove every record whose time is over, and return how many there were."""
        # In this order: whatever has a record when we look was there before it had one.
        kept = await self.records.list()
        living = await self.living()
        over = expired(kept, living, now=self.clock(), retention=self.retention)
        for each in over:
            await self.records.delete(each)
        if over:
            structlog.get_logger().info("swept", records=len(over))
        return len(over)
