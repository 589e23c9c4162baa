"""What is known of a snapshot, and how that is carried over the place where its log was cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from isola_lifecycle import projection
from isola_lifecycle.codec import decode_time
from isola_lifecycle.snapshot.conditions import Phase


@dataclass(frozen=True, slots=True)
class Source:
    """What it is taken from. A restore onto another base image is refused.

    Attributes:
        sandbox_uid: UID of the sandbox.
        node: Where that runs.
        container: Name of the container.
        container_id: Its id on that node, without the runtime's prefix.
        image: Its image, as the specification names it.
        image_id: Its image, as the node resolved it: with the digest.
        sandbox: Name of the sandbox, where the specification does not tell: of what was adopted.
    """

    sandbox_uid: str = ""
    node: str = ""
    container: str = ""
    container_id: str = ""
    image: str = ""
    image_id: str = ""
    sandbox: str = ""


@dataclass(frozen=True, slots=True)
class Archive:
    """The plain archive.

    Attributes:
        size_bytes: Its size.
        sha256: Its digest, hex.
    """

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Stored:
    """The object in the bucket.

    Attributes:
        key: Where.
        size_bytes: Its size, after compression.
        sha256: Its digest, hex.
        compression: `zstd` or `none`.
        etag: As the bucket has it: what it must be when the object is removed.
        at: When it was recorded.
        expires_at: When it may go, RFC 3339, or empty.
    """

    key: str
    size_bytes: int
    sha256: str
    compression: str
    etag: str
    at: datetime
    expires_at: str = ""

    def is_kept(self, now: datetime) -> bool:
        """Return whether its time, if it has one, is not over: after that it goes by itself."""
        try:
            return not self.expires_at or now < decode_time(self.expires_at)
        except (TypeError, ValueError):  # no time, or one without a zone
            return True


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended.

    Attributes:
        succeeded: Whether there is a snapshot.
        reason: As recorded.
        message: As recorded.
        at: When it was recorded.
    """

    succeeded: bool
    reason: str
    message: str
    at: datetime


class State(NamedTuple):
    """A snapshot, as far as its log tells.

    Attributes:
        accepted_at: When the operator took it on, or None.
        source: What it is taken from, or None; of an object that is adopted, once it was found.
        trouble: Reason for which the Job could not be created so far, or empty.
        job_uid: UID of its Job, or empty before it exists.
        archive: The archive, or None before it is complete.
        upload_id: What the bucket calls the upload under way, or empty.
        upload_sha256: Digest of the object that it is to become, hex, or empty: with another one
            it is of no use.
        uploaded_bytes: How much of the archive is in the bucket.
        upload_entries: How often that was told.
        stored: The object in the bucket, or None where this snapshot has none.
        outcome: How it ended, or None.
        deletion_requested_at: When somebody wanted it to go, or None.
        object_goes: Whether the object is to go with it.
        deleted_at: When the object was gone, or given up, or None.
        unarchived: Whether the archive of this log was given up.
    """

    accepted_at: datetime | None = None
    source: Source | None = None
    trouble: str = ""
    job_uid: str = ""
    archive: Archive | None = None
    upload_id: str = ""
    upload_sha256: str = ""
    uploaded_bytes: int = 0
    upload_entries: int = 0
    stored: Stored | None = None
    outcome: Outcome | None = None
    deletion_requested_at: datetime | None = None
    object_goes: bool = False
    deleted_at: datetime | None = None
    unarchived: bool = False

    @property
    def over(self) -> bool:
        """Return whether all is told: how it ended, that it is to go, what became of its object.

        What may still follow is that its archive could not be written.
        """
        object_left = self.object_goes and self.stored is not None and self.deleted_at is None
        return bool(self.outcome and self.deletion_requested_at) and not object_left

    @property
    def phase(self) -> Phase:
        """Return the state in one word; the first that holds wins, as in the REST contract."""
        if self.outcome:
            return Phase.SUCCEEDED if self.outcome.succeeded else Phase.FAILED
        return Phase.RUNNING if self.job_uid or self.archive else Phase.PENDING

    @property
    def holds_name(self) -> bool:
        """Return whether a younger snapshot of its name has to replace it, or cannot be.

        `rules` says so of every namesake; whoever is asked for a snapshot can say it before.
        """
        return self.stored is not None or self.outcome is None


def carried(state: State) -> dict[str, str] | None:
    """Return `state` as `data` of an entry from which a fold can go on; None if it is too long."""
    return projection.carried(state, State())


def restored(data: Mapping[str, str]) -> State | None:
    """Return the state that `data` of an entry carries, or None where it carries none."""
    return projection.restored(data, State(), _RESTORE)


def _outcome(told: list[Any]) -> Outcome:
    succeeded, reason, message, at = told
    return Outcome(succeeded, reason, message, decode_time(at))


def _stored(told: list[Any]) -> Stored:
    key, size_bytes, sha256, compression, etag, at, expires_at = told
    return Stored(key, size_bytes, sha256, compression, etag, decode_time(at), expires_at)


_RESTORE: Mapping[str, Callable[[Any], Any]] = {
    "accepted_at": decode_time,
    "source": lambda told: Source(*told),
    "archive": lambda told: Archive(*told),
    "stored": _stored,
    "outcome": _outcome,
    "deletion_requested_at": decode_time,
    "deleted_at": decode_time,
}
