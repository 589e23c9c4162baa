"""The gateway as a process, with a real API server, operator and sidecar behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.asking import LONGEST_SECONDS, Server, ask
from contract.whole import node, programs, running_sandbox
from sidecar.pods import Pod, require_tools
from support.kubernetes_server import ApiServer

pytestmark = pytest.mark.apiserver


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    """The pod that every sandbox of this test is."""
    require_tools()
    with Pod(tmp_path / "pod", own_network=True) as pod:
        pod.add("sandbox0", prepare="mkdir /sandbox", directory="/sandbox")
        pod.start_sidecar()
        yield pod


@pytest.fixture
def gateway(tmp_path: Path, api_server: ApiServer) -> Iterator[str]:
    """A gateway and an operator, running; the gateway's address."""
    with programs(tmp_path, api_server) as url:
        yield url


@pytest.mark.timeout(LONGEST_SECONDS)
async def test_it_keeps_every_promise(
    gateway: str, pod: Pod, api_server: ApiServer, tmp_path: Path
) -> None:
    async with node(api_server, pod.address):
        sandbox = await asyncio.to_thread(running_sandbox, gateway)
        server = Server(
            "gateway.json", gateway, f"/v1/sandboxes/{sandbox}/commands", sandbox=sandbox
        )
        report = await asyncio.to_thread(ask, server, tmp_path, examples=66)

    assert report.code == 0, report.output
    assert report.requests >= 3200
    assert not [status for status in report.statuses() if status >= 500], report.answers
    assert report.never_accepted() == {"openTerminal"}  # schemathesis speaks no WebSocket
