"""Requests and responses about snapshots of root file systems; the rules are those of `models`."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from isola_lifecycle.snapshot.conditions import Phase
from isola_rest.identifiers import ContainerName, SandboxId, SnapshotName
from isola_rest.labels import Labels
from isola_rest.models import WHOLE, Body, Seconds, Story, Wire

# What the CRD fills in; the published client refuses a snapshot without them.
DEFAULT_TIMEOUT_SECONDS = 300
DEFAULT_TTL_SECONDS = 300

_INT32 = 2**31 - 1

_EXAMPLE: JsonDict = {
    "sandboxId": "k2x8q0v7n1m5c3z9b4d6f",
    "snapshotName": "after-setup",
    "pause": True,
}
_ADOPTION: JsonDict = {"snapshotName": "after-setup", "adopt": True}
# What the model checks, for those who read the schema.
_EITHER: JsonDict = {
    "anyOf": [
        {
            "required": ["sandboxId"],
            "properties": {"sandboxId": {"type": "string"}, "adopt": {"enum": [False, None]}},
        },
        {
            "required": ["adopt", "snapshotName"],
            "properties": {
                "adopt": {"const": True},
                "snapshotName": {"type": "string"},
                "sandboxId": {"type": "null"},
                "containerName": {"type": "null"},
                "pause": {"enum": [False, None]},
                "objectTTLSeconds": {"type": "null"},
            },
        },
    ]
}


class SnapshotStatus(StrEnum):
    """A snapshot's state: a name of its own, as a sandbox's states have that of the kernel's."""

    PENDING = Phase.PENDING.value
    RUNNING = Phase.RUNNING.value
    SUCCEEDED = Phase.SUCCEEDED.value
    FAILED = Phase.FAILED.value


class DeletionPolicy(StrEnum):
    """What becomes of what is stored when somebody deletes the custom resource past this API."""

    RETAIN = "Retain"
    DELETE = "Delete"


class CreateRootfsSnapshotRequest(Body):
    """A snapshot to be taken of a container's root file system, or to be adopted."""

    model_config = ConfigDict(json_schema_extra={**_EITHER, "examples": [_EXAMPLE, _ADOPTION]})

    sandbox_id: SandboxId | None = Field(
        default=None, description="The sandbox, which must be running. Not together with `adopt`."
    )
    adopt: bool | None = Field(
        default=None,
        description="Whether, instead of taking one of a sandbox, the snapshot is to be the object"
        " of the name `snapshotName` that is in the bucket already, and that no snapshot knows (any"
        " more). `containerName`, `pause` and `objectTTLSeconds` are then not given. Default:"
        " false.",
    )
    snapshot_name: SnapshotName | None = Field(
        default=None,
        description="The name to restore it by, as `rootfsSnapshotName` of a container. Default:"
        " the sandbox's id; needed with `adopt`.",
    )
    container_name: ContainerName | None = Field(
        default=None, description="The container to take it from. Default: the first."
    )
    timeout_seconds: Seconds | None = Field(
        default=None,
        description="How long it may take from its acceptance. Default:"
        f" {DEFAULT_TIMEOUT_SECONDS}.",
    )
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=_INT32), WHOLE] | None = Field(
        default=None,
        description="How long it is shown once it ended; what is stored stays, and so does its"
        f" history. Default: {DEFAULT_TTL_SECONDS}.",
    )
    replace: bool | None = Field(
        default=None,
        description="Whether it takes the place of a snapshot of that name. Default: false, and"
        " one that exists is refused with 409.",
    )
    pause: bool | None = Field(
        default=None,
        description="Whether the container stands still meanwhile, so that its files are"
        " consistent with each other. Default: false.",
    )
    object_ttl_seconds: Seconds | None = Field(
        default=None,
        alias="objectTTLSeconds",
        description="How long what is stored is kept. Default: for ever.",
    )
    deletion_policy: DeletionPolicy | None = Field(
        default=None,
        description="What becomes of what is stored when somebody deletes the custom resource past"
        " this API, whose DELETE always removes it. Default: Retain.",
    )
    labels: Labels | None = Field(
        default=None,
        description="Kubernetes labels to find it by, as those of a sandbox.",
        examples=[{"team": "search"}],
    )

    @model_validator(mode="after")
    def _is_taken_or_adopted(self) -> Self:
        if not self.adopt:
            if self.sandbox_id is None:
                raise ValueError(
                    "give sandboxId, to take a snapshot, or adopt: true with snapshotName, to adopt"
                    " what the bucket has"
                )
            return self
        if self.snapshot_name is None:
            raise ValueError("adopt: true needs snapshotName, which says what is to be adopted")
        taken = {
            "sandboxId": self.sandbox_id,
            "containerName": self.container_name,
            "pause": self.pause or None,
            "objectTTLSeconds": self.object_ttl_seconds,
        }
        given = [name for name, value in taken.items() if value is not None]
        if given:
            raise ValueError(
                f"{', '.join(given)}: of a snapshot that is taken, not together with adopt: true"
            )
        return self


