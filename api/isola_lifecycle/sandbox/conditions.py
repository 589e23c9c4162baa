"""The catalogue: every type of condition in a sandbox's log, and every reason for it.

Its tables are the contract with people and dashboards. `api/sandboxes.md` prints them, and a test
holds that page to them. Each type has one writer, but `TerminationRequested`, which is written by
whoever received the request, and `NetworkEnforced`, which the operator writes where no gateway did.

A sandbox's life, as its log tells it:

    Accepted → NetworkConfigured → PodCreated → Scheduled → Started → Ready ⇄ Ready=False
                                                    │
        RootfsStaged, one a snapshot, before Started      (where it starts from snapshots)
                                                    │
        NetworkChanged → NetworkConfigured → NetworkEnforced          (somebody changed it)
                                                    │
        ContainerExited → Ready=False → Succeeded=True or False       (it ended by itself)
                                                    │
        TerminationRequested → SnapshotRequested → Snapshotted, where its policy wants that
                             → Ready=False → Terminated               (somebody ended it)
"""

from __future__ import annotations

from enum import StrEnum

from isola_lifecycle.catalogue import GATEWAY, MOUNTER, OPERATOR, Meaning


class Type(StrEnum):
    """What a condition is about."""

    ACCEPTED = "Accepted"
    NETWORK_CONFIGURED = "NetworkConfigured"
    POD_CREATED = "PodCreated"
    SCHEDULED = "Scheduled"
    ROOTFS_STAGED = "RootfsStaged"
    STARTED = "Started"
    READY = "Ready"
    CONTAINER_EXITED = "ContainerExited"
    SUCCEEDED = "Succeeded"
    TIMEOUT_CHANGED = "TimeoutChanged"
    NETWORK_CHANGED = "NetworkChanged"
    NETWORK_ENFORCED = "NetworkEnforced"
    TERMINATION_REQUESTED = "TerminationRequested"
    SNAPSHOT_REQUESTED = "SnapshotRequested"
    SNAPSHOTTED = "Snapshotted"
    TERMINATED = "Terminated"
    ARCHIVED = "Archived"


class Reason(StrEnum):
    """Why a condition holds or does not."""

    SPEC_VALID = "SpecValid"
    SPEC_INVALID = "SpecInvalid"
    NOTHING_ALLOWED = "NothingAllowed"
    POLICY_APPLIED = "PolicyApplied"
    POLICY_CORRECTED = "PolicyCorrected"
    POLICY_REJECTED = "PolicyRejected"
    CLUSTER_RANGES_UNKNOWN = "ClusterRangesUnknown"
    CHANGE_REFUSED = "ChangeRefused"
    SEEN_IN_FORCE = "SeenInForce"
    NOT_SEEN_IN_FORCE = "NotSeenInForce"
    NETWORK_NOT_ENFORCED = "NetworkNotEnforced"
    POD_CREATED = "PodCreated"
    POD_FORBIDDEN = "PodForbidden"
    POD_REJECTED = "PodRejected"
    NODE_ASSIGNED = "NodeAssigned"
    UNSCHEDULABLE = "Unschedulable"
    ARCHIVE_STAGED = "ArchiveStaged"
    SNAPSHOT_NOT_FOUND = "SnapshotNotFound"
    SNAPSHOT_PENDING = "SnapshotPending"
    SNAPSHOT_DAMAGED = "SnapshotDamaged"
    SNAPSHOT_BASE_MISMATCH = "SnapshotBaseMismatch"
    SNAPSHOT_TOO_LARGE = "SnapshotTooLarge"
    NODE_CACHE_FULL = "NodeCacheFull"
    BUCKET_UNAVAILABLE = "BucketUnavailable"
    BUCKET_DENIED = "BucketDenied"
    RUNTIME_UNSUPPORTED = "RuntimeUnsupported"
    CONTAINERS_STARTED = "ContainersStarted"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    IMAGE_NAME_INVALID = "ImageNameInvalid"
    CONTAINER_CONFIG_INVALID = "ContainerConfigInvalid"
    CONTAINER_CREATION_FAILED = "ContainerCreationFailed"
    POD_READY = "PodReady"
    READINESS_LOST = "ReadinessLost"
    NODE_UNREACHABLE = "NodeUnreachable"
    SANDBOX_ENDED = "SandboxEnded"
    COMPLETED = "Completed"
    ERROR = "Error"
    OOM_KILLED = "OOMKilled"
    START_ERROR = "StartError"
    EVICTED = "Evicted"
    NODE_LOST = "NodeLost"
    POD_DELETED = "PodDeleted"
    POD_FAILED = "PodFailed"
    STARTUP_TIMEOUT = "StartupTimeout"
    LIFETIME_EXCEEDED = "LifetimeExceeded"
    CLIENT_REQUEST = "ClientRequest"
    OBJECT_DELETED = "ObjectDeleted"
    TERMINATION_POLICY = "TerminationPolicy"
    SNAPSHOTS_STORED = "SnapshotsStored"
    SNAPSHOT_FAILED = "SnapshotFailed"
    SNAPSHOT_TIMEOUT = "SnapshotTimeout"
    SNAPSHOTS_DISABLED = "SnapshotsDisabled"
    SANDBOX_NOT_RUNNING = "SandboxNotRunning"
    POD_REMOVED = "PodRemoved"
    LOG_ROLLED_OVER = "LogRolledOver"
    RECORD_NOT_WRITTEN = "RecordNotWritten"


