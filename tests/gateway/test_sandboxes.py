"""Sandboxes read, listed, told about and ended."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from gateway.fakes import START, Client, World, fact, started
from isola_lifecycle.chain import faults
from isola_lifecycle.errors import ExpectedVersionError
from isola_lifecycle.log import Fact

REQUESTED = fact("TerminationRequested", "ClientRequest", "asked for")
OVER = fact("Ready", "SandboxEnded", "over", holds=False)


async def got(client: Client, path: str) -> Any:
    response = await client.get(path)
    assert response.status_code == 200, await response.get_data(as_text=True)
    return await response.json


@pytest.mark.parametrize(
    ("facts", "status", "reason"),
    [
        pytest.param((), "Pending", None, id="nothing yet"),
        pytest.param(started()[:1], "Pending", "SpecValid", id="accepted"),
        pytest.param(
            (*started()[:3], fact("Started", "ImagePullFailed", "no such image", holds=False)),
            "Pending",
            "ImagePullFailed",
            id="trouble",
        ),
        pytest.param(started(), "Running", "PodReady", id="ready"),
        pytest.param((*started(), REQUESTED), "Terminating", "ClientRequest", id="leaving"),
        pytest.param(
            (*started(), OVER, fact("Succeeded", "Completed", exitCode="0")),
            "Succeeded",
            "Completed",
            id="ended well",
        ),
        pytest.param(
            (*started(), OVER, fact("Succeeded", "OOMKilled", holds=False), REQUESTED),
            "Failed",
            "OOMKilled",
            id="an outcome outlasts the request to go",
        ),
    ],
)
async def test_status_and_reason_follow_the_log_in_get_and_list(
    client: Client,
    gateway: World,
    facts: tuple[Fact, ...],
    status: str,
    reason: str | None,
) -> None:
    await gateway.exists("box", *facts)
    one = await got(client, "/v1/sandboxes/box")
    every = await got(client, "/v1/sandboxes")
    assert one["status"] == status
    assert one.get("reason") == reason
    assert every == {
        "sandboxes": [
            {"id": "box", "status": status, "creationTimestamp": one["creationTimestamp"]}
        ]
    }


async def test_an_ended_sandbox_tells_exit_code_and_cause_and_where_it_was(
    client: Client, gateway: World
) -> None:
    end = fact("Succeeded", "Error", "exited with code 3", holds=False, exitCode="3")
    await gateway.exists("box", *started(), OVER, end)
    one = await got(client, "/v1/sandboxes/box")
    assert (one["exitCode"], one["message"], one["node"]) == (3, "exited with code 3", "worker-1")


async def test_an_empty_list_is_a_list(client: Client) -> None:
    assert await got(client, "/v1/sandboxes") == {"sandboxes": []}


async def test_the_list_is_oldest_first(client: Client, gateway: World) -> None:
    for name in ("zeta", "alpha", "mid"):
        await gateway.exists(name)
    listed = await got(client, "/v1/sandboxes")
    assert [s["id"] for s in listed["sandboxes"]] == ["zeta", "alpha", "mid"]


async def test_a_sandbox_that_the_copy_does_not_know_yet_is_found(
    client: Client, gateway: World
) -> None:
    gateway.view.lags = True
    await gateway.exists("box")
    assert (await got(client, "/v1/sandboxes/box"))["id"] == "box"


@pytest.mark.parametrize("path", ["/v1/sandboxes/box", "/v1/sandboxes/box/history"])
async def test_an_unknown_sandbox_is_404(client: Client, path: str) -> None:
    response = await client.get(path)
    assert response.status_code == 404
    assert "box" in (await response.json)["detail"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("name", ["Box", "-a", "a-", "a..b", "a_b", "a" * 48, "%20", "a%0A"])
async def test_an_id_that_breaks_the_grammar_is_422_not_404(
    client: Client, method: str, name: str
) -> None:
    response = await client.open(f"/v1/sandboxes/{name}", method=method)
    assert response.status_code == 422
    assert (await response.json)["errors"][0]["location"] == "path.id"


@pytest.mark.parametrize("name", ["a", "a" * 47, "a-b.c-d", "0"])
async def test_an_id_at_the_edge_of_the_grammar_is_merely_unknown(
    client: Client, name: str
) -> None:
    assert (await client.get(f"/v1/sandboxes/{name}")).status_code == 404


async def test_an_object_made_by_hand_is_shown_whatever_it_holds(
    client: Client, gateway: World
) -> None:
    await gateway.exists(
        "box",
        podTemplate={"spec": {"containers": [{"command": ["x", 1], "resources": {}}, "?"]}},
        rootfsSnapshotSources=[{"snapshotName": "base"}],
        network={"allowClusterDNS": True, "ofANewerRelease": 1},
    )
    one = await got(client, "/v1/sandboxes/box")
    first = one["podTemplate"]["containers"][0]
    assert first == {"name": "", "image": "", "command": ["x", "1"], "rootfsSnapshotName": "base"}
    assert one["network"] == {"allowClusterDNS": True}
    await gateway.exists("bare", podTemplate=[])
    assert (await got(client, "/v1/sandboxes/bare"))["podTemplate"] == {"containers": []}


# --- waiting for the start ---------------------------------------------------------------------


async def test_the_first_look_at_a_new_sandbox_waits_for_its_start(gateway: World) -> None:
    client = gateway.app(patience=timedelta(seconds=5)).test_client()
    await gateway.exists("box")
    looking = asyncio.create_task(got(client, "/v1/sandboxes/box"))
    await asyncio.sleep(0.05)
    assert not looking.done()
    await gateway.records("box", *started())
    assert (await looking)["status"] == "Running"


@pytest.mark.parametrize(
    ("query", "facts"),
    [
        pytest.param("?waitSeconds=0", (), id="who will not wait"),
        pytest.param("", started(), id="who has started"),
        pytest.param("", (fact("Started", "ImagePullFailed", holds=False),), id="who has trouble"),
        pytest.param("", (fact("Succeeded", "PodRejected", holds=False),), id="who has ended"),
        pytest.param("", (REQUESTED,), id="who is leaving"),
    ],
)
async def test_nothing_else_waits(gateway: World, query: str, facts: tuple[Fact, ...]) -> None:
    client = gateway.app(patience=timedelta(seconds=50)).test_client()
    await gateway.exists("box", *facts)
    async with asyncio.timeout(1):
        await got(client, f"/v1/sandboxes/box{query}")


async def test_an_old_sandbox_is_shown_at_once_or_after_as_long_as_is_asked(
    gateway: World,
) -> None:
    client = gateway.app(patience=timedelta(seconds=50)).test_client()
    await gateway.exists("box")
    gateway.clock.now += timedelta(seconds=11)
    async with asyncio.timeout(1):
        await got(client, "/v1/sandboxes/box")
    looking = asyncio.create_task(got(client, "/v1/sandboxes/box?waitSeconds=1"))
    await asyncio.sleep(0.5)
    assert not looking.done()
    assert (await looking)["status"] == "Pending"


async def test_waiting_ends_when_the_sandbox_is_deleted(gateway: World, client: Client) -> None:
    await gateway.exists("box")
    looking = asyncio.create_task(got(client, "/v1/sandboxes/box?waitSeconds=20"))
    await asyncio.sleep(0.05)
    await client.delete("/v1/sandboxes/box")
    assert (await looking)["status"] == "Terminating"


# --- history -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "sequences"),
    [("", [1, 2, 3, 4, 5]), ("?order=asc", [1, 2, 3, 4, 5]), ("?order=desc", [5, 4, 3, 2, 1])],
)
async def test_history_tells_every_entry_in_order(
    client: Client, gateway: World, query: str, sequences: list[int]
) -> None:
    await gateway.runs("box")
    history = await got(client, f"/v1/sandboxes/box/history{query}")
    assert history["id"] == "box"
    assert [entry["sequence"] for entry in history["entries"]] == sequences


async def test_history_is_the_log_itself_and_can_be_verified(
    client: Client, gateway: World
) -> None:
    sandbox = await gateway.runs("box")
    history = await got(client, "/v1/sandboxes/box/history")
    assert faults(sandbox.uid, history["entries"]) == ()


async def test_an_unknown_order_is_422(client: Client, gateway: World) -> None:
    await gateway.exists("box")
    response = await client.get("/v1/sandboxes/box/history?order=up")
    assert response.status_code == 422
    assert (await response.json)["errors"][0]["location"] == "query.order"


# --- the end -----------------------------------------------------------------------------------


async def test_deleting_records_who_asked_before_it_touches_the_object(
    client: Client, gateway: World
) -> None:
    await gateway.runs("box")
    response = await client.delete("/v1/sandboxes/box", headers={"X-Request-Id": "req-9"})
    assert response.status_code == 204
    assert await response.get_data() == b""
    assert gateway.store.writes == ["append", "delete"]
    sandbox = await gateway.store.read("box")
    newest = sandbox.log.entries[-1]
    assert (newest.type, newest.reason) == ("TerminationRequested", "ClientRequest")
    assert newest.request_id == "req-9"
    assert newest.actor.startswith("gateway")
    assert sandbox.deleting
    assert (await got(client, "/v1/sandboxes/box"))["status"] == "Terminating"


async def test_deleting_twice_records_it_once(client: Client, gateway: World) -> None:
    await gateway.runs("box")
    for _ in range(2):
        assert (await client.delete("/v1/sandboxes/box")).status_code == 204
    assert gateway.store.writes == ["append", "delete", "delete"]


async def test_deleting_what_is_not_there_is_204(client: Client) -> None:
    assert (await client.delete("/v1/sandboxes/box")).status_code == 204


async def test_deleting_loses_no_race_against_another_writer(
    client: Client, gateway: World
) -> None:
    await gateway.runs("box")
    gateway.store.failures = [ExpectedVersionError("somebody was faster")] * 3
    assert (await client.delete("/v1/sandboxes/box")).status_code == 204
    assert (await gateway.store.read("box")).deleting


async def test_deleting_gives_up_when_the_log_never_stands_still(
    client: Client, gateway: World
) -> None:
    await gateway.runs("box")
    gateway.store.failures = [ExpectedVersionError("again")] * 8
    response = await client.delete("/v1/sandboxes/box")
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"


async def test_deleting_is_over_when_reads_show_it(client: Client, gateway: World) -> None:
    await gateway.runs("box")
    gateway.view.lags = True
    deleting = asyncio.create_task(client.delete("/v1/sandboxes/box"))
    await asyncio.sleep(0.05)
    assert not deleting.done()
    gateway.view.lags = False
    gateway.view.take(await gateway.store.read("box"))
    assert (await deleting).status_code == 204
    assert (await got(client, "/v1/sandboxes/box"))["status"] == "Terminating"


async def test_deleting_does_not_wait_for_a_copy_that_never_follows(
    client: Client, gateway: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isola_gateway.lookup.CATCH_UP_SECONDS", 0.05)
    await gateway.runs("box")
    gateway.view.lags = True
    assert (await client.delete("/v1/sandboxes/box")).status_code == 204


async def test_entries_are_dated_by_the_clock(client: Client, gateway: World) -> None:
    await gateway.runs("box")
    await client.delete("/v1/sandboxes/box")
    newest = (await gateway.store.read("box")).log.entries[-1]
    assert START < newest.last_transition_time < START + timedelta(minutes=1)
