"""A queue of names."""

from __future__ import annotations

import asyncio

import pytest

from isola_operator.queue import WorkQueue


@pytest.fixture
def queue() -> WorkQueue:
    return WorkQueue()


async def test_names_come_in_the_order_they_were_added(queue: WorkQueue) -> None:
    for name in "abc":
        queue.add(name)
    assert [await queue.get() for _ in range(3)] == ["a", "b", "c"]


async def test_a_name_waits_once_however_often_it_is_added(queue: WorkQueue) -> None:
    for name in "aaba":
        queue.add(name)
    assert len(queue) == 2


async def test_a_name_is_worked_on_by_one_worker_at_a_time(queue: WorkQueue) -> None:
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    assert len(queue) == 0
    queue.done("a")
    assert await queue.get() == "a"


async def test_a_name_that_nobody_added_meanwhile_does_not_come_again(queue: WorkQueue) -> None:
    queue.add("a")
    queue.done(await queue.get())
    assert len(queue) == 0


async def test_a_waiting_worker_is_woken(queue: WorkQueue) -> None:
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    assert await worker == "a"


async def test_the_nearest_of_several_delays_holds(queue: WorkQueue) -> None:
    queue.add_after("a", 60)
    queue.add_after("a", 0.01)
    queue.add_after("a", 30)
    assert await asyncio.wait_for(queue.get(), 5) == "a"
    queue.close()


async def test_failures_are_retried_later_each_time_until_one_succeeds(queue: WorkQueue) -> None:
    delays = [queue.retry("a") for _ in range(200)]
    assert max(delays) <= 30
    assert max(delays[:3]) <= 0.1 * 2**3
    assert max(delays[50:]) > 5
    queue.succeeded("a")
    assert queue.retry("a") <= 0.2
    queue.close()


async def test_the_age_is_that_of_the_name_that_is_next() -> None:
    queue = WorkQueue()
    assert queue.age_seconds == 0
    queue.add("a")
    queue.add("b")
    queue.add("a")
    first = queue.age_seconds
    assert first > 0
    assert await queue.get() == "a"
    assert 0 < queue.age_seconds < first + 60
    await queue.get()
    assert queue.age_seconds == 0
