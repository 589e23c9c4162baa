"""Every operation of the REST API: what routing, validation and the OpenAPI document go by.

A row is all there is to say about an operation's shape. `binding` checks requests against it,
`openapi` prints it, and the application refuses to start when a row has no view.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, TypeAdapter

from isola_gateway import preferences
from isola_gateway.idempotency import HEADER
from isola_gateway.listing import MOST_ITEMS, Cursor
from isola_gateway.operation import EVENTS, OCTETS, TEXT, Operation, Parameter
from isola_lifecycle.sandbox.conditions import Phase
from isola_rest.commands import (
    CommandList,
    CommandStatus,
    CreateCommandRequest,
    CreateCommandResponse,
)
from isola_rest.identifiers import CommandId, ContainerName, IdempotencyKey, SandboxId
from isola_rest.labels import Selector
from isola_rest.models import (
    CreateSandboxRequest,
    Health,
    History,
    SandboxList,
    SandboxResponse,
    Version,
)

# client's long poll (20 s) < this < sidecar's maximum (30 s)
LONGEST_WAIT_SECONDS = 25


def _path(name: str, kind: Any, description: str) -> Parameter:
    adapter = TypeAdapter[Any](kind)
    return Parameter(
        name=name, where="path", adapter=adapter, description=description, required=True
    )


def _query(name: str, kind: Any, description: str, *, required: bool = False) -> Parameter:
    adapter = TypeAdapter[Any](kind)
    return Parameter(
        name=name, where="query", adapter=adapter, description=description, required=required
    )


_ID = _path("id", SandboxId, "The sandbox.")
_SANDBOX_ID = _path("sandboxId", SandboxId, "The sandbox.")
_COMMAND_ID = _path("commandId", CommandId, "The command.")
_CONTAINER = _query(
    "container", ContainerName, "Which container; needed only where there are several."
)
_FILE = _query(
    "path",
    Annotated[str, StringConstraints(min_length=1)],
    "The file; a relative path starts from the container's working directory.",
    required=True,
)
_WAIT = _query(
    "waitSeconds",
    Annotated[int, Field(ge=0, le=LONGEST_WAIT_SECONDS)],
    "Answer when the command has ended, or after so long.",
)
_WAIT_FOR_START = _query(
    "waitSeconds",
    Annotated[int, Field(ge=0, le=LONGEST_WAIT_SECONDS)],
    "Answer when the sandbox is no longer starting, or after so long. Default: a moment for a"
    " sandbox that was just created, else 0.",
)
_LABELS = _query(
    "labels",
    Selector,
    "Only sandboxes with such labels: `key=value`, `key!=value` (or no such key), joined by commas"
    ' that mean "and". As in `kubectl get -l`, but for `in`, `notin` and bare keys.',
)
_STATUS = _query("status", Phase, "Only sandboxes with this status.")
_LIMIT = _query(
    "limit",
    Annotated[int, Field(ge=1, le=MOST_ITEMS)],
    "At most so many; `nextCursor` tells whether there are more. Default: all.",
)
_CURSOR = _query(
    "cursor", Cursor, "Only what follows the page that gave this `nextCursor`. Not to be read into."
)
_ORDER = _query("order", Literal["asc", "desc"], "`asc` (default): oldest entry first.")
_FOLLOW = _query(
    "follow",
    Literal["true", "false"],
    "`true`, or no `follow` and `Accept: text/event-stream`: server-sent events, one for each entry"
    " from the oldest on, its `id` the entry's `sequence`, its `data` the entry. The stream goes on"
    " as the log grows, and ends after `Terminated` or when the sandbox is gone.",
)
_LAST_SEQUENCE = Parameter(
    name="Last-Event-ID",
    where="header",
    adapter=TypeAdapter[Any](Annotated[str, StringConstraints(pattern="^[0-9]{1,9}$")]),
    description="Follow from after this entry: the `id` of the last event seen.",
)
# Only the sidecar knows what an offset may be; a wrong one is its 400.
_LAST_EVENT_ID = Parameter(
    name="Last-Event-ID",
    where="header",
    adapter=TypeAdapter[Any](str),
    description="Continue after this many bytes of output: the `id` of the last event seen.",
)

_SIGNAL = _query(
    "signal",
    Annotated[str, StringConstraints(pattern="^[A-Za-z0-9+-]{1,16}$")],
    "Which signal, by name or number, such as TERM. Default: KILL.",
)

_IDEMPOTENCY_KEY = Parameter(
    name=HEADER,
    where="header",
    adapter=TypeAdapter[Any](IdempotencyKey),
    description="Chosen by the client at random for each sandbox that it wants, such as a UUID. The"
    " same request under the same key is the same sandbox, however often it is sent and to"
    " whichever gateway; another request under that key is refused with 422. The sandbox's id"
    " follows from the key. Once the sandbox is deleted and gone, its key makes a new one.",
)
_PREFER = Parameter(
    name=preferences.HEADER,
    where="header",
    adapter=TypeAdapter[Any](str),
    description="`wait=N` (RFC 7240): answer when the sandbox is no longer starting, or after N"
    f" seconds, of which {LONGEST_WAIT_SECONDS} are granted at most. The answer is the same sandbox"
    " either way; its `status` tells.",
)
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
    parameters=(_IDEMPOTENCY_KEY, _PREFER),
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
    parameters=(_LABELS, _STATUS, _LIMIT, _CURSOR),
    problems=(422,),
)
GET_SANDBOX = Operation(
    id="getSandbox",
    method="GET",
    path="/v1/sandboxes/{id}",
    tag="Sandboxes",
    summary="Show a sandbox",
    answer=SandboxResponse,
    parameters=(_ID, _WAIT_FOR_START),
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
    parameters=(_ID, _ORDER, _FOLLOW, _LAST_SEQUENCE),
    problems=(404, 422),
)
DELETE_SANDBOX = Operation(
    id="deleteSandbox",
    method="DELETE",
    path="/v1/sandboxes/{id}",
    tag="Sandboxes",
    summary="End a sandbox; one that does not exist has ended",
    success=204,
    parameters=(_ID,),
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
    parameters=(_SANDBOX_ID, _CONTAINER),
    problems=(400, 408, 413, 415, *_IN_SANDBOX),
)
LIST_COMMANDS = Operation(
    id="listCommands",
    method="GET",
    path=_COMMANDS,
    tag="Commands",
    summary="List the commands that the sandbox remembers",
    answer=CommandList,
    parameters=(_SANDBOX_ID,),
    problems=_IN_SANDBOX,
)
GET_COMMAND_STATUS = Operation(
    id="getCommandStatus",
    method="GET",
    path=f"{_COMMAND}/status",
    tag="Commands",
    summary="Show whether a command has ended, or wait for it",
    answer=CommandStatus,
    parameters=(_SANDBOX_ID, _COMMAND_ID, _WAIT),
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
        parameters=(_SANDBOX_ID, _COMMAND_ID, _LAST_EVENT_ID),
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
    parameters=(_SANDBOX_ID, _COMMAND_ID),
    problems=(408, *_IN_SANDBOX),
)
CLOSE_STDIN = Operation(
    id="closeCommandStdin",
    method="POST",
    path=f"{_COMMAND}/stdin/close",
    tag="Commands",
    summary="Close a command's standard input",
    success=204,
    parameters=(_SANDBOX_ID, _COMMAND_ID),
    problems=_IN_SANDBOX,
)
KILL_COMMAND = Operation(
    id="killCommand",
    method="DELETE",
    path=_COMMAND,
    tag="Commands",
    summary="Kill a command, or send it a signal; one that has ended stays as it is",
    success=204,
    parameters=(_SANDBOX_ID, _COMMAND_ID, _SIGNAL),
    problems=_IN_SANDBOX,
)
READ_FILE = Operation(
    id="readFile",
    method="GET",
    path=_FILES,
    tag="Files",
    summary="Download a file",
    answer=(OCTETS,),
    parameters=(_ID, _FILE, _CONTAINER),
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
    parameters=(_ID, _FILE, _CONTAINER),
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
