"""What is asked about snapshots of root file systems."""

from __future__ import annotations

from typing import Any

from isola_sdk.errors import SnapshotFailedError
from isola_sdk.models import Labels
from isola_sdk.models_snapshots import DeletionPolicy, RootfsSnapshotData, RootfsSnapshotStatus
from isola_sdk.protocol.messages import Request, given, path, with_json
from isola_sdk.protocol.sandboxes import held, selector, waiting


def create(  # noqa: PLR0913 - what a caller can say
    *,
    sandbox_id: str,
    snapshot_name: str | None,
    container_name: str | None,
    timeout_seconds: int | None,
    ttl_seconds_after_finished: int | None,
    replace: bool | None,
    pause: bool | None,
    object_ttl_seconds: int | None,
    deletion_policy: DeletionPolicy | str | None,
    labels: Labels | None,
    wait_seconds: float,
) -> Request:
    """Return the request for a snapshot, answered once it ended or `wait_seconds` are over."""
    body: dict[str, Any] = {
        "sandboxId": sandbox_id,
        "snapshotName": snapshot_name,
        "containerName": container_name,
        "timeoutSeconds": timeout_seconds,
        "ttlSecondsAfterFinished": ttl_seconds_after_finished,
        "replace": replace,
        "pause": pause,
        "objectTTLSeconds": object_ttl_seconds,
        "deletionPolicy": deletion_policy and DeletionPolicy(deletion_policy).value,
        "labels": None if labels is None else dict(labels),
    }
    return _asked(body, wait_seconds)


def adopt(
    *,
    snapshot_name: str,
    timeout_seconds: int | None,
    ttl_seconds_after_finished: int | None,
    deletion_policy: DeletionPolicy | str | None,
    labels: Labels | None,
    wait_seconds: float,
) -> Request:
    """Return the request that makes a snapshot of what is stored under a name already."""
    body: dict[str, Any] = {
        "adopt": True,
        "snapshotName": snapshot_name,
        "timeoutSeconds": timeout_seconds,
        "ttlSecondsAfterFinished": ttl_seconds_after_finished,
        "deletionPolicy": deletion_policy and DeletionPolicy(deletion_policy).value,
        "labels": None if labels is None else dict(labels),
    }
    return _asked(body, wait_seconds)


def _asked(body: dict[str, Any], wait_seconds: float) -> Request:
    found = {key: value for key, value in body.items() if value is not None}
    return held(with_json("POST", path("rootfs-snapshots"), found), wait_seconds)


def get(snapshot_id: str, *, wait_seconds: float = 0) -> Request:
    """Return the request for a snapshot, answered once it ended."""
    return waiting(path("rootfs-snapshots", snapshot_id), wait_seconds)


def page(
    *,
    sandbox_id: str | None,
    snapshot_name: str | None,
    labels: Labels | str | None,
    status: RootfsSnapshotStatus | str | None,
    limit: int | None,
    cursor: str | None,
) -> Request:
    """Return the request for a page of the list."""
    query = given(
        sandboxId=sandbox_id,
        snapshotName=snapshot_name,
        labels=selector(labels),
        status=None if status is None else RootfsSnapshotStatus(status).value,
        limit=limit,
        cursor=cursor,
    )
    return Request(method="GET", path=path("rootfs-snapshots"), query=query)


def delete(snapshot_id: str) -> Request:
    """Return the request that removes a snapshot with what is stored of it."""
    return Request(method="DELETE", path=path("rootfs-snapshots", snapshot_id))


def is_there(snapshot: RootfsSnapshotData, request_id: str | None) -> bool:
    """Return whether it is, or else is still to come.

    Raises:
        SnapshotFailedError: It never will be.
    """
    if snapshot.status is RootfsSnapshotStatus.FAILED:
        raise SnapshotFailedError(
            snapshot_id=snapshot.id,
            reason=snapshot.reason,
            explanation=snapshot.message,
            request_id=request_id,
        )
    return snapshot.status is RootfsSnapshotStatus.SUCCEEDED
