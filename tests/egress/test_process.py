"""The component as a process, on a real API server: what the log says is what holds."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.message
import dns.rcode
import httpx
import pytest

from exporter.scene import Program
from isola_lifecycle.errors import AlreadyExistsError
from isola_store.client import MERGE_PATCH, KubernetesClient
from isola_store.kubernetes import KubernetesSandboxes
from isola_store.port import Draft, Sandbox
from support.kubernetes_server import NAMESPACE, ApiServer, free_port
from support.store import SPEC, unique

pytestmark = pytest.mark.apiserver

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


@dataclass
class Component:
    """The component.

    Attributes:
        client: A way to the API server.
        program: Itself.
        address: Of its Service.
    """

    client: KubernetesClient
    program: Program
    address: str

    async def ask(self, name: str, *, at: str) -> tuple[int, list[str]]:
        """Return code and addresses that a sandbox at an address is answered with."""
        query = dns.message.make_query(name, "A")
        port = int(self.program.environment["ISOLA_EGRESS_DNS_PORT"])
        reply: Any = await dns.asyncquery.udp(query, "127.0.0.1", port=port, source=at, timeout=30)
        return reply.rcode(), [record.address for rrset in reply.answer for record in rrset]

    async def get(self, path: str, port: str) -> httpx.Response:
        """Return what it answers at one of its own ports."""
        url = f"http://127.0.0.1:{self.program.environment[port]}{path}"
        async with httpx.AsyncClient(timeout=30) as client:
            return await client.get(url)

    async def ready(self) -> bool:
        """Return whether it says so."""
        try:
            return (await self.get("/readyz", "ISOLA_HEALTH_PORT")).status_code == 200
        except httpx.TransportError:
            return False

    async def sandbox(self, address: str, *domains: str) -> Sandbox:
        """Return a new Sandbox with these names, whose pod is at an address."""
        store = KubernetesSandboxes(self.client, NAMESPACE)
        network = {"allowedEgressDomains": list(domains)}
        made = await store.create(Draft(name=unique("e"), spec={**SPEC, "network": network}))
        owner = {
            "apiVersion": "sandbox.isola.run/v1alpha1",
            "kind": "Sandbox",
            "name": made.name,
            "uid": made.uid,
            "controller": True,
        }
        metadata = {
            "name": f"{made.name}-pod",
            "labels": {"isola.run/sandbox": "true"},
            "ownerReferences": [owner],
        }
        spec = {"containers": [{"name": "c", "image": "i"}]}
        await self.client.request("POST", PODS, {"metadata": metadata, "spec": spec})
        status = {"podIP": address, "podIPs": [{"ip": address}], "phase": "Running"}
        path = f"{PODS}/{made.name}-pod/status"
        await self.client.request("PATCH", path, {"status": status}, content_type=MERGE_PATCH)
        return made


@pytest.fixture
async def component(api_server: ApiServer, tmp_path: Path) -> AsyncGenerator[Component]:
    async with await KubernetesClient.connect(str(api_server.kubeconfig)) as client:
        address = await _service(client)
        ports = ("DNS_PORT", "CONTROL_PORT", "PORTS")
        environment = {
            "ISOLA_SANDBOX_NAMESPACE": NAMESPACE,
            "ISOLA_NAMESPACE": "default",
            "ISOLA_KUBECONFIG": str(api_server.kubeconfig),
            "ISOLA_EGRESS_SERVICE": "isola-egress",
            "ISOLA_POD_IPS": "127.0.0.1",
            "ISOLA_POD_CIDRS": "127.0.0.0/8",
            "ISOLA_SERVICE_CIDRS": "10.96.0.0/16",
            "ISOLA_NODE_CIDRS": "192.0.2.0/24",
            "ISOLA_METRICS_PORT": str(free_port()),
            "ISOLA_HEALTH_PORT": str(free_port()),
            **{f"ISOLA_EGRESS_{name}": str(free_port()) for name in ports},
        }
        program = Program("isola_egress", environment, tmp_path / "egress.log")
        program.start()
        made = Component(client, program, address)
        try:
            await until(made.ready)
            yield made
        finally:
            program.kill()


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Return once something is so."""
    async with asyncio.timeout(90):
        while not await holds():  # noqa: ASYNC110 - whatever it is that is waited for
            await asyncio.sleep(0.1)


async def _service(client: KubernetesClient) -> str:
    path = "/api/v1/namespaces/default/services"
    body = {"metadata": {"name": "isola-egress"}, "spec": {"ports": [{"port": 53}]}}
    try:
        made = await client.request("POST", path, body)
    except AlreadyExistsError:
        made = await client.request("GET", f"{path}/isola-egress")
    return made["spec"]["clusterIP"]


async def test_a_sandbox_s_pod_is_answered_by_the_sandbox_s_list(component: Component) -> None:
    await component.sandbox("127.0.0.31", "example.com")
    await component.sandbox("127.0.0.32", "*.example.org")
    answers = [
        await component.ask(name, at=address)
        for name, address in (
            ("example.com", "127.0.0.31"),
            ("a.example.org", "127.0.0.31"),
            ("a.example.org", "127.0.0.32"),
            ("example.com", "127.0.0.33"),
        )
    ]
    ours = (dns.rcode.NOERROR, [component.address])
    assert answers == [ours, (dns.rcode.NXDOMAIN, []), ours, (dns.rcode.REFUSED, [])]


async def test_refusals_are_told_and_counted_and_go_with_the_sandbox(component: Component) -> None:
    sandbox = await component.sandbox("127.0.0.34", "example.com")
    for name in ("evil.net", "evil.net", "other.net"):
        await component.ask(name, at="127.0.0.34")

    async def told() -> list[tuple[str, int]]:
        answer = await component.get(
            f"/v1/sandboxes/{sandbox.uid}/refusals", "ISOLA_EGRESS_CONTROL_PORT"
        )
        return [(item["name"], item["count"]) for item in answer.json()["refusals"]]

    assert await told() == [("other.net", 1), ("evil.net", 2)]
    metrics = (await component.get("/metrics", "ISOLA_METRICS_PORT")).text
    assert 'isola_egress_refusals_total{protocol="dns",reason="NameNotAllowed"} 3.0' in metrics
    assert 'isola_egress_queries_total{code="NXDOMAIN"} 3.0' in metrics
    store = KubernetesSandboxes(component.client, NAMESPACE)
    await store.delete(sandbox.name, uid=sandbox.uid)
    await store.remove_finalizer(await store.read(sandbox.name))

    async def forgotten() -> bool:
        return not await told()

    await until(forgotten)


async def test_it_ends_when_told_to(component: Component) -> None:
    assert await asyncio.to_thread(component.program.end) == 0


def test_a_missing_setting_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "isola_egress"],
        env={**os.environ, "ISOLA_SANDBOX_NAMESPACE": "x"},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 2
    assert "ISOLA_" in done.stderr
