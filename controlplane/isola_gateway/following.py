"""All objects of a kind as server-sent events: first what there is, then every change.

    event: sandbox          data: an item of the list, new or changed
    event: rootfsSnapshot   likewise
    event: removed          data: {"id": …}: it is gone, or no longer one of those asked for
    event: synced           data: {}: what was there at the beginning has been told

A client that comes again is told everything again: there is nothing to resume. One that is slow
holds up nobody, and is told the latest of each object, not every step on the way.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from typing import Generic

from isola_gateway.kinds import Kind
from isola_gateway.listing import Choice, is_chosen
from isola_gateway.ports import View
from isola_store.port import T

# The gateway's own streams give a sign of life as often as a sidecar's: clients wait longer.
KEEP_ALIVE_SECONDS = 15
KEEP_ALIVE = b": keepalive\n\n"


class Follower(Generic[T]):
    """What one client has been told of the objects that it asked for.

    Args:
        kind: Of which kind they are.
        view: All of them.
        choice: Which of them.
        keep_alive_seconds: After so long a silence comes a sign of life.
    """

    def __init__(
        self,
        kind: Kind[T],
        view: View[T],
        choice: Choice,
        *,
        keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
    ) -> None:
        self._kind = kind
        self._view = view
        self._choice = choice
        self._keep_alive_seconds = keep_alive_seconds
        self._told: dict[str, str] = {}
        # Names to look at, each once however often it changed meanwhile, in the order they came.
        self._changed: dict[str, None] = {}
        self._woken = asyncio.Event()

    async def events(self) -> AsyncGenerator[bytes]:
        """Yield events for ever."""
        unsubscribe = self._view.subscribe(self._look)
        try:
            # The server holds the head of an answer back until there is something of its body.
            yield KEEP_ALIVE
            self._changed |= dict.fromkeys(item.name for item in self._view.list())
            for event in self._news():
                yield event
            yield _event("synced", "{}")
            while True:
                for event in self._news():
                    yield event
                if not await self._woke():
                    yield KEEP_ALIVE
        finally:
            unsubscribe()

    def _look(self, name: str) -> None:
        self._changed[name] = None
        self._woken.set()

    async def _woke(self) -> bool:
        self._woken.clear()
        try:
            async with asyncio.timeout(self._keep_alive_seconds):
                await self._woken.wait()
        except TimeoutError:
            return False
        return True

    def _news(self) -> Iterator[bytes]:
        while self._changed:
            name = next(iter(self._changed))
            del self._changed[name]
            item = self._view.get(name)
            summary = self._kind.summary(item) if item else None
            if summary is None or not is_chosen(summary, self._choice):
                if self._told.pop(name, None):
                    yield _event("removed", json.dumps({"id": name}))
                continue
            text = summary.model_dump_json(by_alias=True, exclude_none=True)
            if self._told.get(name) != text:
                self._told[name] = text
                yield _event(self._kind.event, text)


def _event(kind: str, data: str) -> bytes:
    return f"event: {kind}\ndata: {data}\n\n".encode()
