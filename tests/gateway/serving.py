"""A gateway behind its real server, on loopback, in the test's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from gateway.fakes import World, started
from isola_gateway.admission import Admission, Limits
from isola_gateway.metrics import Metrics
from isola_gateway.routes.collection import PATIENCE
from isola_gateway.server import Server, listening_socket
from isola_gateway.sidecars import HttpSidecars, sessions

LOOPBACK = "127.0.0.1"


@asynccontextmanager
async def served(
    world: World,
    sidecar_port: int,
    admission: Admission | None = None,
    *,
    patience: timedelta = timedelta(milliseconds=300),
) -> AsyncGenerator[str]:
    """Serve `world`, whose sidecars listen on `sidecar_port`, and yield the base URL."""
    stop = asyncio.Event()
    async with sessions() as session:
        sidecars = HttpSidecars(session, port=sidecar_port, patience=patience)
        listener = listening_socket(0, LOOPBACK)
        port = listener.getsockname()[1]
        admission = admission or Admission(Limits(), Metrics())
        app = world.app(sidecars, patience=PATIENCE, stopping=stop, admission=admission)
        serving = Server(app, admission).run(listener, stop, graceful_seconds=0.2)
        server = asyncio.create_task(serving)
        try:
            yield f"http://{LOOPBACK}:{port}"
        finally:
            stop.set()
            await server


@asynccontextmanager
async def operated(world: World, certificate: str) -> AsyncGenerator[None]:
    """Bring up whatever is created, on loopback, and see out whatever is deleted."""

    async def operate() -> None:
        while True:
            for sandbox in await world.store.list():
                if sandbox.deleting:
                    await world.store.remove_finalizer(sandbox)
                elif not sandbox.log.entries:
                    await world.records(sandbox.name, *started(LOOPBACK, certificate))
            await asyncio.sleep(0.01)

    task = asyncio.create_task(operate())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
