"""Paths inside a container's root, resolved by the kernel and never out of it.

`openat2(2)` with RESOLVE_IN_ROOT takes every link, absolute or `..`, as the container sees it,
in one step of the kernel: there is no moment between a look and a use in which sandboxed code
could swap a directory for a link. RESOLVE_NO_MAGICLINKS refuses the links of /proc which lead
elsewhere; at present the former implies it, and openat2(2) says not to rely on that. Python 3.11
has no call for it, so this one goes through ctypes. gVisor has it.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Final

_OPENAT2: Final = 437  # the same number on every architecture
_RESOLVE_NO_XDEV: Final = 0x01
_RESOLVE_NO_MAGICLINKS: Final = 0x02
_RESOLVE_NO_SYMLINKS: Final = 0x04
_RESOLVE_BENEATH: Final = 0x08
_RESOLVE_IN_ROOT: Final = 0x10
_RENAME_NOREPLACE: Final = 0x01
_PROC_SUPER_MAGIC: Final = 0x9FA0
_SYSFS_MAGIC: Final = 0x62656572

DIRECTORY: Final = os.O_PATH | os.O_DIRECTORY
"""Flags for a directory that is only a place to go on from."""


class _How(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


_library = ctypes.CDLL(None, use_errno=True)


def open_within(root: int, path: str, flags: int) -> int:
    """Return a descriptor of `path` as seen by a process whose root is `root`.

    Raises:
        OSError: As open(2) does; ELOOP too for a link that leads out through /proc.
    """
    return _openat2(root, path, flags, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)


def open_entry(directory: int, name: str, flags: int = os.O_PATH) -> int:
    """Return a descriptor of what `name` itself is in `directory`: no link's target, no mount.

    Raises:
        OSError: EXDEV when something is mounted there, by a container too: it is in this mount
            that `directory` is; ENOTDIR or ELOOP for a link when a directory is asked for.
    """
    resolve = _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_XDEV
    return _openat2(directory, name, flags | os.O_NOFOLLOW, resolve)


def _openat2(directory: int, path: str, flags: int, resolve: int) -> int:
    how = _How(flags | os.O_CLOEXEC, 0, resolve)
    name = os.fsencode(path)
    # EAGAIN: a rename elsewhere made the kernel unsure that a `..` stayed inside; openat2(2)
    # says to try again. Bounded, for sandboxed code can rename for ever.
    for _ in range(64):
        result = _library.syscall(_OPENAT2, directory, name, ctypes.byref(how), ctypes.sizeof(how))
        if result >= 0:
            return result
        if ctypes.get_errno() != errno.EAGAIN:
            break
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number), path)


def rename(source: int, name: str, target: int, new_name: str, *, replace: bool) -> None:
    """Rename an entry of directory `source` into directory `target`, in one step of the kernel.

    Raises:
        OSError: As renameat2(2) does; EEXIST when something is there and is not to be replaced.
    """
    flags = 0 if replace else _RENAME_NOREPLACE
    names = os.fsencode(name), os.fsencode(new_name)
    if _library.renameat2(source, names[0], target, names[1], flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), new_name)


def is_kernel_interface(descriptor: int) -> bool:
    """Return whether a file is on procfs or sysfs.

    Those answer to whoever asks, and the sidecar may see more than the one it asks for.
    """
    status = (ctypes.c_long * 16)()
    if _library.fstatfs(descriptor, ctypes.byref(status)) != 0:
        return False
    return status[0] in (_PROC_SUPER_MAGIC, _SYSFS_MAGIC)


def create_unnamed(root: int) -> int:
    """Return a new empty file without a name, on the file system of the container's root.

    So it counts against the container's storage, while no path leads to it: it cannot be swapped
    for a link, truncated, or swept into a snapshot. gVisor has no O_TMPFILE (it answers EISDIR),
    hence create and unlink, and a name for the moment between them, which only root inside could
    make use of, against its own output; both go by `root` itself, so no path is resolved. A root
    that cannot be written to leaves memory, which is the pod's too.
    """
    name = ".isola-" + os.urandom(12).hex()
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(name, flags, 0o600, dir_fd=root)
    except OSError:
        return os.memfd_create("output")
    os.unlink(name, dir_fd=root)
    return descriptor
