"""The gate: ends well once this pod's network policies are seen to be in force.

    python3 -m isola_sidecar.gate ADDRESS:PORT...

It runs as an init container of its own, before any of the user's: the kubelet starts none of those
until it has ended, and none at all when it fails, because such a pod is never restarted.

What is seen: connections to canaries, listeners that a pod without policies reaches and a sandbox
never does. All of them must be refused, or go unanswered, twice in a row. One that cannot even be
tried (no route for its protocol) proves nothing. Several canaries, because a dead one looks like
one that is refused.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import sys
import time

# Told to the operator, which knows it by this number.
NOT_ENFORCED = 86

# An answer takes a packet each way; where policies drop packets, none ever comes.
ANSWER_SECONDS = 0.3
PAUSE_SECONDS = 0.01
IN_A_ROW = 2

SECONDS_VARIABLE = "ISOLA_GATE_SECONDS"

_UNDER_WAY = (0, errno.EINPROGRESS)
_UNREACHABLE = (errno.ENETUNREACH, errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


def main() -> int:
    """Return 0 once enforcement was seen, or `NOT_ENFORCED` after the time is over."""
    canaries = sys.argv[1:]
    deadline = time.monotonic() + float(os.environ.get(SECONDS_VARIABLE, "10"))
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
