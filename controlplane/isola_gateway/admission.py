"""How much is taken on at once. What is beyond is refused at once: nobody waits for another.

| too many | answered |
|---|---|
| requests at this gateway, or streams | 503: another one, or a moment, may have room |
| requests to one sandbox, or streams of it | 429: its own clients have to do with less |

Streams may last for ever. So they get three quarters of either bound, and the rest goes on.
Probes are not counted: a gateway that is full is well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from isola_gateway.metrics import Metrics
from isola_rest.problem import ProblemError

RETRY_SECONDS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many at once.

    Attributes:
        requests: At this gateway.
        sandbox_requests: To one sandbox, as this gateway sees them.
    """

    requests: int = 1024
    sandbox_requests: int = 256

    @property
    def connections(self) -> int:
        """Return how many connections: each request has one, and as many may wait for the next."""
        return 2 * self.requests


class Admission:
    """Counts what is under way, and refuses what would be too much.

    Args:
        limits: How much that is.
        metrics: Where refusals are counted.
    """

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self.limits = limits
        self.metrics = metrics
        # By kind and sandbox; for the gateway as a whole, the sandbox is empty.
        self._under_way: Counter[tuple[str, str]] = Counter()
        metrics.streams.set_function(lambda: self._under_way["streams", ""])

    @contextmanager
    def request(self) -> Generator[None]:
        """Count a request for as long as the context lasts.

        Raises:
            ProblemError: 503, there are too many.
        """
        with self._one_more("requests", "", self.limits.requests):
            yield

    @contextmanager
    def stream(self) -> Generator[None]:
        """Count a request that turned out to be a stream.

        Raises:
            ProblemError: 503, there are too many.
        """
        with self._one_more("streams", "", self.limits.requests * 3 // 4):
            yield

    @contextmanager
    def request_to(self, sandbox: str) -> Generator[None]:
        """Count a request that a sandbox answers.

        Raises:
            ProblemError: 429, it has too many.
        """
        with self._one_more("requests", sandbox, self.limits.sandbox_requests):
            yield

    @contextmanager
    def stream_of(self, sandbox: str) -> Generator[None]:
        """Count a request that a sandbox answers with a stream.

        Raises:
            ProblemError: 429, it has too many; 503, the gateway has.
        """
        most = self.limits.sandbox_requests * 3 // 4
        with (
            self.request_to(sandbox),
            self._one_more("streams", sandbox, most),
            self.stream(),
        ):
            yield

    @contextmanager
    def _one_more(self, kind: str, sandbox: str, most: int) -> Generator[None]:
        key = (kind, sandbox)
        if self._under_way[key] >= most:
            raise self._refusal(kind, sandbox, most)
        self._under_way[key] += 1
        try:
            yield
        finally:
            self._under_way[key] -= 1
            if not self._under_way[key]:
                del self._under_way[key]

    def _refusal(self, kind: str, sandbox: str, most: int) -> ProblemError:
        self.metrics.refused.labels("sandbox" if sandbox else "gateway", kind).inc()
        status, who = HTTPStatus.SERVICE_UNAVAILABLE, "This gateway"
        if sandbox:
            status, who = HTTPStatus.TOO_MANY_REQUESTS, f"Sandbox {sandbox}"
        return ProblemError(
            status,
            f"{who} has {most} {kind} under way, and takes no more at once: end some, or try again",
            headers={"Retry-After": str(RETRY_SECONDS)},
        )
