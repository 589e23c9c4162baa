"""What an answer that is none of the hoped-for says."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, cast

from isola_sdk.errors import (
    APIError,
    BadGatewayError,
    BadRequestError,
    ConflictError,
    GoneError,
    InternalError,
    NotFoundError,
    RateLimitError,
    UnavailableError,
    ValidationError,
    Violation,
)
from isola_sdk.protocol.messages import REQUEST_ID, Answer, Request

_KINDS: dict[int, type[APIError]] = {
    400: BadRequestError,
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
    422: ValidationError,
    429: RateLimitError,
    500: InternalError,
    502: BadGatewayError,
    503: UnavailableError,
}


def error_of(answer: Answer, request: Request) -> APIError:
    """Return the error that `answer` to `request` is."""
    problem = _object(answer.content)
    detail = problem.get("detail")
    if not isinstance(detail, str) or not detail:
        detail = _phrase(answer.status)
    kind = _KINDS.get(answer.status, APIError)
    return kind(
        status_code=answer.status,
        message=f"{request.name}: {detail}",
        request_id=id_of(answer, request),
        violations=_violations(problem.get("errors")),
        retry_after=answer.retry_after,
    )


def nonsense(answer: Answer, request: Request, why: str) -> APIError:
    """Return the error of an answer that claims success and cannot be read."""
    return APIError(
        status_code=answer.status,
        message=f"{request.name}: the answer cannot be read: {why}",
        request_id=id_of(answer, request),
    )


def id_of(answer: Answer, request: Request) -> str | None:
    """Return the id under which the gateway knows the request."""
    return answer.headers.get(REQUEST_ID.lower()) or request.request_id


def _violations(items: object) -> tuple[Violation, ...]:
    if not isinstance(items, list):
        return ()
    found = [cast("dict[str, Any]", each) for each in cast("list[Any]", items) if _is_object(each)]
    return tuple(
        Violation(str(each.get("location", "")), str(each.get("message", ""))) for each in found
    )


def _object(content: bytes) -> dict[str, Any]:
    try:
        found: Any = json.loads(content)
    except ValueError:
        return {}
    return found if _is_object(found) else {}


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"HTTP {status}"
