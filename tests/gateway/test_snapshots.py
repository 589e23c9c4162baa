"""Snapshots asked for, read, listed, told about and removed."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta
from typing import Any

import pytest

from gateway.fakes import Client, SnapshotWorld, World, captured, fact, source, stored
from gateway.test_history import events
from gateway.test_listing import paged
from isola_gateway.kinds import SNAPSHOTS
from isola_gateway.lookup import Finder
from isola_lifecycle import naming
from isola_lifecycle.archive import rest
from isola_lifecycle.chain import faults
from isola_lifecycle.errors import AlreadyExistsError, ExpectedVersionError, TransientError
from isola_lifecycle.log import Fact
from isola_lifecycle.snapshot.conditions import Phase
from isola_rest.identifiers import derived_id
from isola_rest.snapshots import SnapshotStatus
from isola_store.port import Draft

SNAPSHOTS_PATH = "/v1/rootfs-snapshots"
BODY = {"sandboxId": "box"}
ADOPTION = {"sandboxId": None, "snapshotName": "old", "adopt": True}
KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
FAILED = fact("Succeeded", "CaptureFailed", "gVisor said no", holds=False)
RETAINED = fact("DeletionRequested", "TimeToLiveExceeded", object="Retain")
ASKED = fact("DeletionRequested", "ClientRequest", object="Delete")
REMOVED = fact("Deleted", "ObjectRemoved")
NOT_REMOVED = fact("Deleted", "RemovalFailed", holds=False)
EXPIRED = fact("Stored", "ObjectWritten", key="k", expiresAt="2026-11-24T01:40:01Z")
REPLACED = fact("Stored", "ObjectReplaced", holds=False, replacedBy="other")
STORED: dict[str, Any] = {
    "key": "k",
    "bytes": "7",
    "sha256": "cd" * 32,
    "storedBytes": "5",
    "compression": "zstd",
}


@pytest.fixture
def snapshots(gateway: World) -> SnapshotWorld:
    return gateway.snapshots


async def posted(client: Client, body: Any = BODY, **headers: str) -> Any:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post(SNAPSHOTS_PATH, json=body, headers=headers)


async def made(client: Client, **changes: Any) -> Any:
    response = await posted(client, {**BODY, **changes})
    assert response.status_code == 201, await response.get_data(as_text=True)
    return await response.json


async def got(client: Client, path: str = "", code: int = 200, **query: Any) -> Any:
    response = await client.get(SNAPSHOTS_PATH + path, query_string=query)
    assert response.status_code == code, await response.get_data(as_text=True)
    return await response.json


async def ids(client: Client, **query: Any) -> str:
    return " ".join(s["id"] for s in (await got(client, **query))["rootfsSnapshots"])


async def deleted(
    client: Client, name: str, code: int = 204, headers: dict[str, str] | None = None
) -> Any:
    response = await client.delete(f"{SNAPSHOTS_PATH}/{name}", headers=headers)
    assert response.status_code == code, await response.get_data(as_text=True)
    return response


async def recorded(client: Client, **query: str) -> list[dict[str, Any]]:
    answer = await client.get("/v1/records", query_string=query)
    assert answer.status_code == 200
    return (await answer.json)["records"]


async def goes(snapshots: SnapshotWorld, name: str) -> None:
    """Let an object go as the operator does: its history first."""
    item = await snapshots.store.read(name)
    await snapshots.archive.write(rest(item.subject, item.log, item.log.archived))
    await snapshots.store.delete(name, uid=item.uid)
    await snapshots.store.remove_finalizer(item)


# --- asked for ---------------------------------------------------------------------------------


async def test_the_least_request_is_a_pending_snapshot_with_the_contract_s_defaults(
    client: Client, snapshots: SnapshotWorld
) -> None:
    response = await posted(client, X_Request_Id="r-1", traceparent=TRACE)
    body = await response.json
    assert response.status_code == 201
    assert re.fullmatch("[a-z][a-z0-9]{21}", body["id"])
    assert response.headers["Location"] == f"{SNAPSHOTS_PATH}/{body['id']}"
    assert body == {
        "id": body["id"],
        "sandboxId": "box",
        "snapshotName": "box",
        "status": "Pending",
        "creationTimestamp": "2026-11-24T01:40:01Z",
        "timeoutSeconds": 300,
        "ttlSecondsAfterFinished": 300,
        "replace": False,
        "pause": False,
        "deletionPolicy": "Retain",
        "trigger": "Request",
    }
    snapshot = await snapshots.store.read(body["id"])
    assert (snapshot.spec["sandboxName"], snapshot.spec["snapshotName"]) == ("box", "box")
    assert snapshot.annotations[naming.REQUEST_ID_ANNOTATION] == "r-1"
    assert snapshot.annotations[naming.TRACEPARENT_ANNOTATION] == TRACE
    assert naming.REQUEST_DIGEST_ANNOTATION not in snapshot.annotations


async def test_the_whole_request_becomes_the_spec_and_is_shown(
    client: Client, snapshots: SnapshotWorld
) -> None:
    asked = {
        "snapshotName": "after-setup",
        "containerName": "tools",
        "timeoutSeconds": 60,
        "ttlSecondsAfterFinished": 0,
        "replace": True,
        "pause": True,
        "objectTTLSeconds": 3600,
        "deletionPolicy": "Delete",
    }
    body = await made(client, **asked, labels={"team": "search"})
    assert {name: body[name] for name in asked} == asked
    assert body["labels"] == {"team": "search"}
    snapshot = await snapshots.store.read(body["id"])
    spec = {**asked, "sandboxName": "box", "trigger": "Request"}
    assert (snapshot.spec, snapshot.labels) == (spec, {"team": "search"})
    assert await got(client, f"/{body['id']}") == body


@pytest.mark.parametrize(
    ("changes", "location"),
    [
        ({"sandboxId": None}, "body"),
        ({"adopt": True, "snapshotName": "n"}, "body"),
        ({"sandboxId": None, "adopt": True}, "body"),
        ({"sandboxId": None, "adopt": False, "snapshotName": "n"}, "body"),
        ({**ADOPTION, "containerName": "c"}, "body"),
        ({**ADOPTION, "pause": True}, "body"),
        ({**ADOPTION, "objectTTLSeconds": 60}, "body"),
        ({"adopt": "yes"}, "body.adopt"),
        ({"sandboxId": ""}, "body.sandboxId"),
        ({"sandboxId": "a" * 48}, "body.sandboxId"),
        ({"sandboxId": "Box"}, "body.sandboxId"),
        ({"snapshotName": "a" * 60}, "body.snapshotName"),
        ({"snapshotName": "a_b"}, "body.snapshotName"),
        ({"containerName": "a.b"}, "body.containerName"),
        ({"containerName": "a" * 64}, "body.containerName"),
        ({"timeoutSeconds": 0}, "body.timeoutSeconds"),
        ({"timeoutSeconds": "5"}, "body.timeoutSeconds"),
        ({"ttlSecondsAfterFinished": -1}, "body.ttlSecondsAfterFinished"),
        ({"ttlSecondsAfterFinished": 2**31}, "body.ttlSecondsAfterFinished"),
        ({"objectTTLSeconds": 0}, "body.objectTTLSeconds"),
        ({"replace": "yes"}, "body.replace"),
        ({"pause": 1}, "body.pause"),
        ({"deletionPolicy": "Keep"}, "body.deletionPolicy"),
        ({"labels": {"isola.run/a": "b"}}, "body.labels"),
        ({"trigger": "TerminationPolicy"}, "body.trigger"),
        ({"sandboxUID": "u"}, "body.sandboxUID"),
    ],
    ids=str,
)
async def test_what_cannot_be_is_422_and_says_where(
    client: Client, snapshots: SnapshotWorld, changes: Any, location: str
) -> None:
    response = await posted(client, {**BODY, **changes})
    assert response.status_code == 422
    assert (await response.json)["errors"][0]["location"] == location
    assert not await snapshots.store.list()


async def test_what_is_adopted_is_shown_as_its_object_tells_it(
    client: Client, snapshots: SnapshotWorld
) -> None:
    body = await made(client, **ADOPTION, ttlSecondsAfterFinished=3600)
    assert (body["adopt"], body["sandboxId"], body["status"]) == (True, "", "Pending")
    snapshot = await snapshots.store.read(body["id"])
    asked = {"snapshotName": "old", "adopt": True, "ttlSecondsAfterFinished": 3600}
    assert asked.items() <= snapshot.spec.items()
    assert "sandboxName" not in snapshot.spec
    origin: dict[str, Any] = {
        "sandbox": "box",
        "sandboxUID": "5a3d",
        "container": "c",
        "image": "i",
    }
    await snapshots.records(
        body["id"],
        fact("Accepted", "SpecValid", snapshotName="old"),
        fact("Adopting", "JobCreated", jobUID="j"),
        fact("Stored", "ObjectAdopted", **STORED, **origin),
        fact("Succeeded", "SnapshotStored"),
    )
    shown = await got(client, f"/{body['id']}")
    assert (shown["status"], shown["sandboxId"]) == ("Succeeded", "box")
    assert shown["source"] == {
        "sandboxUid": "5a3d",
        "node": "",
        "container": "c",
        "containerId": "",
        "image": "i",
        "imageId": "",
    }
    assert (shown["sizeBytes"], shown["sha256"]) == (7, "cd" * 32)
    assert (shown["stored"]["key"], shown["stored"]["sizeBytes"]) == ("k", 5)
    assert await ids(client, sandboxId="box") == body["id"]


async def test_a_name_that_is_known_is_not_adopted_unless_it_replaces(
    client: Client, snapshots: SnapshotWorld
) -> None:
    await snapshots.exists("first", *stored(), snapshotName="old")
    assert (await posted(client, ADOPTION)).status_code == 409
    assert (await made(client, **ADOPTION, replace=True))["replace"]


async def test_null_is_not_given_and_a_schema_is_tolerated(client: Client) -> None:
    body = await made(client, snapshotName=None, timeoutSeconds=None, **{"$schema": "x"})
    assert (body["snapshotName"], body["timeoutSeconds"]) == ("box", 300)


async def test_a_sandbox_that_is_not_there_is_for_the_log_to_tell(client: Client) -> None:
    assert (await posted(client, {"sandboxId": "nobody"})).status_code == 201


async def test_no_body_is_400(client: Client) -> None:
    response = await client.post(SNAPSHOTS_PATH, headers={"Content-Type": "application/json"})
    assert response.status_code == 400


# --- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "code"),
    [
        pytest.param((), 409, id="asked for"),
        pytest.param(captured(), 409, id="being taken"),
        pytest.param(stored(), 409, id="stored"),
        pytest.param((*stored(), RETAINED), 409, id="goes, and what it stored stays"),
        pytest.param((*captured(), FAILED), 201, id="failed"),
        pytest.param((*stored(), REPLACED), 201, id="its object is another's"),
        pytest.param((*stored(), ASKED, REMOVED), 201, id="its object is gone"),
    ],
)
async def test_a_name_that_another_snapshot_holds_is_409_at_once(
    client: Client, snapshots: SnapshotWorld, told: tuple[Fact, ...], code: int
) -> None:
    await snapshots.exists("first", *told, snapshotName="n")
    response = await posted(client, {**BODY, "snapshotName": "n"})
    assert response.status_code == code
    if code == 409:
        detail = (await response.json)["detail"]
        assert "The name n is taken by rootfs snapshot first" in detail
        assert "replace: true" in detail
        assert len(await snapshots.store.list()) == 1
    assert (await made(client, snapshotName="n", replace=True))["replace"]
    assert (await made(client, snapshotName="other"))["snapshotName"] == "other"


async def test_the_name_of_one_without_a_name_is_its_sandbox_s(
    client: Client, snapshots: SnapshotWorld
) -> None:
    await snapshots.exists("by-hand", *stored())
    assert (await posted(client)).status_code == 409
    assert (await posted(client, {"sandboxId": "x", "snapshotName": "box"})).status_code == 409
    assert (await posted(client, {"sandboxId": "x"})).status_code == 201


async def test_whoever_has_an_answer_and_asks_again_is_refused_by_this_gateway(
    client: Client, snapshots: SnapshotWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although the copy lags: the answer waits for it."""
    monkeypatch.setattr("isola_gateway.lookup.CATCH_UP_SECONDS", 60)
    snapshots.view.lags = True
    asking = asyncio.create_task(posted(client))
    await asyncio.sleep(0.05)
    assert not asking.done()
    snapshots.view.lags = False
    (item,) = await snapshots.store.list()
    snapshots.view.take(item)
    assert (await asking).status_code == 201
    assert (await posted(client)).status_code == 409


