"""The log over REST: durations, and streams that follow it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from gateway.fakes import Client, World, fact, started
from gateway.serving import served
from isola_lifecycle.chain import faults
from isola_lifecycle.errors import TransientError
from isola_store.port import Draft

HISTORY = "/v1/sandboxes/box/history"
REQUESTED = fact("TerminationRequested", "ClientRequest")
TERMINATED = fact("Terminated", "PodRemoved")


async def ends(gateway: World, name: str = "box") -> None:
    sandbox = await gateway.store.read(name)
    await gateway.store.delete(name, uid=sandbox.uid)
    await gateway.store.remove_finalizer(sandbox)


def events(text: str) -> list[tuple[int, Any]]:
    found: list[tuple[int, Any]] = []
    for block in text.split("\n\n"):
        if block and not block.startswith(":"):
            number, data = block.split("\n")
            found.append(
                (int(number.removeprefix("id: ")), json.loads(data.removeprefix("data: ")))
            )
    return found


async def followed(client: Client, query: str = "?follow=true", **headers: str) -> str:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    async with asyncio.timeout(5):
        response = await client.get(HISTORY + query, headers=headers)
        assert response.status_code == 200
        assert response.content_type == "text/event-stream"
        return await response.get_data(as_text=True)


# --- durations ---------------------------------------------------------------------------------


async def test_each_entry_has_the_time_since_the_one_before_it(
    client: Client, gateway: World
) -> None:
    await gateway.exists("box", *started())
    log = (await gateway.records("box", REQUESTED)).log.entries
    waited = (log[-1].last_transition_time - log[-2].last_transition_time).total_seconds()
    assert waited > 0
    told = await (await client.get(HISTORY)).json
    assert told["sincePreviousSeconds"] == [None, 0, 0, 0, 0, waited]
    told = await (await client.get(f"{HISTORY}?order=desc")).json
    assert told["sincePreviousSeconds"] == [waited, 0, 0, 0, 0, None]


async def test_no_entries_have_no_durations(client: Client, gateway: World) -> None:
    await gateway.exists("box")
    told = await (await client.get(HISTORY)).json
    uid = (await gateway.store.read("box")).uid
    verdict = told.pop("verdict")
    assert [told.pop(name) for name in ("entries", "sincePreviousSeconds", "phases")] == [[]] * 3
    assert told == {"id": "box", "uid": uid, "deleted": False}
    assert "not taken it on" in verdict["sentence"]


# --- what it comes to --------------------------------------------------------------------------


async def test_each_entry_has_the_status_that_the_sandbox_had_with_it(
    client: Client, gateway: World
) -> None:
    await gateway.exists("box", *started(), REQUESTED, TERMINATED)
    told = await (await client.get(HISTORY)).json
    expected = [*["Pending"] * 4, "Running", "Terminating", "Terminating"]
    assert told["phases"] == expected
    assert told["phases"] == [entry["data"]["phase"] for entry in told["entries"]]
    assert (await (await client.get(f"{HISTORY}?order=desc")).json)["phases"] == expected[::-1]


async def test_a_history_says_in_a_sentence_what_it_comes_to(
    client: Client, gateway: World
) -> None:
    ended = fact("Succeeded", "OOMKilled", "Container sandbox0 was killed", holds=False)
    await gateway.exists("box", *started(), ended)
    verdict = (await (await client.get(HISTORY)).json)["verdict"]
    assert "It ran out of memory" in verdict["sentence"]
    assert "Container sandbox0 was killed" in verdict["sentence"]
    assert verdict["advice"] == "raise resources.limits.memory"
    await gateway.runs("other")
    verdict = (await (await client.get("/v1/sandboxes/other/history")).json)["verdict"]
    assert "It is alive" in verdict["sentence"]
    assert "advice" not in verdict


# --- following ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        pytest.param("?follow=true", {}, id="by query"),
        pytest.param("", {"Accept": "text/event-stream"}, id="by type"),
        pytest.param("?follow=true&order=desc", {}, id="whatever the order"),
    ],
)
async def test_a_stream_holds_the_log_itself_and_ends_with_it(
    client: Client, gateway: World, query: str, headers: dict[str, str]
) -> None:
    sandbox = await gateway.exists("box", *started(), REQUESTED, TERMINATED)
    found = events(await followed(client, query, **headers))
    assert [number for number, _ in found] == [1, 2, 3, 4, 5, 6, 7]
    assert faults(sandbox.uid, [entry for _, entry in found]) == ()


async def test_who_asks_not_to_follow_does_not(client: Client, gateway: World) -> None:
    await gateway.runs("box")
    response = await client.get(f"{HISTORY}?follow=false", headers={"Accept": "text/event-stream"})
    assert response.content_type == "application/json"


async def test_a_stream_shows_entries_as_they_are_written(client: Client, gateway: World) -> None:
    await gateway.exists("box")
    following = asyncio.create_task(followed(client))
    for entry in (*started(), REQUESTED, TERMINATED):
        await asyncio.sleep(0.01)
        assert not following.done()
        await gateway.records("box", entry)
    assert [number for number, _ in events(await following)] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("last", "numbers"),
    [("0", [1, 2, 3, 4, 5, 6, 7]), ("5", [6, 7]), ("7", []), ("999999999", [])],
)
async def test_a_stream_is_resumed_after_the_last_event(
    client: Client, gateway: World, last: str, numbers: list[int]
) -> None:
    await gateway.exists("box", *started(), REQUESTED, TERMINATED)
    found = events(await followed(client, Last_Event_ID=last))
    assert [number for number, _ in found] == numbers


async def test_a_gateway_that_is_behind_the_one_before_it_repeats_nothing(
    client: Client, gateway: World
) -> None:
    await gateway.runs("box")
    following = asyncio.create_task(followed(client, Last_Event_ID="6"))
    await asyncio.sleep(0.05)
    await gateway.records("box", REQUESTED)
    await asyncio.sleep(0.05)
    await gateway.records("box", TERMINATED)
    assert [number for number, _ in events(await following)] == [7]


@pytest.mark.parametrize("last", ["", "x", "-1", "1.5", "1" * 10])
async def test_what_is_no_sequence_number_is_422(client: Client, gateway: World, last: str) -> None:
    await gateway.runs("box")
    response = await client.get(f"{HISTORY}?follow=true", headers={"Last-Event-ID": last})
    assert response.status_code == 422
    assert (await response.json)["errors"][0]["location"] == "header.Last-Event-ID"


async def test_nobody_can_be_followed_is_404(client: Client) -> None:
    assert (await client.get(f"{HISTORY}?follow=true")).status_code == 404


async def test_a_stream_ends_when_the_sandbox_is_gone(client: Client, gateway: World) -> None:
    await gateway.runs("box")
    following = asyncio.create_task(followed(client))
    await asyncio.sleep(0.05)
    await ends(gateway)
    assert len(events(await following)) == 5


async def test_a_stream_is_of_one_sandbox_not_of_the_next_one_of_that_name(
    client: Client, gateway: World
) -> None:
    await gateway.runs("box")
    following = asyncio.create_task(followed(client))
    await asyncio.sleep(0.05)
    await ends(gateway)
    await gateway.exists("box", *started(), REQUESTED)
    assert len(events(await following)) == 5


async def test_a_sandbox_that_the_copy_does_not_know_yet_is_followed(
    client: Client, gateway: World
) -> None:
    gateway.view.lags = True
    await gateway.store.create(Draft(name="box", spec={}))
    following = asyncio.create_task(followed(client))
    await asyncio.sleep(0.05)
    gateway.view.lags = False
    await gateway.records("box", *started(), TERMINATED)
    assert len(events(await following)) == 6


async def test_silence_is_filled_with_comments(
    client: Client, gateway: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isola_gateway.routes.history.KEEP_ALIVE_SECONDS", 0.02)
    await gateway.runs("box")
    following = asyncio.create_task(followed(client))
    await asyncio.sleep(0.2)
    await gateway.records("box", TERMINATED)
    text = await following
    assert text.count(": keepalive\n\n") > 3
    assert len(events(text)) == 6


async def test_a_stream_outlasts_an_api_server_that_does_not_answer(
    client: Client, gateway: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isola_gateway.routes.history.KEEP_ALIVE_SECONDS", 0.02)
    gateway.view.lags = True
    await gateway.runs("box")
    following = asyncio.create_task(followed(client))
    await asyncio.sleep(0.05)
    gateway.store.failures = [TransientError("down")] * 3
    await asyncio.sleep(0.1)
    assert not following.done()
    gateway.view.lags = False
    await gateway.records("box", TERMINATED)
    assert len(events(await following)) == 6


async def test_over_a_real_server_a_stream_begins_at_once_and_ends_whole(gateway: World) -> None:
    await gateway.exists("box")
    async with (
        asyncio.timeout(30),
        served(gateway, sidecar_port=1) as url,
        httpx.AsyncClient() as client,
        client.stream("GET", f"{url}{HISTORY}?follow=true") as response,
    ):
        assert response.headers["content-type"] == "text/event-stream"
        parts = response.aiter_text()
        assert await anext(parts) == ": keepalive\n\n"
        await gateway.records("box", *started())
        text = await anext(parts)
        await gateway.records("box", TERMINATED)
        text += "".join([part async for part in parts])
    assert [number for number, _ in events(text)] == [1, 2, 3, 4, 5, 6]
