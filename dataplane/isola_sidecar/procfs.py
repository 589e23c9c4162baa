"""What /proc tells about processes. Reads only, judges nothing.

Every function takes a directory descriptor of a procfs instead of a path: the launcher goes on
reading after it has changed its root. A process may be gone at any moment; that is
`ProcessLookupError`, whatever the system called it.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_RSS_LIMIT: Final = re.compile(rb"^Max resident set +(\d+)", re.MULTILINE)


class Process(NamedTuple):
    """One process at one moment. `pid` and `start_time` (in ticks since boot) identify it.

    `session` is the pid of the one that made the session it is in.
    """

    pid: int
    parent: int
    session: int
    start_time: int
    zombie: bool


class Owner(NamedTuple):
    """The effective user and group of a process."""

    uid: int
    gid: int


def open_proc() -> int:
    """Return a directory descriptor of /proc."""
    return os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)


def processes(proc: int) -> Iterator[Process]:
    """Yield every process that can be seen, in no particular order."""
    for name in os.listdir(proc):
        if name.isdigit():
            try:
                yield process(proc, int(name))
            except ProcessLookupError:
                continue


def process(proc: int, pid: int) -> Process:
    """Return process `pid` from its `stat` line (proc(5)).

    The second field is the program's name in parentheses, which may itself hold spaces and
    parentheses: fields count from the last `)`.
    """
    fields = _read(proc, pid, "stat").rpartition(b")")[2].split()
    zombie = fields[0] in (b"Z", b"X")
    return Process(pid, int(fields[1]), int(fields[3]), int(fields[19]), zombie)


def environment(proc: int, pid: int) -> dict[bytes, bytes]:
    """Return the environment that process `pid` was started with."""
    pairs = (entry.partition(b"=") for entry in _read(proc, pid, "environ").split(b"\0"))
    return {name: value for name, separator, value in pairs if separator}


def owner(proc: int, pid: int) -> Owner:
    """Return whom process `pid` runs as."""
    ids: dict[bytes, int] = {}
    for line in _read(proc, pid, "status").splitlines():
        name, _, values = line.partition(b":")
        if name in (b"Uid", b"Gid"):
            ids[name] = int(values.split()[1])
    return Owner(ids[b"Uid"], ids[b"Gid"])


def soft_rss_limit(proc: int, pid: int) -> int | None:
    """Return the soft limit on the resident set of process `pid`; None for unlimited."""
    found = _RSS_LIMIT.search(_read(proc, pid, "limits"))
    return int(found[1]) if found else None


def _read(proc: int, pid: int, name: str) -> bytes:
    try:
        descriptor = os.open(f"{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
        try:
            return _read_all(descriptor)
        finally:
            os.close(descriptor)
    except (FileNotFoundError, ProcessLookupError) as gone:
        raise ProcessLookupError(f"process {pid} is gone") from gone


def _read_all(descriptor: int) -> bytes:
    content = b""
    while block := os.read(descriptor, 1 << 16):
        content += block
    return content
