from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from exporter.scene import Exporter, Scene
from isola_lifecycle.log import Log
from isola_store.client import KubernetesClient
from isola_store.kubernetes import KubernetesSandboxes
from isola_store.records import KubernetesRecords
from isola_store.reflector import sandbox_reflector
from support.collector import Collector
from support.kubelet import Kubelet
from support.kubernetes_server import NAMESPACE, NODE_NAMESPACE, ApiServer, free_port
from support.program import Program


def environment(api_server: ApiServer, **more: str) -> dict[str, str]:
    """Return what our programs have in common, on ports of their own."""
    return {
        "ISOLA_SANDBOX_NAMESPACE": NAMESPACE,
        "ISOLA_KUBECONFIG": str(api_server.kubeconfig),
        "ISOLA_METRICS_PORT": str(free_port()),
        "ISOLA_HEALTH_PORT": str(free_port()),
        **more,
    }


@pytest.fixture
def exporter(tmp_path: Path, api_server: ApiServer) -> Iterator[Exporter]:
    """The exporter, not running yet."""
    intervals = {"OTEL_METRIC_EXPORT_INTERVAL": "500", "OTEL_EXPORTER_OTLP_TIMEOUT": "2"}
    made = Exporter(
        "isola_exporter", environment(api_server, **intervals), tmp_path / "exporter.log"
    )
    yield made
    made.kill()


@pytest.fixture
def operator(tmp_path: Path, api_server: ApiServer) -> Iterator[Program]:
    """The operator, running."""
    variables = environment(
        api_server,
        ISOLA_SANDBOX_SIDECAR_IMAGE="sidecar:1",
        ISOLA_ROOTFSSNAPSHOT_ENABLED="true",
        ISOLA_NODE_NAMESPACE=NODE_NAMESPACE,
        ISOLA_SNAPSHOT_UPLOADER_IMAGE="uploader:1",
        ISOLA_ROOTFSSNAPSHOT_BUCKET_URL="s3://bucket",
        ISOLA_ROOTFSSNAPSHOT_STAGING_ROOT="/var/lib/isola",
    )
    made = Program("isola_operator", variables, tmp_path / "operator.log")
    made.start()
    yield made
    made.kill()


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    """The collector, running."""
    made = Collector(tmp_path)
    made.start()
    yield made
    made.kill()


@pytest.fixture
async def scene(
    api_server: ApiServer, exporter: Exporter, operator: Program, collector: Collector
) -> AsyncGenerator[Scene]:
    """All of it."""
    exporter.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.endpoint
    async with await KubernetesClient.connect(str(api_server.kubeconfig)) as client:
        made = Scene(
            Kubelet(client),
            KubernetesSandboxes(client, NAMESPACE),
            KubernetesRecords(client, NAMESPACE),
            collector,
            exporter,
            operator,
        )
        await made.kubelet.prepare()
        copy = sandbox_reflector(client, NAMESPACE)
        uids: dict[str, str] = {}

        def keep(name: str) -> None:
            if sandbox := copy.get(name):
                known = made.logs.get(sandbox.uid, Log(sandbox.uid))
                made.logs[sandbox.uid] = known.extended(sandbox.log.since(known.version))
                uids[name] = sandbox.uid
            elif name in uids:
                made.gone.add(uids[name])

        copy.subscribe(keep)
        watching = asyncio.create_task(copy.run())
        yield made
        watching.cancel()
