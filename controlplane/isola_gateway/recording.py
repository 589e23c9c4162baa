"""What clients ask for, into logs: read, judge, append; again where another writer came first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Generic

from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from isola_gateway.lookup import Finder
from isola_gateway.ports import Writer
from isola_lifecycle.errors import ExpectedVersionError
from isola_lifecycle.keeping import RESERVED_ENTRIES
from isola_lifecycle.log import Fact
from isola_rest.problem import ProblemError
from isola_store.port import T

# Another writer needs milliseconds between two of its appends; so many losses in a row do not
# happen to one who reads again each time.
_ATTEMPTS = 8

_FULL = "The log is full up to what is kept free for its end; try again later"


class Recorder(Generic[T]):
    """Appends to logs.

    Args:
        store: Where they are.
        lookup: Finds an object by name.
        clock: Tells the time of entries, UTC.
    """

    def __init__(self, store: Writer[T], lookup: Finder[T], clock: Callable[[], datetime]) -> None:
        self._store = store
        self._lookup = lookup
        self._clock = clock

    async def record(self, name: str, judge: Callable[[T], tuple[Fact, ...]]) -> T:
        """Append what `judge` makes of an object, and return that once reads show it.

        Raises:
            ProblemError: 404, there is none; 503, its log is full; and what `judge` raises.
        """
        item: T | None = None
        async for attempt in attempts():
            with attempt:
                item = await self._lookup.live(name)
                facts = judge(item)
                if facts and item.log.room <= RESERVED_ENTRIES:
                    later = {"Retry-After": "5"}
                    raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, _FULL, headers=later)
                item = await self.append(item, facts)
        assert item is not None  # noqa: S101 - the last attempt returns or raises
        await self._lookup.caught_up(name, item.log.version)
        return item

    async def append(self, item: T, facts: tuple[Fact, ...]) -> T:
        """Append to a log that must be as it was read.

        Raises:
            ExpectedVersionError: It is not.
        """
        if not facts:
            return item
        extend = self._lookup.kind.projection.extend
        entries = extend(item.log, facts, at=self._clock(), generation=item.generation)
        return await self._store.append(item.name, entries, expected_version=item.log.version)


def attempts() -> AsyncRetrying:
    """Return attempts at reading and appending, as many as it takes where others write too."""
    return AsyncRetrying(
        retry=retry_if_exception_type(ExpectedVersionError),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.01, max=0.2),
        reraise=True,
    )
