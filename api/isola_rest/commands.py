"""Requests and responses about commands: as the gateway takes them, and as a sidecar gives them.

Responses keep what this release does not know: a newer sidecar may say more.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from isola_rest.identifiers import CommandId
from isola_rest.models import Body, Seconds, Wire

# Of a terminal, rows or columns: as a sidecar limits them.
Lines = Annotated[int, Field(ge=1, le=1000)]


class TerminalSize(Wire):
    """Of a terminal, in characters."""

    rows: Lines
    columns: Lines


class CreateCommandRequest(Body):
    """A command to be started."""

    args: Annotated[list[str], Field(min_length=1)] = Field(
        description="argv; its first item is looked up in PATH."
    )
    env: dict[str, str] | None = Field(default=None, description="Merged over the container's.")
    cwd: str | None = Field(
        default=None, description="Default: that of the container's main process."
    )
    timeout_seconds: Seconds | None = Field(default=None, description="Killed when it runs longer.")
    terminal: TerminalSize | None = Field(
        default=None, description="Run it on a terminal of this size, not on pipes."
    )


class CreateCommandResponse(Wire):
    """A command that was started."""

    model_config = ConfigDict(extra="allow")

    id: CommandId


class CommandStatus(Wire):
    """Whether a command has ended, and how."""

    model_config = ConfigDict(extra="allow")

    exit_code: int | None = Field(description="null while it runs; -1 unless it exited by itself.")
    cause: str | None = Field(
        default=None,
        description="`Exited`, `Signalled`, `TimedOut` or `Lost`.",
        examples=["Exited"],
    )
    signal: str | None = Field(default=None, description="Which, if one ended it.")


class CommandInfo(CommandStatus):
    """A command in a list."""

    id: CommandId
    container: str
    args: list[str]


class CommandList(Wire):
    """All commands that the sandbox remembers."""

    model_config = ConfigDict(extra="allow")

    commands: list[CommandInfo]
