"""What requests may say outside their bodies; the rows of `contract` choose from it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, TypeAdapter

from isola_gateway import idempotency, preferences
from isola_gateway.listing import MOST_ITEMS, Cursor
from isola_gateway.operation import Parameter
from isola_lifecycle.sandbox.conditions import Phase
from isola_rest.identifiers import CommandId, ContainerName, IdempotencyKey, SandboxId
from isola_rest.labels import Selector

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


ID = _path("id", SandboxId, "The sandbox.")
SANDBOX_ID = _path("sandboxId", SandboxId, "The sandbox.")
COMMAND_ID = _path("commandId", CommandId, "The command.")
CONTAINER = _query(
    "container", ContainerName, "Which container; needed only where there are several."
)
FILE = _query(
    "path",
    Annotated[str, StringConstraints(min_length=1)],
    "The file; a relative path starts from the container's working directory.",
    required=True,
)
WAIT = _query(
    "waitSeconds",
    Annotated[int, Field(ge=0, le=LONGEST_WAIT_SECONDS)],
    "Answer when the command has ended, or after so long.",
)
WAIT_FOR_START = _query(
    "waitSeconds",
    Annotated[int, Field(ge=0, le=LONGEST_WAIT_SECONDS)],
    "Answer when the sandbox is no longer starting, or after so long. Default: a moment for a"
    " sandbox that was just created, else 0.",
)
LABELS = _query(
    "labels",
    Selector,
    "Only sandboxes with such labels: `key=value`, `key!=value` (or no such key), joined by commas"
    ' that mean "and". As in `kubectl get -l`, but for `in`, `notin` and bare keys.',
)
STATUS = _query("status", Phase, "Only sandboxes with this status.")
LIMIT = _query(
    "limit",
    Annotated[int, Field(ge=1, le=MOST_ITEMS)],
    "At most so many; `nextCursor` tells whether there are more. Default: all.",
)
CURSOR = _query(
    "cursor", Cursor, "Only what follows the page that gave this `nextCursor`. Not to be read into."
)
ORDER = _query("order", Literal["asc", "desc"], "`asc` (default): oldest entry first.")
FOLLOW = _query(
    "follow",
    Literal["true", "false"],
    "`true`, or no `follow` and `Accept: text/event-stream`: server-sent events, one for each entry"
    " from the oldest on, its `id` the entry's `sequence`, its `data` the entry. The stream goes on"
    " as the log grows, and ends after `Terminated` or when the sandbox is gone.",
)
LAST_SEQUENCE = Parameter(
    name="Last-Event-ID",
    where="header",
    adapter=TypeAdapter[Any](Annotated[str, StringConstraints(pattern="^[0-9]{1,9}$")]),
    description="Follow from after this entry: the `id` of the last event seen.",
)
# Only the sidecar knows what an offset may be; a wrong one is its 400.
LAST_EVENT_ID = Parameter(
    name="Last-Event-ID",
    where="header",
    adapter=TypeAdapter[Any](str),
    description="Continue after this many bytes of output: the `id` of the last event seen.",
)

SIGNAL = _query(
    "signal",
    Annotated[str, StringConstraints(pattern="^[A-Za-z0-9+-]{1,16}$")],
    "Which signal, by name or number, such as TERM. Default: KILL.",
)

IDEMPOTENCY_KEY = Parameter(
    name=idempotency.HEADER,
    where="header",
    adapter=TypeAdapter[Any](IdempotencyKey),
    description="Chosen by the client at random for each sandbox that it wants, such as a UUID. The"
    " same request under the same key is the same sandbox, however often it is sent and to"
    " whichever gateway; another request under that key is refused with 422. The sandbox's id"
    " follows from the key. Once the sandbox is deleted and gone, its key makes a new one.",
)
PREFER = Parameter(
    name=preferences.HEADER,
    where="header",
    adapter=TypeAdapter[Any](str),
    description="`wait=N` (RFC 7240): answer when the sandbox is no longer starting, or after N"
    f" seconds, of which {LONGEST_WAIT_SECONDS} are granted at most. The answer is the same sandbox"
    " either way; its `status` tells.",
)