class Phase(StrEnum):
    """What a whole log amounts to in one word: the `status` of the REST API."""

    PENDING = "Pending"
    RUNNING = "Running"
    TERMINATING = "Terminating"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class Key(StrEnum):
    """Keys of `data`."""

    PHASE = "phase"
    POD = "pod"
    POD_UID = "podUID"
    SIDECAR_CERTIFICATE = "sidecarCertificate"
    NODE = "node"
    POD_IP = "podIP"
    CONTAINER = "container"
    EXIT_CODE = "exitCode"
    TRACEPARENT = "traceparent"
    SNAPSHOTS = "snapshots"
    RECORD = "record"
    STATE = "state"
    TIMEOUT_SECONDS = "timeoutSeconds"
    NETWORK = "network"
    POLICY = "policy"
    DOOR = "door"
    SNAPSHOT = "snapshot"  # the name that is restored
    KEY = "key"  # of the object in the bucket
    SHA256 = "sha256"  # of the plain archive, hex
    BYTES = "bytes"  # of the plain archive
    SECONDS = "seconds"  # that the step took, with decimals
    CACHED = "cached"  # whether the node had it: `true` or `false`
    IMAGE_ID = "imageID"  # that the archive belongs onto


# Why an archive is not there yet, and may be in a moment.
_AWAITED = (
    Reason.SNAPSHOT_NOT_FOUND,
    Reason.SNAPSHOT_PENDING,
    Reason.BUCKET_UNAVAILABLE,
    Reason.NODE_CACHE_FULL,
)
# Why it never will be: a sandbox that starts from it has failed.
UNRESTORABLE = (
    Reason.SNAPSHOT_FAILED,
    Reason.SNAPSHOT_DAMAGED,
    Reason.SNAPSHOT_BASE_MISMATCH,
    Reason.SNAPSHOT_TOO_LARGE,
    Reason.BUCKET_DENIED,
)

# How a container's end is told; the same words serve the container and the sandbox.
_EXITS = (
    Reason.ERROR,
    Reason.OOM_KILLED,
    Reason.START_ERROR,
)

