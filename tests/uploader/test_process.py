"""The uploader's process on a real API server and real MinIO, killed at moments that nobody chose.

The test is the kubelet: it starts again what did not end with 0.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from isola_bucket.connection import connected
from isola_bucket.port import Bucket
from isola_lifecycle import naming
from isola_lifecycle.chain import faults
from isola_lifecycle.codec import encode
from isola_lifecycle.snapshot.fold import fold
from isola_store.client import KubernetesClient
from isola_store.kubernetes import KubernetesSnapshots
from isola_store.port import Draft, Snapshot
from support.buckets import Server
from support.kubernetes_server import NAMESPACE, ApiServer
from support.store import append, unique
from support.weather import Way, under_way
from uploader.conftest import BUCKET
from uploader.scene import (
    ACCEPTED,
    accepted,
    assert_whole,
    leave_archive,
    noise,
    restored,
    told,
    variables,
)

pytestmark = [pytest.mark.apiserver, pytest.mark.bucket, pytest.mark.timeout(900)]

KILLS = 6
PLAIN = noise(30_000_000)  # four parts


@dataclass
class Scene:
    """Everybody around.

    Attributes:
        store: Where RootfsSnapshots are.
        bucket: MinIO's, by a way on which it is always fine.
        way: How the uploader gets there.
        url: Of the bucket, by that way.
        kubeconfig: Of the API server.
    """

    store: KubernetesSnapshots
    bucket: Bucket
    way: Way
    url: str
    kubeconfig: Path

    def environment(self, snapshot: Snapshot, folder: Path) -> Mapping[str, str]:
        told = variables(snapshot, folder, self.url, self.kubeconfig)
        # A busy machine is silent, too.
        return {**told, "ISOLA_NAMESPACE": NAMESPACE, "ISOLA_BUCKET_SILENCE_SECONDS": "20"}

    async def run(self, command: str, environment: Mapping[str, str]) -> str:
        """Run a command to its end, and return what it prints."""
        process = await started(command, environment)
        printed, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()[-3000:]
        return printed.decode()

    async def inventory(self, environment: Mapping[str, str], key: str) -> str:
        """Return the line about an object, for programs."""
        printed = await self.run("inventory", {**environment, "ISOLA_INVENTORY_FORMAT": "json"})
        (line,) = (each for each in printed.splitlines() if f'"{key}"' in each)
        return line

    async def run_among_kills(self, command: str, environment: Mapping[str, str], most: int) -> int:
        """Run a command until it ends by itself; return how often it was killed before that."""
        killed = 0
        while True:
            asked = len(self.way.asked)
            process = await started(command, environment)
            ending = asyncio.create_task(process.communicate())
            while killed < most and not ending.done() and len(self.way.asked) == asked:
                await asyncio.wait({ending}, timeout=0.02)  # until it is at work
            if killed < most:
                # The moments need not be the same in every run: they are what the test varies.
                await asyncio.wait({ending}, timeout=random.uniform(0, 1.2))
                if process.returncode is None:
                    process.kill()
                    killed += 1
            _, errors = await ending
            if process.returncode == 0:
                return killed
            assert process.returncode == -signal.SIGKILL, errors.decode()[-3000:]


async def started(command: str, environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "isola_uploader", command),
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.fixture
async def scene(api_server: ApiServer, minio: Server) -> AsyncGenerator[Scene]:
    async with (
        await KubernetesClient.connect(str(api_server.kubeconfig)) as client,
        connected(minio.url(BUCKET), {}) as bucket,
        under_way(minio.endpoint) as way,
    ):
        store = KubernetesSnapshots(client, NAMESPACE)
        yield Scene(store, bucket, way, minio.url(BUCKET, way.url), api_server.kubeconfig)


def sound(snapshot: Snapshot) -> None:
    """Check that a log has no gap, ends once, and was forged by nobody."""
    assert_whole(snapshot)
    assert faults(snapshot.uid, [encode(entry) for entry in snapshot.log]) == ()


async def test_an_uploader_killed_at_random_six_times_leaves_one_whole_object_and_no_part(
    scene: Scene, tmp_path: Path
) -> None:
    leave_archive(tmp_path, PLAIN)
    killed = 0
    while killed < KILLS:  # one that was done before it could be killed so often is followed
        snapshot = await accepted(scene.store)
        environment = scene.environment(snapshot, tmp_path)
        killed += await scene.run_among_kills("upload", environment, KILLS - killed)
        after = await scene.store.read(snapshot.name)
        sound(after)
        assert told(after)[-2:] == [
            ("Stored", "True", "ObjectWritten"),
            ("Succeeded", "True", "SnapshotStored"),
        ]
        key = naming.object_key(NAMESPACE, snapshot.snapshot_name)
        assert await restored(scene.bucket, key) == PLAIN
        assert await scene.bucket.uploads(key) == []


async def orphan(scene: Scene, folder: Path, **spec: Any) -> tuple[Snapshot, str]:
    """Have an object in the bucket whose RootfsSnapshot has gone; return that, and the key."""
    leave_archive(folder, PLAIN)
    snapshot = await accepted(scene.store, **spec)
    await scene.run("upload", scene.environment(snapshot, folder))
    gone = await scene.store.read(snapshot.name)
    await scene.store.delete(gone.name, uid=gone.uid)
    await scene.store.remove_finalizer(await scene.store.read(gone.name))
    return gone, naming.object_key(NAMESPACE, gone.snapshot_name)


async def adopting(scene: Scene, name: str) -> Snapshot:
    draft = Draft(name=unique("again"), spec={"adopt": True, "snapshotName": name})
    return await append(scene.store, await scene.store.create(draft), replace(ACCEPTED, data={}))


async def test_what_a_snapshot_left_is_listed_adopted_and_known(
    scene: Scene, tmp_path: Path
) -> None:
    gone, key = await orphan(scene, tmp_path)
    before = fold(gone.log)
    killed, adopted = 0, list[str]()
    while killed < KILLS:
        snapshot = await adopting(scene, gone.snapshot_name)
        environment = scene.environment(snapshot, tmp_path)
        listed = json.loads(await scene.inventory(environment, key))
        assert listed["rootfsSnapshot"] in (adopted or [None])
        killed += await scene.run_among_kills("adopt", environment, KILLS - killed)
        found = await scene.store.read(snapshot.name)
        sound(found)
        assert [reason for _, _, reason in told(found)[1:]] == ["ObjectAdopted", "SnapshotStored"]
        after = fold(found.log)
        assert (after.archive, after.source and after.source.image_id) == (
            before.archive,
            before.source and before.source.image_id,
        )
        assert after.stored
        assert before.stored
        assert (after.stored.etag, after.stored.sha256) == (
            before.stored.etag,
            before.stored.sha256,
        )
        adopted.append(found.name)
    assert await restored(scene.bucket, key) == PLAIN
    (row,) = (
        line
        for line in (await scene.run("inventory", scene.environment(gone, tmp_path))).splitlines()
        if line.split()[0] == gone.snapshot_name
    )
    assert row.split()[-1] in adopted


async def test_what_cannot_be_adopted_is_told_and_the_job_ends_well(
    scene: Scene, tmp_path: Path
) -> None:
    snapshot = await adopting(scene, unique("nothing"))
    await scene.run("adopt", scene.environment(snapshot, tmp_path))
    found = await scene.store.read(snapshot.name)
    sound(found)
    assert told(found)[-1] == ("Succeeded", "False", "ObjectMissing")
