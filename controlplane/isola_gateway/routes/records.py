"""`/v1/records`: which sandboxes are gone, and on record."""

from __future__ import annotations

from quart import Blueprint, Response

from isola_gateway import contract
from isola_gateway.binding import Given, mount
from isola_gateway.histories import Histories
from isola_gateway.listing import record_page
from isola_gateway.routes.answers import model_answer
from isola_store.port import Sandbox


class RecordRoutes:
    """The view of the archive.

    Args:
        histories: What it holds.
    """

    def __init__(self, histories: Histories[Sandbox]) -> None:
        self._histories = histories

    def blueprint(self) -> Blueprint:
        """Return the routes."""
        return mount(Blueprint("records", __name__), ((contract.LIST_RECORDS, self.list),))

    async def list(self, given: Given) -> Response:
        """Show which sandboxes are gone but on record."""
        kept = await self._histories.kept()
        values = given.values
        return model_answer(
            record_page(kept, before=values.get("cursor"), limit=values.get("limit"))
        )
