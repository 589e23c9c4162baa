"""Directories that a path needs: made one by one, each in the one before, never through a link."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from . import paths, rootfs
from .problems import ProblemError

if TYPE_CHECKING:
    from .containers import Container
    from .procfs import Owner


def make(container: Container, path: str) -> str | None:
    """Make the directory at `path` and its parents; return it, or None if there is one already.

    New ones belong to the container's main process and have mode 0755.

    Raises:
        ProblemError: 409 when something else is in the way.
    """
    with paths.told_as_problem(container, path), paths.root(container) as root:
        whole = paths.absolute(container, path)
        try:
            os.close(rootfs.open_within(root, whole, rootfs.DIRECTORY))
        except FileNotFoundError:
            os.close(open_or_make(root, whole, container.owner()))
            return whole
        return None


def open_or_make(root: int, path: str, owner: Owner) -> int:
    """Return a descriptor of the directory at `path`, made with its parents where it is missing.

    Raises:
        ProblemError: 404, 409.
        OSError: As openat2(2) and mkdir(2) do.
    """
    missing: list[str] = []
    while True:
        try:
            directory = rootfs.open_within(root, path or "/", rootfs.DIRECTORY)
            break
        except FileNotFoundError:
            path, _, name = path.rstrip("/").rpartition("/")
            missing.append(name)
    if not {".", ".."}.isdisjoint(missing):
        os.close(directory)
        raise ProblemError(
            404, "`.` and `..` cannot follow a missing directory: its dots lead nowhere"
        )
    for name in reversed(missing):
        try:
            inner = _make(directory, name, owner)
        finally:
            os.close(directory)
        directory = inner
    return directory


def _make(directory: int, name: str, owner: Owner) -> int:
    made = True
    try:
        os.mkdir(name, 0o755, dir_fd=directory)
    except FileExistsError:
        made = False  # it was made meanwhile, or it is a link to nowhere
    try:
        # Not open(2) with O_DIRECTORY and O_NOFOLLOW: gVisor follows a link all the same, and an
        # absolute one leads into the sidecar's own root.
        inner = rootfs.open_entry(directory, name, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as failed:
        if failed.errno in (errno.ENOTDIR, errno.ELOOP):
            raise ProblemError(409, f"{name!r} on the path is a link to nowhere") from None
        raise
    if made:
        with suppress(PermissionError):
            os.fchown(inner, *owner)
    return inner
