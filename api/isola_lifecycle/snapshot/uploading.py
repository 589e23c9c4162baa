"""What the uploader has to say, as facts for the log of its snapshot.

Every function takes the state as the log has it and returns what is to be appended: nothing where
that was said before, or where the snapshot has ended. So whoever was killed in the middle says it
all again, and only what is missing is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from isola_lifecycle.catalogue import UPLOADER
from isola_lifecycle.keeping import RESERVED_ENTRIES
from isola_lifecycle.log import Fact, Status
from isola_lifecycle.snapshot.conditions import UPLOAD_ENTRIES, Key, Reason, Type
from isola_lifecycle.snapshot.state import Archive, Source, State

# An upload under way is told of when it has come on by a quarter, and not more often than this.
_QUIET_SECONDS = 10
_STEPS = 4

Facts = tuple[Fact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An upload under way.

    Attributes:
        id: What the bucket calls it.
        sha256: Digest of the object that it is to become, hex.
        uploaded_bytes: How many of the object's bytes have arrived.
        total_bytes: How many there will be.
        parts: In how many parts.
    """

    id: str
    sha256: str
    uploaded_bytes: int
    total_bytes: int
    parts: int

    def come_to(self, uploaded_bytes: int) -> Upload:
        """Return it with so many bytes in the bucket."""
        return replace(self, uploaded_bytes=uploaded_bytes)

    @property
    def data(self) -> Mapping[Key, str]:
        """Return it as `data` of an entry."""
        return {
            Key.UPLOAD_ID: self.id,
            Key.STORED_SHA256: self.sha256,
            Key.UPLOADED_BYTES: str(self.uploaded_bytes),
            Key.TOTAL_BYTES: str(self.total_bytes),
            Key.PARTS: str(self.parts),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """What is in the bucket.

    Attributes:
        key: Where.
        archive: What it unfolds to.
        size_bytes: Its size.
        sha256: Its digest, hex.
        compression: `zstd` or `none`.
        tag: What the bucket calls these very bytes.
        parts: In how many it came.
        seconds: That bringing it took, or None where whoever did that is gone.
        expires_at: When it may go, RFC 3339, or empty.
    """

    key: str
    archive: Archive
    size_bytes: int
    sha256: str
    compression: str
    tag: str
    parts: int
    seconds: float | None
    expires_at: str = ""


def fits(facts: Facts, room: int) -> bool:
    """Return whether a log with `room` takes `facts`: the end of the story always has its place.

    What does not fit waits until the operator has moved the oldest entries to the archive.
    """
    ends = any(each.type in {Type.SUCCEEDED, Type.DELETED} for each in facts)
    return len(facts) <= room - (0 if ends else RESERVED_ENTRIES)


def captured(state: State, archive: Archive, *, seconds: float) -> Facts:
    """Return that the archive is complete; again, where it had to be taken again."""
    if state.outcome or state.archive == archive:
        return ()
    data = {
        Key.BYTES: str(archive.size_bytes),
        Key.SHA256: archive.sha256,
        Key.SECONDS: f"{seconds:.3f}",
    }
    message = f"The root file system was archived: {archive.size_bytes} bytes in {seconds:.1f} s"
    return (_fact(Type.CAPTURED, Status.TRUE, Reason.ARCHIVE_WRITTEN, message, data),)


def not_captured(state: State, reason: Reason, message: str) -> Facts:
    """Return that there will be no archive, and so no snapshot."""
    return _failed(state, Type.CAPTURED, reason, message)


def started(state: State, upload: Upload) -> Facts:
    """Return under which id an upload began: what goes on with it after a crash finds it here."""
    if state.outcome or (state.upload_id, state.upload_sha256) == (upload.id, upload.sha256):
        return ()
    message = f"Uploading {upload.total_bytes} bytes in {upload.parts} parts"
    return (_fact(Type.UPLOADING, Status.TRUE, Reason.UPLOAD_STARTED, message, upload.data),)


def resumed(state: State, upload: Upload) -> Facts:
    """Return that an upload goes on, after a crash or after the bucket did not answer."""
    if _silent(state):
        return ()
    message = (
        f"Going on with {upload.uploaded_bytes} of {upload.total_bytes} bytes already in the bucket"
    )
    return (_fact(Type.UPLOADING, Status.TRUE, Reason.UPLOAD_RESUMED, message, upload.data),)


def progressed(state: State, upload: Upload, *, quiet_seconds: float) -> Facts:
    """Return how far an upload has come, where that is news.

    Args:
        state: As the log has it.
        upload: How far it is.
        quiet_seconds: Since it was last told of.
    """
    step = -(-upload.total_bytes // _STEPS)
    due = upload.uploaded_bytes >= state.uploaded_bytes + step
    if _silent(state) or not due or quiet_seconds < _QUIET_SECONDS:
        return ()
    message = f"{upload.uploaded_bytes} of {upload.total_bytes} bytes are in the bucket"
    return (_fact(Type.UPLOADING, Status.TRUE, Reason.UPLOAD_PROGRESSED, message, upload.data),)


def interrupted(state: State, why: str) -> Facts:
    """Return that the bucket does not answer, and is being tried again."""
    if _silent(state):
        return ()
    message = f"The bucket does not answer and is tried again: {why}"
    return (_fact(Type.UPLOADING, Status.FALSE, Reason.BUCKET_UNAVAILABLE, message),)


def stored(state: State, item: Object) -> Facts:
    """Return that the object is in the bucket, and with that the snapshot's success."""
    message = f"{item.key} is in the bucket: {item.size_bytes} bytes, compressed"
    return _succeeded(state, Reason.OBJECT_WRITTEN, message, _data_of(item))


def adopted(state: State, item: Object, source: Source, by: str) -> Facts:
    """Return that an object that was there is this snapshot's now, with all that it says of itself.

    Args:
        state: As the log has it.
        item: The object.
        source: What that was taken of.
        by: Name of the RootfsSnapshot that stored it, or empty.
    """
    origin = {
        Key.SANDBOX: source.sandbox,
        Key.SANDBOX_UID: source.sandbox_uid,
        Key.CONTAINER: source.container,
        Key.IMAGE: source.image,
        Key.IMAGE_ID: source.image_id,
    }
    message = f"{item.key} was found in the bucket, {item.size_bytes} bytes, and is adopted" + (
        f"; RootfsSnapshot {by} had stored it" if by else ""
    )
    return _succeeded(state, Reason.OBJECT_ADOPTED, message, {**_data_of(item), **origin})


def _data_of(item: Object) -> Mapping[Key, str]:
    return {
        Key.KEY: item.key,
        Key.PARTS: str(item.parts or ""),
        Key.BYTES: str(item.archive.size_bytes),
        Key.SHA256: item.archive.sha256,
        Key.STORED_BYTES: str(item.size_bytes),
        Key.STORED_SHA256: item.sha256,
        Key.COMPRESSION: item.compression,
        Key.ETAG: item.tag,
        Key.SECONDS: "" if item.seconds is None else f"{item.seconds:.3f}",
        Key.EXPIRES_AT: item.expires_at,
    }


def _succeeded(state: State, reason: Reason, message: str, data: Mapping[Key, str]) -> Facts:
    if state.outcome:
        return ()
    told = {key: value for key, value in data.items() if value}
    return (
        _fact(Type.STORED, Status.TRUE, reason, message, told),
        _fact(Type.SUCCEEDED, Status.TRUE, Reason.SNAPSHOT_STORED, "The snapshot can be restored"),
    )


def not_stored(state: State, reason: Reason, message: str) -> Facts:
    """Return that the bucket did not take it, or has none to adopt: so there is no snapshot."""
    return _failed(state, Type.STORED, reason, message)


def removed(state: State, key: str, reason: Reason, message: str) -> Facts:
    """Return that the object is not in the bucket, or is another snapshot's."""
    if state.deleted_at:
        return ()
    return (_fact(Type.DELETED, Status.TRUE, reason, message, {Key.KEY: key}),)


def not_removed(state: State, key: str, message: str) -> Facts:
    """Return that the object could not be removed."""
    if state.deleted_at:
        return ()
    return (_fact(Type.DELETED, Status.FALSE, Reason.REMOVAL_FAILED, message, {Key.KEY: key}),)


def _failed(state: State, subject: Type, reason: Reason, message: str) -> Facts:
    if state.outcome:
        return ()
    return (
        _fact(subject, Status.FALSE, reason, message),
        _fact(Type.SUCCEEDED, Status.FALSE, reason, message),
    )


def _silent(state: State) -> bool:
    return state.outcome is not None or state.upload_entries >= UPLOAD_ENTRIES


def _fact(
    subject: Type,
    status: Status,
    reason: Reason,
    message: str,
    data: Mapping[Key, str] | None = None,
) -> Fact:
    return Fact(
        type=subject,
        status=status,
        reason=reason,
        message=message,
        actor=UPLOADER,
        data={key.value: value for key, value in (data or {}).items()},
    )
