"""What the planes may ask of the place where objects and their logs are kept.

Two implementations pass one contract suite (`tests/store`), for sandboxes and for snapshots:
`kubernetes.KubernetesStore`, and `memory.MemoryStore` for tests of the planes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from isola_lifecycle import naming
from isola_lifecycle.archive import Moved, Subject
from isola_lifecycle.log import Condition, Log


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """A custom resource whose status is a log, as read.

    Attributes:
        name: `metadata.name`.
        uid: `metadata.uid`.
        generation: `metadata.generation`: moves with the spec.
        resource_version: Opaque; for watches only, never for order.
        created_at: `metadata.creationTimestamp`.
        deleting: Whether it carries a deletion timestamp.
        finalizers: `metadata.finalizers`.
        labels: `metadata.labels`.
        annotations: `metadata.annotations`.
        spec: `spec`, as JSON has it.
        log: `status` as a log.
    """

    name: str
    uid: str
    generation: int
    resource_version: str
    created_at: datetime
    deleting: bool = False
    finalizers: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    spec: Mapping[str, Any] = field(default_factory=dict[str, Any])
    log: Log = field(default_factory=Log)

    @property
    def subject(self) -> Subject:
        """Return what an archive of its log remembers of it."""
        return Subject(name=self.name, uid=self.uid, labels=self.labels, created_at=self.created_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox(Logged):
    """A Sandbox."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot(Logged):
    """A RootfsSnapshot."""

    @property
    def snapshot_name(self) -> str:
        """Return the name by which it is restored."""
        return naming.stored_name(self.spec)


T = TypeVar("T", bound=Logged)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An object to be created.

    Attributes:
        name: `metadata.name`.
        spec: `spec`, as JSON has it.
        labels: `metadata.labels`.
        caller: Who asks, as far as known; the operator writes it into the first entry.
        request_id: The request's id, likewise.
        traceparent: The request's trace context, likewise.
        request_digest: Of the request's body, where it can be repeated under the same name.
    """

    name: str
    spec: Mapping[str, Any]
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    caller: str = ""
    request_id: str = ""
    traceparent: str = ""
    request_digest: str = ""


def courier(draft: Draft) -> dict[str, str]:
    """Return the annotations that carry what a draft says of its request."""
    pairs = {
        naming.CALLER_ANNOTATION: draft.caller,
        naming.REQUEST_ID_ANNOTATION: draft.request_id,
        naming.TRACEPARENT_ANNOTATION: draft.traceparent,
        naming.REQUEST_DIGEST_ANNOTATION: draft.request_digest,
    }
    return {key: value for key, value in pairs.items() if value}


class Store(Protocol[T]):
    """Objects of one kind in one namespace.

    Every method may raise `TransientError`; what else it may raise is said there.
    """

    async def create(self, draft: Draft) -> T:
        """Create an object, with our finalizer and an empty log, and return it.

        Raises:
            AlreadyExistsError: The name is taken.
            RejectedError: The API server refuses the specification; `causes` says where.
        """
        ...

    async def read(self, name: str) -> T:
        """Return the object as it is now, past every cache.

        Raises:
            NotFoundError: There is none.
        """
        ...

    async def list(self) -> Sequence[T]:
        """Return every object, as of now."""
        ...

    async def append(
        self,
        name: str,
        entries: Sequence[Condition],
        *,
        expected_version: int,
        moved: Moved | None = None,
    ) -> T:
        """Append sealed `entries` in one write and return the object with them.

        Args:
            name: Which object.
            entries: Consecutive, the first numbered `expected_version + 1`.
            expected_version: The sequence number of the newest entry that the caller has read.
            moved: The oldest entries of the log, which the archive has and the object lets go of
                in the same write; None for none.

        Raises:
            ExpectedVersionError: Another writer came first: read, fold and decide again.
            NotFoundError: The object is gone.
            RejectedError: The API server refuses an entry.
        """
        ...

    async def delete(self, name: str, *, uid: str) -> None:
        """Mark the object for deletion; one that is gone or has another UID is left alone."""
        ...

    async def add_finalizer(self, item: T) -> None:
        """Make sure that our finalizer is on the object, if it still exists."""
        ...

    async def remove_finalizer(self, item: T) -> None:
        """Make sure that our finalizer is not on the object."""
        ...


SandboxStore = Store[Sandbox]
SnapshotStore = Store[Snapshot]
