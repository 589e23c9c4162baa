"""`/v1/sandboxes/{id}/history`: the log as it is, all at once or as it grows."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

from quart import Blueprint, Response

from isola_gateway import contract
from isola_gateway.binding import Given, mount
from isola_gateway.lookup import Lookup
from isola_gateway.operation import EVENTS
from isola_gateway.proxy import STREAM_HEADERS
from isola_gateway.routes.answers import json_answer
from isola_lifecycle.codec import encode
from isola_lifecycle.log import Condition
from isola_store.port import Sandbox

# As often as a sidecar gives a sign of life; clients wait longer than that.
KEEP_ALIVE_SECONDS = 15
_KEEP_ALIVE = b": keepalive\n\n"

# Nothing follows it.
_LAST = "Terminated"


class HistoryRoutes:
    """Views of logs.

    Args:
        lookup: Finds a sandbox by name, and what became of it.
    """

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def blueprint(self) -> Blueprint:
        """Return the routes."""
        return mount(Blueprint("history", __name__), ((contract.GET_HISTORY, self.history),))

    async def history(self, given: Given) -> Response:
        """Show the log, or follow it."""
        sandbox = await self._lookup.find(given["id"])
        follow = given.get("follow")
        if follow == "true" or (not follow and EVENTS in given.request.headers.get("Accept", "")):
            seen = int(given.get("Last-Event-ID") or 0)
            body = self._followed(sandbox, seen)
            return Response(body, content_type=EVENTS, headers=STREAM_HEADERS)
        # Durations stand beside the entries: one more field, and no entry would match its digest.
        entries = [encode(entry) for entry in sandbox.log]
        durations = _durations(sandbox.log.entries)
        if given.get("order") == "desc":
            entries.reverse()
            durations.reverse()
        told = {"id": sandbox.name, "entries": entries, "sincePreviousSeconds": durations}
        return json_answer(json.dumps(told))

    async def _followed(self, sandbox: Sandbox, seen: int) -> AsyncIterator[bytes]:
        current: Sandbox | None = sandbox
        # The server holds the head of an answer back until there is something of its body.
        yield _KEEP_ALIVE
        while current:
            sandbox = current
            for entry in sandbox.log:
                if entry.sequence > seen:
                    yield _event(entry)
            seen = max(seen, sandbox.log.version)
            if any(entry.type == _LAST for entry in sandbox.log):
                return
            current = await self._lookup.later(sandbox, KEEP_ALIVE_SECONDS)
            if current is sandbox:
                yield _KEEP_ALIVE


def _durations(entries: Sequence[Condition]) -> list[float | None]:
    times = [entry.last_transition_time for entry in entries]
    between = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    return [None, *between] if times else []


def _event(entry: Condition) -> bytes:
    return f"id: {entry.sequence}\ndata: {json.dumps(encode(entry))}\n\n".encode()
