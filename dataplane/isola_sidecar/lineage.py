"""Which processes belong to a command, and how all of them are killed.

Process group and session do not answer that: a daemon leaves both, and its parent. So the
launcher gives every command a *mark* which children inherit through fork, exec, setsid and a
change of user, and which no honest program touches: the soft limit on the resident set, which
Linux has not enforced since 2.4.30 and gVisor never did. An environment variable would be lost
to `env -i` and `su -`; a supervising process per command costs 5 MiB under gVisor (measured).
Descendants by parent link are counted in as well, should one have changed its limit.

A program bent on escaping can; it then runs on in its sandbox, as the container's own processes
do. The sandbox is the boundary, not the command.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Final

from . import procfs

if TYPE_CHECKING:
    from collections.abc import Iterable

_FREEZE_ROUNDS: Final = 8


def members(proc: int, mark: int) -> set[procfs.Process]:
    """Return the living processes that carry `mark`, with all of their descendants."""
    self_pid = os.getpid()  # parent of every command: counted in, it would count in all of them
    alive = [each for each in procfs.processes(proc) if not each.zombie and each.pid != self_pid]
    found = {each for each in alive if _carries(proc, each.pid, mark)}
    while True:
        parents = {each.pid for each in found}
        children = {each for each in alive if each.parent in parents} - found
        if not children:
            return found
        found |= children


def kill(proc: int, mark: int) -> bool:
    """Kill every member once, and return whether there was none left to kill.

    All are stopped before any is killed: a stopped process cannot fork, so the rounds catch up
    with a program that forks faster than it dies. To be called until it returns True.
    """
    frozen: set[procfs.Process] = set()
    for _ in range(_FREEZE_ROUNDS):
        fresh = members(proc, mark) - frozen
        if not fresh:
            break
        send(proc, fresh, signal.SIGSTOP)
        frozen |= fresh
    send(proc, frozen, signal.SIGKILL)
    return not frozen


def send(proc: int, targets: Iterable[procfs.Process], number: int) -> None:
    """Send a signal to `targets`, and to nobody who got one of their ids since.

    The identity is compared after the descriptor was opened: should the id have passed on before
    that, the start time differs; should it pass on later, the descriptor does not follow.
    """
    for target in targets:
        try:
            descriptor = os.pidfd_open(target.pid)
        except ProcessLookupError:
            continue
        try:
            if procfs.process(proc, target.pid).start_time == target.start_time:
                signal.pidfd_send_signal(descriptor, number)
        except (ProcessLookupError, PermissionError):
            continue
        finally:
            os.close(descriptor)


def _carries(proc: int, pid: int, mark: int) -> bool:
    try:
        return procfs.soft_rss_limit(proc, pid) == mark
    except (ProcessLookupError, PermissionError):
        return False
