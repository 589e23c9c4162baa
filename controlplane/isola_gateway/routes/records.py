"""`/v1/records`: which sandboxes, or snapshots, are gone, and on record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quart import Blueprint, Response

from isola_gateway import contract
from isola_gateway.binding import Given, mount
from isola_gateway.kinds import SANDBOXES
from isola_gateway.listing import record_page
from isola_gateway.routes.answers import model_answer
from isola_gateway.routes.collection import Collection


class RecordRoutes:
    """The view of the archive.

    Args:
        collections: Of each kind that has records.
    """

    def __init__(self, collections: Sequence[Collection[Any]]) -> None:
        self._histories = {each.kind.event: each.histories for each in collections}

    def blueprint(self) -> Blueprint:
        """Return the routes."""
        return mount(Blueprint("records", __name__), ((contract.LIST_RECORDS, self.list),))

    async def list(self, given: Given) -> Response:
        """Show which objects of a kind are gone but on record."""
        kept = await self._histories[given.get("kind") or SANDBOXES.event].kept()
        values = given.values
        return model_answer(
            record_page(kept, before=values.get("cursor"), limit=values.get("limit"))
        )
