"""Operations on commands: rows of `contract`."""

from __future__ import annotations

from isola_gateway import parameters
from isola_gateway.operation import EVENTS, IN_SANDBOX, OCTETS, Operation
from isola_rest.commands import (
    CommandList,
    CommandStatus,
    CreateCommandRequest,
    CreateCommandResponse,
)

_COMMANDS = "/v1/sandboxes/{sandboxId}/commands"
_COMMAND = f"{_COMMANDS}/{{commandId}}"

CREATE_COMMAND = Operation(
    id="createCommand",
    method="POST",
    path=_COMMANDS,
    tag="Commands",
    summary="Start a command",
    success=202,
    answer=CreateCommandResponse,
    body=CreateCommandRequest,
    parameters=(parameters.SANDBOX_ID, parameters.CONTAINER, parameters.REPEAT_KEY),
    problems=(400, 408, 413, 415, *IN_SANDBOX),
)
LIST_COMMANDS = Operation(
    id="listCommands",
    method="GET",
    path=_COMMANDS,
    tag="Commands",
    summary="List the commands that the sandbox remembers",
    answer=CommandList,
    parameters=(parameters.SANDBOX_ID,),
    problems=IN_SANDBOX,
)
GET_COMMAND_STATUS = Operation(
    id="getCommandStatus",
    method="GET",
    path=f"{_COMMAND}/status",
    tag="Commands",
    summary="Show whether a command has ended, or wait for it",
    answer=CommandStatus,
    parameters=(parameters.SANDBOX_ID, parameters.COMMAND_ID, parameters.WAIT),
    problems=IN_SANDBOX,
)


def _output(name: str, stream: str, words: str) -> Operation:
    return Operation(
        id=name,
        method="GET",
        path=f"{_COMMAND}/{stream}",
        tag="Commands",
        summary=f"Stream a command's {words} from its beginning, or from an offset",
        answer=(EVENTS, OCTETS),
        parameters=(parameters.SANDBOX_ID, parameters.COMMAND_ID, parameters.LAST_EVENT_ID),
        problems=(400, 410, *IN_SANDBOX),
    )


GET_STDOUT = _output("getCommandStdout", "stdout", "standard output")
GET_STDERR = _output("getCommandStderr", "stderr", "standard error")
WRITE_STDIN = Operation(
    id="writeCommandStdin",
    method="POST",
    path=f"{_COMMAND}/stdin",
    tag="Commands",
    summary="Write to a command's standard input",
    success=204,
    body=OCTETS,
    parameters=(parameters.SANDBOX_ID, parameters.COMMAND_ID, parameters.REPEAT_KEY),
    problems=(408, *IN_SANDBOX),
)
CLOSE_STDIN = Operation(
    id="closeCommandStdin",
    method="POST",
    path=f"{_COMMAND}/stdin/close",
    tag="Commands",
    summary="Close a command's standard input",
    success=204,
    parameters=(parameters.SANDBOX_ID, parameters.COMMAND_ID, parameters.REPEAT_KEY),
    problems=IN_SANDBOX,
)
KILL_COMMAND = Operation(
    id="killCommand",
    method="DELETE",
    path=_COMMAND,
    tag="Commands",
    summary="Kill a command, or send it a signal; one that has ended stays as it is",
    success=204,
    parameters=(parameters.SANDBOX_ID, parameters.COMMAND_ID, parameters.SIGNAL),
    problems=IN_SANDBOX,
)
OPEN_TERMINAL = Operation(
    id="openTerminal",
    method="GET",
    path=f"{_COMMAND}/terminal",
    tag="Commands",
    summary="Show and operate a command's terminal, over a WebSocket",
    description="What follows 101 is RFC 6455. To the client: a text frame with `offset`, where the"
    " output starts; the output in binary frames; and at the command's end a text frame that is its"
    " status. From the client: binary frames are typed, a text frame with `rows` and `columns` is a"
    " new size. Closed with 1000 once the command has ended; 1001: come again, at the offset that"
    " was reached; 1008 and 1009: the client did what it may not; 1011: the sandbox failed.",
    success=101,
    parameters=(parameters.SANDBOX_ID, parameters.COMMAND_ID, parameters.OFFSET),
    problems=(400, 410, 426, *IN_SANDBOX),
)
COMMANDS: tuple[Operation, ...] = (
    CREATE_COMMAND,
    LIST_COMMANDS,
    GET_COMMAND_STATUS,
    GET_STDOUT,
    GET_STDERR,
    WRITE_STDIN,
    CLOSE_STDIN,
    KILL_COMMAND,
    OPEN_TERMINAL,
)
