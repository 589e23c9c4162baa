"""Requests and responses about commands: as the gateway takes them, and as a sidecar gives them.

Responses keep what this release does not know: a newer sidecar may say more.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic.config import JsonDict

from isola_rest.identifiers import CommandId
from isola_rest.models import WHOLE, Body, Seconds, Wire

# What an operating system takes as an argument, a path or a variable.
TEXT_PATTERN = r"^[^\x00]*$"
_VARIABLE = r"^[^=\x00]+$"
_TEXT: JsonDict = {"type": "string", "pattern": TEXT_PATTERN}
Text = Annotated[str, StringConstraints(pattern=TEXT_PATTERN)]
Path = Annotated[str, StringConstraints(pattern=TEXT_PATTERN, min_length=1)]
# pydantic's own schema would let names pass that match no pattern.
Environment = Annotated[
    dict[Annotated[str, StringConstraints(pattern=_VARIABLE)], Text],
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": _VARIABLE},
            "additionalProperties": _TEXT,
        }
    ),
]

# Of a terminal, rows or columns: as a sidecar limits them.
Lines = Annotated[int, Field(ge=1, le=1000), WHOLE]


class TerminalSize(Wire):
    """Of a terminal, in characters."""

    rows: Lines
    columns: Lines


def _names_a_program(args: list[str]) -> list[str]:
    if not args[0]:
        raise ValueError("the first item must name a program")
    return args


class CreateCommandRequest(Body):
    """A command to be started."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "args": ["python3", "-c", "print(6 * 7)"],
                    "env": {"LANG": "C.UTF-8"},
                    "timeoutSeconds": 60,
                }
            ]
        }
    )

    args: Annotated[list[Text], Field(min_length=1), AfterValidator(_names_a_program)] = Field(
        description="argv; its first item is looked up in PATH.",
        json_schema_extra={"prefixItems": [{**_TEXT, "minLength": 1}]},
    )
    env: Environment | None = Field(default=None, description="Merged over the container's.")
    cwd: Path | None = Field(
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
