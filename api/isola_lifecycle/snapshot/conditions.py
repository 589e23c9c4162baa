"""The catalogue: every type of condition in a RootfsSnapshot's log, and every reason for it.

`api/snapshots.md` prints the table, and a test holds that page to it.

A snapshot's life, as its log tells it, and who writes what:

    operator    Accepted (whose, on which node, on which base image) → Capturing (the Job exists)
    uploader    Captured → Uploading … → Stored, Succeeded           (one write: both or neither)
    operator    DeletionRequested → Deleted                          (once its object is to go)

One that adopts (`spec.adopt`) finds its object in the bucket, and has no sandbox:

    operator    Accepted → Adopting (the Job exists)
    uploader    Stored (`ObjectAdopted`: what the object says of itself), Succeeded

What goes wrong is told by whoever sees it, together with `Succeeded=False` under the same reason:

    operator    Accepted=False      what cannot be: no such sandbox, container, runtime, bucket
    operator    Succeeded=False     what only the cluster shows: the Job failed, its time was over
    uploader    Captured=False      gVisor gave no archive
    uploader    Stored=False        the bucket did not take it

`Succeeded` is a latch. Uploading is told at most `UPLOAD_ENTRIES` times in all, restarts included:
a log is no progress bar.
"""

from __future__ import annotations

from enum import StrEnum

from isola_lifecycle.catalogue import GATEWAY, OPERATOR, UPLOADER, Meaning

# How often a log tells of an upload under way.
UPLOAD_ENTRIES = 8


class Type(StrEnum):
    """What a condition is about."""

    ACCEPTED = "Accepted"
    CAPTURING = "Capturing"
    ADOPTING = "Adopting"
    CAPTURED = "Captured"
    UPLOADING = "Uploading"
    STORED = "Stored"
    SUCCEEDED = "Succeeded"
    DELETION_REQUESTED = "DeletionRequested"
    DELETED = "Deleted"
    ARCHIVED = "Archived"


class Reason(StrEnum):
    """Why a condition holds or does not."""

    SPEC_VALID = "SpecValid"
    SNAPSHOTS_DISABLED = "SnapshotsDisabled"
    SANDBOX_NOT_FOUND = "SandboxNotFound"
    SANDBOX_NOT_RUNNING = "SandboxNotRunning"
    CONTAINER_NOT_FOUND = "ContainerNotFound"
    RUNTIME_UNSUPPORTED = "RuntimeUnsupported"
    NAME_TAKEN = "NameTaken"
    JOB_CREATED = "JobCreated"
    JOB_FORBIDDEN = "JobForbidden"
    JOB_REJECTED = "JobRejected"
    ARCHIVE_WRITTEN = "ArchiveWritten"
    CONTAINER_GONE = "ContainerGone"
    CAPTURE_FAILED = "CaptureFailed"
    ARCHIVE_TOO_LARGE = "ArchiveTooLarge"
    UPLOAD_STARTED = "UploadStarted"
    UPLOAD_PROGRESSED = "UploadProgressed"
    UPLOAD_RESUMED = "UploadResumed"
    BUCKET_UNAVAILABLE = "BucketUnavailable"
    OBJECT_WRITTEN = "ObjectWritten"
    OBJECT_ADOPTED = "ObjectAdopted"
    OBJECT_REPLACED = "ObjectReplaced"
    BUCKET_DENIED = "BucketDenied"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    UPLOAD_FAILED = "UploadFailed"
    SNAPSHOT_STORED = "SnapshotStored"
    JOB_FAILED = "JobFailed"
    JOB_DELETED = "JobDeleted"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    CANCELLED = "Cancelled"
    CLIENT_REQUEST = "ClientRequest"
    OBJECT_DELETED = "ObjectDeleted"
    TIME_TO_LIVE_EXCEEDED = "TimeToLiveExceeded"
    OBJECT_REMOVED = "ObjectRemoved"
    OBJECT_MISSING = "ObjectMissing"
    OBJECT_EXPIRED = "ObjectExpired"
    OBJECT_DAMAGED = "ObjectDamaged"
    REMOVAL_FAILED = "RemovalFailed"
    LOG_ROLLED_OVER = "LogRolledOver"
    RECORD_NOT_WRITTEN = "RecordNotWritten"


