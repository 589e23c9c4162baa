"""Names that several components have to agree on. Each is deterministic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

GROUP = "sandbox.isola.run"
VERSION = "v1alpha1"

KIND = "Sandbox"
PLURAL = "sandboxes"
RECORD_KIND = "SandboxRecord"
RECORD_PLURAL = "sandboxrecords"

# `<sandbox>-custom-netpol`, the longest name made from it, must fit a label of 63 characters.
SANDBOX_NAME_LENGTH = 47


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A custom resource whose status is a log, and the one that keeps its archive.

    Attributes:
        kind: Of the resource.
        plural: Of the resource, in paths.
        name_length: How long its name may be, so that those derived from it fit.
        record_kind: Of a part of its archive.
        record_plural: Of that, in paths.
        subject_field: Where such a record's `spec` says whose log it is.
        name_label: Label of a record with the name of whose log it is.
        uid_label: Label of a record with the UID of whose log it is.
    """

    kind: str
    plural: str
    name_length: int
    record_kind: str
    record_plural: str
    subject_field: str
    name_label: str
    uid_label: str


SANDBOX = Resource(
    kind=KIND,
    plural=PLURAL,
    name_length=SANDBOX_NAME_LENGTH,
    record_kind=RECORD_KIND,
    record_plural=RECORD_PLURAL,
    subject_field="sandbox",
    name_label="isola.run/sandbox",
    uid_label="isola.run/sandbox-uid",
)

ROOTFS_SNAPSHOT = Resource(
    kind="RootfsSnapshot",
    plural="rootfssnapshots",
    name_length=59,  # `<snapshot>-job` must fit a label of 63 characters
    record_kind="RootfsSnapshotRecord",
    record_plural="rootfssnapshotrecords",
    subject_field="rootfsSnapshot",
    name_label="isola.run/rootfs-snapshot",
    uid_label="isola.run/rootfs-snapshot-uid",
)

# Label of a Job, which is in another namespace than its snapshot: in which that is. Its name and
# UID are told by the same labels as a record's.
SUBJECT_NAMESPACE_LABEL = "isola.run/namespace"

# Label of a record: whether nothing was to follow it.
RECORD_FINAL_LABEL = "isola.run/final"

FINALIZER = f"{GROUP}/cleanup"

# Couriers from the create request to the first entry of the log. They decide nothing: once the
# operator has copied them into `Accepted`, nobody reads them again.
CALLER_ANNOTATION = "isola.run/requested-by"
REQUEST_ID_ANNOTATION = "isola.run/request-id"
TRACEPARENT_ANNOTATION = "isola.run/traceparent"

# A courier too, but from one create request to the next under the same key:
# is this the request that made the object? It decides nothing about the sandbox's life and has no
# place in the log: it is about what came before the first entry, and a status cannot be written at
# creation.
REQUEST_DIGEST_ANNOTATION = "isola.run/request-digest"

CONTAINER_NAME_VARIABLE = "ISOLA_CONTAINER_NAME"
# Of the sidecar: what it proves itself with, PEM.
CERTIFICATE_VARIABLE = "ISOLA_SIDECAR_CERTIFICATE"
SIDECAR_CONTAINER = "sandbox-sidecar"
# What the sidecar exits with where it does not see that the network policies are in force; and the
# container that starts next, which asks it, and before the hook of which nothing else may start.
GATE_NOT_ENFORCED = 86
GATE_CONTAINER = "network-gate"
GATE_VARIABLE = "ISOLA_GATE_ASKED"
# What waits for archives, and what it exits with where it does not run under gVisor.
STAGED_CONTAINER = "archive-gate"
STAGED_NOT_GVISOR = 87
OWN_CONTAINERS = (SIDECAR_CONTAINER, GATE_CONTAINER, STAGED_CONTAINER)
# Says of a pod which archive a container's root file system begins with; the container's name
# follows. The path is the node's. (gVisor: `runsc/specutils`, `AnnotationRootfsUpperTar`.)
ROOTFS_ANNOTATION = "dev.gvisor.tar.rootfs.upper."
# The part of an annotation's key behind a slash, or all of one without a slash, has at most 63.
RESTORED_CONTAINER_LENGTH = 63 - len(ROOTFS_ANNOTATION)
# Below the folder on a node where archives are staged: whose, and what of it a pod sees.
GATE_FOLDER = "gate"
STAGED_MARK = "staged"
SIDECAR_PORT = 10032
# Where a sidecar is asked whether anything else may start.
GATE_PORT = 10033

