"""What is particular to sandboxes, and to snapshots, where all else about them is the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from isola_gateway import mapping, mapping_snapshots
from isola_lifecycle.log import Condition, Fact
from isola_lifecycle.projection import Projection
from isola_lifecycle.sandbox import verdict as sandbox_verdict
from isola_lifecycle.sandbox.conditions import Phase, Type
from isola_lifecycle.sandbox.fold import SANDBOX
from isola_lifecycle.sandbox.intents import Asker, request_termination
from isola_lifecycle.snapshot import verdict as snapshot_verdict
from isola_lifecycle.snapshot.fold import SNAPSHOT
from isola_lifecycle.snapshot.intents import request_deletion
from isola_lifecycle.verdict import Verdict
from isola_rest.models import SandboxList, SandboxSummary, Wire
from isola_rest.snapshots import RootfsSnapshotList, RootfsSnapshotSummary
from isola_store.port import Sandbox, Snapshot, T

Summary = SandboxSummary | RootfsSnapshotSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[T]):
    """A kind of object with a log.

    Attributes:
        noun: What people call one.
        id_of: What ids that follow from a key are derived for.
        path: Of the collection.
        event: Name of the event that tells of one in a list that is followed.
        projection: What a log amounts to.
        last: Type of the entry that nothing follows, or empty where there is none.
        verdict: Returns what a log comes to, for people.
        summary: Returns one as an item of a list.
        response: Returns one as it is shown.
        listed: Returns a list of summaries, and where the next page begins.
        settled: Whether there is nothing more to wait for after its creation.
        farewell: Returns what is recorded when somebody wants one gone.
    """

    noun: str
    id_of: str
    path: str
    event: str
    projection: Projection[Any]
    last: str
    verdict: Callable[[Sequence[Condition]], Verdict]
    summary: Callable[[T], Summary]
    response: Callable[[T], Wire]
    listed: Callable[[list[Any], str | None], Wire]
    settled: Callable[[T], bool]
    farewell: Callable[[T, Asker], tuple[Fact, ...]]


def _has_started(sandbox: Sandbox) -> bool:
    """Return whether a sandbox starts no longer: it runs, has trouble, or ends."""
    state = SANDBOX.fold(sandbox.log)
    return state.phase is not Phase.PENDING or state.trouble is not None


def _termination(sandbox: Sandbox, asker: Asker) -> tuple[Fact, ...]:
    if sandbox.deleting:
        return ()  # somebody else wanted that first, and the operator says so
    return request_termination(
        SANDBOX.fold(sandbox.log),
        caller=asker.caller,
        request_id=asker.request_id,
        traceparent=asker.traceparent,
    )


def _has_ended(snapshot: Snapshot) -> bool:
    return SNAPSHOT.fold(snapshot.log).outcome is not None


def _deletion(snapshot: Snapshot, asker: Asker) -> tuple[Fact, ...]:
    return request_deletion(
        SNAPSHOT.fold(snapshot.log),
        caller=asker.caller,
        request_id=asker.request_id,
        traceparent=asker.traceparent,
    )


SANDBOXES: Kind[Sandbox] = Kind(
    noun="sandbox",
    id_of="sandbox",
    path="/v1/sandboxes",
    event="sandbox",
    projection=SANDBOX,
    last=Type.TERMINATED,
    verdict=sandbox_verdict.verdict,
    summary=mapping.summary_of,
    response=mapping.response_of,
    listed=lambda items, cursor: SandboxList(sandboxes=items, next_cursor=cursor),
    settled=_has_started,
    farewell=_termination,
)

SNAPSHOTS: Kind[Snapshot] = Kind(
    noun="rootfs snapshot",
    id_of="rootfs-snapshot",
    path="/v1/rootfs-snapshots",
    event="rootfsSnapshot",
    projection=SNAPSHOT,
    last="",
    verdict=snapshot_verdict.verdict,
    summary=mapping_snapshots.summary_of,
    response=mapping_snapshots.response_of,
    listed=lambda items, cursor: RootfsSnapshotList(rootfs_snapshots=items, next_cursor=cursor),
    settled=_has_ended,
    farewell=_deletion,
)
