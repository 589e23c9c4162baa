"""What can be asked of every collection of objects with a log: create, list, show, delete.

What is particular to one of them is in `kinds`, or in its `routes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Generic

from quart import Response

from isola_gateway import idempotency, preferences
from isola_gateway.admission import Admission
from isola_gateway.binding import Given
from isola_gateway.following import Follower
from isola_gateway.histories import Histories
from isola_gateway.kinds import Kind
from isola_gateway.listing import Choice, page
from isola_gateway.lookup import Finder
from isola_gateway.operation import EVENTS, REPLAYED
from isola_gateway.parameters import LONGEST_WAIT_SECONDS
from isola_gateway.ports import Access
from isola_gateway.recording import Recorder, attempts
from isola_gateway.routes.answers import event_stream, model_answer
from isola_lifecycle.errors import NotFoundError
from isola_lifecycle.sandbox.intents import Asker
from isola_rest.identifiers import derived_id, generated_id
from isola_rest.models import CreateSandboxRequest
from isola_rest.snapshots import CreateRootfsSnapshotRequest
from isola_store.port import Draft, T

# The published client looks right after it has created something, and then once a second. A
# sandbox starts within about a second: an answer that waits for that saves the client one.
PATIENCE = timedelta(seconds=2)
YOUNG = timedelta(seconds=10)

Creation = CreateSandboxRequest | CreateRootfsSnapshotRequest


class Collection(Generic[T]):
    """All objects of one kind.

    Args:
        access: Where they are.
        lookup: Finds one by name.
        clock: Tells the time of entries, UTC.
        patience: How long the answer about a young one waits for what it is about to become.
        admission: Bounds how many follow all of them.

    Attributes:
        recorder: Writes what is asked for.
        histories: Finds all that is known of one, gone or not.
    """

    def __init__(
        self,
        access: Access[T],
        lookup: Finder[T],
        clock: Callable[[], datetime],
        patience: timedelta,
        admission: Admission,
    ) -> None:
        self.access = access
        self.lookup = lookup
        self.admission = admission
        self.recorder = Recorder(access.store, lookup, clock)
        self.histories = Histories(lookup, access.records)
        self._clock = clock
        self._patience = patience

    @property
    def kind(self) -> Kind[T]:
        """Return which kind it is."""
        return self.lookup.kind

    def name_for(self, given: Given) -> str:
        """Return the name of what a request is to create: by its key, or any."""
        if not _is_keyed(given):
            return generated_id()
        return derived_id(given[idempotency.HEADER], self.kind.id_of)

    async def create(
        self, given: Given, name: str, spec: Mapping[str, Any], asked: Creation
    ) -> Response:
        """Create an object, or find the one that the same request created; the operator goes on.

        Args:
            given: The request.
            name: As `name_for` has it.
            spec: Of the object.
            asked: The request's body.
        """
        request = given.request
        draft = Draft(
            name=name,
            spec=spec,
            labels=asked.labels or {},
            caller=request.caller,
            request_id=request.request_id,
            traceparent=request.traceparent,
            request_digest=idempotency.digest_of(asked) if _is_keyed(given) else "",
        )
        item, replayed = await idempotency.created(self.access.store, draft)
        # Whoever has this answer finds it in a list, and a name that it holds is refused at once.
        await self.lookup.appeared(name)
        wait = preferences.wait_seconds(given.get(preferences.HEADER), LONGEST_WAIT_SECONDS)
        if wait:
            item = await self.lookup.settled(item, wait)
        response = model_answer(self.kind.response(item), HTTPStatus.CREATED)
        response.headers["Location"] = f"{self.kind.path}/{name}"
        if wait is not None:
            response.headers[preferences.APPLIED] = f"wait={wait}"
        if replayed:
            response.headers[REPLAYED] = "true"
        return response

    def list(self, given: Given, having: Mapping[str, str] | None = None) -> Response:
        """Show all, or those that the client chooses, oldest first; or follow them.

        Args:
            given: The request.
            having: Values that the client wants, by the names of fields of a summary.
        """
        values = given.values
        choice = Choice(
            labels=values.get("labels", ()),
            status=values.get("status"),
            having=having or {},
            after=values.get("cursor"),
            limit=values.get("limit"),
        )
        view = self.access.view
        if EVENTS in given.request.headers.get("Accept", ""):
            return event_stream(Follower(self.kind, view, choice).events(), self.admission)
        return model_answer(page(self.kind, view.list(), choice))

    async def get(self, given: Given) -> Response:
        """Show one, waiting a little for what it is about to become unless told how long."""
        item = await self.lookup.find(given["id"])
        if seconds := self._waiting(given, item):
            item = await self.lookup.settled(item, seconds)
        return model_answer(self.kind.response(item))

    def _waiting(self, given: Given, item: T) -> float:
        if "waitSeconds" in given.values:
            return given.values["waitSeconds"]
        young = self._clock() - item.created_at < YOUNG
        return self._patience.total_seconds() if young else 0

    async def delete(self, given: Given) -> T | None:
        """Record who wants one gone, mark it for deletion, and return it; None: there is none."""
        async for attempt in attempts():
            with attempt:
                try:
                    return await self._see_off(given["id"], self.asker(given))
                except NotFoundError:
                    return None
        return None

    async def _see_off(self, name: str, asker: Asker) -> T:
        # A crash between the two writes is no harm: the operator deletes what it finds requested.
        item = await self.access.store.read(name)
        item = await self.recorder.append(item, self.kind.farewell(item, asker))
        await self.access.store.delete(name, uid=item.uid)
        await self.lookup.caught_up(name, item.log.version)
        return item

    def now(self) -> datetime:
        """Return the time, UTC."""
        return self._clock()

    def asker(self, given: Given) -> Asker:
        """Return who asks, and when."""
        request = given.request
        return Asker(
            caller=request.caller,
            request_id=request.request_id,
            now=self._clock(),
            traceparent=request.traceparent,
        )


def _is_keyed(given: Given) -> bool:
    return idempotency.HEADER in given.values
