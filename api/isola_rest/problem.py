"""Problem details (RFC 9457): the one shape of every error."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, Field

MEDIA_TYPE = "application/problem+json"


class Violation(BaseModel):
    """One thing that is wrong with a request."""

    location: str = Field(description="Where: `body.podTemplate.containers[0].image`, `path.id`.")
    message: str = Field(description="What is wrong there.")
    value: Any = Field(default=None, description="What was found there, if it is short.")


class Problem(BaseModel):
    """An error, as `application/problem+json`."""

    type: str = Field(default="about:blank", json_schema_extra={"format": "uri-reference"})
    title: str = Field(description="The name of the status code.")
    status: int = Field(description="The status code.", ge=400, le=599)
    detail: str = Field(description="What went wrong, for people, and what they can do.")
    errors: list[Violation] | None = Field(default=None, description="One item per violation.")


class ProblemError(Exception):
    """An error that is answered with a problem.

    Attributes:
        status: The status code.
        detail: What went wrong, for people.
        violations: Where, if it is known.
        headers: Further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        violations: tuple[Violation, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.violations = violations
        self.headers = dict(headers or {})


def unprocessable(location: str, message: str) -> ProblemError:
    """Return the error about one place of a request that breaks a rule: 422."""
    return ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"{location}: {message}",
        violations=(Violation(location=location, message=message),),
    )


def problem(status: int, detail: str, violations: tuple[Violation, ...] = ()) -> Problem:
    """Return the problem that says `detail`."""
    title = titled(status)
    return Problem(
        title=title, status=status, detail=detail or title, errors=list(violations) or None
    )


def titled(status: int) -> str:
    """Return the name of a status code, known or not."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"HTTP {status}"
