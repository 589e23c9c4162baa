"""The mounter's process beside the whole operator: a real API server, real MinIO, a real disk.

The test is scheduler and kubelet, and starts nothing whose gate is closed. What it starts from is
what lies where the pod's annotation says, as gVisor has it.
"""

from __future__ import annotations

import asyncio
import random
import urllib.request
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from isola_bucket.connection import connected
from isola_bucket.port import Bucket
from isola_lifecycle.chain import faults
from isola_lifecycle.codec import encode
from isola_lifecycle.errors import NotFoundError
from isola_lifecycle.sandbox.fold import fold
from isola_lifecycle.sandbox.state import State
from isola_lifecycle.snapshot.fold import fold as fold_snapshot
from isola_operator.__main__ import run
from isola_operator.manifests.job import JobSettings
from isola_operator.settings import Settings
from isola_store.client import KubernetesClient
from isola_store.kubernetes import KubernetesSandboxes, KubernetesSnapshots
from isola_store.port import Draft, Sandbox, Snapshot
from mounter.conftest import BUCKET
from mounter.node import Node
from mounter.scene import (
    IMAGE,
    finished,
    noise,
    rewrite,
    sha256,
    spec_of,
    store,
    told,
)
from support.buckets import Server
from support.kubelet import Kubelet
from support.kubernetes_server import NAMESPACE, ApiServer, free_port
from support.program import Program
from support.store import unique
from support.weather import Way, under_way

pytestmark = [pytest.mark.apiserver, pytest.mark.bucket]

PLAIN, OTHER = noise(3_000_000), noise(50_000, seed=2)
STAGED = ("True", "ArchiveStaged")
SOURCES = "rootfsSnapshotSources"


@dataclass
class Scene:
    """Everybody around.

    Attributes:
        sandboxes: Where sandboxes are.
        snapshots: Where RootfsSnapshots are.
        bucket: MinIO's, by a way on which it is always fine.
        way: How the mounter gets there.
        node: The node.
        mounter: Its mounter.
    """

    sandboxes: KubernetesSandboxes
    snapshots: KubernetesSnapshots
    bucket: Bucket
    way: Way
    node: Node
    mounter: Program

    async def restored(self, snapshot: str, image: str = IMAGE, **spec: Any) -> Sandbox:
        """Ask for a sandbox that starts from a snapshot."""
        wanted = {**spec_of([("sandbox0", snapshot)], image), **spec}
        return await self.sandboxes.create(Draft(name=unique("restored"), spec=wanted))

    async def plain(self) -> Sandbox:
        """Return a sandbox that runs and starts from nothing."""
        draft = Draft(name=unique("plain"), spec=spec_of([("sandbox0", "")]) | {SOURCES: []})
        return await self.until(await self.sandboxes.create(draft), lambda state: state.ready)

    async def capturing(self, sandbox: Sandbox, stored_as: str) -> Snapshot:
        """Return a snapshot that is being taken: its Job is there, and the test its uploader."""
        spec = {"sandboxName": sandbox.name, "snapshotName": stored_as}
        asked = await self.snapshots.create(Draft(name=unique("taken"), spec=spec))
        async with asyncio.timeout(120):
            while True:
                found = await self.snapshots.read(asked.name)
                if fold_snapshot(found.log).job_uid:
                    return found
                await asyncio.sleep(0.05)

    async def until(self, sandbox: Sandbox, done: Callable[[State], bool]) -> Sandbox:
        async with asyncio.timeout(200):
            while True:
                found = await self.sandboxes.read(sandbox.name)
                if done(fold(found.log)):
                    return found
                await asyncio.sleep(0.05)

    async def ready(self, sandbox: Sandbox, plain: bytes) -> Sandbox:
        """Return a sandbox once it is ready, and check what it started from."""
        found = await self.until(sandbox, lambda state: bool(state.ready or state.outcome))
        assert fold(found.log).ready, found.log.newest
        assert self.node.started_from[sandbox.name] == {"sandbox0": plain}
        entries = [e for e in found.log if (e.type, e.status) == ("RootfsStaged", "True")]
        assert entries[-1].data["sha256"] == sha256(plain)
        assert faults(found.uid, [encode(entry) for entry in found.log]) == ()
        return found

    async def failed(self, sandbox: Sandbox, reason: str) -> str:
        """Check that a sandbox fails for a reason before it starts, and return the message."""
        found = await self.until(sandbox, lambda state: state.outcome is not None)
        newest = found.log.entries[-1]
        assert (newest.type, newest.reason) == ("Succeeded", reason), newest.message
        assert sandbox.name not in self.node.started_from
        return newest.message

    async def gone(self, sandbox: Sandbox) -> None:
        """Delete a sandbox, and return when it is gone."""
        with suppress(NotFoundError):
            found = await self.sandboxes.read(sandbox.name)
            await self.sandboxes.delete(sandbox.name, uid=found.uid)
            async with asyncio.timeout(120):
                while True:
                    await self.sandboxes.read(sandbox.name)
                    await asyncio.sleep(0.05)

    def is_ready(self) -> bool:
        """Return whether the mounter says that it is."""
        port = self.mounter.environment["ISOLA_HEALTH_PORT"]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return True
        except OSError:
            return False

    def metrics(self) -> dict[str, float]:
        """Return what the mounter shows to Prometheus."""
        port = self.mounter.environment["ISOLA_METRICS_PORT"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in samples}

    def in_cache(self) -> set[str]:
        return {each.name for each in (self.node.folder / "cache").iterdir()}

    def in_folder(self, sandbox: Sandbox) -> set[str]:
        folder = self.node.staged / sandbox.uid
        return {each.name for each in folder.iterdir()} if folder.exists() else set()


