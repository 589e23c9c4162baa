"""`/v1/sandboxes/{id}/history`: the log as it is, all at once or as it grows; `/v1/records`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from itertools import accumulate, islice, pairwise

from quart import Blueprint, Response

from isola_gateway import contract
from isola_gateway.admission import Admission
from isola_gateway.binding import Given, mount
from isola_gateway.following import KEEP_ALIVE, KEEP_ALIVE_SECONDS
from isola_gateway.histories import Histories, History
from isola_gateway.listing import record_page
from isola_gateway.lookup import Lookup
from isola_gateway.operation import EVENTS
from isola_gateway.routes.answers import event_stream, json_answer, model_answer
from isola_lifecycle.codec import encode
from isola_lifecycle.log import Condition
from isola_lifecycle.sandbox.fold import evolve
from isola_lifecycle.sandbox.state import State
from isola_lifecycle.sandbox.verdict import verdict

# Nothing follows it.
_LAST = "Terminated"


class HistoryRoutes:
    """Views of logs.

    Args:
        lookup: Tells what became of a sandbox.
        histories: Finds all that is known of one, gone or not.
        admission: Bounds how many follow one.
    """

    def __init__(self, lookup: Lookup, histories: Histories, admission: Admission) -> None:
        self._admission = admission
        self._lookup = lookup
        self._histories = histories

    def blueprint(self) -> Blueprint:
        """Return the routes."""
        views = ((contract.GET_HISTORY, self.history), (contract.LIST_RECORDS, self.records))
        return mount(Blueprint("history", __name__), views)

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
        phases = _phases(history.entries)
        if given.get("order") == "desc":
            entries.reverse()
            durations.reverse()
            phases.reverse()
        told = {
            "id": history.name,
            "uid": history.uid,
            "deleted": history.sandbox is None,
            "entries": entries,
            "sincePreviousSeconds": durations,
            "phases": phases,
            "verdict": _verdict(history.entries),
        }
        return json_answer(json.dumps(told))

    async def records(self, given: Given) -> Response:
        """Show which sandboxes are gone but on record."""
        kept = await self._histories.kept()
        values = given.values
        return model_answer(
            record_page(kept, before=values.get("cursor"), limit=values.get("limit"))
        )

    async def _followed(self, history: History, seen: int) -> AsyncIterator[bytes]:
        current = history.sandbox
        # The server holds the head of an answer back until there is something of its body.
        yield KEEP_ALIVE
        entries: Sequence[Condition] = [e for e in history.entries if e.sequence > seen]
        over = any(entry.type == _LAST for entry in history.entries)
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
                over = any(entry.type == _LAST for entry in later.log)
            else:
                entries = await self._histories.end(current, seen)
            current = later


def _durations(entries: Sequence[Condition]) -> list[float | None]:
    times = [entry.last_transition_time for entry in entries]
    between = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    return [None, *between] if times else []


def _phases(entries: Sequence[Condition]) -> list[str]:
    states = accumulate(entries, evolve, initial=State())
    return [state.phase.value for state in islice(states, 1, None)]


def _verdict(entries: Sequence[Condition]) -> dict[str, str]:
    told = verdict(entries)
    return {"sentence": told.sentence} | ({"advice": told.advice} if told.advice else {})


def _event(entry: Condition) -> bytes:
    return f"id: {entry.sequence}\ndata: {json.dumps(encode(entry))}\n\n".encode()
