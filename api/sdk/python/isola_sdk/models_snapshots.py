"""Snapshots of root file systems, as values."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from isola_sdk.wire import IsolaModel


class RootfsSnapshotStatus(str, Enum):
    """What a snapshot's log amounts to in one word."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class DeletionPolicy(str, Enum):
    """What becomes of what is stored when somebody deletes the custom resource past this API."""

    RETAIN = "Retain"
    DELETE = "Delete"


class SnapshotSource(IsolaModel):
    """What a snapshot is taken from, as it was found there."""

    sandbox_uid: str
    node: str
    container: str
    container_id: str
    image: str
    image_id: str


class StoredObject(IsolaModel):
    """What is in the bucket: sizes in bytes, the digest of what is stored."""

    key: str
    size_bytes: int
    sha256: str
    compression: str
    expires_at: datetime | None = None


class RootfsSnapshotSummary(IsolaModel):
    """A snapshot in a list."""

    id: str
    sandbox_id: str
    snapshot_name: str
    status: RootfsSnapshotStatus
    creation_timestamp: datetime
    labels: dict[str, str] | None = None


class RootfsSnapshotData(RootfsSnapshotSummary):
    """A snapshot as the gateway shows it."""

    container_name: str | None = None
    timeout_seconds: int
    ttl_seconds_after_finished: int
    replace: bool = False
    pause: bool = False
    deletion_policy: DeletionPolicy = DeletionPolicy.RETAIN
    object_ttl_seconds: int | None = None
    trigger: str | None = None
    reason: str | None = None
    message: str | None = None
    source: SnapshotSource | None = None
    size_bytes: int | None = None
    sha256: str | None = None
    stored: StoredObject | None = None
    accepted_at: datetime | None = None
    finished_at: datetime | None = None
    deletion_requested_at: datetime | None = None


class RootfsSnapshotPage(IsolaModel):
    """A page of a list."""

    rootfs_snapshots: list[RootfsSnapshotSummary] | None = None
    next_cursor: str | None = None
