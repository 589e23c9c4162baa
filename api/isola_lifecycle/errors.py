"""Errors, named by what the caller must do.

    LifecycleError
    ├── ExpectedVersionError   somebody else appended first: read, fold and decide again at once
    ├── NotFoundError          the object is not there (any more): there is nothing to do
    ├── AlreadyExistsError     the name is taken: read what is there, or choose another name
    ├── RejectedError          the API server refused it for good: record it, never retry
    └── TransientError         the world is in the way: back off and try again

Expected outcomes are values; these are raised only where a caller cannot go on. Errors of the
Kubernetes client are translated to them in one place, `isola_store.client`.
"""

from __future__ import annotations


class LifecycleError(Exception):
    """Something that the caller of the log or of the world has to act on."""


class ExpectedVersionError(LifecycleError):
    """The log has moved on from the version that an append expected."""


class NotFoundError(LifecycleError):
    """The object does not exist."""


class AlreadyExistsError(LifecycleError):
    """An object of that name exists."""


class RejectedError(LifecycleError):
    """The API server refused the request, and would refuse it again.

    Attributes:
        code: HTTP status of the refusal.
        causes: Pairs of field path (may be empty) and what is wrong there.
    """

    def __init__(
        self, message: str, *, code: int, causes: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(message)
        self.code = code
        self.causes = causes


class TransientError(LifecycleError):
    """The request may succeed later.

    Attributes:
        code: HTTP status, or None when no answer came at all.
        retry_after_seconds: What the server asked for, or None.
    """

    def __init__(
        self, message: str, *, code: int | None = None, retry_after_seconds: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_seconds = retry_after_seconds
