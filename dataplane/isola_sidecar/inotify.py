"""inotify(7) by ctypes: Python has no call for it, and every library for it is larger than this.

gVisor has it, across the containers of a pod too (tried), but never says that its queue overflowed:
it grows. So whoever reads must read on, whatever becomes of what was read.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Final, NamedTuple

MODIFY: Final = 0x2
ATTRIB: Final = 0x4
MOVED_FROM: Final = 0x40
MOVED_TO: Final = 0x80
CREATE: Final = 0x100
DELETE: Final = 0x200
DELETE_SELF: Final = 0x400
MOVE_SELF: Final = 0x800
OVERFLOW: Final = 0x4000
IGNORED: Final = 0x8000
_ONLYDIR: Final = 0x01000000
ISDIR: Final = 0x40000000
_ALL: Final = (
    MODIFY | ATTRIB | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF | MOVE_SELF | _ONLYDIR
)

_HEAD: Final = struct.Struct("iIII")
_READ_BYTES: Final = 1 << 16

_library = ctypes.CDLL(None, use_errno=True)


class Event(NamedTuple):
    """What happened in a watched directory, to `name` in it or, if that is empty, to itself."""

    watch: int
    mask: int
    cookie: int
    name: bytes


def create() -> int:
    """Return a new instance, which does not block.

    Raises:
        OSError: EMFILE when there are too many.
    """
    return _checked(_library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))


def add(instance: int, directory: int) -> int:
    """Watch the very directory that a descriptor is of, and return the watch's number.

    One that is watched already keeps its number.

    Raises:
        OSError: ENOSPC when there are too many.
    """
    path = b"/proc/self/fd/%d" % directory
    return _checked(_library.inotify_add_watch(instance, path, _ALL))


def remove(instance: int, watch: int) -> None:
    """Watch no longer; nothing happens when the watch has gone by itself."""
    _library.inotify_rm_watch(instance, watch)


def read(instance: int) -> list[Event]:
    """Return the next events.

    Raises:
        BlockingIOError: There are none.
    """
    block = os.read(instance, _READ_BYTES)
    events: list[Event] = []
    while block:
        watch, mask, cookie, length = _HEAD.unpack_from(block)
        end = _HEAD.size + length
        events.append(Event(watch, mask, cookie, block[_HEAD.size : end].rstrip(b"\0")))
        block = block[end:]
    return events


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
