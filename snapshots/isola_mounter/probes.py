"""`/healthz`, `/readyz` and `/metrics`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

Handler = Callable[[web.Request], Awaitable[web.Response]]


async def serve_probes(stack: AsyncExitStack, port: int, is_ready: Callable[[], bool]) -> None:
    """Tell on a port, until the stack is left, that this process lives and whether it is ready."""

    async def healthy(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def ready(_: web.Request) -> web.Response:
        word, code = ("ok", 200) if is_ready() else ("not ready", 503)
        return web.json_response({"status": word}, status=code)

    await _serve(stack, port, {"/healthz": healthy, "/readyz": ready})


async def serve_metrics(stack: AsyncExitStack, port: int, registry: CollectorRegistry) -> None:
    """Show a registry on a port, in Prometheus' text format, until the stack is left."""

    async def shown(_: web.Request) -> web.Response:
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=generate_latest(registry), headers=headers)

    await _serve(stack, port, {"/metrics": shown})


async def _serve(stack: AsyncExitStack, port: int, routes: dict[str, Handler]) -> None:
    app = web.Application()
    app.router.add_routes([web.get(path, handler) for path, handler in routes.items()])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, port=port).start()
