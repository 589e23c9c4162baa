"""Files of a container, read and replaced by path without ever leaving its root.

A path is resolved once, by the kernel, to a descriptor (`rootfs`); what follows goes by that
descriptor. An upload becomes visible whole or not at all: it is written beside its target and
renamed over it.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from . import directories, limits, paths, rootfs
from .problems import ProblemError

if TYPE_CHECKING:
    from .containers import Container
    from .procfs import Owner

_LINKS: Final = 40
"""As many links as the kernel itself follows on one path (path_resolution(7))."""


class Content:
    """A regular file, open for reading."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        status = os.fstat(descriptor)
        self.size = status.st_size
        # The time of the last change to the file or its attributes: no program can set that one.
        self.tag = f'"{status.st_ino:x}-{status.st_size:x}-{status.st_ctime_ns:x}"'

    def seek(self, offset: int) -> None:
        """Let the next block begin at `offset`."""
        os.lseek(self._descriptor, offset, os.SEEK_SET)

    def read(self, at_most: int = limits.RECEIVE_BYTES) -> bytes:
        """Return the next block; empty at the end."""
        return os.read(self._descriptor, min(at_most, limits.RECEIVE_BYTES))

    def close(self) -> None:
        """Release the file."""
        os.close(self._descriptor)


def open_for_reading(container: Container, path: str) -> Content:
    """Return the regular file at `path`.

    Raises:
        ProblemError: 404 when it is missing, 400 when it is not a regular file.
    """
    with paths.told_as_problem(container, path), paths.root(container) as root:
        found = rootfs.open_within(root, paths.absolute(container, path), os.O_PATH)
        try:
            _refuse_irregular(os.fstat(found), path)
            paths.refuse_kernel_interface(found, path)
            # The very file that was looked at: opening it by its path again could find a FIFO.
            return Content(os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_CLOEXEC))
        finally:
            os.close(found)


class Replacement:
    """A new content for a path: a context in which it is written, and then committed.

    What is overwritten keeps its mode and owner. What is new belongs to the container's main
    process, files with mode 0644 and directories with 0755.
    """

    def __init__(self, container: Container, path: str) -> None:
        self.path = ""
        self.size = 0
        self._container = container
        self._asked = path
        self._directory = self._temporary = -1
        self._name = self._temporary_name = ""
        self._mode = 0o644
        self._owner = container.owner()

    def __enter__(self) -> Self:
        with (
            paths.told_as_problem(self._container, self._asked),
            paths.root(self._container) as root,
        ):
            self.path = paths.absolute(self._container, self._asked)
            self._directory, self._name = _locate(root, self.path, self._owner)
            try:
                paths.refuse_kernel_interface(self._directory, self._asked)
                self._look_at_target()
                self._create_temporary()
            except BaseException:
                os.close(self._directory)
                raise
        return self

    def write(self, piece: bytes | bytearray) -> None:
        """Append a piece of the content."""
        with paths.told_as_problem(self._container, self._asked):
            _write_all(self._temporary, piece)
        self.size += len(piece)

    def commit(self) -> None:
        """Make the content appear at the path."""
        with paths.told_as_problem(self._container, self._asked):
            # Mode after owner: a change of owner takes set-id bits away.
            with suppress(PermissionError):
                os.fchown(self._temporary, *self._owner)
            os.fchmod(self._temporary, self._mode)
            # A mount on the target, such as /etc/hosts, is no hindrance: it is in the container's
            # mount namespace, not in the sidecar's, and the kernel takes it off.
            os.rename(
                self._temporary_name,
                self._name,
                src_dir_fd=self._directory,
                dst_dir_fd=self._directory,
            )
            self._temporary_name = ""

    def __exit__(self, *_: object) -> None:
        if self._temporary_name:
            with suppress(OSError):
                os.unlink(self._temporary_name, dir_fd=self._directory)
        os.close(self._temporary)
        os.close(self._directory)

    def _look_at_target(self) -> None:
        try:
            target = os.stat(self._name, dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return
        _refuse_irregular(target, self._asked)
        self._mode = stat.S_IMODE(target.st_mode)
        self._owner = type(self._owner)(target.st_uid, target.st_gid)

    def _create_temporary(self) -> None:
        name = ".isola-upload-" + os.urandom(12).hex()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._temporary = os.open(name, flags, 0o600, dir_fd=self._directory)
        self._temporary_name = name


def _write_all(descriptor: int, piece: bytes | bytearray) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(descriptor, view) :]


def _locate(root: int, path: str, owner: Owner) -> tuple[int, str]:
    """Return the directory that holds the end of `path`, links followed, and the last name.

    Missing directories are made. Each hop is resolved from the root by the kernel; a link that is
    swapped between two hops leads somewhere else within the root, and nowhere else.
    """
    for _ in range(_LINKS):
        parent, _, name = path.rpartition("/")
        if name in ("", ".", ".."):
            raise ProblemError(400, f"{path!r} is a directory")
        directory = directories.open_or_make(root, parent, owner)
        try:
            target = os.readlink(name, dir_fd=directory)
        except OSError as failed:
            if failed.errno in (errno.EINVAL, errno.ENOENT):
                return directory, name
            os.close(directory)
            raise
        os.close(directory)
        path = target if target.startswith("/") else f"{parent}/{target}"
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def _refuse_irregular(found: os.stat_result, path: str) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise ProblemError(400, f"{path!r} is a directory, not a file")
    if not stat.S_ISREG(found.st_mode):
        raise ProblemError(400, f"{path!r} is not a regular file")
