"""Verbs that are granted against verbs that are used: as the API server's audit log has them.

All components run as processes, with the variables of the chart's pods and as its service accounts,
and go through lives, snapshots and records. The test is scheduler, kubelet and Job controller.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from chart.accounts import Accounts, Use
from chart.rendering import (
    NODE_NAMESPACE,
    RELEASE_NAMESPACE,
    SANDBOX_NAMESPACE,
    Chart,
    Values,
)
from isola_lifecycle.archive import rest
from isola_lifecycle.errors import NotFoundError
from isola_lifecycle.naming import ROOTFS_SNAPSHOT, SANDBOX, keepsake_name
from isola_lifecycle.sandbox.observation import Observation
from isola_operator.__main__ import utc_now
from isola_operator.archivist import Archivist
from isola_operator.snapshots import jobs_path
from isola_store.client import MERGE_PATCH, KubernetesClient
from isola_store.kubernetes import KubernetesSandboxes, KubernetesSnapshots
from isola_store.port import Draft
from isola_store.records import KubernetesRecords
from support import buckets
from support.buckets import REGION, Server
from support.kubelet import PODS, Kubelet
from support.kubernetes_server import ApiServer, free_port
from support.store import SPEC
from uploader.scene import leave_archive, noise, variables

pytestmark = [pytest.mark.apiserver, pytest.mark.bucket]

BUCKET = "snapshots"
EGRESS_PORTS = ("DNS_PORT", "CONTROL_PORT", "PORTS")
GIVEN: Values = {
    "global": {"imagePullSecrets": []},
    "operator": {
        "replicaCount": 2,
        "network": {
            "podCIDRs": ["10.244.0.0/16"],
            "nodeCIDRs": ["192.0.2.0/24"],
        },
        "sandboxRuntime": {
            "rootfssnapshot": {
                "enabled": True,
                "storage": {"type": "s3", "s3": {"bucket": BUCKET, "region": REGION}},
            }
        },
    },
    "apiGateway": {"replicaCount": 2},
    "records": {"ttlSeconds": 1},
    "exporter": {"enabled": True, "endpoint": "http://127.0.0.1:9"},
    "egress": {"enabled": True},
}
# What the API server itself asks the authorizer for, on behalf of whoever sets an owner that blocks
# deletion: it is no request, so the log has none. Here it is asked for (see `kubernetes_server`):
# without it no pod is created.
ASKED_FOR_BY_ADMISSION = {
    Use(SANDBOX_NAMESPACE, "sandboxes/finalizers", "update"),
}


@dataclass
class Scene:
    """All of Isola, and whoever else is around.

    Attributes:
        accounts: As whom it runs.
        client: The test's own way to the API server.
        http: The way to the gateway.
        kubelet: The test.
        minio: Where snapshots go.
        folder: For the archives.
    """

    accounts: Accounts
    client: KubernetesClient
    http: httpx.AsyncClient
    kubelet: Kubelet
    minio: Server
    folder: Path

    async def ask(self, method: str, path: str, code: int, body: Any = None) -> Any:
        """Return what the gateway answers."""
        answer = await self.http.request(method, f"/v1{path}", json=body)
        assert answer.status_code == code, answer.text
        return answer.json() if answer.content else None

    async def sandbox(self, image: str = "i", restored: str = "", **more: Any) -> str:
        """Ask for a sandbox, and return its name once its pod is there."""
        container = {"image": image} | ({"rootfsSnapshotName": restored} if restored else {})
        body = {"podTemplate": {"containers": [container]}, **more}
        name = (await self.ask("POST", "/sandboxes", 201, body))["id"]
        await self.logged("sandboxes", name, "PodCreated")
        return name

    async def running(self, **more: Any) -> str:
        """Return the name of a sandbox that runs, with a container id as containerd has it."""
        name = await self.sandbox(**more)
        await self.kubelet.start(name)
        path = f"{PODS}/{name}-pod"
        pod = await self.client.request("GET", path)
        (status,) = pod["status"]["containerStatuses"]
        told = {**status, "containerID": "containerd://abc", "imageID": "i@sha256:1"}
        body = {"status": {"containerStatuses": [told]}}
        await self.client.request("PATCH", f"{path}/status", body, content_type=MERGE_PATCH)
        await self.logged("sandboxes", name, "Ready")
        return name

    async def snapshot(self, sandbox: str, name: str, **more: Any) -> str:
        """Have a snapshot taken by the uploader's process; return the name of its resource."""
        body = {"sandboxId": sandbox, "snapshotName": name, **more}
        made = (await self.ask("POST", "/rootfs-snapshots", 201, body))["id"]
        await self.captured(made)
        return made

    async def captured(self, name: str) -> None:
        """Be the Job that takes a snapshot."""
        await self.logged("rootfssnapshots", name, "Capturing")
        await self.uploader("upload", name)
        await self.logged("rootfssnapshots", name, "Succeeded")

    async def uploader(self, command: str, name: str) -> None:
        """Run the uploader as its Job does."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        leave_archive(folder, noise(1000))
        snapshot = await KubernetesSnapshots(self.client, SANDBOX_NAMESPACE).read(name)
        account = self.accounts.kubeconfig("isola-snapshot-uploader", NODE_NAMESPACE)
        environment = variables(snapshot, folder, self.minio.url(BUCKET), Path(account))
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "isola_uploader", command],
            env={**environment, **self.minio.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    async def logged(self, plural: str, name: str, about: str) -> None:
        """Return once a log has an entry of this type."""
        path = f"/apis/sandbox.isola.run/v1alpha1/namespaces/{SANDBOX_NAMESPACE}/{plural}/{name}"

        async def is_told() -> bool:
            try:
                found = await self.client.request("GET", path)
            except NotFoundError:
                return False
            told = {
                each["type"]: each["reason"]
                for each in found.get("status", {}).get("conditions", ())
            }
            assert told.get("NetworkConfigured") != "ClusterRangesUnknown", told
            return about in told

        await until(is_told)

    async def half_archived(self, plural: str, name: str) -> None:
        """Leave what an operator leaves that crashed while it archived: the rest is yet to come."""
        stores = {"sandboxes": KubernetesSandboxes, "rootfssnapshots": KubernetesSnapshots}
        kinds = {"sandboxes": SANDBOX, "rootfssnapshots": ROOTFS_SNAPSHOT}
        item = await stores[plural](self.client, SANDBOX_NAMESPACE).read(name)
        begun = replace(rest(item.subject, item.log, 0), final=False)
        await KubernetesRecords(self.client, SANDBOX_NAMESPACE, kinds[plural]).write(begun)

    async def ends(self, sandbox: str) -> None:
        """Be the kubelet that stops a sandbox's pod, until all is told."""

        async def is_gone() -> bool:
            for pod in (await self.client.request("GET", PODS))["items"]:
                named = pod["metadata"]["name"] == f"{sandbox}-pod"
                if named and pod["metadata"].get("deletionTimestamp"):
                    await self.kubelet.remove(sandbox)
            return (await self.http.get(f"/v1/sandboxes/{sandbox}")).status_code == 404

        await until(is_gone)

    async def swept(self) -> None:
        """Return once no history is left of what is gone."""
        for of in (SANDBOX, ROOTFS_SNAPSHOT):
            removal = Use(SANDBOX_NAMESPACE, of.record_plural, "delete")

            async def is_used(removal: Use = removal) -> bool:
                return removal in self.accounts.used()["isola-operator"]

            await until(is_used)

    async def warned(self) -> None:
        """Have the operator's own code warn of a lost history, which it does after a minute."""
        account = self.accounts.kubeconfig("isola-operator", RELEASE_NAMESPACE)
        async with await KubernetesClient.connect(account) as client:
            made = await KubernetesSandboxes(self.client, SANDBOX_NAMESPACE).create(
                Draft(name="lost", spec=SPEC)
            )
            records = KubernetesRecords(client, SANDBOX_NAMESPACE)
            archivist = Archivist(records, client, SANDBOX_NAMESPACE)
            await archivist.warn(made, "lost", Observation(now=utc_now()))

    async def gone(self, path: str) -> None:
        """Return once the gateway knows something no more."""

        async def is_gone() -> bool:
            return (await self.http.get(f"/v1{path}")).status_code == 404

        await until(is_gone)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Return once something is so."""
    async with asyncio.timeout(90):
        while not await holds():  # noqa: ASYNC110 - whatever it is that is waited for
            await asyncio.sleep(0.05)


@pytest.fixture
def minio(tmp_path: Path) -> Generator[Server]:
    with buckets.minio(tmp_path) as server:
        asyncio.run(buckets.make(server, BUCKET))
        yield server


@pytest.fixture
def accounts(chart: Chart, api_server: ApiServer, tmp_path: Path) -> Generator[Accounts]:
    made = Accounts(api_server, chart.render(GIVEN), tmp_path)
    made.install()
    yield made
    made.remove()


@pytest.fixture
async def scene(accounts: Accounts, minio: Server, tmp_path: Path) -> AsyncGenerator[Scene]:
    port = free_port()
    ports = {f"ISOLA_{each}_PORT": str(free_port()) for each in ("METRICS", "HEALTH")}
    accounts.program(
        "isola_operator",
        "isola-operator",
        ISOLA_POD_NAME="one",
        ISOLA_POD_IPS="10.244.0.9",
        ISOLA_CANARY_PORT=str(free_port()),
        ISOLA_DOOR_PORT="",  # nothing is behind a pod's address here that would look for a door
        **ports,
    )
    accounts.program("isola_gateway", "isola-api-gateway", ISOLA_HTTP_PORT=str(port))
    accounts.program(
        "isola_exporter",
        "isola-exporter",
        **{name: str(free_port()) for name in ports},
    )
    accounts.program(
        "isola_egress",
        "isola-egress",
        ISOLA_POD_IPS="127.0.0.1",
        **{name: str(free_port()) for name in ports},
        **{
            f"ISOLA_EGRESS_{each}": str(free_port())
            for each in ("DNS_PORT", "CONTROL_PORT", "PORTS")
        },
    )
    accounts.program(
        "isola_mounter",
        "isola-snapshot-mounter",
        ISOLA_NODE_NAME="n1",
        ISOLA_BUCKET_URL=minio.url(BUCKET),
        ISOLA_MOUNTER_FOLDER=str(tmp_path / "isola"),
        **{name: str(free_port()) for name in ports},
        **minio.environment,
    )
    async with (
        await KubernetesClient.connect(str(accounts.server.kubeconfig)) as client,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=120) as http,
    ):
        made = Scene(accounts, client, http, Kubelet(client), minio, tmp_path)
        await made.kubelet.prepare()
        await until(lambda: _answers(http))
        collecting = asyncio.create_task(_collect_garbage(client))
        yield made
        collecting.cancel()


async def _collect_garbage(client: KubernetesClient) -> None:
    """Let Jobs go that are deleted: their pods, which there never were, are gone."""
    jobs = jobs_path(NODE_NAMESPACE)
    while True:
        for job in (await client.request("GET", jobs))["items"]:
            if "deletionTimestamp" in job["metadata"]:
                path, body = f"{jobs}/{job['metadata']['name']}", {"metadata": {"finalizers": None}}
                with suppress(NotFoundError):
                    await client.request("PATCH", path, body, content_type=MERGE_PATCH)
        await asyncio.sleep(0.1)


async def _answers(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/readyz")).is_success
    except httpx.TransportError:
        return False


async def live(scene: Scene) -> None:
    """Go through everything that the components are there for."""
    policy = {"type": "SnapshotRootfs", "snapshotRootfs": {"timeoutSeconds": 60}}
    domains = {"allowedEgressDomains": ["example.com"]}
    box = await scene.running(network=domains, terminationPolicy=policy)
    await scene.ask("GET", "/sandboxes", 200)
    changed = {"network": {"allowedEgressDomains": ["example.org"]}}
    await scene.ask("PATCH", f"/sandboxes/{box}", 200, changed)
    by_address = await scene.running(network={"allowedEgressCIDRs": ["1.1.1.1/32"]})
    for ranges in (["1.0.0.1/32"], []):
        changed = {"network": {"allowedEgressCIDRs": ranges}}
        await scene.ask("PATCH", f"/sandboxes/{by_address}", 200, changed)

    kept = await scene.snapshot(box, "kept", deletionPolicy="Delete")
    restored = await scene.sandbox(image="i", restored="kept")
    target = {"apiVersion": "v1", "kind": "Node", "name": "n1"}
    binding = {"metadata": {"name": f"{restored}-pod"}, "target": target}
    await scene.client.request("POST", f"{PODS}/{restored}-pod/binding", binding)
    await scene.logged("sandboxes", restored, "RootfsStaged")

    await scene.half_archived("rootfssnapshots", kept)
    await scene.ask("DELETE", f"/rootfs-snapshots/{kept}", 204)
    await scene.logged("rootfssnapshots", kept, "DeletionRequested")
    await scene.uploader("remove", kept)
    await scene.gone(f"/rootfs-snapshots/{kept}")
    await scene.ask("GET", f"/rootfs-snapshots/{kept}/history", 200)
    short = await scene.snapshot(box, "short", ttlSecondsAfterFinished=1, objectTTLSeconds=1)
    await scene.uploader("expire", short)
    await scene.gone(f"/rootfs-snapshots/{short}")

    await scene.half_archived("sandboxes", box)
    await scene.ask("DELETE", f"/sandboxes/{box}", 204)
    taken = keepsake_name(box)
    await scene.captured(taken)
    await scene.logged("sandboxes", box, "TerminationRequested")
    await scene.ends(box)
    await scene.ask("GET", f"/sandboxes/{box}/history", 200)

    # Whose time is over, the operator itself deletes.
    brief = {"podTemplate": {"containers": [{"image": "i"}]}, "timeoutSeconds": 1}
    await scene.ends((await scene.ask("POST", "/sandboxes", 201, brief))["id"])
    await scene.swept()
    await scene.warned()


async def test_what_is_granted_is_what_is_used(scene: Scene) -> None:
    await live(scene)
    used, granted = scene.accounts.used(), scene.accounts.granted()
    granted["isola-operator"] -= ASKED_FOR_BY_ADMISSION
    assert used == granted
