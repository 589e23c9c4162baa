"""The Jobs of a snapshot: one takes it on the sandbox's node or adopts it, one removes its object.

Pure.

The Job that takes it has two containers, so that none can do what both can:

    capture    root, on the node's processes and gVisor's state, which it may only read (but to
               pause); no credentials, no service account, so nothing to take away and nowhere to go
    uploader   nobody, on nothing but the archive; the bucket's credentials and a service account
               that may append to logs of snapshots

Those that adopt and remove have the uploader's container alone, and nothing of any node.

All are where what touches nodes is, with the bucket's credentials, away from the sandboxes. Nothing
there can belong to a snapshot: labels say whose a Job is, and the operator sees it out.

`restartPolicy: OnFailure`: an uploader that is killed is started again beside its archive, and
goes on from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isola_lifecycle import naming
from isola_lifecycle.snapshot.state import Source
from isola_store.port import Snapshot

Json = Mapping[str, Any]

APP_LABEL = "app.kubernetes.io/name"
APP = "isola-snapshot-uploader"

ARCHIVE_FOLDER = "/snapshot"
ARCHIVE = f"{ARCHIVE_FOLDER}/rootfs.tar"
RUNSC = "/runsc/runsc"
NOBODY = 65534

# Restarts of the uploader count as failures of the Job: its deadline bounds them, not their number.
BACKOFF_LIMIT = 100

# Should nobody see a Job out, because there is no operator any more, Kubernetes does.
KEPT_SECONDS = 3600

# Longer than a pause, a resumption and the abort of an upload take.
GRACE_SECONDS = 60

TOKEN_SECONDS = 3600
TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path

REQUESTS = {"cpu": "50m", "memory": "64Mi"}

_CONFINED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings:
    """What the installation decides about the Jobs of snapshots.

    Attributes:
        namespace: Where the Jobs are.
        sandbox_namespace: Where the snapshots are.
        image: Of the uploader.
        pull_policy: Its pull policy, or empty.
        image_pull_secrets: Names of secrets for it.
        service_account: Of the uploader.
        bucket_url: `s3://…`, `gs://…` or `azblob://…`; empty: no snapshots are taken.
        credentials_secret: Name of a secret whose keys become its environment, or empty.
        runsc: gVisor's binary on the node.
        runsc_root: gVisor's state directory on the node.
        archive_limit: What an archive may take on its node, as a Kubernetes quantity.
        log_level: Of the uploader.
        priority_class: PriorityClass of the pods, or empty.
    """

    namespace: str = "isola-nodes"
    sandbox_namespace: str = "isola-sandboxes"
    image: str = ""
    pull_policy: str = ""
    image_pull_secrets: tuple[str, ...] = ()
    service_account: str = "default"
    bucket_url: str = ""
    credentials_secret: str = ""
    runsc: str = "/usr/local/bin/runsc"
    runsc_root: str = "/run/containerd/runsc/k8s.io"
    archive_limit: str = "10Gi"
    log_level: str = "info"
    priority_class: str = ""


def taking(snapshot: Snapshot, source: Source, settings: JobSettings) -> dict[str, Any]:
    """Return the Job that takes a snapshot.

    Args:
        snapshot: Which.
        source: The container to take it of.
        settings: What the installation decides.
    """
    pause = bool(snapshot.spec.get("pause"))
    deadline = int(snapshot.spec.get("timeoutSeconds", 300))
    environment = {**_common(snapshot, settings), "ISOLA_ARCHIVE": ARCHIVE}
    capture = {
        "ISOLA_ARCHIVE": ARCHIVE,
        "ISOLA_CONTAINER_ID": source.container_id,
        "ISOLA_PAUSE": str(pause).lower(),
        "ISOLA_CAPTURE_SECONDS": str(deadline),
        "ISOLA_RUNSC": RUNSC,
        "ISOLA_RUNSC_ROOT": settings.runsc_root,
        "ISOLA_LOG_LEVEL": settings.log_level,
    }
    pod = {
        **_pod(settings),
        "hostPID": True,  # gVisor looks whether the sandbox's process is there
        "affinity": _on(source.node),
        "tolerations": [{"operator": "Exists"}],  # where the sandbox is, there it must be taken
        "initContainers": [
            {
                **_container("capture", settings),
                "env": [*_env(capture), _archive_limit()],
                "resources": _capture_resources(settings),
                "securityContext": {**_CONFINED, "runAsUser": 0, "runAsGroup": 0},
                "volumeMounts": [
                    {"name": "archive", "mountPath": ARCHIVE_FOLDER},
                    {"name": "runsc", "mountPath": RUNSC, "readOnly": True},
                    {
                        "name": "state",
                        "mountPath": settings.runsc_root,
                        "readOnly": not pause,  # gVisor notes there that a container is paused
                    },
                ],
            }
        ],
        "containers": [
            {
                **_uploader(settings, "upload", environment),
                "volumeMounts": [
                    {"name": "archive", "mountPath": ARCHIVE_FOLDER},
                    {"name": "token", "mountPath": TOKEN_PATH, "readOnly": True},
                ],
            }
        ],
        "volumes": [
            {"name": "archive", "emptyDir": {"sizeLimit": settings.archive_limit}},
            {"name": "runsc", "hostPath": {"path": settings.runsc, "type": "File"}},
            {"name": "state", "hostPath": {"path": settings.runsc_root, "type": "Directory"}},
            _token(),
        ],
    }
    return _job(snapshot, naming.job_name(snapshot.name), pod, deadline, settings)


def adopting(snapshot: Snapshot, settings: JobSettings) -> dict[str, Any]:
    """Return the Job that looks at the object that a snapshot adopts."""
    deadline = int(snapshot.spec.get("timeoutSeconds", 300))
    pod = _anywhere("adopt", snapshot, settings)
    return _job(snapshot, naming.job_name(snapshot.name), pod, deadline, settings)


def removing(snapshot: Snapshot, deadline_seconds: int, settings: JobSettings) -> dict[str, Any]:
    """Return the Job that removes a snapshot's object from the bucket."""
    pod = _anywhere("remove", snapshot, settings)
    return _job(snapshot, naming.removal_name(snapshot.name), pod, deadline_seconds, settings)


