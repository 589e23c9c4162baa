"""One log, as a worker beside the operator reads and writes it: patiently, and as it is now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from isola_lifecycle.errors import ExpectedVersionError, NotFoundError, TransientError
from isola_lifecycle.log import Fact
from isola_lifecycle.projection import Projection
from isola_store.port import Store, T

S = TypeVar("S", bound=NamedTuple)


@dataclass(slots=True)
class Journal(Generic[T, S]):
    """Where a worker says what it did, and reads what was said before.

    Attributes:
        store: Where the objects are.
        projection: What their logs amount to.
        name: Which one.
        uid: Its UID: another one of that name is none of ours.
        clock: Dates entries, UTC.
        fits: Whether a log with so much room takes so many facts; what does not fit waits until
            whoever keeps the log has made room.
    """

    store: Store[T]
    projection: Projection[S]
    name: str
    uid: str
    clock: Callable[[], datetime]
    fits: Callable[[tuple[Fact, ...], int], bool]

    async def read(self) -> tuple[T, S]:
        """Return the object as it is now, and what its log amounts to.

        Raises:
            NotFoundError: It is gone.
        """
        return await patiently()(self._read)

    async def say(self, saying: Callable[[S], tuple[Fact, ...]]) -> S:
        """Append what `saying` makes of the state, and return the state after that.

        Another writer's entry, in between, is read, and `saying` asked again.

        Raises:
            NotFoundError: The object is gone.
            RejectedError: The API server refuses an entry.
        """
        return await patiently()(self._said, saying)

    async def _read(self) -> tuple[T, S]:
        item = await self.store.read(self.name)
        if item.uid != self.uid:
            raise NotFoundError(f"{self.name} is another object now")
        return item, self.projection.fold(item.log)

    async def _said(self, saying: Callable[[S], tuple[Fact, ...]]) -> S:
        item, state = await self._read()
        facts = saying(state)
        if not facts:
            return state
        if not self.fits(facts, item.log.room):
            raise TransientError(f"the log of {self.name} is full until its oldest entries move")
        log, generation = item.log, item.generation
        entries = self.projection.extend(log, facts, at=self.clock(), generation=generation)
        item = await self.store.append(self.name, entries, expected_version=log.version)
        return self.projection.fold(item.log)


def patiently() -> AsyncRetrying:
    """Return attempts at reading and appending, for as long as it takes."""
    # What was done is lost if it cannot be said: so for as long as it takes. Who waits for it (the
    # deadline of a Job, a sandbox's start-up time-out) has an end.
    return AsyncRetrying(
        retry=retry_if_exception_type((ExpectedVersionError, TransientError)),
        wait=wait_random_exponential(multiplier=0.1, max=5),
    )