async def test_of_two_at_once_both_may_pass_and_the_log_decides(
    client: Client, snapshots: SnapshotWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isola_gateway.lookup.CATCH_UP_SECONDS", 0.02)
    snapshots.view.lags = True
    answers = [await posted(client), await posted(client)]
    assert [a.status_code for a in answers] == [201, 201]


# --- keys --------------------------------------------------------------------------------------


async def test_a_repeated_request_is_the_same_snapshot_whoever_has_the_name_by_now(
    client: Client, snapshots: SnapshotWorld
) -> None:
    first = await posted(client, Idempotency_Key=KEY)
    name = (await first.json)["id"]
    assert name == derived_id(KEY, "rootfs-snapshot") != derived_id(KEY)
    again = await posted(client, Idempotency_Key=KEY)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert await again.json == await first.json
    assert "Idempotent-Replayed" not in first.headers
    await snapshots.records(name, *stored(), REPLACED)
    await snapshots.exists("other", *stored())
    again = await posted(client, Idempotency_Key=KEY)
    assert (again.status_code, (await again.json)["id"]) == (201, name)
    assert len(await snapshots.store.list()) == 2
    assert (await posted(client, Idempotency_Key="new")).status_code == 409


async def test_a_key_reused_for_another_request_is_422(
    client: Client, snapshots: SnapshotWorld
) -> None:
    await posted(client, Idempotency_Key=KEY)
    refused = await posted(client, {**BODY, "pause": True}, Idempotency_Key=KEY)
    told = await refused.json
    assert (refused.status_code, told["errors"][0]["location"]) == (422, "header.Idempotency-Key")
    assert "another request" in told["detail"]
    assert len(await snapshots.store.list()) == 1


async def test_an_answer_that_was_lost_is_given_again(
    client: Client, snapshots: SnapshotWorld
) -> None:
    snapshots.store.failures = [TransientError("no answer", code=503)]
    assert (await posted(client, Idempotency_Key=KEY)).status_code == 503
    assert (await posted(client, Idempotency_Key=KEY)).status_code == 201


async def test_a_name_taken_by_something_without_a_key_is_409(
    client: Client, snapshots: SnapshotWorld
) -> None:
    snapshots.store.failures = [AlreadyExistsError("taken")]
    assert (await posted(client)).status_code == 409


# --- waiting -----------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [stored()[-1], FAILED], ids=["well", "badly"])
async def test_who_prefers_to_wait_is_answered_when_it_has_ended(
    client: Client, snapshots: SnapshotWorld, end: Fact
) -> None:
    asking = asyncio.create_task(posted(client, Prefer="wait=20"))
    await asyncio.sleep(0.05)
    (item,) = await snapshots.store.list()
    await snapshots.records(item.name, *captured())
    await asyncio.sleep(0.05)
    assert not asking.done()
    await snapshots.records(item.name, end)
    response = await asking
    assert response.headers["Preference-Applied"] == "wait=20"
    assert (await response.json)["reason"] == end.reason


async def test_who_does_not_wait_is_answered_at_once(client: Client) -> None:
    async with asyncio.timeout(5):
        response = await posted(client, Prefer="wait=0")
    assert response.headers["Preference-Applied"] == "wait=0"


async def test_one_that_is_gone_is_waited_for_no_longer(snapshots: SnapshotWorld) -> None:
    item = await snapshots.exists("a", *captured())
    waiting = Finder(SNAPSHOTS, snapshots.view, snapshots.store).settled(item, 20)
    task = asyncio.create_task(waiting)
    await asyncio.sleep(0.02)
    await goes(snapshots, "a")
    async with asyncio.timeout(5):
        assert await task == item


async def test_the_first_look_at_a_new_one_waits_a_moment_for_its_end(gateway: World) -> None:
    client = gateway.app(patience=timedelta(seconds=20)).test_client()
    await gateway.snapshots.exists("a", *captured())
    looking = asyncio.create_task(got(client, "/a"))
    await asyncio.sleep(0.05)
    assert not looking.done()
    async with asyncio.timeout(5):
        assert (await got(client, "/a", waitSeconds=0))["status"] == "Running"
    await gateway.snapshots.records("a", *stored()[-2:])
    assert (await looking)["status"] == "Succeeded"
    await got(client, "/a", code=422, waitSeconds=26)


# --- shown -------------------------------------------------------------------------------------


def test_the_wire_and_the_kernel_have_the_same_states() -> None:
    assert [str(s) for s in SnapshotStatus] == [str(p) for p in Phase]


@pytest.mark.parametrize(
    ("told", "status", "reason"),
    [
        pytest.param((), "Pending", None, id="nothing yet"),
        pytest.param((source(),), "Pending", "SpecValid", id="taken on"),
        pytest.param(captured(), "Running", "ArchiveWritten", id="captured"),
        pytest.param(stored(), "Succeeded", "SnapshotStored", id="stored"),
        pytest.param((*captured(), FAILED), "Failed", "CaptureFailed", id="failed"),
        pytest.param((*stored(), RETAINED), "Succeeded", "SnapshotStored", id="leaving"),
    ],
)
async def test_status_and_reason_follow_the_log_in_get_and_list(
    client: Client,
    snapshots: SnapshotWorld,
    told: tuple[Fact, ...],
    status: str,
    reason: str | None,
) -> None:
    await snapshots.exists("a", *told, snapshotName="n")
    one, every = await got(client, "/a"), await got(client)
    assert (one["status"], one.get("reason")) == (status, reason)
    assert every == {
        "rootfsSnapshots": [
            {
                "id": "a",
                "sandboxId": "box",
                "snapshotName": "n",
                "status": status,
                "creationTimestamp": one["creationTimestamp"],
            }
        ]
    }


async def test_a_stored_snapshot_tells_what_it_is_of_and_where(
    client: Client, snapshots: SnapshotWorld
) -> None:
    snapshot = await snapshots.exists("a", *stored())
    one = await got(client, "/a")
    assert one["source"] == {
        "sandboxUid": "u-1",
        "node": "worker-1",
        "container": "sandbox0",
        "containerId": "abc",
        "image": "busybox",
        "imageId": "busybox@sha256:1",
    }
    assert (one["sizeBytes"], one["sha256"]) == (10240, "ab" * 32)
    assert one["stored"] == {
        "key": "rootfssnapshots/boxes/box.tar",
        "sizeBytes": 512,
        "sha256": "cd" * 32,
        "compression": "zstd",
    }
    first, last = snapshot.log.entries[0], snapshot.log.entries[-1]
    for field, entry in (("acceptedAt", first), ("finishedAt", last)):
        assert one[field] == entry.last_transition_time.isoformat().replace("+00:00", "Z")
    assert "deletionRequestedAt" not in one


async def test_a_failed_one_tells_why_and_what_there_was(
    client: Client, snapshots: SnapshotWorld
) -> None:
    await snapshots.exists("a", *captured(), FAILED)
    one = await got(client, "/a")
    assert (one["reason"], one["message"]) == ("CaptureFailed", "gVisor said no")
    assert one["sizeBytes"] == 10240
    assert "stored" not in one


async def test_one_of_a_termination_policy_says_so(
    client: Client, snapshots: SnapshotWorld
) -> None:
    await snapshots.exists("a", trigger="TerminationPolicy", sandboxUID="u", ofANewerRelease=1)
    assert (await got(client, "/a"))["trigger"] == "TerminationPolicy"


async def test_one_that_the_copy_does_not_know_yet_is_found(
    client: Client, snapshots: SnapshotWorld
) -> None:
    snapshots.view.lags = True
    await snapshots.exists("a")
    assert (await got(client, "/a"))["id"] == "a"


@pytest.mark.parametrize("path", ["/a", "/a/history", f"/{'a' * 59}"])
async def test_an_unknown_one_is_404(client: Client, path: str) -> None:
    assert "There is no rootfs snapshot a" in (await got(client, path, 404))["detail"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("name", ["A", "-a", "a..b", "a" * 60, "%20"])
async def test_an_id_that_breaks_the_grammar_is_422(client: Client, method: str, name: str) -> None:
    response = await client.open(f"{SNAPSHOTS_PATH}/{name}", method=method)
    assert response.status_code == 422
    assert (await response.json)["errors"][0]["location"] == "path.id"


async def test_sandboxes_and_snapshots_of_one_name_are_two_things(
    client: Client, gateway: World
) -> None:
    await gateway.runs("a")
    assert (await client.get(f"{SNAPSHOTS_PATH}/a")).status_code == 404
    await gateway.snapshots.exists("a")
    await deleted(client, "a")
    assert not (await gateway.store.read("a")).deleting


# --- listed ------------------------------------------------------------------------------------


async def several(snapshots: SnapshotWorld) -> None:
    for number, (name, label) in enumerate(zip("edcba", "xxyyy", strict=True)):
        spec = {"sandboxName": f"box{number % 2}", "snapshotName": f"n{number // 2}"}
        await snapshots.store.create(Draft(name=name, spec=spec, labels={"team": label}))
    await snapshots.records("d", *stored())
    await snapshots.records("c", *captured(), FAILED)


@pytest.mark.parametrize(
    ("query", "chosen"),
    [
        ({}, "e d c b a"),
        ({"sandboxId": "box1"}, "d b"),
        ({"snapshotName": "n0"}, "e d"),
        ({"snapshotName": "n1", "sandboxId": "box0"}, "c"),
        ({"status": "Succeeded"}, "d"),
        ({"status": "Failed"}, "c"),
        ({"status": "Pending", "labels": "team=y"}, "b a"),
        ({"labels": "team!=y"}, "e d"),
        ({"sandboxId": "nobody"}, ""),
    ],
    ids=str,
)
async def test_a_list_is_of_those_that_are_asked_for_oldest_first(
    client: Client, snapshots: SnapshotWorld, query: dict[str, str], chosen: str
) -> None:
    await several(snapshots)
    assert await ids(client, **query) == chosen


@pytest.mark.parametrize(
    ("query", "pages"),
    [
        ({"limit": 2}, ["e d", "c b", "a"]),
        ({"limit": 1, "snapshotName": "n0"}, ["e", "d"]),
        ({"limit": 2, "status": "Running"}, [""]),
    ],
    ids=str,
)
async def test_pages_together_are_the_whole_list(
    client: Client, snapshots: SnapshotWorld, query: dict[str, Any], pages: list[str]
) -> None:
    await several(snapshots)
    listed = (SNAPSHOTS_PATH, "rootfsSnapshots")
    assert await paged(client, listed, **query) == pages


async def test_a_cursor_may_point_to_the_longest_name(
    client: Client, snapshots: SnapshotWorld
) -> None:
    for name in ("a" * 59, "b" * 59):
        await snapshots.exists(name)
    cursor = (await got(client, limit=1))["nextCursor"]
    assert await ids(client, cursor=cursor) == "b" * 59


@pytest.mark.parametrize(
    ("query", "location"),
    [
        ("status=Terminating", "query.status"),
        ("sandboxId=A", "query.sandboxId"),
        ("snapshotName=", "query.snapshotName"),
        ("limit=0", "query.limit"),
        ("cursor=x", "query.cursor"),
        ("sandbox=a", "query.sandbox"),
    ],
)
async def test_what_is_no_choice_is_422(client: Client, query: str, location: str) -> None:
    response = await client.get(f"{SNAPSHOTS_PATH}?{query}")
    assert response.status_code == 422
    assert (await response.json)["errors"][0]["location"] == location


async def test_the_list_is_followed_as_events_of_its_own_kind(
    client: Client, snapshots: SnapshotWorld
) -> None:
    await snapshots.exists("a", sandboxName="mine")
    await snapshots.exists("b", sandboxName="other")
    accept = {"Accept": "text/event-stream"}
    async with client.request(f"{SNAPSHOTS_PATH}?sandboxId=mine", headers=accept) as connection:
        await connection.send_complete()

        async def heard() -> tuple[str, Any]:
            while True:
                text = (await asyncio.wait_for(connection.receive(), 30)).decode()
                if not text.startswith(":"):
                    kind, data = text.strip().split("\n")
                    return kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))

        kind, told = await heard()
        assert (kind, told["id"], told["status"]) == ("rootfsSnapshot", "a", "Pending")
        assert (await heard())[0] == "synced"
        await snapshots.records("b", *stored())
        await snapshots.records("a", *stored())
        kind, told = await heard()
        assert (kind, told["id"], told["status"]) == ("rootfsSnapshot", "a", "Succeeded")
        await goes(snapshots, "a")
        assert await heard() == ("removed", {"id": "a"})
        await connection.disconnect()


