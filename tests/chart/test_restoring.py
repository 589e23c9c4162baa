"""A sandbox starts from a snapshot with the rights and under the policies that the chart installs.

Operator and mounter run under their own service accounts, on the values that are installed; the
test is scheduler and kubelet, and the bucket is MinIO.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from chart.rendering import Chart
from isola_bucket.connection import connected
from isola_lifecycle.log import Status
from isola_lifecycle.sandbox.fold import fold
from isola_operator.__main__ import run
from isola_operator.settings import settings_from
from isola_store.client import KubernetesClient
from isola_store.kubernetes import KubernetesSandboxes
from isola_store.port import Draft
from mounter.node import Node
from mounter.scene import noise, spec_of, store
from support import buckets
from support.buckets import Server
from support.kubelet import Kubelet
from support.kubernetes_server import ApiServer, free_port
from support.program import Program
from support.store import unique

pytestmark = [pytest.mark.apiserver, pytest.mark.bucket]

RELEASE_NAMESPACE, SANDBOX_NAMESPACE, NODES = "restoring-system", "restoring", "restoring-nodes"
RELEASE = ("isola", "--namespace", RELEASE_NAMESPACE)
BUCKET = "restoring"
PLAIN = noise(100_000)


@dataclass(frozen=True)
class Installed:
    """What the chart makes of its values."""

    server: ApiServer
    minio: Server
    operator: dict[str, str]
    mounter: dict[str, str]
    folder: Path

    def where(self, account: str) -> str:
        """Return in which namespace a service account of the release is."""
        return RELEASE_NAMESPACE if account == "isola-operator" else NODES

    def kubeconfig(self, account: str, folder: Path) -> str:
        """Return a file with the credentials of a service account of the release."""
        done = self.server.run_kubectl("create", "token", account, "-n", self.where(account))
        assert done.returncode == 0, done.stderr
        path = folder / account
        path.write_text(self.server.kubeconfig.read_text())
        flags = (f"--kubeconfig={path}",)
        self.server.run_kubectl("config", "unset", "users", *flags)
        token = f"--token={done.stdout.strip()}"
        self.server.run_kubectl("config", "set-credentials", "tests", token, *flags)
        return str(path)


@pytest.fixture
def disk() -> Iterator[Path]:
    """A directory that the chart takes for a node's: no temporary one."""
    path = Path(tempfile.mkdtemp(prefix="isola-tests-", dir="/var/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def installed(
    chart: Chart, api_server: ApiServer, disk: Path, tmp_path: Path
) -> Iterator[Installed]:
    """The chart, with snapshots in MinIO and its policies."""
    with buckets.minio(tmp_path) as minio:
        asyncio.run(buckets.make(minio, BUCKET))
        live = replace(chart, kubeconfig=str(api_server.kubeconfig))
        s3 = {
            "bucket": BUCKET,
            "region": buckets.REGION,
            "endpoint": minio.endpoint,
            "forcePathStyle": True,
        }
        snapshots = {
            "enabled": True,
            "storage": {"type": "s3", "s3": s3},
            "snapshotMounter": {"hostMountPath": str(disk)},
        }
        values: dict[str, Any] = {
            "sandboxNamespace": {"name": SANDBOX_NAMESPACE},
            "nodeNamespace": {"name": NODES},
            "crds": {"enabled": False},
            "operator": {
                "sandboxRuntime": {"rootfssnapshot": snapshots},
                "network": {"enforcementSeconds": 0},
            },
        }
        assert api_server.run_kubectl("create", "namespace", SANDBOX_NAMESPACE).returncode == 0
        live.run("install", *RELEASE, ".", "--create-namespace", values=values)
        manifests = chart.render(values, namespace=RELEASE_NAMESPACE)
        references = {
            "ISOLA_NAMESPACE": RELEASE_NAMESPACE,
            "ISOLA_POD_NAME": "operator-0",
            "ISOLA_POD_IPS": "10.0.0.9",
            "ISOLA_NODE_NAME": unique("node"),
        }

        def told(name: str) -> dict[str, str]:
            found = manifests.environment(name)
            return {k: references[k] if v is None else v for k, v in found.items()}

        yield Installed(
            api_server,
            minio,
            told("isola-operator"),
            told("isola-snapshot-mounter"),
            disk / f"{RELEASE_NAMESPACE}.isola",
        )
        live.run("uninstall", *RELEASE)
        api_server.run_kubectl("delete", "namespace", SANDBOX_NAMESPACE, "--wait=false")


@pytest.fixture
async def node(
    installed: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Node]:
    """A node with the mounter on it, and the operator."""
    for name, value in installed.minio.environment.items():
        monkeypatch.setenv(name, value)
    ports = {"ISOLA_METRICS_PORT": str(free_port()), "ISOLA_HEALTH_PORT": str(free_port())}
    settings = replace(
        settings_from({**installed.operator, **ports}),
        kubeconfig=installed.kubeconfig("isola-operator", tmp_path),
    )
    mounter = Program(
        "isola_mounter",
        {
            **installed.mounter,
            "ISOLA_MOUNTER_FOLDER": str(installed.folder),  # a pod has it mounted elsewhere
            "ISOLA_KUBECONFIG": installed.kubeconfig("isola-snapshot-mounter", tmp_path),
            "ISOLA_HEALTH_PORT": str(free_port()),
            "ISOLA_METRICS_PORT": str(free_port()),  # 8080 is the local cluster's, where one runs
        },
        tmp_path / "mounter.log",
    )
    stop = asyncio.Event()
    async with await KubernetesClient.connect(str(installed.server.kubeconfig)) as client:
        await Kubelet(client, SANDBOX_NAMESPACE).prepare()
        name = installed.mounter["ISOLA_NODE_NAME"]
        node = Node(client, name, installed.folder, namespace=SANDBOX_NAMESPACE)
        operator = asyncio.create_task(run(settings, stop))
        mounter.start()
        try:
            async with node.running():
                yield node
        finally:
            mounter.kill()
            stop.set()
            await operator


@pytest.mark.timeout(400)
async def test_it_starts_under_these_rights_and_policies(installed: Installed, node: Node) -> None:
    sandboxes = KubernetesSandboxes(node.client, SANDBOX_NAMESPACE)
    async with connected(installed.minio.url(BUCKET), {}) as bucket:
        await store(bucket, "base", PLAIN, namespace=SANDBOX_NAMESPACE)
    asked = await sandboxes.create(
        Draft(
            name=unique("restored"),
            spec={**spec_of([("sandbox0", "base")]), "startupTimeoutSeconds": 200},
        )
    )
    async with asyncio.timeout(300):
        while True:
            sandbox = await sandboxes.read(asked.name)
            state = fold(sandbox.log)
            if state.ready or state.outcome:
                break
            await asyncio.sleep(0.1)
    assert state.ready, sandbox.log.newest
    assert node.started_from[asked.name] == {"sandbox0": PLAIN}
    actors = {e.type: e.actor for e in sandbox.log if e.status == Status.TRUE}
    assert (actors["RootfsStaged"], actors["Ready"]) == ("mounter", "operator")