class Phase(StrEnum):
    """What a whole log amounts to in one word: the `status` of the REST API."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class Key(StrEnum):
    """Keys of `data`. Sizes are in bytes, digests SHA-256 in lower-case hex."""

    PHASE = "phase"
    TRACEPARENT = "traceparent"
    SNAPSHOT_NAME = "snapshotName"
    SANDBOX = "sandbox"  # its name, where the specification does not tell
    SANDBOX_UID = "sandboxUID"
    NODE = "node"
    CONTAINER = "container"
    CONTAINER_ID = "containerID"
    IMAGE = "image"
    IMAGE_ID = "imageID"
    JOB_UID = "jobUID"
    BYTES = "bytes"  # of the plain archive
    SHA256 = "sha256"  # of the plain archive
    SECONDS = "seconds"  # that the step took, with decimals
    UPLOADED_BYTES = "uploadedBytes"  # of the object, so far
    TOTAL_BYTES = "totalBytes"  # of the object
    PARTS = "parts"
    UPLOAD_ID = "uploadID"
    KEY = "key"  # of the object in the bucket
    STORED_BYTES = "storedBytes"  # of the object
    STORED_SHA256 = "storedSHA256"  # of the object
    COMPRESSION = "compression"  # `zstd` or `none`
    ETAG = "etag"
    OBJECT_VERSION = "objectVersion"
    EXPIRES_AT = "expiresAt"  # when the object may go, RFC 3339
    REPLACED_BY = "replacedBy"  # name of the snapshot that the object is now
    OBJECT = "object"  # what becomes of it: `Delete` or `Retain`
    RECORD = "record"
    STATE = "state"


# What cannot be, seen before anything was done.
_OBSTACLES = (
    Reason.SNAPSHOTS_DISABLED,
    Reason.SANDBOX_NOT_FOUND,
    Reason.SANDBOX_NOT_RUNNING,
    Reason.CONTAINER_NOT_FOUND,
    Reason.RUNTIME_UNSUPPORTED,
    Reason.NAME_TAKEN,
)
_CAPTURE_FAILURES = (Reason.CONTAINER_GONE, Reason.CAPTURE_FAILED, Reason.ARCHIVE_TOO_LARGE)
_STORE_FAILURES = (
    Reason.NAME_TAKEN,
    Reason.BUCKET_DENIED,
    Reason.BUCKET_UNAVAILABLE,
    Reason.CHECKSUM_MISMATCH,
    Reason.UPLOAD_FAILED,
    Reason.OBJECT_MISSING,
    Reason.OBJECT_DAMAGED,
    Reason.OBJECT_EXPIRED,
)
_SEEN_BY_THE_OPERATOR = (
    Reason.JOB_FORBIDDEN,
    Reason.JOB_REJECTED,
    Reason.JOB_FAILED,
    Reason.JOB_DELETED,
    Reason.DEADLINE_EXCEEDED,
    Reason.CANCELLED,
)

CATALOGUE: tuple[Meaning[Type, Reason, Key], ...] = (
    Meaning(
        Type.ACCEPTED,
        "the operator took the snapshot on: of this container, on this node, or to be adopted; its"
        " time counts from here",
        (OPERATOR,),
        (Reason.SPEC_VALID,),
        _OBSTACLES,
        (
            Key.TRACEPARENT,
            Key.SNAPSHOT_NAME,
            Key.SANDBOX_UID,
            Key.NODE,
            Key.CONTAINER,
            Key.CONTAINER_ID,
            Key.IMAGE,
            Key.IMAGE_ID,
        ),
    ),
    Meaning(
        Type.CAPTURING,
        "the Job exists that takes the archive on the sandbox's node",
        (OPERATOR,),
        (Reason.JOB_CREATED,),
        (Reason.JOB_FORBIDDEN, Reason.JOB_REJECTED),
        (Key.JOB_UID,),
    ),
    Meaning(
        Type.ADOPTING,
        "the Job exists that looks at the object in the bucket",
        (OPERATOR,),
        (Reason.JOB_CREATED,),
        (Reason.JOB_FORBIDDEN, Reason.JOB_REJECTED),
        (Key.JOB_UID,),
    ),
    Meaning(
        Type.CAPTURED,
        "the archive is complete, on the node; False: there will be none",
        (UPLOADER,),
        (Reason.ARCHIVE_WRITTEN,),
        _CAPTURE_FAILURES,
        (Key.BYTES, Key.SHA256, Key.SECONDS),
    ),
    Meaning(
        Type.UPLOADING,
        "so much of the object is in the bucket; False: the bucket does not answer, and is tried"
        " again",
        (UPLOADER,),
        (Reason.UPLOAD_STARTED, Reason.UPLOAD_PROGRESSED, Reason.UPLOAD_RESUMED),
        (Reason.BUCKET_UNAVAILABLE,),
        (Key.UPLOADED_BYTES, Key.TOTAL_BYTES, Key.PARTS, Key.UPLOAD_ID, Key.STORED_SHA256),
    ),
    Meaning(
        Type.STORED,
        "the object is in the bucket; False: it is not there, or is another snapshot's now",
        (UPLOADER, OPERATOR),
        (Reason.OBJECT_WRITTEN, Reason.OBJECT_ADOPTED),
        (*_STORE_FAILURES, Reason.OBJECT_REPLACED),
        (
            Key.KEY,
            Key.PARTS,
            Key.BYTES,
            Key.SHA256,
            Key.STORED_BYTES,
            Key.STORED_SHA256,
            Key.COMPRESSION,
            Key.ETAG,
            Key.OBJECT_VERSION,
            Key.SECONDS,
            Key.EXPIRES_AT,
            Key.REPLACED_BY,
            Key.SANDBOX,
            Key.SANDBOX_UID,
            Key.CONTAINER,
            Key.IMAGE,
            Key.IMAGE_ID,
        ),
    ),
    Meaning(
        Type.SUCCEEDED,
        "it ended, and well; False: there is no snapshot. Never changes",
        (UPLOADER, OPERATOR),
        (Reason.SNAPSHOT_STORED,),
        (
            *_OBSTACLES,
            *_SEEN_BY_THE_OPERATOR,
            *_CAPTURE_FAILURES,
            *(reason for reason in _STORE_FAILURES if reason not in _OBSTACLES),
        ),
    ),
    Meaning(
        Type.DELETION_REQUESTED,
        "the custom resource is to go; `object` says what becomes of the object in the bucket",
        (GATEWAY, OPERATOR),
        (Reason.CLIENT_REQUEST, Reason.OBJECT_DELETED, Reason.TIME_TO_LIVE_EXCEEDED),
        (),
        (Key.OBJECT, Key.TRACEPARENT),
    ),
    Meaning(
        Type.DELETED,
        "the object is not in the bucket any more; False: it could not be removed, or nobody knows",
        (UPLOADER, OPERATOR),
        (
            Reason.OBJECT_REMOVED,
            Reason.OBJECT_MISSING,
            Reason.OBJECT_REPLACED,
            Reason.OBJECT_EXPIRED,
        ),
        (Reason.REMOVAL_FAILED,),
        (Key.KEY,),
    ),
    Meaning(
        Type.ARCHIVED,
        "older entries moved to a RootfsSnapshotRecord, and `state` is what they amount to; False:"
        " the archive of a snapshot that goes could not be written",
        (OPERATOR,),
        (Reason.LOG_ROLLED_OVER,),
        (Reason.RECORD_NOT_WRITTEN,),
        (Key.RECORD, Key.STATE),
    ),
)
