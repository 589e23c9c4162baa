"""A sandbox of two containers, through the real server and the real sidecar."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from gateway.fakes import World
from gateway.serving import LOOPBACK, served
from gateway.test_terminals import COMMANDS, SIZE, at, rest
from gateway.test_watching import told
from sidecar.pods import Pod, require_tools

FILES = "/v1/sandboxes/box/filesystem"
SECOND = {"container": "sandbox1"}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    require_tools()
    with Pod(tmp_path_factory.mktemp("two")) as pod:
        for name in ("sandbox0", "sandbox1"):
            container = pod.add(name, directory="/tmp")
            (container.root / "tmp/name").write_text(name)
        yield pod.start_sidecar().port


@pytest.fixture
async def http(gateway: World, port: int) -> AsyncIterator[aiohttp.ClientSession]:
    await gateway.runs("box", LOOPBACK)
    async with served(gateway, port) as url, aiohttp.ClientSession(url) as session:
        yield session


@pytest.mark.parametrize("container", ["sandbox0", "sandbox1"])
async def test_each_is_reached_by_its_name(http: aiohttp.ClientSession, container: str) -> None:
    place = {"container": container}
    body = {"args": ["cat", "/tmp/name"], "terminal": SIZE}
    async with http.post(COMMANDS, params=place, json=body) as response:
        command = (await response.json())["id"]
    async with http.ws_connect(at(command)) as terminal:
        assert (await rest(terminal))[0] == container.encode()
    async with http.get(FILES, params={**place, "path": "name"}) as response:
        assert await response.text() == container
    async with http.get(COMMANDS) as response:
        listed = (await response.json())["commands"]
    assert [c["container"] for c in listed if c["id"] == command] == [container]


async def test_files_are_made_moved_watched_and_removed_in_the_one_that_is_named(
    http: aiohttp.ClientSession,
) -> None:
    async with http.post(f"{FILES}/directories", params={**SECOND, "path": "/tmp/d"}) as made:
        assert made.status == 201
    async with http.get(f"{FILES}/watch", params={**SECOND, "path": "/tmp/d"}) as watch:
        events = told(watch)
        assert await anext(events) == ("ready", "/tmp/d")
        await http.post(FILES, params={**SECOND, "path": "/tmp/d/a"}, data=b"x")
        assert await anext(events) == ("created", "/tmp/d/a")
        moved = {**SECOND, "from": "/tmp/d/a", "to": "/tmp/d/b"}
        async with http.post(f"{FILES}/move", params=moved) as response:
            assert response.status == 204
        assert await anext(events) == ("renamed", "/tmp/d/b")
    async with http.get(f"{FILES}/entries", params={**SECOND, "path": "/tmp/d"}) as response:
        assert [e["name"] for e in (await response.json())["entries"]] == ["b"]
    first = {"container": "sandbox0", "path": "/tmp/d"}
    async with http.get(f"{FILES}/stat", params=first) as response:
        assert response.status == 404
    removed = {**SECOND, "path": "/tmp/d", "recursive": "true"}
    async with http.delete(FILES, params=removed) as response:
        assert response.status == 204


@pytest.mark.parametrize("place", [{}, {"container": "third"}], ids=["none", "unknown"])
async def test_which_one_must_be_said(http: aiohttp.ClientSession, place: dict[str, str]) -> None:
    asked = {**place, "path": "/tmp/name"}
    answers = [
        await http.post(COMMANDS, params=place, json={"args": ["true"]}),
        await http.get(FILES, params=asked),
        await http.post(FILES, params=asked, data=b"x"),
        await http.delete(FILES, params=asked),
        await http.get(f"{FILES}/watch", params=asked),
        await http.get(f"{FILES}/entries", params=asked),
        await http.get(f"{FILES}/stat", params=asked),
        await http.post(f"{FILES}/directories", params=asked),
        await http.post(f"{FILES}/move", params={**place, "from": "name", "to": "other"}),
    ]
    for answer in answers:
        problem = await answer.json(content_type="application/problem+json")
        assert (answer.status, problem["status"]) == (400, 400)
        assert problem["detail"]
