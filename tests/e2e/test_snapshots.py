"""Root file systems to a bucket and back, on two nodes with real gVisor and real object storage."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep
from typing import Any

import httpx
import isola
import pytest

from isola_lifecycle.chain import faults
from support.cluster import NODES, SYSTEM, Cluster, fresh, until

pytestmark = pytest.mark.timeout(600)

Create = Callable[..., dict[str, Any]]
Apply = Callable[..., None]
TREE = (Path(__file__).parent / "programs" / "tree.py").read_text()
PATIENT = 300  # seconds to start, on a machine that is busy


@pytest.fixture
def nodes(cluster: Cluster) -> list[str]:
    return sorted(node["metadata"]["name"] for node in cluster.get("nodes")["items"])


def on(cluster: Cluster, node: str, **container: Any) -> dict[str, Any]:
    """Return a pod for one node."""
    return {
        "nodeSelector": {"kubernetes.io/hostname": node},
        "containers": [{"name": "sandbox0", "image": cluster.image, **container}],
    }


def running(http: httpx.Client, name: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        shown = http.get(f"/sandboxes/{name}", params={"waitSeconds": 2}).json()
        assert shown.get("status") not in {"Failed", "Succeeded"}, shown
        return shown if shown.get("status") == "Running" else None

    return until(look, seconds=PATIENT, what=f"{name} runs")


def failed(http: httpx.Client, name: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        shown = http.get(f"/sandboxes/{name}", params={"waitSeconds": 0}).json()
        return shown if shown.get("status") == "Failed" else None

    return until(look, seconds=PATIENT, what=f"{name} fails")


def snapshot(http: httpx.Client, sandbox: str, name: str, **options: Any) -> dict[str, Any]:
    """Take a snapshot over REST, and return it once it is stored."""
    asked = {"sandboxId": sandbox, "snapshotName": name, "timeoutSeconds": 300, **options}
    answer = http.post("/rootfs-snapshots", json=asked)
    assert answer.status_code == 201, answer.text
    return stored(http, answer.json()["id"])


def stored(http: httpx.Client, id_: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        shown = http.get(f"/rootfs-snapshots/{id_}").json()
        assert shown.get("status") != "Failed", shown
        return shown if shown.get("status") == "Succeeded" else None

    return until(look, seconds=300, what=f"snapshot {id_} is stored")


def staged(cluster: Cluster, name: str) -> list[dict[str, Any]]:
    """Return the data of the entries about staged archives."""
    return [
        e["data"] for e in cluster.log(name) if (e["type"], e["status"]) == ("RootfsStaged", "True")
    ]


def sound(cluster: Cluster, name: str) -> None:
    """Check that a log has no gap and no forgery."""
    found = cluster.get("sandbox", name)
    assert faults(found["metadata"]["uid"], found["status"]["conditions"][::-1]) == ()


def restoring(snapshot_name: str, **more: Any) -> dict[str, Any]:
    return {"rootfsSnapshotName": snapshot_name, **more}


def test_what_was_on_one_node_is_on_the_other_in_every_detail(
    cluster: Cluster, client: isola.Isola, http: httpx.Client, apply: Apply, nodes: list[str]
) -> None:
    here, there = nodes
    name, first, second = fresh("tree"), fresh("source"), fresh("restored")
    apply(first, on(cluster, here), startupTimeoutSeconds=PATIENT)
    running(http, first)
    source = client.sandboxes.get(first)
    source.filesystem.write("/tree.py", TREE)
    made = source.commands.run("python3", "/tree.py", "make")
    assert made.exit_code == 0, made.stderr
    before = json.loads(source.commands.run("python3", "/tree.py", "tell").stdout)
    snapshot(http, first, name)

    sources = [{"snapshotName": name, "containerName": "sandbox0"}]
    patient = {"startupTimeoutSeconds": PATIENT, "rootfsSnapshotSources": sources}
    apply(second, on(cluster, there), **patient)
    shown = running(http, second)
    assert shown["node"] == there
    after = json.loads(
        client.sandboxes.get(second).commands.run("python3", "/tree.py", "tell").stdout
    )
    different = {
        path: (before.get(path), after.get(path))
        for path in before.keys() | after.keys()
        if before.get(path) != after.get(path)
    }
    assert different == {}
    for path in ("/etc/issue", "/etc/skel", "/etc/shells"):
        assert path not in after
    (told,) = staged(cluster, second)
    assert (told["node"], told["snapshot"]) == (there, name)
    sound(cluster, second)


# Two files, one always right after the other, each in one move.
IN_STEP = """
i=0
while :; do
  i=$((i+1))
  for each in a b; do echo $i >/work/new; mv /work/new /work/$each; done
