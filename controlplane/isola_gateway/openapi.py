"""OpenAPI 3.1 documents, from a contract's rows and the models' JSON schemas.

quart-schema was looked at first. It describes views by what their decorators validate, JSON in
and out; streams, raw bodies, headers that others check, and one shape for all problems would each
have been written by hand around it. These lines are fewer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from isola_gateway import contract, contract_sidecar
from isola_gateway.links import links
from isola_gateway.operation import OCTETS, Operation, Parameter
from isola_rest.problem import MEDIA_TYPE, Problem

# Of the API, not of the code behind it.
VERSION = "0.7.0"

_REF = "#/components/schemas/{model}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """What a document is about.

    Attributes:
        title: Its name.
        description: For people, a sentence or two.
        operations: All there is.
        headers: Of every answer: name and description.
    """

    title: str
    description: str
    operations: tuple[Operation, ...]
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


GATEWAY = Api(
    title="Isola Sandbox API",
    description="Sandboxes for AI agents: create them, run commands, move files.",
    operations=contract.OPERATIONS,
    headers={
        "X-Request-Id": "The client's own id for the request, where it is well-formed, or a new one"
    },
)
SIDECAR = Api(
    title="Isola sidecar",
    description="What the gateway asks of a sandbox, from within its pod. Not for clients: who"
    " reaches it needs no permission, and what it answers is as trustworthy as the sandbox.",
    operations=contract_sidecar.OPERATIONS,
)


def document(api: Api = GATEWAY) -> dict[str, Any]:
    """Return the whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in api.operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(api, operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": api.title,
            "version": VERSION,
            "description": api.description,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": _schemas(api.operations),
            "headers": _headers(api.headers),
            "responses": {"Problem": _problem(api)},
        },
    }


def _schemas(operations: tuple[Operation, ...]) -> dict[str, Any]:
    bodies = {o.body for o in operations if isinstance(o.body, type)}
    answers = {o.answer for o in operations if isinstance(o.answer, type)} | {Problem}
    modes: list[tuple[type[BaseModel], Any]] = [(m, "validation") for m in bodies]
    modes += [(m, "serialization") for m in answers]
    _, schemas = models_json_schema(
        sorted(modes, key=lambda m: m[0].__name__),
        by_alias=True,
        ref_template=_REF,
        schema_generator=_Untitled,
    )
    return schemas["$defs"]


class _Untitled(GenerateJsonSchema):
    """Without titles of fields: `Timeoutseconds` says less than the name itself."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Return whether a title is made up from a field's name: never."""
        return not schema


def _described(api: Api, operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": _responses(api, operation),
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


def _responses(api: Api, operation: Operation) -> dict[str, Any]:
    success: dict[str, Any] = {"headers": _common(api) | _headers(operation.headers)}
    if operation.answer:
        success["content"] = _content(operation.answer)
        if operation.stream:
            success["content"] |= _content(operation.stream)
    if following := links(operation, api.operations):
        success["links"] = following
    responses: dict[str, Any] = {}
    for code in (operation.success, *operation.also):
        empty = code == HTTPStatus.NO_CONTENT
        told = {key: value for key, value in success.items() if not (empty and key == "content")}
        responses[str(code)] = {"description": HTTPStatus(code).phrase, **told}
    problems = sorted({*operation.problems, HTTPStatus.INTERNAL_SERVER_ERROR})
    reference = {"$ref": "#/components/responses/Problem"}
    return responses | {str(int(code)): reference for code in problems}


def _common(api: Api) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in api.headers}


def _headers(told: Mapping[str, str]) -> dict[str, Any]:
    return {
        name: {"description": text, "schema": {"type": "string"}} for name, text in told.items()
    }


def _content(what: type[BaseModel] | str | tuple[str, ...]) -> dict[str, Any]:
    if isinstance(what, str):
        return {what: {"schema": {}}}
    if isinstance(what, tuple):
        return {media_type: {"schema": {}} for media_type in what}
    return {"application/json": {"schema": {"$ref": _REF.format(model=what.__name__)}}}


def _problem(api: Api) -> dict[str, Any]:
    return {
        "description": "What went wrong, and what to do about it.",
        "headers": _common(api),
        "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model=Problem.__name__)}}},
    }
