"""The OpenAPI 3.1 document, from the contract's rows and the models' JSON schemas.

quart-schema was looked at first. It describes views by what their decorators validate, JSON in
and out; streams, raw bodies, headers that others check, and one shape for all problems would each
have been written by hand around it. These lines are fewer.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from isola_gateway.contract import OPERATIONS
from isola_gateway.operation import OCTETS, Operation, Parameter
from isola_rest.problem import MEDIA_TYPE, Problem

TITLE = "Isola Sandbox API"
# Of the API, not of the code behind it.
VERSION = "0.7.0"

_REF = "#/components/schemas/{model}"
_REQUEST_ID = {
    "description": "The client's own id for the request, where it is well-formed, or a new one.",
    "schema": {"type": "string"},
}


def document() -> dict[str, Any]:
    """Return the whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "version": VERSION,
            "description": "Sandboxes for AI agents: create them, run commands, move files.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "headers": {"RequestId": _REQUEST_ID},
            "responses": {"Problem": _problem()},
        },
    }


def _schemas() -> dict[str, Any]:
    bodies = {o.body for o in OPERATIONS if isinstance(o.body, type)}
    answers = {o.answer for o in OPERATIONS if isinstance(o.answer, type)} | {Problem}
    modes: list[tuple[type[BaseModel], Any]] = [(m, "validation") for m in bodies]
    modes += [(m, "serialization") for m in answers]
    _, schemas = models_json_schema(
        sorted(modes, key=lambda m: m[0].__name__), by_alias=True, ref_template=_REF
    )
    return schemas["$defs"]


def _described(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": _responses(operation),
    }
    if operation.description:
        described["description"] = operation.description
    if operation.parameters:
        described["parameters"] = [_parameter(p) for p in operation.parameters]
    if operation.body:
        # An empty upload is an empty file; JSON has no such thing.
        raw = operation.body == OCTETS
        described["requestBody"] = {"required": not raw, "content": _content(operation.body)}
    return described


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.required,
        "description": parameter.description,
        "schema": parameter.adapter.json_schema(),
    }


def _responses(operation: Operation) -> dict[str, Any]:
    headers: dict[str, Any] = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
    for name, description in operation.headers.items():
        headers[name] = {"description": description, "schema": {"type": "string"}}
    success: dict[str, Any] = {
        "description": HTTPStatus(operation.success).phrase,
        "headers": headers,
    }
    if operation.answer:
        success["content"] = _content(operation.answer)
        if operation.stream:
            success["content"] |= _content(operation.stream)
    successes = {str(operation.success): success}
    for code in operation.also:
        empty = code == HTTPStatus.NO_CONTENT
        told = {key: value for key, value in success.items() if not (empty and key == "content")}
        successes[str(code)] = told | {"description": HTTPStatus(code).phrase}
    problems = sorted({*operation.problems, HTTPStatus.INTERNAL_SERVER_ERROR})
    reference = {"$ref": "#/components/responses/Problem"}
    return successes | {str(int(code)): reference for code in problems}


def _content(what: type[BaseModel] | str | tuple[str, ...]) -> dict[str, Any]:
    if isinstance(what, str):
        return {what: {"schema": {}}}
    if isinstance(what, tuple):
        return {media_type: {"schema": {}} for media_type in what}
    return {"application/json": {"schema": {"$ref": _REF.format(model=what.__name__)}}}


def _problem() -> dict[str, Any]:
    return {
        "description": "What went wrong, and what to do about it.",
        "headers": {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}},
        "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model=Problem.__name__)}}},
    }
