"""Requests and responses of the gateway: field names, limits and defaults of the wire.

Rules of this file
    - A request refuses what it does not know, but for a `$schema` that editors put there, and
      takes `null` for "not given". Types are strict: `"5"` is no number, `true` is none either.
    - A response leaves out what is not set, except where clients require the field.
    - What needs the API server's knowledge (is it a CIDR? may it change?) is the CRD's to refuse.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict, JsonValue

from isola_lifecycle.durations import LONGEST_SECONDS
from isola_lifecycle.sandbox.conditions import Phase
from isola_rest import quantities
from isola_rest.identifiers import ContainerName, SandboxId, SnapshotName
from isola_rest.labels import Labels


def _whole(value: object) -> object:
    # To JSON Schema 30.0 is an integer; some clients' languages know no other way to write it.
    return int(value) if isinstance(value, float) and value.is_integer() else value


# After the bounds, which JSON Schema would not see behind it.
WHOLE = BeforeValidator(_whole)

_INT64 = 2**63 - 1
Seconds = Annotated[int, Field(ge=1, le=_INT64), WHOLE]
BytesPerSecond = Annotated[int, Field(ge=1, le=10**12), WHOLE]

# Described, not checked here: a text that is no quantity is a 400 of the contract, not a 422.
Quantity = Annotated[
    str, Field(json_schema_extra={"pattern": quantities.PATTERN, "maxLength": quantities.LENGTH})
]

# What the CRD fills in; the published client refuses a sandbox without it.
DEFAULT_STARTUP_TIMEOUT_SECONDS = 90


class Wire(BaseModel):
    """What goes over the wire: camelCase there, our names here."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", strict=True
    )


class Body(Wire):
    """A whole request body."""

    schema_: str | None = Field(
        default=None, alias="$schema", exclude=True, description="Tolerated, not read."
    )


class Resources(Wire):
    """Amounts, as Kubernetes quantities."""

    cpu: Quantity | None = Field(default=None, examples=["500m"])
    memory: Quantity | None = Field(default=None, examples=["512Mi"])
    ephemeral_storage: Quantity | None = Field(default=None, examples=["1Gi"])


class ResourceRequirements(Wire):
    """What a container may use at most, and what is set aside for it."""

    limits: Resources | None = None
    requests: Resources | None = None


class ContainerInfo(Wire):
    """A container of a sandbox. `env` is never shown."""

    name: str
    image: str
    command: list[str] | None = None
    rootfs_snapshot_name: str | None = None
    resources: ResourceRequirements | None = None


class Container(Wire):
    """A container to be run."""

    image: Annotated[str, StringConstraints(min_length=1)]
    name: ContainerName | None = Field(
        default=None, description="Default: `sandbox0`, `sandbox1` ..."
    )
    command: list[str] | None = Field(
        default=None, description="The whole argv. Default: sleep for ever."
    )
    env: dict[str, str] | None = Field(default=None, description="Write-only.")
    rootfs_snapshot_name: SnapshotName | None = Field(
        default=None, description="Start from this snapshot of a root file system."
    )
    resources: ResourceRequirements | None = None


class PodTemplate(Wire):
    """What a sandbox runs."""

    containers: Annotated[list[Container], Field(min_length=1)]


class PodTemplateInfo(Wire):
    """What a sandbox runs, as shown."""

    containers: list[ContainerInfo]


class Network(Wire):
    """What a sandbox may reach. Without it: nothing."""

    allow_internet_egress: bool | None = None
    allowed_egress_cidrs: (
        Annotated[list[Annotated[str, StringConstraints(max_length=43)]], Field(max_length=16)]
        | None
    ) = Field(default=None, alias="allowedEgressCIDRs")
    allow_cluster_dns: bool | None = Field(default=None, alias="allowClusterDNS")
    nameservers: Annotated[list[str], Field(max_length=3)] | None = None
    allowed_egress_domains: (
        Annotated[list[Annotated[str, StringConstraints(max_length=261)]], Field(max_length=32)]
        | None
    ) = Field(
        default=None,
        description="Names that may be reached, on the ports 80 and 443 or the one behind a colon;"
        " `*.` means all names below. Empty: none yet.",
        examples=[["pypi.org", "*.pythonhosted.org", "db.example.com:8443"]],
    )
    allow_ipv6_egress: bool | None = Field(default=None, alias="allowIPv6Egress")
    egress_rate_limit_bytes_per_second: BytesPerSecond | None = None


