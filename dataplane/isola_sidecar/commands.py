"""The commands of this sidecar's life: started, watched, remembered, and given up in the end.

A finished command's output is kept against `limits.KEPT_*`: oldest first, its output goes and its
exit code stays; much later the exit code goes too, and the id is unknown.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import containers, limits, rootfs, spawning
from .output import Output
from .problems import ProblemError
from .processes import Processes, Standing
from .stdin import Stdin

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a client asked to run."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    directory: str | None
    timeout_seconds: int | None
    container: str | None


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

    async def wait(self, seconds: float) -> None:
        """Return at the command's end, or after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self.ended.wait()
        except TimeoutError:
            return

    def finish(self, ending: Ending) -> None:
        """Record the end, complete the streams and wake everyone who waits."""
        if self.timer:
            self.timer.cancel()
        self.stdin.program_ended()
        self.stdout.finish()
        self.stderr.finish()
        os.close(self.root)
        self.ending = ending
        self.ended_at = time.monotonic()
        self.ended.set()


class Commands:
    """Starts commands and finds them again by id."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._containers = containers.Containers()
        self._known: dict[str, Command] = {}  # in order of start
        self._finished: deque[Command] = deque()  # in order of end, like those with output
        self._with_output: deque[Command] = deque()
        self._timeouts: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[Command]:
        return iter(tuple(self._known.values()))

    def get(self, command_id: str) -> Command:
        """Return a command that was started here and is not forgotten.

        Raises:
            ProblemError: 404 if there is none.
        """
        try:
            return self._known[command_id]
        except KeyError:
            raise ProblemError(404, f"there is no command {command_id}") from None

    def container(self, name: str | None) -> containers.Container:
        """Return a container of the pod; `Containers.find` says how."""
        return self._containers.find(name)

    async def start(self, order: Order) -> Command:
        """Start a program and return without waiting for it.

        Raises:
            ProblemError: 400 or 409 when the container or directory is not there, 429 when too
                many commands run.
        """
        self._refuse_if_full()
        container = self._containers.find(order.container)
        try:
            environment = _environment(container.environment(), order.environment)
            root = container.open_root()
            directory = _open_directory(container, root, order.directory)
        except ProcessLookupError:
            raise ProblemError(409, f"container {container.name!r} has exited") from None
        command = _new_command(order, container.name, root)
        try:
            await self._launch(command, directory, environment)
        except BaseException:
            command.finish(Ending(-1, "Lost"))
            raise
        self._known[command.id] = command
        if order.timeout_seconds is not None:
            loop = asyncio.get_running_loop()
            command.timer = loop.call_later(order.timeout_seconds, self._time_out, command)
        return command

    async def signal(self, command: Command, number: int) -> None:
        """Send a signal: SIGKILL to all of the command's processes, others to its group."""
        if number == signal.SIGKILL:
            await self._processes.kill(command.mark)
        else:
            await self._processes.signal(command.mark, number)

    async def _launch(
        self, command: Command, directory: int, environment: dict[bytes, bytes]
    ) -> None:
        ends = (command.stdin, command.stdout, command.stderr)
        standing = Standing(command.root, directory, *(each.program_end for each in ends))
        argv = [os.fsencode(word) for word in command.argv]
        try:
            await self._processes.start(
                command.mark,
                standing,
                argv,
                environment,
                ended=lambda status: self._end(command, status),
            )
        finally:
            os.close(directory)
            for each in ends:
                each.close_program_end()

    def _end(self, command: Command, status: int | None) -> None:
        command.finish(_ending(command, status))
        self._finished.append(command)
        self._with_output.append(command)
        # Now for the others, and again when this one's grace is over.
        self._give_up()
        asyncio.get_running_loop().call_later(limits.KEPT_SECONDS, self._give_up)

    def _give_up(self) -> None:
        give_up_outputs(self._with_output, now=time.monotonic())
        while len(self._finished) > limits.KEPT_RECORDS:
            del self._known[self._finished.popleft().id]

    def _time_out(self, command: Command) -> None:
        command.timed_out = True
        task = asyncio.create_task(self._processes.kill(command.mark))
        self._timeouts.add(task)
        task.add_done_callback(self._timeouts.discard)

    def _refuse_if_full(self) -> None:
        if len(self._known) - len(self._finished) >= limits.RUNNING_COMMANDS:
            raise ProblemError(
                429, f"{limits.RUNNING_COMMANDS} commands are running already; wait or kill some"
            )


def give_up_outputs(kept: deque[Command], *, now: float) -> None:
    """Drop outputs from the front of `kept`, the oldest, until the rest is within the limits."""
    size = sum(each.stdout.size + each.stderr.size for each in kept)
    while len(kept) > limits.KEPT_OUTPUTS or size > limits.KEPT_OUTPUT_BYTES:
        oldest = kept[0]
        is_young = now - oldest.ended_at < limits.KEPT_SECONDS
        if is_young and len(kept) <= limits.KEPT_OUTPUTS_AT_MOST:
            return
        kept.popleft()
        oldest.stdout.give_up()
        oldest.stderr.give_up()
        size -= oldest.stdout.size + oldest.stderr.size


def describe(command: Command) -> dict[str, Any]:
    """Return `{"exitCode": null}` while it runs, then also its cause and signal."""
    ending = command.ending
    if ending is None:
        return {"exitCode": None}
    described: dict[str, Any] = {"exitCode": ending.exit_code, "cause": ending.cause}
    if ending.signal:
        described["signal"] = ending.signal
    return described


def _new_command(order: Order, container: str, root: int) -> Command:
    number = bytearray(os.urandom(16))  # a version 4 UUID; `uuid` imports too much for it
    number[6] = number[6] & 0x0F | 0x40
    number[8] = number[8] & 0x3F | 0x80
    text = number.hex()
    return Command(
        id="-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:])),
        # Far above any real limit, so that no process carries it by accident.
        mark=1 << 61 | int.from_bytes(os.urandom(7)),
        container=container,
        argv=order.argv,
        root=root,
        stdin=Stdin(),
        stdout=Output(root),
        stderr=Output(root),
    )


def _environment(inherited: dict[bytes, bytes], asked: dict[str, str]) -> dict[bytes, bytes]:
    merged = {b"PATH": spawning.DEFAULT_PATH} | inherited
    merged |= {os.fsencode(name): os.fsencode(value) for name, value in asked.items()}
    merged.pop(containers.MARKER, None)
    return merged


def _open_directory(container: containers.Container, root: int, asked: str | None) -> int:
    try:
        if asked is None:
            return container.open_working_directory()
        return rootfs.open_within(root, asked, rootfs.DIRECTORY)
    except ProcessLookupError:
        os.close(root)
        raise
    except OSError as failed:
        os.close(root)
        raise ProblemError(400, f"cwd {asked!r} in the container: {failed.strerror}") from failed


def _ending(command: Command, status: int | None) -> Ending:
    if status is None:
        return Ending(-1, "Lost")
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return Ending(code, "Exited")
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"SIGRT{-code}"
    return Ending(-1, "TimedOut" if command.timed_out else "Signalled", name)
