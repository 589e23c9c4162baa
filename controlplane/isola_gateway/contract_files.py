"""Operations on files: rows of `contract`."""

from __future__ import annotations

from isola_gateway import parameters
from isola_gateway.operation import EVENTS, IN_SANDBOX, OCTETS, Operation
from isola_rest.files import Entry, EntryList, MadeDirectory

_FILES = "/v1/sandboxes/{id}/filesystem"
_PLACE = (parameters.ID, parameters.CONTAINER)

READ_FILE = Operation(
    id="readFile",
    method="GET",
    path=_FILES,
    tag="Files",
    summary="Download a file, or a part of it",
    also=(206,),
    answer=(OCTETS,),
    parameters=(*_PLACE, parameters.FILE, parameters.RANGE, parameters.IF_RANGE),
    headers={
        "Accept-Ranges": "`bytes`.",
        "ETag": "Another one as soon as the file is another one; for `If-Range`.",
        "Content-Range": "Of a part: which it is, and of how much.",
    },
    problems=(400, 416, *IN_SANDBOX),
)
WRITE_FILE = Operation(
    id="writeFile",
    method="POST",
    path=_FILES,
    tag="Files",
    summary="Upload a file, its parent directories made where they are missing",
    success=204,
    body=OCTETS,
    parameters=(*_PLACE, parameters.FILE, parameters.REPEAT_KEY),
    problems=(400, 408, 507, *IN_SANDBOX),
)
REMOVE = Operation(
    id="removeFile",
    method="DELETE",
    path=_FILES,
    tag="Files",
    summary="Remove a file, a link or a directory",
    success=204,
    parameters=(*_PLACE, parameters.ENTRY, parameters.RECURSIVE),
    problems=(400, 507, *IN_SANDBOX),
)
LIST_ENTRIES = Operation(
    id="listEntries",
    method="GET",
    path=f"{_FILES}/entries",
    tag="Files",
    summary="List a directory",
    answer=EntryList,
    parameters=(*_PLACE, parameters.DIRECTORY, parameters.ENTRIES, parameters.ENTRIES_CURSOR),
    problems=(400, *IN_SANDBOX),
)
STAT = Operation(
    id="statFile",
    method="GET",
    path=f"{_FILES}/stat",
    tag="Files",
    summary="Show what a path is; of a link, the link itself",
    answer=Entry,
    parameters=(*_PLACE, parameters.ENTRY),
    problems=(400, *IN_SANDBOX),
)
MAKE_DIRECTORY = Operation(
    id="makeDirectory",
    method="POST",
    path=f"{_FILES}/directories",
    tag="Files",
    summary="Make a directory and its parents; 204 where it is there already",
    success=201,
    also=(204,),
    answer=MadeDirectory,
    parameters=(*_PLACE, parameters.DIRECTORY, parameters.REPEAT_KEY),
    problems=(400, 507, *IN_SANDBOX),
)
MOVE = Operation(
    id="moveFile",
    method="POST",
    path=f"{_FILES}/move",
    tag="Files",
    summary="Move a file, a link or a directory within its file system",
    success=204,
    parameters=(
        *_PLACE,
        parameters.FROM,
        parameters.TO,
        parameters.OVERWRITE,
        parameters.REPEAT_KEY,
    ),
    problems=(400, *IN_SANDBOX),
)
WATCH = Operation(
    id="watchFiles",
    method="GET",
    path=f"{_FILES}/watch",
    tag="Files",
    summary="Tell what changes at a path, or below it",
    description="Events `ready`, then `created`, `modified`, `removed`, `renamed` (with `from`),"
    " each with `path` and `type` in its data. `overflow`: changes were lost, list again. The"
    " stream ends when what is watched is gone.",
    answer=(EVENTS,),
    parameters=(*_PLACE, parameters.ENTRY, parameters.WATCH_BELOW),
    problems=(400, *IN_SANDBOX),
)

FILES: tuple[Operation, ...] = (
    READ_FILE,
    WRITE_FILE,
    REMOVE,
    LIST_ENTRIES,
    STAT,
    MAKE_DIRECTORY,
    MOVE,
    WATCH,
)
