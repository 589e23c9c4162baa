"""Whole histories: what is on the object, and what has moved to the archive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Generic

from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from isola_gateway.lookup import Finder
from isola_gateway.ports import RecordReader
from isola_lifecycle.archive import Kept, Segment, whole
from isola_lifecycle.errors import TransientError
from isola_lifecycle.log import Condition
from isola_rest.problem import ProblemError
from isola_store.port import T

_PATIENCE_SECONDS = 10


@dataclass(frozen=True, slots=True)
class History(Generic[T]):
    """All that is known of an object.

    Attributes:
        name: Its name.
        uid: Its UID: there may have been several of that name.
        entries: Oldest first.
        item: Itself, or None where it is gone.
    """

    name: str
    uid: str
    entries: tuple[Condition, ...]
    item: T | None = None


class Histories(Generic[T]):
    """Histories by name.

    Args:
        lookup: Finds an object that is there.
        records: The archive.
    """

    def __init__(self, lookup: Finder[T], records: RecordReader) -> None:
        self._lookup = lookup
        self._records = records

    async def find(self, name: str, uid: str = "") -> History[T]:
        """Return the history of the object of that name, or of the last one that had it.

        Args:
            name: The name.
            uid: Which one, where several had it; empty for the one there is, or was last.

        Raises:
            ProblemError: 404, nothing is known of it any more.
        """
        item = await self._living(name)
        if item and uid in {"", item.uid}:
            return History(name, item.uid, await self.of(item), item)
        segments = await self._records.read(name, uid)
        if not segments:
            which = f" with the uid {uid}" if uid else ""
            noun = self._lookup.kind.noun
            message = f"There is no {noun} {name}{which}, and no record of one"
            raise ProblemError(HTTPStatus.NOT_FOUND, message)
        latest = segments[-1].subject.uid
        return History(name, latest, whole(s for s in segments if s.subject.uid == latest))

    async def kept(self) -> Sequence[Kept]:
        """Return all segments of the archive, but not what is in them."""
        return await self._records.list()

    async def of(self, item: T) -> tuple[Condition, ...]:
        """Return every entry of an object that is there."""
        if not item.log.archived:
            return item.log.entries
        return whole(await self._records.read(item.name, item.uid), item.log)

    async def after(self, item: T, seen: int) -> Sequence[Condition]:
        """Return the entries of an object after number `seen`, wherever they are by now."""
        log = item.log if item.log.archived <= seen else await self.of(item)
        return [entry for entry in log if entry.sequence > seen]

    async def end(self, item: T, seen: int) -> Sequence[Condition]:
        """Return what the archive has after number `seen` of an object that is gone."""
        segments: Sequence[Segment] = ()
        # Who follows a history waits for this one answer, and an API server may have to warm up.
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            wait=wait_random_exponential(multiplier=0.1, max=1),
            stop=stop_after_delay(_PATIENCE_SECONDS),
            reraise=True,
        ):
            with attempt:
                segments = await self._records.read(item.name, item.uid)
        return [entry for entry in whole(segments) if entry.sequence > seen]

    async def _living(self, name: str) -> T | None:
        try:
            return await self._lookup.find(name)
        except ProblemError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise
