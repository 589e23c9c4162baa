"""An entry given another name or place, whole and in one step of the kernel.

Both parents are resolved within the root first; from there on it goes by their descriptors. A link
is moved itself, and a link at the new place is what stands in the way, not its target.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from . import paths, rootfs
from .problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Generator

    from .containers import Container

_REFUSED: Final = {
    errno.EEXIST: (409, "exists already; overwrite=true replaces a file or an empty directory"),
    errno.EINVAL: (400, "is inside of what is to be moved there"),
    errno.EXDEV: (
        409,
        "is on another file system, or a directory of the image is to be moved there: copy it",
    ),
}


def move(container: Container, source: str, target: str, *, overwrite: bool) -> None:
    """Make what is at `source` appear at `target`, which is its new path and no place to put it in.

    Raises:
        ProblemError: 404 when the source or the target's parent is missing; 409 for a target that
            exists and is not to be replaced or cannot be, another file system, or a mount.
    """
    with _end_of(container, source) as (old, name), _end_of(container, target) as (new, new_name):
        with paths.told_as_problem(container, source):
            moved = _look(old, name)
        with paths.told_as_problem(container, target):
            same = _is_same(moved, new, new_name)  # asked in any case: it refuses a mount
            if overwrite and same:
                # Two names of one file: rename(2) would leave both.
                if not (name == new_name and _are_same(old, new)):
                    os.unlink(name, dir_fd=old)
                return
            _rename(old, name, new, new_name, overwrite=overwrite)


def _rename(old: int, name: str, new: int, new_name: str, *, overwrite: bool) -> None:
    try:
        rootfs.rename(old, name, new, new_name, replace=overwrite)
    except OSError as failed:
        if failed.errno in _REFUSED and not (overwrite and failed.errno == errno.EEXIST):
            status, text = _REFUSED[failed.errno]
            raise ProblemError(status, f"{new_name!r} {text}") from failed
        raise


def _is_same(moved: os.stat_result, directory: int, name: str) -> bool:
    try:
        return os.path.samestat(moved, _look(directory, name))
    except FileNotFoundError:
        return False


def _are_same(old: int, new: int) -> bool:
    return os.path.samestat(os.fstat(old), os.fstat(new))


def _look(directory: int, name: str) -> os.stat_result:
    found = paths.open_entry(directory, name)
    try:
        return os.fstat(found)
    finally:
        os.close(found)


@contextmanager
def _end_of(container: Container, path: str) -> Generator[tuple[int, str]]:
    with paths.told_as_problem(container, path), paths.root(container) as root:
        directory, name = paths.open_parent(root, paths.absolute(container, path))
    try:
        yield directory, name
    finally:
        os.close(directory)
