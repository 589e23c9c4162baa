"""From the API server into the backlog: live sandboxes, and the archive of their logs.

Back-pressure reaches as far as the watch: when too much waits for delivery, nothing more is read
until most of it has gone. What happens meanwhile is in the logs, and is read then.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from isola_exporter.backlog import Backlog
from isola_exporter.model import Subject
from isola_lifecycle.sandbox.conditions import Phase
from isola_lifecycle.sandbox.fold import fold
from isola_store.port import Sandbox
from isola_store.reflector import Reflector

# An entry takes about a kilobyte of memory.
MOST_PENDING = 100_000
ENOUGH_PENDING = 50_000
LOOK_SECONDS = 0.5

# How often lives are looked through for those that nothing more will come of.
SWEEP_SECONDS = 60


class Following:
    """Keeps the backlog current.

    Args:
        sandboxes: Local copy of the sandboxes.
        backlog: What learns of them.
        namespace: Where they live.
        clock: Tells the time, UTC.
        wake: Called when there may be something to deliver.
    """

    def __init__(
        self,
        sandboxes: Reflector[Sandbox],
        backlog: Backlog,
        namespace: str,
        clock: Callable[[], datetime],
        wake: Callable[[], None],
    ) -> None:
        self._sandboxes = sandboxes
        self._backlog = backlog
        self._namespace = namespace
        self._clock = clock
        self._wake = wake
        sandboxes.subscribe(self._look)

    async def follow(self, copy: Reflector[Any]) -> None:
        """Keep `copy` current while there is room for what it brings. Until cancelled."""
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

    async def sweep(self) -> None:
        """Drop lives that nothing more will come of, now and then. Until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            present = (sandbox.uid for sandbox in self._sandboxes.list())
            self._backlog.forget(present, now=self._clock())

    def _look(self, name: str) -> None:
        if sandbox := self._sandboxes.get(name):
            subject = Subject(uid=sandbox.uid, name=name, namespace=self._namespace)
            self._backlog.learn(subject, sandbox.log, now=self._clock())
            self._wake()


def census(sandboxes: Iterable[Sandbox]) -> Mapping[str, int]:
    """Return how many sandboxes there are in each state."""
    found = Counter(fold(sandbox.log).phase for sandbox in sandboxes)
    return {phase.value: found[phase] for phase in Phase}