class SnapshotRootfs(Wire):
    """How the root file system is kept at the end."""

    snapshot_name: SnapshotName | None = Field(
        default=None, description="Default: the sandbox's id."
    )
    timeout_seconds: Seconds | None = Field(default=None, description="Default: 300.")


class Reachable(Wire):
    """Whether a connection to an address comes about from within a sandbox."""

    reachable: bool


class TerminationType(StrEnum):
    """What happens at the end of a sandbox."""

    DELETE = "Delete"
    SNAPSHOT_ROOTFS = "SnapshotRootfs"


# What the validators below hold, for those who generate requests from the schema.
_IS_SNAPSHOT: JsonDict = {
    "properties": {"type": {"const": "SnapshotRootfs"}},
    "required": ["type"],
}
_SETTINGS_OF_ITS_OWN: JsonDict = {
    "if": _IS_SNAPSHOT,
    "then": {
        "required": ["snapshotRootfs"],
        "properties": {"snapshotRootfs": {"type": "object"}},
    },
    "else": {"properties": {"snapshotRootfs": {"type": "null"}}},
}
_ONE_CONTAINER: JsonDict = {
    "if": {
        "properties": {"terminationPolicy": {"type": "object", **_IS_SNAPSHOT}},
        "required": ["terminationPolicy"],
    },
    "then": {"properties": {"podTemplate": {"properties": {"containers": {"maxItems": 1}}}}},
}


_EXAMPLE: JsonDict = {
    "podTemplate": {
        "containers": [
            {
                "image": "python:3.12",
                "resources": {"limits": {"cpu": "500m", "memory": "512Mi"}},
            }
        ]
    },
    "timeoutSeconds": 600,
    "labels": {"team": "search"},
}


_SOMETHING: JsonDict = {
    "anyOf": [
        {"required": ["timeoutSeconds"], "properties": {"timeoutSeconds": {"type": "integer"}}},
        {"required": ["network"], "properties": {"network": {"type": "object"}}},
    ]
}
_CHANGES: list[JsonValue] = [
    {"timeoutSeconds": 3600},
    {"network": {"allowedEgressCIDRs": ["8.8.8.0/24"]}},
    {"network": {}},
]


class TerminationPolicy(Wire):
    """What happens at the end of a sandbox."""

    model_config = ConfigDict(json_schema_extra=_SETTINGS_OF_ITS_OWN)

    type: TerminationType = TerminationType.DELETE
    snapshot_rootfs: SnapshotRootfs | None = None

    @model_validator(mode="after")
    def _needs_its_own_settings(self) -> Self:
        if (self.type is TerminationType.SNAPSHOT_ROOTFS) != (self.snapshot_rootfs is not None):
            raise ValueError("snapshotRootfs belongs to the type SnapshotRootfs, and only to it")
        return self


class CreateSandboxRequest(Body):
    """A sandbox to be created."""

    model_config = ConfigDict(json_schema_extra={**_ONE_CONTAINER, "examples": [_EXAMPLE]})

    pod_template: PodTemplate
    timeout_seconds: Seconds | None = Field(
        default=None, description="Lifetime. Default: no limit."
    )
    startup_timeout_seconds: Seconds | None = Field(
        default=None, description=f"Default: {DEFAULT_STARTUP_TIMEOUT_SECONDS}."
    )
    network: Network | None = None
    termination_policy: TerminationPolicy | None = None
    labels: Labels | None = Field(
        default=None,
        description="Kubernetes labels to find it by, none of them under `isola.run/`,"
        " `kubernetes.io/`, `k8s.io/` or a subdomain of these.",
        examples=[{"team": "search"}],
    )

    @model_validator(mode="after")
    def _snapshots_one_container(self) -> Self:
        policy = self.termination_policy
        wants_snapshot = policy is not None and policy.type is TerminationType.SNAPSHOT_ROOTFS
        if wants_snapshot and len(self.pod_template.containers) > 1:
            raise ValueError("terminationPolicy SnapshotRootfs needs exactly one container")
        return self


