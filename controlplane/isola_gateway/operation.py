"""What an operation of the REST API is made of; `contract` lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter

OCTETS = "application/octet-stream"
EVENTS = "text/event-stream"
TEXT = "text/plain"
JSON = "application/json"

# Of answers.
REPLAYED = "Idempotent-Replayed"

# Problems of each request that a sandbox's sidecar answers.
IN_SANDBOX = (404, 409, 422, 429, 502, 503)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """Something a request says outside its body.

    Attributes:
        name: As on the wire.
        where: In which part of the request.
        adapter: What it may be.
        description: For people.
        required: Whether it must be there.
    """

    name: str
    where: Literal["path", "query", "header"]
    adapter: TypeAdapter[Any]
    description: str
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A method on a path.

    Attributes:
        id: Unique, camelCase: the name of a generated client's method.
        method: HTTP method.
        path: Template, its parameters in braces.
        tag: The chapter it belongs to.
        summary: For people, one line.
        description: What they must know beyond that.
        success: Status when all is well.
        also: Other statuses when all is well: a part of the answer, or nothing to be told.
        answer: A model for JSON, else media types to choose from; None for an empty answer.
        stream: The media type that an answer in JSON may have instead, on request.
        body: A model for JSON, else a media type; None for none.
        parameters: Outside the body.
        problems: Statuses of problems beside 500.
        headers: Of a success, beside the request's id: name and description.
    """

    id: str
    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    tag: str
    summary: str
    description: str = ""
    success: int = 200
    also: tuple[int, ...] = ()
    answer: type[BaseModel] | tuple[str, ...] | None = None
    stream: str = ""
    body: type[BaseModel] | str | None = None
    parameters: tuple[Parameter, ...] = ()
    problems: tuple[int, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
