"""A cluster, clients, and sandboxes that are gone after the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import isola
import pytest

from support.cluster import SANDBOXES, Cluster, up


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/e2e/" in str(item.path):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return up()


@pytest.fixture
def client(cluster: Cluster) -> Iterator[isola.Isola]:
    with isola.Isola(url=cluster.url) as client:
        yield client


@pytest.fixture
def http(cluster: Cluster) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{cluster.url}/v1", timeout=60) as http:
        yield http


@pytest.fixture
def create(cluster: Cluster, http: httpx.Client) -> Iterator[Callable[..., dict[str, Any]]]:
    """Create sandboxes over REST; they are deleted with the test."""
    created: list[str] = []

    def create(**container: Any) -> dict[str, Any]:
        fields = {key: container.pop(key) for key in list(container) if key.endswith("Seconds")}
        body = {
            "podTemplate": {"containers": [{"image": cluster.image, **container}]},
            "timeoutSeconds": 900,
            **fields,
        }
        answer = http.post("/sandboxes", json=body)
        assert answer.status_code == 201, answer.text
        created.append(answer.json()["id"])
        return answer.json()

    yield create
    for name in created:
        http.delete(f"/sandboxes/{name}")
    if created:
        cluster.kubectl(
            *("wait", "--for=delete", "-n", SANDBOXES, "--timeout=90s"),
            *(f"sandbox/{name}" for name in created),
            check=False,
        )


@pytest.fixture
def sandbox(cluster: Cluster, client: isola.Isola) -> Iterator[isola.Sandbox]:
    with client.sandboxes.create(image=cluster.image, timeout_seconds=900) as sandbox:
        yield sandbox
