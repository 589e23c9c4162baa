"""The whole operator on a real API server: sandboxes that start from snapshots.

The test is scheduler, kubelet and mounter, which appends through the store as the real one does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from isola_lifecycle.log import Status
from isola_lifecycle.naming import STAGED_NOT_GVISOR
from isola_lifecycle.sandbox.conditions import Reason
from isola_lifecycle.sandbox.fold import SANDBOX, fold
from isola_lifecycle.sandbox.sources import sources_of
from isola_lifecycle.sandbox.staging import Archive, Facts, Place, awaited, fits, refused, staged
from isola_lifecycle.sandbox.state import State
from isola_operator.__main__ import run, utc_now
from isola_operator.manifests.job import JobSettings
from isola_operator.settings import Settings
from isola_store.client import MERGE_PATCH, KubernetesClient
from isola_store.journal import Journal
from isola_store.kubernetes import KubernetesSandboxes
from isola_store.port import Draft, Sandbox
from support.kubelet import Kubelet
from support.kubernetes_server import NAMESPACE, ApiServer, free_port
from support.store import SPEC, unique

pytestmark = pytest.mark.apiserver

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
ROOT = "/var/lib/isola/staged"
ARCHIVE = Archive(key="k", sha256="ab", size_bytes=10, image="i", image_id="i@sha256:1")
RESTORED = {**SPEC, "rootfsSnapshotSources": [{"snapshotName": "base"}]}


@dataclass
class Scene:
    """An API server, and whoever else is around."""

    client: KubernetesClient
    sandboxes: KubernetesSandboxes
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
            "snapshots": JobSettings(image="uploader:1", bucket_url="s3://bucket"),
            "staging_root": ROOT,
        }
        stop = asyncio.Event()
        task = asyncio.create_task(run(Settings(**usual | changes), stop))
        try:
            yield
        finally:
            stop.set()
            await task

    async def scheduled(self, **spec: Any) -> Sandbox:
        """Return a sandbox whose pod is on the node, and waits."""
        draft = Draft(name=unique("restored"), spec={**RESTORED, **spec})
        name = (await self.sandboxes.create(draft)).name
        await self.until(name, lambda state: bool(state.pod_uid))
        target = {"apiVersion": "v1", "kind": "Node", "name": "n1"}
        body = {"metadata": {"name": f"{name}-pod"}, "target": target}
        await self.client.request("POST", f"{PODS}/{name}-pod/binding", body)
        return await self.until(name, lambda state: bool(state.node))

    async def runs(self, sandbox: Sandbox, image_id: str) -> None:
        """Let the pod run, as the kubelet tells it."""
        running = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
        container = {
            "name": "sandbox0",
            "image": "i",
            "imageID": image_id,
            "ready": True,
            "restartCount": 0,
            "state": running,
        }
        await self.says(
            sandbox,
            phase="Running",
            podIP="10.0.0.1",
            podIPs=[{"ip": "10.0.0.1"}],
            conditions=[{"type": "Ready", "status": "True"}],
            containerStatuses=[container],
        )

    async def says(self, sandbox: Sandbox, **status: Any) -> None:
        path = f"{PODS}/{sandbox.name}-pod/status"
        await self.client.request("PATCH", path, {"status": status}, content_type=MERGE_PATCH)

    async def tell(self, sandbox: Sandbox, saying: Callable[[State, Place], Facts]) -> Sandbox:
        """Append as the mounter does."""
        state = fold(sandbox.log)
        place = Place(pod_uid=state.pod_uid, node=state.node)
        journal = Journal(self.sandboxes, SANDBOX, sandbox.name, sandbox.uid, utc_now, fits)
        await journal.say(lambda now: saying(now, place))
        return await self.sandboxes.read(sandbox.name)

    async def stage(self, sandbox: Sandbox) -> Sandbox:
        (source,) = sources_of(sandbox.spec)
        return await self.tell(
            sandbox,
            lambda now, place: staged(now, source, ARCHIVE, place, seconds=0.1, cached=False),
        )

    async def until(self, name: str, done: Callable[[State], bool]) -> Sandbox:
        async with asyncio.timeout(120):
            while True:
                sandbox = await self.sandboxes.read(name)
                if done(fold(sandbox.log)):
                    return sandbox
                await asyncio.sleep(0.05)

    async def ended(self, sandbox: Sandbox) -> Sandbox:
        return await self.until(sandbox.name, lambda state: state.outcome is not None)

    async def pod_is_leaving(self, sandbox: Sandbox) -> None:
        path = f"{PODS}/{sandbox.name}-pod"
        async with asyncio.timeout(120):
            while True:
                if "deletionTimestamp" in (await self.client.request("GET", path))["metadata"]:
                    return
                await asyncio.sleep(0.05)


@pytest.fixture
async def scene(api_server: ApiServer) -> AsyncGenerator[Scene]:
    async with await KubernetesClient.connect(str(api_server.kubeconfig)) as client:
        kubelet = Kubelet(client)
        await kubelet.prepare()
        sandboxes = KubernetesSandboxes(client, NAMESPACE)
        yield Scene(client, sandboxes, kubelet, str(api_server.kubeconfig))


def story(sandbox: Sandbox) -> list[str]:
    return [
        entry.type if entry.status == Status.TRUE else f"{entry.type}=False"
        for entry in sandbox.log
    ]


async def test_a_sandbox_starts_from_what_the_mounter_has_staged(scene: Scene) -> None:
    async with scene.operator():
        sandbox = await scene.scheduled()
        pod = await scene.client.request("GET", f"{PODS}/{sandbox.name}-pod")
        annotation = pod["metadata"]["annotations"]["dev.gvisor.tar.rootfs.upper.sandbox0"]
        assert annotation == f"{ROOT}/{sandbox.uid}/sandbox0.tar"
        assert pod["spec"]["volumes"][0]["hostPath"]["path"] == f"{ROOT}/{sandbox.uid}/gate"
        await scene.stage(sandbox)
        await scene.runs(sandbox, "mirror/i@sha256:1")
        ready = await scene.until(sandbox.name, lambda state: state.ready)
        assert story(ready) == [
            "Accepted",
            "NetworkConfigured",
            "PodCreated",
            "Scheduled",
            "RootfsStaged",
            "Started",
            "Ready",
        ]
        assert ready.log.entries[4].actor == "mounter"


async def test_what_can_never_be_restored_ends_the_sandbox_and_its_pod(scene: Scene) -> None:
    async with scene.operator():
        sandbox = await scene.scheduled()
        (source,) = sources_of(sandbox.spec)
        await scene.tell(
            sandbox,
            lambda now, place: refused(now, source, place, Reason.SNAPSHOT_DAMAGED, "bits fell"),
        )
        gone = await scene.ended(sandbox)
        assert story(gone)[-2:] == ["RootfsStaged=False", "Succeeded=False"]
        newest = gone.log.entries[-1]
        assert (newest.actor, newest.reason, newest.message) == (
            "operator",
            "SnapshotDamaged",
            "bits fell",
        )
        await scene.pod_is_leaving(sandbox)


async def test_an_image_that_moved_ends_it_before_it_is_ready(scene: Scene) -> None:
    async with scene.operator():
        sandbox = await scene.scheduled()
        await scene.stage(sandbox)
        await scene.runs(sandbox, "i@sha256:2")
        gone = await scene.ended(sandbox)
        assert story(gone)[-2:] == ["Started", "Succeeded=False"]
        assert gone.log.entries[-1].reason == "SnapshotBaseMismatch"
        assert "Ready" not in story(gone)
        await scene.pod_is_leaving(sandbox)


async def test_the_start_up_time_out_bounds_the_wait_and_says_what_was_awaited(
    scene: Scene,
) -> None:
    async with scene.operator():
        silent = await scene.scheduled(startupTimeoutSeconds=2)
        sandbox = await scene.scheduled(startupTimeoutSeconds=2)
        (source,) = sources_of(sandbox.spec)
        await scene.tell(
            sandbox,
            lambda now, place: awaited(now, source, place, Reason.SNAPSHOT_NOT_FOUND, "no base"),
        )
        newest = (await scene.ended(sandbox)).log.entries[-1]
        assert newest.reason == "SnapshotNotFound"
        assert newest.message == "Not ready within 2 s (spec.startupTimeoutSeconds): no base"
        newest = (await scene.ended(silent)).log.entries[-1]
        assert newest.reason == "StartupTimeout"
        assert "mounter" in newest.message
        await scene.pod_is_leaving(sandbox)


async def test_a_runtime_that_is_not_gvisor_ends_it(scene: Scene) -> None:
    async with scene.operator():
        sandbox = await scene.scheduled()
        ended = {"exitCode": STAGED_NOT_GVISOR, "reason": "Error", "message": "Linux 6.1.0"}
        gate = {
            "name": "archive-gate",
            "image": "i",
            "imageID": "i",
            "ready": False,
            "restartCount": 0,
            "state": {"terminated": ended},
        }
        await scene.says(sandbox, phase="Failed", initContainerStatuses=[gate])
        newest = (await scene.ended(sandbox)).log.entries[-1]
        assert newest.reason == "RuntimeUnsupported"
        assert "Linux 6.1.0" in newest.message


async def test_where_there_are_no_snapshots_it_is_refused_at_once(scene: Scene) -> None:
    async with scene.operator(snapshots=JobSettings(), staging_root=""):
        draft = Draft(name=unique("restored"), spec=RESTORED)
        gone = await scene.ended(await scene.sandboxes.create(draft))
        assert gone.log.entries[-1].reason == "SpecInvalid"
        assert "rootfssnapshot.enabled" in gone.log.entries[-1].message


async def test_an_operator_that_comes_after_everything_has_happened_tells_the_same(
    scene: Scene,
) -> None:
    async with scene.operator():
        sandbox = await scene.scheduled()
    await scene.stage(sandbox)
    await scene.runs(sandbox, "i@sha256:2")
    async with scene.operator():
        gone = await scene.ended(sandbox)
    assert story(gone)[-3:] == ["RootfsStaged", "Started", "Succeeded=False"]
