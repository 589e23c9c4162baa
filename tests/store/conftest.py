"""The store under test: in memory, and on a real API server."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from isola_store.client import KubernetesClient
from isola_store.kubernetes import KubernetesSandboxes, KubernetesSnapshots
from isola_store.memory import MemorySandboxes, MemorySnapshots
from isola_store.port import Store
from support.kubernetes_server import NAMESPACE, ApiServer
from support.store import SANDBOXES, SNAPSHOTS, Kind


@pytest.fixture
async def client(api_server: ApiServer) -> AsyncGenerator[KubernetesClient]:
    async with await KubernetesClient.connect(str(api_server.kubeconfig)) as client:
        yield client


@pytest.fixture(params=[SANDBOXES, SNAPSHOTS], ids=["Sandbox", "RootfsSnapshot"])
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


@pytest.fixture(params=["memory", pytest.param("kubernetes", marks=pytest.mark.apiserver)])
def place(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(name="store")
def store_(request: pytest.FixtureRequest, kind: Kind, place: str) -> Store[Any]:
    if place == "memory":
        return MemorySandboxes() if kind is SANDBOXES else MemorySnapshots()
    make = KubernetesSandboxes if kind is SANDBOXES else KubernetesSnapshots
    return make(request.getfixturevalue("client"), NAMESPACE)
