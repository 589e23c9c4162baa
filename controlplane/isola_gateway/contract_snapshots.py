"""Operations on snapshots of root file systems."""

from __future__ import annotations

from isola_gateway import parameters, preferences
from isola_gateway.operation import EVENTS, REPLAYED, Operation
from isola_rest.snapshots import (
    CreateRootfsSnapshotRequest,
    RootfsSnapshotHistory,
    RootfsSnapshotList,
    RootfsSnapshotResponse,
)

_TAG = "Rootfs snapshots"

CREATE_SNAPSHOT = Operation(
    id="createRootfsSnapshot",
    method="POST",
    path="/v1/rootfs-snapshots",
    tag=_TAG,
    summary="Take a snapshot of a container's root file system, or adopt one",
    description="Whether there is such a sandbox, the log tells: the snapshot is then `Failed`, and"
    " `reason` says why. 409: the name is another snapshot's, and the request does not say that it"
    " replaces it. Of two requests at once one is refused in the log, as `NameTaken`; so is one"
    " whose name only the bucket knows, as a snapshot is gone from here once its"
    " `ttlSecondsAfterFinished` are over, and what it stored is not: then take another name, send"
    " `replace: true`, or have that one back with `adopt: true`. One that is adopted is `Failed`"
    " with `ObjectMissing`, `ObjectDamaged` or `ObjectExpired` where the bucket has none that can"
    " be restored; give it a `ttlSecondsAfterFinished` for as long as it is to be shown.",
    success=201,
    answer=RootfsSnapshotResponse,
    body=CreateRootfsSnapshotRequest,
    parameters=(parameters.SNAPSHOT_KEY, parameters.PREFER_THE_END),
    headers={
        REPLAYED: "`true` where an earlier request under this key made the snapshot.",
        preferences.APPLIED: "`wait=N` where the request preferred that, with the N granted.",
    },
    problems=(400, 408, 409, 413, 415, 422, 429, 503),
)
LIST_SNAPSHOTS = Operation(
    id="listRootfsSnapshots",
    method="GET",
    path="/v1/rootfs-snapshots",
    tag=_TAG,
    summary="List snapshots, oldest first; or follow them, as server-sent events",
    answer=RootfsSnapshotList,
    stream=EVENTS,
    parameters=(
        parameters.OF_SANDBOX,
        parameters.NAMED,
        parameters.LABELS,
        parameters.SNAPSHOT_STATUS,
        parameters.LIMIT,
        parameters.CURSOR,
    ),
    problems=(422, 503),
)
GET_SNAPSHOT = Operation(
    id="getRootfsSnapshot",
    method="GET",
    path="/v1/rootfs-snapshots/{id}",
    tag=_TAG,
    summary="Show a snapshot",
    description="Once its `ttlSecondsAfterFinished` are over it is gone from here (404). What is"
    " stored can be restored all the same, and its history can be read.",
    answer=RootfsSnapshotResponse,
    parameters=(parameters.SNAPSHOT_ID, parameters.WAIT_FOR_THE_END),
    problems=(404, 422, 503),
)
GET_SNAPSHOT_HISTORY = Operation(
    id="getRootfsSnapshotHistory",
    method="GET",
    path="/v1/rootfs-snapshots/{id}/history",
    tag=_TAG,
    summary="Show all that happened to a snapshot, also once it is gone",
    answer=RootfsSnapshotHistory,
    stream=EVENTS,
    parameters=(
        parameters.SNAPSHOT_ID,
        parameters.UID,
        parameters.ORDER,
        parameters.FOLLOW,
        parameters.LAST_SEQUENCE,
    ),
    problems=(404, 422, 503),
)
DELETE_SNAPSHOT = Operation(
    id="deleteRootfsSnapshot",
    method="DELETE",
    path="/v1/rootfs-snapshots/{id}",
    tag=_TAG,
    summary="Remove a snapshot, with what is stored of it",
    description="One that is being taken is given up. One that nobody knows is 204; one that went,"
    " or goes, without what it stored is 409.",
    success=204,
    parameters=(parameters.SNAPSHOT_ID,),
    problems=(409, 422, 429, 503),
)

SNAPSHOTS: tuple[Operation, ...] = (
    CREATE_SNAPSHOT,
    LIST_SNAPSHOTS,
    GET_SNAPSHOT,
    GET_SNAPSHOT_HISTORY,
    DELETE_SNAPSHOT,
)
