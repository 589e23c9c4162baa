"""What a snapshot's log amounts to. Total, and without policy, as that of a sandbox.

`Accepted`, `Succeeded` and `DeletionRequested` are latches: the first one counts. Of `Captured` and
`Stored` the latest does: a Job that lost its node's disk takes the archive again.
"""

from __future__ import annotations

from isola_lifecycle.log import Condition, Status
from isola_lifecycle.projection import Changes, Projection
from isola_lifecycle.snapshot.conditions import Key, Type
from isola_lifecycle.snapshot.state import Archive, Outcome, Source, State, Stored, restored

DELETE = "Delete"
RETAIN = "Retain"


def _changes(state: State, entry: Condition) -> Changes:  # noqa: C901 - a table
    holds = entry.status == Status.TRUE
    match entry.type:
        case Type.ACCEPTED if state.accepted_at is None:
            accepted = {"accepted_at": entry.last_transition_time}
            return {**accepted, "source": _source(entry)} if holds else accepted
        case Type.CAPTURING | Type.ADOPTING:
            if not holds:
                return {"trouble": entry.reason}
            return {"job_uid": entry.data.get(Key.JOB_UID, ""), "trouble": ""}
        case Type.CAPTURED if holds:
            return {"archive": _archive(entry)}
        case Type.UPLOADING:
            return _uploading(state, entry)
        case Type.STORED:
            return _storage(entry) if holds else {"stored": None}
        case Type.SUCCEEDED if state.outcome is None:
            outcome = Outcome(holds, entry.reason, entry.message, entry.last_transition_time)
            return {"outcome": outcome}
        case Type.DELETION_REQUESTED if state.deletion_requested_at is None:
            goes = entry.data.get(Key.OBJECT) == DELETE
            return {"deletion_requested_at": entry.last_transition_time, "object_goes": goes}
        case Type.DELETED:
            gone = {"deleted_at": entry.last_transition_time}
            return {**gone, "stored": None} if holds else gone
        case Type.ARCHIVED:
            return _archived(entry) if holds else {"unarchived": True}
        case _:
            return {}


_OF_A_SOURCE = {Key.CONTAINER.value, Key.IMAGE.value, Key.SANDBOX.value}


def _source(entry: Condition) -> Source | None:
    if not _OF_A_SOURCE & entry.data.keys():
        return None  # what is adopted says itself what it was taken of, once it was looked at
    return Source(
        sandbox_uid=entry.data.get(Key.SANDBOX_UID, ""),
        node=entry.data.get(Key.NODE, ""),
        container=entry.data.get(Key.CONTAINER, ""),
        container_id=entry.data.get(Key.CONTAINER_ID, ""),
        image=entry.data.get(Key.IMAGE, ""),
        image_id=entry.data.get(Key.IMAGE_ID, ""),
        sandbox=entry.data.get(Key.SANDBOX, ""),
    )


def _uploading(state: State, entry: Condition) -> Changes:
    return {
        "upload_entries": state.upload_entries + 1,
        "upload_id": entry.data.get(Key.UPLOAD_ID, state.upload_id),
        "upload_sha256": entry.data.get(Key.STORED_SHA256, state.upload_sha256),
        "uploaded_bytes": _number(entry, Key.UPLOADED_BYTES) or state.uploaded_bytes,
    }


def _archive(entry: Condition) -> Archive:
    return Archive(_number(entry, Key.BYTES), entry.data.get(Key.SHA256, ""))


def _storage(entry: Condition) -> Changes:
    stored = Stored(
        key=entry.data.get(Key.KEY, ""),
        size_bytes=_number(entry, Key.STORED_BYTES),
        sha256=entry.data.get(Key.STORED_SHA256, ""),
        compression=entry.data.get(Key.COMPRESSION, ""),
        etag=entry.data.get(Key.ETAG, ""),
        at=entry.last_transition_time,
        expires_at=entry.data.get(Key.EXPIRES_AT, ""),
    )
    # Of an object that was adopted nothing else tells what is in it, and what it was taken of.
    known: Changes = {"archive": _archive(entry)} if Key.SHA256 in entry.data else {}
    if source := _source(entry):
        known["source"] = source
    return {"stored": stored, **known}


def _archived(entry: Condition) -> Changes:
    state = restored(entry.data)
    return state._asdict() if state else {}


def _number(entry: Condition, key: Key) -> int:
    # No log may make the fold raise, and `int` does on what is not a number, or on a long one.
    text = entry.data.get(key, "")
    return int(text) if text.isdecimal() and len(text) < _DIGITS else 0


# Of a number of bytes: more than there is.
_DIGITS = 20

SNAPSHOT = Projection(State(), _changes, lambda state: state.phase.value)

fold = SNAPSHOT.fold
evolve = SNAPSHOT.evolve
extend = SNAPSHOT.extend
