"""Paths as clients write them: where they start, whose root they are in, what a failure means."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from . import rootfs
from .problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Generator

    from .containers import Container

_STATUS: Final = {
    errno.ENOENT: 404,
    errno.ENOTDIR: 409,
    errno.ENOSPC: 507,
    errno.EDQUOT: 507,
    errno.EROFS: 409,
    errno.ETXTBSY: 409,
    errno.EBUSY: 409,
    errno.EEXIST: 409,
    errno.EISDIR: 409,
    errno.ENOTEMPTY: 409,
}
"""HTTP codes of failures that are not the request's own fault; all others are 400."""


def absolute(container: Container, path: str) -> str:
    """Return `path` from the container's root on; a relative one starts where its main process is.

    `..` and links stay as they are: only the kernel can tell where they lead.
    """
    if path.startswith("/"):
        return path
    return container.working_directory().rstrip("/") + "/" + path


def open_parent(root: int, path: str) -> tuple[int, str]:
    """Return the directory that holds the end of an absolute `path`, and the last name.

    That last name is no link's target: whoever removes or moves a link means the link.

    Raises:
        ProblemError: 400 for the root itself, a path that ends in dots, /proc and /sys.
        OSError: As openat2(2) does.
    """
    parent, _, name = path.rstrip("/").rpartition("/")
    if not name:
        raise ProblemError(400, "this is the root itself: it stays where it is")
    if name in (".", ".."):
        raise ProblemError(400, f"{path!r} ends in dots: name the entry itself")
    directory = rootfs.open_within(root, parent or "/", rootfs.DIRECTORY)
    try:
        refuse_kernel_interface(directory, path)
    except BaseException:
        os.close(directory)
        raise
    return directory, name


def open_entry(directory: int, name: str, flags: int = os.O_PATH) -> int:
    """Return a descriptor of the entry itself, which may be a link, but no mount.

    Raises:
        ProblemError: 409 for a mount: in the sidecar's mount namespace it is none, so the kernel
            would take it off and remove what lies beneath.
        OSError: As openat2(2) does.
    """
    try:
        return rootfs.open_entry(directory, name, flags)
    except OSError as failed:
        if failed.errno == errno.EXDEV:
            raise ProblemError(409, f"{name!r} is a mount: it cannot be removed or moved") from None
        raise


def refuse_kernel_interface(descriptor: int, path: str) -> None:
    """Let nobody read or write /proc and /sys through the sidecar.

    Raises:
        ProblemError: 400.
    """
    if rootfs.is_kernel_interface(descriptor):
        raise ProblemError(400, f"{path!r} is on /proc or /sys: use a command there")


@contextmanager
def root(container: Container) -> Generator[int]:
    """Lend a descriptor of the container's root."""
    descriptor = container.open_root()
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def told_as_problem(container: Container, path: str) -> Generator[None]:
    """Turn the system's failures into what a client is told about `path`.

    Raises:
        ProblemError: 404, 409, 507 when there is no space, or 400.
    """
    try:
        yield
    except ProcessLookupError as gone:
        raise ProblemError(409, f"container {container.name!r} has exited") from gone
    except OSError as failed:
        status = _STATUS.get(failed.errno or 0, 400)
        raise ProblemError(status, f"{path!r}: {failed.strerror}") from failed
