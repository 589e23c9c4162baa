"""`/v1/sandboxes`: what is there, and what has become of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from http import HTTPStatus

from quart import Blueprint, Response

from isola_gateway import contract, idempotency, preferences
from isola_gateway.admission import Admission
from isola_gateway.binding import Given, mount
from isola_gateway.enforcement import Enforcement
from isola_gateway.following import Follower
from isola_gateway.listing import Choice, page
from isola_gateway.lookup import Lookup
from isola_gateway.mapping import lifetime_of, response_of, settings_of, spec_of
from isola_gateway.operation import EVENTS
from isola_gateway.parameters import LONGEST_WAIT_SECONDS
from isola_gateway.ports import SandboxView, SandboxWriter
from isola_gateway.recording import Recorder, attempts
from isola_gateway.routes.answers import event_stream, model_answer, no_content
from isola_lifecycle.errors import NotFoundError
from isola_lifecycle.log import Fact
from isola_lifecycle.sandbox.fold import fold
from isola_lifecycle.sandbox.intents import (
    Asker,
    Denial,
    Obstacle,
    change_lifetime,
    change_network,
    request_termination,
)
from isola_lifecycle.sandbox.network import network_of
from isola_rest.identifiers import derived_id, generated_id
from isola_rest.models import ChangeSandboxRequest, CreateSandboxRequest
from isola_rest.problem import ProblemError, unprocessable
from isola_store.port import Draft, Sandbox

# The published client looks right after it has created a sandbox, and then once a second. A
# sandbox starts within about a second: an answer that waits for that saves the client one.
PATIENCE = timedelta(seconds=2)
YOUNG = timedelta(seconds=10)


class SandboxRoutes:
    """Views of sandboxes.

    Args:
        view: What is read.
        store: Where it is written.
        recorder: Writes what was asked for.
        enforcement: Waits until it is in force.
        lookup: Finds one by name.
        clock: Tells the time of entries, UTC.
        patience: How long the answer about a young sandbox waits for it to start.
        admission: Bounds how many follow all of them.
    """

    def __init__(  # noqa: PLR0913 - all that becomes of a sandbox
        self,
        *,
        view: SandboxView,
        store: SandboxWriter,
        recorder: Recorder,
        enforcement: Enforcement,
        lookup: Lookup,
        clock: Callable[[], datetime],
        patience: timedelta,
        admission: Admission,
    ) -> None:
        self._admission = admission
        self._view = view
        self._store = store
        self._recorder = recorder
        self._enforcement = enforcement
        self._lookup = lookup
        self._clock = clock
        self._patience = patience

    def blueprint(self) -> Blueprint:
        """Return the routes."""
        views = (
            (contract.CREATE_SANDBOX, self.create),
            (contract.LIST_SANDBOXES, self.list),
            (contract.GET_SANDBOX, self.get),
            (contract.CHANGE_SANDBOX, self.change),
            (contract.DELETE_SANDBOX, self.delete),
        )
        return mount(Blueprint("sandboxes", __name__), views)

    async def create(self, given: Given) -> Response:
        """Create a Sandbox; the operator does the rest."""
        asked = await given.json(CreateSandboxRequest)
        keyed = idempotency.HEADER in given.values
        name = derived_id(given[idempotency.HEADER]) if keyed else generated_id()
        draft = Draft(
            name=name,
            spec=spec_of(asked, name),
            labels=asked.labels or {},
            caller=given.request.caller,
            request_id=given.request.request_id,
            traceparent=given.request.traceparent,
            request_digest=idempotency.digest_of(asked) if keyed else "",
        )
        sandbox, replayed = await idempotency.created(self._store, draft)
        wait = preferences.wait_seconds(given.get(preferences.HEADER), LONGEST_WAIT_SECONDS)
        if wait:
            sandbox = await self._lookup.started(sandbox, wait)
        response = model_answer(response_of(sandbox), HTTPStatus.CREATED)
        response.headers["Location"] = f"/v1/sandboxes/{name}"
        if wait is not None:
            response.headers[preferences.APPLIED] = f"wait={wait}"
        if replayed:
            response.headers[contract.REPLAYED] = "true"
        return response

    async def list(self, given: Given) -> Response:
        """Show all sandboxes, or those that the client chooses, oldest first; or follow them."""
        values = given.values
        choice = Choice(
            labels=values.get("labels", ()),
            status=values.get("status"),
            after=values.get("cursor"),
            limit=values.get("limit"),
        )
        if EVENTS in given.request.headers.get("Accept", ""):
            return event_stream(Follower(self._view, choice).events(), self._admission)
        return model_answer(page(self._view.list(), choice))

    async def get(self, given: Given) -> Response:
        """Show one, waiting a little for its start unless it is told how long to wait."""
        sandbox = await self._lookup.find(given["id"])
        if seconds := self._waiting(given, sandbox):
            sandbox = await self._lookup.started(sandbox, seconds)
        return model_answer(response_of(sandbox))

    def _waiting(self, given: Given, sandbox: Sandbox) -> float:
        if "waitSeconds" in given.values:
            return given.values["waitSeconds"]
        young = self._clock() - sandbox.created_at < YOUNG
        return self._patience.total_seconds() if young else 0

    async def delete(self, given: Given) -> Response:
        """Record who wants it gone, then mark it for deletion."""
        name = given["id"]
        async for attempt in attempts():
            with attempt:
                try:
                    await self._terminate(name, given)
                except NotFoundError:
                    return no_content()
        return no_content()

    async def change(self, given: Given) -> Response:
        """Record another lifetime, or another network and wait until that is in force."""
        asked = await given.json(ChangeSandboxRequest)
        request = given.request
        asker = Asker(
            caller=request.caller,
            request_id=request.request_id,
            now=self._clock(),
            traceparent=request.traceparent,
        )
        sandbox = await self._recorder.record(
            given["id"], lambda found: _changes(found, asked, asker)
        )
        if asked.network is not None:
            sandbox = await self._enforcement.wait(sandbox, asker)
        return model_answer(response_of(sandbox))

    async def _terminate(self, name: str, given: Given) -> None:
        # A crash between the two writes is no harm: the operator deletes what it finds requested.
        sandbox = await self._store.read(name)
        facts = request_termination(
            fold(sandbox.log),
            caller=given.request.caller,
            request_id=given.request.request_id,
            traceparent=given.request.traceparent,
        )
        if facts and not sandbox.deleting:
            sandbox = await self._recorder.append(sandbox, facts)
        await self._store.delete(name, uid=sandbox.uid)
        await self._lookup.caught_up(name, sandbox.log.version)


def _changes(sandbox: Sandbox, asked: ChangeSandboxRequest, asker: Asker) -> tuple[Fact, ...]:
    state, facts = fold(sandbox.log), ()
    if asked.timeout_seconds is not None:
        promised = lifetime_of(sandbox.spec)
        told = change_lifetime(state, promised, asked.timeout_seconds, asker)
        facts += _granted(told, "timeoutSeconds")
    if asked.network is not None:
        promised = network_of(sandbox.spec.get("network"))
        told = change_network(state, promised, settings_of(asked.network), asker)
        facts += _granted(told, "network")
    if sandbox.deleting:
        raise ProblemError(HTTPStatus.CONFLICT, "The sandbox is Terminating")
    return facts


def _granted(facts: tuple[Fact, ...] | Denial, field: str) -> tuple[Fact, ...]:
    if not isinstance(facts, Denial):
        return facts
    if facts.obstacle in {Obstacle.ENDED, Obstacle.NOT_RUNNING}:
        raise ProblemError(HTTPStatus.CONFLICT, facts.message)
    location = ".".join(filter(None, ("body", field, facts.field)))
    raise unprocessable(location, facts.message)