# --- its history -------------------------------------------------------------------------------


async def test_a_history_is_the_log_with_what_it_comes_to(
    client: Client, snapshots: SnapshotWorld
) -> None:
    snapshot = await snapshots.exists("a", *stored())
    told = await got(client, "/a/history")
    assert (told["id"], told["uid"], told["deleted"]) == ("a", snapshot.uid, False)
    assert faults(snapshot.uid, told["entries"]) == ()
    assert told["phases"] == ["Pending", "Running", "Running", "Running", "Succeeded"]
    assert told["phases"] == [entry["data"]["phase"] for entry in told["entries"]]
    assert len(told["sincePreviousSeconds"]) == 5
    assert "It can be restored" in told["verdict"]["sentence"]
    latest_first = await got(client, "/a/history", order="desc")
    assert latest_first["entries"] == told["entries"][::-1]


async def test_one_that_is_gone_is_404_and_its_history_is_told_all_the_same(
    client: Client, snapshots: SnapshotWorld
) -> None:
    snapshot = await snapshots.exists("a", *stored(), RETAINED)
    await goes(snapshots, "a")
    await got(client, "/a", 404)
    told = await got(client, "/a/history")
    assert (told["deleted"], told["uid"], len(told["entries"])) == (True, snapshot.uid, 6)
    other = "00000000-0000-4000-8000-999999999999"
    assert other in (await got(client, "/a/history", 404, uid=other))["detail"]
    assert await recorded(client) == []
    (record,) = await recorded(client, kind="rootfsSnapshot")
    assert (record["id"], record["uid"]) == ("a", snapshot.uid)
    assert (await client.get("/v1/records?kind=job")).status_code == 422