done
"""


def test_any_container_is_kept_and_stands_still_meanwhile_if_it_is_to(
    client: isola.Isola, http: httpx.Client, create: Create
) -> None:
    name = fresh("second")
    first = create({}, {}, startupTimeoutSeconds=PATIENT)
    running(http, first["id"])
    source = client.sandboxes.get(first["id"])
    for number in range(2):
        source.filesystem.write("/work/which", str(number), container=f"sandbox{number}")
    source.commands.spawn("sh", "-c", IN_STEP, container="sandbox1")

    def so_far() -> int:
        return int(source.filesystem.read("/work/b", container="sandbox1"))

    until(
        lambda: not source.commands.run("test", "-e", "/work/b", container="sandbox1").exit_code,
        seconds=30,
        what="it has begun",
    )
    taken = snapshot(http, first["id"], name, containerName="sandbox1", pause=True)
    assert taken["containerName"] == "sandbox1"
    then = so_far()
    until(lambda: so_far() > then, seconds=30, what="it goes on")

    second = create(restoring(name), startupTimeoutSeconds=PATIENT)
    running(http, second["id"])
    restored = client.sandboxes.get(second["id"]).filesystem
    assert restored.read("/work/which") == b"1"
    a, b = (int(restored.read(f"/work/{each}")) for each in "ab")
    assert a - b in (0, 1)
    assert 0 < a <= then + 1


def test_a_restored_sandbox_has_nothing_of_archives_in_it(
    cluster: Cluster, client: isola.Isola, http: httpx.Client, create: Create
) -> None:
    name = fresh("seen")
    first = create(startupTimeoutSeconds=PATIENT)
    running(http, first["id"])
    snapshot(http, first["id"], name)
    second = create(restoring(name), startupTimeoutSeconds=PATIENT)
    running(http, second["id"])
    sandbox = client.sandboxes.get(second["id"])
    mounts = sandbox.commands.run("cat", "/proc/self/mounts", "/proc/1/mounts").stdout
    assert "isola-gate" not in mounts
    found = sandbox.commands.run("find", "/", "-xdev", "-name", "sandbox0.tar")
    assert found.stdout == ""
    # And what it started from is let go of, on its node.
    uid = cluster.get("sandbox", second["id"])["metadata"]["uid"]
    folder = f"/var/lib/isola/{SYSTEM}.isola/staged/{uid}"
    node = http.get(f"/sandboxes/{second['id']}").json()["node"]
    until(
        lambda: cluster.on_node(node, f"ls {folder}").split() == ["gate"],
        seconds=60,
        what="its archive is let go of",
    )
    http.delete(f"/sandboxes/{second['id']}")
    until(
        lambda: "there" not in cluster.on_node(node, f"test -e {folder} && echo there || true"),
        seconds=120,
        what="its folder is gone",
    )


def test_ten_sandboxes_start_from_one_snapshot_at_once(
    cluster: Cluster, client: isola.Isola, http: httpx.Client, create: Create
) -> None:
    name = fresh("ten")
    first = create(startupTimeoutSeconds=PATIENT)
    running(http, first["id"])
    client.sandboxes.get(first["id"]).filesystem.write("/work", b"x" * 20_000_000)
    snapshot(http, first["id"], name)
    with ThreadPoolExecutor(10) as pool:
        asked = [
            pool.submit(create, restoring(name), startupTimeoutSeconds=PATIENT) for _ in range(10)
        ]
        made = [each.result()["id"] for each in asked]
    told: list[dict[str, Any]] = []
    for each in made:
        running(http, each)
        told += staged(cluster, each)
        size = client.sandboxes.get(each).commands.run("stat", "-c", "%s", "/work").stdout
        assert size.strip() == "20000000"
    fetched = [data["node"] for data in told if data["cached"] == "false"]
    assert len(told) == 10
    assert len(fetched) == len(set(fetched)) == len({data["node"] for data in told})
    assert len({data["sha256"] for data in told}) == 1


def test_a_snapshot_that_appears_20_s_later_is_waited_for(
    cluster: Cluster, client: isola.Isola, http: httpx.Client, create: Create
) -> None:
    name = fresh("later")
    first = create(startupTimeoutSeconds=PATIENT)
    running(http, first["id"])
    client.sandboxes.get(first["id"]).filesystem.write("/work", "late")
    second = create(restoring(name), startupTimeoutSeconds=PATIENT)
    until(
        lambda: [e for e in cluster.log(second["id"]) if e["reason"] == "SnapshotNotFound"],
        seconds=60,
        what="it says what it waits for",
    )
    sleep(20)
    assert http.get(f"/sandboxes/{second['id']}?waitSeconds=0").json()["status"] == "Pending"
    snapshot(http, first["id"], name)
    running(http, second["id"])
    assert client.sandboxes.get(second["id"]).filesystem.read("/work") == b"late"
    sound(cluster, second["id"])


def test_one_that_never_appears_is_told_of_at_the_time_out(
    http: httpx.Client, create: Create
) -> None:
    asked = create(restoring("nobodys"), startupTimeoutSeconds=20)
    shown = failed(http, asked["id"])
    assert shown["reason"] == "SnapshotNotFound"
    assert "there is no snapshot nobodys" in shown["message"]


def test_another_image_is_refused(cluster: Cluster, http: httpx.Client, create: Create) -> None:
    name = fresh("image")
    first = create(startupTimeoutSeconds=PATIENT)
    running(http, first["id"])
    snapshot(http, first["id"], name)
    other = {"image": cluster.images["sandbox-noshell"], "command": ["/busybox", "sleep", "600"]}
    shown = failed(http, create(restoring(name, **other), startupTimeoutSeconds=PATIENT)["id"])
    assert shown["reason"] == "SnapshotBaseMismatch"
    assert cluster.image in shown["message"]


def test_a_snapshot_is_restored_by_name_when_its_resource_is_gone(
    cluster: Cluster, client: isola.Isola, http: httpx.Client, create: Create
) -> None:
    name = fresh("gone")
    first = create(startupTimeoutSeconds=PATIENT)
    running(http, first["id"])
    client.sandboxes.get(first["id"]).filesystem.write("/work", "kept")
    taken = snapshot(http, first["id"], name, ttlSecondsAfterFinished=3)
    until(lambda: not cluster.get("rootfssnapshot", taken["id"]), seconds=120, what="it is gone")
    second = create(restoring(name), startupTimeoutSeconds=PATIENT)
    running(http, second["id"])
    assert client.sandboxes.get(second["id"]).filesystem.read("/work") == b"kept"


def test_what_only_the_bucket_knows_is_listed_adopted_and_restored(
    cluster: Cluster, client: isola.Isola, http: httpx.Client, create: Create
) -> None:
    name = fresh("orphan")
    first = create(startupTimeoutSeconds=PATIENT)
    running(http, first["id"])
    client.sandboxes.get(first["id"]).filesystem.write("/work", "kept")
    taken = snapshot(http, first["id"], name, ttlSecondsAfterFinished=3)
    until(lambda: not cluster.get("rootfssnapshot", taken["id"]), seconds=120, what="it is gone")
    assert inventory(cluster)[name].endswith("- (can be adopted)")

    # A second one of the name is refused, and told what to do.
    asked = {"sandboxId": first["id"], "snapshotName": name, "ttlSecondsAfterFinished": 600}
    second = http.post("/rootfs-snapshots", json=asked).raise_for_status().json()["id"]
    refused = until(lambda: ended(http, second), seconds=300, what="the second one ends")
    assert (refused["status"], refused["reason"]) == ("Failed", "NameTaken")
    assert "adopt: true" in refused["message"]

    wanted = {"snapshotName": name, "adopt": True, "ttlSecondsAfterFinished": 600}
    answer = http.post("/rootfs-snapshots", json=wanted)
    assert answer.status_code == 201, answer.text
    shown = stored(http, answer.json()["id"])
    assert (shown["adopt"], shown["sandboxId"]) == (True, first["id"])
    assert (shown["sha256"], shown["stored"]["key"]) == (taken["sha256"], taken["stored"]["key"])
    assert shown["source"]["imageId"] == taken["source"]["imageId"]
    history = http.get(f"/rootfs-snapshots/{shown['id']}/history").json()["entries"]
    assert [entry["reason"] for entry in history] == [
        "SpecValid",
        "JobCreated",
        "ObjectAdopted",
        "SnapshotStored",
    ]
    assert inventory(cluster)[name].endswith(f"  {shown['id']}")
    assert http.post("/rootfs-snapshots", json=wanted).status_code == 409

    restored = create(restoring(name), startupTimeoutSeconds=PATIENT)
    running(http, restored["id"])
    assert client.sandboxes.get(restored["id"]).filesystem.read("/work") == b"kept"

    # By kubectl the same, and what is adopted can be removed with what is stored of it.
    assert http.delete(f"/rootfs-snapshots/{shown['id']}").status_code == 204
    until(lambda: not cluster.get("rootfssnapshot", shown["id"]), seconds=300, what="it is gone")
    assert name not in inventory(cluster)
    missing = fresh("missing")
    manifest = {
        "apiVersion": "sandbox.isola.run/v1alpha1",
        "kind": "RootfsSnapshot",
        "metadata": {"name": missing, "namespace": "isola-sandboxes"},
        "spec": {"adopt": True, "snapshotName": name, "ttlSecondsAfterFinished": 60},
    }
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    told = until(lambda: ended(http, missing), seconds=300, what="the adoption ends")
    assert (told["status"], told["reason"]) == ("Failed", "ObjectMissing")


def ended(http: httpx.Client, id_: str) -> dict[str, Any] | None:
    shown = http.get(f"/rootfs-snapshots/{id_}").json()
    return shown if shown.get("status") in {"Failed", "Succeeded"} else None


def inventory(cluster: Cluster) -> dict[str, str]:
    """Return the lines of what is in the bucket, by the snapshot's name, as people are told to."""
    job = fresh("inventory")
    at = ("-n", NODES)
    cluster.kubectl("create", "job", job, "--from=cronjob/isola-snapshot-inventory", *at)
    cluster.kubectl("wait", "--for=condition=complete", "--timeout=100s", f"job/{job}", *at)
    lines = cluster.kubectl("logs", f"job/{job}", *at).stdout.splitlines()
    return {line.split()[0]: line for line in lines}


