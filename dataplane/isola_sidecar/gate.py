"""The gate: ends well once this pod's network policies are seen in force, and its archives staged.

    python3 -m isola_sidecar.gate ADDRESS:PORT...

It runs as an init container of its own, before any of the user's: the kubelet starts none of those
until it has ended, and none at all when it fails, because such a pod is never restarted.

What is seen: connections to canaries, listeners that a pod without policies reaches and a sandbox
never does. All of them must be refused, or go unanswered, twice in a row. One that cannot even be
tried (no route for its protocol) proves nothing. Several canaries, because a dead one looks like
one that is refused.

Where a container starts from a snapshot, its archive must be on the node before: whoever puts it
there (`isola_mounter`) leaves a mark in a folder that the gate sees, and that holds nothing else.
How long that may take is not the gate's to say: the operator ends the pod.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import sys
import time

from .runtime import is_gvisor

# Told to the operator, which knows them by these numbers.
NOT_ENFORCED = 86
NOT_GVISOR = 87

# An answer takes a packet each way; where policies drop packets, none ever comes.
ANSWER_SECONDS = 0.3
PAUSE_SECONDS = 0.01
IN_A_ROW = 2

LOOK_SECONDS = 0.05

SECONDS_VARIABLE = "ISOLA_GATE_SECONDS"  # 0: policies are not looked at
STAGED_VARIABLE = "ISOLA_GATE_STAGED"  # path of the mark; not set: there is nothing to wait for

_UNDER_WAY = (0, errno.EINPROGRESS)
_UNREACHABLE = (errno.ENETUNREACH, errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


def main(proc: str = "/proc") -> int:
    """Return 0 once all is as it should be, or what is not."""
    seconds = float(os.environ.get(SECONDS_VARIABLE, "10"))
    mark = os.environ.get(STAGED_VARIABLE, "")
    if mark and not is_gvisor(proc):
        # Other runtimes leave the archives out without a word.
        system = os.uname()
        sys.stderr.write(f"{system.sysname} {system.release}\n")
        return NOT_GVISOR
    if seconds and (code := enforced(sys.argv[1:], seconds)):
        return code
    if mark and not _there(mark):
        sys.stderr.write("waiting for the archives of snapshots on this node\n")
        while not _there(mark):
            time.sleep(LOOK_SECONDS)
    return 0


def _there(path: str) -> bool:
    return os.access(path, os.F_OK)  # pathlib takes longer to import than a look at the network


def enforced(canaries: list[str], seconds: float) -> int:
    """Return 0 once enforcement was seen, or `NOT_ENFORCED` after the time is over."""
    deadline = time.monotonic() + seconds
    closed, reached = 0, []
    while time.monotonic() < deadline:
        reached, refused = attempt(canaries)
        closed = closed + 1 if refused and not reached else 0
        if closed == IN_A_ROW:
            return 0
        time.sleep(PAUSE_SECONDS)
    told = f"still reached {', '.join(reached)}" if reached else "no canary could be tried"
    sys.stderr.write(f"{told}\n")
    return NOT_ENFORCED


def attempt(canaries: list[str]) -> tuple[list[str], list[str]]:
    """Return which canaries answered and which did not; those that cannot be tried are in neither.

    Args:
        canaries: Addresses and ports: `10.96.0.1:443`, `[fd00::1]:443`.
    """
    reached: list[str] = []
    refused: list[str] = []
    waiting: dict[int, tuple[socket.socket, str]] = {}
    for canary in canaries:
        connection, code = _connecting(canary)
        if code in _UNDER_WAY:
            waiting[connection.fileno()] = (connection, canary)
            continue
        connection.close()
        if code not in _UNREACHABLE:
            refused.append(canary)
    poll = select.poll()
    for descriptor in waiting:
        poll.register(descriptor, select.POLLOUT)
    end = time.monotonic() + ANSWER_SECONDS
    while waiting and (left := end - time.monotonic()) > 0:
        for descriptor, _ in poll.poll(left * 1000):
            poll.unregister(descriptor)
            connection, canary = waiting.pop(descriptor)
            code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            (refused if code else reached).append(canary)
            connection.close()
    for connection, canary in waiting.values():
        refused.append(canary)
        connection.close()
    return reached, refused


def _connecting(canary: str) -> tuple[socket.socket, int]:
    host, _, port = canary.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    connection = socket.socket(family)
    connection.setblocking(False)  # noqa: FBT003 - the standard library's own
    return connection, connection.connect_ex((host, int(port)))


if __name__ == "__main__":
    sys.exit(main())
