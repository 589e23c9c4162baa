"""Our components as processes on an API server of their own: no cluster, no nodes."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from isola_store.client import KubernetesClient
from isola_store.kubernetes import KubernetesSandboxes
from support.kubelet import PODS, Kubelet
from support.kubernetes_server import NAMESPACE, ApiServer, free_port, serving
from support.memory import Memory, of_process
from support.program import Program
from support.toolchain import ROOT

PATIENCE_SECONDS = 1800


@dataclass(frozen=True)
class Running:
    """One of our programs.

    Attributes:
        program: The process.
        http: A way to the port on which it tells whether it is ready.
        began: When it was started.
    """

    program: Program
    http: httpx.AsyncClient
    began: float

    @property
    def number(self) -> int:
        """Return the number of the process."""
        assert self.program.process
        return self.program.process.pid

    @property
    def memory(self) -> Memory:
        """Return what it holds."""
        return of_process(self.number)

    @property
    def processor_seconds(self) -> float:
        """Return how long it has kept a processor busy."""
        return processor_seconds(self.number)

    async def until_ready(self) -> float:
        """Return how many seconds after its start it is ready."""

        async def ready() -> bool:
            try:
                return (await self.http.get("/readyz")).is_success
            except httpx.TransportError:
                return False

        await until(ready)
        return time.perf_counter() - self.began

    async def metric(self, name: str) -> float:
        """Return a metric, summed over its labels."""
        url = f"http://127.0.0.1:{self.program.environment['ISOLA_METRICS_PORT']}/metrics"
        text = (await self.http.get(url)).text
        values = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
        return sum(map(float, values))


@dataclass(frozen=True)
class Alone:
    """The API server.

    Attributes:
        client: A way to it.
        server: It.
        folder: For files.
    """

    client: KubernetesClient
    server: ApiServer
    folder: Path

    @property
    def store(self) -> KubernetesSandboxes:
        """Return where the sandboxes are."""
        return KubernetesSandboxes(self.client, NAMESPACE)

    @property
    def kubelet(self) -> Kubelet:
        """Return who starts pods."""
        return Kubelet(self.client)

    @asynccontextmanager
    async def operator(self, module: str = "isola_operator") -> AsyncGenerator[Running]:
        """Yield the operator, or who takes its place, as a process that has just begun."""
        variables = {**_ports(), "ISOLA_SANDBOX_SIDECAR_IMAGE": "sidecar:1"}
        async with self._running(module, "ISOLA_HEALTH_PORT", variables) as running:
            yield running

    @asynccontextmanager
    async def gateway(self) -> AsyncGenerator[Running]:
        """Yield the gateway, likewise."""
        variables = {"ISOLA_HTTP_PORT": str(free_port())}
        async with self._running("isola_gateway", "ISOLA_HTTP_PORT", variables) as running:
            yield running

    @asynccontextmanager
    async def exporter(self, endpoint: str) -> AsyncGenerator[Running]:
        """Yield the exporter, which exports to `endpoint`."""
        variables = {**_ports(), "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        async with self._running("isola_exporter", "ISOLA_HEALTH_PORT", variables) as running:
            yield running

    async def attend(self) -> None:
        """Start every pod at once, and take away at once what goes; for ever."""
        await self.kubelet.prepare()
        listed = await self.client.request("GET", PODS)
        version = listed["metadata"]["resourceVersion"]
        while True:
            query = {"resourceVersion": version}
            async for event in self.client.watch(PODS, query, timeout_seconds=300):
                pod = event["object"]
                version = pod["metadata"]["resourceVersion"]
                name = pod["metadata"]["name"].removesuffix("-pod")
                if event["type"] == "ADDED":
                    await self.kubelet.start(name)
                elif event["type"] == "MODIFIED" and "deletionTimestamp" in pod["metadata"]:
                    await self.kubelet.remove(name)

    @asynccontextmanager
    async def _running(
        self, module: str, port: str, variables: dict[str, str]
    ) -> AsyncGenerator[Running]:
        config = str(self.server.kubeconfig)
        common = {
            "ISOLA_SANDBOX_NAMESPACE": NAMESPACE,
            "ISOLA_KUBECONFIG": config,
            "KUBECONFIG": config,
            "PYTHONPATH": str(ROOT / "tests"),
        }
        program = Program(module, {**common, **variables}, self.folder / f"{module}.log")
        began = time.perf_counter()
        program.start()
        url = f"http://127.0.0.1:{variables[port]}"
        try:
            async with httpx.AsyncClient(base_url=url, timeout=120) as http:
                yield Running(program, http, began)
        finally:
            program.kill()


@asynccontextmanager
async def alone() -> AsyncGenerator[Alone]:
    """Yield an API server with nothing on it."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(serving(folder))
        client = await KubernetesClient.connect(str(server.kubeconfig))
        yield Alone(await stack.enter_async_context(client), server, folder)


async def until(done: Callable[[], Any], *, every: float = 0.02) -> None:
    """Return once `done` gives something true."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await done():  # noqa: ASYNC110 - it is in another process
            await asyncio.sleep(every)


def processor_seconds(number: int) -> float:
    """Return how long a process has kept a processor busy: what others do does not count."""
    stat = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2]
    user, system = (int(ticks) for ticks in stat.split()[11:13])
    return (user + system) / os.sysconf("SC_CLK_TCK")


def children() -> dict[str, int]:
    """Return the numbers of this process's children, by their names."""
    tasks = Path("/proc/self/task").iterdir()
    numbers = [int(n) for task in tasks for n in (task / "children").read_text().split()]
    return {Path(f"/proc/{n}/comm").read_text().strip(): n for n in numbers}


def _ports() -> dict[str, str]:
    return {"ISOLA_METRICS_PORT": str(free_port()), "ISOLA_HEALTH_PORT": str(free_port())}