async def until(done: Callable[[], Any]) -> None:
    async with asyncio.timeout(120):
        while True:
            if done():
                return
            await asyncio.sleep(0.05)


@asynccontextmanager
async def operator(kubeconfig: str, staged: Path) -> AsyncGenerator[None]:
    settings = Settings(
        namespace=NAMESPACE,
        own_namespace="default",
        sidecar_image="sidecar:1",
        kubeconfig=kubeconfig,
        metrics_port=free_port(),
        health_port=free_port(),
        snapshots=JobSettings(image="uploader:1", bucket_url="s3://bucket"),
        staging_root=str(staged),
    )
    stop = asyncio.Event()
    task = asyncio.create_task(run(settings, stop))
    try:
        yield
    finally:
        stop.set()
        await task


@pytest.fixture
async def scene(api_server: ApiServer, minio: Server, tmp_path: Path) -> AsyncGenerator[Scene]:
    kubeconfig = str(api_server.kubeconfig)
    async with (
        await KubernetesClient.connect(kubeconfig) as client,
        connected(minio.url(BUCKET), {}) as bucket,
        under_way(minio.endpoint) as way,
    ):
        await Kubelet(client).prepare()
        node = Node(client, unique("node"), tmp_path / "isola")
        mounter = node.mounter(kubeconfig, minio.url(BUCKET, way.url))
        async with operator(kubeconfig, node.staged), node.running():
            mounter.start()
            yield Scene(
                KubernetesSandboxes(client, NAMESPACE),
                KubernetesSnapshots(client, NAMESPACE),
                bucket,
                way,
                node,
                mounter,
            )
            mounter.kill()


async def test_a_sandbox_starts_from_a_snapshot_and_leaves_nothing_behind(scene: Scene) -> None:
    name = unique("base")
    await store(scene.bucket, name, PLAIN)
    sandbox = await scene.ready(await scene.restored(name), PLAIN)
    assert [entry.type for entry in sandbox.log] == [
        "Accepted",
        "NetworkConfigured",
        "PodCreated",
        "Scheduled",
        "RootfsStaged",
        "Started",
        "Ready",
    ]
    # gVisor has read the archive: it is free to go, while the sandbox lives on.
    await until(lambda: scene.in_folder(sandbox) == {"gate"})
    assert scene.in_cache() == {f"{sha256(PLAIN)}.tar"}
    await scene.gone(sandbox)
    await until(lambda: not any(scene.node.staged.iterdir()))


