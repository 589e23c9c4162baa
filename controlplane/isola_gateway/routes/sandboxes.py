"""`/v1/sandboxes`: what is there, and what has become of it."""

from __future__ import annotations

from http import HTTPStatus

from quart import Blueprint, Response

from isola_gateway import contract
from isola_gateway.binding import Given, mount
from isola_gateway.enforcement import Enforcement
from isola_gateway.mapping import lifetime_of, response_of, settings_of, spec_of
from isola_gateway.routes.answers import model_answer, no_content
from isola_gateway.routes.collection import Collection
from isola_lifecycle.log import Fact
from isola_lifecycle.sandbox.fold import fold
from isola_lifecycle.sandbox.intents import (
    Asker,
    Denial,
    Obstacle,
    change_lifetime,
    change_network,
)
from isola_lifecycle.sandbox.network import network_of
from isola_rest.models import ChangeSandboxRequest, CreateSandboxRequest
from isola_rest.problem import ProblemError, unprocessable
from isola_store.port import Sandbox


class SandboxRoutes:
    """Views of sandboxes.

    Args:
        sandboxes: All of them.
        enforcement: Waits until a change of the network is in force.
    """

    def __init__(self, sandboxes: Collection[Sandbox], enforcement: Enforcement) -> None:
        self._sandboxes = sandboxes
        self._enforcement = enforcement

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
        name = self._sandboxes.name_for(given)
        return await self._sandboxes.create(given, name, spec_of(asked, name), asked)

    async def list(self, given: Given) -> Response:
        """Show all sandboxes, or those that the client chooses, oldest first; or follow them."""
        return self._sandboxes.list(given)

    async def get(self, given: Given) -> Response:
        """Show one, waiting a little for its start unless it is told how long to wait."""
        return await self._sandboxes.get(given)

    async def delete(self, given: Given) -> Response:
        """Record who wants it gone, then mark it for deletion."""
        await self._sandboxes.delete(given)
        return no_content()

    async def change(self, given: Given) -> Response:
        """Record another lifetime, or another network and wait until that is in force."""
        asked = await given.json(ChangeSandboxRequest)
        asker = self._sandboxes.asker(given)
        sandbox = await self._sandboxes.recorder.record(
            given["id"], lambda found: _changes(found, asked, asker)
        )
        if asked.network is not None:
            sandbox = await self._enforcement.wait(sandbox, asker)
        return model_answer(response_of(sandbox))


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
