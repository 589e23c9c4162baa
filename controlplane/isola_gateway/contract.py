"""Every operation of the REST API: what routing, validation and the OpenAPI document go by.

A row is all there is to say about an operation's shape. `binding` checks requests against it,
`openapi` prints it, and the application refuses to start when a row has no view.
"""

from __future__ import annotations

from isola_gateway import parameters, preferences
from isola_gateway.operation import EVENTS, OCTETS, TEXT, Operation
from isola_rest.commands import (
    CommandList,
    CommandStatus,
    CreateCommandRequest,
    CreateCommandResponse,
)
from isola_rest.models import (
    CreateSandboxRequest,
    Health,
    History,
    SandboxList,
    SandboxResponse,
    Version,
)

# Of answers.
REPLAYED = "Idempotent-Replayed"

_COMMANDS = "/v1/sandboxes/{sandboxId}/commands"
_COMMAND = f"{_COMMANDS}/{{commandId}}"
_FILES = "/v1/sandboxes/{id}/filesystem"
_IN_SANDBOX = (404, 409, 422, 502)

CREATE_SANDBOX = Operation(
    id="createSandbox",
    method="POST",
    path="/v1/sandboxes",
    tag="Sandboxes",
    summary="Create a sandbox",
    success=201,
    answer=SandboxResponse,
    body=CreateSandboxRequest,
    parameters=(parameters.IDEMPOTENCY_KEY, parameters.PREFER),
    headers={
        REPLAYED: "`true` where an earlier request under this key made the sandbox.",
        preferences.APPLIED: "`wait=N` where the request preferred that, with the N granted.",
    },
    problems=(400, 408, 409, 413, 415, 422, 429),
)
LIST_SANDBOXES = Operation(
    id="listSandboxes",
    method="GET",
    path="/v1/sandboxes",
    tag="Sandboxes",
    summary="List sandboxes, oldest first",
    answer=SandboxList,
    parameters=(parameters.LABELS, parameters.STATUS, parameters.LIMIT, parameters.CURSOR),
    problems=(422,),
)
GET_SANDBOX = Operation(
    id="getSandbox",
    method="GET",
    path="/v1/sandboxes/{id}",
    tag="Sandboxes",
    summary="Show a sandbox",
    answer=SandboxResponse,
    parameters=(parameters.ID, parameters.WAIT_FOR_START),
    problems=(404, 422),
)
GET_HISTORY = Operation(
    id="getSandboxHistory",
    method="GET",
    path="/v1/sandboxes/{id}/history",
    tag="Sandboxes",
    summary="Show all that happened to a sandbox",
    answer=History,
    stream=EVENTS,
    parameters=(parameters.ID, parameters.ORDER, parameters.FOLLOW, parameters.LAST_SEQUENCE),
    problems=(404, 422),
)
DELETE_SANDBOX = Operation(
    id="deleteSandbox",
    method="DELETE",
    path="/v1/sandboxes/{id}",
    tag="Sandboxes",
    summary="End a sandbox; one that does not exist has ended",
    success=204,
    parameters=(parameters.ID,),
    problems=(422, 429, 503),
)
CREATE_COMMAND = Operation(
    id="createCommand",
    method="POST",
    path=_COMMANDS,
    tag="Commands",
    summary="Start a command",
    success=202,
    answer=CreateCommandResponse,
    body=CreateCommandRequest,
    parameters=(parameters.SANDBOX_ID, parameters.CONTAINER),
    problems=(400, 408, 413, 415, *_IN_SANDBOX),
)
LIST_COMMANDS = Operation(
    id="listCommands",
    method="GET",
    path=_COMMANDS,
    tag="Commands",
    summary="List the commands that the sandbox remembers",
    answer=CommandList,
    parameters=(parameters.SANDBOX_ID,),
    problems=_IN_SANDBOX,
)
GET_COMMAND_STATUS = Operation(
    id="getCommandStatus",
    method="GET",
    path=f"{_COMMAND}/status",
    tag="Commands",
    summary="Show whether a command has ended, or wait for it",
    answer=CommandStatus,
    parameters=(parameters.SANDBOX_ID, parameters.COMMAND_ID, parameters.WAIT),
    problems=_IN_SANDBOX,
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
        problems=(400, *_IN_SANDBOX),
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
    parameters=(parameters.SANDBOX_ID, parameters.COMMAND_ID),
    problems=(408, *_IN_SANDBOX),
)
CLOSE_STDIN = Operation(
    id="closeCommandStdin",
    method="POST",
    path=f"{_COMMAND}/stdin/close",
    tag="Commands",
    summary="Close a command's standard input",
    success=204,
    parameters=(parameters.SANDBOX_ID, parameters.COMMAND_ID),
    problems=_IN_SANDBOX,
)
KILL_COMMAND = Operation(
    id="killCommand",
    method="DELETE",
    path=_COMMAND,
    tag="Commands",
    summary="Kill a command, or send it a signal; one that has ended stays as it is",
    success=204,
    parameters=(parameters.SANDBOX_ID, parameters.COMMAND_ID, parameters.SIGNAL),
    problems=_IN_SANDBOX,
)
READ_FILE = Operation(
    id="readFile",
    method="GET",
    path=_FILES,
    tag="Files",
    summary="Download a file",
    answer=(OCTETS,),
    parameters=(parameters.ID, parameters.FILE, parameters.CONTAINER),
    problems=(400, *_IN_SANDBOX),
)
WRITE_FILE = Operation(
    id="writeFile",
    method="POST",
    path=_FILES,
    tag="Files",
    summary="Upload a file, its parent directories made where they are missing",
    success=204,
    body=OCTETS,
    parameters=(parameters.ID, parameters.FILE, parameters.CONTAINER),
    problems=(400, 408, *_IN_SANDBOX),
)


def _probe(name: str, path: str, summary: str, *, problems: tuple[int, ...] = ()) -> Operation:
    return Operation(
        id=name,
        method="GET",
        path=path,
        tag="Operations",
        summary=summary,
        answer=Health,
        problems=problems,
    )


HEALTH = _probe("getHealth", "/health", "Is the process alive?")
HEALTHZ = _probe("getHealthz", "/healthz", "Is the process alive?")
READY = _probe("getReady", "/ready", "Can it serve?", problems=(503,))
READYZ = _probe("getReadyz", "/readyz", "Can it serve?", problems=(503,))
VERSION = Operation(
    id="getVersion",
    method="GET",
    path="/version",
    tag="Operations",
    summary="What is running?",
    answer=Version,
)
METRICS = Operation(
    id="getMetrics",
    method="GET",
    path="/metrics",
    tag="Operations",
    summary="Counts, in Prometheus' text format",
    answer=(TEXT,),
)

OPERATIONS: tuple[Operation, ...] = (
    CREATE_SANDBOX,
    LIST_SANDBOXES,
    GET_SANDBOX,
    GET_HISTORY,
    DELETE_SANDBOX,
    CREATE_COMMAND,
    LIST_COMMANDS,
    GET_COMMAND_STATUS,
    GET_STDOUT,
    GET_STDERR,
    WRITE_STDIN,
    CLOSE_STDIN,
    KILL_COMMAND,
    READ_FILE,
    WRITE_FILE,
    HEALTH,
    HEALTHZ,
    READY,
    READYZ,
    VERSION,
    METRICS,
)