class ChangeSandboxRequest(Body):
    """What is to change of a living sandbox: its lifetime, its network, or both."""

    model_config = ConfigDict(json_schema_extra={**_SOMETHING, "examples": _CHANGES})

    timeout_seconds: Annotated[int, Field(ge=1, le=LONGEST_SECONDS), WHOLE] | None = Field(
        default=None,
        description="Lifetime, as at creation: counted from the acceptance of the sandbox, not"
        " from this request. It must end in the future.",
    )
    network: Network | None = Field(
        default=None,
        description="What it may reach from now on, all of it, as at creation: what is left out is"
        " closed, and `{}` closes everything. It is in force for new connections when the answer"
        " comes; those that are open may go on.",
    )

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.timeout_seconds is None and self.network is None:
            raise ValueError("give timeoutSeconds, network or both")
        return self


class SandboxSummary(Wire):
    """A sandbox in a list."""

    id: SandboxId
    status: Phase
    creation_timestamp: datetime
    labels: dict[str, str] | None = None


class SandboxResponse(SandboxSummary):
    """A sandbox."""

    pod_template: PodTemplateInfo
    startup_timeout_seconds: int = DEFAULT_STARTUP_TIMEOUT_SECONDS
    timeout_seconds: int | None = Field(
        default=None, description="Lifetime, as it was last set. Absent: no limit."
    )
    expires_at: datetime | None = Field(
        default=None, description="When the lifetime is over; absent while it has not begun."
    )
    network: Network | None = None
    termination_policy: TerminationPolicy | None = None
    reason: str | None = Field(
        default=None, description="Why the status is what it is, in one word."
    )
    message: str | None = Field(default=None, description="Why, for people.")
    exit_code: int | None = Field(default=None, description="Of a sandbox that ended by itself.")
    node: str | None = Field(default=None, description="The node it was assigned to.")


class SandboxList(Wire):
    """Sandboxes, oldest first."""

    sandboxes: list[SandboxSummary]
    next_cursor: str | None = Field(
        default=None, description="Give it as `cursor` for what follows; absent at the end."
    )


class HistoryEntry(BaseModel):
    """An entry of a log, exactly as in `status.conditions` of the custom resource."""

    sequence: int
    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    lastTransitionTime: datetime  # noqa: N815 - the wire's own name
    observedGeneration: int  # noqa: N815
    actor: str
    requestId: str | None = None  # noqa: N815
    data: dict[str, str] | None = None
    digest: str


class Verdict(Wire):
    """What a log comes to."""

    sentence: str = Field(description="What happened, or is happening.")
    advice: str | None = Field(default=None, description="What can be done about it.")


class Story(Wire):
    """A log, from its first entry on; each kind of object has its ids and states."""

    uid: str = Field(description="Of all that had this id, this one is told about.")
    deleted: bool = Field(description="Whether it is gone, and this is its record.")
    entries: list[HistoryEntry]
    since_previous_seconds: list[float | None] = Field(
        description="For each entry, in the same order, how long after the one before it in time;"
        " null for the oldest."
    )
    verdict: Verdict = Field(description="What all of it comes to, for people.")


class History(Story):
    """A sandbox's log, from its first entry on."""

    id: SandboxId
    phases: list[Phase] = Field(
        description="For each entry, in the same order, the sandbox's status with it."
    )


# By the names of the events that tell of them.
RecordedKind = Literal["sandbox", "rootfsSnapshot"]


class RecordSummary(Wire):
    """A sandbox or snapshot that is on record."""

    id: SandboxId | SnapshotName
    uid: str = Field(description="Of all that had this id.")
    recorded_at: datetime = Field(description="When its whole history was put on record.")


class RecordList(Wire):
    """What is on record as ended and gone, the latest first."""

    records: list[RecordSummary]
    next_cursor: str | None = Field(
        default=None, description="Give it as `cursor` for what follows; absent at the end."
    )


class Health(BaseModel):
    """A probe's answer."""

    status: Literal["ok"] = "ok"


class Version(Wire):
    """What is running. `goVersion` is kept for old clients: here it names Python's version."""

    git_version: str
    go_version: str
    platform: str
    git_commit: str | None = None
    git_tree_state: str | None = None
    build_date: str | None = None