async def test_a_history_is_followed_until_the_snapshot_is_gone(
    client: Client, snapshots: SnapshotWorld
) -> None:
    await snapshots.exists("a", *captured())
    headers = {"Last-Event-ID": "1"}
    asking = client.get(f"{SNAPSHOTS_PATH}/a/history?follow=true", headers=headers)
    following = asyncio.create_task(asking)
    await asyncio.sleep(0.05)
    await snapshots.records("a", *stored()[-2:])
    await asyncio.sleep(0.05)
    assert not following.done()
    await snapshots.records("a", RETAINED)
    await goes(snapshots, "a")
    async with asyncio.timeout(30):
        text = await (await following).get_data(as_text=True)
    assert [number for number, _ in events(text)] == [2, 3, 4, 5, 6]


# --- removed -----------------------------------------------------------------------------------


@pytest.mark.parametrize("told", [(), captured(), stored()], ids=["new", "being taken", "stored"])
async def test_removing_records_who_asked_and_that_the_object_goes_before_it_touches_it(
    client: Client, snapshots: SnapshotWorld, told: tuple[Fact, ...]
) -> None:
    await snapshots.exists("a", *told)
    await deleted(client, "a", headers={"X-Request-Id": "r-9", "traceparent": TRACE})
    assert snapshots.store.writes == ["append", "delete"]
    snapshot = await snapshots.store.read("a")
    newest = snapshot.log.entries[-1]
    assert (newest.type, newest.reason) == ("DeletionRequested", "ClientRequest")
    assert newest.request_id == "r-9"
    assert newest.actor.startswith("gateway")
    assert (newest.data["object"], newest.data["traceparent"]) == ("Delete", TRACE)
    assert snapshot.deleting
    assert "deletionRequestedAt" in await got(client, "/a")


