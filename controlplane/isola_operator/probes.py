"""`/healthz`, `/readyz` and `/metrics`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest


async def serve(routes: dict[str, Callable[[], web.Response]], port: int) -> web.AppRunner:
    """Serve each path with what its function returns; clean the returned runner up to stop."""
    app = web.Application()
    for path, answer in routes.items():
        app.router.add_get(path, _handler(answer))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner


def _handler(
    answer: Callable[[], web.Response],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(_: web.Request) -> web.Response:
        return answer()

    return handle


def status(*, ok: bool) -> web.Response:
    """Return 200 or 503, with a word for people."""
    return web.json_response({"status": "ok" if ok else "not ready"}, status=200 if ok else 503)


def exposition(registry: CollectorRegistry) -> web.Response:
    """Return the metrics of a registry in Prometheus' text format."""
    return web.Response(
        body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
    )
