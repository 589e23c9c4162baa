"""One request, sent again: through another gateway, or one that knows nothing of the first."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any
from uuid import uuid4

import httpx
import isola
import pytest

from support.cluster import SYSTEM, Cluster, until

GATEWAY = "isola-api-gateway"


@pytest.fixture(scope="module")
def gateways(cluster: Cluster) -> Iterator[list[httpx.Client]]:
    """Two gateways, each spoken to by itself."""
    _scale(cluster, 2)
    try:
        with ExitStack() as stack:
            urls = [stack.enter_context(_forwarded(cluster, pod)) for pod in _pods(cluster)]
            yield [
                stack.enter_context(httpx.Client(base_url=f"{url}/v1", timeout=60)) for url in urls
            ]
    finally:
        _scale(cluster, 1)
        cluster.wait_for_isola()


def _scale(cluster: Cluster, replicas: int) -> None:
    cluster.kubectl("scale", f"deployment/{GATEWAY}", "-n", SYSTEM, f"--replicas={replicas}")
    until(lambda: len(_pods(cluster)) == replicas, seconds=60, what=f"{replicas} gateways")


def _pods(cluster: Cluster) -> list[str]:
    selector = "app.kubernetes.io/component=api-gateway"
    found = cluster.get("pods", namespace=SYSTEM, selector=selector)["items"]
    return [
        pod["metadata"]["name"]
        for pod in found
        if "deletionTimestamp" not in pod["metadata"]
        and any(
            c["type"] == "Ready" and c["status"] == "True"
            for c in pod["status"].get("conditions", ())
        )
    ]


@contextmanager
def _forwarded(cluster: Cluster, pod: str) -> Generator[str]:
    command = ["kubectl", "port-forward", "-n", SYSTEM, f"pod/{pod}", ":8080"]
    process = subprocess.Popen(command, env=cluster.environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        said = process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", said)
        assert found, said
        yield f"http://127.0.0.1:{found[1]}"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def test_creates_at_once_through_two_gateways_are_one_sandbox(
    cluster: Cluster, gateways: list[httpx.Client]
) -> None:
    body = {"podTemplate": {"containers": [{"image": cluster.image}]}, "timeoutSeconds": 300}
    key = {"Idempotency-Key": str(uuid4())}

    def create(number: int) -> httpx.Response:
        return gateways[number % 2].post("/sandboxes", json=body, headers=key)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(create, range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    replayed = [answer.headers.get("Idempotent-Replayed") for answer in answers]
    assert sorted(map(str, replayed)) == ["None", *["true"] * 7]
    other = gateways[0].post("/sandboxes", json={**body, "timeoutSeconds": 301}, headers=key)
    assert other.status_code == 422
    gateways[0].delete(f"/sandboxes/{answers[0].json()['id']}")


def test_every_post_to_a_sandbox_is_done_once_whoever_is_asked(
    sandbox: isola.Sandbox, gateways: list[httpx.Client]
) -> None:
    base = f"/sandboxes/{sandbox.id}"

    def twice(path: str, **request: Any) -> list[httpx.Response]:
        headers = {"Idempotency-Key": str(uuid4())}
        return [each.post(base + path, headers=headers, **request) for each in gateways]

    started = twice("/commands", json={"args": ["sh", "-c", "echo once >>/runs; cat >/typed"]})
    assert [each.status_code for each in started] == [202, 202]
    assert len({each.json()["id"] for each in started}) == 1
    command = f"/commands/{started[0].json()['id']}"
    assert [a.status_code for a in twice(f"{command}/stdin", content=b"typed")] == [204, 204]
    assert [a.status_code for a in twice(f"{command}/stdin/close")] == [204, 204]
    gateways[0].get(f"{base}{command}/status", params={"waitSeconds": 20})
    assert sandbox.filesystem.read("/runs") == b"once\n"
    assert sandbox.filesystem.read("/typed") == b"typed"

    uploaded = twice("/filesystem", params={"path": "/moving"}, content=b"x")
    assert [a.status_code for a in uploaded] == [204, 204]
    made = twice("/filesystem/directories", params={"path": "/new"})
    assert [a.status_code for a in made] == [201, 201]
    moved = twice("/filesystem/move", params={"from": "/moving", "to": "/moved"})
    assert [a.status_code for a in moved] == [204, 204]


def test_a_gateway_that_was_killed_in_between_changes_nothing(
    cluster: Cluster, sandbox: isola.Sandbox, http: httpx.Client
) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    body = {"podTemplate": {"containers": [{"image": cluster.image}]}, "timeoutSeconds": 300}
    command = {"args": ["sh", "-c", "echo once >>/runs"]}

    def ask() -> tuple[str, str]:
        made = http.post("/sandboxes", json=body, headers=key)
        ran = http.post(f"/sandboxes/{sandbox.id}/commands", json=command, headers=key)
        assert (made.status_code, ran.status_code) == (201, 202)
        return made.json()["id"], ran.json()["id"]

    first = ask()
    cluster.delete_pod_of("api-gateway")
    cluster.wait_for_isola()
    assert ask() == first
    http.delete(f"/sandboxes/{first[0]}")
    assert sandbox.filesystem.read("/runs") == b"once\n"
