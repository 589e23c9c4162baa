"""The log of one snapshot, as the uploader reads and writes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from isola_lifecycle import naming
from isola_lifecycle.errors import ExpectedVersionError, NotFoundError, TransientError
from isola_lifecycle.log import Fact
from isola_lifecycle.snapshot.fold import extend, fold
from isola_lifecycle.snapshot.state import State
from isola_lifecycle.snapshot.uploading import fits
from isola_store.port import Snapshot, SnapshotStore

Saying = Callable[[State], tuple[Fact, ...]]


@dataclass(slots=True)
class Journal:
    """Where the uploader says what it did, and reads what was said before.

    Attributes:
        store: Where snapshots are.
        name: Which one.
        uid: Its UID: another one of that name is none of ours.
        clock: Dates entries, UTC.
    """

    store: SnapshotStore
    name: str
    uid: str
    clock: Callable[[], datetime]

    async def read(self) -> tuple[Snapshot, State]:
        """Return the snapshot as it is now, and what its log amounts to.

        Raises:
            NotFoundError: It is gone.
        """
        return await _patiently()(self._read)

    async def say(self, saying: Saying) -> State:
        """Append what `saying` makes of the state, and return the state after that.

        Another writer's entry, in between, is read, and `saying` asked again.

        Raises:
            NotFoundError: The snapshot is gone.
            RejectedError: The API server refuses an entry.
        """
        return await _patiently()(self._said, saying)

    async def _read(self) -> tuple[Snapshot, State]:
        snapshot = await self.store.read(self.name)
        if snapshot.uid != self.uid:
            raise NotFoundError(f"{self.name} is another snapshot now")
        return snapshot, fold(snapshot.log)

    async def _said(self, saying: Saying) -> State:
        snapshot, state = await self._read()
        facts = saying(state)
        if not facts:
            return state
        if not fits(facts, snapshot.log.room):
            raise TransientError(f"the log of {self.name} is full until its oldest entries move")
        entries = extend(snapshot.log, facts, at=self.clock(), generation=snapshot.generation)
        version = snapshot.log.version
        snapshot = await self.store.append(self.name, entries, expected_version=version)
        return fold(snapshot.log)


def _patiently() -> AsyncRetrying:
    # What was done is lost if it cannot be said: so for as long as it takes. Who waits for it, the
    # Job's deadline, has an end.
    return AsyncRetrying(
        retry=retry_if_exception_type((ExpectedVersionError, TransientError)),
        wait=wait_random_exponential(multiplier=0.1, max=5),
    )


def key_of(snapshot: Snapshot, namespace: str) -> str:
    """Return where in the bucket a snapshot's object belongs."""
    name = snapshot.spec.get("snapshotName") or snapshot.spec["sandboxName"]
    return naming.object_key(namespace, name)
