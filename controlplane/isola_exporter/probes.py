"""`/healthz`, `/readyz` and `/metrics`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

Answer = Callable[[web.Request], web.Response]


async def serve(routes: dict[str, Answer], port: int) -> web.AppRunner:
    """Serve each path with what its function returns; clean the returned runner up to stop."""
    app = web.Application()
    for path, answer in routes.items():
        app.router.add_get(path, _handler(answer))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner


def _handler(answer: Answer) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        return answer(request)

    return handle


def status(*, ok: bool) -> web.Response:
    """Return 200 or 503, with a word for people."""
    return web.json_response({"status": "ok" if ok else "not ready"}, status=200 if ok else 503)


def exposition(request: web.Request, registry: CollectorRegistry) -> web.Response:
    """Return the metrics of a registry in the format that is asked for; one has exemplars."""
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return web.Response(body=encode(registry), headers={"Content-Type": content_type})
