"""Jobs whose snapshot is gone: nobody sees them out, and no owner takes them along.

There should be none. There is one where a finalizer was taken away by hand, or where an operator
that was about to be stopped created a Job after its successor had seen the snapshot out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

import structlog

from isola_lifecycle.errors import LifecycleError
from isola_operator.jobs import OwnedJob
from isola_operator.snapshots import delete_job
from isola_store.client import KubernetesClient
from isola_store.port import Snapshot
from isola_store.reflector import Reflector

PAUSE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Orphans:
    """A look at all Jobs now and then.

    Args:
        client: Where requests go.
        namespace: Where the Jobs are.
        jobs: Local copy of them.
        snapshots: Local copy of the snapshots.
        living: Returns the UIDs of all snapshots that exist, past every cache.
    """

    client: KubernetesClient
    namespace: str
    jobs: Reflector[OwnedJob]
    snapshots: Reflector[Snapshot]
    living: Callable[[], Awaitable[Collection[str]]]

    async def run(self) -> None:
        """Sweep until cancelled."""
        await self.jobs.wait_synced()
        await self.snapshots.wait_synced()
        while True:
            try:
                await self.once()
            except LifecycleError as error:
                structlog.get_logger().warning("sweep_of_jobs_failed", error=str(error))
            await asyncio.sleep(PAUSE_SECONDS)

    async def once(self) -> int:
        """Have every Job go whose snapshot is gone, and return how many there were."""
        known = {snapshot.uid for snapshot in self.snapshots.list()}
        suspects = [
            each
            for each in self.jobs.list()
            if not each.job.deleting and each.owner_uid not in known
        ]
        if not suspects:
            return 0
        # In this order: whatever has a Job when we look was there before it had one.
        living = await self.living()
        orphans = [each for each in suspects if each.owner_uid not in living]
        for each in orphans:
            await delete_job(self.client, self.namespace, each.name, each.job.uid)
            structlog.get_logger().info("swept_job", job=each.name, snapshot_uid=each.owner_uid)
        return len(orphans)
