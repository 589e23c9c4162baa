"""Changes of files, told by the real sidecar through the real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp

from gateway.real import RealSandbox
from gateway.test_files import FILES, Http, settled

WATCH = f"{FILES}/watch"


async def told(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, str]]:
    """Yield each event's name and path."""
    name = ""
    async for line in response.content:
        field, _, value = line.decode().strip().partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)["path"]


async def test_changes_are_told_as_they_happen_also_below(http: Http) -> None:
    await http.post(f"{FILES}/directories", params={"path": "/tmp/seen/below"})
    place = {"path": "/tmp/seen", "recursive": "true", "container": "sandbox0"}
    async with http.get(WATCH, params=place) as response, asyncio.timeout(10):
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["X-Accel-Buffering"] == "no"
        events = told(response)
        assert await anext(events) == ("ready", "/tmp/seen")
        await http.post(FILES, params={"path": "/tmp/seen/below/a"}, data=b"x")
        assert await anext(events) == ("created", "/tmp/seen/below/a")
        await http.delete(FILES, params={"path": "/tmp/seen", "recursive": "true"})
        gone = [event async for event in events]
    assert gone == [("removed", "/tmp/seen")]


async def test_who_leaves_a_watch_ends_it(http: Http, sandbox: RealSandbox) -> None:
    await http.post(f"{FILES}/directories", params={"path": "/tmp/left"})
    before = sandbox.open_files()
    async with http.get(WATCH, params={"path": "/tmp/left"}) as response:
        assert await anext(told(response)) == ("ready", "/tmp/left")
        response.close()
    await settled(lambda: sandbox.open_files() <= before)


async def test_what_cannot_be_watched_says_why(http: Http) -> None:
    async with http.get(WATCH, params={"path": "/tmp/nowhere"}) as response:
        assert response.status == 404
        assert "/tmp/nowhere" in (await response.json(content_type=None))["detail"]
    async with http.get(WATCH) as response:
        assert response.status == 422
    async with http.get(WATCH, params={"path": "/tmp", "recursive": "yes"}) as response:
        assert response.status == 422
    async with http.get(WATCH, params={"path": "/tmp", "container": "other"}) as response:
        assert response.status == 400
