"""The connections of sandboxes: how many one may have, and which of them are still allowed.

When a sandbox's list or place changes, each of its connections that would no longer be allowed is
cut at once, before anybody is told that the change is in force.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from isola_egress.directory import Directory, Grant


@dataclass(eq=False)
class Passage:
    """A connection of a sandbox.

    Attributes:
        grant: The sandbox's, when the connection began.
        address: Of its pod.
        port: To which port.
        name: What it leads to; empty while that is not known.
        ends: Both, as far as they are open.
        task: What serves it.
    """

    grant: Grant
    address: str
    port: int
    name: str = ""
    ends: list[asyncio.StreamWriter] = field(default_factory=list[asyncio.StreamWriter])
    task: asyncio.Task[object] | None = None

    def cut(self) -> None:
        """End it, whatever is under way."""
        for end in self.ends:
            end.transport.abort()
        if self.task:
            self.task.cancel()


class Passages:
    """All of them.

    Args:
        directory: Who may reach what.
        most: How many one sandbox may have at once.
    """

    def __init__(self, directory: Directory, most: int) -> None:
        self._directory = directory
        self._most = most
        self._open: dict[str, set[Passage]] = {}
        directory.subscribe(self._review)

    def __len__(self) -> int:
        return sum(map(len, self._open.values()))

    @contextmanager
    def enter(self, passage: Passage) -> Generator[bool]:
        """Hold a place for a connection of the current task; False where there is none left."""
        uid = passage.grant.uid
        held = self._open.setdefault(uid, set())
        if len(held) >= self._most:
            yield False
            return
        passage.task = asyncio.current_task()
        held.add(passage)
        try:
            yield True
        finally:
            passage.task = None
            passage.cut()
            held.discard(passage)
            if not held:
                self._open.pop(uid, None)

    def _review(self, uid: str) -> None:
        for passage in tuple(self._open.get(uid, ())):
            if not self._holds(passage):
                passage.cut()

    def _holds(self, passage: Passage) -> bool:
        grant = self._directory.find(passage.address)
        if not grant or grant.uid != passage.grant.uid:
            return False
        return not passage.name or grant.permits(passage.name, passage.port)
