"""A snapshot's life, as the collector has it. The test is kubelet, Job controller and uploader."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from exporter.scene import TRACEPARENT, Scene, assert_told
from isola_exporter.__main__ import utc_now
from isola_exporter.model import Ids, Kind
from isola_exporter.snapshots import SNAPSHOT
from isola_lifecycle.archive import whole
from isola_lifecycle.errors import ExpectedVersionError, NotFoundError
from isola_lifecycle.log import Fact, Log
from isola_lifecycle.naming import ROOTFS_SNAPSHOT
from isola_lifecycle.snapshot import uploading
from isola_lifecycle.snapshot.fold import extend, fold
from isola_lifecycle.snapshot.state import Archive, State
from isola_store.client import MERGE_PATCH
from isola_store.kubernetes import KubernetesSnapshots
from isola_store.port import Draft, Sandbox, Snapshot
from isola_store.records import KubernetesRecords
from support.kubelet import PODS
from support.kubernetes_server import NAMESPACE, NODE_NAMESPACE
from support.store import unique

pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(600)]

JOBS = f"/apis/batch/v1/namespaces/{NODE_NAMESPACE}/jobs"
ARCHIVE = Archive(20_480, "ab")
OBJECT = uploading.Object(
    key="rootfssnapshots/x.tar",
    archive=ARCHIVE,
    size_bytes=5_000,
    sha256="cd",
    compression="zstd",
    tag="e",
    parts=1,
    seconds=0.25,
)
Saying = Callable[[State], tuple[Fact, ...]]


async def running(scene: Scene) -> Sandbox:
    sandbox = await scene.create()
    await scene.recorded(sandbox, "PodCreated")
    await scene.kubelet.start(sandbox.name)
    path = f"{PODS}/{sandbox.name}-pod"
    (status,) = (await scene.kubelet.client.request("GET", path))["status"]["containerStatuses"]
    told = {"status": {"containerStatuses": [{**status, "containerID": "containerd://abc"}]}}
    await scene.kubelet.client.request("PATCH", f"{path}/status", told, content_type=MERGE_PATCH)
    await scene.recorded(sandbox, "Ready")
    return sandbox


class Uploader:
    """Who tells of the archive and the object."""

    def __init__(self, scene: Scene, name: str) -> None:
        self.client = scene.kubelet.client
        self.store = KubernetesSnapshots(self.client, NAMESPACE)
        self.name = name

    async def until(self, done: Callable[[Snapshot], bool]) -> Snapshot:
        async with asyncio.timeout(240):
            while True:
                found = await self.store.read(self.name)
                if done(found):
                    return found
                await asyncio.sleep(0.05)

    async def says(self, saying: Saying) -> None:
        while True:
            found = await self.store.read(self.name)
            entries = extend(found.log, saying(fold(found.log)), at=utc_now(), generation=1)
            version = found.log.version
            try:
                await self.store.append(self.name, entries, expected_version=version)
            except ExpectedVersionError:
                continue
            return

    async def goes(self) -> None:
        """Let the Job go, as the garbage collector does, until the snapshot is gone."""
        path = f"{JOBS}/{self.name}-job"
        async with asyncio.timeout(240):
            while True:
                try:
                    job = await self.client.request("GET", path)
                    if "deletionTimestamp" in job["metadata"]:
                        body = {"metadata": {"finalizers": None}}
                        await self.client.request("PATCH", path, body, content_type=MERGE_PATCH)
                except NotFoundError:
                    pass
                try:
                    await self.store.read(self.name)
                except NotFoundError:
                    return
                await asyncio.sleep(0.05)


async def test_a_snapshot_is_a_trace_too_linked_to_the_life_of_its_sandbox(scene: Scene) -> None:
    await scene.exporting()
    sandbox = await running(scene)
    spec = {"sandboxName": sandbox.name, "ttlSecondsAfterFinished": 0}
    draft = Draft(name=unique("traced"), spec=spec, request_id="r-1", traceparent=TRACEPARENT)
    uploader = Uploader(scene, draft.name)
    snapshot = await uploader.store.create(draft)
    await uploader.until(lambda s: bool(fold(s.log).job_uid))
    await uploader.says(lambda state: uploading.captured(state, ARCHIVE, seconds=1.5))
    await uploader.says(lambda state: uploading.stored(state, OBJECT))
    await uploader.goes()
    life = Ids(snapshot.uid).span(Kind.LIFE, 1)
    await scene.until(lambda: life in scene.spans(snapshot.uid))
    records = KubernetesRecords(uploader.client, NAMESPACE, ROOTFS_SNAPSHOT)
    archived = whole(await records.read(snapshot.name, snapshot.uid))
    scene.logs[snapshot.uid] = Log(snapshot.uid, archived)
    assert_told(scene, snapshot, SNAPSHOT)
    assert [entry.type for entry in archived][-2:] == ["Succeeded", "DeletionRequested"]
    spans = scene.spans(snapshot.uid)
    names = [span["name"] for span in spans.values()]
    assert {"create job", "capture", "upload", "Running", "rootfs snapshot"} <= set(names)
    linked = {(link["traceId"], link["spanId"]) for link in spans[life]["links"]}
    taken_of = Ids(sandbox.uid)
    assert linked == {
        tuple(TRACEPARENT.split("-")[1:3]),
        (f"{taken_of.trace:032x}", f"{taken_of.span(Kind.LIFE, 1):016x}"),
    }
    told = (
        'isola_snapshot_size_bytes_sum{form="archive"} 20480.0',
        'isola_snapshot_size_bytes_sum{form="object"} 5000.0',
        'isola_snapshot_work_duration_seconds_sum{step="capture"} 1.5',
        'isola_snapshot_work_duration_seconds_sum{step="upload"} 0.25',
        "isola_snapshot_life_duration_seconds_count 1.0",
        'isola_snapshot_life_current{state="Running"} 0.0',
    )

    def scraped() -> list[str]:
        return scene.exporter.scraped("application/openmetrics-text").splitlines()

    # A life is measured once the collector has taken it, which is where its spans were seen.
    await scene.until(lambda: set(told) <= set(scraped()))
    labels = 'reason="SnapshotStored",status="True",type="Succeeded"'
    ended = f"isola_snapshot_life_transitions_total{{{labels}}} 1.0"
    assert any(line.startswith(ended) for line in scraped())
