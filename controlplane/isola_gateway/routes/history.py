"""`…/{id}/history`: the log as it is, all at once or as it grows."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import accumulate, islice, pairwise
from typing import Any, Generic

from quart import Blueprint, Response

from isola_gateway.binding import Given, mount
from isola_gateway.following import KEEP_ALIVE, KEEP_ALIVE_SECONDS
from isola_gateway.histories import History
from isola_gateway.kinds import Kind
from isola_gateway.operation import EVENTS, Operation
from isola_gateway.routes.answers import event_stream, json_answer
from isola_gateway.routes.collection import Collection
from isola_lifecycle.codec import encode
from isola_lifecycle.log import Condition
from isola_lifecycle.projection import Projection
from isola_store.port import T


class HistoryRoutes(Generic[T]):
    """The view of logs of one kind.

    Args:
        operation: Which it is.
        collection: The objects that they are of.
    """

    def __init__(self, operation: Operation, collection: Collection[T]) -> None:
        self._operation = operation
        self._kind = collection.kind
        self._lookup = collection.lookup
        self._histories = collection.histories
        self._admission = collection.admission

    def blueprint(self) -> Blueprint:
        """Return the routes."""
        return mount(Blueprint(self._operation.id, __name__), ((self._operation, self.history),))

    async def history(self, given: Given) -> Response:
        """Show the log, or follow it."""
        history = await self._histories.find(given["id"], given.get("uid"))
        follow = given.get("follow")
        if follow == "true" or (not follow and EVENTS in given.request.headers.get("Accept", "")):
            seen = int(given.get("Last-Event-ID") or 0)
            return event_stream(self._followed(history, seen), self._admission)
        # Durations stand beside the entries: one more field, and no entry would match its digest.
        entries = [encode(entry) for entry in history.entries]
        durations = _durations(history.entries)
        phases = _phases(self._kind.projection, history.entries)
        if given.get("order") == "desc":
            entries.reverse()
            durations.reverse()
            phases.reverse()
        told = {
            "id": history.name,
            "uid": history.uid,
            "deleted": history.item is None,
            "entries": entries,
            "sincePreviousSeconds": durations,
            "phases": phases,
            "verdict": _verdict(self._kind, history.entries),
        }
        return json_answer(json.dumps(told))

    async def _followed(self, history: History[T], seen: int) -> AsyncIterator[bytes]:
        current = history.item
        # The server holds the head of an answer back until there is something of its body.
        yield KEEP_ALIVE
        entries: Sequence[Condition] = [e for e in history.entries if e.sequence > seen]
        over = self._is_over(history.entries)
        while True:
            for entry in entries:
                yield _event(entry)
                seen = entry.sequence
            if over or current is None:
                return
            later = await self._lookup.later(current, KEEP_ALIVE_SECONDS)
            if later is current:
                yield KEEP_ALIVE
                entries = ()
            elif later:
                entries = await self._histories.after(later, seen)
                over = self._is_over(later.log)
            else:
                entries = await self._histories.end(current, seen)
            current = later

    def _is_over(self, entries: Iterable[Condition]) -> bool:
        return any(entry.type == self._kind.last for entry in entries)


def _durations(entries: Sequence[Condition]) -> list[float | None]:
    times = [entry.last_transition_time for entry in entries]
    between = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    return [None, *between] if times else []


def _phases(projection: Projection[Any], entries: Sequence[Condition]) -> list[str]:
    states = accumulate(entries, projection.evolve, initial=projection.initial)
    return [projection.phase(state) for state in islice(states, 1, None)]


def _verdict(kind: Kind[T], entries: Sequence[Condition]) -> dict[str, str]:
    told = kind.verdict(entries)
    return {"sentence": told.sentence} | ({"advice": told.advice} if told.advice else {})


def _event(entry: Condition) -> bytes:
    return f"id: {entry.sequence}\ndata: {json.dumps(encode(entry))}\n\n".encode()
