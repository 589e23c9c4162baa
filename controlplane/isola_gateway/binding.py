"""From an HTTP request to checked values, by the operation's row of the contract.

| wrong | answered |
|---|---|
| an id, a query parameter, a header, a field | 422, one violation for each |
| a query parameter that is none, perhaps a misspelt one | the same |
| no body, or one that is not JSON | 400 |
| another content type than JSON | 415 |
| a JSON body of 1 MiB or more | 413 |
| a JSON body that is not there within 5 s | 408 |
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from quart import Blueprint, Response, request

from isola_gateway.connection import GatewayRequest
from isola_gateway.operation import Operation, Parameter
from isola_rest.problem import ProblemError, Violation

BODY_BYTES = 1024 * 1024
BODY_SECONDS = 5
# How long an upload may stand still.
CHUNK_SECONDS = 10

# A mistake is told with what was found there, where that is short: never a whole body.
_SHOWN_LENGTH = 256
_SHOWN_VIOLATIONS = 64

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Given:
    """What a request gives to its view.

    Attributes:
        request: The request itself.
        values: Parameters that were given, by name, checked.
    """

    request: GatewayRequest
    values: Mapping[str, Any]

    def __getitem__(self, name: str) -> str:
        return str(self.values[name])

    def get(self, name: str) -> str:
        """Return the text of a parameter, empty where it was not given."""
        return str(self.values.get(name, ""))

    async def json(self, model: type[M]) -> M:
        """Return the body as a `model`."""
        media = self.request.mimetype
        if media and media != "application/json":
            raise ProblemError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"The body must be application/json, not {media}"
            )
        content = await _content(self.request)
        if not content:
            raise ProblemError(HTTPStatus.BAD_REQUEST, "The request needs a JSON body")
        try:
            return model.model_validate_json(content)
        except ValidationError as error:
            raise _refusal(error) from error

    async def octets(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives.

        Raises:
            ProblemError: The client has sent nothing for `CHUNK_SECONDS`.
        """
        parts = aiter(self.request.body)
        while True:
            try:
                async with asyncio.timeout(CHUNK_SECONDS):
                    part = await anext(parts)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                message = f"Nothing of the body arrived for {CHUNK_SECONDS} s"
                raise ProblemError(HTTPStatus.REQUEST_TIMEOUT, message) from error
            yield part


View = Callable[[Given], Awaitable[Response]]


def mount(blueprint: Blueprint, views: Iterable[tuple[Operation, View]]) -> Blueprint:
    """Return `blueprint` with each view at its operation's place."""
    for operation, view in views:
        rule = operation.path.replace("{", "<").replace("}", ">")
        blueprint.add_url_rule(
            rule, operation.id, bound(operation, view), methods=[operation.method]
        )
    return blueprint


def bound(operation: Operation, view: View) -> Callable[..., Awaitable[Response]]:
    """Return `view` as Quart calls it: with the path's parameters, as text, unchecked."""

    async def answer(**path: str) -> Response:
        current: Any = request
        this: GatewayRequest = current._get_current_object()  # noqa: SLF001 - werkzeug's way
        texts = {
            "query": _query(this.query_string),
            "path": path,
            "header": _headers(operation, this),
        }
        return await view(Given(this, _checked(operation, texts)))

    return answer


def _query(encoded: bytes) -> dict[str, str]:
    # Not werkzeug's `args`: a path is bytes, and there those that are no UTF-8 cannot be told from
    # text that happens to look like their encoding. Of a name that comes twice the first one holds.
    pairs = parse_qsl(
        encoded.decode("ascii", "surrogateescape"), keep_blank_values=True, errors="surrogateescape"
    )
    return dict(reversed(pairs))


def _headers(operation: Operation, this: GatewayRequest) -> dict[str, str]:
    # A header that comes twice means what one with both values means (RFC 9110, 5.3).
    names = [p.name for p in operation.parameters if p.where == "header"]
    return {name: ", ".join(this.headers.getlist(name)) for name in names if name in this.headers}


def _checked(operation: Operation, texts: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    violations = _unknown(operation, texts["query"])
    for parameter in operation.parameters:
        text = texts[parameter.where].get(parameter.name)
        try:
            if text is not None:
                values[parameter.name] = parameter.adapter.validate_python(text)
            elif parameter.required:
                violations.append(Violation(location=_place(parameter), message="is required"))
        except ValidationError as error:
            violations += [_violation(found, _place(parameter)) for found in error.errors()]
    if violations:
        raise _unprocessable(violations)
    return values


def _unknown(operation: Operation, query: Mapping[str, str]) -> list[Violation]:
    known = [p.name for p in operation.parameters if p.where == "query"]
    message = f"unknown; known: {', '.join(known) or 'none'}"
    return [
        Violation(location=f"query.{_printable(name)[:_SHOWN_LENGTH]}", message=message)
        for name in query
        if name not in known
    ]


def _printable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()  # it may be no text at all


def _place(parameter: Parameter) -> str:
    return f"{parameter.where}.{parameter.name}"


async def _content(this: GatewayRequest) -> bytes:
    content = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in this.body:
                content += part
                if len(content) >= BODY_BYTES:
                    raise ProblemError(
                        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                        f"A JSON body must be smaller than {BODY_BYTES} bytes",
                    )
    except TimeoutError as error:
        message = f"The body did not arrive within {BODY_SECONDS} s"
        raise ProblemError(HTTPStatus.REQUEST_TIMEOUT, message) from error
    return bytes(content)


def _refusal(error: ValidationError) -> ProblemError:
    found = error.errors(include_url=False, include_context=False)
    if found[0]["type"] == "json_invalid":
        return ProblemError(HTTPStatus.BAD_REQUEST, f"The body is not JSON: {found[0]['msg']}")
    return _unprocessable([_violation(item, "body") for item in found])


def _unprocessable(violations: list[Violation]) -> ProblemError:
    first = violations[0]
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"{first.location}: {first.message}{more}",
        violations=tuple(violations[:_SHOWN_VIOLATIONS]),
    )


def _violation(found: ErrorDetails, root: str) -> Violation:
    place = root
    for step in found["loc"]:
        place += f"[{step}]" if isinstance(step, int) else f".{step}"
    value = found["input"]
    shown = value is None or (isinstance(value, bool | int | float | str) and _is_short(value))
    if shown and isinstance(value, str):
        value = _printable(value)
    return Violation(location=place, message=found["msg"], value=value if shown else None)


def _is_short(value: float | str) -> bool:
    return len(str(value)) <= _SHOWN_LENGTH
