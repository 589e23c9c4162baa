"""What history costs on the cluster: its starts and all that is written of a life there.

`cost` takes archive and exporter away, on an API server of its own, where a test is the kubelet.
Here pods are a kubelet's, under gVisor: with an exporter beside the cluster, on the same
processors, and without, on off on off. The archive stays: in a start it has no part, and what it
writes is told apart.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from benchmarks.alone import Running, until
from benchmarks.figures import compare, row
from benchmarks.weighing import weighing
from isola_store.client import KubernetesClient
from isola_store.kubernetes import sandboxes_path
from isola_store.records import records_path
from support.cluster import SANDBOXES, Cluster
from support.collector import Collector
from support.kubernetes_server import free_port
from support.program import Program

BLOCKS, LIVES = 6, 5
RECORDS = records_path(SANDBOXES)
WRITTEN = {
    "the sandbox, each version with its log": sandboxes_path(SANDBOXES),
    "its pod": f"/api/v1/namespaces/{SANDBOXES}/pods",
    "Kubernetes' Events": f"/api/v1/namespaces/{SANDBOXES}/events",
    "the record": RECORDS,
}
SETTLING_SECONDS = 2  # until what was written last has come by the watches


def measure(cluster: Cluster) -> None:
    """Print the figures."""
    asyncio.run(_measure(cluster))


async def _measure(cluster: Cluster) -> None:
    exported: list[float] = []
    alone: list[float] = []
    async with (
        await KubernetesClient.connect(cluster.environment["KUBECONFIG"]) as client,
        httpx.AsyncClient(base_url=f"{cluster.url}/v1", timeout=60) as http,
    ):
        await _life(http, cluster.image)
        async with weighing(client, list(WRITTEN.values())) as sizes:
            for _ in range(BLOCKS):
                async with _exporting(cluster):
                    exported += [await _life(http, cluster.image) for _ in range(LIVES)]
                alone += [await _life(http, cluster.image) for _ in range(LIVES)]
            await asyncio.sleep(SETTLING_SECONDS)
            _show({what: sizes[path] / len(exported + alone) for what, path in WRITTEN.items()})
    compare("create → Ready, exporter beside", exported, "none", alone, target="<= 1.05")


def _show(sizes: dict[str, float]) -> None:
    everything, record = sum(sizes.values()), sizes["the record"]
    ratio = everything / (everything - record)
    row("bytes written per life", f"{everything:.0f} B")
    for what, size in sizes.items():
        row(f"  {what}", f"{size:.0f} B")
    row("  against all but the record", f"{ratio:.3f}", "<= 1.05")


async def _life(http: httpx.AsyncClient, image: str) -> float:
    """Return the seconds from create to Ready; a command ran, and the sandbox is gone."""
    body = {"podTemplate": {"containers": [{"image": image}]}, "timeoutSeconds": 300}
    began = time.perf_counter()
    answer = await http.post("/sandboxes", json=body, headers={"Prefer": "wait=25"})
    seconds = time.perf_counter() - began
    told = answer.raise_for_status().json()
    assert told["status"] == "Running", told
    path = f"/sandboxes/{told['id']}"
    (await http.post(f"{path}/commands", json={"args": ["true"]})).raise_for_status()
    await http.delete(path)

    async def gone() -> bool:
        return (await http.get(path, params={"waitSeconds": 0})).is_client_error

    await until(gone, every=0.1)
    return seconds


@asynccontextmanager
async def _exporting(cluster: Cluster) -> AsyncGenerator[None]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        collector = Collector(folder)
        health = free_port()
        variables = {
            "ISOLA_KUBECONFIG": cluster.environment["KUBECONFIG"],
            "ISOLA_SANDBOX_NAMESPACE": SANDBOXES,
            "ISOLA_HEALTH_PORT": str(health),
            "ISOLA_METRICS_PORT": str(free_port()),
            "ISOLA_LOG_LEVEL": "warning",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        }
        exporter = Program("isola_exporter", variables, folder / "exporter.log")
        try:
            await asyncio.to_thread(collector.start)
            exporter.start()
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{health}") as http:
                await Running(exporter, http, time.perf_counter()).until_ready()
            yield
        finally:
            exporter.kill()
            collector.kill()
