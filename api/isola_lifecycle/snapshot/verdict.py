"""What a snapshot's log comes to, in a sentence that a person can act on.

As that of a sandbox: what is said follows from the log alone, and a reason that this release does
not know is told in the words of its entry.
"""

from __future__ import annotations

from collections.abc import Sequence

from isola_lifecycle.log import Condition, Status
from isola_lifecycle.snapshot.conditions import Reason, Type
from isola_lifecycle.snapshot.fold import fold
from isola_lifecycle.snapshot.state import State, Stored
from isola_lifecycle.verdict import Verdict, stopped

_LOOK_AT_THE_JOB = "look at quotas and admission policies of the namespace"
_LOOK_AT_THE_BUCKET = "look whether the bucket is there, and at the uploader's rights to it"
_TAKE_IT_AGAIN = "take it again"

# How it failed, and what can be done about it.
FAILURES = {
    Reason.SNAPSHOTS_DISABLED: (
        "This installation takes no snapshots",
        "whoever runs it sets operator.sandboxRuntime.rootfssnapshot in the chart's values",
    ),
    Reason.SANDBOX_NOT_FOUND: ("It had nothing to be taken of", "check the sandbox's id"),
    Reason.SANDBOX_NOT_RUNNING: (
        "Only of what runs can it be taken",
        "take it earlier, or have the sandbox's terminationPolicy take it at the end",
    ),
    Reason.CONTAINER_NOT_FOUND: ("It had nothing to be taken of", "check the container's name"),
    Reason.RUNTIME_UNSUPPORTED: (
        "It cannot be taken on that node",
        "run sandboxes on nodes whose container runtime is containerd",
    ),
    Reason.NAME_TAKEN: (
        "Its name was taken",
        "choose another snapshotName, let it replace the one there is, or adopt that one",
    ),
    Reason.JOB_FORBIDDEN: ("The API server did not let its Job in", _LOOK_AT_THE_JOB),
    Reason.JOB_REJECTED: ("The API server does not accept its Job", _LOOK_AT_THE_JOB),
    Reason.JOB_FAILED: ("Its Job failed", "read what the Job's pod printed, and take it again"),
    Reason.JOB_DELETED: (
        "Its Job was deleted under way",
        "the API server's audit log tells by whom; take it again",
    ),
    Reason.DEADLINE_EXCEEDED: (
        "It was not stored in time",
        "give the next one a longer timeoutSeconds, or look at node and bucket",
    ),
    Reason.CANCELLED: ("It was given up", ""),
    Reason.CONTAINER_GONE: (
        "Its container ended meanwhile",
        "take it earlier, or have the sandbox's terminationPolicy take it at the end",
    ),
    Reason.CAPTURE_FAILED: (
        "gVisor gave no archive",
        "take it again; where files change all the time, with pause",
    ),
    Reason.ARCHIVE_TOO_LARGE: (
        "There is too much in its root file system",
        "remove what need not be kept, and take it again",
    ),
    Reason.BUCKET_DENIED: ("The bucket does not take it", _LOOK_AT_THE_BUCKET),
    Reason.BUCKET_UNAVAILABLE: ("The bucket did not answer", _LOOK_AT_THE_BUCKET),
    Reason.CHECKSUM_MISMATCH: ("What arrived was not what was sent", _TAKE_IT_AGAIN),
    Reason.UPLOAD_FAILED: ("It did not get to the bucket", _TAKE_IT_AGAIN),
    Reason.OBJECT_MISSING: (
        "There was nothing to adopt",
        "the inventory tells which objects there are: snapshots/README.md",
    ),
    Reason.OBJECT_DAMAGED: ("What there was cannot be adopted", _TAKE_IT_AGAIN),
    Reason.OBJECT_EXPIRED: ("What there was has had its time", _TAKE_IT_AGAIN),
}


def verdict(entries: Sequence[Condition]) -> Verdict:
    """Return what a log, oldest entry first, comes to."""
    state = fold(entries)
    if state.outcome is None:
        return _of_one_under_way(state, entries)
    if not state.outcome.succeeded:
        cause, advice = _known(state.outcome.reason)
        return Verdict(f"{cause}: {stopped(state.outcome.message)}", advice)
    if state.stored is None:
        return Verdict(f"It was stored, and is no more: {stopped(_lost(entries))}")
    return Verdict(f"It can be restored: {_described(state.stored)}{_fate(state)}.")


def _of_one_under_way(state: State, entries: Sequence[Condition]) -> Verdict:
    if not entries:
        return Verdict(
            "The operator has not taken it on yet.", "if that lasts, look whether the operator runs"
        )
    newest = stopped(entries[-1].message)
    if state.trouble:
        cause, advice = _known(state.trouble)
        return Verdict(f"{cause} so far: {newest}", advice)
    adopts = any(entry.type == Type.ADOPTING for entry in entries)
    return Verdict(f"It is being {'adopted' if adopts else 'taken'}: {newest}")


def _known(reason: str) -> tuple[str, str]:
    known = next((told for word, told in FAILURES.items() if word == reason), None)
    return known or (f"It failed ({reason})", "")


def _lost(entries: Sequence[Condition]) -> str:
    """Return how the object went: in the words of the newest entry that tells of it."""
    gone = {(Type.STORED, Status.FALSE), (Type.DELETED, Status.TRUE)}
    told = (e.message for e in reversed(entries) if (e.type, e.status) in gone)
    return next(told, "the entry that tells how is in an archive that is not at hand")


def _described(stored: Stored) -> str:
    return f"{stored.key} is in the bucket, {stored.size_bytes} bytes"


def _fate(state: State) -> str:
    if state.deletion_requested_at is None:
        return ""
    if state.deleted_at:
        return "; it was to be removed, and could not be"
    if state.object_goes:
        return "; its removal was asked for, and is under way"
    return ", and stays there although this resource goes"
