"""Commands in a sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from time import monotonic

from isola_sdk.errors import ConflictError, IsolaTimeoutError
from isola_sdk.models import CommandInfo, CommandPage, CommandStatus, Created
from isola_sdk.protocol import commands as asked
from isola_sdk.protocol.commands import CommandResult, TerminalSize
from isola_sdk.sync.api import Api
from isola_sdk.sync.runtime import both
from isola_sdk.sync.streams import Ending, StreamReader, decoded
from isola_sdk.sync.terminals import Terminal


class Command:
    """A command that was started.

    Attributes:
        id: Its id.
    """

    def __init__(self, api: Api, sandbox_id: str, command_id: str) -> None:
        self.id = command_id
        self._api = api
        self._where = asked.place(sandbox_id, command_id)
        self._ending = Ending(api, self._where)
        self._readers: dict[str, StreamReader] = {}

    @property
    def stdout(self) -> StreamReader:
        """Standard output from its beginning; always the same reader, to be read once."""
        return self._reader("stdout")

    @property
    def stderr(self) -> StreamReader:
        """Standard error likewise."""
        return self._reader("stderr")

    def stream(self, name: str = "stdout", *, offset: int = 0) -> StreamReader:
        """Return a new reader of `stdout` or `stderr`, from a byte on.

        Raises:
            ValueError: There is no such stream.
        """
        if name not in ("stdout", "stderr"):
            raise ValueError(f"a command has stdout and stderr, and no {name!r}")
        request = asked.output(self._where, name)
        return StreamReader(self._api, request, self._ending, offset=offset)

    def status(self) -> CommandStatus:
        """Return how it stands."""
        return self._ending.ask()

    def ended(self, *, wait_seconds: float = 0) -> CommandStatus | None:
        """Return how it ended; None if it has not, nor does in so long."""
        status = self._ending.ask(wait_seconds=wait_seconds)
        return status if asked.ended(status) else None

    def exit_code(self) -> int | None:
        """Return its exit code, None while it runs."""
        return (self._ending.ask()).exit_code

    def wait(self, *, max_wait_seconds: float | None = None) -> int:
        """Return its exit code, once it has ended: -1 unless it exited by itself.

        Raises:
            IsolaTimeoutError: It runs longer than that. It goes on.
        """
        begun = monotonic()
        while True:
            left = 60.0 if max_wait_seconds is None else begun + max_wait_seconds - monotonic()
            status = self._ending.ask(wait_seconds=max(left, 1))
            if status.exit_code is not None:
                return status.exit_code
            if left <= 0:
                raise IsolaTimeoutError(f"command {self.id} runs after {max_wait_seconds} s")

    def write_stdin(self, data: str | bytes) -> None:
        """Write to its standard input.

        Raises:
            ConflictError: It has ended, or takes no more.
        """
        for request in asked.write_stdin(self._where, data):
            self._api.send(request)

    def close_stdin(self) -> None:
        """End its standard input."""
        self._api.send(asked.close_stdin(self._where))

    def kill(self) -> None:
        """End it at once, with all that it started. One that has ended stays as it is."""
        self._api.send(asked.signal(self._where, None))

    def send_signal(self, name: str | int) -> None:
        """Send it a signal, such as `TERM`. It is sent once, or an error says that nobody knows."""
        self._api.send(asked.signal(self._where, name))

    def terminal(self, *, offset: int = 0) -> Terminal:
        """Show its terminal, if it was started with one, from a byte of its output on."""
        return Terminal(self._api, self._where, offset=offset)

    def _reader(self, name: str) -> StreamReader:
        if name not in self._readers:
            self._readers[name] = self.stream(name)
        return self._readers[name]


class Commands:
    """The commands of a sandbox."""

    def __init__(self, api: Api, sandbox_id: str) -> None:
        self._api = api
        self._sandbox_id = sandbox_id

    def spawn(
        self,
        *args: str,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout_seconds: int | None = None,
        container: str | None = None,
        terminal: TerminalSize | None = None,
    ) -> Command:
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
        made, _ = self._api.ask(request, Created)
        return Command(self._api, self._sandbox_id, made.id)

    def run(
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
        command = self.spawn(
            *args, env=env, cwd=cwd, timeout_seconds=timeout_seconds, container=container
        )
        if input is not None:
            self._feed(command, input)
        exit_code = command.wait()
        stdout, stderr = both(command.stdout.read_bytes(), command.stderr.read_bytes())
        status = command.status()
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

    def _feed(self, command: Command, data: str | bytes) -> None:
        try:
            if data:
                command.write_stdin(data)
        except ConflictError:
            # As with a pipe that nobody reads, what counts is how the program ended.
            if command.ended(wait_seconds=1) is None:
                raise
            return
        with suppress(ConflictError):
            command.close_stdin()

    def list(self) -> list[CommandInfo]:
        """Return all commands that the sandbox remembers, the oldest first."""
        page, _ = self._api.ask(asked.list_all(self._sandbox_id), CommandPage)
        return page.commands

    def get(self, command_id: str) -> Command:
        """Return a command that was started elsewhere."""
        return Command(self._api, self._sandbox_id, command_id)