async def test_it_shows_to_prometheus_what_it_did(scene: Scene) -> None:
    name = unique("base")
    key = await store(scene.bucket, name, PLAIN)
    for _ in range(2):
        await scene.ready(await scene.restored(name), PLAIN)
    waiting = await scene.restored(unique("never"))
    await scene.until(waiting, lambda state: bool(state.staging))
    found = await asyncio.to_thread(scene.metrics)
    expected = {
        'isola_mounter_stagings_total{result="downloaded"}': 1,
        'isola_mounter_stagings_total{result="cached"}': 1,
        'isola_mounter_staging_duration_seconds_count{result="cached"}': 1,
        "isola_mounter_downloaded_bytes_total": (await scene.bucket.head(key)).size_bytes,
        "isola_mounter_cache_bytes": len(PLAIN),
        "isola_mounter_cache_limit_bytes": 2**30,
        'isola_mounter_waiting_sandboxes{reason="SnapshotNotFound"}': 1,
    }
    assert {name: found[name] for name in expected} == expected
    await scene.gone(waiting)


async def test_two_at_once_are_one_download(scene: Scene) -> None:
    name = unique("base")
    key = await store(scene.bucket, name, PLAIN)
    scene.way.bytes_per_second = 3_000_000
    pair = await asyncio.gather(*(scene.restored(name) for _ in range(2)))
    for sandbox in pair:
        await scene.ready(sandbox, PLAIN)
    assert scene.way.gets_of(key) == 1


async def test_a_snapshot_that_does_not_exist_yet_is_waited_for(scene: Scene) -> None:
    name = unique("later")
    sandbox = await scene.restored(name)
    await scene.until(sandbox, lambda state: bool(state.staging))
    snapshot = await scene.capturing(await scene.plain(), name)
    await scene.until(sandbox, lambda s: bool(s.trouble and s.trouble.reason == "SnapshotPending"))
    await store(scene.bucket, name, PLAIN)
    await finished(scene.snapshots, snapshot, PLAIN)
    found = await scene.ready(sandbox, PLAIN)
    assert told(found) == [("False", "SnapshotNotFound"), ("False", "SnapshotPending"), STAGED]


async def test_one_that_never_comes_is_waited_for_until_the_start_up_time_out(
    scene: Scene,
) -> None:
    await until(scene.is_ready)
    sandbox = await scene.restored("nobodys", startupTimeoutSeconds=20)
    message = await scene.failed(sandbox, "SnapshotNotFound")
    assert "there is no snapshot nobodys" in message
    await until(lambda: not any(scene.node.staged.iterdir()))


@pytest.mark.parametrize("how", ["truncated", "flipped"])
async def test_a_damaged_archive_is_refused_and_nothing_starts_from_it(
    scene: Scene, how: str
) -> None:
    name = unique("damaged")
    key = await store(scene.bucket, name, PLAIN)
    body = b"".join([piece async for piece in scene.bucket.read(key)])
    middle = len(body) // 2
    flipped = body[:middle] + bytes([body[middle] ^ 16]) + body[middle + 1 :]
    await rewrite(scene.bucket, key, body[:-1] if how == "truncated" else flipped)
    sandbox = await scene.restored(name)
    message = await scene.failed(sandbox, "SnapshotDamaged")
    assert key in message
    assert scene.in_cache() == set()


async def test_another_base_image_is_refused(scene: Scene) -> None:
    name = unique("base")
    await store(scene.bucket, name, PLAIN)
    message = await scene.failed(
        await scene.restored(name, image="python:3.12"), "SnapshotBaseMismatch"
    )
    assert "python:3.12" in message