def _anywhere(command: str, snapshot: Snapshot, settings: JobSettings) -> dict[str, Any]:
    return {
        **_pod(settings),
        "containers": [
            {
                **_uploader(settings, command, _common(snapshot, settings)),
                "volumeMounts": [{"name": "token", "mountPath": TOKEN_PATH, "readOnly": True}],
            }
        ],
        "volumes": [_token()],
    }


def _job(
    snapshot: Snapshot, name: str, pod: Json, deadline_seconds: int, settings: JobSettings
) -> dict[str, Any]:
    labels = {
        APP_LABEL: APP,
        naming.SUBJECT_NAMESPACE_LABEL: settings.sandbox_namespace,
        naming.ROOTFS_SNAPSHOT.name_label: snapshot.name,
        naming.ROOTFS_SNAPSHOT.uid_label: snapshot.uid,
        "app.kubernetes.io/component": "rootfssnapshot",
        "app.kubernetes.io/part-of": "isola",
        "app.kubernetes.io/managed-by": "isola-operator",
        "azure.workload.identity/use": "true",
    }
    # Cloud identities are injected into every container, unless one is named here.
    annotations = {
        "eks.amazonaws.com/skip-containers": "capture",
        "azure.workload.identity/skip-containers": "capture",
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "backoffLimit": BACKOFF_LIMIT,
            "activeDeadlineSeconds": deadline_seconds,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {"metadata": {"labels": labels, "annotations": annotations}, "spec": pod},
        },
    }


def _pod(settings: JobSettings) -> dict[str, Any]:
    priority = {"priorityClassName": settings.priority_class} if settings.priority_class else {}
    return {
        "restartPolicy": "OnFailure",
        "serviceAccountName": settings.service_account,
        "automountServiceAccountToken": False,  # for the uploader alone, below
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "imagePullSecrets": [{"name": name} for name in settings.image_pull_secrets],
        "securityContext": {"fsGroup": NOBODY, "seccompProfile": {"type": "RuntimeDefault"}},
        **priority,
    }


def _common(snapshot: Snapshot, settings: JobSettings) -> dict[str, str]:
    return {
        "ISOLA_BUCKET_URL": settings.bucket_url,
        "ISOLA_NAMESPACE": settings.sandbox_namespace,
        "ISOLA_SNAPSHOT": snapshot.name,
        "ISOLA_SNAPSHOT_UID": snapshot.uid,
        "ISOLA_LOG_LEVEL": settings.log_level,
    }


def _uploader(settings: JobSettings, command: str, environment: Mapping[str, str]) -> Json:
    secret = settings.credentials_secret
    return {
        **_container(command, settings),
        "name": "uploader",
        "env": _env(environment),
        "envFrom": [{"secretRef": {"name": secret}}] if secret else [],
        "securityContext": {
            **_CONFINED,
            "runAsNonRoot": True,
            "runAsUser": NOBODY,
            "runAsGroup": NOBODY,
        },
    }


def _container(command: str, settings: JobSettings) -> dict[str, Any]:
    return {
        "name": command,
        "image": settings.image,
        "args": [command],
        "resources": {"requests": REQUESTS},
        **({"imagePullPolicy": settings.pull_policy} if settings.pull_policy else {}),
    }


def _capture_resources(settings: JobSettings) -> dict[str, Json]:
    # A limit alone would set as much aside: there is that much room, or the archive is refused.
    return {
        "requests": {**REQUESTS, "ephemeral-storage": "0"},
        "limits": {"ephemeral-storage": settings.archive_limit},
    }


def _archive_limit() -> Json:
    # The kubelet makes bytes of the quantity.
    limit = {"resource": "limits.ephemeral-storage", "divisor": "1"}
    return {"name": "ISOLA_ARCHIVE_LIMIT_BYTES", "valueFrom": {"resourceFieldRef": limit}}


def _env(values: Mapping[str, str]) -> list[Json]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _on(node: str) -> Json:
    # By the node's name, which its label `kubernetes.io/hostname` need not be.
    field = {"key": "metadata.name", "operator": "In", "values": [node]}
    terms = [{"matchFields": [field]}]
    return {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}
        }
    }


def _token() -> Json:
    certificate = {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": TOKEN_SECONDS}},
        {"configMap": certificate},
    ]
    return {"name": "token", "projected": {"sources": sources}}
