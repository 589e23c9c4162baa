"""What is sent and what comes back, as values. Fields that are not known here are ignored."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum

from isola_sdk.wire import IsolaModel


class SandboxStatus(str, Enum):
    """What a sandbox's log amounts to in one word."""

    PENDING = "Pending"
    RUNNING = "Running"
    TERMINATING = "Terminating"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class ResourceList(IsolaModel):
    """Amounts, as Kubernetes quantities: `500m`, `512Mi`."""

    cpu: str | None = None
    memory: str | None = None
    ephemeral_storage: str | None = None


class ResourceRequirements(IsolaModel):
    """What a container may use at most, and what is set aside for it."""

    limits: ResourceList | None = None
    requests: ResourceList | None = None


class Container(IsolaModel):
    """A container to be run.

    Attributes:
        name: Default: `sandbox0`, `sandbox1` ...
        rootfs_snapshot_name: Start from this snapshot of a root file system.
        command: The whole argv. Default: sleep for ever.
        env: Never shown again.
    """

    name: str | None = None
    image: str
    rootfs_snapshot_name: str | None = None
    command: list[str] | None = None
    env: dict[str, str] | None = None
    resources: ResourceRequirements | None = None


class ContainerInfo(IsolaModel):
    """A container of a sandbox, as it is shown."""

    name: str
    image: str
    rootfs_snapshot_name: str | None = None
    command: list[str] | None = None
    resources: ResourceRequirements | None = None


class Network(IsolaModel):
    """What a sandbox may reach. Without it: nothing.

    Attributes:
        allow_internet_egress: Everything that is not private or special.
        allowed_egress_cidrs: Ranges, at most 16.
        allow_cluster_dns: Names, resolved by the cluster.
        nameservers: Names, resolved by these, at most 3.
        allow_ipv6_egress: Needed for whatever is IPv6 among the others.
        egress_rate_limit_bytes_per_second: Of the whole sandbox.
        allowed_egress_domains: Names, by TLS and HTTP: `pypi.org`, `*.pythonhosted.org`,
            `db.example.com:8443`. An empty list: none yet.
    """

    allow_internet_egress: bool | None = None
    allowed_egress_cidrs: list[str] | None = None
    allow_cluster_dns: bool | None = None
    nameservers: list[str] | None = None
    allow_ipv6_egress: bool | None = None
    egress_rate_limit_bytes_per_second: int | None = None
    allowed_egress_domains: list[str] | None = None


class SnapshotRootfs(IsolaModel):
    """A termination policy: the root file system is kept before the sandbox goes.

    Attributes:
        snapshot_name: Default: the sandbox's id.
        timeout_seconds: Default: 300.
    """

    snapshot_name: str | None = None
    timeout_seconds: int | None = None


class TerminationPolicy(IsolaModel):
    """What happens at the end of a sandbox: `Delete`, or `SnapshotRootfs`."""

    type: str = "Delete"
    snapshot_rootfs: SnapshotRootfs | None = None


class PodTemplateInfo(IsolaModel):
    """What a sandbox runs."""

    containers: list[ContainerInfo]


class SandboxSummary(IsolaModel):
    """A sandbox in a list."""

    id: str
    status: SandboxStatus
    creation_timestamp: datetime
    labels: dict[str, str] | None = None


class SandboxData(SandboxSummary):
    """A sandbox as the gateway shows it."""

    pod_template: PodTemplateInfo
    startup_timeout_seconds: int
    timeout_seconds: int | None = None
    expires_at: datetime | None = None
    network: Network | None = None
    termination_policy: TerminationPolicy | None = None
    reason: str | None = None
    message: str | None = None
    exit_code: int | None = None
    node: str | None = None


class SandboxPage(IsolaModel):
    """A page of a list."""

    sandboxes: list[SandboxSummary] | None = None
    next_cursor: str | None = None


class NetworkRefusal(IsolaModel):
    """Something that a sandbox asked for by name and was not given, as often as it did.

    Attributes:
        reason: `NameNotAllowed`, `PortNotAllowed`, `NameMissing`, `AddressBlocked` ...
        protocol: `dns`, `tls`, `http` or `tcp`.
        name: Which name, as far as one could be read.
        address: Where the name leads, if that is why.
        port: To which port; None where the name was only looked up.
        count: How often.
    """

    reason: str
    protocol: str
    name: str | None = None
    address: str | None = None
    port: int | None = None
    count: int
    first_time: datetime
    last_time: datetime


class NetworkRefusals(IsolaModel):
    """The latest refusals, the very latest first.

    Attributes:
        replicas: How many replicas of the egress component there are.
        silent: How many of them did not answer: what they know is missing.
    """

    refusals: list[NetworkRefusal]
    replicas: int
    silent: int


class CommandStatus(IsolaModel):
    """How a command stands.

    Attributes:
        exit_code: None while it runs; -1 unless it exited by itself.
        cause: `Exited`, `Signalled`, `TimedOut` or `Lost`; None while it runs.
        signal: Which, if one ended it.
    """

    exit_code: int | None = None
    cause: str | None = None
    signal: str | None = None


class CommandInfo(CommandStatus):
    """A command in a list."""

    id: str
    container: str
    args: list[str]


class CommandPage(IsolaModel):
    """All commands that a sandbox remembers."""

    commands: list[CommandInfo]


class Created(IsolaModel):
    """What was made."""

    id: str


class Entry(IsolaModel):
    """What a path is; of a link, the link itself.

    Attributes:
        path: Absolute.
        type: `file`, `directory`, `symlink` or `other`.
        permissions: Octal, such as `0644`.
        encoded_path: Only of a path that is not UTF-8: its bytes, percent-encoded.
    """

    name: str
    path: str
    type: str
    size: int
    permissions: str
    uid: int
    gid: int
    modified_time: datetime
    symlink_target: str | None = None
    encoded_path: str | None = None


class EntryPage(IsolaModel):
    """A page of a directory."""

    entries: list[Entry]
    next_cursor: str | None = None


class FileChange(IsolaModel):
    """Something that changed in a file system.

    Attributes:
        kind: `created`, `modified`, `removed`, `renamed`; `overflow`: changes were lost, list
            again. `ready`: from here on nothing is missed.
        path: Absolute; None of `ready` and `overflow`.
        type: What it is: `file`, `directory` ...
        previous_path: Of `renamed`: what it was called before.
    """

    kind: str
    path: str | None = None
    type: str | None = None
    previous_path: str | None = None


class RecordSummary(IsolaModel):
    """A sandbox that is gone, and whose history is on record."""

    id: str
    uid: str
    recorded_at: datetime


class RecordPage(IsolaModel):
    """A page of a list."""

    records: list[RecordSummary]
    next_cursor: str | None = None


Labels = Mapping[str, str]
"""Labels, or a filter by them: all of these."""
