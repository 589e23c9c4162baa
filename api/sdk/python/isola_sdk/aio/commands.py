"""Commands in a sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from time import monotonic

from isola_sdk.aio.api import AsyncApi
from isola_sdk.aio.runtime import both
from isola_sdk.aio.streams import AsyncEnding, AsyncStreamReader, decoded
from isola_sdk.aio.terminals import AsyncTerminal
from isola_sdk.errors import ConflictError, IsolaTimeoutError
from isola_sdk.models import CommandInfo, CommandPage, CommandStatus, Created
from isola_sdk.protocol import commands as asked
from isola_sdk.protocol.commands import CommandResult, TerminalSize


class AsyncCommand:
    """A command that was started.

    Attributes:
        id: Its id.
    """

    def __init__(self, api: AsyncApi, sandbox_id: str, command_id: str) -> None:
        self.id = command_id
        self._api = api
        self._where = asked.place(sandbox_id, command_id)
        self._ending = AsyncEnding(api, self._where)
        self._readers: dict[str, AsyncStreamReader] = {}

    @property
    def stdout(self) -> AsyncStreamReader:
        """Standard output from its beginning; always the same reader, to be read once."""
        return self._reader("stdout")

    @property
    def stderr(self) -> AsyncStreamReader:
        """Standard error likewise."""
        return self._reader("stderr")

    def stream(self, name: str = "stdout", *, offset: int = 0) -> AsyncStreamReader:
        """Return a new reader of `stdout` or `stderr`, from a byte on.

        Raises:
            ValueError: There is no such stream.
        """
        if name not in ("stdout", "stderr"):
            raise ValueError(f"a command has stdout and stderr, and no {name!r}")
        request = asked.output(self._where, name)
        return AsyncStreamReader(self._api, request, self._ending, offset=offset)

    async def status(self) -> CommandStatus:
        """Return how it stands."""
        return await self._ending.ask()

    async def ended(self, *, wait_seconds: float = 0) -> CommandStatus | None:
        """Return how it ended; None if it has not, nor does in so long."""
        status = await self._ending.ask(wait_seconds=wait_seconds)
        return status if asked.ended(status) else None

    async def exit_code(self) -> int | None:
        """Return its exit code, None while it runs."""
        return (await self._ending.ask()).exit_code

    async def wait(self, *, max_wait_seconds: float | None = None) -> int:
        """Return its exit code, once it has ended: -1 unless it exited by itself.

        Raises:
            IsolaTimeoutError: It runs longer than that. It goes on.
        """
        begun = monotonic()
        while True:
            left = 60.0 if max_wait_seconds is None else begun + max_wait_seconds - monotonic()
            status = await self._ending.ask(wait_seconds=max(left, 1))
            if status.exit_code is not None:
                return status.exit_code
            if left <= 0:
                raise IsolaTimeoutError(f"command {self.id} runs after {max_wait_seconds} s")

    async def write_stdin(self, data: str | bytes) -> None:
        """Write to its standard input.

        Raises:
            ConflictError: It has ended, or takes no more.
        """
        for request in asked.write_stdin(self._where, data):
            await self._api.send(request)

    async def close_stdin(self) -> None:
        """End its standard input."""
        await self._api.send(asked.close_stdin(self._where))

    async def kill(self) -> None:
        """End it at once, with all that it started. One that has ended stays as it is."""
        await self._api.send(asked.signal(self._where, None))

    async def send_signal(self, name: str | int) -> None:
        """Send it a signal, such as `TERM`. It is sent once, or an error says that nobody knows."""
        await self._api.send(asked.signal(self._where, name))

    def terminal(self, *, offset: int = 0) -> AsyncTerminal:
        """Show its terminal, if it was started with one, from a byte of its output on."""
        return AsyncTerminal(self._api, self._where, offset=offset)

    def _reader(self, name: str) -> AsyncStreamReader:
        if name not in self._readers:
            self._readers[name] = self.stream(name)
        return self._readers[name]


class AsyncCommands:
    """The commands of a sandbox."""

    def __init__(self, api: AsyncApi, sandbox_id: str) -> None:
        self._api = api
        self._sandbox_id = sandbox_id

    async def spawn(
        self,
        *args: str,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout_seconds: int | None = None,
        container: str | None = None,
        terminal: TerminalSize | None = None,
    ) -> AsyncCommand:
        """Start a command, and do not wait for it.

        Args:
            args: argv; the program is looked up in PATH. There is no shell, unless you name one.
            env: Over the container's environment.
            cwd: Default: that of the container's main process.
            timeout_seconds: It is killed when it runs longer.
            container: Needed only where there are several.
            terminal: It runs on a terminal of that size, not on pipes: see `Command.terminal`.

        Raises:
            ValueError: No program is named.
        """
        request = asked.spawn(
            self._sandbox_id,
            args,
            env=env,
            cwd=cwd,
            timeout_seconds=timeout_seconds,
            container=container,
            terminal=terminal,
        )
        made, _ = await self._api.ask(request, Created)
        return AsyncCommand(self._api, self._sandbox_id, made.id)

    async def run(
        self,
        *args: str,
        input: str | bytes | None = None,  # noqa: A002 - as `subprocess.run` calls it
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout_seconds: int | None = None,
        container: str | None = None,
    ) -> CommandResult:
        """Run a command to its end.

        Args:
            args: argv.
            input: Its standard input; a program that ends without reading it is no error.
            env: As of `spawn`, like the others.
            cwd: Likewise.
            timeout_seconds: Likewise.
            container: Likewise.
        """
        command = await self.spawn(
            *args, env=env, cwd=cwd, timeout_seconds=timeout_seconds, container=container
        )
        if input is not None:
            await self._feed(command, input)
        exit_code = await command.wait()
        stdout, stderr = await both(command.stdout.read_bytes(), command.stderr.read_bytes())
        status = await command.status()
        return CommandResult(
            id=command.id,
            stdout=decoded(stdout),
            stderr=decoded(stderr),
            exit_code=exit_code,
            stdout_bytes=stdout,
            stderr_bytes=stderr,
            cause=status.cause,
            signal=status.signal,
        )

    async def _feed(self, command: AsyncCommand, data: str | bytes) -> None:
        try:
            if data:
                await command.write_stdin(data)
        except ConflictError:
            # As with a pipe that nobody reads, what counts is how the program ended.
            if await command.ended(wait_seconds=1) is None:
                raise
            return
        with suppress(ConflictError):
            await command.close_stdin()

    async def list(self) -> list[CommandInfo]:
        """Return all commands that the sandbox remembers, the oldest first."""
        page, _ = await self._api.ask(asked.list_all(self._sandbox_id), CommandPage)
        return page.commands

    def get(self, command_id: str) -> AsyncCommand:
        """Return a command that was started elsewhere."""
        return AsyncCommand(self._api, self._sandbox_id, command_id)
