"""The gateway as a process; a real API server, operator and sidecar behind it, and no cluster."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager, suppress
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from isola_lifecycle.naming import SIDECAR_PORT
from isola_operator.credentials import Credentials
from isola_store.client import KubernetesClient
from support.certificates import server_context
from support.cluster import until
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


class Fronts:
    """An address for each pod, where its own certificate is shown; behind all is one sidecar."""

    def __init__(self, sidecar: str) -> None:
        self._sidecar = sidecar
        self._numbers = count(1)
        self._servers: list[asyncio.Server] = []

    async def place(self, pod: dict[str, Any]) -> str:
        sidecar = pod["spec"]["initContainers"][0]
        (certificate,) = (each["value"] for each in sidecar["env"])
        context = server_context(Credentials(certificate, sidecar["workingDir"].lstrip("/")))
        # Each process has its own: others may run the same at the same time.
        network = ip_address("127.1.0.0") + 2**16 * (os.getpid() % 250)
        address = str(network + next(self._numbers))
        server = await asyncio.start_server(self._pass_on, address, SIDECAR_PORT, ssl=context)
        self._servers.append(server)
        return address

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        beyond, onwards = await asyncio.open_connection(self._sidecar, SIDECAR_PORT)
        both = (_piped(reader, onwards), _piped(beyond, writer))
        tasks = [asyncio.create_task(each) for each in both]
        # The test's end cancels this; asyncio's streams take that for a failure.
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            for each in (onwards, writer):
                each.transport.abort()
        for task in tasks:
            task.cancel()
        for each in (onwards, writer):
            each.close()
        await asyncio.gather(*tasks, return_exceptions=True)

    def close(self) -> None:
        for server in self._servers:
            server.close()


async def _piped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


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
