"""What is in a directory, and what a path is, without following a link at its end.

A directory of any size is listed in constant memory: a page holds the first names after a given
one, and finding them takes one walk over all names. So no walk is remembered between two pages,
and a name that is there all the time is on exactly one of them, whatever else comes and goes.
"""

from __future__ import annotations

import asyncio
import base64
import os
import stat
import time
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_from_bytes

from . import limits, paths, rootfs
from .problems import ProblemError

if TYPE_CHECKING:
    from .containers import Container

_NO_FOLLOW: Final = os.O_PATH | os.O_NOFOLLOW
_YEAR_1: Final = -62_135_596_800
_YEAR_9999: Final = 253_402_300_799


async def page(container: Container, path: str, *, after: bytes, limit: int) -> dict[str, Any]:
    """Return the first `limit` entries named past `after`: `{"entries": […], "nextCursor": "…"}`.

    `nextCursor` is there when there are more, and is to be handed back as the cursor.

    Raises:
        ProblemError: 404 when the directory is missing, 400 when it is none.
    """
    with paths.told_as_problem(container, path):
        directory = _open_directory(container, path)
        try:
            names = await _first_names(directory, after, limit + 1)
            prefix = os.fsencode(paths.absolute(container, path)).rstrip(b"/") + b"/"
            entries = await _described(directory, prefix, names[:limit])
        finally:
            os.close(directory)
    document: dict[str, Any] = {"entries": entries}
    if len(names) > limit:
        document["nextCursor"] = base64.urlsafe_b64encode(names[limit - 1]).decode()
    return document


def describe(container: Container, path: str) -> dict[str, Any]:
    """Return the entry at `path`; of a link, the link itself.

    Raises:
        ProblemError: 404 when it is missing.
    """
    with paths.told_as_problem(container, path), paths.root(container) as root:
        whole = paths.absolute(container, path)
        found = rootfs.open_within(root, whole, _NO_FOLLOW)
        try:
            paths.refuse_kernel_interface(found, path)
            trimmed = os.fsencode(whole).rstrip(b"/") or b"/"
            return _entry(found, trimmed, trimmed.rpartition(b"/")[2] or b"/")
        finally:
            os.close(found)


def _open_directory(container: Container, path: str) -> int:
    with paths.root(container) as root:
        found = rootfs.open_within(root, paths.absolute(container, path), os.O_PATH)
    try:
        if not stat.S_ISDIR(os.fstat(found).st_mode):
            raise ProblemError(400, f"{path!r} is not a directory")
        paths.refuse_kernel_interface(found, path)
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=found)
    finally:
        os.close(found)


async def _first_names(directory: int, after: bytes, count: int) -> list[bytes]:
    """Return the `count` smallest names past `after`, by their bytes: the order of UTF-8 text."""
    names: list[bytes] = []
    with os.scandir(directory) as listing:
        while block := [os.fsencode(each.name) for each in islice(listing, limits.NAMES_AT_ONCE)]:
            names = sorted([*names, *(name for name in block if name > after)])[:count]
            await asyncio.sleep(0)
    return names


async def _described(directory: int, prefix: bytes, names: list[bytes]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for turn, name in enumerate(names):
        if turn % limits.FILES_AT_ONCE == 0:
            await asyncio.sleep(0)
        with suppress(FileNotFoundError):  # it went meanwhile
            found = os.open(name, _NO_FOLLOW | os.O_CLOEXEC, dir_fd=directory)
            try:
                entries.append(_entry(found, prefix + name, name))
            finally:
                os.close(found)
    return entries


def _entry(found: int, path: bytes, name: bytes) -> dict[str, Any]:
    status = os.fstat(found)
    document: dict[str, Any] = {
        "name": _text(name),
        "path": _text(path),
        "type": type_of(status.st_mode),
        "size": status.st_size,
        "permissions": f"{stat.S_IMODE(status.st_mode):04o}",
        "uid": status.st_uid,
        "gid": status.st_gid,
        "modifiedTime": _time(status.st_mtime_ns),
    }
    if stat.S_ISLNK(status.st_mode):
        document["symlinkTarget"] = _text(os.fsencode(os.readlink("", dir_fd=found)))
    # A name that is no text cannot be told in JSON: this is the path as a query takes it.
    if _text(path).encode() != path:
        document["encodedPath"] = quote_from_bytes(path)
    return document


def type_of(mode: int) -> str:
    """Return what a mode says a file is, in the word of the API."""
    types = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}
    return types.get(stat.S_IFMT(mode), "other")


def _text(name: bytes) -> str:
    return name.decode(errors="replace")


def _time(nanoseconds: int) -> str:
    """Return a time as RFC 3339 has it, to the microsecond; a nonsensical one as the nearest."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    at = time.gmtime(min(max(seconds, _YEAR_1), _YEAR_9999))
    date = f"{at.tm_year:04}-{at.tm_mon:02}-{at.tm_mday:02}"
    return f"{date}T{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02}.{rest // 1000:06}Z"
