"""A node goes away and comes back. Last of all, because it takes others' pods along."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import isola
import pytest

from support.cluster import SANDBOXES, SYSTEM, Cluster, until

Apply = Callable[..., None]
TAINTS = ("node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready")


@pytest.fixture
def node(cluster: Cluster) -> Iterator[str]:
    """A node without anything of Isola's own but sandboxes; whole again afterwards."""
    nodes = cluster.get("nodes", namespace="")["items"]
    role = "node-role.kubernetes.io/control-plane"
    name = next(n["metadata"]["name"] for n in nodes if role not in n["metadata"]["labels"])
    cluster.kubectl("cordon", name)
    pods = ("delete", "pod", "--field-selector", f"spec.nodeName={name}", "--wait=false")
    cluster.kubectl(*pods, "-n", SYSTEM)
    cluster.wait_for_isola()
    cluster.kubectl("uncordon", name)
    try:
        yield name
    finally:
        cluster.resume(name)
        cluster.kubectl("wait", "--for=condition=Ready", f"node/{name}", "--timeout=120s")
        cluster.wait_for_isola()


def seen(http: httpx.Client, name: str, *, status: str, reason: str, seconds: float) -> None:
    def look() -> bool:
        shown = http.get(f"/sandboxes/{name}", params={"waitSeconds": 0}).json()
        return (shown["status"], shown["reason"]) == (status, reason)

    until(look, seconds=seconds, what=f"{name} is {status} for {reason}")


@pytest.mark.timeout(400)
def test_what_is_on_it_is_told_as_lost_or_waits_for_it(
    cluster: Cluster, client: isola.Isola, http: httpx.Client, apply: Apply, node: str
) -> None:
    def pod(tolerated_seconds: int) -> dict[str, Any]:
        tolerations = [
            {
                "key": key,
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": tolerated_seconds,
            }
            for key in TAINTS
        ]
        return {
            "containers": [{"name": "main", "image": cluster.image}],
            "nodeSelector": {"kubernetes.io/hostname": node},
            "tolerations": tolerations,
        }

    apply("on-lost-node", pod(1))
    apply("on-absent-node", pod(600))
    for name in ("on-lost-node", "on-absent-node"):
        cluster.kubectl(
            "wait", "--for=condition=Ready", f"sandbox/{name}", "-n", SANDBOXES, "--timeout=60s"
        )
    absent = client.sandboxes.get("on-absent-node")
    absent.filesystem.write("/kept", "still here")

    cluster.pause(node)
    # The node controller gives up on a node some 50 s after its last sign of life.
    seen(http, "on-absent-node", status="Pending", reason="NodeUnreachable", seconds=120)
    seen(http, "on-lost-node", status="Failed", reason="NodeLost", seconds=60)
    message = http.get("/sandboxes/on-lost-node").json()["message"]
    assert node in message
    refused = http.post("/sandboxes/on-absent-node/commands", json={"args": ["true"]})
    assert (refused.status_code, "NodeUnreachable" in refused.text) == (409, True)

    cluster.resume(node)
    seen(http, "on-absent-node", status="Running", reason="PodReady", seconds=90)
    assert absent.filesystem.read("/kept") == b"still here"
    story = [e["reason"] for e in cluster.log("on-absent-node") if e["type"] == "Ready"]
    assert story == ["PodReady", "NodeUnreachable", "PodReady"]
    until(
        lambda: cluster.get("pod", "on-lost-node-pod") is None,
        seconds=90,
        what="the lost one's pod is removed by its node",
    )
    assert http.get("/sandboxes/on-lost-node").json()["reason"] == "NodeLost"
