"""What can be done with an answer: OpenAPI's links, which follow from the paths.

| answered | leads to | with |
|---|---|---|
| `id`, by a POST on a collection | all below that collection | that id, and the ids above it |
| `nextCursor` | the same list | that cursor |
| by a POST on a `path` | all else that is asked of a path in that sandbox | that path |

So a client, or a test that walks through the API, needs no list of what goes with what.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from isola_gateway.operation import Operation


def links(operation: Operation, operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the links of a success of `operation`: by the name of what they lead to."""
    found: dict[str, Any] = {}
    for other in operations:
        if given := _given(operation, other):
            found[other.id] = {"operationId": other.id, "parameters": given}
    return found


def _given(operation: Operation, other: Operation) -> Mapping[str, str]:
    if operation.method == "POST" and "id" in _fields(operation):
        return _below(operation, other)
    if operation is other and "next_cursor" in _fields(operation):
        same = {name: f"$request.path.{name}" for name in _names(operation, "path")}
        if "path" in _names(operation, "query"):
            same["path"] = "$request.query.path"
        return same | {"cursor": "$response.body#/nextCursor"}
    if operation.method == "POST" and "path" in _names(operation, "query"):
        return _same_path(operation, other)
    return {}


def _below(operation: Operation, other: Operation) -> Mapping[str, str]:
    above, theirs = _names(operation, "path"), _names(other, "path")
    collection = f"{operation.path}/{{"
    if not other.path.startswith(collection) or len(theirs) != len(above) + 1:
        return {}
    given = {name: f"$request.path.{name}" for name in above}
    return given | {theirs[-1]: "$response.body#/id"}


def _same_path(operation: Operation, other: Operation) -> Mapping[str, str]:
    same_place = _names(operation, "path") == _names(other, "path")
    if operation is other or not same_place or "path" not in _names(other, "query"):
        return {}
    given = {name: f"$request.path.{name}" for name in _names(operation, "path")}
    return given | {"path": "$request.query.path"}


def _names(operation: Operation, where: str) -> list[str]:
    return [p.name for p in operation.parameters if p.where == where]


def _fields(operation: Operation) -> Iterable[str]:
    return operation.answer.model_fields if isinstance(operation.answer, type) else ()
