"""The gateway as a process, on a real API server: what only the two of them together can show."""

from __future__ import annotations

import json
import signal
from collections.abc import Generator
from typing import Any

import httpx
import isola
import pytest

from gateway.process import comes_to_hold, resource, running_gateway
from isola_lifecycle.chain import faults
from support.kubernetes_server import ApiServer

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module")
def url(api_server: ApiServer) -> Generator[str]:
    with running_gateway(api_server) as (url, _):
        yield url


def test_what_is_created_is_there_at_once_and_as_the_crd_completes_it(
    url: str, api_server: ApiServer
) -> None:
    with isola.Isola(url=url) as client:
        names: list[str] = []
        for _ in range(10):
            names.append(client.sandboxes.create(image="x", max_wait_seconds=0).id)
            again = client.sandboxes.get(names[-1])
            assert (again.status, again.startup_timeout_seconds) == ("Pending", 90)
        comes_to_hold(lambda: set(names) <= {s.id for s in client.sandboxes.list()})
    stored = resource(api_server, "sandbox", names[0])
    assert stored["metadata"]["finalizers"]
    assert stored["metadata"]["annotations"]["isola.run/requested-by"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("network", "location"),
    [
        ({"allowedEgressCIDRs": ["not a network"]}, "body.network"),
        ({"nameservers": ["nobody"]}, "body.network"),
        ({"nameservers": ["2001:4860:4860::8888"]}, "body.network"),
    ],
    ids=["no network", "no address", "IPv6 without permission"],
)
def test_what_the_crd_refuses_is_422_and_says_where(
    url: str, network: dict[str, Any], location: str
) -> None:
    body = {"podTemplate": {"containers": [{"image": "busybox"}]}, "network": network}
    response = httpx.post(f"{url}/v1/sandboxes", json=body)
    problem = response.json()
    assert response.status_code == 422, problem
    assert problem["errors"][0]["location"].startswith(location)


def test_deleting_leaves_the_request_in_the_log_with_who_made_it(
    url: str, api_server: ApiServer
) -> None:
    with isola.Isola(url=url) as client:
        made = client.sandboxes.create(image="busybox", max_wait_seconds=0)
    path = f"{url}/v1/sandboxes/{made.id}"
    assert httpx.delete(path, headers={"X-Request-Id": "req-7"}).status_code == 204
    assert httpx.get(path).json()["status"] == "Terminating"
    stored = resource(api_server, "sandbox", made.id)
    assert stored["metadata"]["deletionTimestamp"]
    [entry] = stored["status"]["conditions"]
    assert (entry["type"], entry["requestId"]) == ("TerminationRequested", "req-7")
    assert entry["actor"] == "gateway on behalf of 127.0.0.1"
    history = httpx.get(f"{path}/history").json()["entries"]
    assert history == [entry]
    assert faults(stored["metadata"]["uid"], history) == ()
    assert httpx.delete(path).status_code == 204


def test_two_gateways_delete_one_sandbox_and_record_it_once(
    url: str, api_server: ApiServer
) -> None:
    with running_gateway(api_server) as (other, _), isola.Isola(url=url) as client:
        made = client.sandboxes.create(image="busybox", max_wait_seconds=0)
        for base in (url, other):
            assert httpx.delete(f"{base}/v1/sandboxes/{made.id}").status_code == 204
    assert len(resource(api_server, "sandbox", made.id)["status"]["conditions"]) == 1


def test_it_stops_when_it_is_told_to(api_server: ApiServer) -> None:
    with running_gateway(api_server) as (_, process):
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_a_key_is_one_sandbox_through_any_gateway_and_after_a_restart(
    url: str, api_server: ApiServer
) -> None:
    body = {"podTemplate": {"containers": [{"image": "busybox"}]}}
    headers = {"Idempotency-Key": "across-gateways"}
    answers = [httpx.post(f"{url}/v1/sandboxes", json=body, headers=headers)]
    with running_gateway(api_server) as (other, _):
        answers += [httpx.post(f"{other}/v1/sandboxes", json=body, headers=headers)]
        reused = httpx.post(
            f"{other}/v1/sandboxes", json={**body, "timeoutSeconds": 5}, headers=headers
        )
    assert [a.status_code for a in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert [a.headers.get("Idempotent-Replayed") for a in answers] == [None, "true"]
    assert reused.status_code == 422


def test_labels_choose_what_kubectl_chooses(url: str, api_server: ApiServer) -> None:
    body = {"podTemplate": {"containers": [{"image": "busybox"}]}}
    made = [
        httpx.post(f"{url}/v1/sandboxes", json={**body, "labels": labels}).json()["id"]
        for labels in ({"crew": "a", "example.com/run": "7"}, {"crew": "a"}, {"crew": "b"})
    ]

    def listed(selector: str) -> set[str]:
        found = httpx.get(f"{url}/v1/sandboxes", params={"labels": selector}).json()
        return {sandbox["id"] for sandbox in found["sandboxes"]}

    comes_to_hold(lambda: len(listed("crew=a") | listed("crew=b")) == 3)
    for selector in ("crew=a", "crew=a,example.com/run!=7", "example.com/run==7"):
        known = api_server.run_kubectl("get", "sandbox", "-l", selector, "-o", "name").stdout
        assert {name.partition("/")[2] for name in str(known).split()} == listed(selector)
    assert listed("crew=a,example.com/run!=7") == {made[1]}


def test_a_followed_history_shows_the_end_and_ends(url: str, api_server: ApiServer) -> None:
    body = {"podTemplate": {"containers": [{"image": "busybox"}]}}
    path = f"{url}/v1/sandboxes/{httpx.post(f'{url}/v1/sandboxes', json=body).json()['id']}"
    with httpx.stream("GET", f"{path}/history", params={"follow": "true"}, timeout=20) as stream:
        lines = stream.iter_lines()
        assert next(lines) == ": keepalive"
        httpx.delete(path)
        assert next(line for line in lines if line.startswith("id: ")) == "id: 1"
        assert json.loads(next(lines).removeprefix("data: "))["type"] == "TerminationRequested"
        name = path.rpartition("/")[2]
        patch = json.dumps({"metadata": {"finalizers": None}})
        api_server.run_kubectl("patch", "sandbox", name, "--type=merge", "-p", patch)
        assert not [line for line in lines if line.startswith("id: ")]
    assert httpx.get(path).status_code == 404
