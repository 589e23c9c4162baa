"""The gateway as a process; a real API server, operator and sidecar behind it, and no cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path

import httpx

from isola_store.client import KubernetesClient
from support.cluster import until
from support.fronts import Fronts
from support.kubelet import Kubelet
from support.kubernetes_server import NAMESPACE, ApiServer, free_port
from support.program import Program


@contextmanager
def programs(folder: Path, api_server: ApiServer) -> Generator[str]:
    """A gateway and an operator, running; the gateway's address."""
    port, common = free_port(), {"ISOLA_SANDBOX_NAMESPACE": NAMESPACE, "ISOLA_LOG_LEVEL": "warning"}
    environments = {
        "isola_operator": {
            "ISOLA_KUBECONFIG": str(api_server.kubeconfig),
            "ISOLA_SANDBOX_SIDECAR_IMAGE": "sidecar:1",
            "ISOLA_METRICS_PORT": str(free_port()),
            "ISOLA_HEALTH_PORT": str(free_port()),
            # No node tells them here, and without them no change of a network comes into force.
            "ISOLA_POD_CIDRS": "10.244.0.0/16",
            "ISOLA_SERVICE_CIDRS": "10.96.0.0/16",
            "ISOLA_NODE_CIDRS": "172.18.0.0/16",
        },
        "isola_gateway": {
            "KUBECONFIG": str(api_server.kubeconfig),
            "ISOLA_HTTP_PORT": str(port),
        },
    }
    with ExitStack() as stack:
        for name, environment in environments.items():
            program = Program(name, common | environment, folder / f"{name}.log")
            stack.callback(program.kill)
            program.start()
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def node(api_server: ApiServer, sidecar: str) -> AsyncGenerator[None]:
    """A node that starts every pod at once; the sidecar of all of them is the one at `sidecar`."""
    fronts = Fronts(sidecar)
    async with await KubernetesClient.connect(str(api_server.kubeconfig)) as client:
        kubelet = Kubelet(client)
        await kubelet.prepare()
        serving = asyncio.create_task(kubelet.serve(fronts.place))
        try:
            yield
        finally:
            fronts.close()
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving


def comes_up(url: str) -> None:
    """Return once the gateway is ready."""

    def ready() -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{url}/readyz").is_success
        return False

    until(ready, seconds=120, what="a gateway that is ready")


def running_sandbox(url: str) -> str:
    """Return the id of a new sandbox that takes commands."""
    comes_up(url)
    body = {"podTemplate": {"containers": [{"image": "busybox"}]}}
    with closing(httpx.Client(base_url=url, timeout=30)) as client:
        made = client.post("/v1/sandboxes", json=body, headers={"Prefer": "wait=25"}).json()
    assert made["status"] == "Running", made
    return made["id"]