async def test_a_tag_that_moved_is_refused_before_it_is_ready(scene: Scene) -> None:
    name = unique("base")
    await store(scene.bucket, name, PLAIN)
    scene.node.image_id = "python@sha256:2"
    sandbox = await scene.restored(name)
    found = await scene.until(sandbox, lambda state: state.outcome is not None)
    assert found.log.entries[-1].reason == "SnapshotBaseMismatch"
    assert "Ready" not in {entry.type for entry in found.log}


@pytest.mark.timeout(600)
async def test_a_mounter_killed_at_random_five_times_is_followed_by_one_that_finishes(
    scene: Scene,
) -> None:
    name = unique("base")
    await store(scene.bucket, name, PLAIN)
    scene.way.bytes_per_second = 3_000_000
    asked = [
        await scene.restored(name, startupTimeoutSeconds=600),
        await scene.restored(name, startupTimeoutSeconds=600),
    ]
    for _ in range(5):
        # The moments need not be the same in every run: they are what the test varies.
        await asyncio.sleep(random.uniform(0.5, 4))
        await asyncio.to_thread(scene.mounter.kill)
        scene.mounter.start()
    for sandbox in asked:
        found = await scene.ready(sandbox, PLAIN)
        assert told(found).count(STAGED) == 1
    assert scene.in_cache() == {f"{sha256(PLAIN)}.tar"}


async def test_a_bucket_that_answers_503_and_stalls_is_waited_for_and_told_of(
    scene: Scene,
) -> None:
    name = unique("base")
    await store(scene.bucket, name, PLAIN)
    scene.way.weather = "refusing"
    sandbox = await scene.restored(name)
    await scene.until(
        sandbox, lambda s: bool(s.trouble and s.trouble.reason == "BucketUnavailable")
    )
    scene.way.weather, scene.way.bytes_before = "stalling", 500_000
    asked = len(scene.way.asked)
    await until(lambda: len(scene.way.asked) > asked + 2)  # it goes on, and stalls again
    scene.way.weather = "clear"
    found = await scene.ready(sandbox, PLAIN)
    assert told(found) == [("False", "BucketUnavailable"), STAGED]


async def test_what_was_left_behind_is_swept_at_the_start_and_nothing_else(scene: Scene) -> None:
    name = unique("base")
    await store(scene.bucket, name, PLAIN)
    living = await scene.ready(await scene.restored(name), PLAIN)
    leaving = await scene.ready(await scene.restored(name), PLAIN)
    await asyncio.to_thread(scene.mounter.kill)
    await scene.gone(leaving)
    cache = scene.node.folder / "cache"
    (cache / "ab.0.part").write_bytes(b"half")
    assert scene.in_folder(leaving)
    scene.mounter.start()
    await until(lambda: not scene.in_folder(leaving) and not (cache / "ab.0.part").exists())
    assert scene.in_folder(living) == {"gate"}
    assert scene.in_cache() == {f"{sha256(PLAIN)}.tar"}


async def test_two_mounters_never_work_on_one_disk(scene: Scene) -> None:
    name = unique("base")
    await store(scene.bucket, name, OTHER)
    second = Program(
        "isola_mounter",
        {
            **scene.mounter.environment,
            "ISOLA_METRICS_PORT": str(free_port()),
            "ISOLA_HEALTH_PORT": str(free_port()),
        },
        scene.node.folder.parent / "second.log",
    )
    await scene.ready(await scene.restored(name), OTHER)
    second.start()
    try:
        await until(lambda: "waiting_for_another_mounter" in second.log.read_text())
        await asyncio.to_thread(scene.mounter.kill)
        # It takes over where the first has left off.
        await scene.ready(await scene.restored(name), OTHER)
    finally:
        await asyncio.to_thread(second.kill)


async def test_it_says_that_it_is_ready_and_ends_when_it_is_told_to(scene: Scene) -> None:
    await until(scene.is_ready)
    assert await asyncio.to_thread(scene.mounter.end) == 0
