"""`/v1/sandboxes/{id}/filesystem`: one file, down or up, of any size."""

from __future__ import annotations

from quart import Blueprint, Response

from isola_gateway import contract_files
from isola_gateway.binding import Given, mount
from isola_gateway.operation import OCTETS
from isola_gateway.ports import Call
from isola_gateway.proxy import FILE_SILENCE_SECONDS, Proxy
from isola_gateway.routes.answers import no_content
from isola_gateway.routes.calls import headers, query

_PATH = "/v1/filesystem"


class FileRoutes:
    """Views of what is in files.

    Args:
        proxy: The way to the sidecar.
    """

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    def blueprint(self) -> Blueprint:
        """Return the routes."""
        views = (
            (contract_files.READ_FILE, self.read),
            (contract_files.WRITE_FILE, self.write),
        )
        return mount(Blueprint("files", __name__), views)

    async def read(self, given: Given) -> Response:
        """Download, all of it or a part."""
        call = Call(
            method="GET",
            path=_PATH,
            query=query(given, "path", "container"),
            headers=headers(given) | query(given, "Range", "If-Range"),
            silence_seconds=FILE_SILENCE_SECONDS,
        )
        return await self._proxy.download(given["id"], call)

    async def write(self, given: Given) -> Response:
        """Upload."""
        call = Call(
            method="POST",
            path=_PATH,
            query=query(given, "path", "container"),
            headers=headers(given, OCTETS, sized=True),
        )
        await self._proxy.upload(given["id"], call, given.octets())
        return no_content()
