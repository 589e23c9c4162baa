"""What clients ask for, into logs: read, judge, append; again where another writer came first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus

from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from isola_gateway.lookup import Lookup
from isola_gateway.ports import SandboxWriter
from isola_lifecycle.errors import ExpectedVersionError
from isola_lifecycle.keeping import RESERVED_ENTRIES
from isola_lifecycle.log import Fact
from isola_lifecycle.sandbox.fold import extend
from isola_rest.problem import ProblemError
from isola_store.port import Sandbox

# Another writer needs milliseconds between two of its appends; so many losses in a row do not
# happen to one who reads again each time.
_ATTEMPTS = 8

_FULL = "The sandbox's log is full up to what is kept free for its end; try again later"


class Recorder:
    """Appends to logs.

    Args:
        store: Where they are.
        lookup: Finds a sandbox by name.
        clock: Tells the time of entries, UTC.
    """

    def __init__(self, store: SandboxWriter, lookup: Lookup, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._lookup = lookup
        self._clock = clock

    async def record(self, name: str, judge: Callable[[Sandbox], tuple[Fact, ...]]) -> Sandbox:
        """Append what `judge` makes of a sandbox, and return that once reads show it.

        Raises:
            ProblemError: 404, there is none; 503, its log is full; and what `judge` raises.
        """
        sandbox: Sandbox | None = None
        async for attempt in attempts():
            with attempt:
                sandbox = await self._lookup.live(name)
                facts = judge(sandbox)
                if facts and sandbox.log.room <= RESERVED_ENTRIES:
                    later = {"Retry-After": "5"}
                    raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, _FULL, headers=later)
                sandbox = await self.append(sandbox, facts)
        assert sandbox is not None  # noqa: S101 - the last attempt returns or raises
        await self._lookup.caught_up(name, sandbox.log.version)
        return sandbox

    async def append(self, sandbox: Sandbox, facts: tuple[Fact, ...]) -> Sandbox:
        """Append to a log that must be as it was read.

        Raises:
            ExpectedVersionError: It is not.
        """
        if not facts:
            return sandbox
        entries = extend(sandbox.log, facts, at=self._clock(), generation=sandbox.generation)
        version = sandbox.log.version
        return await self._store.append(sandbox.name, entries, expected_version=version)


def attempts() -> AsyncRetrying:
    """Return attempts at reading and appending, as many as it takes where others write too."""
    return AsyncRetrying(
        retry=retry_if_exception_type(ExpectedVersionError),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.01, max=0.2),
        reraise=True,
    )
