"""A local copy that lists, watches, resumes, and lists again when it has to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from isola_lifecycle.errors import NotFoundError, TransientError
from isola_store.client import KubernetesClient
from isola_store.kubernetes import KubernetesSandboxes, decode_sandbox
from isola_store.port import Draft, Sandbox
from isola_store.reflector import Reflector, sandbox_reflector
from support.kubernetes_server import NAMESPACE
from support.store import SPEC, append, unique
from support.stories import ACCEPTED


def item(name: str, version: int) -> dict[str, Any]:
    metadata = {
        "name": name,
        "uid": name,
        "resourceVersion": str(version),
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    return {"metadata": metadata}


def event(kind: str, name: str, version: int) -> dict[str, Any]:
    return {"type": kind, "object": item(name, version)}


class Script:
    """An API server that says what the test has written down, and remembers what it was asked."""

    def __init__(self, *answers: list[Any] | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def request(
        self, method: str, path: str, body: Any = None, *, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        assert (method, path, body) == ("GET", "/things", None)
        token = (query or {}).get("continue", "")
        self.asked.append(f"list {token}".strip())
        answer = await self._next()
        return {"items": answer[1:], "metadata": answer[0]}

    async def watch(
        self, path: str, query: Mapping[str, str], *, timeout_seconds: int
    ) -> AsyncIterator[dict[str, Any]]:
        assert path == "/things"
        assert timeout_seconds > 0
        self.asked.append(f"watch {query['resourceVersion']}")
        for each in await self._next():
            yield each

    async def _next(self) -> list[Any]:
        if not self.answers:
            await asyncio.Event().wait()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@asynccontextmanager
async def running(reflector: Reflector[Sandbox]) -> AsyncGenerator[None]:
    task = asyncio.create_task(reflector.run())
    try:
        yield
    finally:
        task.cancel()


async def played(script: Script, steps: int) -> Reflector[Sandbox]:
    """Return a copy after so many requests."""
    reflector = Reflector(script, "/things", decode_sandbox)
    async with running(reflector), asyncio.timeout(5):
        while len(script.asked) < steps:  # noqa: ASYNC110 - the script tells nobody
            await asyncio.sleep(0.005)
    return reflector


def names(reflector: Reflector[Sandbox]) -> set[str]:
    return {sandbox.name for sandbox in reflector.list()}


async def test_a_list_may_come_in_pages() -> None:
    first = [{"resourceVersion": "1", "continue": "more"}, item("a", 1)]
    script = Script(first, [{"resourceVersion": "2"}, item("b", 2)])
    reflector = await played(script, 3)
    assert script.asked == ["list", "list more", "watch 2"]
    assert names(reflector) == {"a", "b"}
    assert reflector.synced


async def test_a_watch_that_ends_goes_on_where_it_was() -> None:
    script = Script(
        [{"resourceVersion": "1"}, item("a", 1)],
        [event("ADDED", "b", 4), event("DELETED", "a", 5)],
        [event("BOOKMARK", "", 9)],
    )
    reflector = await played(script, 4)
    assert script.asked == ["list", "watch 1", "watch 5", "watch 9"]
    assert names(reflector) == {"b"}


async def test_a_watch_that_breaks_goes_on_without_a_list() -> None:
    script = Script([{"resourceVersion": "1"}], TransientError("gone"), [event("ADDED", "a", 2)])
    await played(script, 4)
    assert script.asked == ["list", "watch 1", "watch 1", "watch 2"]


@pytest.mark.parametrize(
    "too_old",
    [
        pytest.param(NotFoundError("410"), id="as an answer"),
        pytest.param([{"type": "ERROR", "object": {"code": 410}}], id="as an event"),
    ],
)
async def test_a_position_that_is_too_old_means_another_list(too_old: Any) -> None:
    script = Script(
        [{"resourceVersion": "1"}, item("a", 1)], too_old, [{"resourceVersion": "7"}, item("b", 7)]
    )
    reflector = await played(script, 4)
    assert script.asked == ["list", "watch 1", "list", "watch 7"]
    assert names(reflector) == {"b"}


async def test_a_listener_hears_of_what_came_and_what_went_unseen() -> None:
    script = Script(
        [{"resourceVersion": "1"}, item("a", 1)], NotFoundError("410"), [{"resourceVersion": "7"}]
    )
    heard: list[str] = []
    reflector = Reflector(script, "/things", decode_sandbox)
    reflector.subscribe(heard.append)
    async with running(reflector), asyncio.timeout(5):
        while len(script.asked) < 4:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.005)
    assert heard == ["a", "a"]


def damaged(kind: str, name: str, version: int) -> dict[str, Any]:
    return {"type": kind, "object": {**item(name, version), "status": {"conditions": [{}]}}}


@pytest.mark.parametrize(
    ("listed", "watched", "kept", "unreadable"),
    [
        pytest.param(
            [item("a", 1), damaged("", "b", 1)["object"]],
            [damaged("MODIFIED", "a", 2), event("ADDED", "c", 3)],
            {"c"},
            2,
            id="as it comes",
        ),
        pytest.param(
            [damaged("", name, 1)["object"] for name in ("a", "b")],
            [event("MODIFIED", "a", 2), damaged("DELETED", "b", 3)],
            {"a"},
            0,
            id="no more once it is mended or gone",
        ),
    ],
)
async def test_what_cannot_be_decoded_is_passed_over_and_counted(
    listed: list[Any], watched: list[Any], kept: set[str], unreadable: int
) -> None:
    script = Script([{"resourceVersion": "1"}, *listed], watched)
    reflector = Reflector(script, "/things", decode_sandbox, lenient=True)
    async with running(reflector), asyncio.timeout(5):
        while len(script.asked) < 3:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.005)
        assert names(reflector) == kept
        assert reflector.unreadable == unreadable


async def test_who_must_not_miss_the_newest_asks_past_the_copy() -> None:
    script = Script([{"resourceVersion": "1"}, item("a", 1)])
    reflector = Reflector(script, "/things", decode_sandbox, lenient=True)
    async with running(reflector), asyncio.timeout(5):
        await reflector.wait_synced()
        while len(script.asked) < 2:  # noqa: ASYNC110 - the watch, which hears of nothing
            await asyncio.sleep(0.005)
        script.answers = [[{"resourceVersion": "3"}, item("b", 2), damaged("", "c", 3)["object"]]]
        assert [sandbox.name for sandbox in await reflector.fresh()] == ["b"]
        assert names(reflector) == {"a"}


async def test_where_absence_means_more_than_it_says_nothing_is_passed_over() -> None:
    script = Script([{"resourceVersion": "1"}, damaged("", "b", 1)["object"]])
    with pytest.raises(KeyError):
        await Reflector(script, "/things", decode_sandbox).run()


@pytest.mark.apiserver
async def test_a_real_api_server_is_followed(client: KubernetesClient) -> None:
    store = KubernetesSandboxes(client, NAMESPACE)
    reflector = sandbox_reflector(client, NAMESPACE)
    name = unique("followed")
    async with running(reflector), asyncio.timeout(20):
        await reflector.wait_synced()
        coming = asyncio.create_task(reflector.changed(name, 10))
        await asyncio.sleep(0)
        sandbox = await store.create(Draft(name=name, spec=SPEC))
        await coming
        assert reflector.get(name) == sandbox
        sandbox = await append(store, sandbox, ACCEPTED)
        while reflector.get(name) != sandbox:
            await reflector.changed(name, 1)
        await store.remove_finalizer(sandbox)
        await store.delete(name, uid=sandbox.uid)
        while reflector.get(name):
            await reflector.changed(name, 1)
