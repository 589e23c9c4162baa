"""Takes from the bucket what has had its time (`spec.objectTTLSeconds`), and says so in the log.

Each object says itself when it may go, for its custom resource is mostly gone by then. One that is
still there hears of it in its log: after the object is gone, so that whoever is killed in between
is followed by one that finds no object, and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from isola_bucket.contents import EXPIRES_AT, is_past
from isola_bucket.port import Bucket
from isola_lifecycle.errors import NotFoundError
from isola_lifecycle.snapshot import uploading
from isola_lifecycle.snapshot.conditions import Reason
from isola_lifecycle.snapshot.fold import fold
from isola_store.port import Snapshot, SnapshotStore
from isola_uploader.journal import journal_of
from isola_uploader.shelf import Shelf


@dataclass(frozen=True, slots=True)
class Sweeper:
    """The end of objects that have had their time.

    Attributes:
        bucket: Where they are.
        prefix: What their keys begin with.
        store: Where the snapshots are that may still know them.
        clock: Gives the time, UTC.
    """

    bucket: Bucket
    prefix: str
    store: SnapshotStore
    clock: Callable[[], datetime]

    async def run(self) -> None:
        """Remove each, and say so in the log of its snapshot.

        Raises:
            AccessError: The bucket refuses.
            UnavailableError: The bucket did not answer for too long.
        """
        now = self.clock()
        async for entry in self.bucket.entries(self.prefix):
            shelf = Shelf(self.bucket, entry.key)
            stored = await shelf.head()
            if stored and is_past(stored.metadata.get(EXPIRES_AT, ""), now):
                await shelf.delete(stored)
                structlog.get_logger().info("expired", key=stored.key)
        for snapshot in await self.store.list():
            await self._tell(snapshot, now)

    async def _tell(self, snapshot: Snapshot, now: datetime) -> None:
        stored = fold(snapshot.log).stored
        if stored is None or not is_past(stored.expires_at, now):
            return
        there = await Shelf(self.bucket, stored.key).head()
        if there and there.tag == stored.etag:
            return  # listed too early: the next sweep has it
        journal = journal_of(self.store, snapshot.name, snapshot.uid, self.clock)
        message = f"{stored.key} was to be kept until {stored.expires_at}, and was removed"
        try:
            await journal.say(
                lambda state: uploading.removed(state, stored.key, Reason.OBJECT_EXPIRED, message)
            )
        except NotFoundError:
            return
