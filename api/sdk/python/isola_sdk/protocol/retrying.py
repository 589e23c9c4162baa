"""When to try again: a function of what failed, how often, and what the clock says."""

from __future__ import annotations

from dataclasses import dataclass

from isola_sdk.errors import APIConnectionError, APIError, IsolaError, IsolaTimeoutError

PASSING = frozenset({408, 429, 502, 503, 504})
"""Statuses that say nothing of the request itself."""

REFUSED = frozenset({429, 503})
"""Those of them with which nothing was begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying:
    """How often and how fast to try again.

    Attributes:
        attempts: In a row, without any progress in between; 1 is no second one.
        first_seconds: The pause after the first failure; it doubles with each.
        longest_seconds: The longest pause of our own accord.
    """

    attempts: int = 6
    first_seconds: float = 0.25
    longest_seconds: float = 8.0

    def pause(self, failures: int, *, luck: float, asked: float | None = None) -> float | None:
        """Return the seconds to wait after so many failures, or None to give up.

        Args:
            failures: In a row, at least 1.
            luck: Random, from 0 to 1: half of the pause goes by it, so that clients that failed
                together do not come back together.
            asked: What the server asks for (`Retry-After`); less is never waited.
        """
        if failures >= self.attempts:
            return None
        full = min(self.longest_seconds, self.first_seconds * 2.0 ** (failures - 1))
        return max(full * (0.5 + 0.5 * luck), asked or 0.0)


class Attempts:
    """The attempts at one call, or at one stream: how many failed since the last progress."""

    def __init__(self, retrying: Retrying, *, ends_at: float | None = None) -> None:
        """Begin.

        Args:
            retrying: How often and how fast.
            ends_at: The deadline, on the clock of `now`.
        """
        self._retrying = retrying
        self._failures = 0
        self._ends_at = ends_at

    @property
    def failures(self) -> int:
        """How many failed since the last progress."""
        return self._failures

    def progressed(self) -> None:
        """Forget the failures: something was gained."""
        self._failures = 0

    def left(self, now: float, what: str, request_id: str | None = None) -> float | None:
        """Return the seconds to the deadline, None if there is none.

        Raises:
            IsolaTimeoutError: It is over.
        """
        if self._ends_at is None:
            return None
        left = self._ends_at - now
        if left <= 0:
            raise IsolaTimeoutError(f"{what}: the deadline is over", request_id=request_id)
        return left

    def after(
        self, failure: IsolaError, *, now: float, luck: float, repeatable: bool = True
    ) -> float:
        """Return the seconds to wait before the next attempt.

        Args:
            failure: What came of the latest one.
            now: On the clock of the deadline.
            luck: As of `Retrying.pause`.
            repeatable: Whether the request does no harm if it is carried out twice.

        Raises:
            IsolaError: `failure`, where there shall be no other attempt.
            IsolaTimeoutError: There would be one, after the deadline.
        """
        self._failures += 1
        if not _is_passing(failure, repeatable=repeatable):
            raise failure
        asked = failure.retry_after if isinstance(failure, APIError) else None
        pause = self._retrying.pause(self._failures, luck=luck, asked=asked)
        if pause is None:
            raise failure
        if self._ends_at is not None and now + pause >= self._ends_at:
            message = f"the deadline is over before another attempt: {failure.message}"
            raise IsolaTimeoutError(message, request_id=failure.request_id) from failure
        return pause


def _is_passing(failure: IsolaError, *, repeatable: bool) -> bool:
    if isinstance(failure, APIConnectionError):
        return repeatable or not failure.may_have_arrived
    if isinstance(failure, APIError):
        return failure.status_code in (PASSING if repeatable else REFUSED)
    return False
