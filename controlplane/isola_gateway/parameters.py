"""What requests may say outside their bodies; the rows of `contract` choose from it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, StringConstraints, TypeAdapter, WithJsonSchema
from pydantic_core import PydanticCustomError

from isola_gateway import idempotency, preferences
from isola_gateway.listing import MOST_ITEMS, Cursor
from isola_gateway.operation import Parameter
from isola_lifecycle.sandbox.conditions import Phase
from isola_rest.commands import TEXT_PATTERN
from isola_rest.identifiers import (
    CommandId,
    ContainerName,
    IdempotencyKey,
    SandboxId,
    SnapshotName,
)
from isola_rest.labels import Selector
from isola_rest.models import RecordedKind
from isola_rest.snapshots import SnapshotStatus

# Entries of a directory that a sidecar gives at once.
MOST_ENTRIES = 1000

_BASE64 = "^([A-Za-z0-9_-]{4})*([A-Za-z0-9_-]{2}==|[A-Za-z0-9_-]{3}=)?$"

# client's long poll (20 s) < this < sidecar's maximum
LONGEST_WAIT_SECONDS = 25
LONGEST_SIDECAR_WAIT_SECONDS = 30


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
SNAPSHOT_ID = _path("id", SnapshotName, "The snapshot.")
COMMAND_ID = _path("commandId", CommandId, "The command.")
CONTAINER = _query(
    "container", ContainerName, "Which container; needed only where there are several."
)


def _path_text(text: str) -> str:
    # Bytes, for which the kernel knows no encoding: pydantic's own texts are UTF-8 and no other.
    if not text or "\0" in text:
        raise PydanticCustomError("path", "must not be empty, nor hold a zero byte")
    return text


FilePath = Annotated[
    str,
    PlainValidator(_path_text),
    WithJsonSchema({"type": "string", "minLength": 1, "pattern": TEXT_PATTERN}),
]
_START = "; a relative path starts from the container's working directory."
FILE = _query("path", FilePath, f"The file{_START}", required=True)
DIRECTORY = _query("path", FilePath, f"The directory{_START}", required=True)
ENTRY = _query("path", FilePath, f"A file, a directory or a link itself{_START}", required=True)
FROM = _query("from", FilePath, f"What is moved, a link itself{_START}", required=True)
TO = _query(
    "to",
    FilePath,
    f"Its new path, and no directory to put it in; the parent must be there{_START}",
    required=True,
)
_Flag = Literal["true", "false"]
OVERWRITE = _query(
    "overwrite", _Flag, "`true`: a file or an empty directory at the new path is replaced."
)
RECURSIVE = _query(
    "recursive",
    _Flag,
    "`true`: a directory with all that is in it. What fails in the middle leaves the rest.",
)
WATCH_BELOW = _query("recursive", _Flag, "`true`: also what changes in directories below.")
ENTRIES = _query(
    "limit",
    Annotated[int, Field(ge=1, le=MOST_ENTRIES)],
    f"At most so many; `nextCursor` tells whether there are more. Default: {MOST_ENTRIES}.",
)
# Only the sidecar can read it, and refuses what it cannot.
ENTRIES_CURSOR = _query(
    "cursor",
    Annotated[str, WithJsonSchema({"type": "string", "pattern": _BASE64})],
    "Only what follows the page that gave this `nextCursor`. Not to be read into.",
)
RANGE = Parameter(
    name="Range",
    where="header",
    adapter=TypeAdapter[Any](str),
    description="`bytes=first-last`, `bytes=first-` or `bytes=-length`: that part, with 206."
    " Several ranges, or none that can be read, mean the whole.",
)
IF_RANGE = Parameter(
    name="If-Range",
    where="header",
    adapter=TypeAdapter[Any](str),
    description="The `ETag` of what the client has already: of another file the whole is sent.",
)


def _wait(longest: int, until: str) -> Parameter:
    description = f"Answer when {until}, or after so long."
    return _query("waitSeconds", Annotated[int, Field(ge=0, le=longest)], description)


_ENDED = "the command has ended"
WAIT = _wait(LONGEST_WAIT_SECONDS, _ENDED)
SIDECAR_WAIT = _wait(LONGEST_SIDECAR_WAIT_SECONDS, _ENDED)
REACHABLE_WAIT = _wait(LONGEST_SIDECAR_WAIT_SECONDS, "a connection comes about")
ADDRESS = _query(
    "address",
    Annotated[
        str,
        WithJsonSchema({"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}),
    ],
    "Where to: an IP address.",
    required=True,
)
PORT = _query("port", Annotated[int, Field(ge=1, le=65535)], "A TCP port there.", required=True)
WAIT_FOR_START = _query(
    "waitSeconds",
    Annotated[int, Field(ge=0, le=LONGEST_WAIT_SECONDS)],
    "Answer when the sandbox is no longer starting, or after so long. Default: a moment for a"
    " sandbox that was just created, else 0.",
)
WAIT_FOR_THE_END = _query(
    "waitSeconds",
    Annotated[int, Field(ge=0, le=LONGEST_WAIT_SECONDS)],
    "Answer when the snapshot has ended, or after so long. Default: a moment for one that was just"
    " asked for, else 0.",
)
LABELS = _query(
    "labels",
    Selector,
    "Only those with such labels: `key=value`, `key!=value` (or no such key), joined by commas"
    ' that mean "and". As in `kubectl get -l`, but for `in`, `notin` and bare keys.',
)
STATUS = _query("status", Phase, "Only sandboxes with this status.")
SNAPSHOT_STATUS = _query("status", SnapshotStatus, "Only snapshots with this status.")
OF_SANDBOX = _query("sandboxId", SandboxId, "Only snapshots of the sandbox with this id.")
NAMED = _query("snapshotName", SnapshotName, "Only snapshots to be restored by this name.")
OF_KIND = _query("kind", RecordedKind, "Of what the records are. Default: sandbox.")
LIMIT = _query(
    "limit",
    Annotated[int, Field(ge=1, le=MOST_ITEMS)],
    "At most so many; `nextCursor` tells whether there are more. Default: all.",
)
CURSOR = _query(
    "cursor", Cursor, "Only what follows the page that gave this `nextCursor`. Not to be read into."
)
UID = _query(
    "uid",
    Annotated[str, StringConstraints(pattern="^[0-9a-f-]{36}$")],
    "Which one, where several had this id one after the other. Default: the one that exists, else"
    " the last one that is on record.",
)
ORDER = _query("order", Literal["asc", "desc"], "`asc` (default): oldest entry first.")
FOLLOW = _query(
    "follow",
    Literal["true", "false"],
    "`true`, or no `follow` and `Accept: text/event-stream`: server-sent events, one for each entry"
    " from the oldest on, its `id` the entry's `sequence`, its `data` the entry. The stream goes on"
    " as the log grows, and ends when what it is about is gone, a sandbox's after `Terminated`.",
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
    adapter=TypeAdapter[Any](
        Annotated[str, WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,18}$"})]
    ),
    description="Continue after this many bytes of output: the `id` of the last event seen.",
)
OFFSET = _query(
    "offset",
    Annotated[int, Field(ge=0)],
    "Continue after this many bytes of output. Default: 0.",
)

# Of Linux (signal(7)). In lower case they will do as well; what is none, the sidecar refuses.
_SIGNALS = (
    "ABRT|ALRM|BUS|CHLD|CONT|FPE|HUP|ILL|INT|IO|KILL|PIPE|PROF|PWR|QUIT|RTMAX|RTMIN|SEGV|STKFLT|STOP"
    "|SYS|TERM|TRAP|TSTP|TTIN|TTOU|URG|USR1|USR2|VTALRM|WINCH|XCPU|XFSZ"
)
SIGNAL = _query(
    "signal",
    Annotated[
        str,
        StringConstraints(pattern="^[A-Za-z0-9+-]{1,16}$"),
        WithJsonSchema(
            {"type": "string", "pattern": f"^((SIG)?({_SIGNALS})|[1-9]|[12][0-9]|3[014]|64)$"}
        ),
    ],
    "Which signal, by name or number, such as TERM. Default: KILL.",
)


def _key(noun: str) -> Parameter:
    return Parameter(
        name=idempotency.HEADER,
        where="header",
        adapter=TypeAdapter[Any](IdempotencyKey),
        description=f"Chosen by the client at random for each {noun} that it wants, such as a UUID."
        f" The same request under the same key is the same {noun}, however often it is sent and to"
        f" whichever gateway; another request under that key is refused with 422. The {noun}'s id"
        f" follows from the key. Once the {noun} is gone, its key makes a new one.",
    )


IDEMPOTENCY_KEY = _key("sandbox")
SNAPSHOT_KEY = _key("snapshot")
REPEAT_KEY = Parameter(
    name=idempotency.HEADER,
    where="header",
    adapter=TypeAdapter[Any](IdempotencyKey),
    description="Chosen by the client at random for each thing that it wants done, such as a UUID."
    " The same request under the same key is carried out once, however often it is sent and to"
    " whichever gateway, and answered alike; another request under that key is refused with 422."
    " The sandbox remembers its latest 4096 keys, for an hour.",
)


def _preference(until: str) -> Parameter:
    return Parameter(
        name=preferences.HEADER,
        where="header",
        adapter=TypeAdapter[Any](str),
        description=f"`wait=N` (RFC 7240): answer when {until}, or after N seconds, of which"
        f" {LONGEST_WAIT_SECONDS} are granted at most. The answer is the same either way; its"
        " `status` tells.",
    )


PREFER = _preference("the sandbox is no longer starting")
PREFER_THE_END = _preference("the snapshot has ended")
