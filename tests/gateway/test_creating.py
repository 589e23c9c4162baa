"""POST /v1/sandboxes: what the request may hold, and what becomes of it."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from gateway.fakes import Client, World
from isola_lifecycle import naming
from isola_lifecycle.errors import AlreadyExistsError, RejectedError, TransientError

FULL: dict[str, Any] = {
    "$schema": "https://example.com/schemas/CreateSandboxRequest.json",
    "podTemplate": {
        "containers": [
            {
                "image": "python:3.13",
                "command": ["sleep", "60"],
                "env": {"B": "2", "A": "1"},
                "rootfsSnapshotName": "base",
                "resources": {
                    "limits": {"cpu": "0.5", "memory": "1024Mi", "ephemeralStorage": "1Gi"},
                    "requests": {"cpu": "250m"},
                },
            }
        ]
    },
    "timeoutSeconds": 600,
    "startupTimeoutSeconds": 30,
    "network": {
        "allowInternetEgress": True,
        "allowedEgressCIDRs": ["1.1.1.1/32"],
        "allowClusterDNS": False,
        "nameservers": ["1.1.1.1"],
        "allowIPv6Egress": False,
        "egressRateLimitBytesPerSecond": 1000,
    },
    "terminationPolicy": {"type": "SnapshotRootfs", "snapshotRootfs": {"timeoutSeconds": 60}},
}


def asked(**changes: Any) -> dict[str, Any]:
    return {"podTemplate": {"containers": [{"image": "busybox"}]}, **changes}


def of_container(**container: Any) -> dict[str, Any]:
    return asked(podTemplate={"containers": [{"image": "busybox", **container}]})


async def posted(client: Client, body: Any, **headers: str) -> Any:
    return await client.post("/v1/sandboxes", json=body, headers=headers)


async def test_whoever_has_the_answer_finds_it_in_the_list(client: Client, gateway: World) -> None:
    gateway.view.lags = True
    asking = asyncio.create_task(posted(client, asked()))
    for _ in range(1000):
        await asyncio.sleep(0)  # as much as an answer that waits for nothing could want
    (made,) = await gateway.store.list()
    assert not asking.done()
    gateway.view.lags = False
    gateway.view.take(made)
    body = await (await asking).json
    listed = await (await client.get("/v1/sandboxes")).json
    assert [each["id"] for each in listed["sandboxes"]] == [body["id"]]


async def test_the_least_request_makes_a_pending_sandbox(client: Client, gateway: World) -> None:
    response = await posted(client, asked())
    body = await response.json
    assert response.status_code == 201
    assert re.fullmatch("[a-z][a-z0-9]{21}", body["id"])
    assert response.headers["Location"] == f"/v1/sandboxes/{body['id']}"
    assert body == {
        "id": body["id"],
        "status": "Pending",
        "creationTimestamp": "2026-11-24T01:40:01Z",
        "startupTimeoutSeconds": 90,
        "podTemplate": {"containers": [{"name": "sandbox0", "image": "busybox"}]},
    }
    sandbox = await gateway.store.read(body["id"])
    assert sandbox.spec["podTemplate"] == {
        "spec": {"containers": [{"name": "sandbox0", "image": "busybox"}]}
    }


async def test_the_whole_request_becomes_the_spec(client: Client, gateway: World) -> None:
    name = (await (await posted(client, FULL)).json)["id"]
    assert (await gateway.store.read(name)).spec == {
        "podTemplate": {
            "spec": {
                "containers": [
                    {
                        "name": "sandbox0",
                        "image": "python:3.13",
                        "command": ["sleep", "60"],
                        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                        "resources": {
                            "limits": {"cpu": "500m", "memory": "1Gi", "ephemeral-storage": "1Gi"},
                            "requests": {"cpu": "250m"},
                        },
                    }
                ]
            }
        },
        "rootfsSnapshotSources": [{"snapshotName": "base", "containerName": "sandbox0"}],
        "timeoutSeconds": 600,
        "startupTimeoutSeconds": 30,
        "network": FULL["network"],
        "terminationPolicy": {
            "type": "SnapshotRootfs",
            "snapshotRootfs": {"snapshotName": name, "timeoutSeconds": 60},
        },
    }


async def test_the_response_shows_it_all_but_the_environment(client: Client) -> None:
    body = await (await posted(client, FULL)).json
    container = body["podTemplate"]["containers"][0]
    assert container == {
        "name": "sandbox0",
        "image": "python:3.13",
        "command": ["sleep", "60"],
        "rootfsSnapshotName": "base",
        "resources": {
            "limits": {"cpu": "500m", "memory": "1Gi", "ephemeralStorage": "1Gi"},
            "requests": {"cpu": "250m"},
        },
    }
    assert body["timeoutSeconds"] == 600
    assert body["network"] == FULL["network"]
    assert body["terminationPolicy"]["snapshotRootfs"]["snapshotName"] == body["id"]


async def test_containers_are_named_by_their_place_and_restored_by_name(
    client: Client,
) -> None:
    containers = [
        {"image": "a"},
        {"image": "b", "name": "web", "rootfsSnapshotName": "s1"},
        {"image": "c", "command": None},
    ]
    body = await (await posted(client, asked(podTemplate={"containers": containers}))).json
    shown = body["podTemplate"]["containers"]
    assert [c["name"] for c in shown] == ["sandbox0", "web", "sandbox2"]
    assert [c.get("rootfsSnapshotName") for c in shown] == [None, "s1", None]


async def test_who_asked_travels_with_the_object(client: Client, gateway: World) -> None:
    response = await posted(client, asked(), **{"X-Request-Id": "req-1"})
    sandbox = await gateway.store.read((await response.json)["id"])
    assert sandbox.annotations[naming.REQUEST_ID_ANNOTATION] == "req-1"
    assert response.headers["X-Request-Id"] == "req-1"


@pytest.mark.parametrize(
    ("body", "location"),
    [
        pytest.param({}, "body.podTemplate", id="missing"),
        pytest.param(asked(podTemplate={"containers": []}), "body.podTemplate.containers", id="0"),
        pytest.param(of_container(image=""), "body.podTemplate.containers[0].image", id="empty"),
        pytest.param(of_container(name="A"), "body.podTemplate.containers[0].name", id="label"),
        pytest.param(of_container(ports=[]), "body.podTemplate.containers[0].ports", id="unknown"),
        pytest.param(
            of_container(rootfsSnapshotName="a" * 60),
            "body.podTemplate.containers[0].rootfsSnapshotName",
            id="snapshot name",
        ),
        pytest.param(asked(extra=1), "body.extra", id="unknown at the top"),
        pytest.param(asked(timeoutSeconds=0), "body.timeoutSeconds", id="too small"),
        pytest.param(asked(timeoutSeconds="5"), "body.timeoutSeconds", id="text for a number"),
        pytest.param(asked(timeoutSeconds=True), "body.timeoutSeconds", id="truth for a number"),
        pytest.param(asked(startupTimeoutSeconds=2**63), "body.startupTimeoutSeconds", id="int64"),
        pytest.param(
            asked(network={"nameservers": ["1.1.1.1"] * 4}), "body.network.nameservers", id="4"
        ),
        pytest.param(
            asked(network={"allowedEgressCIDRs": ["1.1.1.1/32"] * 17}),
            "body.network.allowedEgressCIDRs",
            id="17 networks",
        ),
        pytest.param(
            asked(network={"egressRateLimitBytesPerSecond": 10**12 + 1}),
            "body.network.egressRateLimitBytesPerSecond",
            id="too fast",
        ),
        pytest.param(
            asked(terminationPolicy={"type": "Pause"}), "body.terminationPolicy.type", id="enum"
        ),
        pytest.param(
            asked(terminationPolicy={"type": "SnapshotRootfs"}),
            "body.terminationPolicy",
            id="settings missing",
        ),
        pytest.param(
            asked(terminationPolicy={"snapshotRootfs": {}}),
            "body.terminationPolicy",
            id="settings of another type",
        ),
        pytest.param(
            {
                "podTemplate": {"containers": [{"image": "a"}, {"image": "b"}]},
                "terminationPolicy": {"type": "SnapshotRootfs", "snapshotRootfs": {}},
            },
            "body",
            id="a snapshot of two containers",
        ),
        pytest.param({**asked(), "$schema": 5}, "body.$schema", id="$schema must be text"),
        pytest.param([1], "body", id="no object"),
    ],
)
async def test_a_request_that_breaks_a_rule_is_told_where(
    client: Client, gateway: World, body: Any, location: str
) -> None:
    response = await posted(client, body)
    told = await response.json
    assert response.status_code == 422
    assert response.content_type == "application/problem+json"
    assert told["status"] == 422
    assert told["title"] == "Unprocessable Entity"
    assert told["type"] == "about:blank"
    assert location in [error["location"] for error in told["errors"]]
    assert location in told["detail"]
    assert not await gateway.store.list()


async def test_every_violation_is_told_at_once_with_what_was_found(
    client: Client,
) -> None:
    response = await posted(client, of_container(image="", name="B!") | {"timeoutSeconds": 0})
    errors = (await response.json)["errors"]
    assert {e["location"]: e["value"] for e in errors} == {
        "body.podTemplate.containers[0].image": "",
        "body.podTemplate.containers[0].name": "B!",
        "body.timeoutSeconds": 0,
    }


@pytest.mark.parametrize("kind", ["limits", "requests"])
async def test_an_amount_that_is_no_quantity_is_told_by_container_and_resource(
    client: Client, kind: str
) -> None:
    response = await posted(
        client, of_container(name="web", resources={kind: {"ephemeralStorage": "1GB"}})
    )
    assert response.status_code == 400
    detail = (await response.json)["detail"]
    assert "web" in detail
    assert "ephemeralStorage" in detail
    assert kind in detail


@pytest.mark.parametrize(
    "content",
    [b"{", b"nonsense", b"\xff", b'{"a":}', b"[" * 2000],
    ids=["cut off", "no JSON", "no UTF-8", "no value", "deep"],
)
async def test_malformed_json_is_400(client: Client, content: bytes) -> None:
    response = await client.post(
        "/v1/sandboxes", data=content, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 400
    assert (await response.json)["detail"]


async def test_a_missing_body_is_400(client: Client) -> None:
    assert (await client.post("/v1/sandboxes")).status_code == 400


async def test_another_content_type_is_415(client: Client) -> None:
    response = await client.post("/v1/sandboxes", form={"a": "b"})
    assert response.status_code == 415


async def test_a_body_of_a_mebibyte_is_413(client: Client) -> None:
    just_below = json.dumps(asked()).encode().ljust(1024 * 1024 - 1)
    json_type = {"Content-Type": "application/json"}
    below = await client.post("/v1/sandboxes", data=just_below, headers=json_type)
    assert below.status_code == 201
    at = await client.post("/v1/sandboxes", data=just_below + b" ", headers=json_type)
    assert at.status_code == 413


async def test_a_body_that_does_not_come_is_408(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only the length of the wait is changed: five seconds are long in a test.
    monkeypatch.setattr("isola_gateway.binding.BODY_SECONDS", 0.05)
    async with client.request(
        "/v1/sandboxes", method="POST", headers={"Content-Type": "application/json"}
    ) as connection:
        await connection.send(b'{"podTemplate":')
        await asyncio.sleep(0.2)
        await connection.send_complete()
    response = await connection.as_response()
    assert response.status_code == 408


@pytest.mark.parametrize(
    ("failure", "status", "retry_after"),
    [
        pytest.param(AlreadyExistsError("taken"), 409, None, id="the name is taken"),
        pytest.param(RejectedError("not allowed", code=403), 403, None, id="forbidden"),
        pytest.param(
            TransientError("slow down", code=429, retry_after_seconds=42), 429, "42", id="429"
        ),
        pytest.param(
            TransientError("server timeout", code=500, retry_after_seconds=3), 500, "3", id="500"
        ),
        pytest.param(TransientError("down", code=503), 503, None, id="503"),
    ],
)
async def test_what_kubernetes_says_is_passed_on(
    client: Client,
    gateway: World,
    failure: Exception,
    status: int,
    retry_after: str | None,
) -> None:
    gateway.store.failures = [failure]
    response = await posted(client, asked())
    assert response.status_code == status
    assert (await response.json)["detail"] == str(failure)
    assert response.headers.get("Retry-After") == retry_after


async def test_what_the_crd_refuses_is_told_by_field(client: Client, gateway: World) -> None:
    causes = (("spec.network.nameservers[0]", "must be an IP address"), ("", "immutable"))
    gateway.store.failures = [RejectedError("is invalid", code=422, causes=causes)]
    response = await posted(client, asked())
    assert response.status_code == 422
    assert (await response.json)["errors"] == [
        {"location": "body.network.nameservers[0]", "message": "must be an IP address"},
        {"location": "body", "message": "immutable"},
    ]


@pytest.mark.parametrize(
    "failure",
    [TransientError("secret host is down"), RuntimeError("secret")],
    ids=["no answer", "a mistake of ours"],
)
async def test_any_other_failure_is_500_and_keeps_its_cause_for_the_log(
    client: Client, gateway: World, failure: Exception
) -> None:
    gateway.store.failures = [failure]
    response = await posted(client, asked())
    assert response.status_code == 500
    assert "secret" not in await response.get_data(as_text=True)
    assert response.headers["X-Request-Id"]
