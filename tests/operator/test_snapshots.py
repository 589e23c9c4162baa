"""The whole operator on a real API server: snapshots, and what termination policies keep.

The test is scheduler, kubelet, Job controller and uploader. The last appends through the store, as
the real one does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import pytest

from isola_bucket.memory import MemoryBucket
from isola_lifecycle.archive import whole
from isola_lifecycle.chain import faults
from isola_lifecycle.codec import encode
from isola_lifecycle.errors import (
    ExpectedVersionError,
    LifecycleError,
    NotFoundError,
    RejectedError,
)
from isola_lifecycle.log import LIVE_ENTRIES, Condition, Fact, Status
from isola_lifecycle.naming import ROOTFS_SNAPSHOT
from isola_lifecycle.sandbox.fold import fold as fold_sandbox
from isola_lifecycle.snapshot import uploading
from isola_lifecycle.snapshot.conditions import Phase
from isola_lifecycle.snapshot.fold import extend, fold
from isola_lifecycle.snapshot.state import Archive
from isola_operator.__main__ import run, utc_now
from isola_operator.manifests.job import JobSettings, removing
from isola_operator.settings import Settings
from isola_operator.snapshots import jobs_path
from isola_store.client import MERGE_PATCH, KubernetesClient
from isola_store.kubernetes import KubernetesSandboxes, KubernetesSnapshots
from isola_store.port import Draft, Sandbox, Snapshot
from isola_store.records import KubernetesRecords
from isola_uploader.adoption import Adopter
from isola_uploader.journal import journal_of
from mounter.scene import store
from support.kubelet import Kubelet
from support.kubernetes_server import NAMESPACE, NODE_NAMESPACE, ApiServer, free_port
from support.store import SPEC, unique

pytestmark = pytest.mark.apiserver

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
JOBS = jobs_path(NODE_NAMESPACE)
SNAPSHOTS = JobSettings(
    namespace=NODE_NAMESPACE,
    sandbox_namespace=NAMESPACE,
    image="uploader:1",
    bucket_url="s3://bucket",
    service_account="up",
)
POLICY = {"type": "SnapshotRootfs", "snapshotRootfs": {"timeoutSeconds": 60}}


@dataclass
class Scene:
    """An API server, and whoever else is around."""

    client: KubernetesClient
    sandboxes: KubernetesSandboxes
    snapshots: KubernetesSnapshots
    records: KubernetesRecords
    kubelet: Kubelet
    kubeconfig: str

    @asynccontextmanager
    async def operator(self, **changes: Any) -> AsyncGenerator[None]:
        usual: dict[str, Any] = {
            "namespace": NAMESPACE,
            "own_namespace": "default",
            "sidecar_image": "sidecar:1",
            "kubeconfig": self.kubeconfig,
            "metrics_port": free_port(),
            "health_port": free_port(),
            "snapshots": SNAPSHOTS,
            "admission_policies": True,  # so that what a test says of its caller is believed
        }
        settings = Settings(**usual | changes)
        stop = asyncio.Event()
        task = asyncio.create_task(run(settings, stop))
        try:
            yield
        finally:
            stop.set()
            await task

    async def running(self, **spec: Any) -> Sandbox:
        """Return a sandbox that runs, with a container id as containerd has it."""
        created = await self.sandboxes.create(Draft(name=unique("snapped"), spec={**SPEC, **spec}))
        await self.until_sandbox(created.name, lambda s: bool(fold_sandbox(s.log).pod_uid))
        await self.kubelet.start(created.name)
        path = f"{PODS}/{created.name}-pod"
        pod = await self.client.request("GET", path)
        (status,) = pod["status"]["containerStatuses"]
        told = {**status, "containerID": "containerd://abc", "imageID": "i@sha256:1"}
        body = {"status": {"containerStatuses": [told]}}
        await self.client.request("PATCH", f"{path}/status", body, content_type=MERGE_PATCH)
        return await self.until_sandbox(created.name, lambda s: fold_sandbox(s.log).ready)

    async def until_sandbox(self, name: str, done: Callable[[Sandbox], bool]) -> Sandbox:
        sandbox = await self.sandboxes.read(name)
        async with asyncio.timeout(60):
            while not done(sandbox):
                await asyncio.sleep(0.05)
                sandbox = await self.sandboxes.read(name)
        return sandbox

    async def ask(self, sandbox: Sandbox, **spec: Any) -> Snapshot:
        spec = {"sandboxName": sandbox.name, "snapshotName": unique("stored"), **spec}
        draft = Draft(name=unique("asked"), spec=spec, caller="10.0.0.7", request_id="r-1")
        return await self.snapshots.create(draft)

    async def until(self, name: str, done: Callable[[Snapshot], bool]) -> Snapshot:
        async with asyncio.timeout(60):
            while True:
                try:
                    snapshot = await self.snapshots.read(name)
                except NotFoundError:
                    await asyncio.sleep(0.05)
                    continue
                if done(snapshot):
                    return snapshot
                await asyncio.sleep(0.05)

    async def capturing(self, name: str) -> Snapshot:
        return await self.until(name, lambda s: bool(fold(s.log).job_uid))

    async def upload(self, name: str) -> Snapshot:
        """Do as the uploader does when all goes well."""
        told = (
            _fact("Captured", "ArchiveWritten", bytes="10240", sha256="ab"),
            _fact("Stored", "ObjectWritten", key="k", storedBytes="512", etag="e"),
            _fact("Succeeded", "SnapshotStored"),
        )
        await self.capturing(name)
        return await self.append(name, *told)

    async def append(self, name: str, *told: Fact) -> Snapshot:
        while True:
            snapshot = await self.snapshots.read(name)
            log, generation = snapshot.log, snapshot.generation
            entries = extend(log, told, at=utc_now(), generation=generation)
            try:
                return await self.snapshots.append(name, entries, expected_version=log.version)
            except ExpectedVersionError:
                continue

    async def job(self, name: str) -> dict[str, Any] | None:
        try:
            return await self.client.request("GET", f"{JOBS}/{name}")
        except NotFoundError:
            return None

    async def job_comes(self, name: str) -> None:
        async with asyncio.timeout(60):
            while not await self.job(name):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)

    async def job_goes(self, name: str) -> None:
        """Do as the garbage collector does once the pods of a Job are gone."""
        async with asyncio.timeout(60):
            while job := await self.job(name):
                if "deletionTimestamp" in job["metadata"]:
                    body = {"metadata": {"finalizers": None}}
                    path = f"{JOBS}/{name}"
                    try:
                        await self.client.request("PATCH", path, body, content_type=MERGE_PATCH)
                    except LifecycleError:
                        return
                await asyncio.sleep(0.05)

    async def gone(self, name: str) -> tuple[Condition, ...]:
        """Return the history that the archive has of a snapshot that is gone, verified."""
        async with asyncio.timeout(60):
            while True:
                try:
                    await self.snapshots.read(name)
                except NotFoundError:
                    break
                await asyncio.sleep(0.05)
        segments = await self.records.read(name)
        story = whole(segments)
        assert segments[-1].final
        assert faults(segments[0].subject.uid, [encode(e) for e in story]) == ()
        return story


def _fact(about: str, reason: str, status: Status = Status.TRUE, **data: str) -> Fact:
    return Fact(type=about, status=status, reason=reason, message="…", actor="uploader", data=data)


def told(entries: Any) -> list[str]:
    return [entry.type for entry in entries]


@pytest.fixture
async def scene(api_server: ApiServer) -> AsyncGenerator[Scene]:
    async with await KubernetesClient.connect(str(api_server.kubeconfig)) as client:
        kubelet = Kubelet(client)
        await kubelet.prepare()
        yield Scene(
            client,
            KubernetesSandboxes(client, NAMESPACE),
            KubernetesSnapshots(client, NAMESPACE),
            KubernetesRecords(client, NAMESPACE, ROOTFS_SNAPSHOT),
            kubelet,
            str(api_server.kubeconfig),
        )


async def test_a_snapshot_is_taken_by_a_job_on_the_sandbox_s_node(scene: Scene) -> None:
    async with scene.operator():
        sandbox = await scene.running()
        snapshot = await scene.ask(sandbox)
        snapshot = await scene.capturing(snapshot.name)
        job = await scene.job(f"{snapshot.name}-job")
        accepted = snapshot.log.entries[0]
        assert accepted.actor == "operator on behalf of 10.0.0.7"
        assert accepted.data["containerID"] == "abc"
        assert accepted.data["imageID"] == "i@sha256:1"
        assert job is not None
        assert job["metadata"]["uid"] == fold(snapshot.log).job_uid
        pod = job["spec"]["template"]["spec"]
        assert '"n1"' in str(pod["affinity"]).replace("'", '"')
        done = await scene.upload(snapshot.name)
        assert fold(done.log).phase == Phase.SUCCEEDED
        await scene.job_goes(f"{snapshot.name}-job")
        assert told(done.log) == ["Accepted", "Capturing", "Captured", "Stored", "Succeeded"]


async def test_without_policies_nobody_vouches_for_who_asked(scene: Scene) -> None:
    async with scene.operator(admission_policies=False):
        snapshot = await scene.ask(await scene.running())
        taken = await scene.until(snapshot.name, lambda s: s.log.version > 0)
        assert taken.log.entries[0].actor == "operator on behalf of 10.0.0.7 (unverified)"


async def test_what_cannot_be_ends_at_once(scene: Scene) -> None:
    async with scene.operator():
        snapshot = await scene.snapshots.create(
            Draft(name=unique("asked"), spec={"sandboxName": "nobody"})
        )
        ended = await scene.until(snapshot.name, lambda s: fold(s.log).outcome is not None)
        assert [e.reason for e in ended.log] == ["SandboxNotFound", "SandboxNotFound"]


async def test_where_snapshots_are_switched_off_that_is_the_reason(scene: Scene) -> None:
    async with scene.operator(snapshots=JobSettings()):
        sandbox = await scene.running()
        snapshot = await scene.ask(sandbox)
        ended = await scene.until(snapshot.name, lambda s: fold(s.log).outcome is not None)
        assert {e.reason for e in ended.log} == {"SnapshotsDisabled"}


async def test_a_name_is_taken_until_somebody_replaces(scene: Scene) -> None:
    async with scene.operator():
        sandbox = await scene.running()
        first = await scene.ask(sandbox, snapshotName="one")
        await scene.upload(first.name)
        second = await scene.ask(sandbox, snapshotName="one")
        refused = await scene.until(second.name, lambda s: fold(s.log).outcome is not None)
        assert {e.reason for e in refused.log} == {"NameTaken"}
        third = await scene.ask(sandbox, snapshotName="one", replace=True)
        await scene.upload(third.name)
        replaced = await scene.until(first.name, lambda s: fold(s.log).stored is None)
        newest = replaced.log.newest
        assert newest is not None
        assert (newest.reason, newest.data["replacedBy"]) == ("ObjectReplaced", third.name)


async def test_what_only_the_bucket_knows_is_adopted_by_a_job_without_a_node(scene: Scene) -> None:
    name, bucket = unique("orphan"), MemoryBucket()
    await store(bucket, name, b"precious", namespace=NAMESPACE, sandbox="box")
    async with scene.operator():
        spec = {"adopt": True, "snapshotName": name, "ttlSecondsAfterFinished": 3600}
        draft = Draft(name=unique("asked"), spec=spec, caller="10.0.0.7", request_id="r-1")
        asked = await scene.snapshots.create(draft)
        await scene.capturing(asked.name)
        job = await scene.job(f"{asked.name}-job")
        assert job is not None
        pod = job["spec"]["template"]["spec"]
        assert [c["args"] for c in pod["containers"]] == [["adopt"]]
        assert not {"affinity", "initContainers", "hostPID", "tolerations"} & pod.keys()
        assert [volume.keys() - {"name"} for volume in pod["volumes"]] == [{"projected"}]

        journal = journal_of(scene.snapshots, asked.name, asked.uid, utc_now)
        await Adopter(bucket=bucket, namespace=NAMESPACE, journal=journal, clock=utc_now).run()
        done = await scene.snapshots.read(asked.name)
        assert told(done.log) == ["Accepted", "Adopting", "Stored", "Succeeded"]
        state = fold(done.log)
        assert state.phase == Phase.SUCCEEDED
        assert state.source
        assert state.source.sandbox == "box"
        await scene.job_goes(f"{asked.name}-job")

        again = await scene.snapshots.create(Draft(name=unique("asked"), spec=spec))
        refused = await scene.until(again.name, lambda s: fold(s.log).outcome is not None)
        assert {e.reason for e in refused.log} == {"NameTaken"}


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({}, "give either sandboxName"),
        ({"snapshotName": "n"}, "give either sandboxName"),
        ({"adopt": False, "snapshotName": "n"}, "give either sandboxName"),
        ({"adopt": True, "sandboxName": "s", "snapshotName": "n"}, "give either sandboxName"),
        ({"adopt": True}, "which object is to be adopted"),
        ({"adopt": True, "snapshotName": "n", "containerName": "c"}, "containerName"),
        ({"adopt": True, "snapshotName": "n", "sandboxUID": "u"}, "sandboxUID"),
        ({"adopt": True, "snapshotName": "n", "pause": True}, "pause"),
        ({"adopt": True, "snapshotName": "n", "objectTTLSeconds": 9}, "objectTTLSeconds"),
        ({"adopt": True, "snapshotName": "n", "trigger": "TerminationPolicy"}, "trigger"),
    ],
    ids=str,
)
async def test_a_snapshot_is_taken_or_adopted(scene: Scene, spec: dict[str, Any], why: str) -> None:
    with pytest.raises(RejectedError, match=why):
        await scene.snapshots.create(Draft(name=unique("asked"), spec=spec))


async def test_a_failed_job_ends_it_with_the_reason(scene: Scene) -> None:
    async with scene.operator():
        snapshot = await scene.ask(await scene.running())
        await scene.capturing(snapshot.name)
        at = "2026-01-01T00:00:00Z"
        failed = {
            "type": "Failed",
            "status": "True",
            "reason": "DeadlineExceeded",
            "message": "too long",
            "lastTransitionTime": at,
        }
        target = {**failed, "type": "FailureTarget"}
        body = {"status": {"startTime": at, "conditions": [target, failed]}}
        path = f"{JOBS}/{snapshot.name}-job/status"
        await scene.client.request("PATCH", path, body, content_type=MERGE_PATCH)
        ended = await scene.until(snapshot.name, lambda s: fold(s.log).outcome is not None)
        outcome = fold(ended.log).outcome
        assert outcome is not None
        assert outcome.reason == "JobFailed"
        assert "too long" in outcome.message


async def test_a_snapshot_goes_after_its_time_and_its_history_stays(scene: Scene) -> None:
    async with scene.operator():
        snapshot = await scene.ask(await scene.running(), ttlSecondsAfterFinished=0)
        await scene.upload(snapshot.name)
        await scene.job_goes(f"{snapshot.name}-job")
        story = await scene.gone(snapshot.name)
        assert (story[-1].type, story[-1].reason) == ("DeletionRequested", "TimeToLiveExceeded")


async def test_an_uploader_that_starts_again_and_again_leaves_a_bounded_object_and_a_whole_history(
    scene: Scene,
) -> None:
    async with scene.operator():
        snapshot = await scene.ask(await scene.running(), ttlSecondsAfterFinished=0)
        await scene.capturing(snapshot.name)
        journal = journal_of(scene.snapshots, snapshot.name, snapshot.uid, utc_now)
        for number in range(40):
            archive = Archive(number, f"{number:064x}")
            await journal.say(lambda now, a=archive: uploading.captured(now, a, seconds=1))
            upload = uploading.Upload(
                id=str(number), sha256="", uploaded_bytes=0, total_bytes=9, parts=1
            )
            await journal.say(lambda now, u=upload: uploading.started(now, u))
        living = await scene.snapshots.read(snapshot.name)
        assert living.log.archived > 0
        assert len(living.log) <= LIVE_ENTRIES
        story = whole(await scene.records.read(snapshot.name), living.log)
        assert fold(living.log) == fold(story)
        await scene.append(snapshot.name, _fact("Succeeded", "UploadFailed", Status.FALSE))
        await scene.job_goes(f"{snapshot.name}-job")
        story = await scene.gone(snapshot.name)
        assert [entry.sequence for entry in story] == list(range(1, len(story) + 1))
        assert told(story).count("Captured") == told(story).count("Uploading") == 40


async def test_a_snapshot_whose_object_goes_too_waits_for_that(scene: Scene) -> None:
    async with scene.operator():
        snapshot = await scene.ask(await scene.running(), deletionPolicy="Delete")
        done = await scene.upload(snapshot.name)
        await scene.job_goes(f"{snapshot.name}-job")
        await scene.snapshots.delete(snapshot.name, uid=done.uid)
        await scene.job_comes(f"{snapshot.name}-rm")
        await scene.append(snapshot.name, _fact("Deleted", "ObjectRemoved", key="k"))
        story = await scene.gone(snapshot.name)
        assert told(story)[-2:] == ["DeletionRequested", "Deleted"]
        # What removed it has nobody's deletion to go with, and was sent off before.
        removal = await scene.job(f"{snapshot.name}-rm")
        assert removal is None or "deletionTimestamp" in removal["metadata"]
        await scene.job_goes(f"{snapshot.name}-rm")


async def test_an_operator_that_was_away_sees_out_the_job_of_what_was_deleted_meanwhile(
    scene: Scene,
) -> None:
    async with scene.operator():
        snapshot = await scene.ask(await scene.running())
        await scene.capturing(snapshot.name)
    await scene.snapshots.delete(snapshot.name, uid=snapshot.uid)
    async with scene.operator():
        await scene.job_goes(f"{snapshot.name}-job")
        story = await scene.gone(snapshot.name)
        assert told(story)[-2:] == ["DeletionRequested", "Succeeded"]
        assert story[-1].reason == "Cancelled"


async def test_a_job_whose_snapshot_is_gone_is_swept_and_nothing_else(scene: Scene) -> None:
    async with scene.operator():
        living = await scene.ask(await scene.running())
        await scene.capturing(living.name)
    lost = replace(living, name=unique("lost"), uid=str(uuid4()))
    theirs = replace(lost, name=unique("theirs"))
    elsewhere = replace(SNAPSHOTS, sandbox_namespace="sandboxes-of-others")
    nobody_s = removing(replace(lost, name=unique("nobody-s")), 60, SNAPSHOTS)
    # As those are that the chart's CronJobs make. (The pod's labels are the same dictionary.)
    del nobody_s["metadata"]["labels"][ROOTFS_SNAPSHOT.uid_label]
    for manifest in (removing(lost, 60, SNAPSHOTS), removing(theirs, 60, elsewhere), nobody_s):
        await scene.client.request("POST", JOBS, manifest)
    async with scene.operator():
        await scene.job_goes(f"{lost.name}-rm")
        for name in (f"{living.name}-job", f"{theirs.name}-rm", nobody_s["metadata"]["name"]):
            job = await scene.job(name)
            assert job is not None
            assert "deletionTimestamp" not in job["metadata"]


async def test_a_termination_policy_keeps_the_root_file_system(scene: Scene) -> None:
    async with scene.operator():
        sandbox = await scene.running(terminationPolicy=POLICY)
        await scene.sandboxes.delete(sandbox.name, uid=sandbox.uid)
        name = f"{sandbox.name}-termination"
        snapshot = await scene.capturing(name)
        assert snapshot.spec["sandboxUID"] == sandbox.uid
        pod = await scene.client.request("GET", f"{PODS}/{sandbox.name}-pod")
        assert "deletionTimestamp" not in pod["metadata"]
        await scene.upload(name)
        kept = await scene.until_sandbox(sandbox.name, lambda s: fold_sandbox(s.log).snapshotted)
        assert told(kept.log)[-3:] == ["TerminationRequested", "SnapshotRequested", "Snapshotted"]
        assert kept.log.entries[-1].reason == "SnapshotsStored"
        # Who ended the sandbox asked for its snapshot too.
        unknown = "operator on behalf of unknown (Kubernetes API)"
        assert (await scene.snapshots.read(name)).log.entries[0].actor == unknown


async def test_a_sandbox_whose_time_is_over_is_kept_for_its_policy(scene: Scene) -> None:
    async with scene.operator():
        sandbox = await scene.running(terminationPolicy=POLICY, timeoutSeconds=5)
        snapshot = await scene.capturing(f"{sandbox.name}-termination")
        whom = f"the termination policy of {sandbox.name}"
        assert snapshot.log.entries[0].actor == f"operator on behalf of {whom}"


async def test_a_snapshot_of_somebody_else_s_is_not_taken_over(scene: Scene) -> None:
    async with scene.operator():
        sandbox = await scene.running(terminationPolicy=POLICY)
        name = f"{sandbox.name}-termination"
        await scene.snapshots.create(Draft(name=name, spec={"sandboxName": sandbox.name}))
        await scene.sandboxes.delete(sandbox.name, uid=sandbox.uid)
        gone = await scene.until_sandbox(sandbox.name, lambda s: fold_sandbox(s.log).snapshotted)
        newest = gone.log.entries[-1]
        assert newest.reason == "SnapshotFailed"
        assert "not taken over" in newest.message
