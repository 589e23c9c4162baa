"""Objects and their logs in memory: for tests of the planes, held to the real ones' contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any, Generic

from isola_lifecycle import naming
from isola_lifecycle.archive import Moved
from isola_lifecycle.errors import (
    AlreadyExistsError,
    ExpectedVersionError,
    NotFoundError,
    RejectedError,
)
from isola_lifecycle.log import LIVE_ENTRIES, Condition, Log
from isola_lifecycle.naming import Resource
from isola_store.port import Draft, Sandbox, Snapshot, T, courier

SNAPSHOT_DEFAULTS = {
    "timeoutSeconds": 300,
    "ttlSecondsAfterFinished": 300,
    "replace": False,
    "pause": False,
    "deletionPolicy": "Retain",
    "trigger": "Request",
}

Clock = Callable[[], datetime]


def _long_ago() -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC)


class MemoryStore(Generic[T]):
    """A `Store` without a cluster.

    Args:
        resource: Which objects.
        make: What they are read as.
        defaults: What the CRD's schema fills in.
        clock: Gives `metadata.creationTimestamp`.
    """

    def __init__(
        self, resource: Resource, make: type[T], defaults: Mapping[str, Any], clock: Clock
    ) -> None:
        self._resource = resource
        self._make = make
        self._defaults = defaults
        self._clock = clock
        self._items: dict[str, T] = {}
        self._versions = count(1)

    async def create(self, draft: Draft) -> T:
        """Create an object; see `Store.create`."""
        if draft.name in self._items:
            raise AlreadyExistsError(f'{self._resource.plural} "{draft.name}" already exists')
        if len(draft.name) > self._resource.name_length:
            raise RejectedError("the name is too long", code=422, causes=(("metadata.name", ""),))
        uid = f"00000000-0000-4000-8000-{next(self._versions):012d}"
        return self._keep(
            self._make(
                name=draft.name,
                uid=uid,
                generation=1,
                resource_version="",
                created_at=self._clock(),
                finalizers=(naming.FINALIZER,),
                labels=draft.labels,
                annotations=courier(draft),
                spec={**self._defaults, **draft.spec},
                log=Log(uid),
            )
        )

    async def read(self, name: str) -> T:
        """Return the object; see `Store.read`."""
        try:
            return self._items[name]
        except KeyError:
            raise NotFoundError(f'{self._resource.plural} "{name}" not found') from None

    async def list(self) -> Sequence[T]:
        """Return every object; see `Store.list`."""
        return tuple(self._items.values())

    async def append(
        self,
        name: str,
        entries: Sequence[Condition],
        *,
        expected_version: int,
        moved: Moved | None = None,
    ) -> T:
        """Append sealed entries; see `Store.append`."""
        item = await self.read(name)
        log = item.log
        if log.version != expected_version:
            raise ExpectedVersionError(f"{name}: at {log.version}, not at {expected_version}")
        numbers = [entry.sequence for entry in entries]
        if numbers != list(range(log.version + 1, log.version + 1 + len(entries))):
            raise RejectedError("entries are numbered without gaps", code=422)
        log = log.extended(entries)
        if moved:
            _refuse_odd(moved, item.log)
            log = log.archived_to(moved.last)
        if len(log) > LIVE_ENTRIES:
            raise RejectedError(f"must have at most {LIVE_ENTRIES} items", code=422)
        return self._keep(replace(item, log=log))

    async def delete(self, name: str, *, uid: str) -> None:
        """Mark for deletion; see `Store.delete`."""
        item = self._items.get(name)
        if item and item.uid == uid:
            self._keep(replace(item, deleting=True))

    async def add_finalizer(self, item: T) -> None:
        """Put our finalizer on; see `Store.add_finalizer`."""
        current = self._items.get(item.name)
        if current and naming.FINALIZER not in current.finalizers:
            self._keep(replace(current, finalizers=(*current.finalizers, naming.FINALIZER)))

    async def remove_finalizer(self, item: T) -> None:
        """Take our finalizer off; see `Store.remove_finalizer`."""
        current = self._items.get(item.name)
        if current and current.uid == item.uid:
            rest = tuple(f for f in current.finalizers if f != naming.FINALIZER)
            self._keep(replace(current, finalizers=rest))

    def _keep(self, item: T) -> T:
        item = replace(item, resource_version=str(next(self._versions)))
        if item.deleting and not item.finalizers:
            self._items.pop(item.name, None)
        else:
            self._items[item.name] = item
        return item


class MemorySandboxes(MemoryStore[Sandbox]):
    """Sandboxes without a cluster."""

    def __init__(self, clock: Clock = _long_ago) -> None:
        super().__init__(naming.SANDBOX, Sandbox, {"startupTimeoutSeconds": 90}, clock)


class MemorySnapshots(MemoryStore[Snapshot]):
    """Root file system snapshots without a cluster."""

    def __init__(self, clock: Clock = _long_ago) -> None:
        super().__init__(naming.ROOTFS_SNAPSHOT, Snapshot, SNAPSHOT_DEFAULTS, clock)


def _refuse_odd(moved: Moved, log: Log) -> None:
    # As the rules of the CRD have it.
    if moved.first != log.archived + 1 or not moved.first <= moved.last < log.version:
        raise RejectedError("the oldest entry kept follows the last one archived", code=422)
