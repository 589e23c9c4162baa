"""What is left of a sandbox when it is gone, and a life that is given more time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from isola_lifecycle.chain import faults
from support.cluster import SANDBOXES, Cluster, until

Create = Callable[..., dict[str, Any]]
LIFE = [
    "Accepted",
    "NetworkConfigured",
    "PodCreated",
    "Scheduled",
    "Started",
    "Ready",
    "TerminationRequested",
    "Ready",
    "Terminated",
]


def test_a_deleted_sandbox_leaves_its_whole_history(
    cluster: Cluster, http: httpx.Client, create: Create
) -> None:
    name = create()["id"]
    http.get(f"/sandboxes/{name}", params={"waitSeconds": 25})
    http.delete(f"/sandboxes/{name}")
    until(lambda: cluster.get("sandbox", name) is None, seconds=60, what="it is gone")
    told = http.get(f"/sandboxes/{name}/history").json()
    assert [entry["type"] for entry in told["entries"]] == LIFE
    assert told["deleted"] is True
    assert faults(told["uid"], told["entries"]) == ()
    record = cluster.get("sandboxrecord", f"{name}-{told['uid']}-1")
    assert record is not None
    assert record["spec"]["final"] is True
    assert record["spec"]["entries"][::-1] == told["entries"]
    patch = '--patch={"spec":{"final":false}}'
    path = ("sandboxrecord", record["metadata"]["name"], "-n", SANDBOXES)
    refused = cluster.kubectl("patch", *path, "--type=merge", patch, check=False)
    assert "a record cannot be changed" in refused.stderr


def test_a_live_time_out_is_extended(cluster: Cluster, http: httpx.Client, create: Create) -> None:
    name = create(timeoutSeconds=8)["id"]
    told = http.patch(f"/sandboxes/{name}", json={"timeoutSeconds": 16})
    assert told.status_code == 200, told.text
    assert told.json()["timeoutSeconds"] == 16

    def over() -> bool:
        found = cluster.get("sandbox", name)
        return found is None or "deletionTimestamp" in found["metadata"]

    until(over, seconds=60, what="its time is over")
    until(lambda: cluster.get("sandbox", name) is None, seconds=60, what="it is gone")
    entries = {e["type"]: e for e in http.get(f"/sandboxes/{name}/history").json()["entries"]}
    assert entries["Succeeded"]["message"] == "The lifetime of 16 s (TimeoutChanged) is over"
    assert entries["TimeoutChanged"]["actor"].startswith("gateway on behalf of ")