async def test_removing_twice_records_it_once(client: Client, snapshots: SnapshotWorld) -> None:
    await snapshots.exists("a", *stored())
    await deleted(client, "a")
    await deleted(client, "a")
    assert snapshots.store.writes == ["append", "delete", "delete"]
    await snapshots.records("a", REMOVED)
    await goes(snapshots, "a")
    await deleted(client, "a")


async def test_removing_what_nobody_knows_is_204(client: Client) -> None:
    await deleted(client, "a")


@pytest.mark.parametrize(
    ("told", "code"),
    [
        pytest.param((*stored(), RETAINED), 409, id="the resource had its time"),
        pytest.param((*stored(), ASKED, NOT_REMOVED), 409, id="it could not be removed"),
        pytest.param((*stored(), ASKED), 204, id="it is being removed"),
        pytest.param((*stored(), ASKED, REMOVED), 204, id="it was removed"),
        pytest.param((*stored(), REPLACED, RETAINED), 204, id="another took its place"),
        pytest.param((*captured(), FAILED, RETAINED), 204, id="there never was any"),
        pytest.param((*stored(), EXPIRED, RETAINED), 204, id="its time is over"),
    ],
)
@pytest.mark.parametrize("gone", [False, True], ids=["leaving", "gone"])
async def test_nobody_is_told_that_an_object_goes_which_stays(
    client: Client,
    snapshots: SnapshotWorld,
    told: tuple[Fact, ...],
    code: int,
    gone: bool,  # noqa: FBT001 - a case
) -> None:
    await snapshots.exists("a", *told)
    if gone:
        await goes(snapshots, "a")
    response = await deleted(client, "a", code)
    if code == 409:
        assert "rootfssnapshots/boxes/box.tar" in (await response.json)["detail"]


