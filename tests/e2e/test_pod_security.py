"""What touches nodes is in a namespace of its own; the release's is held to `restricted`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from support.cluster import NODES, SANDBOXES, SYSTEM, Cluster, fresh, until

pytestmark = pytest.mark.timeout(600)

ENFORCE = "pod-security.kubernetes.io/enforce"
CAPTURES = "app.kubernetes.io/name=isola-snapshot-uploader,isola.run/rootfs-snapshot-uid"


def violating(cluster: Cluster, namespace: str) -> str:
    """Return what the API server says of the pods of a namespace, were it `restricted` now."""
    told = cluster.kubectl(
        *("label", "--dry-run=server", "--overwrite", "namespace", namespace),
        *(f"{ENFORCE}-version=latest", f"{ENFORCE}=restricted"),
    )
    return told.stderr


def test_no_pod_of_the_release_namespace_violates_restricted_which_is_enforced_there(
    cluster: Cluster,
) -> None:
    levels = {
        name: cluster.get("namespace", name, "")["metadata"]["labels"].get(ENFORCE)
        for name in (SYSTEM, NODES)
    }
    assert levels == {SYSTEM: "restricted", NODES: "privileged"}
    assert cluster.get("pods", namespace=SYSTEM)["items"]
    assert violating(cluster, SYSTEM) == ""
    assert "snapshot-mounter" in violating(cluster, NODES)
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "greedy", "namespace": SYSTEM},
        "spec": {
            "containers": [{"name": "c", "image": "i"}],
            "volumes": [{"name": "v", "hostPath": {"path": "/"}}],
        },
    }
    refused = cluster.kubectl(
        *("create", "--dry-run=server", "-f", "-"), stdin=json.dumps(pod), check=False
    )
    assert 'violates PodSecurity "restricted' in refused.stderr


def test_a_snapshot_s_job_is_where_nodes_are_touched_and_leaves_nothing(
    cluster: Cluster, http: httpx.Client, create: Callable[..., dict[str, Any]]
) -> None:
    made = create(headers={"Prefer": "wait=60"})
    asked = {"sandboxId": made["id"], "snapshotName": fresh("placed"), "deletionPolicy": "Delete"}
    taken = http.post("/rootfs-snapshots", json=asked).raise_for_status().json()["id"]

    def jobs(namespace: str) -> list[str]:
        found = cluster.get("jobs", namespace=namespace, selector=CAPTURES)  # None where none is
        return [each["metadata"]["name"] for each in found["items"]] if found else []

    where = until(
        lambda: [n for n in (NODES, SANDBOXES, SYSTEM) if f"{taken}-job" in jobs(n)],
        seconds=120,
        what="the Job is there",
    )
    assert where == [NODES]
    until(
        lambda: http.get(f"/rootfs-snapshots/{taken}").json()["status"] == "Succeeded",
        seconds=300,
        what="it is stored",
    )
    http.delete(f"/rootfs-snapshots/{taken}")
    until(
        lambda: http.get(f"/rootfs-snapshots/{taken}").status_code == 404,
        seconds=300,
        what="it is gone",
    )
    ours = {f"{taken}-job", f"{taken}-rm"}
    until(lambda: not ours & set(jobs(NODES)), seconds=120, what="so are its Jobs")
    selector = f"isola.run/rootfs-snapshot={taken}"
    until(
        lambda: cluster.get("pods", namespace=NODES, selector=selector) is None,
        seconds=120,
        what="so are their pods",
    )
