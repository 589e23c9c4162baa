"""What is asked about commands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isola_sdk.models import CommandStatus
from isola_sdk.protocol.messages import OCTETS, Request, given, path, with_json
from isola_sdk.protocol.sandboxes import GRANTED_SECONDS, waiting

_WRITE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class TerminalSize:
    """Of a terminal, in characters."""

    rows: int = 24
    columns: int = 80


@dataclass(frozen=True)
class CommandResult:
    """What came of a command that has ended.

    Attributes:
        id: Which command.
        stdout: Its output as text: UTF-8, every end of a line as a newline.
        stderr: Likewise.
        exit_code: -1 unless it exited by itself.
        stdout_bytes: Its output as it is.
        stderr_bytes: Likewise.
        cause: `Exited`, `Signalled`, `TimedOut`, or `Lost`: nobody knows how it ended.
        signal: Which, if one ended it.
    """

    id: str
    stdout: str
    stderr: str
    exit_code: int
    stdout_bytes: bytes = b""
    stderr_bytes: bytes = b""
    cause: str | None = None
    signal: str | None = None


def spawn(  # noqa: PLR0913 - what a caller can say
    sandbox_id: str,
    args: Sequence[str],
    *,
    env: Mapping[str, str] | None,
    cwd: str | None,
    timeout_seconds: int | None,
    container: str | None,
    terminal: TerminalSize | None = None,
) -> Request:
    """Return the request that starts a command.

    Raises:
        ValueError: There is no program to start.
    """
    if not args:
        raise ValueError("say which program to run")
    body: dict[str, Any] = {"args": list(args)}
    if env is not None:
        body["env"] = dict(env)
    if cwd is not None:
        body["cwd"] = cwd
    if timeout_seconds is not None:
        body["timeoutSeconds"] = timeout_seconds
    if terminal is not None:
        body["terminal"] = {"rows": terminal.rows, "columns": terminal.columns}
    request = with_json("POST", path("sandboxes", sandbox_id, "commands"), body)
    return Request(
        method="POST",
        path=request.path,
        query=given(container=container or None),
        headers=request.headers,
        content=request.content,
    )


def list_all(sandbox_id: str) -> Request:
    """Return the request for all commands that a sandbox remembers."""
    return Request(method="GET", path=path("sandboxes", sandbox_id, "commands"))


def place(sandbox_id: str, command_id: str, *more: str) -> str:
    """Return where a command is."""
    return path("sandboxes", sandbox_id, "commands", command_id, *more)


def status(where: str, *, wait_seconds: float = 0) -> Request:
    """Return the request for how it stands, answered when it has ended or after so long."""
    return waiting(f"{where}/status", min(wait_seconds, GRANTED_SECONDS))


def output(where: str, stream: str) -> Request:
    """Return the request for `stdout` or `stderr`, byte by byte."""
    return Request(method="GET", path=f"{where}/{stream}", headers={"Accept": OCTETS})


def write_stdin(where: str, data: str | bytes) -> Iterator[Request]:
    """Yield the requests that write to standard input, one after the other.

    A program may read slowly: no request is so large that it would be taken for lost.
    """
    content = data.encode() if isinstance(data, str) else data
    for begin in range(0, len(content) or 1, _WRITE_BYTES):
        yield Request(
            method="POST",
            path=f"{where}/stdin",
            headers={"Content-Type": OCTETS},
            content=content[begin : begin + _WRITE_BYTES],
        )


def close_stdin(where: str) -> Request:
    """Return the request that ends standard input."""
    return Request(method="POST", path=f"{where}/stdin/close")


def signal(where: str, name: str | int | None) -> Request:
    """Return the request that sends a signal; None kills, with all descendants.

    To be killed twice is no harm, and to be told something twice may be.
    """
    query = given(signal=name)
    return Request(method="DELETE", path=where, query=query, repeatable=name is None)


def ended(status: CommandStatus) -> bool:
    """Return whether it has."""
    return status.exit_code is not None
