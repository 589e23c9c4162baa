"""What a node keeps: bounded, each archive fetched once, none gone that is in use."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isola_mounter.cache import (
    AT_ONCE,
    Cache,
    Fill,
    Held,
    NoRoomError,
    TooLargeError,
    Trouble,
    Wanted,
)

SIZE = 100


def wanted(name: str, size: int = SIZE) -> Wanted:
    return Wanted(name, size)


async def unheard(_: str) -> None:
    return


def write(path: Path, size: int) -> None:
    path.write_bytes(b"x" * size)


class Source:
    """What archives come from, and how often they did."""

    def __init__(self) -> None:
        self.fetched: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def fill(self, item: Wanted) -> Fill:
        async def fill(path: Path, _: Trouble) -> None:
            self.fetched.append(item.sha256)
            write(path, item.size_bytes // 2)
            await self.gate.wait()
            write(path, item.size_bytes)

        return fill


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path, 3 * SIZE)


@asynccontextmanager
async def holding(
    cache: Cache, source: Source, name: str, size: int = SIZE
) -> AsyncGenerator[Held]:
    item = wanted(name, size)
    async with cache.hold(item, source.fill(item), unheard) as held:
        yield held


async def have(cache: Cache, source: Source, name: str, size: int = SIZE) -> bool:
    async with holding(cache, source, name, size) as held:
        assert held.path.stat().st_size == size
        return held.cached


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def aged(cache: Cache, *oldest_first: str) -> None:
    """Let archives have been used in this order, long ago."""
    for at, name in enumerate(oldest_first, start=1):
        os.utime(cache.path(name), (at, at))


async def test_an_archive_is_fetched_once_and_nobody_can_write_to_it(
    cache: Cache, source: Source, tmp_path: Path
) -> None:
    assert await have(cache, source, "a") is False
    assert await have(cache, source, "a") is True
    assert source.fetched == ["a"]
    assert names(tmp_path) == {"a.tar"}
    assert cache.path("a").stat().st_mode & 0o777 == 0o400


async def test_however_many_want_it_at_once_it_is_fetched_once(
    cache: Cache, source: Source
) -> None:
    source.gate.clear()
    tasks = [asyncio.create_task(have(cache, source, "a")) for _ in range(10)]
    await until(lambda: source.fetched == ["a"])
    source.gate.set()
    assert sorted(await asyncio.gather(*tasks)) == [False] + [True] * 9
    assert source.fetched == ["a"]


async def until(done: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while True:
            if done():
                return
            await asyncio.sleep(0.01)


async def test_who_gives_up_does_not_keep_the_others_from_it(cache: Cache, source: Source) -> None:
    source.gate.clear()
    first = asyncio.create_task(have(cache, source, "a"))
    await until(lambda: source.fetched)
    second = asyncio.create_task(have(cache, source, "a"))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    source.gate.set()
    assert await second is True
    assert source.fetched == ["a"]


async def test_when_nobody_waits_any_more_nothing_is_left_of_it(
    cache: Cache, source: Source, tmp_path: Path
) -> None:
    source.gate.clear()
    task = asyncio.create_task(have(cache, source, "a"))
    await until(lambda: source.fetched)
    task.cancel()
    await until(lambda: not names(tmp_path))
    source.gate.set()
    assert await have(cache, source, "a") is False  # whoever comes next begins anew
    assert source.fetched == ["a", "a"]


async def test_who_comes_as_the_last_one_leaves_begins_anew(cache: Cache, source: Source) -> None:
    source.gate.clear()
    task = asyncio.create_task(have(cache, source, "a"))
    await until(lambda: source.fetched)
    task.cancel()
    await asyncio.sleep(0)  # it has left, and what it waited for is not cleared away yet
    source.gate.set()
    assert await have(cache, source, "a") is False


async def test_what_goes_wrong_is_heard_by_all_who_wait_and_leaves_nothing(
    cache: Cache, tmp_path: Path
) -> None:
    class DamagedError(Exception):
        pass

    heard: list[str] = []
    begun = asyncio.Event()

    async def fill(path: Path, told: Trouble) -> None:
        write(path, 4)
        begun.set()
        await asyncio.sleep(0.05)
        await told("it hesitates")
        raise DamagedError

    async def hear(why: str) -> None:
        heard.append(why)

    async def want() -> None:
        with pytest.raises(DamagedError):
            async with cache.hold(wanted("a"), fill, hear):
                raise AssertionError

    tasks = [asyncio.create_task(want()) for _ in range(3)]
    await begun.wait()
    await asyncio.gather(*tasks)
    assert heard == ["it hesitates"] * 3
    assert names(tmp_path) == set()


async def test_the_least_recently_used_goes_first(
    cache: Cache, source: Source, tmp_path: Path
) -> None:
    for name in "abc":
        await have(cache, source, name)
    aged(cache, "b", "c", "a")
    await have(cache, source, "d")
    assert names(tmp_path) == {"c.tar", "a.tar", "d.tar"}
    aged(cache, "c", "a", "d")
    assert await have(cache, source, "c") is True  # used again
    await have(cache, source, "e")
    assert names(tmp_path) == {"c.tar", "d.tar", "e.tar"}


async def test_as_much_goes_as_it_takes_and_no_more(
    cache: Cache, source: Source, tmp_path: Path
) -> None:
    for name in "abc":
        await have(cache, source, name)
    aged(cache, "a", "b", "c")
    await have(cache, source, "d", 2 * SIZE)
    assert names(tmp_path) == {"c.tar", "d.tar"}


async def test_what_a_sandbox_starts_from_never_goes(
    cache: Cache, source: Source, tmp_path: Path
) -> None:
    for name in "abc":
        await have(cache, source, name)
    staged = tmp_path / "staged"
    os.link(cache.path("a"), staged)
    aged(cache, "a", "b", "c")
    await have(cache, source, "d")
    assert cache.path("a").exists()
    assert not cache.path("b").exists()
    staged.unlink()
    aged(cache, "a", "c", "d")
    await have(cache, source, "e")
    assert not cache.path("a").exists()


async def test_what_somebody_holds_never_goes_and_without_room_that_is_said(
    cache: Cache, source: Source
) -> None:
    async with holding(cache, source, "a"), holding(cache, source, "b"):
        await have(cache, source, "c")
        aged(cache, "a", "b", "c")
        with pytest.raises(NoRoomError, match=r"200 of the 300 bytes .* archives in use"):
            await have(cache, source, "d", 2 * SIZE)
        assert cache.path("a").exists()
        assert cache.path("b").exists()
    await have(cache, source, "d", 2 * SIZE)


async def test_room_is_reserved_for_all_or_for_none(cache: Cache, source: Source) -> None:
    with cache.reserved([wanted("a"), wanted("b")]):
        assert cache.taken() == 2 * SIZE
        with pytest.raises(NoRoomError), cache.reserved([wanted("c"), wanted("d")]):
            raise AssertionError
        assert cache.taken() == 2 * SIZE  # for none of the two
        with cache.reserved([wanted("b"), wanted("c")]):  # one of which has room
            assert cache.taken() == 3 * SIZE
        await have(cache, source, "a")
        await have(cache, source, "b")
        assert cache.taken() == 2 * SIZE
        with pytest.raises(NoRoomError):
            await have(cache, source, "c", 2 * SIZE)
    await have(cache, source, "c", 2 * SIZE)
    assert cache.path("b").exists()


async def test_several_are_too_large_together(cache: Cache) -> None:
    with pytest.raises(TooLargeError, match="400 bytes"), cache.reserved(map(wanted, "abcd")):
        raise AssertionError


async def test_what_is_on_its_way_counts_with_the_size_that_it_will_have(
    cache: Cache, source: Source
) -> None:
    source.gate.clear()
    tasks = [asyncio.create_task(have(cache, source, name)) for name in "abc"]
    await until(lambda: len(source.fetched) == 3)
    with pytest.raises(NoRoomError):
        async with asyncio.timeout(20):
            await have(cache, source, "d")
    source.gate.set()
    await asyncio.gather(*tasks)
    await have(cache, source, "d")


async def test_what_is_larger_than_all_will_never_fit(cache: Cache, source: Source) -> None:
    with pytest.raises(TooLargeError, match=r"301 bytes, but a node keeps 300"):
        await have(cache, source, "a", 301)
    assert source.fetched == []


async def test_a_full_disk_is_no_fault_of_the_archive(
    cache: Cache, source: Source, tmp_path: Path
) -> None:
    await have(cache, source, "old")

    async def fill(path: Path, _: Trouble) -> None:
        write(path, 4)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(NoRoomError, match="disk is full"):
        async with cache.hold(wanted("a"), fill, unheard):
            raise AssertionError
    assert names(tmp_path) == set()  # what can be spared makes room


async def test_what_a_predecessor_left_half_done_goes(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "a.7.part").write_bytes(b"half")
    (tmp_path / "b.tar").write_bytes(b"whole")
    cache.recover()
    assert names(tmp_path) == {"b.tar"}


async def test_only_so_many_come_at_once(tmp_path: Path, source: Source) -> None:
    cache = Cache(tmp_path, 100 * SIZE)
    source.gate.clear()
    tasks = [asyncio.create_task(have(cache, source, f"a{n}")) for n in range(2 * AT_ONCE)]
    await until(lambda: len(source.fetched) == AT_ONCE)
    await asyncio.sleep(0.05)
    assert len(source.fetched) == AT_ONCE
    source.gate.set()
    await asyncio.gather(*tasks)
    assert len(source.fetched) == 2 * AT_ONCE


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    visits=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 3), st.booleans()), min_size=1, max_size=25
    )
)
async def test_whatever_comes_and_goes_the_bound_holds_and_nothing_held_is_missing(
    tmp_path_factory: pytest.TempPathFactory, visits: list[tuple[int, int, bool]]
) -> None:
    folder, source = tmp_path_factory.mktemp("cache"), Source()
    cache = Cache(folder, 300)
    sizes = [50, 80, 120, 150, 200, 310]

    async def visit(which: int, turns: int, leaves: bool) -> None:  # noqa: FBT001 - drawn
        task = asyncio.current_task()
        assert task
        if leaves:
            asyncio.get_running_loop().call_later(turns * 0.001, task.cancel)
        try:
            async with holding(cache, source, f"a{which}", sizes[which]) as held:
                for _ in range(turns):
                    assert held.path.stat().st_size == sizes[which]
                    taken = sum(p.stat().st_size for p in folder.glob("*.tar"))
                    assert taken <= 300
                    await asyncio.sleep(0.001)
        except (NoRoomError, TooLargeError, asyncio.CancelledError):
            return

    await asyncio.gather(*(visit(*each) for each in visits))
    await until(lambda: not list(folder.glob("*.part")))
    # All that was held is free again.
    await have(cache, source, "last", 300)