# Where a replica of the egress component answers gateways.
EGRESS_CONTROL_PORT = 10042


def pod_name(sandbox: str) -> str:
    """Return the name of a sandbox's one pod."""
    return f"{sandbox}-pod"


def policy_name(sandbox: str) -> str:
    """Return the name of the NetworkPolicy that opens what a sandbox may reach."""
    return f"{sandbox}-custom-netpol"


def sandbox_of_policy(policy: str) -> str:
    """Return the name of the sandbox whose NetworkPolicy has the name `policy`."""
    return policy.removesuffix("-custom-netpol")


def sandbox_name(pod: str) -> str:
    """Return the name of the sandbox whose one pod has the name `pod`."""
    return pod.removesuffix("-pod")


def staging_folder(root: str, sandbox_uid: str) -> str:
    """Return the folder on a node in which a sandbox's archives are staged."""
    return f"{root.rstrip('/')}/{sandbox_uid}"


def archive_path(root: str, sandbox_uid: str, container: str) -> str:
    """Return where on a node the archive is staged that a container starts from."""
    return f"{staging_folder(root, sandbox_uid)}/{container}.tar"


def gate_path(root: str, sandbox_uid: str) -> str:
    """Return the folder on a node in which a sandbox's gate looks for the mark that all is staged.

    There is never an archive in it.
    """
    return f"{staging_folder(root, sandbox_uid)}/{GATE_FOLDER}"


def container_name(index: int) -> str:
    """Return the name of the container at `index` of a template that does not name it."""
    return f"sandbox{index}"


def keepsake_name(sandbox: str, container: str = "") -> str:
    """Return the name of the RootfsSnapshot that a termination policy wants.

    Args:
        sandbox: Of which sandbox.
        container: Of which of its containers, or empty where it has one only.
    """
    return capped(f"{sandbox}-termination" + (f"-{container}" if container else ""))


def capped(name: str) -> str:
    """Return `name` as one that a RootfsSnapshot may have: a long one ends in its digest."""
    length = ROOTFS_SNAPSHOT.name_length
    if len(name) <= length:
        return name
    digest = sha256(name.encode()).hexdigest()[:8]
    return f"{name[: length - len(digest) - 1].rstrip('-.')}-{digest}"


def job_name(snapshot: str) -> str:
    """Return the name of the Job that takes a snapshot."""
    return f"{snapshot}-job"


def snapshot_name(job: str) -> str:
    """Return the name of the snapshot one of whose Jobs has the name `job`."""
    return job.removesuffix("-job") if job.endswith("-job") else job.removesuffix("-rm")


def removal_name(snapshot: str) -> str:
    """Return the name of the Job that removes what a snapshot stored."""
    return f"{snapshot}-rm"


def object_prefix(namespace: str) -> str:
    """Return what the keys of a namespace's snapshots begin with."""
    return f"rootfssnapshots/{namespace}/"


def stored_name(spec: Mapping[str, Any]) -> str:
    """Return the name by which a RootfsSnapshot of this specification is restored."""
    return spec.get("snapshotName") or spec["sandboxName"]


def object_key(namespace: str, snapshot_name: str) -> str:
    """Return where in the bucket the snapshot of this name is kept."""
    return f"{object_prefix(namespace)}{snapshot_name}.tar"
