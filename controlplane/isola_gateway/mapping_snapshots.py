"""Between the wire and the custom resource, for snapshots; the rules are those of `mapping`."""

from __future__ import annotations

from typing import Any

from isola_lifecycle.snapshot.fold import fold
from isola_lifecycle.snapshot.state import Source, Stored
from isola_rest.labels import shown
from isola_rest.snapshots import (
    CreateRootfsSnapshotRequest,
    RootfsSnapshotResponse,
    RootfsSnapshotSummary,
    SnapshotSource,
    SnapshotStatus,
    StoredObject,
)
from isola_store.port import Snapshot

# What the specification and the wire call alike, and the specification alone decides.
_AS_SPECIFIED = (
    "containerName",
    "timeoutSeconds",
    "ttlSecondsAfterFinished",
    "replace",
    "pause",
    "deletionPolicy",
    "objectTTLSeconds",
    "adopt",
    "trigger",
)


def spec_of(asked: CreateRootfsSnapshotRequest) -> dict[str, Any]:
    """Return the `spec` of the RootfsSnapshot that a request asks for."""
    rest = asked.model_dump(
        mode="json",
        by_alias=True,
        exclude_none=True,
        exclude={"sandbox_id", "snapshot_name", "labels"},
    )
    # The default is written down, so that nobody has to know it.
    of = {"sandboxName": asked.sandbox_id} if asked.sandbox_id else {}
    return {**of, "snapshotName": snapshot_name_of(asked)} | rest


def snapshot_name_of(asked: CreateRootfsSnapshotRequest) -> str:
    """Return the name by which the snapshot that a request asks for is restored."""
    return asked.snapshot_name or asked.sandbox_id or ""  # the request has one of them


def summary_of(snapshot: Snapshot) -> RootfsSnapshotSummary:
    """Return `snapshot` as an item of a list."""
    state = fold(snapshot.log)
    return RootfsSnapshotSummary(
        id=snapshot.name,
        sandbox_id=snapshot.spec.get("sandboxName")
        or (state.source.sandbox if state.source else ""),
        snapshot_name=snapshot.snapshot_name,
        status=SnapshotStatus(state.phase),
        creation_timestamp=snapshot.created_at.replace(microsecond=0),
        labels=shown(snapshot.labels) or None,
    )


def response_of(snapshot: Snapshot) -> RootfsSnapshotResponse:
    """Return `snapshot` as it is shown."""
    state = fold(snapshot.log)
    told = state.outcome or snapshot.log.newest
    specified = {name: snapshot.spec[name] for name in _AS_SPECIFIED if name in snapshot.spec}
    return RootfsSnapshotResponse.model_validate(
        summary_of(snapshot).model_dump()
        | specified
        | {
            "reason": told.reason if told else None,
            "message": told.message if told else None,
            "source": _source(state.source),
            "size_bytes": state.archive.size_bytes if state.archive else None,
            "sha256": state.archive.sha256 if state.archive else None,
            "stored": _stored(state.stored),
            "accepted_at": state.accepted_at,
            "finished_at": state.outcome.at if state.outcome else None,
            "deletion_requested_at": state.deletion_requested_at,
        },
        strict=False,
    )


def _source(source: Source | None) -> SnapshotSource | None:
    if source is None:
        return None
    return SnapshotSource(
        sandbox_uid=source.sandbox_uid,
        node=source.node,
        container=source.container,
        container_id=source.container_id,
        image=source.image,
        image_id=source.image_id,
    )


def _stored(stored: Stored | None) -> StoredObject | None:
    if stored is None:
        return None
    return StoredObject(
        key=stored.key,
        size_bytes=stored.size_bytes,
        sha256=stored.sha256,
        compression=stored.compression,
        expires_at=stored.expires_at or None,
    )
