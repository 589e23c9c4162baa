"""Snapshots while what takes them dies, and while the bucket does not answer: all or nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from subprocess import CalledProcessError
from time import sleep
from typing import Any

import httpx
import isola
import pytest

from isola_lifecycle.chain import faults
from support.cluster import Cluster, fresh, until

pytestmark = pytest.mark.timeout(900)

Create = Callable[..., dict[str, Any]]
BYTES = 200_000_000  # 24 parts
LOG = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def sandbox(client: isola.Isola, create: Create) -> isola.Sandbox:
    made = create(headers={"Prefer": "wait=60"})
    found = client.sandboxes.get(made["id"])
    found.commands.run("sh", "-c", f"head -c {BYTES} /dev/urandom >/work")
    return found


@pytest.fixture
def digest(sandbox: isola.Sandbox) -> str:
    return sandbox.commands.run("sha256sum", "/work").stdout


def begun(http: httpx.Client, sandbox: isola.Sandbox) -> str:
    """Ask for a snapshot, and return its id."""
    asked = {
        "sandboxId": sandbox.id,
        "snapshotName": fresh("fault"),
        "timeoutSeconds": 600,
        "ttlSecondsAfterFinished": 600,
    }
    return http.post("/rootfs-snapshots", json=asked).raise_for_status().json()["id"]


def log(cluster: Cluster, name: str) -> list[dict[str, Any]]:
    """Return a snapshot's entries, oldest first."""
    status = cluster.get("rootfssnapshot", name).get("status", {})
    return status.get("conditions", [])[::-1]


def reached(cluster: Cluster, name: str, *types: str) -> bool:
    return any(entry["type"] in types for entry in log(cluster, name))


def signal_on_nodes(cluster: Cluster, signal: str, *pattern: str) -> int:
    """Send a signal to what runs in any node's pods; return to how many nodes it went."""
    sent = 0
    for node in cluster.get("nodes")["items"]:
        with suppress(CalledProcessError):
            cluster.on_node(node["metadata"]["name"], f"pkill -{signal} {' '.join(pattern)}")
            sent += 1
    return sent


def restored(
    cluster: Cluster, http: httpx.Client, client: isola.Isola, create: Create, name: str
) -> isola.Sandbox:
    """Wait for the snapshot's success, check its log, and return a sandbox that starts from it."""
    shown = until(
        lambda: (
            (seen := http.get(f"/rootfs-snapshots/{name}").json())["status"]
            in {"Succeeded", "Failed"}
            and seen
        ),
        seconds=600,
        what="the snapshot ends",
    )
    assert shown["status"] == "Succeeded", shown
    entries = log(cluster, name)
    found = cluster.get("rootfssnapshot", name)
    assert faults(found["metadata"]["uid"], entries) == ()
    assert [e["sequence"] for e in entries] == list(range(1, len(entries) + 1))
    made = create(rootfsSnapshotName=shown["snapshotName"], headers={"Prefer": "wait=120"})
    return client.sandboxes.get(made["id"])


def test_an_uploader_that_is_killed_again_and_again_leaves_one_whole_snapshot(
    cluster: Cluster,
    http: httpx.Client,
    client: isola.Isola,
    create: Create,
    sandbox: isola.Sandbox,
    digest: str,
) -> None:
    name = begun(http, sandbox)
    # The kubelet waits 10 s before it starts one again, then 20 s, 40 s: so not more often. That it
    # may be killed at every step is shown in tests/uploader.
    for _ in range(3):
        signal_on_nodes(cluster, "STOP", "-x", "minio")  # so that it is caught on its way
        try:
            until(
                lambda: signal_on_nodes(cluster, "KILL", "-f", "'isola_uploade[r] upload'"),
                seconds=120,
                what="an uploader is there, and killed",
            )
        finally:
            signal_on_nodes(cluster, "CONT", "-x", "minio")
        sleep(random.uniform(0, 1))
    again = restored(cluster, http, client, create, name)
    assert again.commands.run("sha256sum", "/work").stdout == digest


def test_a_bucket_that_stalls_is_waited_for_and_the_log_says_so(
    cluster: Cluster,
    http: httpx.Client,
    client: isola.Isola,
    create: Create,
    sandbox: isola.Sandbox,
    digest: str,
) -> None:
    signal_on_nodes(cluster, "STOP", "-x", "minio")
    try:
        name = begun(http, sandbox)
        until(
            lambda: any(e["reason"] == "BucketUnavailable" for e in log(cluster, name)),
            seconds=120,
            what="the log tells that the bucket does not answer",
        )
        assert not reached(cluster, name, "Succeeded")
    finally:
        signal_on_nodes(cluster, "CONT", "-x", "minio")
    again = restored(cluster, http, client, create, name)
    assert again.commands.run("sha256sum", "/work").stdout == digest


@pytest.mark.parametrize("state", ["Accepted", "Capturing", "Captured", "Uploading", "Stored"])
def test_an_operator_that_is_killed_in_any_state_changes_nothing(
    cluster: Cluster,
    http: httpx.Client,
    client: isola.Isola,
    create: Create,
    state: str,
) -> None:
    made = create(headers={"Prefer": "wait=60"})
    source = client.sandboxes.get(made["id"])
    source.filesystem.write("/work", state)
    name = begun(http, source)
    until(lambda: reached(cluster, name, state), seconds=120, what=f"it comes to {state}")
    cluster.delete_pod_of("operator")
    try:
        again = restored(cluster, http, client, create, name)
        assert again.filesystem.read("/work") == state.encode()
    finally:
        cluster.wait_for_isola()
