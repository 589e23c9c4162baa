"""The one border where an error becomes an answer.

| raised | answered |
|---|---|
| `ProblemError` | as it says |
| `AlreadyExistsError` | 409 |
| `NotFoundError` | 404 |
| `RejectedError` | the API server's code, and where it found fault |
| `TransientError` with a code | that code, with `Retry-After` where the API server asks for it |
| `ExpectedVersionError` | 503: writers crowd one log, and a second try is welcome |
| `SidecarError` | 502 |
| an error of routing | its own code |
| anything else | 500 with no detail; the log has it |
"""

from __future__ import annotations

from http import HTTPStatus

import structlog
from quart import Response
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from isola_gateway.ports import SidecarError
from isola_lifecycle.errors import (
    AlreadyExistsError,
    ExpectedVersionError,
    NotFoundError,
    RejectedError,
    TransientError,
)
from isola_rest.problem import MEDIA_TYPE, ProblemError, Violation, problem

# What a request calls otherwise, or has elsewhere, than the resource.
_OTHER_FIELDS = {
    "rootfsSnapshotSources": "podTemplate.containers",
    "sandboxName": "sandboxId",
}

_SIDECAR = "The sandbox did not answer; whether it saw the request is not known"
_INTERNAL = "The gateway failed to answer; its log tells why, under this request's id"


def problem_response(error: Exception) -> Response:
    """Return the answer that `error` amounts to."""
    told = _translated(error)
    if told is None:
        structlog.get_logger().error("request_failed", exc_info=error)
        told = ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, _INTERNAL)
    body = problem(told.status, told.detail, told.violations)
    return Response(
        body.model_dump_json(exclude_none=True),
        status=int(told.status),
        content_type=MEDIA_TYPE,
        headers=told.headers,
    )


def _translated(error: Exception) -> ProblemError | None:
    match error:
        case ProblemError():
            return error
        case AlreadyExistsError():
            return ProblemError(HTTPStatus.CONFLICT, str(error))
        case NotFoundError():
            return ProblemError(HTTPStatus.NOT_FOUND, str(error))
        case ExpectedVersionError():
            return _crowded()
        case SidecarError():
            structlog.get_logger().warning("sidecar_failed", error=str(error))
            return ProblemError(HTTPStatus.BAD_GATEWAY, _SIDECAR)
        case RejectedError() | TransientError():
            return _of_kubernetes(error)
        case HTTPException():
            return _of_routing(error)
        case _:
            return None


def _crowded() -> ProblemError:
    return ProblemError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Others write that log faster than this request could; try again",
        headers={"Retry-After": "1"},
    )


def _of_kubernetes(error: RejectedError | TransientError) -> ProblemError | None:
    status = _status(error.code)
    if status is None:
        return None
    if isinstance(error, RejectedError):
        violations = tuple(
            Violation(location=_location(field), message=text) for field, text in error.causes
        )
        return ProblemError(status, str(error), violations=violations)
    delay = error.retry_after_seconds
    headers = {} if delay is None else {"Retry-After": str(delay)}
    return ProblemError(status, str(error), headers=headers)


def _location(field: str) -> str:
    # `spec.network.nameservers` of the resource is `body.network.nameservers` of the request.
    path = field.removeprefix("spec").removeprefix(".")
    for ours, theirs in _OTHER_FIELDS.items():
        if path.partition("[")[0] == ours:
            path = theirs
    return ".".join(filter(None, ("body", path)))


def _of_routing(error: HTTPException) -> ProblemError | None:
    status = _status(error.code)
    if status is None:
        return None
    headers: dict[str, str] = {}
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
    return ProblemError(status, error.description or "", headers=headers)


def _status(code: int | None) -> HTTPStatus | None:
    try:
        return HTTPStatus(code or 0)
    except ValueError:
        return None
