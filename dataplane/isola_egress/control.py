"""What gateways ask a replica: what was refused, and how far it has followed a sandbox's log.

    GET /v1/sandboxes/{uid}/refusals                    {"refusals": [...]}
    GET /v1/sandboxes/{uid}/version?atLeast=N           {"version": M}, waiting a little for M >= N

The address of a sandbox's pod never reaches this port: the chart's NetworkPolicy lets gateways in
and nobody else.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from aiohttp import web

from isola_egress.directory import Directory
from isola_egress.refusals import Item, Ledger
from isola_lifecycle.codec import encode_time

# Less than what a gateway grants for the answer.
WAIT_SECONDS = 5.0


class Control:
    """The answers.

    Args:
        directory: What this replica knows of sandboxes.
        ledger: What it refused.
    """

    def __init__(self, directory: Directory, ledger: Ledger) -> None:
        self._directory = directory
        self._ledger = ledger

    def routes(self) -> list[web.RouteDef]:
        """Return what is answered."""
        return [
            web.get("/v1/sandboxes/{uid}/refusals", self._refusals),
            web.get("/v1/sandboxes/{uid}/version", self._version),
        ]

    async def _refusals(self, request: web.Request) -> web.Response:
        items = self._ledger.latest(request.match_info["uid"])
        return web.json_response({"refusals": [_encode(item) for item in items]})

    async def _version(self, request: web.Request) -> web.Response:
        uid, text = request.match_info["uid"], request.query.get("atLeast", "0")
        wanted = int(text) if text.isdecimal() else 0
        with suppress(TimeoutError):
            async with asyncio.timeout(WAIT_SECONDS):
                while self._directory.version(uid) < wanted:
                    await self._directory.moved()
        return web.json_response({"version": self._directory.version(uid)})


def _encode(item: Item) -> dict[str, Any]:
    what = item.refusal
    return {
        "reason": what.reason.value,
        "protocol": what.protocol.value,
        "name": what.name,
        "address": what.address,
        "port": what.port,
        "count": item.count,
        "firstTime": encode_time(item.first),
        "lastTime": encode_time(item.last),
    }
