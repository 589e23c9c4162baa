"""`/v1/sandboxes/{id}/network`: what was not let out, for whoever looks for what to allow."""

from __future__ import annotations

from quart import Blueprint, Response

from isola_gateway import contract
from isola_gateway.binding import Given, mount
from isola_gateway.egress import Replicas
from isola_gateway.lookup import Lookup
from isola_gateway.routes.answers import model_answer


class NetworkRoutes:
    """Views of what passed, or not.

    Args:
        lookup: Finds a sandbox by name.
        replicas: Know what they refused.
    """

    def __init__(self, lookup: Lookup, replicas: Replicas) -> None:
        self._lookup = lookup
        self._replicas = replicas

    def blueprint(self) -> Blueprint:
        """Return the routes."""
        views = ((contract.LIST_REFUSALS, self.refusals),)
        return mount(Blueprint("network", __name__), views)

    async def refusals(self, given: Given) -> Response:
        """Show the latest refusals of a sandbox."""
        sandbox = await self._lookup.find(given["id"])
        return model_answer(await self._replicas.refusals(sandbox.uid))
