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
from typing import TYPE_CHECKING, Final

from . import containers, limits, rootfs, spawning
from .command import Command, Ending, Order, create, ending
from .problems import ProblemError
from .processes import Processes, Standing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .terminal import Size


_TERM: Final = b"xterm-256color"
"""What most people's terminals and libraries in browsers are."""


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
        if order.terminal:
            environment.setdefault(b"TERM", _TERM)
        try:
            command = create(order, container.name, root)
        except BaseException:
            os.close(directory)
            os.close(root)
            raise
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

    async def resize(self, command: Command, size: Size) -> None:
        """Give a command's terminal another size, and tell its programs."""
        if command.terminal and command.ending is None:
            command.terminal.resize(size)
            await self._processes.tell_size(command.mark)

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
        command.finish(ending(command, status))
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
