"""The parts put together, and run until the pod stops."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from functools import partial
from typing import TYPE_CHECKING, cast

from . import gate, launcher
from .commands import Commands
from .processes import Processes
from .repeats import Repeats
from .routes import route
from .server import Server
from .sidecar import Sidecar, Streams

if TYPE_CHECKING:
    import socket
    import ssl


def run(
    listener: socket.socket,
    tls: ssl.SSLContext | None = None,
    asked: gate.Asked | None = None,
    *,
    serves_own: bool = False,
) -> None:
    """Serve until SIGTERM or SIGINT, then exit at once; at `asked`, tell that the gate is open.

    At once: the pod is going anyway, its deletion waits for this process, and the launcher kills
    what still runs when its socket closes.
    """
    channel = launcher.fork()
    _raise_descriptor_limit()
    asyncio.run(_serve(listener, channel, tls, asked, serves_own=serves_own))


async def _serve(
    listener: socket.socket,
    channel: socket.socket,
    tls: ssl.SSLContext | None,
    asked: gate.Asked | None,
    *,
    serves_own: bool,
) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, os._exit, 0)
    if asked:
        await loop.create_server(_Answering, sock=asked.listener)
    sidecar = Sidecar(Commands(Processes(channel)), Streams())
    application = partial(Repeats().once, handle=partial(route, sidecar))
    await Server(application, tls, serves_own=serves_own).serve(listener)


class _Answering(asyncio.Protocol):
    """Tells who asks that the gate is open."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - whatever it is
        self._transport.write(gate.OPEN)
        self._transport.close()


def _raise_descriptor_limit() -> None:
    """Allow as many descriptors as the container may have; the soft limit is often 1024.

    After the launcher was forked: programs get the limit they would have without a sidecar.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
