"""Problem details (RFC 9457): every error of the sidecar, in the contract's shape.

The gateway relays `detail` of a 4xx or 507 to the user, and hides other 5xx. So a message says
what was wrong, where, and what to do about it.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

_TITLES: Final = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    410: "Gone",
    413: "Content Too Large",
    416: "Range Not Satisfiable",
    422: "Unprocessable Entity",
    426: "Upgrade Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    507: "Insufficient Storage",
}
"""RFC 9110 names of the codes used here. `http.HTTPStatus` would cost its import at start."""


# The gateway reads 4096 bytes of a problem: what a client sent is echoed only in part.
_DETAIL_LENGTH: Final = 1024
_VALUE_LENGTH: Final = 128
_VIOLATIONS: Final = 6


@dataclass(frozen=True, slots=True)
class Violation:
    """One offending place of a request: `body.args[0]`, `query.container`, `path.id`."""

    location: str
    message: str
    value: Any = None


class ProblemError(Exception):
    """What a client did wrong, or what keeps its request from being served.

    Raised anywhere below a route; the server renders it. `closes` ends the connection, for
    errors after which the rest of the request cannot be told from the next one.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        violations: tuple[Violation, ...] = (),
        headers: tuple[tuple[str, str], ...] = (),
        closes: bool = False,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.violations = violations
        self.headers = headers
        self.closes = closes

    @property
    def all_headers(self) -> tuple[tuple[str, str], ...]:
        """What the answer's head says, the kind of its body included."""
        return (("Content-Type", "application/problem+json"), *self.headers)

    def render(self) -> bytes:
        """Return the body: `{"type","title","status","detail","errors":[…]}`."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": _TITLES.get(self.status, "Error"),
            "status": self.status,
            "detail": _shortened(self.detail, _DETAIL_LENGTH),
        }
        if self.violations:
            document["errors"] = [
                {
                    "location": _shortened(each.location, _VALUE_LENGTH),
                    "message": each.message,
                    "value": _shortened(each.value, _VALUE_LENGTH),
                }
                for each in self.violations[:_VIOLATIONS]
            ]
        return json.dumps(document).encode()


def _shortened(value: Any, length: int) -> Any:
    """Return a value whose JSON is about `length` bytes at most, as a cut string if need be."""
    text = json.dumps(value)
    if len(text) <= length:
        return value
    return (value if isinstance(value, str) else text)[: length // 6] + "…"


def invalid(location: str, message: str, value: Any = None) -> ProblemError:
    """Return the 422 for one offending place."""
    return refused((Violation(location, message, value),))


def refused(violations: tuple[Violation, ...]) -> ProblemError:
    """Return the 422 that names every violation, the first one in its detail too."""
    first = violations[0]
    detail = f"{first.location}: {first.message}"
    if len(violations) > 1:
        detail += f" (and {len(violations) - 1} more, see errors)"
    return ProblemError(422, detail, violations=violations)