def by_rest(cluster: Cluster, http: httpx.Client, name: str) -> None:
    assert cluster
    assert http.delete(f"/sandboxes/{name}").status_code == 204


def by_kubectl(cluster: Cluster, http: httpx.Client, name: str) -> None:
    assert http
    cluster.kubectl("delete", "sandbox", name, "-n", "isola-sandboxes", "--wait=false")


def by_time_out(cluster: Cluster, http: httpx.Client, name: str) -> None:
    assert cluster
    lived = http.get(f"/sandboxes/{name}").json()["timeoutSeconds"]
    assert lived < PATIENT  # its time is soon over


@pytest.mark.parametrize("way", [by_rest, by_kubectl, by_time_out])
def test_a_termination_policy_keeps_the_work_whoever_ends_it(
    cluster: Cluster,
    client: isola.Isola,
    http: httpx.Client,
    create: Create,
    way: Callable[[Cluster, httpx.Client, str], None],
) -> None:
    name = fresh("left")
    policy = {"type": "SnapshotRootfs", "snapshotRootfs": {"snapshotName": name}}
    lifetime = 60 if way is by_time_out else 900
    first = create(
        startupTimeoutSeconds=PATIENT, terminationPolicy=policy, timeoutSeconds=lifetime
    )["id"]
    running(http, first)
    client.sandboxes.get(first).filesystem.write("/work", way.__name__)
    way(cluster, http, first)
    until(
        lambda: http.get(f"/sandboxes/{first}").status_code == 404, seconds=300, what="it is gone"
    )
    entries = http.get(f"/sandboxes/{first}/history").json()["entries"]
    assert [e["reason"] for e in entries if e["type"] == "Snapshotted"] == ["SnapshotsStored"]
    second = create(restoring(name), startupTimeoutSeconds=PATIENT)["id"]
    running(http, second)
    assert client.sandboxes.get(second).filesystem.read("/work") == way.__name__.encode()


