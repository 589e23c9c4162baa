"""What is new waits a moment for what follows it, and for nothing when the exporter is to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from isola_exporter.backlog import BATCH_ENTRIES, Backlog
from isola_exporter.delivery import Delivery
from isola_exporter.model import Item, Record
from isola_exporter.news import News
from isola_exporter.sandboxes import SANDBOX
from isola_exporter.stories import Subject
from isola_lifecycle.log import Log
from support.stories import NOT_READY, READY, RUNNING, START, log_of

AGES = timedelta(days=1)


@dataclass
class Sink:
    """Keeps what it is sent.

    Attributes:
        requests: The sequences of the records in each request.
    """

    requests: list[list[int]] = field(default_factory=list[list[int]])

    def send_records(self, items: Sequence[Item]) -> bool:
        self.requests.append([item.sequence for item in items if isinstance(item, Record)])
        return True

    def send_spans(self, items: Sequence[Item]) -> bool:
        return bool(items)


class Way:
    """A delivery that runs, from a backlog to a sink."""

    def __init__(self, gathering: timedelta) -> None:
        self.sink = Sink()
        self.backlog = Backlog(timedelta(days=1), START)
        self.news = News(gathering)
        self.delivery = Delivery(
            self.backlog, self.sink, lambda _: None, lambda: START, lambda: None, self.news
        )

    def learn(self, log: Log, uid: str = "u-1") -> None:
        subject = Subject(uid=uid, name="s", namespace="n", story=SANDBOX)
        self.backlog.learn(subject, log, now=START)
        self.news.tell()


async def settled() -> None:
    """Let what runs come to where it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_life_that_grows_while_it_is_gathered_is_one_request() -> None:
    way, log = Way(AGES), log_of(RUNNING)
    running = asyncio.create_task(way.delivery.run())
    for length in range(1, len(log) + 1):
        await settled()
        way.learn(Log(log.origin, log.entries[:length]))
    await settled()
    assert way.sink.requests == []
    way.delivery.finish()
    await running
    assert way.sink.requests == [list(range(1, len(log) + 1))]


async def test_what_is_gathered_is_sent_by_and_by() -> None:
    way, log = Way(timedelta(milliseconds=1)), log_of(RUNNING)
    running = asyncio.create_task(way.delivery.run())
    for length in range(1, len(log) + 1):
        way.learn(Log(log.origin, log.entries[:length]))
        while way.backlog.pending:  # noqa: ASYNC110 - a number, no event
            await asyncio.sleep(0.001)
    assert [sequence for request in way.sink.requests for sequence in request] == [
        entry.sequence for entry in log
    ]
    way.delivery.finish()
    await running


async def test_full_batches_do_not_wait() -> None:
    way = Way(AGES)
    log = log_of([*RUNNING, *([NOT_READY, READY] * BATCH_ENTRIES)])
    for number in range(3):
        way.learn(log, f"u-{number}")
    running = asyncio.create_task(way.delivery.run())
    async with asyncio.timeout(60):
        while way.backlog.pending:
            way.news.tell()  # more comes in all the time
            await asyncio.sleep(0.001)
    assert way.sink.requests == [[entry.sequence for entry in log]] * 3
    way.delivery.finish()
    await running