async def test_a_deletion_past_the_gateway_that_nobody_has_recorded_yet_takes_the_object_along(
    client: Client, snapshots: SnapshotWorld
) -> None:
    snapshot = await snapshots.exists("a", *stored())
    await snapshots.store.delete("a", uid=snapshot.uid)
    await deleted(client, "a")
    newest = (await snapshots.store.read("a")).log.entries[-1]
    assert newest.data["object"] == "Delete"


async def test_removing_loses_no_race_against_another_writer(
    client: Client, snapshots: SnapshotWorld
) -> None:
    await snapshots.exists("a", *captured())
    snapshots.store.failures = [ExpectedVersionError("somebody was faster")] * 3
    await deleted(client, "a")
    assert (await snapshots.store.read("a")).deleting


# --- those who run it --------------------------------------------------------------------------


async def test_a_gateway_is_ready_once_it_knows_the_snapshots_too(
    client: Client, snapshots: SnapshotWorld
) -> None:
    snapshots.view.synced = False
    assert (await client.get("/readyz")).status_code == 503
    snapshots.view.synced = True
    assert (await client.get("/readyz")).status_code == 200


async def test_the_lag_of_their_watch_is_measured_too(
    client: Client, snapshots: SnapshotWorld
) -> None:
    await snapshots.exists("a", source())
    await snapshots.records("a", *captured()[1:])
    text = await (await client.get("/metrics")).get_data(as_text=True)
    assert re.search(r"^isola_apigateway_watch_lag_seconds_count [12]\.0", text, re.MULTILINE)
