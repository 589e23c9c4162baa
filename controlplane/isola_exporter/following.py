"""From the API server into the backlog: live objects, and the archive of their logs.

Back-pressure reaches as far as the watch: when too much waits for delivery, nothing more is read
until most of it has gone. What happens meanwhile is in the logs, and is read then.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isola_exporter.backlog import Backlog
from isola_exporter.sandboxes import SANDBOX
from isola_exporter.snapshots import SNAPSHOT
from isola_exporter.stories import Story, Subject
from isola_lifecycle import archive
from isola_lifecycle.codec import decode_segment
from isola_lifecycle.log import Condition
from isola_store.client import KubernetesClient
from isola_store.kubernetes import decode, path_of
from isola_store.port import Logged
from isola_store.records import records_path
from isola_store.reflector import Reflector

# What is told of: a kind more is a line here.
STORIES = (SANDBOX, SNAPSHOT)

# An entry takes about a kilobyte of memory.
MOST_PENDING = 100_000
ENOUGH_PENDING = 50_000
LOOK_SECONDS = 0.5

# How often lives are looked through for those that nothing more will come of.
SWEEP_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Piece:
    """All that a copy of the archive keeps of a record; its entries went into the backlog.

    Attributes:
        name: The record's.
    """

    name: str


class Following:
    """Keeps the backlog current.

    Args:
        client: Where from.
        namespace: Where the objects live.
        backlog: What learns of them.
        clock: Tells the time, UTC.
        wake: Called when there may be something to deliver.
    """

    def __init__(
        self,
        client: KubernetesClient,
        namespace: str,
        backlog: Backlog,
        clock: Callable[[], datetime],
        wake: Callable[[], None],
    ) -> None:
        self._backlog = backlog
        self._namespace = namespace
        self._clock = clock
        self._wake = wake
        self._objects = {story: self._copy(client, story) for story in STORIES}
        self._records = [self._archive(client, story) for story in STORIES]

    @property
    def _copies(self) -> tuple[Reflector[Any], ...]:
        return (*self._records, *self._objects.values())

    @property
    def synced(self) -> bool:
        """Return whether everything that is there has been read once."""
        return all(copy.synced for copy in self._copies)

    async def wait_synced(self) -> None:
        """Return once everything that is there has been read."""
        for copy in self._copies:
            await copy.wait_synced()

    def census(self, story: Story) -> Mapping[str, int]:
        """Return how many objects of a kind there are in each state."""
        fold = story.projection.fold
        found = Counter(fold(item.log).phase for item in self._objects[story].list())
        return {phase.value: found[phase] for phase in story.phases}

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sweep())
            for copy in self._copies:
                group.create_task(self._follow(copy))

    async def _follow(self, copy: Reflector[Any]) -> None:
        while True:
            reading = asyncio.create_task(copy.run())
            try:
                while self._backlog.pending <= MOST_PENDING:  # noqa: ASYNC110 - a number, no event
                    await asyncio.sleep(LOOK_SECONDS)
            finally:
                reading.cancel()
                with suppress(asyncio.CancelledError):
                    await reading
            while self._backlog.pending > ENOUGH_PENDING:  # noqa: ASYNC110
                await asyncio.sleep(LOOK_SECONDS)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            present = (item.uid for copy in self._objects.values() for item in copy.list())
            self._backlog.forget(present, now=self._clock())

    def _copy(self, client: KubernetesClient, story: Story) -> Reflector[Logged]:
        path = path_of(story.resource, self._namespace)
        copy = Reflector(client, path, lambda item: decode(item, Logged), lenient=True)

        def look(name: str) -> None:
            if item := copy.get(name):
                self._learn(story, item.subject, item.log)

        copy.subscribe(look)
        return copy

    def _archive(self, client: KubernetesClient, story: Story) -> Reflector[Piece]:
        def piece(item: Mapping[str, Any]) -> Piece:
            segment = decode_segment(item["spec"], story.resource)
            self._learn(story, segment.subject, segment.entries)
            return Piece(item["metadata"]["name"])

        return Reflector(client, records_path(self._namespace, story.resource), piece)

    def _learn(self, story: Story, of: archive.Subject, entries: Iterable[Condition]) -> None:
        subject = Subject(uid=of.uid, name=of.name, namespace=self._namespace, story=story)
        self._backlog.learn(subject, entries, now=self._clock())
        self._wake()
