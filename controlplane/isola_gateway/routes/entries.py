"""`/v1/sandboxes/{id}/filesystem/…`: what is there, made, removed and moved, whatever is in it."""

from __future__ import annotations

from http import HTTPStatus

from quart import Blueprint, Response

from isola_gateway import contract_files
from isola_gateway.binding import Given, mount
from isola_gateway.operation import EVENTS
from isola_gateway.ports import Call
from isola_gateway.proxy import ANSWER_SECONDS, EVENTS_SILENCE_SECONDS, Proxy
from isola_gateway.routes.answers import json_answer, no_content
from isola_gateway.routes.calls import headers, query
from isola_rest.files import Entry, EntryList, MadeDirectory

_PATH = "/v1/filesystem"
# A thousand entries are about 300 KB. Only paths of thousands of odd characters make more.
LIST_BYTES = 16 * 1024 * 1024
# A removal is answered when all is gone: some 20 000 files a second.
REMOVAL_SECONDS = 300


class EntryRoutes:
    """Views of entries of directories.

    Args:
        proxy: The way to the sidecar.
    """

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    def blueprint(self) -> Blueprint:
        """Return the routes."""
        views = (
            (contract_files.LIST_ENTRIES, self.list),
            (contract_files.STAT, self.stat),
            (contract_files.MAKE_DIRECTORY, self.make),
            (contract_files.MOVE, self.move),
            (contract_files.REMOVE, self.remove),
            (contract_files.WATCH, self.watch),
        )
        return mount(Blueprint("entries", __name__), views)

    async def list(self, given: Given) -> Response:
        """Show what is in a directory."""
        call = Call(
            method="GET",
            path=f"{_PATH}/entries",
            query=query(given, "path", "container", "limit", "cursor"),
            headers=headers(given),
            silence_seconds=ANSWER_SECONDS,
            answer_bytes=LIST_BYTES,
        )
        return json_answer(await self._proxy.ask(given["id"], call, EntryList))

    async def stat(self, given: Given) -> Response:
        """Show one entry."""
        call = Call(
            method="GET",
            path=f"{_PATH}/stat",
            query=query(given, "path", "container"),
            headers=headers(given),
            silence_seconds=ANSWER_SECONDS,
        )
        return json_answer(await self._proxy.ask(given["id"], call, Entry))

    async def make(self, given: Given) -> Response:
        """Make a directory."""
        call = Call(
            method="POST",
            path=f"{_PATH}/directories",
            query=query(given, "path", "container"),
            headers=headers(given),
            silence_seconds=ANSWER_SECONDS,
            may_be_empty=True,
        )
        made = await self._proxy.ask(given["id"], call, MadeDirectory)
        return json_answer(made, HTTPStatus.CREATED) if made else no_content()

    async def move(self, given: Given) -> Response:
        """Give an entry another path."""
        call = Call(
            method="POST",
            path=f"{_PATH}/move",
            query=query(given, "from", "to", "overwrite", "container"),
            headers=headers(given),
            silence_seconds=ANSWER_SECONDS,
        )
        await self._proxy.tell(given["id"], call)
        return no_content()

    async def remove(self, given: Given) -> Response:
        """Remove an entry."""
        call = Call(
            method="DELETE",
            path=_PATH,
            query=query(given, "path", "recursive", "container"),
            headers=headers(given),
            silence_seconds=REMOVAL_SECONDS,
        )
        await self._proxy.tell(given["id"], call)
        return no_content()

    async def watch(self, given: Given) -> Response:
        """Tell what changes, as it does."""
        call = Call(
            method="GET",
            path=f"{_PATH}/watch",
            query=query(given, "path", "recursive", "container"),
            headers=headers(given),
            silence_seconds=EVENTS_SILENCE_SECONDS,
        )
        return await self._proxy.stream(given["id"], call, EVENTS)
