"""The store under test: in memory, and on a real API server."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from isola_store.client import KubernetesClient
from isola_store.kubernetes import KubernetesSandboxes
from isola_store.memory import MemorySandboxes
from isola_store.port import SandboxStore
from support.kubernetes_server import NAMESPACE, ApiServer


@pytest.fixture
async def client(api_server: ApiServer) -> AsyncGenerator[KubernetesClient]:
    async with await KubernetesClient.connect(str(api_server.kubeconfig)) as client:
        yield client


@pytest.fixture(
    params=["memory", pytest.param("kubernetes", marks=pytest.mark.apiserver)], name="store"
)
def store_(request: pytest.FixtureRequest) -> SandboxStore:
    if request.param == "memory":
        return MemorySandboxes()
    return KubernetesSandboxes(request.getfixturevalue("client"), NAMESPACE)
