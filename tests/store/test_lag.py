"""The lag of a copy: of appends that it saw come, and of no others."""

from __future__ import annotations

from datetime import timedelta

from isola_store.lag import WatchLag
from isola_store.memory import MemorySandboxes
from isola_store.port import Draft, Sandbox
from support.store import NOW, SPEC, append, unique
from support.stories import ACCEPTED, POD_CREATED


async def scene() -> tuple[WatchLag, list[float], MemorySandboxes, Sandbox]:
    seen: list[float] = []
    store = MemorySandboxes()
    sandbox = await store.create(Draft(name=unique("lag"), spec=SPEC))
    return WatchLag(lambda: NOW + timedelta(seconds=2), seen.append), seen, store, sandbox


async def test_an_append_that_was_seen_to_come_is_measured_once() -> None:
    lag, seen, store, sandbox = await scene()
    lag.look(sandbox.name, sandbox)
    sandbox = await append(store, sandbox, ACCEPTED)
    lag.look(sandbox.name, sandbox)
    lag.look(sandbox.name, sandbox)
    assert seen == [2]


async def test_what_the_first_list_brings_is_not_measured() -> None:
    lag, seen, store, sandbox = await scene()
    sandbox = await append(store, sandbox, ACCEPTED)
    lag.look(sandbox.name, sandbox)
    assert seen == []


async def test_a_new_sandbox_of_an_old_name_is_new() -> None:
    lag, seen, store, sandbox = await scene()
    lag.look(sandbox.name, sandbox)
    lag.look(sandbox.name, None)
    lag.look(sandbox.name, await append(store, sandbox, ACCEPTED))
    assert seen == []


async def test_a_clock_that_is_behind_makes_no_lag() -> None:
    _, _, store, sandbox = await scene()
    seen: list[float] = []
    lag = WatchLag(lambda: NOW - timedelta(seconds=2), seen.append)
    lag.look(sandbox.name, sandbox)
    lag.look(sandbox.name, await append(store, sandbox, ACCEPTED, POD_CREATED))
    assert seen == [0]
