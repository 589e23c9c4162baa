"""Sandboxes kept in memory: for tests of the planes, held to the contract of the real ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

from isola_lifecycle import naming
from isola_lifecycle.archive import Moved
from isola_lifecycle.errors import (
    AlreadyExistsError,
    ExpectedVersionError,
    NotFoundError,
    RejectedError,
)
from isola_lifecycle.log import LIVE_ENTRIES, Condition, Log
from isola_store.port import Draft, Sandbox, courier

# What the CRD's schema fills in.
_DEFAULTS = {"startupTimeoutSeconds": 90}


class MemorySandboxes:
    """A `SandboxStore` without a cluster.

    Args:
        clock: Gives `metadata.creationTimestamp`.
    """

    def __init__(
        self, clock: Callable[[], datetime] = lambda: datetime(2026, 1, 1, tzinfo=UTC)
    ) -> None:
        self._clock = clock
        self._sandboxes: dict[str, Sandbox] = {}
        self._versions = count(1)

    async def create(self, draft: Draft) -> Sandbox:
        """Create a Sandbox; see `SandboxStore.create`."""
        if draft.name in self._sandboxes:
            raise AlreadyExistsError(f'sandboxes "{draft.name}" already exists')
        if len(draft.name) > naming.SANDBOX_NAME_LENGTH:
            raise RejectedError("the name is too long", code=422, causes=(("metadata.name", ""),))
        uid = f"00000000-0000-4000-8000-{next(self._versions):012d}"
        return self._keep(
            Sandbox(
                name=draft.name,
                uid=uid,
                generation=1,
                resource_version="",
                created_at=self._clock(),
                finalizers=(naming.FINALIZER,),
                labels=draft.labels,
                annotations=courier(draft),
                spec={**_DEFAULTS, **draft.spec},
                log=Log(uid),
            )
        )

    async def read(self, name: str) -> Sandbox:
        """Return the Sandbox; see `SandboxStore.read`."""
        try:
            return self._sandboxes[name]
        except KeyError:
            raise NotFoundError(f'sandboxes "{name}" not found') from None

    async def list(self) -> Sequence[Sandbox]:
        """Return every Sandbox; see `SandboxStore.list`."""
        return tuple(self._sandboxes.values())

    async def append(
        self,
        name: str,
        entries: Sequence[Condition],
        *,
        expected_version: int,
        moved: Moved | None = None,
    ) -> Sandbox:
        """Append sealed entries; see `SandboxStore.append`."""
        sandbox = await self.read(name)
        log = sandbox.log
        if log.version != expected_version:
            raise ExpectedVersionError(f"{name}: at {log.version}, not at {expected_version}")
        numbers = [entry.sequence for entry in entries]
        if numbers != list(range(log.version + 1, log.version + 1 + len(entries))):
            raise RejectedError("entries are numbered without gaps", code=422)
        log = log.extended(entries)
        if moved:
            _refuse_odd(moved, sandbox.log)
            log = log.archived_to(moved.last)
        if len(log) > LIVE_ENTRIES:
            raise RejectedError(f"must have at most {LIVE_ENTRIES} items", code=422)
        return self._keep(replace(sandbox, log=log))

    async def delete(self, name: str, *, uid: str) -> None:
        """Mark for deletion; see `SandboxStore.delete`."""
        sandbox = self._sandboxes.get(name)
        if sandbox and sandbox.uid == uid:
            self._keep(replace(sandbox, deleting=True))

    async def add_finalizer(self, sandbox: Sandbox) -> None:
        """Put our finalizer on; see `SandboxStore.add_finalizer`."""
        current = self._sandboxes.get(sandbox.name)
        if current and naming.FINALIZER not in current.finalizers:
            self._keep(replace(current, finalizers=(*current.finalizers, naming.FINALIZER)))

    async def remove_finalizer(self, sandbox: Sandbox) -> None:
        """Take our finalizer off; see `SandboxStore.remove_finalizer`."""
        current = self._sandboxes.get(sandbox.name)
        if current and current.uid == sandbox.uid:
            rest = tuple(f for f in current.finalizers if f != naming.FINALIZER)
            self._keep(replace(current, finalizers=rest))

    def _keep(self, sandbox: Sandbox) -> Sandbox:
        sandbox = replace(sandbox, resource_version=str(next(self._versions)))
        if sandbox.deleting and not sandbox.finalizers:
            self._sandboxes.pop(sandbox.name, None)
        else:
            self._sandboxes[sandbox.name] = sandbox
        return sandbox


def _refuse_odd(moved: Moved, log: Log) -> None:
    # As the rules of the CRD have it.
    if moved.first != log.archived + 1 or not moved.first <= moved.last < log.version:
        raise RejectedError("the oldest entry kept follows the last one archived", code=422)
