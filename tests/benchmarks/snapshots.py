"""Snapshots by size: capture, upload and restore, in seconds and memory.

The capture against a plain `tar` of the same files within the same sandbox; the upload against a
plain one of as many bytes to the same bucket from a pod: parts of the same size, as many at once,
by the SDK alone, as `mc` does it. A restore is what a sandbox's start takes longer.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from subprocess import CalledProcessError
from typing import Any

import httpx
import isola

from benchmarks.figures import mebibytes, timed
from support.cluster import Cluster, until

STORAGE = "isola-storage"
_NOISE = "mkdir /data && head -c {} /dev/urandom >/data/noise"
_FILES = """
import os
os.mkdir("/data")
for n in range(100_000):
    with open(f"/data/{n}", "w") as file:
        file.write(f"{n} " * 20)
"""
CONTENTS = {
    "10 MB": ("sh", "-c", _NOISE.format(10**7)),
    "100 MB": ("sh", "-c", _NOISE.format(10**8)),
    "1 GB": ("sh", "-c", _NOISE.format(10**9)),
    "100 000 files": ("python3", "-c", _FILES),
}
# Run by the uploader's image: its SDK, and no check of ours.
_PLAIN_UPLOAD = """
import asyncio, os, sys, time
from aiobotocore.session import get_session

PART = 8 * 1024 * 1024

async def main(size):
    body = os.urandom(PART)
    parts = range(1, -(-size // PART) + 1)
    place = {"endpoint_url": sys.argv[2], "region_name": "us-east-1"}
    async with get_session().create_client("s3", **place) as s3:
        began = time.perf_counter()
        where = {"Bucket": "isola", "Key": "plain"}
        upload = {**where, "UploadId": (await s3.create_multipart_upload(**where))["UploadId"]}
        room = asyncio.Semaphore(3)
        async def put(number):
            async with room:
                length = min(PART, size - (number - 1) * PART)
                done = await s3.upload_part(**upload, PartNumber=number, Body=body[:length])
                return {"ETag": done["ETag"], "PartNumber": number}
        done = await asyncio.gather(*map(put, parts))
        await s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": done})
        print(time.perf_counter() - began)
        await s3.delete_object(**where)

asyncio.run(main(int(sys.argv[1])))
"""
COLUMNS = (
    "",
    "archive",
    "stored",
    "capture",
    "/ tar",
    "upload",
    "/ plain",
    "memory",
    "restore",
    "memory",
)


def measure(cluster: Cluster) -> None:
    """Print the table."""
    print("  ".join(f"{column:>9}" for column in COLUMNS))
    with (
        isola.Isola(url=cluster.url) as client,
        httpx.Client(base_url=f"{cluster.url}/v1", timeout=600) as http,
    ):
        idle = _start(client, cluster, "")
        for name, content in CONTENTS.items():
            print(f"{name:>9}  " + _row(cluster, client, http, content, idle), flush=True)


def _row(
    cluster: Cluster, client: isola.Isola, http: httpx.Client, content: tuple[str, ...], idle: float
) -> str:
    with client.sandboxes.create(image=cluster.image, timeout_seconds=3600) as sandbox:
        made = sandbox.commands.run(*content)
        assert made.exit_code == 0, made.stderr
        tar = timed(lambda: sandbox.commands.run("tar", "-cf", "/plain.tar", "/data"))
        sandbox.commands.run("rm", "/plain.tar")
        with _watched(cluster, "isola_uploader") as took:
            taken = _snapshot(http, cluster, sandbox.id)
    upload = _plain_upload(cluster, taken.stored_bytes)
    with _watched(cluster, "isola_mounter") as restored:
        restore = _start(client, cluster, sandbox.id) - idle
    http.delete(f"/rootfs-snapshots/{taken.name}")
    cells = (
        mebibytes(taken.archive_bytes),
        mebibytes(taken.stored_bytes),
        f"{taken.capture:.2f} s",
        f"{taken.capture / tar:.2f}",
        f"{taken.upload:.2f} s",
        f"{taken.upload / upload:.2f}",
        mebibytes(took[0]),
        f"{restore:.2f} s",
        mebibytes(restored[0]),
    )
    return "  ".join(f"{cell:>9}" for cell in cells)


@dataclass(frozen=True)
class Taken:
    """What the log says of a snapshot: bytes and seconds."""

    name: str
    archive_bytes: int
    stored_bytes: int
    capture: float
    upload: float


def _snapshot(http: httpx.Client, cluster: Cluster, sandbox: str) -> Taken:
    asked = {"sandboxId": sandbox, "timeoutSeconds": 1200, "ttlSecondsAfterFinished": 3600}
    name = http.post("/rootfs-snapshots", json=asked).raise_for_status().json()["id"]

    def ended() -> Any:
        log = cluster.get("rootfssnapshot", name)["status"].get("conditions", [])
        return log if log and log[0]["type"] == "Succeeded" else None

    log = until(ended, seconds=1200, what="the snapshot is taken")
    said = {entry["type"]: entry.get("data", {}) for entry in reversed(log)}
    assert log[0]["status"] == "True", log[0]
    return Taken(
        name=name,
        archive_bytes=int(said["Captured"]["bytes"]),
        stored_bytes=int(said["Stored"]["storedBytes"]),
        capture=float(said["Captured"]["seconds"]),
        upload=float(said["Stored"]["seconds"]),
    )


def _start(client: isola.Isola, cluster: Cluster, snapshot: str) -> float:
    """Return the seconds until a sandbox runs, from a snapshot or from nothing."""
    began = time.perf_counter()
    with client.sandboxes.create(
        image=cluster.image,
        timeout_seconds=3600,
        startup_timeout_seconds=600,
        rootfs_snapshot_name=snapshot or None,
        max_wait_seconds=600,
    ) as sandbox:
        sandbox.commands.run("true")
        return time.perf_counter() - began


def _plain_upload(cluster: Cluster, size: int) -> float:
    name, endpoint = "plain-upload", "http://minio.isola-storage.svc.cluster.local:9000"
    container = {
        "name": name,
        "image": cluster.images["isola-snapshot-uploader"],
        "command": ["python3", "-IBc", _PLAIN_UPLOAD, str(size), endpoint],
        "env": [
            {"name": "AWS_ACCESS_KEY_ID", "value": "isola-local"},
            {"name": "AWS_SECRET_ACCESS_KEY", "value": "isola-local-secret"},
        ],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": STORAGE},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    try:
        until(
            lambda: cluster.get("pod", name, STORAGE)["status"].get("phase") == "Succeeded",
            seconds=600,
            what="a plain upload",
        )
        return float(cluster.kubectl("logs", name, "-n", STORAGE).stdout)
    finally:
        cluster.kubectl("delete", "pod", name, "-n", STORAGE, "--now")


@contextmanager
def _watched(cluster: Cluster, module: str) -> Generator[list[int]]:
    """Yield the most memory that a module's processes had together on a node, in bytes."""
    most, over = [0], threading.Event()
    nodes = [node["metadata"]["name"] for node in cluster.get("nodes")["items"]]
    pattern = f"[{module[0]}]{module[1:]}"  # which awk itself does not match
    script = f"ps -eo rss=,args= | awk '/{pattern}/ {{n += $1}} END {{print n + 0}}'"

    def watch() -> None:
        while not over.wait(0.2):
            for node in nodes:
                with suppress(CalledProcessError):
                    most[0] = max(most[0], int(cluster.on_node(node, script)) * 1024)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield most
    finally:
        over.set()
        watching.join()
