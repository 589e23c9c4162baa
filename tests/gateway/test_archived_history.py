"""Histories longer than their object, and longer than its life."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.fakes import Client, World, fact, started
from gateway.test_history import REQUESTED, TERMINATED, ends, events
from isola_lifecycle.archive import Moved, oldest, rest
from isola_lifecycle.chain import faults
from isola_lifecycle.sandbox.fold import extend
from isola_store.memory import MemorySandboxes
from isola_store.port import Sandbox
from isola_store.records import MemoryRecords

HISTORY = "/v1/sandboxes/box/history"
LOST = fact("Ready", "ReadinessLost", holds=False)
FOUND = fact("Ready", "PodReady", podIP="10.0.0.1")
ARCHIVED = fact("Archived", "LogRolledOver")


async def told(client: Client, path: str = HISTORY, code: int = 200) -> Any:
    response = await client.get(path)
    assert response.status_code == code, await response.get_data(as_text=True)
    return await response.json


def numbers(answer: Any) -> list[int]:
    return [entry["sequence"] for entry in answer["entries"]]


async def rolls_over(gateway: World, name: str = "box") -> Sandbox:
    sandbox = await gateway.store.read(name)
    segment = await gateway.archive.write(oldest(sandbox.subject, sandbox.log))
    entries = extend(sandbox.log, (ARCHIVED,), at=gateway.clock(), generation=1)
    return await MemorySandboxes.append(
        gateway.store,
        name,
        entries,
        expected_version=sandbox.log.version,
        moved=Moved(segment.name, segment.first, segment.last),
    )


async def is_recorded(gateway: World, name: str = "box") -> None:
    sandbox = await gateway.store.read(name)
    await gateway.archive.write(rest(sandbox.subject, sandbox.log, sandbox.log.archived))


@pytest.fixture
async def old(gateway: World) -> Sandbox:
    """A sandbox whose first entries are in the archive."""
    await gateway.exists("box", *started(), *(LOST, FOUND) * 22)
    return await rolls_over(gateway)


@pytest.mark.usefixtures("old")
async def test_a_history_is_whole_although_its_beginning_is_in_the_archive(client: Client) -> None:
    answer = await told(client)
    assert numbers(answer) == list(range(1, 51))
    assert answer["deleted"] is False
    assert faults(answer["uid"], answer["entries"]) == ()
    assert len(answer["sincePreviousSeconds"]) == 50
    answer = await told(client, f"{HISTORY}?order=desc")
    assert numbers(answer) == list(range(50, 0, -1))


async def test_a_stream_begins_in_the_archive_and_goes_on_with_the_object(
    client: Client, gateway: World, old: Sandbox
) -> None:
    following = asyncio.create_task(client.get(f"{HISTORY}?follow=true"))
    await asyncio.sleep(0.05)
    await gateway.records("box", REQUESTED, TERMINATED)
    async with asyncio.timeout(5):
        text = await (await following).get_data(as_text=True)
    assert [number for number, _ in events(text)] == list(range(1, old.log.version + 3))


async def test_a_stream_loses_nothing_that_moves_while_it_looks_away(
    client: Client, gateway: World
) -> None:
    await gateway.exists("box", *started())
    following = asyncio.create_task(client.get(f"{HISTORY}?follow=true"))
    await asyncio.sleep(0.05)
    gateway.view.lags = True
    await gateway.records("box", *(LOST, FOUND) * 22)
    gateway.view.lags = False
    sandbox = await rolls_over(gateway)
    await gateway.records("box", REQUESTED, TERMINATED)
    async with asyncio.timeout(5):
        text = await (await following).get_data(as_text=True)
    assert [number for number, _ in events(text)] == list(range(1, sandbox.log.version + 3))


async def test_a_stream_tells_the_end_of_a_sandbox_that_went_faster_than_the_watch(
    client: Client, gateway: World
) -> None:
    await gateway.runs("box")
    following = asyncio.create_task(client.get(f"{HISTORY}?follow=true"))
    await asyncio.sleep(0.05)
    gateway.view.lags = True
    await gateway.records("box", REQUESTED, TERMINATED)
    await is_recorded(gateway)
    gateway.view.lags = False
    await ends(gateway)
    async with asyncio.timeout(5):
        text = await (await following).get_data(as_text=True)
    assert [number for number, _ in events(text)] == list(range(1, 8))


# --- after the end -----------------------------------------------------------------------------


async def test_a_deleted_sandbox_is_told_about_but_not_there(
    client: Client, gateway: World, old: Sandbox
) -> None:
    await gateway.records("box", REQUESTED, TERMINATED)
    await is_recorded(gateway)
    before = await told(client)
    await ends(gateway)
    after = await told(client)
    assert (after["uid"], after["deleted"]) == (old.uid, True)
    assert after["entries"] == before["entries"]
    assert after["sincePreviousSeconds"] == before["sincePreviousSeconds"]
    await told(client, "/v1/sandboxes/box", 404)
    streamed = await client.get(f"{HISTORY}?follow=true", headers={"Last-Event-ID": "50"})
    text = await streamed.get_data(as_text=True)
    assert [number for number, _ in events(text)] == [51, 52]


async def test_of_several_sandboxes_of_one_name_any_can_be_chosen(
    client: Client, gateway: World
) -> None:
    uids: list[str] = []
    for length in (2, 3):
        sandbox = await gateway.exists("box", *started()[:length])
        uids.append(sandbox.uid)
        await is_recorded(gateway)
        await ends(gateway)
    assert numbers(await told(client)) == [1, 2, 3]
    assert numbers(await told(client, f"{HISTORY}?uid={uids[0]}")) == [1, 2]
    living = await gateway.exists("box", *started())
    for query, length, uid in (
        ("", 5, living.uid),
        (f"?uid={living.uid}", 5, living.uid),
        (f"?uid={uids[0]}", 2, uids[0]),
        (f"?uid={uids[1]}", 3, uids[1]),
    ):
        answer = await told(client, HISTORY + query)
        assert (len(answer["entries"]), answer["uid"]) == (length, uid)


async def test_what_is_gone_is_listed_with_the_latest_first(
    client: Client, gateway: World, old: Sandbox
) -> None:
    """`old` has a record by now, but no end."""
    gateway.archive = MemoryRecords(gateway.clock)
    client = gateway.app().test_client()
    assert (await told(client, "/v1/records")) == {"records": []}
    gone = [old.uid]
    await is_recorded(gateway)
    await ends(gateway)
    for name in ("box", "other"):
        gone.append((await gateway.exists(name, *started())).uid)
        await is_recorded(gateway, name)
        await ends(gateway, name)
    answer = await told(client, "/v1/records")
    assert [(r["id"], r["uid"]) for r in answer["records"]] == [
        ("other", gone[2]),
        ("box", gone[1]),
        ("box", gone[0]),
    ]
    assert answer["records"][0]["recordedAt"] > answer["records"][1]["recordedAt"]
    first = await told(client, "/v1/records?limit=2")
    assert first["records"] == answer["records"][:2]
    then = await told(client, f"/v1/records?limit=2&cursor={first['nextCursor']}")
    assert then == {"records": answer["records"][2:]}
    await told(client, "/v1/records?limit=0", 422)
    await told(client, "/v1/records?cursor=x", 422)


async def test_what_was_never_there_is_404(client: Client, gateway: World) -> None:
    await told(client, code=404)
    await gateway.runs("box")
    other = "00000000-0000-4000-8000-999999999999"
    assert other in (await told(client, f"{HISTORY}?uid={other}", 404))["detail"]
    await told(client, f"{HISTORY}?uid=x", 422)
