"""Changes below a directory, or of one file, told as they happen.

inotify's events are made into changes: a rename is one, though it comes as two events; what is
made in a new directory before that is watched is told too; a write in many pieces is one change
as long as nobody has read of it. Nothing waits for a slow reader: what it leaves is bounded, and
beyond that everything is replaced by `overflow`, which says: list again.
"""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections import deque
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote_from_bytes

from . import inotify, limits, paths, rootfs
from .entries import type_of
from .problems import ProblemError
from .streams import KEEPALIVE
from .watched import Directory, Tree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .containers import Container

_OWN: Final = b".isola-"
"""How the sidecar's own temporary names begin (`files`, `rootfs`): nobody's news."""


class _Change:
    """Something to tell. `waits` while it may turn out to be half of a rename."""

    __slots__ = ("kind", "path", "source", "type", "waits")

    def __init__(self, kind: str, path: bytes, type_: str, *, waits: bool = False) -> None:
        self.kind = kind
        self.path = path
        self.type = type_
        self.source: bytes | None = None
        self.waits = waits


class Watch:
    """A watch of `path`, from `begin` to the end of its context."""

    def __init__(self, container: Container, path: str, *, recursive: bool) -> None:
        """Find `path`.

        Raises:
            ProblemError: 404 when it is missing.
        """
        self._container = container
        self._recursive = recursive
        self._only: bytes | None = None
        self._prefix = os.fsencode(paths.absolute(container, path)).rstrip(b"/")
        with paths.told_as_problem(container, path), paths.root(container) as root:
            self._tree = Tree(self._find(root, path))
        self._changes: deque[_Change] = deque()
        self._leaving: dict[int, tuple[_Change, Directory | None]] = {}
        self._news = asyncio.Event()
        self._ended = False
        self._number = 0
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> Self:
        """Return once everything that happens from now on will be told.

        Raises:
            ProblemError: 422 for too many directories, 429 when the system has no watch left.
        """
        try:
            if self._recursive and self._only is None:
                await self._tree.grow_all()
        except BaseException:
            self._tree.close()
            raise
        self._task = asyncio.create_task(self._collect())
        return self

    async def aclose(self) -> None:
        """Stop watching."""
        if self._task:
            self._task.cancel()
            await asyncio.wait((self._task,))
        self._tree.close()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield server-sent events, and keep-alives, until what is watched is gone."""
        yield self._encode("ready", _named("path", self._path(self._only or b"")))
        while True:
            told = b""
            while self._changes and not self._changes[0].waits:
                told += self._told(self._changes.popleft())
            if told:
                yield told
            elif self._ended:
                return
            elif not await self._wait():
                yield KEEPALIVE

    def _find(self, root: int, path: str) -> int:
        whole = os.fsdecode(self._prefix) or "/"
        found = rootfs.open_within(root, whole, os.O_PATH)
        try:
            paths.refuse_kernel_interface(found, path)
            if stat.S_ISDIR(os.fstat(found).st_mode):
                return os.dup(found)
        finally:
            os.close(found)
        # A file is watched by its name in its directory: it may be replaced by another one.
        directory, name = paths.open_parent(root, whole)
        self._only = os.fsencode(name)
        self._prefix = self._prefix.rpartition(b"/")[0]
        return directory

    async def _wait(self) -> bool:
        self._news.clear()
        try:
            async with asyncio.timeout(limits.KEEPALIVE_SECONDS):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    async def _collect(self) -> None:
        readable = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._tree.instance, readable.set)
        try:
            while not self._ended:
                try:
                    events = inotify.read(self._tree.instance)
                except BlockingIOError:
                    self._tree.settle()
                    readable.clear()
                    await self._pause(readable)
                    continue
                for event in events:
                    await self._take(event)
                await asyncio.sleep(0)
        except ProcessLookupError:  # the container has exited
            self._ended = True
        except ProblemError:  # it has grown too large to be watched: who comes again is told why
            self._overflow()
            self._ended = True
        finally:
            loop.remove_reader(self._tree.instance)
            self._news.set()

    async def _pause(self, readable: asyncio.Event) -> None:
        """Wait for events, looking now and then whether what is watched is still there."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limits.GONE_SECONDS):
                await readable.wait()
        with paths.root(self._container) as root:
            there = self._tree.is_at(root, os.fsdecode(self._prefix) or "/")
        if not there:
            self._take_own(self._tree.root, inotify.DELETE_SELF)

    async def _take(self, event: inotify.Event) -> None:
        directory = self._tree.get(event.watch)
        if event.mask & inotify.OVERFLOW:
            raise ProblemError(429, "events were lost")
        if directory is None:
            return
        if not event.name:
            self._take_own(directory, event.mask)
        elif self._only is not None and event.name != self._only:
            return
        elif event.mask & inotify.MOVED_FROM:
            self._take_leaving(directory, event)
        elif event.mask & inotify.MOVED_TO:
            await self._take_coming(directory, event)
        else:
            await self._take_other(directory, event)

    def _take_own(self, directory: Directory, mask: int) -> None:
        """Take what happened to a directory itself: news for the first one only."""
        if directory is self._tree.root:
            if mask & (inotify.DELETE_SELF | inotify.MOVE_SELF | inotify.IGNORED):
                if self._only is None:
                    self._tell(_Change("removed", b"", "directory"))
                self._ended = True
        elif mask & (inotify.DELETE_SELF | inotify.IGNORED):
            self._tree.drop(directory)

    def _take_leaving(self, directory: Directory, event: inotify.Event) -> None:
        directory.found.discard(event.name)
        change = _Change("removed", directory.path(event.name), _gone(event), waits=True)
        self._leaving[event.cookie] = (change, directory.children.get(event.name))
        if not event.name.startswith(_OWN):
            self._tell(change)
        loop = asyncio.get_running_loop()
        loop.call_later(limits.RENAME_SECONDS, self._give_up_waiting, event.cookie)

    def _give_up_waiting(self, cookie: int) -> None:
        if left := self._leaving.pop(cookie, None):
            change, moved = left
            change.waits = False
            self._news.set()
            if moved and self._tree.instance >= 0:
                self._tree.drop(moved)

    async def _take_coming(self, directory: Directory, event: inotify.Event) -> None:
        change, moved = self._leaving.pop(event.cookie, (None, None))
        known = event.name in directory.found
        directory.found.discard(event.name)
        path = directory.path(event.name)
        if change and not change.path.rpartition(b"/")[2].startswith(_OWN):
            change.kind, change.source, change.path = "renamed", change.path, path
            change.type = self._type(event, path)
            change.waits = False
            self._news.set()
        elif not known:
            self._tell(_Change("created", path, self._type(event, path)))
        if moved:
            self._tree.move(moved, directory, event.name)
        elif event.mask & inotify.ISDIR:
            await self._grow(directory, event.name)

    async def _take_other(self, directory: Directory, event: inotify.Event) -> None:
        path = directory.path(event.name)
        if event.name.startswith(_OWN):
            return
        if event.mask & inotify.DELETE:
            directory.found.discard(event.name)
            self._tell(_Change("removed", path, _gone(event)))
        elif event.mask & inotify.CREATE:
            if event.name not in directory.found:
                self._tell(_Change("created", path, self._type(event, path)))
            directory.found.discard(event.name)
            if event.mask & inotify.ISDIR:
                await self._grow(directory, event.name)
        else:
            last = self._changes[-1] if self._changes else None
            if not (last and last.kind == "modified" and last.path == path):
                self._tell(_Change("modified", path, self._type(event, path)))

    async def _grow(self, directory: Directory, name: bytes) -> None:
        if not self._recursive:
            return
        async with aclosing(self._tree.grow(directory, name)) as growing:
            async for inner, each in growing:
                if each.startswith(_OWN):
                    continue
                path = inner.path(each)
                self._tell(_Change("created", path, self._type(None, path)))

    def _tell(self, change: _Change) -> None:
        if len(self._changes) >= limits.WATCH_CHANGES:
            self._overflow()
        else:
            self._changes.append(change)
        self._news.set()

    def _overflow(self) -> None:
        self._changes.clear()
        self._changes.append(_Change("overflow", b"", "directory"))

    def _type(self, event: inotify.Event | None, path: bytes) -> str:
        if event and event.mask & inotify.ISDIR:
            return "directory"
        with suppress(OSError):
            found = self._tree.open(path)
            try:
                return type_of(os.fstat(found).st_mode)
            finally:
                os.close(found)
        return "unknown"

    def _told(self, change: _Change) -> bytes:
        document = {**_named("path", self._path(change.path)), "type": change.type}
        if change.source is not None:
            document |= _named("from", self._path(change.source))
        return self._encode(change.kind, document)

    def _path(self, below: bytes) -> bytes:
        return (self._prefix + b"/" + below).rstrip(b"/") or b"/"

    def _encode(self, kind: str, document: dict[str, Any]) -> bytes:
        event = f"event: {kind}\nid: {self._number}\ndata: {json.dumps(document)}\n\n"
        self._number += 1
        return event.encode()


def _gone(event: inotify.Event) -> str:
    return "directory" if event.mask & inotify.ISDIR else "unknown"


def _named(name: str, path: bytes) -> dict[str, Any]:
    """Return a path under `name`; one that is no text also as a query takes it."""
    text = path.decode(errors="replace")
    if text.encode() == path:
        return {name: text}
    return {name: text, f"encoded{name.capitalize()}": quote_from_bytes(path)}
