"""From the API server into the backlog: live sandboxes, and the archive of their logs.

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
from isola_exporter.model import Subject
from isola_lifecycle import archive
from isola_lifecycle.codec import decode_segment
from isola_lifecycle.log import Condition
from isola_lifecycle.sandbox.conditions import Phase
from isola_lifecycle.sandbox.fold import fold
from isola_store.client import KubernetesClient
from isola_store.records import records_path
from isola_store.reflector import Reflector, sandbox_reflector

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
        namespace: Where the sandboxes live.
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
        self._sandboxes = sandbox_reflector(client, namespace)
        self._records = Reflector(client, records_path(namespace), self._piece)
        self._backlog = backlog
        self._namespace = namespace
        self._clock = clock
        self._wake = wake
        self._sandboxes.subscribe(self._look)

    @property
    def synced(self) -> bool:
        """Return whether everything that is there has been read once."""
        return self._sandboxes.synced and self._records.synced

    async def wait_synced(self) -> None:
        """Return once everything that is there has been read."""
        await self._sandboxes.wait_synced()
        await self._records.wait_synced()

    def census(self) -> Mapping[str, int]:
        """Return how many sandboxes there are in each state."""
        found = Counter(fold(sandbox.log).phase for sandbox in self._sandboxes.list())
        return {phase.value: found[phase] for phase in Phase}

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as group:
            for work in (self._follow(self._records), self._follow(self._sandboxes), self._sweep()):
                group.create_task(work)

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
            present = (sandbox.uid for sandbox in self._sandboxes.list())
            self._backlog.forget(present, now=self._clock())

    def _look(self, name: str) -> None:
        if sandbox := self._sandboxes.get(name):
            self._learn(sandbox.subject, sandbox.log)

    def _piece(self, item: Mapping[str, Any]) -> Piece:
        segment = decode_segment(item["spec"])
        self._learn(segment.subject, segment.entries)
        return Piece(item["metadata"]["name"])

    def _learn(self, of: archive.Subject, entries: Iterable[Condition]) -> None:
        subject = Subject(uid=of.uid, name=of.name, namespace=self._namespace)
        self._backlog.learn(subject, entries, now=self._clock())
        self._wake()
