"""One command: what was asked, its streams, and how it ended."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .output import Output
from .stdin import Stdin
from .terminal import END_OF_TRANSMISSION, Size, Terminal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a client asked to run."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    directory: str | None
    timeout_seconds: int | None
    container: str | None
    terminal: Size | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command ended.

    `exit_code` is -1 unless the program itself exited. `cause` is Exited, Signalled, TimedOut or
    Lost (its launcher was killed, so nobody knows); `signal` names the signal, if one did it.
    """

    exit_code: int
    cause: str
    signal: str | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Command:
    """One command, running while `ending` is None."""

    id: str
    mark: int
    container: str
    argv: tuple[str, ...]
    root: int
    stdin: Stdin
    stdout: Output
    stderr: Output
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    ending: Ending | None = None
    ended_at: float = 0.0
    timed_out: bool = False
    timer: asyncio.TimerHandle | None = None
    terminal: Terminal | None = None

    async def wait(self, seconds: float) -> None:
        """Return at the command's end, or after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self.ended.wait()
        except TimeoutError:
            return

    async def close_stdin(self) -> None:
        """Close stdin; of a terminal, which stays open, type Ctrl-D.

        Raises:
            ProblemError: 409 when it is closed already.
        """
        if self.terminal:
            await self.stdin.write(_once(END_OF_TRANSMISSION))
        else:
            self.stdin.close()

    def finish(self, ending: Ending) -> None:
        """Record the end, complete the streams and wake everyone who waits."""
        if self.timer:
            self.timer.cancel()
        self.stdin.program_ended()
        self.stdout.finish()
        self.stderr.finish()
        if self.terminal:
            self.terminal.close()
        os.close(self.root)
        self.ending = ending
        self.ended_at = time.monotonic()
        self.ended.set()


def describe(command: Command) -> dict[str, Any]:
    """Return `{"exitCode": null}` while it runs, then also its cause and signal."""
    ending = command.ending
    if ending is None:
        return {"exitCode": None}
    described: dict[str, Any] = {"exitCode": ending.exit_code, "cause": ending.cause}
    if ending.signal:
        described["signal"] = ending.signal
    return described


def create(order: Order, container: str, root: int) -> Command:
    """Return a command that is about to be started in a container; it takes over `root`.

    Raises:
        ProblemError: 409 when the container has no terminals and one is asked for.
    """
    number = bytearray(os.urandom(16))  # a version 4 UUID; `uuid` imports too much for it
    number[6] = number[6] & 0x0F | 0x40
    number[8] = number[8] & 0x3F | 0x80
    text = number.hex()
    terminal = Terminal(root, order.terminal) if order.terminal else None
    stdin, stdout, stderr = _streams(root, terminal)
    return Command(
        id="-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:])),
        # Far above any real limit, so that no process carries it by accident.
        mark=1 << 61 | int.from_bytes(os.urandom(7)),
        container=container,
        argv=order.argv,
        root=root,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        terminal=terminal,
    )


def _streams(root: int, terminal: Terminal | None) -> tuple[Stdin, Output, Output]:
    if terminal is None:
        return Stdin(), Output(root), Output(root)
    # The third output is what a terminal does not tell from the second: nothing.
    nothing, writer = os.pipe()
    os.close(writer)
    return (
        Stdin((os.dup(terminal.programs), os.dup(terminal.ours))),
        Output(root, terminal=(os.dup(terminal.ours), os.dup(terminal.programs))),
        Output(root, terminal=(nothing, os.dup(terminal.programs))),
    )


async def _once(piece: bytes) -> AsyncIterator[bytes]:
    yield piece


def ending(command: Command, status: int | None) -> Ending:
    """Return what a wait status says; None stands for one that nobody knows."""
    if status is None:
        return Ending(-1, "Lost")
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return Ending(code, "Exited")
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"SIGRT{-code}"
    return Ending(-1, "TimedOut" if command.timed_out else "Signalled", name)