def test_one_that_ends_by_itself_keeps_nothing(http: httpx.Client, create: Create) -> None:
    name = fresh("left")
    policy = {"type": "SnapshotRootfs", "snapshotRootfs": {"snapshotName": name}}
    first = create(command=["sh", "-c", "sleep 3"], terminationPolicy=policy)["id"]
    until(
        lambda: http.get(f"/sandboxes/{first}").json()["status"] == "Succeeded",
        seconds=120,
        what="it ends",
    )
    http.delete(f"/sandboxes/{first}")
    until(
        lambda: http.get(f"/sandboxes/{first}").status_code == 404, seconds=120, what="it is gone"
    )
    entries = http.get(f"/sandboxes/{first}/history").json()["entries"]
    assert [e["reason"] for e in entries if e["type"] == "Snapshotted"] == ["SandboxNotRunning"]


class Assassin(threading.Thread):
    """Kills mounter and operator every few seconds until told to stop."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self.cluster = cluster
        self.kills = 0
        self.enough = threading.Event()

    def run(self) -> None:
        # The moments need not be the same in every run: they are what the test varies.
        while not self.enough.wait(random.uniform(0.2, 2)):
            self.cluster.delete_pod_of(random.choice(["snapshot-mounter", "operator"]))
            self.kills += 1


def test_whoever_is_killed_meanwhile_sandboxes_start_from_what_their_logs_tell(
    cluster: Cluster, client: isola.Isola, http: httpx.Client, create: Create
) -> None:
    name = fresh("killed")
    first = create(startupTimeoutSeconds=PATIENT)["id"]
    running(http, first)
    client.sandboxes.get(first).filesystem.write("/work", random.randbytes(50_000_000))
    digest = client.sandboxes.get(first).commands.run("sha256sum", "/work").stdout
    snapshot(http, first, name)
    assassin = Assassin(cluster)
    assassin.start()
    try:
        made = [create(restoring(name), startupTimeoutSeconds=PATIENT)["id"] for _ in range(4)]
        for each in made:
            running(http, each)
    finally:
        assassin.enough.set()
        assassin.join()
        cluster.wait_for_isola()
    assert assassin.kills >= 2
    for each in made:
        told = client.sandboxes.get(each).commands.run("sha256sum", "/work").stdout
        assert told == digest
        assert len(staged(cluster, each)) == 1
        sound(cluster, each)
