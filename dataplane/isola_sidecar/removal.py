"""Files and directories removed, by descriptor.

Nothing below the path asked for is reached by a path again: each directory is opened in the one
before, as what its name itself is there. So whatever sandboxed code renames, links or mounts
meanwhile, what is removed was at that moment in a directory that we came to from its own root.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from . import limits, paths
from .problems import ProblemError

if TYPE_CHECKING:
    from .containers import Container

_READABLE: Final = os.O_RDONLY | os.O_DIRECTORY
_CHANGED: Final = (errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENOTEMPTY)
"""What the system says when a name is something else than a moment ago."""


async def remove(container: Container, path: str, *, recursive: bool) -> None:
    """Remove the entry at `path`: a link itself, an empty directory, or with `recursive` any one.

    What fails in the middle of a directory leaves the rest of it. The client's leaving
    does not end it.

    Raises:
        ProblemError: 404 when it is missing; 409 for a directory that is not empty, a mount in it,
            or one that is filled meanwhile; 400 for the root.
    """
    with paths.told_as_problem(container, path):
        with paths.root(container) as root:
            directory, name = paths.open_parent(root, paths.absolute(container, path))
        try:
            if recursive:
                await _Removal().remove(directory, name, limits.REMOVED_DEPTH)
            else:
                _remove_one(directory, name)
        finally:
            os.close(directory)


def _remove_one(directory: int, name: str) -> None:
    if _is_directory(directory, name):
        os.rmdir(name, dir_fd=directory)
    else:
        os.unlink(name, dir_fd=directory)


def _is_directory(directory: int, name: str) -> bool:
    found = paths.open_entry(directory, name)
    try:
        return stat.S_ISDIR(os.fstat(found).st_mode)
    finally:
        os.close(found)


class _Removal:
    """One removal; it lets other requests have their turn now and then."""

    def __init__(self) -> None:
        self._turns = 0

    async def remove(self, directory: int, name: str, depth: int) -> None:
        """Remove an entry with all that is in it.

        Raises:
            FileNotFoundError: It is missing.
        """
        self._turns += 1
        if self._turns % limits.FILES_AT_ONCE == 0:
            await asyncio.sleep(0)
        try:
            await self._remove(directory, name, depth)
        except OSError as failed:
            if failed.errno in _CHANGED:
                raise ProblemError(409, f"{name!r} changes while it is removed") from failed
            raise

    async def _remove(self, directory: int, name: str, depth: int) -> None:
        if not _is_directory(directory, name):
            os.unlink(name, dir_fd=directory)
            return
        if not depth:
            raise ProblemError(
                409,
                f"directories are more than {limits.REMOVED_DEPTH} deep in each other here: "
                "remove an inner one first, or use a command",
            )
        inner = paths.open_entry(directory, name, _READABLE)
        try:
            await self._empty(inner, depth)
        finally:
            os.close(inner)
        os.rmdir(name, dir_fd=directory)

    async def _empty(self, directory: int, depth: int) -> None:
        # Again, for what was added while we went through it, and for file systems whose listing
        # passes over entries when others are removed.
        for _ in range(limits.REMOVAL_PASSES):
            empty = True
            with os.scandir(directory) as listing:
                for each in listing:
                    empty = False
                    with suppress(FileNotFoundError):  # someone else was faster
                        await self.remove(directory, each.name, depth - 1)
            if empty:
                return
        raise ProblemError(409, "a directory is filled while it is removed; stop that first")
