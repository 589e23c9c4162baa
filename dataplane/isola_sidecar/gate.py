"""The gate: nothing of the user's starts before this pod's network policies are seen in force.

The next container of the pod does nothing but ask here, by a hook at its start. The kubelet starts
no other before the hook has ended well: by any answer, so there is none before the gate opens.

What is seen: connections to canaries, listeners that a pod without policies reaches and a sandbox
never does. Each of them must be refused, or go unanswered, twice in a row. One that cannot even be
tried (no route for its protocol) proves nothing. Several canaries, because a dead one looks like
one that is refused.

Where the gate must not open, the sidecar ends, with a number by which the operator knows why. Where
who asked hangs up before, that is a kubelet that died: the next one would find the asking container
running, and take the hook for done. So that container is killed, and asks anew.

A sidecar that is started anew beside containers of the user's looks at nothing: the gate was open,
and what must not be reached then may have been allowed since.
"""

from __future__ import annotations

# Without pathlib, which takes longer to import than a look at the network.
import errno
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from .listening import listen

if TYPE_CHECKING:
    from collections.abc import Iterator

# Told to the operator, which knows it by this number.
NOT_ENFORCED: Final = 86

# An answer takes a packet each way; where policies drop packets, none ever comes.
ANSWER_SECONDS: Final = 0.3
PAUSE_SECONDS: Final = 0.01
IN_A_ROW: Final = 2
QUESTION_SECONDS: Final = 0.3

PORT_VARIABLE: Final = "ISOLA_GATE_PORT"  # not set: there is no gate
SECONDS_VARIABLE: Final = "ISOLA_GATE_SECONDS"
CANARIES_VARIABLE: Final = "ISOLA_GATE_CANARIES"  # addresses and ports, with a space between

# What the operator has in the environment of who asks, and of each container of the user's.
ASKS: Final = b"ISOLA_GATE_ASKED="
_OF_THE_USER: Final = b"ISOLA_CONTAINER_NAME="

OPEN: Final = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"

_UNDER_WAY: Final = (0, errno.EINPROGRESS)
_UNREACHABLE: Final = (errno.ENETUNREACH, errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


class Asked:
    """Where it is asked whether the gate is open."""

    def __init__(self, listener: socket.socket) -> None:
        """Keep waiting whoever comes to `listener`."""
        listener.setblocking(False)  # noqa: FBT003 - the standard library's own
        self.listener = listener
        self._waiting: list[socket.socket] = []

    def tell(self) -> None:
        """Answer everybody who waits: it is open."""
        self._take()
        for each in self._waiting:
            with each, suppress(OSError):  # gone
                each.sendall(OPEN)
        self._waiting.clear()

    def lost(self) -> bool:
        """Return whether somebody hung up; each is told of once."""
        self._take()
        gone = [each for each in self._waiting if _has_hung_up(each)]
        self._waiting = [each for each in self._waiting if each not in gone]
        return bool(gone)

    def _take(self) -> None:
        with suppress(BlockingIOError):
            while True:
                connection, _ = self.listener.accept()
                if _has_asked(connection):
                    self._waiting.append(connection)


def pass_through(proc: str = "/proc") -> Asked | None:
    """Return once the gate is open: where that is asked, or None without a gate.

    Raises:
        SystemExit: It must not open.
    """
    port = os.environ.get(PORT_VARIABLE)
    if port is None:
        return None
    asked = Asked(listen(int(port)))
    if not any(_with(_OF_THE_USER, proc)):
        began = time.monotonic()
        canaries, seconds = os.environ[CANARIES_VARIABLE], os.environ[SECONDS_VARIABLE]
        if told := unenforced(canaries.split(), float(seconds), asked, proc):
            sys.stderr.write(f"{told}\n")
            raise SystemExit(NOT_ENFORCED)
        waited = time.monotonic() - began
        sys.stderr.write(f"isola-sidecar saw the network closed after {waited:.3f} s\n")
    asked.tell()
    return asked


def attend(asked: Asked | None, until: socket.socket) -> None:
    """Tell who asks that the gate is open, until somebody connects to another socket."""
    waited_for = [until, asked.listener] if asked else [until]
    while until not in select.select(waited_for, [], [])[0]:
        if asked:
            asked.tell()


def unenforced(canaries: list[str], seconds: float, asked: Asked, proc: str = "/proc") -> str:
    """Return once enforcement was seen, or what was seen instead when the time is over."""
    deadline = time.monotonic() + seconds
    # While one answers the others can wait: the engine needs the processor. One that was refused
    # often enough is left alone: a kernel refuses a peer some six times, and then once a second;
    # what goes unanswered takes the longest to see.
    refusals = dict.fromkeys(canaries, 0)
    reached: list[str] = []
    while time.monotonic() < deadline:
        left = [each for each, times in refusals.items() if times < IN_A_ROW]
        tried = reached[:1] or left
        reached, refused = attempt(tried)
        refusals |= dict.fromkeys(reached, 0)
        refusals |= {each: refusals[each] + 1 for each in refused}
        once = [each for each in refused if refusals[each] < IN_A_ROW]
        if tried is left and not (reached or once) and IN_A_ROW in refusals.values():
            return ""
        if asked.lost():
            for number in _with(ASKS, proc):
                os.kill(number, signal.SIGKILL)
        time.sleep(PAUSE_SECONDS)
    return f"still reached {', '.join(reached)}" if reached else "no canary could be tried"


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


def _has_asked(connection: socket.socket) -> bool:
    # Read before the answer: what is left unread at the end makes a kernel take the answer back.
    connection.settimeout(QUESTION_SECONDS)
    try:
        asked = bool(connection.recv(4096))
    except OSError:  # gone, or silent
        asked = False
    connection.setblocking(False)  # noqa: FBT003 - as above
    if not asked:
        connection.close()
    return asked


def _has_hung_up(connection: socket.socket) -> bool:
    try:
        return not connection.recv(4096)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _with(variable: bytes, proc: str) -> Iterator[int]:
    """Yield the processes that were started with an environment variable."""
    for each in filter(str.isdigit, os.listdir(proc)):  # noqa: PTH208
        try:
            with open(f"{proc}/{each}/environ", "rb") as file:  # noqa: PTH123
                found = file.read().split(b"\0")
        except OSError:  # gone
            continue
        if any(entry.startswith(variable) for entry in found):
            yield int(each)