class RootfsSnapshotSummary(Wire):
    """A snapshot in a list."""

    id: SnapshotName
    sandbox_id: str = Field(
        description="Of an adopted one, as its object tells it; empty before that is known."
    )
    snapshot_name: str
    status: SnapshotStatus
    creation_timestamp: datetime
    labels: dict[str, str] | None = None


class SnapshotSource(Wire):
    """What it is taken from, as it was found there; of an adopted one, as the object tells it."""

    sandbox_uid: str = Field(description="Of all sandboxes that had this id.")
    node: str = Field(description="Empty where it was adopted.")
    container: str
    container_id: str = Field(description="Empty where it was adopted.")
    image: str = Field(description="The base image, as the sandbox names it.")
    image_id: str = Field(description="The base image, as the node resolved it: by digest.")


class StoredObject(Wire):
    """What is in the bucket."""

    key: str
    size_bytes: int = Field(description="After compression.")
    sha256: str
    compression: str = Field(description="`zstd` or `none`.")
    expires_at: str | None = Field(
        default=None,
        description="When it may go; absent: never.",
        json_schema_extra={"format": "date-time"},
    )


class RootfsSnapshotResponse(RootfsSnapshotSummary):
    """A snapshot of a container's root file system."""

    container_name: str | None = None
    timeout_seconds: int = DEFAULT_TIMEOUT_SECONDS
    ttl_seconds_after_finished: int = DEFAULT_TTL_SECONDS
    replace: bool = False
    pause: bool = False
    deletion_policy: DeletionPolicy = DeletionPolicy.RETAIN
    object_ttl_seconds: int | None = Field(default=None, alias="objectTTLSeconds")
    adopt: bool | None = Field(
        default=None, description="Whether its object was in the bucket before; absent otherwise."
    )
    trigger: str = Field(
        default="Request",
        description="`Request`, or `TerminationPolicy` where a sandbox's end called for it.",
    )
    reason: str | None = Field(
        default=None, description="Why the status is what it is, in one word."
    )
    message: str | None = Field(default=None, description="Why, for people.")
    source: SnapshotSource | None = Field(
        default=None, description="Absent before the operator has taken the snapshot on."
    )
    size_bytes: int | None = Field(
        default=None, description="Of the archive, before compression; absent before it is there."
    )
    sha256: str | None = Field(
        default=None,
        description="Digest of the archive, before compression; a restore holds to it.",
    )
    stored: StoredObject | None = Field(
        default=None,
        description="Absent before it is in the bucket, and where it is there no more: removed, or"
        " another snapshot's by now.",
    )
    accepted_at: datetime | None = Field(default=None, description="From when its time counts.")
    finished_at: datetime | None = None
    deletion_requested_at: datetime | None = None


class RootfsSnapshotList(Wire):
    """Snapshots, oldest first."""

    rootfs_snapshots: list[RootfsSnapshotSummary]
    next_cursor: str | None = Field(
        default=None, description="Give it as `cursor` for what follows; absent at the end."
    )


class RootfsSnapshotHistory(Story):
    """A snapshot's log, from its first entry on."""

    id: SnapshotName
    phases: list[SnapshotStatus] = Field(
        description="For each entry, in the same order, the snapshot's status with it."
    )
