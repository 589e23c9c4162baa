"""Snapshots over REST on a real API server: by the published client, by HTTP, with the operator.

Where a snapshot is to be stored, the test is operator and uploader: it appends through the store,
as they do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import isola
import pytest

from gateway.fakes import captured, fact, stored
from gateway.process import comes_to_hold, is_up, resource, running_gateway
from isola_lifecycle.chain import faults
from isola_lifecycle.log import Fact
from isola_store.client import KubernetesClient
from isola_store.kubernetes import KubernetesSnapshots
from support.kubernetes_server import NAMESPACE, NODE_NAMESPACE, ApiServer, free_port
from support.program import Program
from support.store import append, unique

pytestmark = pytest.mark.apiserver

SNAPSHOTS = "/v1/rootfs-snapshots"


@pytest.fixture(scope="module")
def url(api_server: ApiServer) -> Generator[str]:
    with running_gateway(api_server) as (url, _):
        yield url


@pytest.fixture
def http(url: str) -> Generator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client


@contextmanager
def operator(api_server: ApiServer, folder: Path) -> Generator[None]:
    """The operator, which takes snapshots, and has no node to take one on."""
    environment = {
        "ISOLA_SANDBOX_NAMESPACE": NAMESPACE,
        "ISOLA_KUBECONFIG": str(api_server.kubeconfig),
        "ISOLA_SANDBOX_SIDECAR_IMAGE": "sidecar:1",
        "ISOLA_METRICS_PORT": str(free_port()),
        "ISOLA_HEALTH_PORT": str(free_port()),
        "ISOLA_ROOTFSSNAPSHOT_ENABLED": "true",
        "ISOLA_NODE_NAMESPACE": NODE_NAMESPACE,
        "ISOLA_ROOTFSSNAPSHOT_BUCKET_URL": "s3://bucket",
        "ISOLA_ROOTFSSNAPSHOT_STAGING_ROOT": "/var/lib/isola",
        "ISOLA_SNAPSHOT_UPLOADER_IMAGE": "uploader:1",
    }
    program = Program("isola_operator", environment, folder / "operator.log")
    program.start()

    def is_ready() -> bool:
        assert program.process
        assert program.process.poll() is None, program.log.read_text()
        return is_up(f"http://127.0.0.1:{environment['ISOLA_HEALTH_PORT']}")

    try:
        comes_to_hold(is_ready)
        yield
    finally:
        program.kill()


def asked(http: httpx.Client, code: int = 201, **changes: Any) -> Any:
    """Ask for a snapshot of a sandbox of its own."""
    body = {"sandboxId": unique("snapped"), **changes}
    response = http.post(SNAPSHOTS, json=body)
    assert response.status_code == code, response.text
    return response.json()


def tell(api_server: ApiServer, snapshot_name: str, *told: Fact) -> None:
    """Append to the log of the one snapshot of that name, once it is there."""

    async def tells() -> None:
        async with (
            asyncio.timeout(60),
            await KubernetesClient.connect(str(api_server.kubeconfig)) as client,
        ):
            store = KubernetesSnapshots(client, NAMESPACE)
            while True:
                for snapshot in await store.list():
                    if snapshot.snapshot_name == snapshot_name:
                        await append(store, snapshot, *told)
                        return
                await asyncio.sleep(0.05)

    asyncio.run(tells())


def takes(client: Callable[[], Any], api_server: ApiServer, name: str, *told: Fact) -> Any:
    """Return what `client`, in a thread, makes of a snapshot whose log then says `told`."""
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(client)
        tell(api_server, name, *told)
        return asking.result(60)


# --- the published client ----------------------------------------------------------------------


def test_the_client_waits_until_its_snapshot_is_stored(url: str, api_server: ApiServer) -> None:
    name = unique("kept")

    def take() -> isola.RootfsSnapshot:
        with isola.Isola(url=url) as client:
            taken = client.rootfs_snapshots.create(
                sandbox_id="box",
                snapshot_name=name,
                container_name="tools",
                timeout_seconds=60,
                ttl_seconds_after_finished=600,
            )
            assert client.rootfs_snapshots.get(taken.id).status == "Succeeded"
            return taken

    taken = takes(take, api_server, name, *stored())
    assert (taken.status, taken.sandbox_id, taken.snapshot_name) == ("Succeeded", "box", name)
    assert (taken.container_name, taken.timeout_seconds) == ("tools", 60)
    assert taken.ttl_seconds_after_finished == 600


def test_the_asynchronous_client_takes_all_defaults(url: str, api_server: ApiServer) -> None:
    sandbox = unique("defaults")

    async def take() -> isola.AsyncRootfsSnapshot:
        async with isola.AsyncIsola(url=url) as client:
            taken = await client.rootfs_snapshots.create(sandbox_id=sandbox)
            with pytest.raises(isola.ConflictError, match="taken by rootfs snapshot"):
                await client.rootfs_snapshots.create(sandbox_id=sandbox, max_wait_seconds=0)
            return taken

    taken = takes(lambda: asyncio.run(take()), api_server, sandbox, *stored())
    assert (taken.snapshot_name, taken.container_name) == (sandbox, None)
    assert (taken.timeout_seconds, taken.ttl_seconds_after_finished) == (300, 300)


def test_the_client_raises_for_one_that_failed(url: str, api_server: ApiServer) -> None:
    name = unique("failing")
    failed = fact("Succeeded", "CaptureFailed", holds=False)

    def take() -> None:
        with isola.Isola(url=url) as client:
            client.rootfs_snapshots.create(sandbox_id="box", snapshot_name=name)

    with pytest.raises(isola.IsolaError, match="Failed"):
        takes(take, api_server, name, *captured(), failed)


def test_errors_are_the_client_s_own_kinds(url: str) -> None:
    with isola.Isola(url=url) as client:
        with pytest.raises(isola.NotFoundError):
            client.rootfs_snapshots.get("nobody")
        with pytest.raises(isola.ValidationError):
            client.rootfs_snapshots.get("No Body")
        with pytest.raises(isola.ValidationError, match="sandboxId"):
            client.rootfs_snapshots.create(sandbox_id="No Body")


# --- what only the API server can show ---------------------------------------------------------


def test_what_is_asked_for_is_there_at_once_and_as_the_crd_completes_it(
    http: httpx.Client, api_server: ApiServer
) -> None:
    body = asked(http, pause=True, labels={"crew": "rest"})
    assert http.get(f"{SNAPSHOTS}/{body['id']}").json() == body
    assert (body["timeoutSeconds"], body["deletionPolicy"]) == (300, "Retain")
    kept = resource(api_server, "rfs", body["id"])
    assert kept["metadata"]["finalizers"]
    assert kept["metadata"]["annotations"]["isola.run/requested-by"] == "127.0.0.1"
    assert kept["metadata"]["labels"] == {"crew": "rest"}
    assert kept["spec"] == {
        "sandboxName": body["sandboxId"],
        "snapshotName": body["sandboxId"],
        "timeoutSeconds": 300,
        "ttlSecondsAfterFinished": 300,
        "replace": False,
        "pause": True,
        "deletionPolicy": "Retain",
        "trigger": "Request",
    }


def test_a_taken_name_is_409_at_once_unless_it_is_replaced(http: httpx.Client) -> None:
    first = asked(http)
    refused = asked(http, 409, sandboxId=first["sandboxId"])
    assert first["id"] in refused["detail"]
    refused = asked(http, 409, snapshotName=first["snapshotName"])
    assert asked(http, snapshotName=first["snapshotName"], replace=True)["id"] != first["id"]


def test_a_key_is_one_snapshot_through_any_gateway(
    http: httpx.Client, api_server: ApiServer
) -> None:
    body = {"sandboxId": unique("keyed")}
    headers = {"Idempotency-Key": unique("key")}
    answers = [http.post(SNAPSHOTS, json=body, headers=headers)]
    with running_gateway(api_server) as (other, _):
        answers += [httpx.post(f"{other}{SNAPSHOTS}", json=body, headers=headers)]
        reused = httpx.post(f"{other}{SNAPSHOTS}", json={**body, "pause": True}, headers=headers)
        taken = httpx.post(f"{other}{SNAPSHOTS}", json=body)
    assert [a.status_code for a in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert [a.headers.get("Idempotent-Replayed") for a in answers] == [None, "true"]
    assert (reused.status_code, taken.status_code) == (422, 409)


def test_who_prefers_to_wait_hears_of_the_end(http: httpx.Client, api_server: ApiServer) -> None:
    name = unique("awaited")
    body = {"sandboxId": "box", "snapshotName": name}

    def take() -> httpx.Response:
        return http.post(SNAPSHOTS, json=body, headers={"Prefer": "wait=25"})

    response = takes(take, api_server, name, *stored())
    assert response.headers["Preference-Applied"] == "wait=25"
    assert (response.json()["status"], response.json()["sizeBytes"]) == ("Succeeded", 10240)


def test_pages_of_a_choice_are_those_that_kubectl_chooses(
    http: httpx.Client, api_server: ApiServer
) -> None:
    sandbox, crew = unique("paged"), unique("crew")
    body: dict[str, Any] = {"sandboxId": sandbox, "labels": {"crew": crew}}
    made = [asked(http, **body, snapshotName=unique("page"))["id"] for _ in range(5)]
    query: dict[str, Any] = {"sandboxId": sandbox, "labels": f"crew={crew}", "limit": 2}
    comes_to_hold(lambda: len(_all(http, query)) == len(made))
    assert sorted(_all(http, query)) == sorted(made)
    known = api_server.run_kubectl("get", "rfs", "-l", f"crew={crew}", "-o", "name").stdout
    assert {line.partition("/")[2] for line in known.split()} == set(made)
    assert len(_all(http, query | {"status": "Succeeded"})) == 0


def _all(http: httpx.Client, query: dict[str, Any]) -> list[str]:
    found: list[str] = []
    while True:
        page = http.get(SNAPSHOTS, params=query).raise_for_status().json()
        assert len(page["rootfsSnapshots"]) <= query["limit"]
        found += [item["id"] for item in page["rootfsSnapshots"]]
        if "nextCursor" not in page:
            return found
        query = query | {"cursor": page["nextCursor"]}


def test_removing_leaves_the_request_in_the_log_with_who_made_it(
    http: httpx.Client, api_server: ApiServer
) -> None:
    body = asked(http)
    tell(api_server, body["snapshotName"], *stored())
    path = f"{SNAPSHOTS}/{body['id']}"
    assert http.delete(path, headers={"X-Request-Id": "req-7"}).status_code == 204
    kept = resource(api_server, "rfs", body["id"])
    assert kept["metadata"]["deletionTimestamp"]
    entry = kept["status"]["conditions"][0]
    assert (entry["type"], entry["requestId"]) == ("DeletionRequested", "req-7")
    assert entry["actor"] == "gateway on behalf of 127.0.0.1"
    assert entry["data"]["object"] == "Delete"
    history = http.get(f"{path}/history").json()
    assert history["entries"] == kept["status"]["conditions"][::-1]
    assert faults(kept["metadata"]["uid"], history["entries"]) == ()
    assert http.delete(path).status_code == 204
    # Of a resource that nobody has asked for yet, the API server may want to be asked again (429).
    comes_to_hold(lambda: http.delete(f"{SNAPSHOTS}/nobody").status_code == 204)


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(("sandbox1", None), id="two of one name"),
        pytest.param((None,) * 17, id="more than the resource takes"),
    ],
)
def test_restores_that_the_crd_refuses_are_422_and_say_where(
    http: httpx.Client, names: tuple[str | None, ...]
) -> None:
    restored = {"image": "i", "rootfsSnapshotName": "base"}
    containers = [{**restored, "name": name} for name in names]
    response = http.post("/v1/sandboxes", json={"podTemplate": {"containers": containers}})
    assert response.status_code == 422, response.text
    assert response.json()["errors"][0]["location"] == "body.podTemplate.containers"


# --- with the operator -------------------------------------------------------------------------


def test_what_cannot_be_taken_tells_who_asked_is_removed_and_stays_on_record(
    http: httpx.Client, api_server: ApiServer, tmp_path: Path
) -> None:
    with operator(api_server, tmp_path):
        headers = {"X-Request-Id": "req-8", "Prefer": "wait=25"}
        body = http.post(SNAPSHOTS, json={"sandboxId": unique("nobody")}, headers=headers).json()
        path = f"{SNAPSHOTS}/{body['id']}"
        assert http.get(path, params={"waitSeconds": 25}).json()["reason"] == "SandboxNotFound"
        accepted = http.get(f"{path}/history").json()["entries"][0]
        assert accepted["actor"].startswith("operator on behalf of 127.0.0.1")
        assert accepted["requestId"] == "req-8"

        assert http.delete(path, headers={"X-Request-Id": "req-9"}).status_code == 204
        comes_to_hold(lambda: http.get(path).status_code == 404)
        assert http.delete(path).status_code == 204
    history = http.get(f"{path}/history").json()
    told = [(e["type"], e.get("requestId")) for e in history["entries"]]
    expected = [("Accepted", "req-8"), ("Succeeded", None), ("DeletionRequested", "req-9")]
    assert (history["deleted"], told) == (True, expected)
    assert faults(history["uid"], history["entries"]) == ()


def test_a_followed_history_ends_when_the_snapshot_is_gone(
    http: httpx.Client, api_server: ApiServer, tmp_path: Path
) -> None:
    path = f"{SNAPSHOTS}/{asked(http)['id']}"
    follow = http.stream("GET", f"{path}/history", params={"follow": "true"})
    with operator(api_server, tmp_path), follow as stream:
        numbers: list[str] = []
        for line in stream.iter_lines():
            if line.startswith("id: "):
                numbers.append(line.removeprefix("id: "))
                if numbers == ["1", "2"]:
                    httpx.delete(f"{http.base_url}{path}").raise_for_status()
    assert numbers == ["1", "2", "3"]
