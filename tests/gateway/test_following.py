"""The list of sandboxes as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import aiohttp

from gateway.fakes import TEMPLATE, World, fact, started
from gateway.serving import served
from gateway.test_history import ends
from isola_gateway.following import Follower
from isola_gateway.kinds import SANDBOXES
from isola_gateway.listing import Choice
from isola_lifecycle.sandbox.conditions import Phase
from isola_rest.labels import Requirement
from isola_store.port import Draft

LOST = fact("Ready", "ReadinessLost", holds=False)
FOUND = fact("Ready", "PodReady", podIP="10.0.0.1")


class Heard:
    """The events of a follower, one after the other."""

    def __init__(self, events: Any) -> None:
        self._events = events

    async def next(self) -> tuple[str, Any]:
        while True:
            text = (await asyncio.wait_for(anext(self._events), 5)).decode()
            if not text.startswith(":"):
                kind, data = text.strip().split("\n")
                return kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))

    async def start(self) -> list[tuple[str, Any]]:
        told: list[tuple[str, Any]] = []
        while (event := await self.next())[0] != "synced":
            told.append(event)
        return told


@asynccontextmanager
async def follower(gateway: World, **choice: Any) -> AsyncGenerator[Heard]:
    async with aclosing(Follower(SANDBOXES, gateway.view, Choice(**choice)).events()) as events:
        yield Heard(events)


async def test_first_comes_what_is_there_and_then_every_change(gateway: World) -> None:
    await gateway.runs("a")
    await gateway.exists("b")
    async with follower(gateway) as heard:
        assert [(kind, told["id"], told["status"]) for kind, told in await heard.start()] == [
            ("sandbox", "a", "Running"),
            ("sandbox", "b", "Pending"),
        ]
        await gateway.records("b", *started())
        kind, told = await heard.next()
        assert (kind, told["id"], told["status"]) == ("sandbox", "b", "Running")
        await ends(gateway, "a")
        assert await heard.next() == ("removed", {"id": "a"})


async def test_what_does_not_show_in_the_list_is_not_told(gateway: World) -> None:
    await gateway.exists("a", *started()[:1])
    async with follower(gateway) as heard:
        await heard.start()
        await gateway.records("a", *started()[1:3])  # still Pending
        await gateway.exists("b")
        assert (await heard.next())[1]["id"] == "b"


async def test_of_a_sandbox_that_changes_often_a_slow_client_is_told_the_latest(
    gateway: World,
) -> None:
    await gateway.runs("a")
    async with follower(gateway) as heard:
        await heard.start()
        await gateway.records("a", LOST)
        await gateway.records("a", FOUND)
        await gateway.records("a", LOST)
        assert (await heard.next())[1]["status"] == "Pending"
        await gateway.exists("b")
        assert (await heard.next())[1]["id"] == "b"


async def test_only_those_that_were_asked_for_are_told_and_removed_when_they_no_longer_fit(
    gateway: World,
) -> None:
    await gateway.runs("a")
    draft = Draft(name="mine", spec=TEMPLATE, labels={"team": "x"})
    await gateway.store.create(draft)
    async with follower(gateway, status=Phase.RUNNING) as heard:
        assert [told["id"] for _, told in await heard.start()] == ["a"]
        await gateway.records("mine", *started())
        assert (await heard.next())[1]["id"] == "mine"
        await gateway.records("a", LOST)
        assert await heard.next() == ("removed", {"id": "a"})
    async with follower(gateway, labels=(Requirement("team", "x", equal=True),)) as heard:
        assert [told["id"] for _, told in await heard.start()] == ["mine"]


async def test_silence_is_filled_with_signs_of_life(gateway: World) -> None:
    events = Follower(SANDBOXES, gateway.view, Choice(), keep_alive_seconds=0.01).events()
    parts = [await asyncio.wait_for(anext(events), 5) for _ in range(4)]
    assert [part[:1] for part in parts] == [b":", b"e", b":", b":"]
    await events.aclose()


async def test_over_http_it_ends_with_its_client_and_nobody_listens_any_more(
    gateway: World,
) -> None:
    await gateway.runs("a")
    accept = {"Accept": "text/event-stream"}
    async with served(gateway, 1) as url, aiohttp.ClientSession(url) as session:
        before = gateway.view.listeners
        async with session.get("/v1/sandboxes?status=Running", headers=accept) as response:
            assert response.content_type == "text/event-stream"
            text = b""
            async with asyncio.timeout(5):
                while b"synced" not in text:
                    text += await response.content.readany()
            assert b'"id":"a"' in text
            assert gateway.view.listeners == before + 1
        async with session.get("/v1/sandboxes?status=Nonsense", headers=accept) as response:
            assert response.status == 422
        for _ in range(500):
            if gateway.view.listeners == before:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the follower of a client that left is still there")
