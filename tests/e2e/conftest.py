"""A cluster, clients, and sandboxes that are gone after the test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import isola
import pytest

from e2e.surroundings import Surroundings, surroundings
from support.cluster import SANDBOXES, Cluster, up


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/e2e/" in str(item.path):
            item.add_marker(pytest.mark.e2e)
    items.sort(key=lambda item: item.path.name == "test_node_loss.py")


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return up()


@pytest.fixture(scope="session")
def around(cluster: Cluster) -> Iterator[Surroundings]:
    with surroundings(cluster) as around:
        yield around


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

    def create(
        *containers: dict[str, Any], headers: dict[str, str] | None = None, **options: Any
    ) -> dict[str, Any]:
        """Create one with these containers, or with one that is as `options` say."""
        others = {"labels", "network", "terminationPolicy"}
        keys = [key for key in options if key.endswith("Seconds") or key in others]
        fields = {key: options.pop(key) for key in keys}
        body = {
            "podTemplate": {
                "containers": [
                    {"image": cluster.image, **each} for each in containers or (options,)
                ]
            },
            "timeoutSeconds": 900,
            **fields,
        }
        answer = http.post("/sandboxes", json=body, headers=headers)
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
def apply(cluster: Cluster) -> Iterator[Callable[..., None]]:
    """Make sandboxes with kubectl, whose pods may be as REST has no words for."""
    applied: list[str] = []

    def apply(name: str, pod: dict[str, Any], **spec: Any) -> None:
        manifest = {
            "apiVersion": "sandbox.isola.run/v1alpha1",
            "kind": "Sandbox",
            "metadata": {"name": name, "namespace": SANDBOXES},
            "spec": {"timeoutSeconds": 600, **spec, "podTemplate": {"spec": pod}},
        }
        applied.append(name)
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))

    yield apply
    if applied:
        cluster.kubectl("delete", "sandbox", "-n", SANDBOXES, "--ignore-not-found", *applied)


@pytest.fixture
def sandbox(cluster: Cluster, client: isola.Isola) -> Iterator[isola.Sandbox]:
    with client.sandboxes.create(image=cluster.image, timeout_seconds=900) as sandbox:
        yield sandbox