CATALOGUE: tuple[Meaning[Type, Reason, Key], ...] = (
    Meaning(
        Type.ACCEPTED,
        "the operator took the sandbox on; its time-outs count from here",
        (OPERATOR,),
        (Reason.SPEC_VALID,),
        (Reason.SPEC_INVALID,),
        (Key.TRACEPARENT,),
    ),
    Meaning(
        Type.NETWORK_CONFIGURED,
        "what the message says may be reached, and nothing else",
        (OPERATOR,),
        (Reason.NOTHING_ALLOWED, Reason.POLICY_APPLIED, Reason.POLICY_CORRECTED),
        (Reason.CLUSTER_RANGES_UNKNOWN, Reason.POLICY_REJECTED, Reason.CHANGE_REFUSED),
        (Key.POLICY, Key.DOOR),
    ),
    Meaning(
        Type.POD_CREATED,
        "the pod exists",
        (OPERATOR,),
        (Reason.POD_CREATED,),
        (Reason.POD_FORBIDDEN, Reason.POD_REJECTED),
        (Key.POD, Key.POD_UID, Key.SIDECAR_CERTIFICATE),
    ),
    Meaning(
        Type.SCHEDULED,
        "a node was chosen",
        (OPERATOR,),
        (Reason.NODE_ASSIGNED,),
        (Reason.UNSCHEDULABLE,),
        (Key.NODE,),
    ),
    Meaning(
        Type.ROOTFS_STAGED,
        "on the node is what the container starts from: the archive of that snapshot, verified;"
        " False: not yet, or never",
        (MOUNTER,),
        (Reason.ARCHIVE_STAGED,),
        (*_AWAITED, *UNRESTORABLE),
        (
            Key.CONTAINER,
            Key.SNAPSHOT,
            Key.KEY,
            Key.SHA256,
            Key.BYTES,
            Key.SECONDS,
            Key.CACHED,
            Key.IMAGE_ID,
            Key.NODE,
            Key.POD_UID,
        ),
    ),
    Meaning(
        Type.STARTED,
        "all containers were started",
        (OPERATOR,),
        (Reason.CONTAINERS_STARTED,),
        (
            Reason.IMAGE_PULL_FAILED,
            Reason.IMAGE_NAME_INVALID,
            Reason.CONTAINER_CONFIG_INVALID,
            Reason.CONTAINER_CREATION_FAILED,
        ),
        (Key.CONTAINER,),
    ),
    Meaning(
        Type.READY,
        "commands are accepted, at this address",
        (OPERATOR,),
        (Reason.POD_READY,),
        (Reason.READINESS_LOST, Reason.NODE_UNREACHABLE, Reason.SANDBOX_ENDED),
        (Key.POD_IP,),
    ),
    Meaning(
        Type.CONTAINER_EXITED,
        "a container's main process ended",
        (OPERATOR,),
        (Reason.COMPLETED, *_EXITS),
        (),
        (Key.CONTAINER, Key.EXIT_CODE),
    ),
    Meaning(
        Type.SUCCEEDED,
        "the sandbox ended, and well; False: it ended badly. Never changes",
        (OPERATOR,),
        (Reason.COMPLETED, Reason.LIFETIME_EXCEEDED),
        (
            *_EXITS,
            Reason.EVICTED,
            Reason.NODE_LOST,
            Reason.POD_DELETED,
            Reason.POD_FAILED,
            Reason.STARTUP_TIMEOUT,
            Reason.SPEC_INVALID,
            Reason.CLUSTER_RANGES_UNKNOWN,
            Reason.POLICY_REJECTED,
            Reason.NETWORK_NOT_ENFORCED,
            Reason.POD_REJECTED,
            Reason.POD_FORBIDDEN,
            Reason.UNSCHEDULABLE,
            *_AWAITED,
            *UNRESTORABLE,
            Reason.RUNTIME_UNSUPPORTED,
            Reason.IMAGE_PULL_FAILED,
            Reason.IMAGE_NAME_INVALID,
            Reason.CONTAINER_CONFIG_INVALID,
            Reason.CONTAINER_CREATION_FAILED,
        ),
        (Key.CONTAINER, Key.EXIT_CODE),
    ),
    Meaning(
        Type.TIMEOUT_CHANGED,
        "the lifetime is this one, no longer the specification's; the latest counts",
        (GATEWAY,),
        (Reason.CLIENT_REQUEST,),
        (),
        (Key.TIMEOUT_SECONDS, Key.TRACEPARENT),
    ),
    Meaning(
        Type.NETWORK_CHANGED,
        "somebody wants these network settings instead of those before; `NetworkConfigured`"
        " answers",
        (GATEWAY,),
        (Reason.CLIENT_REQUEST,),
        (),
        (Key.NETWORK, Key.TRACEPARENT),
    ),
    Meaning(
        Type.NETWORK_ENFORCED,
        "the gateway saw from within the sandbox that the change is in force; False: nobody did in"
        " time. Either way the door is closed",
        (GATEWAY, OPERATOR),
        (Reason.SEEN_IN_FORCE,),
        (Reason.NOT_SEEN_IN_FORCE,),
        (Key.TRACEPARENT,),
    ),
    Meaning(
        Type.TERMINATION_REQUESTED,
        "the sandbox is to be removed, whatever it is doing",
        (OPERATOR, GATEWAY),
        (Reason.CLIENT_REQUEST, Reason.OBJECT_DELETED, Reason.LIFETIME_EXCEEDED),
        (),
        (Key.TRACEPARENT,),
    ),
    Meaning(
        Type.SNAPSHOT_REQUESTED,
        "its root file systems are being kept, as its termination policy wants, before it goes",
        (OPERATOR,),
        (Reason.TERMINATION_POLICY,),
        (),
        (Key.SNAPSHOTS,),
    ),
    Meaning(
        Type.SNAPSHOTTED,
        "they are kept, all of them; False: it goes without",
        (OPERATOR,),
        (Reason.SNAPSHOTS_STORED,),
        (
            Reason.SNAPSHOT_FAILED,
            Reason.SNAPSHOT_TIMEOUT,
            Reason.SNAPSHOTS_DISABLED,
            Reason.SANDBOX_NOT_RUNNING,
        ),
        (Key.SNAPSHOTS,),
    ),
    Meaning(
        Type.TERMINATED,
        "nothing of the sandbox is left in the cluster",
        (OPERATOR,),
        (Reason.POD_REMOVED, Reason.NODE_LOST),
    ),
    Meaning(
        Type.ARCHIVED,
        "older entries moved to a SandboxRecord, and `state` is what they amount to; False: the"
        " archive of an ended sandbox could not be written",
        (OPERATOR,),
        (Reason.LOG_ROLLED_OVER,),
        (Reason.RECORD_NOT_WRITTEN,),
        (Key.RECORD, Key.NODE, Key.STATE),
    ),
)
