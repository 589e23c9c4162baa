"""The directories of a watch: a tree that grows with what is made in it.

A directory is opened from the one the watch began with, never through a link and never into a
mount, and watched by its descriptor. First it is watched, then it is listed: what is made in it
meanwhile is in the list, or among the events, or in both; that last is told apart by `found`.
"""

from __future__ import annotations

import asyncio
import errno
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from . import inotify, limits, rootfs
from .problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator


class Directory:
    """A watched directory. `found` holds names that were listed, and are not news as events."""

    __slots__ = ("children", "found", "name", "parent", "watch")

    def __init__(self, parent: Directory | None, name: bytes, watch: int) -> None:
        self.parent = parent
        self.name = name
        self.watch = watch
        self.children: dict[bytes, Directory] = {}
        self.found: set[bytes] = set()

    def path(self, name: bytes = b"") -> bytes:
        """Return the path of `name` in it, from where the watch began, without a slash before."""
        parts = [name] if name else []
        each = self
        while each.parent:
            parts.append(each.name)
            each = each.parent
        return b"/".join(reversed(parts))


class Tree:
    """All directories of one watch, and the inotify instance that tells of them."""

    def __init__(self, start: int) -> None:
        """Take over `start`, the directory to begin with, and watch it.

        Raises:
            ProblemError: 429 when the system has no watch left.
        """
        self._start = start
        self._by_watch: dict[int, Directory] = {}
        self._listed: list[Directory] = []
        self.instance = -1
        try:
            with _told_as_problem():
                self.instance = inotify.create()
                watch = inotify.add(self.instance, start)
        except BaseException:
            self.close()
            raise
        self.root = self._by_watch[watch] = Directory(None, b"", watch)

    def close(self) -> None:
        """Watch nothing any more."""
        for descriptor in (self.instance, self._start):
            if descriptor >= 0:
                os.close(descriptor)
        self.instance = self._start = -1

    def is_at(self, root: int, path: str) -> bool:
        """Return whether the first directory is what `path` leads to in a root.

        Neither DELETE_SELF nor the count of links tells: Linux keeps the one back as long as
        anybody has it open, and gVisor the other.
        """
        try:
            found = rootfs.open_within(root, path, rootfs.DIRECTORY)
        except OSError:
            return False
        try:
            return os.path.samestat(os.fstat(found), os.fstat(self._start))
        finally:
            os.close(found)

    def get(self, watch: int) -> Directory | None:
        """Return the directory of a watch, if it is still watched."""
        return self._by_watch.get(watch)

    def open(self, path: bytes) -> int:
        """Return a descriptor of what is at a path in the tree, links and mounts excluded.

        Raises:
            OSError: As openat2(2) does.
        """
        return rootfs.open_entry(self._start, os.fsdecode(path) or ".", os.O_PATH)

    async def grow(self, parent: Directory, name: bytes) -> AsyncGenerator[tuple[Directory, bytes]]:
        """Watch `name` in `parent`, if it is a directory, and all below; yield what is in them.

        Raises:
            ProblemError: 422 when there are too many directories, 429 when the system has no
                watch left.
        """
        new = [(parent, name)]
        while new:
            directory, names, inner = self._add(*new.pop())
            for turn, each in enumerate(names):
                if turn % limits.FILES_AT_ONCE == 0:
                    await asyncio.sleep(0)
                yield directory, each
            new += [(directory, each) for each in inner]

    async def grow_all(self) -> None:
        """Watch all that is below the first directory.

        Raises:
            ProblemError: As `grow` does.
        """
        _, inner = self._list(self.root)
        for name in inner:
            async for _ in self.grow(self.root, name):
                pass
        self.settle()

    def settle(self) -> None:
        """Let what was found be forgotten: all events from before it was found have been seen."""
        for directory in self._listed:
            directory.found.clear()
        self._listed.clear()

    def move(self, directory: Directory, parent: Directory, name: bytes) -> None:
        """Let a directory be somewhere else in the tree."""
        if replaced := parent.children.get(name):
            self.drop(replaced)
        self._detach(directory)
        directory.parent, directory.name = parent, name
        parent.children[name] = directory

    def drop(self, directory: Directory) -> None:
        """Watch a directory and all below no longer."""
        self._detach(directory)
        gone = [directory]
        while gone:
            each = gone.pop()
            gone += each.children.values()
            if self._by_watch.pop(each.watch, None):
                inotify.remove(self.instance, each.watch)

    def _detach(self, directory: Directory) -> None:
        siblings = directory.parent.children if directory.parent else {}
        if siblings.get(directory.name) is directory:
            del siblings[directory.name]

    def _add(self, parent: Directory, name: bytes) -> tuple[Directory, list[bytes], list[bytes]]:
        """Watch one directory; return it, what is in it, and which of that are directories."""
        nothing = parent, list[bytes](), list[bytes]()
        try:
            opened = self.open(parent.path(name))
        except OSError:  # it is gone, or not what it was any more: that is an event to come
            return nothing
        try:
            with _told_as_problem():
                watch = inotify.add(self.instance, opened)
        except NotADirectoryError:
            return nothing
        finally:
            os.close(opened)
        if watch in self._by_watch:
            return nothing
        directory = Directory(parent, name, watch)
        self._by_watch[watch] = parent.children[name] = directory
        if len(self._by_watch) > limits.WATCHED_DIRECTORIES:
            raise ProblemError(
                422,
                f"there are more than {limits.WATCHED_DIRECTORIES} directories: watch a part of it",
            )
        return directory, *self._list(directory)

    def _list(self, directory: Directory) -> tuple[list[bytes], list[bytes]]:
        names: list[bytes] = []
        inner: list[bytes] = []
        with suppress(OSError):
            opened = rootfs.open_entry(
                self._start,
                os.fsdecode(directory.path()) or ".",
                os.O_RDONLY | os.O_DIRECTORY,
            )
            try:
                with os.scandir(opened) as listing:
                    for each in listing:
                        names.append(os.fsencode(each.name))
                        if each.is_dir(follow_symlinks=False):
                            inner.append(names[-1])
            finally:
                os.close(opened)
        directory.found.update(names)
        self._listed.append(directory)
        return names, inner


@contextmanager
def _told_as_problem() -> Generator[None]:
    try:
        yield
    except OSError as failed:
        if failed.errno not in (errno.ENOSPC, errno.EMFILE):
            raise
        raise ProblemError(
            429,
            "this node has no more watches to give: close some",
            headers=(("Retry-After", "5"),),
        ) from failed
