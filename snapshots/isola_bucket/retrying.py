"""How long a bucket that does not answer is waited for: one policy for everybody."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from isola_bucket.errors import UnavailableError

# With waits of at most 15 s in between, and 30 s for a server that stalls: some four minutes.
ATTEMPTS = 10


def patiently(
    trouble: Callable[[RetryCallState], Awaitable[None] | None] | None = None,
) -> AsyncRetrying:
    """Return attempts that go on while the bucket is unavailable, and raise its last word.

    Args:
        trouble: Told of every attempt that failed.
    """
    return AsyncRetrying(
        retry=retry_if_exception_type(UnavailableError),
        wait=wait_random_exponential(multiplier=0.25, max=15),
        stop=stop_after_attempt(ATTEMPTS),
        before_sleep=trouble,
        reraise=True,
    )
