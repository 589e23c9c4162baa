"""Which process is the main process of a container of this pod.

The pod shares one PID namespace, and the operator put ISOLA_CONTAINER_NAME into each user
container's environment. But children inherit it, and any process may set it on itself. What a
process cannot choose is its parent: a container's main process, started by the runtime from
outside the namespace, has parent 0, and so has only what `kubectl exec` starts, later. So of the
processes that carry a name, those with parent 0 count; without any, those whose parent carries no
name; and of these the oldest is the main process. Commands do not count: the variable is removed.

A main process once found is pinned by its id and start time, and asked for anew when it is gone.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from . import limits, procfs
from .problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Iterable

MARKER: Final = b"ISOLA_CONTAINER_NAME"


@dataclass(frozen=True, slots=True)
class Container:
    """A container by its main process; what is asked of it later is asked of that very process."""

    name: str
    proc: int
    process: procfs.Process

    def is_alive(self) -> bool:
        """Return whether the main process is still the one that was found."""
        try:
            now = procfs.process(self.proc, self.process.pid)
        except ProcessLookupError:
            return False
        return now.start_time == self.process.start_time and not now.zombie

    def open_root(self) -> int:
        """Return a descriptor of the container's root directory."""
        return self._open("root")

    def open_working_directory(self) -> int:
        """Return a descriptor of the main process' working directory."""
        return self._open("cwd")

    def working_directory(self) -> str:
        """Return the main process' working directory as the container names it."""
        root = os.readlink(f"{self.process.pid}/root", dir_fd=self.proc)
        path = os.readlink(f"{self.process.pid}/cwd", dir_fd=self.proc)
        return path.removeprefix(root.rstrip("/")) or "/"

    def environment(self) -> dict[bytes, bytes]:
        """Return the main process' environment."""
        return procfs.environment(self.proc, self.process.pid)

    def owner(self) -> procfs.Owner:
        """Return whom the main process runs as."""
        return procfs.owner(self.proc, self.process.pid)

    def _open(self, link: str) -> int:
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        descriptor = os.open(f"{self.process.pid}/{link}", flags, dir_fd=self.proc)
        # Looked at after opening: had the id been reused before, the start time would differ.
        if not self.is_alive():
            os.close(descriptor)
            raise ProcessLookupError(f"the main process of {self.name} is gone")
        return descriptor


class Containers:
    """Finds containers, and remembers those found."""

    def __init__(self) -> None:
        self._proc = procfs.open_proc()
        self._pinned: dict[str, Container] = {}
        self._only: tuple[float, Container] | None = None

    def find(self, name: str | None) -> Container:
        """Return the container called `name`, or the only one.

        Raises:
            ProblemError: 400 for a name that no container has, and without a name when there are
                several; 409 when the container has exited.
        """
        return self._find_only() if name is None else self._find_named(name)

    def _find_named(self, name: str) -> Container:
        pinned = self._pinned.get(name)
        if pinned and pinned.is_alive():
            return pinned
        self._scan()
        if name in self._pinned and self._pinned[name].is_alive():
            return self._pinned[name]
        if name in self._pinned:
            raise ProblemError(409, f"container {name!r} has exited")
        known = ", ".join(sorted(self._pinned)) or "none yet"
        raise ProblemError(400, f"there is no container {name!r}; containers here: {known}")

    def _find_only(self) -> Container:
        if self._only and time.monotonic() < self._only[0] and self._only[1].is_alive():
            return self._only[1]
        self._scan()
        if not self._pinned:
            raise ProblemError(400, "no container has started yet; try again")
        if len(self._pinned) > 1:
            names = ", ".join(sorted(self._pinned))
            raise ProblemError(
                400, f"there are several containers: name one with ?container= ({names})"
            )
        (only,) = self._pinned.values()
        if not only.is_alive():
            raise ProblemError(409, f"container {only.name!r} has exited")
        self._only = (time.monotonic() + limits.CONTAINERS_SECONDS, only)
        return only

    def _scan(self) -> None:
        """Pin what is new; a live pin stays, whatever name another process takes on."""
        for name, process in _main_processes(self._proc).items():
            if name not in self._pinned or not self._pinned[name].is_alive():
                self._pinned[name] = Container(name, self._proc, process)


def _main_processes(proc: int) -> dict[str, procfs.Process]:
    alive = [each for each in procfs.processes(proc) if not each.zombie]
    found = _carriers(proc, (each for each in alive if each.parent == 0))
    if not found:
        everyone = _carriers(proc, alive)
        pids = {process.pid for process, _ in everyone}
        found = [(process, name) for process, name in everyone if process.parent not in pids]
    oldest_last = sorted(found, key=lambda each: (each[0].start_time, each[0].pid), reverse=True)
    return {name: process for process, name in oldest_last}


def _carriers(proc: int, candidates: Iterable[procfs.Process]) -> list[tuple[procfs.Process, str]]:
    found: list[tuple[procfs.Process, str]] = []
    for process in candidates:
        try:
            name = procfs.environment(proc, process.pid).get(MARKER)
        except (ProcessLookupError, PermissionError):
            continue
        if name:
            found.append((process, name.decode(errors="replace")))
    return found
