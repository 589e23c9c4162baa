"""`/healthz`, `/readyz` and `/metrics`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder


async def serve(stack: AsyncExitStack, port: int, routes: Iterable[web.RouteDef]) -> None:
    """Answer these routes on a port until the stack is left."""
    app = web.Application()
    app.router.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, port=port).start()


def health(is_ready: Callable[[], bool]) -> list[web.RouteDef]:
    """Return routes that tell that this process lives, and whether it is ready (else 503)."""

    async def healthy(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def ready(_: web.Request) -> web.Response:
        word, code = ("ok", 200) if is_ready() else ("not ready", 503)
        return web.json_response({"status": word}, status=code)

    return [web.get("/healthz", healthy), web.get("/readyz", ready)]


def metrics(
    registry: CollectorRegistry, refresh: Callable[[], None] = lambda: None
) -> list[web.RouteDef]:
    """Return the route of a registry's metrics, in the format that is asked for.

    Args:
        registry: The metrics. Of the formats, OpenMetrics alone has exemplars.
        refresh: Brings up to date what is counted only when somebody looks.
    """

    async def exposition(request: web.Request) -> web.Response:
        refresh()
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    return [web.get("/metrics", exposition)]
