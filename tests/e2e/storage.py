"""Object storage on the cluster, and Isola installed with it: MinIO, in a namespace of its own.

Its program is the one that the other tests run; it is copied into a node and mounted from there.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from support.cluster import SYSTEM, Cluster, until
from support.toolchain import ROOT, binaries

NAMESPACE = "isola-bucket"
BUCKET = "snapshots"
USER, SECRET = "isola-tests", "isola-tests-secret"
PROGRAM = "/usr/local/bin/isola-tests-minio"
URL = f"http://minio.{NAMESPACE}.svc.cluster.local:9000"
AT = "operator.sandboxRuntime.rootfssnapshot"


@contextmanager
def storage(cluster: Cluster) -> Generator[None]:
    """Have a bucket, and snapshots switched on; both are gone afterwards."""
    _bucket(cluster)
    _install(
        cluster,
        enabled=True,
        **{
            "storage.type": "s3",
            "storage.s3.bucket": BUCKET,
            "storage.s3.region": "us-east-1",
            "storage.s3.endpoint": URL,
            "storage.s3.forcePathStyle": True,
            "storage.s3.accessKeyId": USER,
            "storage.s3.secretAccessKey": SECRET,
            "uploader.image.tag": cluster.images["isola-snapshot-uploader"].rpartition(":")[2],
            "snapshotMounter.cacheSizeLimit": "2Gi",
        },
    )
    status = ("rollout", "status", "daemonset/isola-snapshot-mounter", "-n", SYSTEM)
    cluster.kubectl(*status, "--timeout=110s")
    try:
        yield
    finally:
        _install(cluster, enabled=False)
        cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def _install(cluster: Cluster, **values: Any) -> None:
    flags = [f"--set={AT}.{name}={_shown(value)}" for name, value in values.items()]
    command = ["helm", "upgrade", "isola", str(ROOT / "chart"), "--namespace", SYSTEM]
    subprocess.run(
        [*command, "--reuse-values", *flags, "--wait", "--timeout=4m", "--history-max=3"],
        env=cluster.environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    cluster.wait_for_isola()


def _shown(value: str | bool) -> str:  # noqa: FBT001 - as values have it
    return str(value).lower() if isinstance(value, bool) else value


def _bucket(cluster: Cluster) -> None:
    node = min(node["metadata"]["name"] for node in cluster.get("nodes")["items"])
    program = binaries("minio") / "minio"
    subprocess.run(["docker", "cp", "-L", program, f"{node}:{PROGRAM}"], check=True, timeout=120)
    until(
        lambda: not cluster.get("namespace", NAMESPACE), seconds=120, what="an earlier one is gone"
    )
    cluster.kubectl("create", "namespace", NAMESPACE)
    script = f"mkdir -p /data/{BUCKET} && exec /minio server --quiet --address :9000 /data"
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "minio", "namespace": NAMESPACE, "labels": {"app": "minio"}},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "minio",
                    "image": cluster.image,
                    "command": ["sh", "-c", script],
                    "env": [
                        {"name": "MINIO_ROOT_USER", "value": USER},
                        {"name": "MINIO_ROOT_PASSWORD", "value": SECRET},
                    ],
                    "readinessProbe": {
                        "httpGet": {"path": "/minio/health/ready", "port": 9000},
                        "periodSeconds": 1,
                    },
                    "volumeMounts": [
                        {"name": "program", "mountPath": "/minio", "readOnly": True},
                        {"name": "data", "mountPath": "/data"},
                    ],
                }
            ],
            "volumes": [
                {"name": "program", "hostPath": {"path": PROGRAM, "type": "File"}},
                {"name": "data", "emptyDir": {}},
            ],
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "minio", "namespace": NAMESPACE},
        "spec": {"selector": {"app": "minio"}, "ports": [{"port": 9000}]},
    }
    listed = {"apiVersion": "v1", "kind": "List", "items": [pod, service]}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(listed))
    wait = ("wait", "-n", NAMESPACE, "--for=condition=Ready", "pod/minio", "--timeout=110s")
    cluster.kubectl(*wait)
