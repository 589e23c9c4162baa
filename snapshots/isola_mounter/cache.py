"""The archives that this node keeps: each fetched once, and the least recently used goes first.

    <folder>/<sha256>.tar           a whole archive, verified; its time of change is its last use
    <folder>/<sha256>.<n>.part      one on its way, of a process that lives

An archive is named by its digest, so one that is there is the right one, whatever its snapshot is
called. It is in use while somebody holds it, or while a sandbox has a hard link to it: such a one
never goes. What is on its way, or has room reserved, counts with the size that it will have.

Room is reserved for all that a sandbox wants in one step, or for nothing. Whoever waits for room
must have none (`staging` lets go of its links then): so nobody waits for somebody who waits.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager
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
    """There will never be room; the message says why."""


def _unheard(_: int) -> None:
    """Take no note."""


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
        evicted: Told of each archive that made room for others: its size.
    """

    def __init__(
        self, folder: Path, limit_bytes: int, evicted: Callable[[int], None] = _unheard
    ) -> None:
        self._folder = folder
        self._limit = limit_bytes
        self._evicted = evicted
        self._held: Counter[Wanted] = Counter()
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

    def taken(self) -> int:
        """Return what the archives take, with those that have room reserved."""
        there = {each.stem: each.stat().st_size for each in self._archives()}
        expected = {wanted.sha256: wanted.size_bytes for wanted in self._held}
        for part in self._coming:
            expected.pop(part.name.partition(".")[0], None)  # it counts below
        awaited = [size for sha256, size in expected.items() if sha256 not in there]
        return sum(there.values()) + sum(self._coming.values()) + sum(awaited)

    @contextmanager
    def reserved(self, wanted: Iterable[Wanted]) -> Generator[None]:
        """Keep room for archives, and those that are there: for all of them, or for none.

        Raises:
            NoRoomError: Too much of what is here is in use.
            TooLargeError: Together they are more than may be kept.
        """
        all_of_them, before = frozenset(wanted), self.taken()
        self._held.update(all_of_them)
        try:
            self._refuse_too_large(all_of_them)
            self._make_room(self.taken() - before)
            yield
        finally:
            self._held.subtract(all_of_them)
            self._held += Counter()  # without those that nobody holds

    @asynccontextmanager
    async def hold(self, wanted: Wanted, fill: Fill, troubled: Trouble) -> AsyncGenerator[Held]:
        """Hold an archive, fetched if it is not there.

        Args:
            wanted: Which.
            fill: Writes it to a path, verified, or raises; may tell of trouble meanwhile.
            troubled: Hears of that.

        Raises:
            NoRoomError: Everything here is in use, and no room was reserved; or the disk is full.
            TooLargeError: It alone is more than may be kept.
            Exception: What `fill` raises, to everybody who waits for it.
        """
        with self.reserved([wanted]):
            yield await self._have(wanted, fill, troubled)

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

    def _refuse_too_large(self, wanted: frozenset[Wanted]) -> None:
        size_bytes = sum(each.size_bytes for each in wanted)
        if size_bytes > self._limit:
            raise TooLargeError(
                f"what its sandbox starts from has {size_bytes} bytes, but a node keeps"
                f" {self._limit} of all archives (snapshotMounter.cacheSizeLimit)"
            )

    def _make_room(self, missing_bytes: int) -> None:
        taken = self.taken()  # with what is missing
        taken -= self._evict(taken - self._limit)
        if taken > self._limit:
            raise NoRoomError(
                f"{taken - missing_bytes} of the {self._limit} bytes that this node keeps are"
                f" archives in use, and {missing_bytes} more are wanted; it waits until others have"
                " started"
                " (snapshotMounter.cacheSizeLimit)"
            )

    def _evict(self, least_bytes: int) -> int:
        """Remove what was used least recently, until so many bytes are freed; return how many."""
        freed = 0
        held = {wanted.sha256 for wanted in self._held}
        for each in sorted(self._archives(), key=lambda path: path.stat().st_mtime_ns):
            if freed >= least_bytes:
                break
            stat = each.stat()
            if stat.st_nlink == 1 and each.stem not in held:
                each.unlink()
                freed += stat.st_size
                self._evicted(stat.st_size)
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
