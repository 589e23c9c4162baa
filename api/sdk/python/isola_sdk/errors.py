"""What can go wrong, by what the caller can do about it.

IsolaError
├── APIError                the gateway answered, and not as hoped; by status:
│   ├── BadRequestError     400
│   ├── NotFoundError       404
│   ├── ConflictError       409  it is not in the state for that
│   ├── GoneError           410  output that is no longer kept
│   ├── ValidationError     422  `violations` says where
│   ├── RateLimitError      429  after all attempts
│   ├── InternalError       500
│   ├── BadGatewayError     502  after all attempts
│   └── UnavailableError    503  likewise
├── APIConnectionError      nobody answered, after all attempts; also a ConnectionError
│   └── StreamLostError     in the middle of a stream: `offset` says how far it came
├── IsolaTimeoutError       a wait or a deadline is over
├── SandboxFailedError      it will never run: `reason` and `explanation` say why
├── SnapshotFailedError     likewise
└── TamperedHistoryError    a history is not what its writers wrote
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class IsolaError(Exception):
    """Whatever this client raises, but for wrong arguments.

    Attributes:
        message: What went wrong, for people.
        request_id: Of the request that it came of: the gateway's log and the sandbox's history
            name it. None where there was none.
    """

    def __init__(self, message: str, *, request_id: str | None = None) -> None:
        self.message = message
        self.request_id = request_id
        super().__init__(f"{message} [request {request_id}]" if request_id else message)


@dataclass(frozen=True)
class Violation:
    """One thing that is wrong with a request.

    Attributes:
        location: Where: `body.podTemplate.containers[0].image`, `query.waitSeconds`.
        message: What is wrong there.
    """

    location: str
    message: str


class APIError(IsolaError):
    """The gateway answered with an error, or with what is no answer.

    Attributes:
        status_code: HTTP status.
        detail: What the gateway says.
        violations: What is wrong with the request, one by one, where it says so.
        retry_after: Seconds after which it is worth another try, where the gateway says so.
    """

    def __init__(
        self,
        *,
        status_code: int,
        message: str,
        request_id: str | None = None,
        violations: Sequence[Violation] = (),
        retry_after: float | None = None,
    ) -> None:
        self.status_code = status_code
        self.retry_after = retry_after
        self.detail = message
        self.violations: tuple[Violation, ...] = tuple(violations)
        super().__init__(f"{status_code}: {message}", request_id=request_id)


class BadRequestError(APIError):
    """The request asks for what cannot be done."""


class NotFoundError(APIError):
    """There is no such thing, or not any more."""


class ConflictError(APIError):
    """It is not in the state for that."""


class GoneError(APIError):
    """The output is no longer kept."""


class ValidationError(APIError):
    """The request is malformed: `violations` says where."""


class RateLimitError(APIError):
    """There was too much at once, and still is after all attempts."""


class InternalError(APIError):
    """The gateway failed."""


class BadGatewayError(APIError):
    """The gateway cannot reach the sandbox, or does not understand it."""


class UnavailableError(APIError):
    """The gateway cannot serve at the moment."""


class APIConnectionError(IsolaError, ConnectionError):
    """The gateway could not be reached, or did not answer, in as many attempts as there are.

    Attributes:
        may_have_arrived: Whether what was asked for may have been done all the same.
    """

    def __init__(
        self, message: str, *, request_id: str | None = None, may_have_arrived: bool = True
    ) -> None:
        self.may_have_arrived = may_have_arrived
        super().__init__(message, request_id=request_id)


class StreamLostError(APIConnectionError):
    """A stream broke off and could not be resumed: what came so far is right, and not all.

    Attributes:
        offset: How many bytes, or entries, were delivered. A stream from there goes on.
    """

    def __init__(self, message: str, *, offset: int, request_id: str | None = None) -> None:
        self.offset = offset
        super().__init__(message, request_id=request_id)


class IsolaTimeoutError(IsolaError):
    """A wait or a deadline is over. What was waited for may still come."""


class SandboxFailedError(IsolaError):
    """The sandbox ended, or is being removed, before it ran.

    Attributes:
        sandbox_id: Which.
        status: Its status.
        reason: Why, in one word, such as `ImagePullFailed`.
        explanation: Why, for people.
    """

    def __init__(
        self,
        *,
        sandbox_id: str,
        status: str,
        reason: str | None,
        explanation: str | None,
        request_id: str | None = None,
    ) -> None:
        self.sandbox_id = sandbox_id
        self.status = status
        self.reason = reason
        self.explanation = explanation
        what = f"sandbox {sandbox_id} does not run: it is {status}"
        super().__init__(_because(what, reason, explanation), request_id=request_id)


class SnapshotFailedError(IsolaError):
    """There is no snapshot.

    Attributes:
        snapshot_id: Which.
        reason: Why, in one word, such as `NameTaken`.
        explanation: Why, for people.
    """

    def __init__(
        self,
        *,
        snapshot_id: str,
        reason: str | None,
        explanation: str | None,
        request_id: str | None = None,
    ) -> None:
        self.snapshot_id = snapshot_id
        self.reason = reason
        self.explanation = explanation
        what = f"snapshot {snapshot_id} failed"
        super().__init__(_because(what, reason, explanation), request_id=request_id)


class TamperedHistoryError(IsolaError):
    """An entry of a history does not follow from those before it.

    Attributes:
        sequence: Its number; the change is there, or just before.
    """

    def __init__(self, message: str, *, sequence: int) -> None:
        self.sequence = sequence
        super().__init__(message)


def _because(what: str, reason: str | None, explanation: str | None) -> str:
    return f"{what}, {reason}: {explanation}" if reason and explanation else what
