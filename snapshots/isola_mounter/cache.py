"""The archives that this node keeps: each fetched once, and the least recently used goes first.

    <folder>/<sha256>.tar           a whole archive, verified; its time of change is its last use
    <folder>/<sha256>.<n>.part      one on its way, of a process that lives

An archive is named by its digest, so one that is there is the right one, whatever its snapshot is
called. It is in use while somebody holds it, or while a sandbox has a hard link to it: such a one
never goes. What is on its way counts with the size that it will have.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import structlog

from isola_mounter.folders import ARCHIVE_MODE, sync

# Different archives on their way at once. Each holds a few megabytes of memory.
AT_ONCE = 4

_FULL = {errno.ENOSPC, errno.EDQUOT}

Trouble = Callable[[str], Awaitable[None]]
Fill = Callable[[Path, Trouble], Awaitable[None]]


class NoRoomError(Exception):
    """There is no room at present; the message says why, and what to do."""


class TooLargeError(Exception):
    """There will never be room."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An archive.

    Attributes:
        sha256: Its digest, hex.
        size_bytes: Its size.
    """

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Held:
    """An archive that stays as long as it is held.

    Attributes:
        path: Where it is.
        cached: Whether it was there, or on its way for somebody else.
    """

    path: Path
    cached: bool


@dataclass(eq=False)
class _Flight:
    """An archive on its way, and who waits for it."""

    task: asyncio.Task[None] | None = None
    passengers: int = 0
    listeners: list[Trouble] = field(default_factory=list[Trouble])

    async def tell(self, why: str) -> None:
        for listener in tuple(self.listeners):
            await listener(why)


class Cache:
    """Archives on this node's disk. For one process at a time.

    Args:
        folder: Where they are.
        limit_bytes: What they may take in all.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit = limit_bytes
        self._held: Counter[str] = Counter()
        self._flights: dict[str, _Flight] = {}
        self._coming: dict[Path, int] = {}
        self._numbers = count()
        self._free = asyncio.Semaphore(AT_ONCE)

    def path(self, sha256: str) -> Path:
        """Return where an archive is, if it is there."""
        return self._folder / f"{sha256}.tar"

    def recover(self) -> None:
        """Remove what a process that died left half done."""
        for each in self._folder.glob("*.part"):
            each.unlink(missing_ok=True)

    @asynccontextmanager
    async def hold(self, wanted: Wanted, fill: Fill, troubled: Trouble) -> AsyncGenerator[Held]:
        """Hold an archive, fetched if it is not there.

        Args:
            wanted: Which.
            fill: Writes it to a path, verified, or raises; may tell of trouble meanwhile.
            troubled: Hears of that.

        Raises:
            NoRoomError: Everything here is in use.
            TooLargeError: It alone is more than may be kept.
            Exception: What `fill` raises, to everybody who waits for it.
        """
        self._held[wanted.sha256] += 1
        try:
            yield await self._have(wanted, fill, troubled)
        finally:
            self._held[wanted.sha256] -= 1
            self._held += Counter()  # without those that nobody holds

    async def _have(self, wanted: Wanted, fill: Fill, troubled: Trouble) -> Held:
        path = self.path(wanted.sha256)
        if path.exists():
            os.utime(path)
            return Held(path, cached=True)
        flight = self._flights.get(wanted.sha256)
        cached = flight is not None
        if flight is None:
            flight = self._flights[wanted.sha256] = _Flight()
            flight.task = asyncio.create_task(self._fetch(wanted, fill, flight))
            flight.task.add_done_callback(lambda task: task.cancelled() or task.exception())
        assert flight.task is not None  # noqa: S101 - since two lines
        flight.passengers += 1
        flight.listeners.append(troubled)
        try:
            await asyncio.shield(flight.task)
        finally:
            flight.passengers -= 1
            flight.listeners.remove(troubled)
            if not flight.passengers:
                self._land(wanted, flight)
                flight.task.cancel()  # nobody waits for it any more
        return Held(path, cached)

    def _land(self, wanted: Wanted, flight: _Flight) -> None:
        if self._flights.get(wanted.sha256) is flight:
            del self._flights[wanted.sha256]

    async def _fetch(self, wanted: Wanted, fill: Fill, flight: _Flight) -> None:
        try:
            async with self._free:
                await self._fetched(wanted, fill, flight)
        finally:
            self._land(wanted, flight)

    async def _fetched(self, wanted: Wanted, fill: Fill, flight: _Flight) -> None:
        self._make_room(wanted.size_bytes)
        part = self._folder / f"{wanted.sha256}.{next(self._numbers)}.part"
        self._coming[part] = wanted.size_bytes
        try:
            await fill(part, flight.tell)
            await asyncio.to_thread(_settle, part, self.path(wanted.sha256))
        except OSError as error:
            if error.errno not in _FULL:
                raise
            self._evict(wanted.size_bytes)
            raise NoRoomError(
                f"the node's disk is full: {error}; it is shared with images and containers, so"
                " make room there, or lower snapshotMounter.cacheSizeLimit"
            ) from error
        finally:
            del self._coming[part]
            part.unlink(missing_ok=True)

    def _make_room(self, size_bytes: int) -> None:
        if size_bytes > self._limit:
            raise TooLargeError(
                f"it has {size_bytes} bytes, but a node keeps {self._limit} of all archives"
                " (snapshotMounter.cacheSizeLimit)"
            )
        taken = self._taken()
        taken -= self._evict(taken + size_bytes - self._limit)
        if taken + size_bytes > self._limit:
            raise NoRoomError(
                f"{taken} of the {self._limit} bytes that this node keeps are archives in use, and"
                f" it has {size_bytes}; it waits until others have started"
                " (snapshotMounter.cacheSizeLimit)"
            )

    def _taken(self) -> int:
        return sum(each.stat().st_size for each in self._archives()) + sum(self._coming.values())

    def _evict(self, least_bytes: int) -> int:
        """Remove what was used least recently, until so many bytes are freed; return how many."""
        freed = 0
        for each in sorted(self._archives(), key=lambda path: path.stat().st_mtime_ns):
            if freed >= least_bytes:
                break
            stat = each.stat()
            if stat.st_nlink == 1 and not self._held[each.stem]:
                each.unlink()
                freed += stat.st_size
                structlog.get_logger().info("evicted", sha256=each.stem, bytes=stat.st_size)
        return freed

    def _archives(self) -> list[Path]:
        return list(self._folder.glob("*.tar"))


def _settle(part: Path, path: Path) -> None:
    descriptor = os.open(part, os.O_RDONLY)
    try:
        os.fchmod(descriptor, ARCHIVE_MODE)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    part.replace(path)
    sync(path.parent)
